"""Tests for `p2ptwisted.supernode.local_answers`."""

from p2ptwisted.model import SUPERNODE_ID, HeldFile, Holding
from p2ptwisted.supernode import local_answers as module
from p2ptwisted.supernode.local_answers import DATAGRAM_HOLDERS, as_seen_by, towards
from p2ptwisted.support.round_robin import share_of
from p2ptwisted.test.supernode.test_local_supernode import (
    CALLER,
    HERE,
    LOOPBACK,
    NODE,
    OTHER,
    SupernodeTestCase,
    X,
)


class LocalAnswersTests(SupernodeTestCase):
    """What other supernodes are answered."""

    def test_locations(self) -> None:
        """All holders, as whoever asks can reach them; of what is not here, none."""
        self.register(NODE, X, caller=CALLER)
        self.register(f"{LOOPBACK}:8000", X)
        self.assertEqual(self.local_answers.locations("x", OTHER), [f"{HERE}:8000", NODE])
        self.assertEqual(self.local_answers.locations("x", LOOPBACK), [f"{LOOPBACK}:8000", NODE])
        self.assertEqual(self.local_answers.locations("y", OTHER), [])

    def test_partial(self) -> None:
        """Those that have a part are named as whoever asks can reach them, too."""
        file = HeldFile(NODE, [NODE], partial=[f"{LOOPBACK}:8000"])
        seen = as_seen_by(OTHER, Holding("x", HeldFile(NODE, [NODE], partial=[f"{OTHER}:1"])))
        self.assertEqual(seen.file.partial, [f"{OTHER}:1"])
        seen = as_seen_by(OTHER, Holding("x", file))
        self.assertEqual(seen.file.partial, towards(OTHER, [f"{LOOPBACK}:8000"]))
        self.assertEqual(seen.file.locations, [NODE])

    def test_popular(self) -> None:
        """Of many holders it looks at no more than a datagram can need."""
        self.patch(module, "DATAGRAM_HOLDERS", 2)
        for number in (1, 2, 3):
            self.register(":8000", X, caller=f"10.0.0.{number}")
        self.assertEqual(
            self.local_answers.locations("x", OTHER), ["10.0.0.3:8000", "10.0.0.2:8000"]
        )

    def test_crowded(self) -> None:
        """A datagram names those at other addresses, however many ports one has."""
        self.register(":8000", X, caller=OTHER)
        for port in range(1, 101):
            self.register(f":{port}", X, caller=CALLER)
        found = self.local_answers.locations("x", OTHER)
        self.assertIn(f"{OTHER}:8000", found)
        self.assertEqual(len(found), 1 + share_of(DATAGRAM_HOLDERS))

    def test_reserved_id(self) -> None:
        """A search for supernodes is answered with where this one is."""
        self.assertEqual(self.local_answers.locations(SUPERNODE_ID, OTHER), [f"{HERE}:5000"])
