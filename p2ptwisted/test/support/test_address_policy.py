"""Tests of `p2ptwisted.support.address_policy`."""

from ipaddress import IPv4Network

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.support import locations as addresses
from p2ptwisted.support.address_policy import believed, believed_of_supernodes

OWN, OTHER = "10.0.0.1", "10.0.0.2"
HERE, THERE = "127.0.0.1:8000", "10.0.0.9:8000"


class ClaimsTests(SynchronousTestCase):
    """What a machine whose address is 10.0.0.1 believes."""

    def setUp(self) -> None:
        # An address of one's own leads to itself; any other one leads from it.
        self.patch(addresses, "address_towards", lambda host: OWN)

    def test_holders(self) -> None:
        """Anybody tells of holders elsewhere, nobody but this machine of its loopback."""
        self.assertEqual(believed([HERE, THERE], OTHER), (THERE,))
        for source in (OWN, "127.0.0.1"):
            self.assertEqual(believed([HERE, THERE], source), (HERE, THERE))

    def test_supernodes(self) -> None:
        """A supernode tells of itself only."""
        told = [f"{OTHER}:5000", THERE, HERE]
        self.assertEqual(believed_of_supernodes(told, OTHER, ()), (f"{OTHER}:5000",))

    def test_trusted(self) -> None:
        """One that is trusted tells of others too, but of no loopback that isn't its own."""
        told = [f"{OTHER}:5000", THERE, HERE]
        trusted = [IPv4Network("10.0.0.0/24")]
        self.assertEqual(believed_of_supernodes(told, OTHER, trusted), (f"{OTHER}:5000", THERE))
        self.assertEqual(believed_of_supernodes(told, "127.0.0.1", ()), tuple(told))

    def test_asked_once(self) -> None:
        """Whose address the source has, the system is asked once, however much it tells."""
        asked: list[str] = []

        def towards(host: str) -> str:
            asked.append(host)
            return OWN

        self.patch(addresses, "address_towards", towards)
        ports = [f"127.0.0.1:{port}" for port in range(1, 1_001)]
        self.assertEqual(believed([*ports, THERE], OTHER), (THERE,))
        self.assertEqual(asked, [OTHER])
