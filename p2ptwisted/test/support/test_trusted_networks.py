"""Tests of `p2ptwisted.support.trusted_networks`."""

from ipaddress import IPv4Network
from typing import NamedTuple

import psutil
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.errors import InvalidInput
from p2ptwisted.support.address_policy import may_name
from p2ptwisted.support.trusted_networks import (
    LOOK_INTERVAL,
    TrustedNetworks,
    how_to_trust,
    local_networks,
    parse_trusted,
)


class Entry(NamedTuple):
    """An address of an interface, as psutil tells it."""

    address: str
    netmask: str | None


class InterfacesCase(SynchronousTestCase):
    """A host with these interfaces."""

    def setUp(self) -> None:
        self.interfaces = {
            "lo": [Entry("127.0.0.1", "255.0.0.0"), Entry("::1", "ffff::")],
            "eth0": [Entry("192.168.35.11", "255.255.255.0"), Entry("52:54:00:12:34:56", None)],
            "eth1": [Entry("203.0.113.5", "255.255.255.0")],
            "eth2": [Entry("10.1.2.3", "255.0.0.0"), Entry("10.1.9.9", "255.255.0.0")],
            "tun0": [Entry("10.8.0.2", None)],
            "odd": [Entry("192.168.1.1", "128.0.0.0"), Entry("169.254.7.7", "255.255.0.0")],
        }
        self.patch(psutil, "net_if_addrs", lambda: self.interfaces)


class LocalTests(InterfacesCase):
    """The networks that this host is in."""

    def test_private(self) -> None:
        """They are the private ones; loopback, public and link-local ones are not among them."""
        found = {str(network) for network in local_networks()}
        self.assertEqual(found, {"192.168.35.0/24", "10.0.0.0/8", "10.1.0.0/16"})

    def test_callers(self) -> None:
        """Callers from there are trusted, and nobody else."""
        trusted = parse_trusted(["local"])
        for caller, expected in [
            ("192.168.35.200", True),
            ("10.99.1.1", True),
            ("192.168.36.1", False),
            ("203.0.113.6", False),
            ("169.254.7.8", None),
            ("127.0.0.1", True),
        ]:
            if expected is None:
                self.assertRaises(InvalidInput, may_name, caller, "", trusted)
            else:
                self.assertIs(may_name(caller, "", trusted), expected, caller)

    def test_with_named(self) -> None:
        """Named networks come beside it, and without it they are all there is."""
        networks = [str(network) for network in parse_trusted(["203.0.113.0/28", "local"])]
        self.assertEqual(networks[:2], ["203.0.113.0/28", "192.168.35.0/24"])
        self.assertEqual(parse_trusted(["10.0.0.0/8"]), [IPv4Network("10.0.0.0/8")])
        self.assertEqual(parse_trusted([]), [])

    def test_mistaken(self) -> None:
        """What is neither is refused, and the message has both forms."""
        for wrong in ("Local", "locale", "", "10.0.0.1/8"):
            error = self.assertRaises(InvalidInput, parse_trusted, ["local", wrong])
            self.assertIn("10.0.0.0/8, or local", str(error))

    def test_changing(self) -> None:
        """An address that comes after the start counts, and one that goes doesn't."""
        clock = Clock()
        looks: list[float] = []
        found = [IPv4Network("10.0.0.0/8")]

        def look() -> list[IPv4Network]:
            looks.append(clock.seconds())
            return found

        trusted = TrustedNetworks([], look, clock.seconds)
        self.assertEqual(list(trusted), found)
        found = [IPv4Network("192.168.0.0/16")]
        self.assertEqual((trusted[0], len(looks)), (IPv4Network("10.0.0.0/8"), 1))
        clock.advance(LOOK_INTERVAL)
        self.assertEqual((list(trusted), len(trusted), len(looks)), (found, 1, 2))


class AdviceTests(InterfacesCase):
    """What a refused caller is told."""

    def test_local(self) -> None:
        """Where `local` helps, it is named, and the option for the caller alone."""
        self.assertEqual(
            how_to_trust("192.168.35.12"),
            "start it with --trusted-network local, or with --trusted-network 192.168.35.12/32 "
            "for this address alone",
        )
        self.assertIn("local", how_to_trust("192.168.35.11", "192.168.35.12"))

    def test_elsewhere(self) -> None:
        """Where it doesn't, it isn't."""
        expected = "start it with --trusted-network {}/32 for this address alone"
        self.assertEqual(how_to_trust("203.0.113.6"), expected.format("203.0.113.6"))
        self.assertEqual(
            how_to_trust("192.168.35.11", "192.168.36.12"), expected.format("192.168.35.11")
        )
