"""Tests for `p2ptwisted.protocols.multicast`."""

import re
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.application.service import IService
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IMulticastTransport
from zope.interface.verify import verifyObject

from p2ptwisted.errors import Unavailable
from p2ptwisted.interfaces import ISearchOverlay
from p2ptwisted.model import SUPERNODE_ID
from p2ptwisted.protocols import (
    searches,
)
from p2ptwisted.protocols.datagram_auth import WINDOW, DatagramAuth
from p2ptwisted.protocols.datagrams import (
    DATAGRAM_MAX,
    FoundReply,
    NotFoundReply,
    SearchRequest,
    decode,
)
from p2ptwisted.protocols.multicast import REFRESH, MulticastOverlay
from p2ptwisted.protocols.searches import REPEATS
from p2ptwisted.protocols.sockets import IMulticastReactor, MulticastGroup
from p2ptwisted.security.group_key import GroupKey
from p2ptwisted.support.awake_clock import AwakeClock
from p2ptwisted.test.fakes import make_peer
from p2ptwisted.test.protocols.overlay_case import (
    ALSO_HELD,
    GROUP,
    HELD,
    ONE,
    THREE,
    TIMEOUT,
    TWO,
    Holdings,
    OverlayTestCase,
)
from p2ptwisted.test.protocols.test_datagrams import scraps


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
        auth = None if key is None else DatagramAuth(GroupKey(key))
        overlay = self.make(self.network.host(address), answers, auth=auth)
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
        self.assertEqual((self.member.log.unproved, other.log.unproved), (0, 0))

    def test_strangers(self) -> None:
        """Those with another key, or none, are neither answered nor believed; it is counted."""
        for address, key in ((TWO, b"K" * 32), (THREE, None)):
            stranger = self.sealed(address, key)
            before = self.member.log.unproved
            self.assertEqual(self.found(stranger, ONE), ())
            self.assertGreater(self.member.log.unproved, before)
            self.assertEqual(self.found(self.member, address), ())

    def test_replayed(self) -> None:
        """What was recorded is worth nothing half a minute later."""
        peer = make_peer(self.network.host(TWO), GROUP, TWO)
        recorded = DatagramAuth(GroupKey(b"k" * 32)).seal(
            f"rack-7#t;20;{ONE}".encode(), self.wall_time
        )
        for passed, answers in ((0, 1), (WINDOW + 1, 1)):
            self.wall_time += passed
            peer.send(recorded, GROUP)
            self.network.deliver()
            found = [one for one in peer.payloads() if b";21;" in one]
            self.assertEqual(len(found), answers)


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
        self.assertEqual(lonely.log.malformed, 0)
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
        self.assertEqual(self.first.log.malformed, 0)


class EndTests(OverlayTestCase):
    """When a search ends, and for whom."""

    def setUp(self) -> None:
        super().setUp()
        self.host = self.network.host(ONE)
        self.overlay = self.supernode(self.host)
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

    def test_stood_still(self) -> None:
        """Replies that came while the process stood still are taken, and its time goes on."""
        awake = AwakeClock(lambda: self.host.rightNow)
        self.host.seconds = awake.seconds  # type: ignore[method-assign]
        search = self.overlay.search("x")
        self.network.deliver()
        self.host.advance(35)
        self.assertNoResult(search)
        self.peer.send(f"rack-7#{self.tag()};21;{HELD}".encode(), GROUP)
        self.assertEqual(self.result(search), (HELD,))

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
        self.assertEqual(self.overlay.log.malformed, 5)
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
