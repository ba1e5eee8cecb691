"""Tests of `p2ptwisted.support.address_policy`."""

import socket
from ipaddress import IPv4Network
from types import SimpleNamespace

import psutil
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.errors import InvalidInput
from p2ptwisted.support import address_policy, locations
from p2ptwisted.support.address_policy import (
    believed,
    believed_of_supernodes,
    is_own,
    may_name,
    reachable_from,
)
from p2ptwisted.test.support.fake_kernel import FakeKernel

OWN, OTHER = "10.0.0.1", "10.0.0.2"
HERE, THERE = "127.0.0.1:8000", "10.0.0.9:8000"


class MayNameTests(SynchronousTestCase):
    """Who may have which address called."""

    def test_oneself(self) -> None:
        """Everybody may name the address that he calls from."""
        self.assertTrue(may_name("10.0.0.1", "10.0.0.1", []))

    def test_a_third_party(self) -> None:
        """Nobody may name another's, not even loopback."""
        self.assertFalse(may_name("10.0.0.1", "10.0.0.2", []))
        self.assertFalse(may_name("10.0.0.1", "127.0.0.1", []))

    def test_loopback(self) -> None:
        """Whoever calls from this machine may name any."""
        for caller in ["127.0.0.1", "127.8.9.10"]:
            self.assertTrue(may_name(caller, "10.0.0.2", []))

    def test_trusted(self) -> None:
        """Whoever calls from a trusted network may name any, its own or not."""
        trusted = [IPv4Network("192.168.0.0/16"), IPv4Network("10.1.0.0/24")]
        self.assertTrue(may_name("10.1.0.7", "172.16.0.1", trusted))
        self.assertFalse(may_name("10.1.1.7", "10.1.0.1", trusted))

    def test_not_an_address(self) -> None:
        """A caller without an IPv4 address can't name anything."""
        self.assertRaises(InvalidInput, may_name, "::1", "10.0.0.1", [])


class BelievedTests(SynchronousTestCase):
    """What a machine whose address is 10.0.0.1 believes."""

    def setUp(self) -> None:
        # An address of one's own leads to itself; any other one leads from it.
        self.patch(address_policy, "address_towards", lambda host: OWN)

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
        """Whether a source is this machine, the system is asked once, whatever it reports."""
        asked: list[str] = []

        def towards(host: str) -> str:
            asked.append(host)
            return OWN

        self.patch(address_policy, "address_towards", towards)
        ports = [f"127.0.0.1:{port}" for port in range(1, 1_001)]
        self.assertEqual(believed([*ports, THERE], OTHER), (THERE,))
        self.assertEqual(asked, [OTHER])


class OwnAddressTests(SynchronousTestCase):
    """Which addresses are ours, and which of them others are given for loopback."""

    def setUp(self) -> None:
        self.kernel = FakeKernel({"10.0.0.2": "10.0.0.1", "127.0.0.1": "127.0.0.1"})
        self.patch(locations, "socket", self.kernel)

    def test_own(self) -> None:
        """All of this machine's addresses are its own, second ones of a network too."""
        second = SimpleNamespace(family=socket.AF_INET, address="10.0.0.3")
        self.patch(psutil, "net_if_addrs", lambda: {"eth0:1": [second]})
        self.kernel.routes |= {"10.0.0.1": "10.0.0.1", "10.0.0.3": "10.0.0.1"}
        for host in ("127.0.0.1", "127.9.9.9", "10.0.0.1", "10.0.0.3"):
            self.assertTrue(is_own(host), host)
        for host in ("10.0.0.2", "10.9.9.9"):
            self.assertFalse(is_own(host), host)

    def test_loopback_for_others(self) -> None:
        """A node on this host that registered as 127.0.0.1 is told to others by our address."""
        self.assertEqual(reachable_from("127.0.0.1:8000", "10.0.0.2"), "10.0.0.1:8000")
        self.assertEqual(reachable_from("127.0.1.1:8000", "10.0.0.2"), "10.0.0.1:8000")

    def test_loopback_for_this_host(self) -> None:
        """Whoever asks from this host is told what was registered."""
        self.assertEqual(reachable_from("127.0.0.1:8000", "127.0.0.1"), "127.0.0.1:8000")

    def test_other_locations(self) -> None:
        """Any other location is everybody's."""
        self.assertEqual(reachable_from("10.0.0.9:8000", "10.0.0.2"), "10.0.0.9:8000")
        self.assertEqual(reachable_from("10.0.0.9:8000", "127.0.0.1"), "10.0.0.9:8000")
