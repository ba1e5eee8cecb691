"""Tests for `p2ptwisted.protocols.multicast`, and for `links`, which tells it the interfaces."""

import re
import socket
import uuid
from collections import namedtuple
from collections.abc import Callable, Sequence

import psutil
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.application.service import IService
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IMulticastTransport
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2ptwisted.errors import InvalidInput, StartError, Unavailable
from p2ptwisted.interfaces import ISearchOverlay
from p2ptwisted.model import SUPERNODE_ID
from p2ptwisted.protocols import confirm_limiter as confirming
from p2ptwisted.protocols import multicast as multicast_module
from p2ptwisted.protocols import searches, sockets
from p2ptwisted.protocols.confirm_limiter import ASK_AGAIN, HOLD
from p2ptwisted.protocols.datagram_auth import WINDOW, DatagramAuth
from p2ptwisted.protocols.datagrams import (
    DATAGRAM_MAX,
    FoundReply,
    NotFoundReply,
    SearchRequest,
    decode,
)
from p2ptwisted.protocols.multicast import (
    REFRESH,
    Confirms,
    MulticastOverlay,
)
from p2ptwisted.protocols.network_interfaces import LINKS_MAX, addresses_up, check_selection
from p2ptwisted.protocols.searches import REPEATS
from p2ptwisted.protocols.sockets import IMulticastReactor, MulticastGroup
from p2ptwisted.security.group_key import GroupKey
from p2ptwisted.test.fakes import Host, Network, make_peer
from p2ptwisted.test.node_fakes import log_lines
from p2ptwisted.test.protocols.test_datagrams import scraps

GROUP = ("239.255.1.1", 4321)
TIMEOUT = 0.5

ONE, TWO, THREE, FOUR = "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"
HELD, ALSO_HELD = "10.0.0.8:8000", "10.0.0.9:8000"


class Holdings:
    """What a supernode says when it is asked, and whom it was asked by."""

    def __init__(self, own: str, held: dict[str, Sequence[str]]) -> None:
        self.held = {SUPERNODE_ID: [own], **held}
        #: The ids of resources that it was asked for, each with the address of who asked.
        self.asked: list[tuple[str, str]] = []

    def __call__(self, id: str, asker: str) -> Sequence[str]:
        if id != SUPERNODE_ID:
            self.asked.append((id, asker))
        return self.held.get(id, ())


class OverlayTestCase(SynchronousTestCase):
    """Supernodes on hosts of their own; in the end all are stopped, and nothing may be left."""

    def setUp(self) -> None:
        self.network = Network()
        self.overlays: list[MulticastOverlay] = []
        self.wall_time = 1_800_000_000.0
        # Which of this machine's addresses leads to a host; the real one asks the kernel.
        self.towards: Callable[[str], str] = lambda host: "127.0.0.1"
        self.patch(sockets, "address_towards", lambda host: self.towards(host))
        self.addCleanup(self.stop_all)

    def stop_all(self) -> None:
        stopped = [overlay.stopService() for overlay in self.overlays]
        self.network.advance(0)
        for one in stopped:
            self.successResultOf(one)
        for host in self.network.hosts:
            self.assertEqual(host.getDelayedCalls(), [])
        self.assertEqual(self.network.raised, [])

    def make(
        self,
        host: Host,
        answers: Holdings | None,
        confirms: Confirms | None = None,
        name: str | None = None,
        interfaces: Sequence[str] = (),
        seal: DatagramAuth | None = None,
    ) -> MulticastOverlay:
        return MulticastOverlay(
            host,
            MulticastGroup(*GROUP, interfaces),
            name or str(uuid.uuid4()),
            TIMEOUT,
            answers=answers,
            confirms=confirms,
            seal=seal,
            addresses=host.interfaces,
            wall_time=lambda: self.wall_time,
        )

    def start(self, overlay: MulticastOverlay) -> None:
        overlay.startService()
        self.overlays.append(overlay)
        self.network.deliver()

    def supernode(
        self,
        host: Host | str,
        held: dict[str, Sequence[str]] | None = None,
        confirms: Confirms | None = None,
    ) -> MulticastOverlay:
        """One that is started, on a host of its own or a given one."""
        if isinstance(host, str):
            host = self.network.host(host)
        answers = Holdings(f"{host.addresses[0]}:5000", held or {})
        overlay = self.make(host, answers, confirms)
        self.start(overlay)
        return overlay

    def settle(self) -> None:
        """Let the calls with which everybody starts come to their end."""
        self.network.advance(TIMEOUT)

    def result(self, search: Deferred[tuple[str, ...]]) -> tuple[str, ...]:
        """What a search finds without any time going by."""
        self.network.deliver()
        return self.successResultOf(search)


class FakesTests(OverlayTestCase):
    """What the other tests rely on."""

    def test_provided(self) -> None:
        """The reactor and its sockets have what Twisted's have."""
        host = self.network.host(ONE)
        verifyObject(IMulticastReactor, host)
        peer = make_peer(host, GROUP, ONE)
        verifyObject(IMulticastTransport, peer.transport)

    def test_overlay(self) -> None:
        """The overlay is a search overlay and a service."""
        overlay = self.make(self.network.host(ONE), None)
        verifyObject(ISearchOverlay, overlay)
        verifyObject(IService, overlay)


class LossTests(OverlayTestCase):
    """A network that loses datagrams."""

    def setUp(self) -> None:
        super().setUp()
        self.holder = self.supernode(ONE, {"x": [HELD]})
        self.asker = self.supernode(TWO)
        self.settle()

    def test_request_lost(self) -> None:
        """A request that is lost is sent again within the search's time."""
        self.network.losing = 2
        search = self.asker.search("x")
        self.network.deliver()
        self.assertNoResult(search)
        self.network.advance(TIMEOUT * REPEATS[0])
        self.assertEqual(self.successResultOf(search), (HELD,))

    def test_answer_lost(self) -> None:
        """So is one whose answer is lost."""
        search = self.asker.search("x")
        self.network.losing = 3
        self.network.deliver()
        self.assertNoResult(search)
        self.network.losing = 0
        self.network.advance(TIMEOUT * REPEATS[0])
        self.assertEqual(self.successResultOf(search), (HELD,))

    def test_how_often(self) -> None:
        """A search that nobody answers is sent so many times more, and ends in its time."""
        mark = len(self.network.sent)
        self.network.losing = 1_000
        search = self.asker.search("x")
        for _ in range(10):
            self.network.advance(TIMEOUT / 10)
        self.assertEqual(self.successResultOf(search), ())
        requests = self.network.to_group(GROUP, mark)
        # Through both interfaces each time, loopback being one.
        self.assertEqual(len(requests), 2 * (1 + len(REPEATS)))
        self.assertEqual(len(set(requests)), 1)

    def test_nothing_new(self) -> None:
        """Who knows nobody asks all again until that finds no other."""
        node = self.make(self.network.host(THREE), None, name="node-1")
        self.start(node)
        mark = len(self.network.sent)
        search = node.search_all(SUPERNODE_ID)
        self.network.losing = 1
        for _ in range(10):
            self.network.advance(TIMEOUT / 10)
        self.assertEqual(self.successResultOf(search), (f"{TWO}:5000", f"{ONE}:5000"))
        requests = self.network.to_group(GROUP, mark)
        # The first finds one of them, the second the other, the third no more.
        self.assertEqual(len(requests), 2 * 3)

    def test_answered(self) -> None:
        """A search that is answered is not sent again."""
        self.result(self.asker.search("x"))
        mark = len(self.network.sent)
        self.network.advance(TIMEOUT)
        self.assertEqual(self.network.to_group(GROUP, mark), [])


class ClosedGroupTests(OverlayTestCase):
    """A group whose members prove themselves with a key."""

    def setUp(self) -> None:
        super().setUp()
        self.member = self.sealed(ONE, b"k" * 32)

    def sealed(self, address: str, key: bytes | None) -> MulticastOverlay:
        """A supernode with that key."""
        answers = Holdings(f"{address}:5000", {address: [HELD]})
        seal = None if key is None else DatagramAuth(GroupKey(key))
        overlay = self.make(self.network.host(address), answers, seal=seal)
        self.start(overlay)
        return overlay

    def found(self, asker: MulticastOverlay, address: str) -> tuple[str, ...]:
        """What the asker finds of what only the supernode at that address knows."""
        search = asker.search(address)
        for _ in range(10):
            self.network.advance(TIMEOUT / 10)
        return self.successResultOf(search)

    def test_members(self) -> None:
        """Members find what they have."""
        other = self.sealed(TWO, b"k" * 32)
        self.assertEqual(self.found(other, ONE), (HELD,))
        self.assertEqual(self.found(self.member, TWO), (HELD,))
        self.assertEqual((self.member.unproved, other.unproved), (0, 0))

    def test_strangers(self) -> None:
        """Those with another key, or none, are neither answered nor believed; it is counted."""
        for address, key in ((TWO, b"K" * 32), (THREE, None)):
            stranger = self.sealed(address, key)
            before = self.member.unproved
            self.assertEqual(self.found(stranger, ONE), ())
            self.assertGreater(self.member.unproved, before)
            self.assertEqual(self.found(self.member, address), ())

    def test_replayed(self) -> None:
        """What was recorded is worth nothing half a minute later."""
        peer = make_peer(self.network.host(TWO), GROUP, TWO)
        recorded = DatagramAuth(GroupKey(b"k" * 32)).close(
            f"rack-7#t;20;{ONE}".encode(), self.wall_time
        )
        for passed, answers in ((0, 1), (WINDOW + 1, 1)):
            self.wall_time += passed
            peer.send(recorded, GROUP)
            self.network.deliver()
            found = [one for one in peer.payloads() if b";21;" in one]
            self.assertEqual(len(found), answers)


class DroppedTests(OverlayTestCase):
    """Datagrams that are of no use."""

    def told(self, overlay: MulticastOverlay, counts: Sequence[int]) -> list[str]:
        """What the log says, a look at a time, of so many that were malformed in all by then."""
        lines: list[str] = []
        peer = make_peer(self.network.host(TWO), GROUP, TWO)
        for count in counts:
            while overlay.malformed < count:
                peer.send(b"nonsense", GROUP)
                self.network.deliver()
            with log_lines(LogLevel.info) as some:
                self.network.advance(REFRESH)
            lines += [line for line in some if "dropped" in line]
        return lines

    def test_told(self) -> None:
        """How many were dropped is told whenever it has more than doubled, and no more often."""
        lines = self.told(self.supernode(ONE), (0, 1, 2, 3, 5, 6, 7))
        self.assertEqual([int(line.split()[0]) for line in lines], [1, 3, 7])
        self.assertIn("malformed", lines[0])


class TooManyRequestsTests(OverlayTestCase):
    """Tagged requests, each of which is answered to the address that it says it is from."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(multicast_module, "TAGGED_BURST", 3)
        self.patch(multicast_module, "TAGGED_BURST_IN_ALL", 5)
        self.holdings = Holdings(f"{ONE}:5000", {"x": [HELD]})
        self.overlay = self.make(self.network.host(ONE), self.holdings)
        self.start(self.overlay)
        self.peers = {at: make_peer(self.network.host(at), GROUP, at) for at in (TWO, THREE)}

    def answered(self, address: str, count: int, id: str = "x") -> int:
        """How many of so many requests from there are answered, one after the other."""
        peer = self.peers[address]
        peer.heard.clear()
        for _ in range(count):
            peer.send(f"rack-7#tag;20;{id}".encode(), GROUP)
            self.network.deliver()
        # It hears what is asked as well.
        return sum(b"#tag;21;" in payload for payload in peer.payloads())

    def test_one_address(self) -> None:
        """One address has so many answers at once, to whatever it asks, and takes no other's."""
        self.assertEqual(self.answered(TWO, 2), 2)
        self.assertEqual(self.answered(TWO, 3, SUPERNODE_ID), 1)
        self.assertEqual(self.answered(THREE, 2), 2)
        # What is not answered is not looked up either.
        self.assertEqual(len(self.holdings.asked), 4)

    def test_in_all(self) -> None:
        """All addresses together have no more than that."""
        self.assertEqual((self.answered(TWO, 3), self.answered(THREE, 3)), (3, 2))

    def test_again(self) -> None:
        """So many a second more are answered from then on."""
        self.answered(TWO, 4)
        self.network.advance(1 / multicast_module.TAGGED_RATE)
        self.assertEqual(self.answered(TWO, 2), 1)

    def test_told(self) -> None:
        """How many were dropped is in the log."""
        self.answered(TWO, 8)
        with log_lines(LogLevel.info) as lines:
            self.network.advance(REFRESH)
        self.assertEqual(
            lines,
            ["5 datagrams were dropped: they ask for more answers than may be had in a second"],
        )


class FindingTests(OverlayTestCase):
    """Supernodes that find each other and what the others have."""

    def test_two_find_each_other(self) -> None:
        """
        The one that starts later learns of the earlier one, and the earlier one of it.

        So a search of either for what nobody has ends with the other's no,
        and not by time.
        """
        first = self.supernode(ONE)
        second = self.supernode(TWO)
        self.settle()
        self.assertEqual(self.result(first.search("x")), ())
        self.assertEqual(self.result(second.search("y")), ())

    def test_found(self) -> None:
        """What one has the other finds, all its holders."""
        self.supernode(ONE, {"x": [HELD, ALSO_HELD]})
        second = self.supernode(TWO)
        self.assertEqual(self.result(second.search("x")), (HELD, ALSO_HELD))

    def test_three(self) -> None:
        """With three, the one that has it answers, and a search for all holders gathers them."""
        first = self.supernode(ONE)
        self.supernode(TWO, {"x": [HELD], "both": [HELD]})
        self.supernode(THREE, {"y": [ALSO_HELD], "both": [ALSO_HELD]})
        self.settle()
        self.assertEqual(self.result(first.search("x")), (HELD,))
        self.assertEqual(self.result(first.search("y")), (ALSO_HELD,))
        self.assertEqual(self.result(first.search_all("both")), (HELD, ALSO_HELD))
        self.assertEqual(self.result(first.search_all("neither")), ())

    def test_supernodes(self) -> None:
        """A search for the reserved id gives the HTTP locations of all the others."""
        first = self.supernode(ONE)
        self.supernode(TWO)
        self.supernode(THREE)
        self.settle()
        self.assertEqual(
            self.result(first.search_all(SUPERNODE_ID)), (f"{TWO}:5000", f"{THREE}:5000")
        )

    def test_a_node_finds_supernodes(self) -> None:
        """One that only asks finds them too, though it never listens to the group."""
        self.supernode(ONE)
        self.supernode(TWO)
        host = self.network.host(THREE)
        node = self.make(host, None, name="node-7")
        mark = len(self.network.sent)
        self.start(node)
        self.assertEqual(self.network.sent[mark:], [])
        self.assertEqual([each.joined for each in host.sockets], [set(), set()])
        found = node.search_all(SUPERNODE_ID)
        for part in REPEATS[:2]:
            self.network.deliver()
            self.assertNoResult(found)
            self.network.advance(TIMEOUT * part)
        self.assertEqual(self.successResultOf(found), (f"{ONE}:5000", f"{TWO}:5000"))

    def test_a_node_finds_slow_supernodes(self) -> None:
        """It knows nobody, and yet waits its whole time for an answer."""
        self.supernode(ONE)
        node = self.make(self.network.host(THREE), None, name="node-7")
        self.start(node)
        self.network.losing = 8
        found = node.search_all(SUPERNODE_ID)
        self.network.advance(TIMEOUT * 0.69)
        self.assertNoResult(found)
        for _ in range(2):
            self.network.advance(TIMEOUT * 0.16)
        self.assertEqual(self.successResultOf(found), (f"{ONE}:5000",))

    def test_a_node_is_no_supernode(self) -> None:
        """One that only looks for supernodes is never waited for."""
        first = self.supernode(ONE)
        self.supernode(TWO)
        node = self.make(self.network.host(THREE), None, name="node-7")
        self.start(node)
        node.search_all(SUPERNODE_ID)
        self.settle()
        self.assertEqual(self.result(first.search("x")), ())

    def test_a_node_answers_nobody(self) -> None:
        """One that only asks says nothing, though somebody asks it straight."""
        host = self.network.host(ONE)
        self.start(self.make(host, None, name="node-7"))
        peer = make_peer(self.network.host(TWO), GROUP, TWO)
        for socket_ in host.sockets:
            peer.send(b"rack-7;20;x", (ONE, socket_.port))
            peer.send(b"rack-7#t;20;supernode", (ONE, socket_.port))
        self.network.deliver()
        self.assertEqual(peer.heard, [])

    def test_one_call(self) -> None:
        """A call to the group is one datagram an interface, though somebody there is gone."""
        first = self.supernode(ONE)
        gone = self.supernode(TWO)
        self.settle()
        self.overlays.remove(gone)
        self.network.deliver()
        stopped = gone.stopService()
        self.network.advance(0)
        self.successResultOf(stopped)
        mark = len(self.network.sent)
        for _ in range(2):
            self.network.advance(REFRESH)
            self.network.advance(TIMEOUT)
        self.assertEqual(len(set(self.network.to_group(GROUP, mark))), 2)
        self.assertEqual(len(self.network.to_group(GROUP, mark)), 4)
        self.assertTrue(first.running)

    def test_regular_call(self) -> None:
        """Supernodes call every 10 s, so that those that are there stay known."""
        first = self.supernode(ONE)
        self.supernode(TWO)
        self.settle()
        for _ in range(5):
            self.network.advance(REFRESH)
            self.settle()
        self.assertEqual(self.result(first.search("x")), ())

    def test_one_that_is_gone(self) -> None:
        """A supernode that went silent is waited for during a minute, and then no more."""
        first = self.supernode(ONE)
        second = self.supernode(TWO)
        self.settle()
        self.overlays.remove(second)
        second.stopService()
        for _ in range(2):
            search = first.search("x")
            self.network.advance(0.1)
            self.assertNoResult(search)
            self.network.advance(0.4)
            self.assertEqual(self.successResultOf(search), ())
            self.network.advance(1)
        for _ in range(60):
            self.network.advance(1)
        search = first.search("x")
        self.network.advance(0.1)
        self.assertEqual(self.successResultOf(search), ())


class TrafficTests(OverlayTestCase):
    """What goes over the wire, and where."""

    def setUp(self) -> None:
        super().setUp()
        self.first = self.supernode(ONE)
        self.second = self.supernode(TWO, {"x": [HELD]})
        self.settle()
        self.mark = len(self.network.sent)

    def to_group(self) -> list[bytes]:
        return self.network.to_group(GROUP, self.mark)

    def test_request(self) -> None:
        """A request is `<uuid>#<tag>;20;<id>`."""
        self.first.search("x")
        request = self.to_group()[0]
        self.assertTrue(re.fullmatch(rb"[0-9a-f-]{36}#[0-9a-f]{12,};20;x", request), request)

    def test_reply_goes_straight(self) -> None:
        """A reply to a tagged request repeats the tag, and goes to whoever asked, nobody else."""
        self.result(self.first.search("x"))
        request = decode(self.to_group()[0])
        assert isinstance(request, SearchRequest)
        asked = self.network.sent[self.mark]
        replies = [one for one in self.network.sent[self.mark :] if one.destination == asked.source]
        # From the other one; what leaves through loopback stays on this host.
        (reply,) = [decode(one.payload) for one in replies]
        assert isinstance(reply, FoundReply)
        self.assertEqual((reply.locations, reply.tag), ((HELD,), request.tag))
        self.assertNotEqual(reply.name, request.name)
        self.assertEqual(len(self.to_group()), 2)

    def test_a_miss(self) -> None:
        """A miss costs the group one datagram on each interface, however many supernodes say no."""
        self.supernode(THREE)
        self.settle()
        mark = len(self.network.sent)
        self.result(self.first.search("unknown"))
        self.assertEqual(len(self.network.to_group(GROUP, mark)), 2)
        on = [one.interface for one in self.network.sent[mark:] if one.destination == GROUP]
        self.assertEqual(on, [ONE, "127.0.0.1"])
        noes = [decode(one.payload) for one in self.network.sent[mark:] if one.destination != GROUP]
        self.assertEqual(len(noes), 2)
        for no in noes:
            self.assertIsInstance(no, NotFoundReply)

    def test_a_known_miss(self) -> None:
        """What nobody has is not asked for again within a second; after that it is."""
        self.result(self.first.search("unknown"))
        mark = len(self.network.sent)
        self.network.advance(0.9)
        self.assertEqual(self.successResultOf(self.first.search("unknown")), ())
        self.assertEqual(self.successResultOf(self.first.search_all("unknown")), ())
        self.assertEqual(self.network.sent[mark:], [])
        self.network.advance(0.1)
        self.result(self.first.search("unknown"))
        self.assertEqual(len(self.network.to_group(GROUP, mark)), 2)

    def test_one_request(self) -> None:
        """Concurrent searches for one id share one request, and all have its answer."""
        all_ = [self.first.search("x") for _ in range(50)]
        self.network.deliver()
        self.assertEqual(len(self.to_group()), 2)
        self.assertEqual([self.successResultOf(one) for one in all_], [(HELD,)] * 50)

    def test_own_datagrams(self) -> None:
        """A supernode hears its own requests, and neither answers nor counts them."""
        lonely = self.make(self.network.host("10.7.0.1"), answers := Holdings("10.7.0.1:5000", {}))
        self.start(lonely)
        self.settle()
        mark = len(self.network.sent)
        search = lonely.search("x")
        self.network.deliver()
        self.assertEqual(answers.asked, [])
        self.assertEqual(len(self.network.sent[mark:]), 2)
        self.assertEqual(lonely.malformed, 0)
        self.network.advance(0.1)
        self.assertEqual(self.successResultOf(search), ())

    def test_who_asked(self) -> None:
        """What a supernode answers may depend on the address of who asks."""
        answers = Holdings("10.0.0.3:5000", {})
        self.start(self.make(self.network.host(THREE), answers))
        self.first.search("x")
        self.network.deliver()
        self.assertEqual(answers.asked, [("x", ONE)])

    def test_sixteen_locations(self) -> None:
        """Of many holders, 16 fit in a reply."""
        many = [f"10.0.1.{number}:8000" for number in range(1, 41)]
        self.supernode(THREE, {"many": many})
        self.assertEqual(self.result(self.first.search("many")), tuple(many[:16]))

    def test_ttl(self) -> None:
        """Requests cross as many routers as the group's options say."""
        host = self.network.host("10.7.0.1")
        overlay = MulticastOverlay(
            host, MulticastGroup(*GROUP, ttl=3), "name", TIMEOUT, addresses=host.interfaces
        )
        self.start(overlay)
        self.assertEqual([each.getTTL() for each in host.sockets], [3, 3])

    def test_bound(self) -> None:
        """The group's port is bound to the group, so that other groups' datagrams stay away."""
        (listener,) = [one for one in self.network.hosts[0].sockets if one.port == GROUP[1]]
        self.assertEqual(listener.bound, GROUP[0])
        stranger = make_peer(self.network.host("10.0.0.7"), GROUP, "10.0.0.7")
        listener.joinGroup("239.255.9.9", ONE)
        stranger.send(b"nonsense", ("239.255.9.9", GROUP[1]))
        self.network.deliver()
        self.assertEqual(self.first.malformed, 0)


class EndTests(OverlayTestCase):
    """When a search ends, and for whom."""

    def setUp(self) -> None:
        super().setUp()
        self.overlay = self.supernode(ONE)
        # One that is heard of and then never answers.
        self.peer = make_peer(self.network.host(TWO), GROUP, TWO)
        self.settle()
        self.peer.send(b"rack-7;22;whatever", GROUP)
        self.network.deliver()

    def tag(self) -> str:
        request = decode(self.peer.payloads()[-1])
        assert isinstance(request, SearchRequest)
        assert request.tag is not None
        return request.tag

    def test_timeout(self) -> None:
        """A search that somebody doesn't answer takes its timeout, and not longer."""
        search = self.overlay.search("x")
        self.network.advance(0.49)
        self.assertNoResult(search)
        self.network.advance(0.01)
        self.assertEqual(self.successResultOf(search), ())

    def test_all_that_came_in_time(self) -> None:
        """A search for all holders has what came until then."""
        search = self.overlay.search_all("x")
        self.network.deliver()
        self.peer.send(f"other#{self.tag()};21;{HELD}".encode(), GROUP)
        self.network.advance(0.4)
        self.assertNoResult(search)
        self.network.advance(0.1)
        self.assertEqual(self.successResultOf(search), (HELD,))

    def test_too_late(self) -> None:
        """What comes after the end changes nothing."""
        search = self.overlay.search("x")
        self.network.advance(0.5)
        self.successResultOf(search)
        self.peer.send(f"rack-7#{self.tag()};21;{HELD}".encode(), GROUP)
        self.network.deliver()
        self.assertEqual(self.successResultOf(self.overlay.search("x")), ())

    def test_unknown_tag(self) -> None:
        """A reply under a tag that was not given out is dropped."""
        search = self.overlay.search("x")
        self.peer.send(f"rack-7#0123456789abcdef;21;{HELD}".encode(), GROUP)
        self.network.deliver()
        self.assertNoResult(search)

    def test_cancelled(self) -> None:
        """One that gives up leaves the others that wait for the same waiting, and the search."""
        one, other = self.overlay.search("x"), self.overlay.search("x")
        one.cancel()
        self.failureResultOf(one, CancelledError)
        self.network.deliver()
        self.assertNoResult(other)
        self.peer.send(f"rack-7#{self.tag()};21;{HELD}".encode(), GROUP)
        self.assertEqual(self.result(other), (HELD,))

    def test_all_cancelled(self) -> None:
        """A search that nobody waits for any more ends by itself."""
        search = self.overlay.search("x")
        search.cancel()
        self.failureResultOf(search, CancelledError)
        self.network.advance(0.5)
        self.assertEqual(self.successResultOf(self.overlay.search("x")), ())

    def test_asked_again_from_the_answer(self) -> None:
        """Whoever asks something else as soon as he is answered is not confused with the first."""
        second: list[Deferred[tuple[str, ...]]] = []

        def ask_again(found: tuple[str, ...]) -> tuple[str, ...]:
            second.append(self.overlay.search("y"))
            return found

        first = self.overlay.search("x").addCallback(ask_again)
        self.network.deliver()
        self.peer.send(f"rack-7#{self.tag()};21;{HELD}".encode(), GROUP)
        self.assertEqual(self.result(first), (HELD,))
        self.assertNoResult(second[0])

    def test_too_much(self) -> None:
        """Where too much is asked already a search fails, and says when to try again."""
        self.patch(searches, "SEARCHES_MAX", 2)
        self.overlay.search("x")
        self.overlay.search("y")
        failed = self.failureResultOf(self.overlay.search("z"), Unavailable)
        self.assertEqual(
            str(failed.value), "too many searches for unknown ids: try again in a second"
        )

    def test_flood(self) -> None:
        """A flood of unknown ids costs the group no more than the bucket lets through."""
        self.patch(searches, "MISS_BURST", 10)
        overlay = self.make(host := self.network.host("10.7.0.1"), None)
        self.start(overlay)
        mark = len(self.network.sent)
        refused = 0
        for number in range(100):
            search = overlay.search(f"x{number}")
            if search.called:
                self.failureResultOf(search, Unavailable)
                refused += 1
        self.assertEqual(refused, 90)
        self.assertEqual(len(self.network.sent[mark:]), 10 * len(host.addresses))

    def test_stop(self) -> None:
        """Stopping ends what is under way with what it has, and leaves nothing behind."""
        all_, one = self.overlay.search_all("x"), self.overlay.search("y")
        self.network.deliver()
        tag = next(
            message.tag
            for message in map(decode, self.peer.payloads())
            if isinstance(message, SearchRequest) and message.id == "x"
        )
        self.peer.send(f"other#{tag};21;{HELD}".encode(), GROUP)
        self.network.deliver()
        self.assertTrue(self.overlay.running)
        stopped = self.overlay.stopService()
        self.assertFalse(self.overlay.running)
        self.assertEqual(self.successResultOf(all_), (HELD,))
        self.assertEqual(self.successResultOf(one), ())
        self.assertNoResult(stopped)
        self.network.advance(0)
        self.successResultOf(stopped)
        host = self.network.hosts[0]
        self.assertEqual(host.getDelayedCalls(), [])
        self.assertEqual(host.sockets, [])
        self.overlays.remove(self.overlay)

    def test_stop_from_an_answer(self) -> None:
        """Whoever stops it as soon as he is answered ends the other searches, each once."""
        stopped: list[Deferred[list[object]]] = []

        def stop(found: tuple[str, ...]) -> tuple[str, ...]:
            stopped.append(self.overlay.stopService())
            return found

        one = self.overlay.search("x").addCallback(stop)
        all_ = self.overlay.search_all("x")
        self.peer.send(b"rack-7;22;x", GROUP)
        self.assertEqual(self.result(one), ())
        self.assertEqual(self.result(all_), ())
        self.network.advance(0)
        self.successResultOf(stopped[0])

    def test_start_again(self) -> None:
        """What was stopped can be started again."""
        self.overlay.stopService()
        self.network.advance(0)
        self.overlay.startService()
        self.supernode(THREE, {"x": [HELD]})
        self.assertEqual(self.result(self.overlay.search("x")), (HELD,))


class OlderPeersTests(OverlayTestCase):
    """Programs that know the three lines only."""

    def setUp(self) -> None:
        super().setUp()
        self.asked: list[tuple[str, str]] = []
        self.answers: dict[str, Deferred[bool]] = {}
        self.overlay_host = self.network.host(ONE)
        self.overlay = self.supernode(self.overlay_host, {"x": [HELD, ALSO_HELD]}, self.confirms)
        self.settle()
        self.peer = make_peer(self.network.host(TWO), GROUP, TWO)

    def confirms(self, location: str, id: str) -> Deferred[bool]:
        self.asked.append((location, id))
        return self.answers.get(id) or succeed(False)

    def say(self, line: str) -> None:
        self.peer.send(line.encode(), GROUP)
        self.network.deliver()

    def heard(self) -> list[str]:
        """What the peer heard from the group, the name left out; then forgotten."""
        lines = [payload.decode().partition(";")[2] for payload in self.peer.payloads()]
        self.peer.heard.clear()
        return lines

    def test_found(self) -> None:
        """An untagged request is answered in the group, with one location and no tag."""
        self.towards = {TWO: ONE}.__getitem__
        self.say("rack-7;20;x")
        (payload,) = self.peer.payloads()[1:]
        reply = decode(payload)
        assert isinstance(reply, FoundReply)
        self.assertEqual((reply.locations, reply.tag), ((HELD,), None))

    def test_not_found(self) -> None:
        """So is one for what is not here."""
        self.towards = {TWO: ONE}.__getitem__
        self.say("rack-7;20;y\n")
        self.assertEqual(self.heard()[1:], ["22;y"])

    def test_supernodes(self) -> None:
        """They too can find supernodes, with the message that they know."""
        self.towards = {TWO: ONE}.__getitem__
        self.say("rack-7;20;supernode")
        self.assertEqual(self.heard()[1:], [f"21;{ONE}:5000"])

    def test_leaves_towards_the_peer(self) -> None:
        """The answer leaves through the interface that leads to whoever asked, and no other."""
        self.towards = {TWO: ONE}.__getitem__
        mark = len(self.network.sent)
        self.say("rack-7;20;x")
        answers = self.network.sent[mark + 1 :]
        self.assertEqual([(one.interface, one.destination) for one in answers], [(ONE, GROUP)])

    def test_leaves_everywhere(self) -> None:
        """Where none of ours leads there it leaves through all of them."""
        self.towards = {TWO: "172.16.0.1"}.__getitem__
        mark = len(self.network.sent)
        self.say("rack-7;20;x")
        answers = self.network.sent[mark + 1 :]
        self.assertEqual(
            [(one.interface, one.destination) for one in answers],
            [(ONE, GROUP), ("127.0.0.1", GROUP)],
        )

    def search(self, *ids: str) -> list[Deferred[tuple[str, ...]]]:
        """Searches, which in the end may fail, as does one that can't be decided."""
        found = [self.overlay.search(id) for id in ids]
        self.network.deliver()
        for one in found:
            self.addCleanup(one.addErrback, lambda failure: failure.trap(Unavailable))
        return found

    def limited(self) -> None:
        """Have another overlay, made after the limits were, that knows the peer."""
        self.overlay = self.supernode(THREE, {}, self.confirms)
        self.settle()
        self.say("rack-7;22;whatever")

    def undecided(self, search: Deferred[tuple[str, ...]], id: str) -> None:
        """The search has failed, and the next one for that is not told that nobody has it."""
        self.failureResultOf(search, Unavailable)
        (again,) = self.search(id)
        self.assertNoResult(again)

    def test_found_for_the_only_search(self) -> None:
        """While we search for one thing, an untagged found is believed, and nobody is asked."""
        search = self.overlay.search("y")
        self.say(f"rack-7;21;{HELD}")
        self.assertEqual(self.successResultOf(search), (HELD,))
        self.assertEqual(self.asked, [])

    def test_found_for_both(self) -> None:
        """So it is for both kinds of a search for one thing."""
        one, all_ = self.overlay.search("y"), self.overlay.search_all("y")
        self.say(f"rack-7;21;{HELD}")
        self.assertEqual(self.successResultOf(one), (HELD,))
        self.network.advance(TIMEOUT)
        self.assertEqual(self.successResultOf(all_), (HELD,))
        self.assertEqual(self.asked, [])

    def test_found_for_one_of_several(self) -> None:
        """While we search for several, the location is asked first what it has."""
        y, z = self.search("y", "z")
        self.answers = {"y": Deferred(), "z": Deferred()}
        self.say(f"rack-7;21;{HELD}")
        self.network.advance(HOLD)
        self.assertEqual(self.asked, [(HELD, "y"), (HELD, "z")])
        self.assertNoResult(y)
        self.answers["y"].callback(False)
        self.answers["z"].callback(True)
        self.assertNoResult(y)
        self.assertEqual(self.successResultOf(z), (HELD,))

    def test_likeliest_first(self) -> None:
        """What was asked for first is asked first, and what is denied meanwhile not at all."""
        y, *_ = self.search("y", "z", "v")
        self.answers = {"y": succeed(True)}
        self.say(f"rack-7;21;{HELD}")
        self.assertEqual(self.successResultOf(y), (HELD,))
        self.say("rack-7;22;z")
        self.network.advance(HOLD)
        self.assertEqual(self.asked, [(HELD, "y"), (HELD, "v")])

    def test_denied(self) -> None:
        """Who has said no to all but one of them has found that one, and nobody is asked."""
        y, z, v = self.search("y", "z", "v")
        self.say("rack-7;22;y")
        self.say("rack-7;22;v")
        self.say(f"rack-7;21;{HELD}")
        self.assertEqual(self.successResultOf(z), (HELD,))
        self.assertNoResult(y)
        self.assertNoResult(v)
        self.assertEqual(self.asked, [])

    def test_denied_meanwhile(self) -> None:
        """Who says no while its location is asked doesn't have the search wait for that."""
        self.say("rack-7;22;whatever")
        y, z = self.search("y", "z")
        self.answers = {"y": Deferred(), "z": Deferred()}
        self.say(f"rack-7;21;{HELD}")
        self.say("rack-7;22;y")
        self.assertEqual(self.successResultOf(y), ())
        self.assertNoResult(z)

    def test_begun_later(self) -> None:
        """A reply is not about what was asked for after it."""
        self.search("y", "z")
        self.say(f"rack-7;21;{HELD}")
        self.search("v")
        self.network.advance(HOLD)
        self.assertEqual(self.asked, [(HELD, "y"), (HELD, "z")])

    def test_confirmed_before(self) -> None:
        """What was confirmed within a second is believed at once for the searches that follow."""
        self.answers = {"y": succeed(True)}
        y, *_ = self.search("y", "z")
        self.say(f"rack-7;21;{HELD}")
        self.assertEqual(self.successResultOf(y), (HELD,))
        for _ in range(3):
            (y,) = self.search("y")
            self.search("v", "w")
            self.say(f"rack-7;21;{HELD}")
            self.assertEqual(self.successResultOf(y), (HELD,))
        self.assertEqual(self.asked, [(HELD, "y")])
        self.network.advance(ASK_AGAIN)
        self.answers = {"y": succeed(True)}
        (y,) = self.search("y")
        self.search("v")
        self.say(f"rack-7;21;{HELD}")
        self.assertEqual(self.successResultOf(y), (HELD,))
        self.assertEqual(self.asked.count((HELD, "y")), 2)

    def test_confirmed_meanwhile(self) -> None:
        """A confirmation serves all searches for it that there are when it comes."""
        self.answers = {"y": Deferred()}
        self.search("y", "z")
        self.say(f"rack-7;21;{HELD}")
        later = self.overlay.search_all("y")
        self.answers["y"].callback(True)
        self.network.advance(TIMEOUT)
        self.assertEqual(self.successResultOf(later), (HELD,))
        self.assertEqual(self.asked.count((HELD, "y")), 1)

    def test_location_that_can_not_be_asked(self) -> None:
        """A location that can't be asked is not believed, and has not said no either."""
        self.answers = {"y": fail(Unavailable("refused")), "z": succeed(False)}
        y, z = self.search("y", "z")
        self.say(f"rack-7;21;{HELD}")
        self.network.advance(TIMEOUT)
        self.assertEqual(self.successResultOf(z), ())
        self.undecided(y, "y")

    def test_mistake_in_asking(self) -> None:
        """What goes wrong in asking is logged, and is no answer."""
        self.answers = {"y": fail(OSError("a mistake")), "z": succeed(False)}
        y, _ = self.search("y", "z")
        self.say(f"rack-7;21;{HELD}")
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.network.advance(TIMEOUT)
        self.undecided(y, "y")

    def test_confirmed_late(self) -> None:
        """A search whose time is up waits for the location that is being asked."""
        for answer, found in ((True, (HELD,)), (False, ())):
            self.answers = {"y": Deferred(), "z": Deferred()}
            y, z = self.search("y", "z")
            self.say(f"rack-7;21;{HELD}")
            self.network.advance(TIMEOUT)
            self.assertNoResult(y)
            self.answers["y"].callback(answer)
            self.answers["z"].callback(False)
            self.assertEqual(self.successResultOf(y), found)
            self.assertEqual(self.successResultOf(z), ())
            self.network.advance(ASK_AGAIN)

    def test_held_to_the_end(self) -> None:
        """What could wait a moment is asked at once when there is no moment left."""
        self.say("rack-7;22;whatever")
        self.answers = {"z": succeed(True)}
        _, z = self.search("y", "z")
        self.network.advance(TIMEOUT - HOLD / 2)
        self.say(f"rack-7;21;{HELD}")
        self.assertEqual(self.asked, [(HELD, "y")])
        self.network.advance(HOLD / 2)
        self.assertEqual(self.successResultOf(z), (HELD,))

    def test_no_longer(self) -> None:
        """It waits for no location that is named only then."""
        self.answers = {"y": Deferred(), "z": succeed(False)}
        y, _ = self.search("y", "z")
        self.say(f"rack-7;21;{HELD}")
        self.network.advance(TIMEOUT)
        self.search("v")
        self.say(f"rack-7;21;{ALSO_HELD}")
        self.network.advance(HOLD)
        self.assertNotIn((ALSO_HELD, "y"), self.asked)
        self.answers["y"].callback(False)
        self.assertEqual(self.successResultOf(y), ())

    def test_a_newcomer(self) -> None:
        """Where all whom it awaits have said no, a search waits for one nobody knew of."""
        self.say("rack-7;22;whatever")
        self.answers = {"y": Deferred(), "z": Deferred()}
        y, z = self.search("y", "z")
        self.say(f"rack-8;21;{HELD}")
        self.say("rack-7;22;y")
        self.say("rack-7;22;z")
        self.assertNoResult(y)
        self.answers["y"].callback(True)
        self.answers["z"].callback(False)
        self.assertEqual(self.successResultOf(y), (HELD,))
        self.assertEqual(self.successResultOf(z), ())

    def test_repeated_answer(self) -> None:
        """A second answer to a search that has ended is not taken for another search's."""
        (y,) = self.search("y")
        self.say(f"rack-7;21;{HELD}")
        self.assertEqual(self.successResultOf(y), (HELD,))
        (z,) = self.search("z")
        self.say(f"rack-7;21;{HELD}")
        self.assertNoResult(z)
        self.assertEqual(self.asked, [(HELD, "z")])
        self.say("rack-7;22;z")
        self.network.advance(TIMEOUT)
        self.assertEqual(self.successResultOf(z), ())

    def test_who_tags(self) -> None:
        """Who answers us with tags answers others without them: no search of ours gets that."""
        other = self.supernode(THREE, {"x": [ALSO_HELD]})
        self.assertEqual(self.result(self.overlay.search("x")), (ALSO_HELD,))
        y = self.overlay.search("y")
        self.network.losing = 1_000  # So that its no is still to come.
        self.network.deliver()
        self.network.losing = 0
        self.towards = {TWO: THREE}.__getitem__
        self.overlays.remove(self.overlay)
        self.assertTrue(other.running)
        self.say("rack-7;20;x")
        self.assertNoResult(y)
        self.overlays.append(self.overlay)

    def test_read_first(self) -> None:
        """What has come while the process stood still is read before a search is given up."""
        self.say("rack-7;22;whatever")
        (y,) = self.search("y")
        self.overlay_host.callLater(TIMEOUT, self.say, f"rack-7;21;{HELD}")
        self.network.advance(TIMEOUT)
        self.assertEqual(self.successResultOf(y), (HELD,))

    # -- where a limit stops it, nobody is told that nobody has it

    def test_confirmations_are_bounded(self) -> None:
        """A flood of untagged replies has no more than so many locations asked at once."""
        self.patch(confirming, "CONFIRMATIONS_MAX", 3)
        self.answers = {"y": Deferred(), "z": Deferred()}
        y, z = self.search("y", "z")
        for number in range(1, 20):
            self.answers = {"y": Deferred(), "z": Deferred()}
            self.say(f"rack-7;21;10.9.0.{number}:80")
        self.assertEqual(len(self.asked), 3)
        self.network.advance(TIMEOUT)
        self.assertEqual(len(self.asked), 3)
        self.undecided(z, "z")
        self.assertNoResult(y)

    def test_confirmations_make_room(self) -> None:
        """One that was answered makes room for the next, though the answer was no answer."""
        self.patch(confirming, "CONFIRMATIONS_MAX", 1)
        first, second = Deferred[bool](), Deferred[bool]()
        self.answers = {"y": first, "z": second}
        _, z = self.search("y", "z")
        self.say(f"rack-7;21;{HELD}")
        self.network.advance(HOLD)
        self.assertEqual(self.asked, [(HELD, "y")])
        first.errback(Unavailable("gone"))
        self.assertEqual(self.asked, [(HELD, "y"), (HELD, "z")])
        second.callback(True)
        self.assertEqual(self.successResultOf(z), (HELD,))

    def test_needless_confirmations_make_room(self) -> None:
        """One whose answer no search needs any more is given up for the next."""
        self.patch(confirming, "CONFIRMATIONS_MAX", 1)
        given_up: list[Deferred[bool]] = []
        self.answers = {"y": Deferred(given_up.append), "z": succeed(True)}
        _, z = self.search("y", "z")
        self.say(f"rack-7;21;{HELD}")
        self.say("rack-7;22;y")
        self.network.advance(HOLD)
        self.assertEqual(given_up, [self.answers["y"]])
        self.assertEqual(self.successResultOf(z), (HELD,))

    def test_no_token(self) -> None:
        """A flood that has used up all that may be asked leaves what it hides undecided."""
        self.patch(confirming, "CONFIRM_BURST", 1)
        self.patch(confirming, "CONFIRM_RATE", 0.01)
        self.limited()
        y, z = self.search("y", "z")
        self.say(f"rack-7;21;{HELD}")
        self.network.advance(TIMEOUT)
        self.assertEqual(self.asked, [(HELD, "y")])
        self.assertEqual(self.successResultOf(y), ())
        self.undecided(z, "z")

    def test_a_token_in_time(self) -> None:
        """What has to wait for a token is asked when there is one, while the search lasts."""
        self.patch(confirming, "CONFIRM_BURST", 1)
        self.patch(confirming, "CONFIRM_RATE", 5)
        self.limited()
        self.answers = {"z": succeed(True)}
        _, z = self.search("y", "z")
        self.say(f"rack-7;21;{HELD}")
        for _ in range(4):
            self.network.advance(0.1)
        self.assertEqual(self.successResultOf(z), (HELD,))

    def test_no_token_for_a_yes(self) -> None:
        """What is confirmed takes no token, so whoever has it is never held up."""
        self.patch(confirming, "CONFIRM_BURST", 1)
        self.patch(confirming, "CONFIRM_RATE", 0.01)
        self.limited()
        self.search("other")
        for number in range(20):
            self.answers[f"y{number}"] = succeed(True)
            (y,) = self.search(f"y{number}")
            self.say("rack-7;22;other")
            self.say(f"rack-7;21;{HELD}")
            self.assertEqual(self.successResultOf(y), (HELD,))

    def test_too_many_ids(self) -> None:
        """One reply has its location asked for so many ids; what is left is undecided."""
        self.patch(multicast_module, "IDS_MAX", 2)
        y, _, v = self.search("y", "z", "v")
        self.say(f"rack-7;21;{HELD}")
        self.say("rack-7;22;y")
        self.network.advance(TIMEOUT)
        self.assertEqual(self.asked, [(HELD, "y"), (HELD, "z")])
        self.assertEqual(self.successResultOf(y), ())
        self.undecided(v, "v")

    def test_too_many_doubts(self) -> None:
        """So many replies are kept in mind for a search; with more of them it is undecided."""
        self.patch(searches, "DOUBTS_MAX", 2)
        self.answers = {"y": Deferred(), "z": Deferred()}
        y, _ = self.search("y", "z")
        for number in range(1, 6):
            self.say(f"rack-7;21;10.9.0.{number}:80")
        self.network.advance(TIMEOUT)
        self.assertEqual(len(self.asked), 4)
        self.answers["y"].callback(False)
        self.undecided(y, "y")

    def test_no_room_to_wait(self) -> None:
        """Where no more can wait, what it hides is undecided, unless its peer says no."""
        self.patch(confirming, "WAITING_MAX", 1)
        self.limited()
        _, z, v = self.search("y", "z", "v")
        self.say(f"rack-7;21;{HELD}")
        self.say("rack-7;22;v")
        self.network.advance(TIMEOUT)
        self.assertEqual(self.successResultOf(v), ())
        self.undecided(z, "z")

    def test_asked_once_a_second(self) -> None:
        """A location that was asked for an id is asked for it again a second later, not before."""
        self.search("y", "z")
        for _ in range(3):
            self.say(f"rack-7;21;{HELD}")
        self.network.advance(TIMEOUT)
        self.assertEqual(self.asked, [(HELD, "y"), (HELD, "z")])
        self.network.advance(ASK_AGAIN)
        self.search("v", "y")
        self.say(f"rack-7;21;{HELD}")
        self.network.advance(HOLD)
        self.assertEqual(self.asked[2:], [(HELD, "v"), (HELD, "y")])

    def test_answers_aloud_are_bounded(self) -> None:
        """Of a flood of untagged requests only so many are answered; tagged ones all are."""
        self.patch(multicast_module, "ALOUD_BURST", 2)
        self.overlay = self.supernode(THREE, {"x": [HELD]})
        self.settle()
        self.towards = {TWO: THREE}.__getitem__
        mark = len(self.network.sent)
        for _ in range(5):
            self.say("rack-7;20;x")
            self.say("rack-7#tag;20;x")
        replies = [one for one in self.network.sent[mark:] if one.source[0] == THREE]
        aloud = [one for one in replies if one.destination == GROUP]
        self.assertEqual((len(aloud), len(replies) - len(aloud)), (2, 5))
        self.network.advance(1 / multicast_module.ALOUD_RATE)
        mark = len(self.network.sent)
        self.say("rack-7;20;x")
        self.assertIn(THREE, [one.source[0] for one in self.network.sent[mark:]])
        self.assertEqual(self.overlay.excess, 3)

    def test_answers_aloud_are_shared(self) -> None:
        """One address that floods it with untagged requests leaves others their answers."""
        self.patch(multicast_module, "ALOUD_BURST", 3)
        self.patch(multicast_module, "ALOUD_BURST_OF_ONE", 2)
        self.supernode(THREE, {"x": [HELD]})
        self.settle()
        other = make_peer(self.network.host(FOUR), GROUP, FOUR)
        self.towards = lambda host: THREE
        mark = len(self.network.sent)
        for _ in range(5):
            self.say("rack-7;20;x")
        flooded = len(self.network.sent)
        other.send(b"rack-8;20;x", GROUP)
        self.network.deliver()
        sent = self.network.sent[mark:flooded], self.network.sent[flooded:]
        replies = [sum(one.source[0] == THREE for one in some) for some in sent]
        self.assertEqual(replies, [2, 1])

    def test_stop_while_confirming(self) -> None:
        """Stopping gives up the locations that are being asked."""
        cancelled: list[Deferred[bool]] = []
        self.search("y", "z")
        self.answers = {"y": Deferred(cancelled.append), "z": Deferred(cancelled.append)}
        self.say(f"rack-7;21;{HELD}")
        self.network.advance(HOLD)
        self.overlays.remove(self.overlay)
        self.overlay.stopService()
        self.network.advance(0)
        self.assertEqual(set(cancelled), set(self.answers.values()))

    def test_nobody_to_confirm(self) -> None:
        """One that can't ask, as a node's overlay, believes none of them."""
        overlay = self.make(self.network.host(THREE), Holdings(f"{THREE}:5000", {}))
        self.start(overlay)
        self.settle()
        self.say("rack-7;22;whatever")
        self.overlay = overlay
        y, z = self.search("y", "z")
        self.say(f"rack-7;21;{HELD}")
        self.network.advance(TIMEOUT)
        self.undecided(y, "y")
        self.undecided(z, "z")

    def test_not_found_by_id(self) -> None:
        """An untagged no counts for the search for its id."""
        self.say("rack-7;22;whatever")
        y, z = self.overlay.search("y"), self.overlay.search("z")
        self.say("rack-7;22;z")
        self.assertNoResult(y)
        self.assertEqual(self.successResultOf(z), ())

    def test_unasked_replies(self) -> None:
        """Replies to other programs' searches, which all of the group hear, change nothing."""
        mark = len(self.network.sent)
        self.say(f"rack-7;21;{HELD}")
        self.say("rack-7;22;z")
        self.assertEqual(self.asked, [])
        self.assertEqual(len(self.network.sent[mark:]), 2)

    def test_name_that_begins_like_ours(self) -> None:
        """A peer whose name only begins as ours does is not taken for us."""
        self.towards = {TWO: ONE}.__getitem__
        overlay = self.make(
            self.network.host(THREE), Holdings(f"{THREE}:5000", {"z": [HELD]}), name="rack"
        )
        self.start(overlay)
        self.towards = {TWO: THREE}.__getitem__
        self.heard()
        self.say("rack-7;20;z")
        self.assertIn(f"21;{HELD}", self.heard())
        self.say("rack;20;z")
        self.assertNotIn(f"21;{HELD}", self.heard())


class MalformedTests(OverlayTestCase):
    """Whatever comes over the wire."""

    def setUp(self) -> None:
        super().setUp()
        self.overlay = self.supernode(ONE, {"x": [HELD]}, lambda location, id: succeed(False))
        self.settle()
        self.peer = make_peer(self.network.host(TWO), GROUP, TWO)

    def test_counted(self) -> None:
        """A malformed datagram is counted, and not answered."""
        mark = len(self.network.sent)
        for payload in [b"", b"hello", b"p;99;x", b"\xff" * 100, b"p;20;" + b"x" * 1300]:
            self.peer.send(payload, GROUP)
        self.network.deliver()
        self.assertEqual(self.overlay.malformed, 5)
        self.assertEqual(len(self.network.sent[mark:]), 5)

    @settings(deadline=None, max_examples=200)
    @given(st.lists(st.binary() | scraps, max_size=20))
    def test_anything(self, payloads: list[bytes]) -> None:
        """No datagram raises, to the group's port or straight to a socket, whatever is searched."""
        self.overlay.search("y")
        self.overlay.search("z")
        (asker, *_) = [one for one in self.network.hosts[0].sockets if one.port != GROUP[1]]
        for payload in payloads:
            self.peer.send(payload, GROUP)
            self.peer.send(payload, (ONE, asker.port))
        self.network.deliver()
        self.network.advance(2)
        self.assertEqual(self.network.raised, [])

    @settings(deadline=None)
    @given(st.binary(max_size=DATAGRAM_MAX) | scraps)
    def test_no_amplification(self, payload: bytes) -> None:
        """None is answered with more than one reply on each interface, and each a small one."""
        mark = len(self.network.sent)
        self.peer.send(payload, GROUP)
        self.network.deliver()
        replies = self.network.sent[mark + 1 :]
        self.assertLessEqual(len(replies), 2)
        for reply in replies:
            self.assertLessEqual(len(reply.payload), DATAGRAM_MAX)

    def test_answer_that_can_not_be_sent(self) -> None:
        """An answer that is no location, as a host name not yet resolved, is at most logged."""
        self.start(
            self.make(self.network.host(THREE), Holdings("rack7.example:5000", {"z": ["rack8:1"]}))
        )
        for line in [b"rack-7;20;z", b"rack-7#t;20;z", b"rack-7#t;20;supernode"]:
            self.peer.send(line, GROUP)
            self.network.deliver()
        self.flushLoggedErrors()
        raised, self.network.raised = self.network.raised, []
        self.assertEqual(raised, [])

    def test_answer_that_fails(self) -> None:
        """Nor does anything where looking for the answer fails; at most it is logged."""

        class Broken(Holdings):
            def __call__(self, id: str, asker: str) -> Sequence[str]:
                raise OSError("disk gone")

        overlay = self.make(self.network.host(THREE), Broken("", {}))
        self.start(overlay)
        self.peer.send(b"rack-7#t;20;z", GROUP)
        self.network.deliver()
        self.flushLoggedErrors(OSError)
        raised, self.network.raised = self.network.raised, []
        self.assertEqual(raised, [])


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
        for number in range(LINKS_MAX):
            self.addresses[f"veth{number}"] = [Link(socket.AF_INET, f"10.9.0.{number + 1}")]
        states = {name: State(True) for name in self.addresses}
        self.patch(psutil, "net_if_stats", lambda: states)
        found = addresses_up()
        self.assertEqual(len(found), LINKS_MAX)
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
