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
        self.states = {name: State(name != "eth2") for name in self.addresses if name != "new"}
        self.patch(psutil, "net_if_addrs", lambda: self.addresses)
        self.patch(psutil, "net_if_stats", lambda: self.states)

    def test_all(self) -> None:
        """One address of each that is up and has one, loopback last."""
        self.assertEqual(addresses_up(), [ONE, TWO, "127.0.0.1"])

    def test_selected(self) -> None:
        """By name or by address, a second address too; what isn't there or is down is left out."""
        self.assertEqual(addresses_up(["eth1", "127.0.0.1"]), [TWO, "127.0.0.1"])
        self.assertEqual(addresses_up(["10.0.0.11"]), ["10.0.0.11"])
        self.assertEqual(addresses_up(["eth2", "eth9", "10.9.9.9"]), [])

    def test_label(self) -> None:
        """An address with a label is one of its interface, which is selected by either name."""
        labeled = {
            # Of an interface with nothing else, of one that has another address, of one that is
            # down, and of one with a longer name; a label needs no colon.
            "wg0:x": [Link(socket.AF_INET, "10.7.0.1")],
            "eth0:1": [Link(socket.AF_INET, "10.7.0.2")],
            "eth2:1": [Link(socket.AF_INET, "10.7.0.3")],
            "eth10": [Link(socket.AF_INET6, "fe80::2")],
            "eth10vip": [Link(socket.AF_INET, "10.7.0.4")],
        }
        # The system may list them first.
        self.addresses = labeled | self.addresses
        self.states["eth10"] = State(True)
        self.assertEqual(addresses_up(), [ONE, TWO, "10.7.0.1", "10.7.0.4", "127.0.0.1"])
        for selected, found in (
            (["wg0:x"], ["10.7.0.1"]),
            (["wg0"], ["10.7.0.1"]),
            (["10.7.0.1"], ["10.7.0.1"]),
            (["eth0:1"], ["10.7.0.2"]),
            (["eth0"], [ONE]),
            (["eth0:1", "eth0"], [ONE]),
            (["eth2:1"], []),
            (["eth10"], ["10.7.0.4"]),
            (["eth1"], [TWO]),
        ):
            check_selection(selected)
            self.assertEqual(addresses_up(selected), found, selected)

    def test_no_address(self) -> None:
        """An interface may be named that has no address of any kind yet."""
        self.states["tun0"] = State(True)
        check_selection(["tun0"])
        self.assertEqual(addresses_up(["tun0"]), [])

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
