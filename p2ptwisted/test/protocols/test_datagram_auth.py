"""Tests of `p2ptwisted.protocols.datagram_auth`."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.protocols.datagram_auth import WINDOW, DatagramAuth
from p2ptwisted.security.group_key import GroupKey

NOW = 1_800_000_000.5
DATAGRAM = b"name;20;some-id"


class SealTests(SynchronousTestCase):
    """Which datagrams of a closed group are believed."""

    def setUp(self) -> None:
        self.auth = DatagramAuth(GroupKey(b"k" * 32))
        self.sealed = self.auth.seal(DATAGRAM, NOW)

    def test_opened(self) -> None:
        """Whoever has the key gets the datagram out again."""
        self.assertEqual(DatagramAuth(GroupKey(b"k" * 32)).open(self.sealed, NOW), DATAGRAM)

    def test_line_end(self) -> None:
        """Also one that ends with a line end, as a person's does."""
        sealed = self.auth.seal(b"rack-7;20;some-id\r\n", NOW)
        self.assertEqual(self.auth.open(sealed, NOW), b"rack-7;20;some-id\r\n")

    def test_fourth_field(self) -> None:
        """The seal is one more field after the three."""
        self.assertEqual(self.sealed.split(b";")[:3], DATAGRAM.split(b";"))
        self.assertEqual(self.sealed.count(b";"), 3)

    def test_no_seal(self) -> None:
        """A datagram without a seal is not believed."""
        self.assertIs(self.auth.open(DATAGRAM, NOW), None)

    def test_other_key(self) -> None:
        """Nor one that was sealed with another key."""
        self.assertIs(DatagramAuth(GroupKey(b"K" * 32)).open(self.sealed, NOW), None)

    def test_changed(self) -> None:
        """Nor one of which any byte was changed: name, id, time or seal."""
        for at, byte in enumerate(self.sealed):
            changed = self.sealed[:at] + bytes([byte ^ 1]) + self.sealed[at + 1 :]
            self.assertIs(self.auth.open(changed, NOW), None, changed)

    def test_replayed(self) -> None:
        """Nor one that comes late; a clock that is a little off does no harm."""
        self.assertEqual(self.auth.open(self.sealed, NOW + WINDOW - 1), DATAGRAM)
        self.assertIs(self.auth.open(self.sealed, NOW + WINDOW + 1), None)

    def test_from_the_future(self) -> None:
        """Nor one that is ahead of its time by more than clocks may differ."""
        self.assertEqual(self.auth.open(self.sealed, NOW - WINDOW + 1), DATAGRAM)
        self.assertIs(self.auth.open(self.sealed, NOW - WINDOW - 1), None)

    @given(st.binary(max_size=300))
    def test_any_bytes(self, datagram: bytes) -> None:
        """Any bytes are refused without an exception, and come back from under a seal."""
        self.assertIs(self.auth.open(datagram, NOW), None)
        if b"\n" not in datagram:
            self.assertEqual(self.auth.open(self.auth.seal(datagram, NOW), NOW), datagram)
