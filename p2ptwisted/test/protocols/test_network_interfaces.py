"""Tests for `p2ptwisted.protocols.network_interfaces`."""

import socket
from collections import namedtuple

import psutil
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.errors import InvalidInput
from p2ptwisted.protocols.network_interfaces import INTERFACES_MAX, addresses_up, check_selection
from p2ptwisted.test.protocols.overlay_case import (
    ONE,
    THREE,
    TWO,
)

Link = namedtuple("Link", "family address")
State = namedtuple("State", "isup")


class LinksTests(SynchronousTestCase):
    """The interfaces of this machine."""

    def setUp(self) -> None:
        self.addresses = {
            "lo": [Link(socket.AF_INET, "127.0.0.1"), Link(socket.AF_INET6, "::1")],
            "eth0": [Link(socket.AF_INET, ONE), Link(socket.AF_INET, "10.0.0.11")],
            "eth1": [Link(socket.AF_INET, TWO)],
            "eth2": [Link(socket.AF_INET, THREE)],
            "wg0": [Link(socket.AF_INET6, "fe80::1")],
            "new": [Link(socket.AF_INET, "10.0.0.9")],
        }
        states = {name: State(name != "eth2") for name in self.addresses if name != "new"}
        self.patch(psutil, "net_if_addrs", lambda: self.addresses)
        self.patch(psutil, "net_if_stats", lambda: states)

    def test_all(self) -> None:
        """One address of each that is up and has one, loopback last."""
        self.assertEqual(addresses_up(), [ONE, TWO, "127.0.0.1"])

    def test_selected(self) -> None:
        """By name or by address, a second address too; what isn't there or is down is left out."""
        self.assertEqual(addresses_up(["eth1", "127.0.0.1"]), [TWO, "127.0.0.1"])
        self.assertEqual(addresses_up(["10.0.0.11"]), ["10.0.0.11"])
        self.assertEqual(addresses_up(["eth2", "eth9", "10.9.9.9"]), [])

    def test_too_many(self) -> None:
        """Of hundreds, as a host of containers has, the first are taken, loopback not first."""
        for number in range(INTERFACES_MAX):
            self.addresses[f"veth{number}"] = [Link(socket.AF_INET, f"10.9.0.{number + 1}")]
        states = {name: State(True) for name in self.addresses}
        self.patch(psutil, "net_if_stats", lambda: states)
        found = addresses_up()
        self.assertEqual(len(found), INTERFACES_MAX)
        self.assertNotIn("127.0.0.1", found)

    def test_check(self) -> None:
        """A name that no interface has is named to the user, with those that there are."""
        check_selection(["eth0", "10.9.9.9"])
        error = self.assertRaises(InvalidInput, check_selection, ["eth0", "eth9"])
        self.assertEqual(
            str(error),
            "eth9: no such interface; there are eth0, eth1, eth2, lo, new, wg0",
        )

    def test_addresses_are_not_checked(self) -> None:
        """An address may appear later, with its interface."""
        check_selection(["192.168.77.1"])
