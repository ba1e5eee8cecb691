"""
Tests of the picker and the selector together: whole swarms on a virtual clock.

Hosts are joined by links whose rates are shared fairly (max-min). Who fetches
does what `p2ptwisted.transfer.attempt` does, with the real PiecePicker, but that it talks to
all holders; who holds does what a node does, with the real PieceSelector. Nothing is sent: a
piece is its number, and a wrong one is not.
"""

import hashlib
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.pieces import PIECE_MIN, Pieces, every_piece, members
from p2ptwisted.transfer.attempt import (
    LOOK_INTERVAL,
    REQUESTS_MAX,
    SILENCE_TIMEOUT,
)
from p2ptwisted.transfer.lookups import LOOKUP_FIRST, LOOKUP_MAX
from p2ptwisted.transfer.neighbor_news import FIRST_NEWS_PAUSE
from p2ptwisted.transfer.piece_picker import (
    REQUESTS_DEEP,
    RETRY_MAX,
    Neighbor,
    PiecePicker,
    Request,
)
from p2ptwisted.transfer.piece_selector import PieceSelector

#: Bytes a second of a link with 100 Mbit/s.
LINK = 12.5e6

#: Seconds for a request and the first byte of its answer, on a LAN.
ROUND_TRIP = 0.002

#: Seconds after which the attempt to connect to a host that is off is given up.
CONNECT = 2.0

#: Seconds until the supernode knows of a node's first piece.
REGISTER = 0.05

#: Bytes and seconds after which what has come is told to the picker, at the latest.
CHUNK, MOMENT = 256 * 1024, 0.25

WRONG = b"wrong"


def cut(piece_count: int) -> Pieces:
    """A resource with so many pieces of 256 KiB, the last one shorter; each holds its number."""
    digests = (hashlib.sha256(b"%d" % piece).digest() for piece in range(piece_count))
    return Pieces(piece_count * PIECE_MIN - PIECE_MIN // 2, b"".join(digests))


@dataclass(eq=False)
class Link:
    """One direction of a host's connection to the network."""

    rate: float
    answers: dict["Answer", None] = field(default_factory=dict)


class World:
    """Time, and what is on its way."""

    def __init__(self) -> None:
        self.now = 0.0
        self.answers: dict[Answer, None] = {}
        self.hosts: dict[str, Host] = {}
        #: The locations that the supernode knows.
        self.registered: list[str] = []
        self.is_changed = False
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self._number = count()

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        heappush(self._events, (self.now + seconds, next(self._number), action))

    def run(self, done: Callable[[], bool], within: float) -> None:
        """Let time go by until it is done."""
        while not done():
            assert self.now < within, f"not done in {within} s"
            if self.is_changed:
                self._share()
            self._step()

    def _step(self) -> None:
        arrival = min((one.left / one.rate for one in self.answers if one.rate), default=math.inf)
        event = self._events[0][0] - self.now if self._events else math.inf
        assert min(arrival, event) < math.inf, "nothing will ever happen again"
        passed = max(0.0, min(arrival, event))
        self.now += passed
        for answer in self.answers:
            answer.left -= answer.rate * passed
        for answer in [one for one in self.answers if one.left < 1e-3]:
            if answer in self.answers:
                answer.arrived()
        if event <= arrival:
            heappop(self._events)[2]()

    def _share(self) -> None:
        """Give every answer its max-min fair share of the links that it goes through."""
        self.is_changed = False
        unshared = {
            link: [link.rate, len(link.answers)] for answer in self.answers for link in answer.links
        }
        undecided = dict(self.answers)
        while undecided:
            narrow = min(unshared, key=lambda link: unshared[link][0] / unshared[link][1])
            rate = unshared[narrow][0] / unshared[narrow][1]
            for answer in narrow.answers:
                if answer in undecided:
                    del undecided[answer]
                    answer.rate = rate
                    for link in answer.links:
                        share = unshared[link]
                        share[0] = max(0.0, share[0] - rate)
                        share[1] -= 1
                        if not share[1]:
                            del unshared[link]


class Host:
    """A holder: of all pieces, or of some, or of those that have come so far."""

    def __init__(
        self, world: World, location: str, pieces: Pieces, up: float = LINK, down: float = LINK
    ) -> None:
        world.hosts[location] = self
        self.world = world
        self.location = location
        self.pieces = pieces
        self.up, self.down = Link(up), Link(down)
        self.has = 0
        self.selector = PieceSelector()
        self.sent = 0.0
        #: How it behaves; a host that is mute takes requests and never answers.
        self.lies = self.is_off = self.is_mute = self.refuses = False

    def holding(self, pieces: int) -> "Host":
        """It has these and is known to the supernode."""
        self.has |= pieces
        if self.location not in self.world.registered:
            self.world.registered.append(self.location)
        return self

    def whole(self) -> "Host":
        return self.holding(every_piece(self.pieces.count))

    def slow_down(self, rate: float) -> None:
        """From now on it sends so many bytes a second."""
        self.up.rate = rate
        for answer in self.up.answers:
            answer.tell()
        self.world.is_changed = True

    def die(self) -> None:
        """The process is killed: the system closes its connections and refuses new ones."""
        self.refuses = True
        for answer in list(self.up.answers):
            answer.end(failed=True)

    def content(self, piece: int) -> bytes:
        return WRONG if self.lies else b"%d" % piece


class Answer:
    """A run of pieces on its way."""

    def __init__(self, fetching: "Fetching", request: Request, host: Host, chosen: int) -> None:
        self.links = host.up, fetching.host.down
        self.rate = 0.0
        self.left = 0.0
        #: Bytes that came with it, and those of them that were of use.
        self.came = self.used = 0
        self._fetching = fetching
        self.request = request
        self._host = host
        self._run = list(members(chosen))
        self._of_piece = self._size(self._run[0])
        self._chunk = 0
        self._heard = host.world.now
        host.world.answers[self] = None
        for link in self.links:
            link.answers[self] = None
        host.selector.began()
        host.world.is_changed = True
        self._next_chunk()
        host.world.later(SILENCE_TIMEOUT, self._listen)

    def _size(self, piece: int) -> int:
        start, stop = self._host.pieces.span(piece)
        return stop - start

    def _next_chunk(self) -> None:
        chunk = min(CHUNK, self._of_piece)
        if self.rate:
            chunk = min(chunk, max(1, round(self.rate * MOMENT)))
        self._chunk = chunk
        self.left = float(chunk)

    def _count(self, size: int) -> None:
        world = self._host.world
        self._of_piece -= size
        self.came += size
        self._host.sent += size
        self._heard = world.now
        self._fetching.picker.progress(self.request, size, world.now)

    def tell(self) -> None:
        """Tell the picker of what has come by now, for it comes at another rate from now on."""
        size = int(self._chunk - self.left)
        if size:
            self._count(size)
        self.rate = min(self.rate, self.links[0].rate)
        self._next_chunk()

    def arrived(self) -> None:
        """A chunk is complete, and perhaps its piece."""
        self._count(self._chunk)
        if self._of_piece and self._fetching.picker.trickles(self.request, self._host.world.now):
            self.end(failed=True)
            return
        self._fetching.go_on(self.request)
        if not self._of_piece:
            piece = self._run.pop(0)
            is_new = self._fetching.picker.missing >> piece & 1
            is_good = self._fetching.take(self.request, piece, self._host.content(piece))
            if is_new and is_good:
                self.used += self._size(piece)
            if self not in self._host.world.answers:
                return
            needless = self._fetching.picker.is_needless(self.request)
            if not is_good or not self._run or needless:
                self.end()
                return
            self._of_piece = self._size(self._run[0])
        self._next_chunk()

    def _listen(self) -> None:
        world = self._host.world
        if self in world.answers:
            silent = world.now - self._heard
            if silent >= SILENCE_TIMEOUT - 1e-6:
                self.end(failed=True)
            else:
                world.later(SILENCE_TIMEOUT - silent, self._listen)

    def end(self, failed: bool = False) -> None:
        """It is through, or broken off."""
        del self._host.world.answers[self]
        for link in self.links:
            del link.answers[self]
        self._host.world.is_changed = True
        self._host.selector.ended()
        self._fetching.over(self.request, failed)


class Fetching:
    """A host that fetches, and shares on what has come."""

    def __init__(self, host: Host, case: SynchronousTestCase, seed: int = 0) -> None:
        self.host = host
        self.world = host.world
        self.picker = PiecePicker(host.pieces, host.has, Random(f"{host.location} {seed}"))
        #: What has come.
        self.content: dict[int, bytes] = {}
        self.missing_at_first = self.picker.missing
        self.done_at: float | None = None if self.picker.missing else self.world.now
        self.sent_wrong: set[str] = set()
        self.answers: list[Answer] = []
        self._case = case
        self._offered: dict[str, int] = {}
        self._pause = LOOKUP_FIRST
        self._look_up()
        self.world.later(FIRST_NEWS_PAUSE, self._hear_news)
        self.world.later(LOOK_INTERVAL, self._look)
        if host.has:
            self._register()

    # -- finding neighbors

    def _look_up(self) -> None:
        if self.done_at is None:
            self.world.later(ROUND_TRIP, self._meet)
            self.world.later(self._pause, self._look_up)
            self._pause = min(2 * self._pause, LOOKUP_MAX)

    def _meet(self) -> None:
        if self.done_at is None:
            for location in self.world.registered:
                self._offer(location)
            self._wake()

    def _hear_news(self) -> None:
        """Hear what those have by now that had nothing to ask for."""
        if self.done_at is None:
            idle = [one for one in self.picker.current if self.picker.has_nothing(one)]
            if [one for one in idle if self._offer(one.location)]:
                self._wake()
            self.world.later(FIRST_NEWS_PAUSE, self._hear_news)

    def _look(self) -> None:
        if self.done_at is None:
            self._wake()
            self.world.later(LOOK_INTERVAL, self._look)

    def _offer(self, location: str) -> bool:
        """Hear what that host has; whether it has others than it had."""
        host, had = self.world.hosts[location], self._offered.get(location)
        if host is self.host or host.is_off or host.refuses:
            return False
        self._offered[location] = host.has
        self.picker.offer(location, host.has)
        self.picker.is_shared |= host.has != every_piece(host.pieces.count)
        return host.has != had

    # -- asking them

    def _wake(self) -> None:
        for neighbor in self.picker.in_order():
            self._ask(neighbor)

    def go_on(self, request: Request) -> None:
        """Send the next request where the answer to this one will soon be complete."""
        if self.picker.is_time_for_next(request):
            self._ask(request.neighbor)

    def _ask(self, neighbor: Neighbor) -> None:
        now = self.world.now
        requests = (request for one in self.picker.current for request in one.requests)
        if sum(self.picker.takes_place(request, now) for request in requests) >= REQUESTS_MAX:
            return
        request = self.picker.wanted(neighbor, now)
        if request is None:
            return
        wanted = request.asked
        self._case.assertFalse(
            wanted & ~self._offered[neighbor.location], "asked for what it lacks"
        )
        self._case.assertNotIn(neighbor.location, self.sent_wrong, "asked a liar again")
        self._case.assertFalse(wanted & ~self.picker.missing, "asked for what is here")
        self._case.assertLessEqual(len(neighbor.requests), REQUESTS_DEEP)
        host = self.world.hosts[neighbor.location]
        if host.is_mute:
            self.world.later(SILENCE_TIMEOUT, lambda: self.over(request, failed=True))
        elif host.is_off:
            self.world.later(CONNECT, lambda: self.over(request, failed=True))
        else:
            self.world.later(ROUND_TRIP, lambda: self._answered(request, host, wanted))

    def _answered(self, request: Request, host: Host, wanted: int) -> None:
        if self.done_at is not None or request not in request.neighbor.requests:
            return
        here = wanted & host.has
        if host.refuses or not here:
            self.over(request, failed=True)
            return
        self._offer(host.location)
        chosen = host.selector.choose(here, self.host.location, request.most)
        self._case.assertTrue(self.picker.started(request, chosen, self.world.now))
        self.answers.append(Answer(self, request, host, chosen))

    def take(self, request: Request, piece: int, content: bytes) -> bool:
        """A piece is complete; whether it is right."""
        if hashlib.sha256(content).digest() != self.host.pieces.digest(piece):
            neighbor = request.neighbor
            self.picker.distrust(neighbor, "it sent a wrong piece")
            self.sent_wrong.add(neighbor.location)
            for answer in list(self.host.down.answers):
                if answer.request.neighbor is neighbor and answer.request is not request:
                    answer.end()
            return False
        self.picker.verified(request, piece)
        self.content[piece] = content
        self.host.has |= 1 << piece
        if len(self.content) == 1:
            self.world.later(REGISTER, self._register)
        if self.picker.done:
            self.done_at = self.world.now
            for answer in list(self.host.down.answers):
                answer.end()
        else:
            self._wake()
        return True

    def _register(self) -> None:
        self.host.holding(0)

    def over(self, request: Request, failed: bool) -> None:
        """A request has come to its end."""
        if self.done_at is not None:
            return
        if failed:
            self.picker.failed(request.neighbor, self.world.now)
        self.picker.ended(request)
        self._wake()

    # -- what became of it

    @property
    def wasted(self) -> list[int]:
        """The bytes of each answer that were of no use."""
        return [answer.came - answer.used for answer in self.answers]


def fetch(
    case: SynchronousTestCase, *hosts: Host, within: float = 100.0, seed: int = 0
) -> list[Fetching]:
    """Have these hosts fetch, until all of them are done."""
    world = hosts[0].world
    fetching = [Fetching(host, case, seed) for host in hosts]
    world.run(lambda: all(one.done_at is not None for one in fetching), world.now + within)
    for one in fetching:
        expected = members(one.missing_at_first)
        case.assertEqual(one.content, {piece: b"%d" % piece for piece in expected})
    return fetching


@dataclass(frozen=True)
class Behaviour:
    """What a holder is like; whatever is wrong with it begins some time after the start."""

    has: int
    rate: float
    fault: str
    at: float

    def host(self, world: World, location: str, pieces: Pieces) -> None:
        host = Host(world, location, pieces, up=self.rate)
        host.holding(self.has & every_piece(pieces.count))
        world.later(self.at, lambda: self._begin(host))

    def _begin(self, host: Host) -> None:
        if self.fault == "grows":
            host.holding(every_piece(host.pieces.count))
        elif self.fault == "slow":
            host.slow_down(self.rate / 20)
        elif self.fault == "trickles":
            host.slow_down(1000.0)
        elif self.fault == "stalls":
            host.slow_down(0.0)
        elif self.fault == "is killed":
            host.die()
        elif self.fault == "is switched off":
            host.slow_down(0.0)
            host.is_off = True
        elif self.fault == "is mute":
            host.is_mute = True
        elif self.fault == "lies":
            host.lies = True


#: Sets of the first 24 pieces, many of them all and few of them none.
sets = st.just(every_piece(24)) | st.integers(0, every_piece(24))
times = st.floats(0, 4)
behaviours = st.builds(
    Behaviour,
    sets,
    st.sampled_from([LINK / 10, LINK / 2, LINK, 4 * LINK]),
    st.sampled_from(
        [
            "grows",
            "slow",
            "trickles",
            "stalls",
            "is killed",
            "is switched off",
            "is mute",
            "lies",
        ]
    ),
    times,
)


class AnySwarmTests(SynchronousTestCase):
    """What holds for every swarm in which somebody honest has each piece and stays."""

    @settings(deadline=None, max_examples=400, derandomize=True)
    @given(
        piece_count=st.integers(1, 24),
        honest=sets,
        others=st.lists(behaviours, max_size=6),
        here=st.lists(st.just(0) | sets, min_size=1, max_size=3),
        seed=st.integers(0, 3),
    )
    def test_any(
        self, piece_count: int, honest: int, others: list[Behaviour], here: list[int], seed: int
    ) -> None:
        """
        Every node gets every piece, right; nobody is asked for what it lacks, and no liar
        twice. Of an answer no more than one piece is of no use, and of all answers together
        no more than one piece for each holder.
        """
        world, pieces = World(), cut(piece_count)
        everything = every_piece(piece_count)
        Host(world, "honest 1", pieces).holding(honest & everything)
        Host(world, "honest 2", pieces, up=LINK / 4).holding(everything & ~honest)
        for number, behaviour in enumerate(others):
            behaviour.host(world, f"other {number}", pieces)
        nodes = [Host(world, f"node {n}", pieces) for n in range(len(here))]
        for node, has in zip(nodes, here, strict=True):
            node.has = has & everything
        for fetching in fetch(self, *nodes, seed=seed):
            self.assertLessEqual(max(fetching.wasted, default=0), PIECE_MIN)
            holders = len(list(fetching.picker.neighbors))
            self.assertLessEqual(sum(fetching.wasted), PIECE_MIN * holders)


class FaultTests(SynchronousTestCase):
    """What a bad holder among good ones costs, whenever it turns bad."""

    PIECES = 256

    def fetched(
        self, holders: int, fault: str = "", at: float = 0.0, rate: float = LINK
    ) -> Fetching:
        """One node has fetched from so many holders, and one more with that fault."""
        world, pieces = World(), cut(self.PIECES)
        for number in range(holders):
            Host(world, f"holder {number}", pieces, up=rate).whole()
        if fault:
            everything = every_piece(self.PIECES)
            Behaviour(everything, rate, fault, at).host(world, "bad", pieces)
        node = Host(world, "node", pieces, down=10 * LINK)
        (fetching,) = fetch(self, node)
        return fetching

    def assert_costs_less(self, bar: float, fault: str) -> None:
        """The transfer takes less than `bar` seconds more than from the good holders alone."""
        for holders, rate in [(1, LINK), (1, 10 * LINK), (2, 10 * LINK), (3, LINK)]:
            alone = self.fetched(holders, rate=rate).done_at
            assert alone is not None
            for moment in range(24):
                at = alone * moment / 24
                fetching = self.fetched(holders, fault, at, rate)
                assert fetching.done_at is not None
                self.assertLess(fetching.done_at - alone, bar, f"{fault} after {at} s")
                self.assertLessEqual(max(fetching.wasted), PIECE_MIN)

    def test_stalls(self) -> None:
        """A holder that sends no more, its connection open, costs less than 2 s."""
        self.assert_costs_less(2.0, "stalls")

    def test_trickles(self) -> None:
        """One that goes on with 1 kB/s, never silent for long, costs less than 2 s."""
        self.assert_costs_less(2.0, "trickles")

    def test_slow(self) -> None:
        """One that falls to a twentieth of its rate costs less than 2 s."""
        self.assert_costs_less(2.0, "slow")

    def test_is_mute(self) -> None:
        """One that takes requests and never answers costs less than 2 s."""
        self.assert_costs_less(2.0, "is mute")

    def test_is_killed(self) -> None:
        """One that is killed in mid-piece costs less than half a second."""
        self.assert_costs_less(0.5, "is killed")

    def test_is_switched_off(self) -> None:
        """One whose machine is gone without a word costs less than 2 s."""
        self.assert_costs_less(2.0, "is switched off")

    def test_lies(self) -> None:
        """One that begins to send wrong pieces costs little, and only one piece."""
        self.assert_costs_less(0.5, "lies")
        self.assertEqual(sum(self.fetched(2, "lies").wasted), PIECE_MIN)

    def test_comes_back(self) -> None:
        """The only holder is restarted: the transfer goes on when it answers again."""
        world, pieces = World(), cut(64)
        holder = Host(world, "holder", pieces).whole()
        world.later(0.5, holder.die)
        world.later(5.0, lambda: setattr(holder, "refuses", False))
        (fetching,) = fetch(self, Host(world, "node", pieces))
        assert fetching.done_at is not None
        self.assertLess(fetching.done_at, 5.0 + RETRY_MAX + pieces.size / LINK)
        self.assertLessEqual(sum(fetching.wasted), PIECE_MIN)

    def test_many_that_trickle(self) -> None:
        """However many trickle beside one good holder, that takes at most half as long again."""
        world, pieces = World(), cut(256)
        Host(world, "good", pieces).whole()
        for number in range(16):
            Host(world, f"bad {number}", pieces, up=1.0).whole()
        (fetching,) = fetch(self, Host(world, "node", pieces))
        assert fetching.done_at is not None
        self.assertLess(fetching.done_at, 1.5 * pieces.size / LINK + 2.0)

    def test_two_bad_holders_of_one_piece(self) -> None:
        """That two already have the last piece in hand keeps nobody else from asking for it."""
        world, pieces = World(), cut(1)
        for number in range(2):
            Host(world, f"bad {number}", pieces, up=1000.0).whole()
        world.later(1.0, lambda: Host(world, "good", pieces).whole())
        (fetching,) = fetch(self, Host(world, "node", pieces))
        assert fetching.done_at is not None
        self.assertLess(fetching.done_at, LOOKUP_FIRST + 2.0)


class RateTests(SynchronousTestCase):
    """How fast a file gets to one node, and to many."""

    def test_four_holders(self) -> None:
        """Four equal holders give at least 3.6 times the rate of one."""

        def seconds(holders: int) -> float:
            world, pieces = World(), cut(256)
            for number in range(holders):
                Host(world, f"holder {number}", pieces).whole()
            (fetching,) = fetch(self, Host(world, "node", pieces, down=10 * LINK))
            assert fetching.done_at is not None
            return fetching.done_at

        self.assertGreater(seconds(1) / seconds(4), 3.6)

    def test_unequal_holders(self) -> None:
        """Each holder gives what it can: the rates add up."""
        world, pieces = World(), cut(512)
        for share in (0.5, 0.3, 0.15, 0.05):
            Host(world, f"holder {share}", pieces, up=share * LINK).whole()
        (fetching,) = fetch(self, Host(world, "node", pieces))
        assert fetching.done_at is not None
        self.assertLess(fetching.done_at, 1.15 * pieces.size / LINK)

    def test_eight_nodes(self) -> None:
        """
        To eight nodes with links like the first holder's, a file gets in less than 1.4
        times the time of one copy, and leaves its holder at most twice.
        """
        for piece_count, seed in [(256, 0), (256, 1), (256, 2), (1024, 0)]:
            world, pieces = World(), cut(piece_count)
            holder = Host(world, "holder", pieces).whole()
            nodes = [Host(world, f"node {number}", pieces) for number in range(8)]
            fetching = fetch(self, *nodes, seed=seed)
            last = max(one.done_at or math.inf for one in fetching)
            self.assertLess(last, 1.4 * pieces.size / LINK, f"{piece_count} pieces")
            self.assertLessEqual(holder.sent, 2 * pieces.size, f"{piece_count} pieces")

    def test_long_way(self) -> None:
        """Where requests are short, for others fetch too, the way there and back costs nothing."""
        self.patch(sys.modules[__name__], "ROUND_TRIP", 0.015)
        self.patch(sys.modules[__name__], "CHUNK", PIECE_MIN // 8)
        world, pieces = World(), cut(256)
        Host(world, "holder", pieces).whole()
        Host(world, "part", pieces).holding(0b1)
        (fetching,) = fetch(self, Host(world, "node", pieces))
        assert fetching.done_at is not None
        self.assertTrue(fetching.picker.is_shared)
        self.assertLess(fetching.done_at, 1.1 * pieces.size / LINK)

    def test_a_holder_that_comes_later(self) -> None:
        """Who is found while the transfer runs is asked too."""
        world, pieces = World(), cut(512)
        Host(world, "first", pieces, up=LINK / 2).whole()
        world.later(3.0, lambda: Host(world, "second", pieces, up=LINK / 2).whole())
        (fetching,) = fetch(self, Host(world, "node", pieces))
        assert fetching.done_at is not None
        self.assertLess(fetching.done_at, 1.05 * pieces.size / LINK + (3.0 + 2 * LOOKUP_FIRST) / 2)
