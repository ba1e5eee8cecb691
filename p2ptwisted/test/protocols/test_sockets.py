"""Tests for `p2ptwisted.protocols.sockets`."""

import uuid
from collections.abc import Sequence

from twisted.internet.error import CannotListenError

from p2ptwisted.errors import StartError
from p2ptwisted.protocols.multicast import REFRESH, MulticastOverlay
from p2ptwisted.protocols.sockets import MulticastGroup
from p2ptwisted.test.fakes import make_peer
from p2ptwisted.test.protocols.overlay_case import (
    ALSO_HELD,
    GROUP,
    HELD,
    ONE,
    TIMEOUT,
    TWO,
    Holdings,
    OverlayTestCase,
)


class InterfacesTests(OverlayTestCase):
    """Interfaces that fail, come and go."""

    def other(self, *addresses: str) -> MulticastOverlay:
        """One on the same segments, with an answer."""
        overlay = self.supernode(self.network.host(*addresses), {"x": [HELD]})
        self.settle()
        return overlay

    def test_every_interface(self) -> None:
        """A request leaves through each, and what is behind each is found."""
        overlay = self.supernode(self.network.host("10.1.0.1", "10.2.0.1", "10.3.0.1"))
        for number, net in enumerate(["10.1.0", "10.2.0", "10.3.0"]):
            self.supernode(f"{net}.9", {f"x{number}": [f"{net}.8:80"]})
        self.settle()
        for number, net in enumerate(["10.1.0", "10.2.0", "10.3.0"]):
            self.assertEqual(self.result(overlay.search(f"x{number}")), (f"{net}.8:80",))

    def test_selected_interfaces(self) -> None:
        """It can be told to speak through some only, and hears nothing on the others."""
        host = self.network.host("10.1.0.1", "10.2.0.1")
        answers = Holdings("10.1.0.1:5000", {})
        self.start(self.make(host, answers, interfaces=["10.2.0.1"]))
        self.assertEqual({one.interface for one in self.network.sent}, {"10.2.0.1"})
        for net in ["10.1.0", "10.2.0"]:
            make_peer(self.network.host(f"{net}.9"), GROUP, f"{net}.9").send(b"p#t;20;x", GROUP)
        self.network.deliver()
        self.assertEqual(answers.asked, [("x", "10.2.0.9")])

    def test_loopback_only(self) -> None:
        """With loopback alone, two supernodes of one host find each other."""
        host = self.network.host()
        first = self.supernode(host)
        self.supernode(host, {"x": [HELD]})
        self.settle()
        self.assertEqual(self.result(first.search("x")), (HELD,))
        self.assertEqual(self.result(first.search("y")), ())

    def test_two_on_one_host(self) -> None:
        """Two supernodes of one host share the group's port."""
        host = self.network.host(ONE)
        first = self.supernode(host, {"x": [HELD]})
        second = self.supernode(host, {"y": [ALSO_HELD]})
        self.settle()
        self.assertEqual(self.result(first.search("y")), (ALSO_HELD,))
        self.assertEqual(self.result(second.search("x")), (HELD,))

    def test_one_without_multicast(self) -> None:
        """An interface that can't join the group, or send to it, leaves the others as they are."""
        host = self.network.host("10.1.0.1", "10.2.0.1")
        host.no_multicast = {"10.1.0.1"}
        overlay = self.supernode(host)
        self.other("10.2.0.9")
        self.assertEqual(self.result(overlay.search("x")), (HELD,))

    def test_no_socket(self) -> None:
        """An interface for which there is no socket is told in the log, and tried again."""
        host = self.network.host("10.1.0.1", "10.2.0.1")
        host.taken = [0]
        overlay = self.supernode(host)
        self.assertEqual(len(self.flushLoggedErrors(CannotListenError)), 1)
        self.supernode("10.2.0.9", {"x": [HELD]})
        self.supernode("10.1.0.9", {"y": [ALSO_HELD]})
        self.settle()
        self.assertEqual(self.result(overlay.search("x")), (HELD,))
        self.network.advance(REFRESH)
        self.settle()
        self.assertEqual(self.result(overlay.search("y")), (ALSO_HELD,))

    def test_going_down(self) -> None:
        """An interface that is down, though nobody has noticed yet, fails no search."""
        host = self.network.host("10.1.0.1", "10.2.0.1")
        overlay = self.supernode(host)
        self.other("10.2.0.9")
        host.down = {"10.1.0.1"}
        self.assertEqual(self.result(overlay.search("x")), (HELD,))

    def test_coming(self) -> None:
        """An interface that appears is used within 10 s."""
        host = self.network.host("10.1.0.1")
        overlay = self.supernode(host)
        self.other("10.2.0.9")
        host.plug("10.2.0.1")
        self.network.advance(REFRESH)
        self.settle()
        self.assertEqual(self.result(overlay.search("x")), (HELD,))

    def test_going_and_coming_back(self) -> None:
        """One that disappears is let go of within 10 s, and used again when it is back."""
        host = self.network.host("10.1.0.1", "10.2.0.1")
        overlay = self.supernode(host)
        other = self.other("10.2.0.9")
        host.unplug("10.2.0.1")
        self.network.advance(REFRESH)
        self.assertEqual(len(host.sockets), 3)
        host.plug("10.2.0.1")
        self.network.advance(REFRESH)
        self.settle()
        self.assertEqual(self.result(overlay.search("x")), (HELD,))
        self.assertEqual(self.result(other.search("y")), ())

    def test_down_and_up(self) -> None:
        """One that was down keeps its membership, and joining it again is no error."""
        host = self.network.host("10.1.0.1", "10.2.0.1")
        overlay = self.supernode(host)
        other = self.other("10.2.0.9")
        for down in [{"10.2.0.1"}, set[str]()]:
            host.down = down
            self.network.advance(REFRESH)
        self.settle()
        self.assertEqual(self.result(overlay.search("x")), (HELD,))
        self.assertEqual(self.result(other.search("y")), ())

    def test_made_anew(self) -> None:
        """An interface that was made anew with its old address is soon searched through again."""
        host = self.network.host("10.1.0.1", "10.2.0.1")
        overlay = self.supernode(host)
        self.other("10.2.0.9")
        host.unplug("10.2.0.1")
        host.plug("10.2.0.1")
        self.network.advance(REFRESH)
        self.settle()
        self.assertEqual(self.result(overlay.search("x")), (HELD,))

    def test_memberships_renewed(self) -> None:
        """Memberships that a switch has forgotten are told to it anew after a minute."""
        host = self.network.host("10.1.0.1", "10.2.0.1")
        overlay = self.supernode(host)
        other = self.other("10.2.0.9")
        for one in host.sockets:
            one.joined.clear()
        for _ in range(6):
            # The looks come a little early, or late, as timers do.
            self.network.advance(REFRESH - 0.01)
        self.settle()
        self.assertEqual(self.result(overlay.search("x")), (HELD,))
        self.assertEqual(self.result(other.search("y")), ())

    def test_look_that_fails(self) -> None:
        """If the interfaces can't be listed that is logged, and they are looked at again."""
        host = self.network.host(ONE)
        looks: list[list[str] | OSError] = [[ONE], OSError("no /proc"), [ONE]]

        def addresses(selected: Sequence[str]) -> list[str]:
            look = looks.pop(0)
            if isinstance(look, OSError):
                raise look
            return look

        answers = Holdings(f"{ONE}:5000", {})
        overlay = MulticastOverlay(
            host, MulticastGroup(*GROUP), str(uuid.uuid4()), TIMEOUT, answers, addresses=addresses
        )
        self.start(overlay)
        self.network.advance(REFRESH)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.network.advance(REFRESH)
        self.assertEqual(looks, [])

    def test_none_left(self) -> None:
        """With no interface left it says nothing, and its searches end."""
        host = self.network.host(ONE)
        present = [ONE]
        answers = Holdings(f"{ONE}:5000", {"x": [HELD]})
        overlay = MulticastOverlay(
            host,
            MulticastGroup(*GROUP),
            str(uuid.uuid4()),
            TIMEOUT,
            answers,
            addresses=lambda selected: list(present),
        )
        self.start(overlay)
        present.clear()
        self.network.advance(REFRESH)
        mark = len(self.network.sent)
        peer = make_peer(self.network.host(TWO), GROUP, TWO)
        peer.send(b"rack-7#t;20;x", GROUP)
        peer.send(b"rack-7;20;x", GROUP)
        search = overlay.search("y")
        self.network.advance(TIMEOUT)
        self.assertEqual(self.successResultOf(search), ())
        self.assertEqual(len(self.network.sent[mark:]), 2)

    def test_port_taken(self) -> None:
        """A group's port that can't be had is one clear line, and stopping is no error then."""
        host = self.network.host(ONE)
        host.taken = [GROUP[1]]
        overlay = self.make(host, Holdings(f"{ONE}:5000", {}))
        error = self.assertRaises(StartError, overlay.startService)
        self.assertIn("--multicast-group 239.255.1.1:4321: can't listen there", str(error))
        self.assertIn("Address already in use", str(error))
        self.successResultOf(overlay.stopService())
