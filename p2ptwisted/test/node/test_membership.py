"""Tests of `p2ptwisted.node.membership`, with supernodes that are all in one fake client."""

from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from random import Random
from typing import cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import TimeoutError
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogLevel
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.client.api import Client, make_client
from p2ptwisted.client.transport import CALL_TIMEOUT, IClientReactor, Refused
from p2ptwisted.errors import InvalidInput, Unavailable
from p2ptwisted.model import NodeInfo, Registration, ResourceInfo
from p2ptwisted.node import membership, registered_list
from p2ptwisted.node.heartbeats import HEARTBEAT_INTERVAL, HEARTBEAT_RETRY
from p2ptwisted.node.membership import (
    BUSY_RETRY,
    BUSY_RETRY_MAX,
    BUSY_TIMEOUT,
    JITTER,
    JOIN_RETRY,
    NAMED_ONLY_FOR,
    NO_HEARTBEAT_STATUSES,
    REGISTER_REST_FACTOR,
    REGISTER_TIME_EACH,
    REGISTER_TIME_MAX,
    Membership,
)
from p2ptwisted.node.supernode_selector import TRIED_MAX
from p2ptwisted.support.round_robin import share_of
from p2ptwisted.test.node_fakes import FakeClient, FakeLibrary, log_lines
from p2ptwisted.test.stoppable_clock import StoppableClock

ONE, TWO, THREE = "10.0.0.1:5000", "10.0.0.2:5000", "10.0.0.3:5000"
FILE = ResourceInfo("a" * 64, "file", 5)
OTHER = ResourceInfo("b" * 64, "other", 7)

#: Seconds from a heartbeat to when a supernode that refuses the next two is gone.
GONE = HEARTBEAT_INTERVAL + HEARTBEAT_RETRY

#: Seconds; a float adds up to whole seconds without an error only in such steps.
STEP = 1 / 16


class MembershipCase(SynchronousTestCase):
    """A membership that is not yet made, and all that it needs."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.client = FakeClient(self.clock)
        self.library = FakeLibrary(FILE)
        #: What multicast finds, and when it was asked.
        self.found: list[str] = []
        self.discoveries: list[float] = []
        self.membership: Membership

    def given(self, *supernodes: str) -> list[Callable[[], Awaitable[str]]]:
        def resolved(supernode: str) -> Callable[[], Awaitable[str]]:
            return lambda: succeed(supernode)

        return [resolved(supernode) for supernode in supernodes]

    async def discover(self) -> Sequence[str]:
        self.discoveries.append(self.clock.seconds())
        return self.found

    def make(
        self,
        given: Sequence[Callable[[], Awaitable[str]]] = (),
        discover: Callable[[], Awaitable[Sequence[str]]] | None = None,
        seed: int = 1,
        client: Client | None = None,
        clock: Clock | None = None,
    ) -> Membership:
        self.membership = Membership(
            clock or self.clock,
            client or self.client,
            self.library.resources,
            "node1",
            lambda host: f"10.0.0.9:8000(to {host})",
            given,
            discover or self.discover,
            Random(seed),
        )
        self.library.watch(self.membership.changed)
        self.addCleanup(self.stop, self.membership, clock or self.clock)
        return self.membership

    def start(self, *given: str, up: Sequence[str] = (), seed: int = 1) -> None:
        """Start a node whose user named `given`, where the supernodes `up` are running."""
        self.client.up.update(up)
        self.make(self.given(*given), seed=seed).startService()

    def stop(self, made: Membership, clock: Clock) -> None:
        if made.running:
            self.successResultOf(made.stopService())
        self.assertEqual(clock.getDelayedCalls(), [])

    def change(self, *resources: ResourceInfo) -> None:
        """Make this the library's list; what is to be done at once is done."""
        self.library.change(*resources)
        self.clock.advance(0)

    def pass_time(self, seconds: float) -> None:
        """Let time pass evenly, as it does, and not in one leap."""
        for _ in range(round(seconds / STEP)):
            self.clock.advance(STEP)

    def passes(self, condition: Callable[[], bool], within: float) -> float:
        """How long it takes until something is so."""
        began = self.clock.seconds()
        while not condition():
            if self.clock.seconds() - began > within:
                self.fail(f"not within {within} seconds; {self.client.calls}")
            self.clock.advance(STEP)
        return self.clock.seconds() - began


class StandstillTests(MembershipCase):
    """A node whose process stands still for longer than a supernode may be silent."""

    def setUp(self) -> None:
        super().setUp()
        clock = self.clock = StoppableClock()
        self.client = FakeClient(clock)
        self.start(ONE, TWO, up=[ONE, TWO])
        clock.awake.call_when_woken(self.membership.woken)
        self.stand_still = clock.stand_still

    def test_asks_at_once(self) -> None:
        """It asks its supernode at once whether that still lists it, and only once."""
        self.pass_time(1)
        self.stand_still(60)
        self.pass_time(1)
        self.assertEqual([at for _, at in self.client.called("heartbeat")], [ONE])
        self.pass_time(3)
        self.assertEqual(len(self.client.called("heartbeat")), 1)

    def test_registers_again(self) -> None:
        """Where it doesn't, the node registers there again, and nothing is said of it."""
        with log_lines(LogLevel.warn) as lines:
            self.pass_time(1)
            self.client.known.clear()
            self.stand_still(60)
            self.pass_time(1)
        self.assertEqual([at for _, at in self.client.called("register")], [ONE, ONE])
        self.assertEqual(self.membership.supernode, ONE)
        self.assertEqual(lines, [])

    def test_answers_unread(self) -> None:
        """A heartbeat whose answer lies unread is none that was missed."""
        self.client.hung = {ONE}
        self.pass_time(GONE + 1)
        self.stand_still(60)
        self.assertEqual(self.membership.supernode, ONE)
        self.client.hung.clear()
        self.pass_time(HEARTBEAT_RETRY)
        self.assertEqual(self.membership.supernode, TWO)

    def test_before_it_joined(self) -> None:
        """While it has no supernode yet, that changes nothing."""
        self.stop(self.membership, self.clock)
        self.client.up.clear()
        self.start(THREE)
        self.membership.woken()
        self.client.up.add(THREE)
        self.pass_time(JOIN_RETRY + JITTER)
        self.assertEqual(self.membership.supernode, THREE)


class RegisteredTests(MembershipCase):
    """Being at one supernode, and staying there."""

    def test_registers(self) -> None:
        """A node registers at once: its list, its name, and where that supernode reaches it."""
        self.start(ONE, up=[ONE])
        self.assertEqual(
            self.client.registrations,
            [Registration("10.0.0.9:8000(to 10.0.0.1)", [FILE], "node1")],
        )
        self.assertEqual(self.client.called("register"), [(0, ONE)])
        self.assertEqual(self.membership.supernode, ONE)

    def test_no_supernode_at_first(self) -> None:
        """Before it is registered anywhere, a node has no supernode."""
        self.start(ONE)
        self.assertIs(self.membership.supernode, None)

    def test_heartbeats(self) -> None:
        """A heartbeat goes out every 5 s, from the same location, and nothing else."""
        self.start(ONE, up=[ONE])
        self.pass_time(3 * HEARTBEAT_INTERVAL)
        self.assertEqual(HEARTBEAT_INTERVAL, 5)
        self.assertEqual(self.client.called("heartbeat"), [(5, ONE), (10, ONE), (15, ONE)])
        self.assertEqual(self.client.beats[0], (ONE, "10.0.0.9:8000(to 10.0.0.1)"))
        self.assertEqual(len(self.client.calls), 4)

    def test_unknown(self) -> None:
        """Where the supernode no longer knows it, a node registers again, on that very beat."""
        self.start(ONE, up=[ONE])
        self.client.known.clear()
        self.pass_time(HEARTBEAT_INTERVAL)
        self.assertEqual(self.client.called("register"), [(0, ONE), (5, ONE)])
        self.assertEqual(self.membership.supernode, ONE)
        self.pass_time(HEARTBEAT_INTERVAL)
        self.assertEqual(self.client.called("heartbeat"), [(5, ONE), (10, ONE)])

    def test_one_beat_missed(self) -> None:
        """One missed beat moves nobody, and does not count any more after a good one."""
        self.start(ONE, TWO, up=[ONE, TWO])
        for _ in range(3):
            self.client.up.discard(ONE)
            self.pass_time(HEARTBEAT_INTERVAL)
            self.client.up.add(ONE)
            self.pass_time(HEARTBEAT_RETRY)
        self.assertEqual(self.membership.supernode, ONE)
        self.assertEqual(self.client.called("register"), [(0, ONE)])

    def test_too_many_resources(self) -> None:
        """Of more resources than a registration takes, the first are registered, and it is told."""
        self.patch(registered_list, "RESOURCES_MAX", 1)
        self.library.listed = [FILE, OTHER]
        with log_lines(LogLevel.warn, LogLevel.info) as lines:
            self.start(ONE, up=[ONE])
        self.assertEqual(self.client.registrations[0].resources, [FILE])
        self.assertIn("first 1 of 2 resources", lines[0])
        self.assertEqual(lines[1:], [f"Registered 1 resource at {ONE}"])

    def test_other_names(self) -> None:
        """All names of a resource are registered; where there are too many, it is told."""
        several = ResourceInfo("x", "x", 1, other_names=("y", "z"))
        self.library.listed = [several]
        self.start(ONE, up=[ONE])
        self.assertEqual(self.client.registrations[0].resources, [several])
        self.patch(registered_list, "OTHER_NAMES_MAX", 1)
        self.patch(registered_list, "SLICE", 1)
        with log_lines(LogLevel.warn) as lines:
            self.change(several)
            self.pass_time(1)
        (registered,) = self.client.registrations[-1].resources
        self.assertEqual(registered.other_names, ("y",))
        (line,) = lines
        self.assertIn("1 further name of resources is not registered", line)

    def test_unexpected(self) -> None:
        """A mistake of our own is logged, and does not end the membership."""
        self.start(ONE, up=[ONE])
        self.client.unexpected = RuntimeError("oops")
        self.pass_time(HEARTBEAT_INTERVAL + JITTER + JOIN_RETRY + JITTER)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.membership.supernode, ONE)

    def test_unexpected_at_first(self) -> None:
        """The same before it is registered anywhere: it tries again."""
        self.client.unexpected = RuntimeError("oops")
        self.start(ONE, up=[ONE])
        self.pass_time(JITTER)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.membership.supernode, ONE)


class BeatlessTests(MembershipCase):
    """A supernode without heartbeats, as the older program's is, which calls its nodes itself."""

    def setUp(self) -> None:
        super().setUp()
        self.client.beatless.add(ONE)
        self.client.listed = [NodeInfo("node1", "10.0.0.9:8000(to 10.0.0.1)")]

    def registered(self) -> list[float]:
        return [at for at, _ in self.client.called("register")]

    def test_stays(self) -> None:
        """A node stays there while it is in the list, whatever a heartbeat is answered with."""
        self.start(ONE, TWO, up=[ONE, TWO])
        for status in NO_HEARTBEAT_STATUSES:
            self.client.beatless_status = status
            self.pass_time(2 * HEARTBEAT_INTERVAL)
        self.assertEqual(self.membership.supernode, ONE)
        self.assertEqual(self.client.called("register"), [(0, ONE)])

    def test_forgotten(self) -> None:
        """Where it is not in the list any more, it registers again."""
        self.start(ONE, up=[ONE])
        self.client.listed.clear()
        self.pass_time(HEARTBEAT_INTERVAL)
        self.assertEqual(self.registered(), [0, 5])

    def test_shares_nothing(self) -> None:
        """Who shares nothing is never in the list, and need not register again and again."""
        self.library.listed = []
        self.client.listed.clear()
        self.start(ONE, up=[ONE])
        self.pass_time(5 * HEARTBEAT_INTERVAL)
        self.assertEqual(self.registered(), [0])
        self.assertEqual(self.membership.supernode, ONE)

    def test_parts(self) -> None:
        """It is not told of parts: it would take them for the whole, and forget who has that."""
        self.start(ONE, up=[ONE])
        self.pass_time(HEARTBEAT_INTERVAL)
        self.change(FILE, ResourceInfo(OTHER.id, "other", 7, partial=True))
        self.assertEqual(self.client.registrations[-1].resources, [FILE])
        self.change(FILE, OTHER)
        self.assertEqual(self.client.registrations[-1].resources, [FILE, OTHER])

    def test_gone(self) -> None:
        """When it doesn't answer at all, it is gone as others are."""
        self.start(ONE, TWO, up=[ONE, TWO])
        self.pass_time(HEARTBEAT_INTERVAL)
        self.client.up.discard(ONE)
        self.pass_time(GONE + JITTER)
        self.assertEqual(self.membership.supernode, TWO)


class UnreachableTests(MembershipCase):
    """A node whose supernode can't reach it."""

    def test_told(self) -> None:
        """It says so once, with what to do, and once more when that is over."""
        self.start(ONE, up=[ONE])
        self.client.closed = True
        with log_lines(LogLevel.warn, LogLevel.info) as lines:
            self.pass_time(4 * HEARTBEAT_INTERVAL)
            self.assertEqual(self.membership.unreachable_at, "10.0.0.9:8000(to 10.0.0.1)")
            self.client.closed = False
            self.pass_time(2 * HEARTBEAT_INTERVAL)
        self.assertIs(self.membership.unreachable_at, None)
        told, over = lines
        for part in (ONE, "at 10.0.0.9:8000(to 10.0.0.1)", "open TCP port 8000", "--location"):
            self.assertIn(part, told)
        self.assertIn("no longer", over)

    def test_another_supernode(self) -> None:
        """What one supernode knew is nothing that the next one has said."""
        self.start(ONE, TWO, up=[ONE, TWO])
        self.client.closed = True
        self.pass_time(HEARTBEAT_INTERVAL + STEP)
        self.assertIsNot(self.membership.unreachable_at, None)
        self.client.closed = False
        self.client.up.discard(ONE)
        with log_lines(LogLevel.warn) as lines:
            self.pass_time(GONE + JITTER)
        self.assertEqual(self.membership.supernode, TWO)
        self.assertIs(self.membership.unreachable_at, None)
        self.assertEqual(lines, [f"Supernode {ONE} is gone"])


class ChangeTests(MembershipCase):
    """Telling the supernode of a library that changes."""

    def test_at_once(self) -> None:
        """A change is registered at once, whole, and not only at the next beat."""
        self.start(ONE, up=[ONE])
        self.pass_time(2)
        self.change(FILE, OTHER)
        self.assertEqual(self.client.called("register"), [(0, ONE), (2, ONE)])
        self.assertEqual(self.client.registrations[-1].resources, [FILE, OTHER])

    def test_parts(self) -> None:
        """What has come only in part is registered as that, and again when it is whole."""
        self.start(ONE, up=[ONE])
        part = ResourceInfo(OTHER.id, "other", 7, partial=True)
        self.change(FILE, part)
        self.assertEqual(self.client.registrations[-1].resources, [FILE, part])
        self.change(FILE, OTHER)
        self.assertEqual(self.client.registrations[-1].resources, [FILE, OTHER])

    def test_counts_as_a_beat(self) -> None:
        """After a registration the next beat is due in 5 s."""
        self.start(ONE, up=[ONE])
        self.pass_time(2)
        self.change()
        self.pass_time(HEARTBEAT_INTERVAL)
        self.assertEqual(self.client.called("heartbeat"), [(7, ONE)])

    def test_rest(self) -> None:
        """After a slow registration the next one has to wait REGISTER_REST_FACTOR times as long."""
        self.client.slowness = 0.5
        self.start(ONE, up=[ONE])
        self.pass_time(0.5)
        self.change(OTHER)
        self.pass_time(0.5 * REGISTER_REST_FACTOR - STEP)
        self.assertEqual(self.client.called("register"), [(0, ONE)])
        self.pass_time(STEP)
        self.assertEqual(self.client.called("register"), [(0, ONE), (3, ONE)])
        self.assertEqual(self.client.registrations[-1].resources, [OTHER])

    def test_rest_is_cut_short(self) -> None:
        """What can't be had any more is registered at once."""
        self.client.slowness = 0.5
        self.start(ONE, up=[ONE])
        self.pass_time(0.5)
        self.library.change()
        self.membership.changed(at_once=True)
        self.pass_time(2 * STEP)
        self.assertEqual(len(self.client.called("register")), 2)

    def test_rest_of_a_short_list(self) -> None:
        """A registration that took long for its length says nothing of the list: a short rest."""
        self.client.slowness = 1.9
        self.start(ONE, up=[ONE])
        self.pass_time(2)
        self.change(OTHER)
        rest = (REGISTER_TIME_MAX + REGISTER_TIME_EACH) * REGISTER_REST_FACTOR
        told = self.passes(lambda: len(self.client.called("register")) == 2, 3 * rest)
        self.assertLess(told, rest + 0.1)

    def test_rest_is_over(self) -> None:
        """Once that time has passed, a change is registered at once again."""
        self.client.slowness = 0.5
        self.start(ONE, up=[ONE])
        self.pass_time(4)
        self.change(OTHER)
        self.assertEqual(self.client.called("register"), [(0, ONE), (4, ONE)])

    def test_beats_while_resting(self) -> None:
        """A node that waits to register a change goes on beating: its supernode may be gone."""
        self.client.slowness = 10.0
        self.start(ONE, TWO, up=[ONE, TWO])
        self.pass_time(10)
        self.change(OTHER)
        self.client.up.discard(ONE)
        self.client.slowness = 0
        moved = self.passes(
            lambda: self.membership.supernode == TWO, 10 * REGISTER_REST_FACTOR + 15
        )
        self.assertLess(moved, GONE + JITTER + STEP)

    def test_while_registering(self) -> None:
        """A change in the middle of a registration is registered after it."""
        self.client.slowness = 0.5
        self.start(ONE, up=[ONE])
        self.pass_time(0.25)
        self.change(OTHER)
        self.pass_time(0.5 + 0.5 * REGISTER_REST_FACTOR)
        self.assertEqual(
            [registration.resources for registration in self.client.registrations],
            [[FILE], [OTHER]],
        )

    def test_failed(self) -> None:
        """A change that could not be registered is registered as soon as a beat is answered."""
        self.start(ONE, up=[ONE])
        self.pass_time(1)
        self.client.up.clear()
        self.change(OTHER)
        self.client.up.add(ONE)
        self.pass_time(HEARTBEAT_INTERVAL)
        self.assertEqual(self.client.called("register"), [(0, ONE), (1, ONE), (4, ONE)])
        self.assertEqual(self.client.called("heartbeat"), [(1, ONE), (4, ONE)])
        self.assertEqual(self.client.registrations[-1].resources, [OTHER])

    def test_a_busy_library(self) -> None:
        """However often the library changes, a supernode that misses a beat gets its time."""
        self.start(ONE, TWO, up=[ONE, TWO])
        self.pass_time(1)
        self.client.up.discard(ONE)
        for _ in range(40):
            self.change(FILE)
            self.pass_time(STEP)
        self.assertEqual(self.client.called("register"), [(0, ONE), (1, ONE)])

    def test_beats_beside(self) -> None:
        """While a long registration is under way heartbeats go out as ever."""
        self.start(ONE, up=[ONE])
        self.client.slowness = 18.0
        self.pass_time(2)
        self.change(OTHER)
        self.pass_time(18)
        self.assertEqual(
            self.client.called("heartbeat"), [(5, ONE), (10, ONE), (15, ONE), (20, ONE)]
        )
        self.assertEqual(self.client.called("register"), [(0, ONE), (2, ONE)])

    def test_silent_while_registering(self) -> None:
        """However long a list may take, a supernode that falls silent is given up as soon."""
        listed = [ResourceInfo(f"{number:064x}", "file", 1) for number in range(10_000)]
        self.start(ONE, TWO, up=[ONE, TWO])
        self.client.hung = {ONE}
        self.pass_time(STEP)
        self.change(*listed)
        moved = self.passes(lambda: self.membership.supernode == TWO, 60)
        self.assertLess(moved, GONE + CALL_TIMEOUT + JITTER + STEP)
        self.assertEqual(self.client.registrations[-1].resources, listed)
        self.pass_time(HEARTBEAT_INTERVAL)
        self.assertEqual(len(self.client.called("register")), 3)

    def test_silent_at_first(self) -> None:
        """Nor is one waited for that takes a long first registration, and says nothing."""
        self.library.listed = [
            ResourceInfo(f"{number:064x}", "file", 1) for number in range(100_000)
        ]
        self.client.hung = {ONE}
        self.start(ONE, TWO, up=[ONE, TWO])
        moved = self.passes(lambda: self.membership.supernode == TWO, 60)
        self.assertLess(moved, GONE + CALL_TIMEOUT + STEP)

    def test_never_gets_through(self) -> None:
        """A supernode that answers beats, and no registration, is no use after two of these."""
        self.start(ONE, TWO, up=[ONE, TWO])

        async def broken(*_: object) -> None:
            raise Unavailable("broken off")

        patch = self.patch(self.client, "register", broken)
        self.change(OTHER)
        self.pass_time(HEARTBEAT_RETRY)
        patch.restore()
        self.pass_time(JITTER)
        self.assertEqual(self.membership.supernode, TWO)

    def test_fails_on_an_answer(self) -> None:
        """A registration that fails for the last time right on a beat's answer ends both."""
        self.start(ONE, TWO, up=[ONE, TWO])
        self.client.up.discard(ONE)
        self.change(OTHER)
        self.client.up.add(ONE)

        async def broken(*_: object) -> None:
            raise Unavailable("broken off")

        patch = self.patch(self.client, "register", broken)
        self.pass_time(HEARTBEAT_RETRY)
        patch.restore()
        self.pass_time(JITTER)
        self.assertEqual(self.membership.supernode, TWO)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_before_any_supernode(self) -> None:
        """A change before there is a supernode is in the first registration, and not sent twice."""
        self.start(ONE)
        self.change(OTHER)
        self.pass_time(1)
        self.client.up.add(ONE)
        self.pass_time(HEARTBEAT_INTERVAL)
        self.assertEqual(
            self.client.registrations,
            [Registration("10.0.0.9:8000(to 10.0.0.1)", [OTHER], "node1")],
        )


class MoveTests(MembershipCase):
    """Going to another supernode when one is gone."""

    def gone(self, supernode: str) -> None:
        """A supernode goes; let its node notice."""
        self.client.up.discard(supernode)
        self.pass_time(GONE + JITTER)

    def test_next_given(self) -> None:
        """After two missed beats a node moves to the next of those named, and says so."""
        self.start(ONE, TWO, up=[ONE, TWO])
        self.client.up.discard(ONE)
        with log_lines(LogLevel.warn) as lines:
            self.pass_time(GONE - STEP)
            self.assertEqual(self.membership.supernode, ONE)
            self.pass_time(JITTER + STEP)
        self.assertEqual(self.membership.supernode, TWO)
        self.assertEqual(lines, [f"Supernode {ONE} is gone"])
        self.assertEqual(self.client.registrations[-1].location, "10.0.0.9:8000(to 10.0.0.2)")
        self.assertEqual(self.discoveries, [])

    def test_not_the_same_again(self) -> None:
        """The one just given up is not waited for before others are looked for."""
        self.found = [THREE]
        self.client.silence = 2.0
        self.start(ONE, up=[ONE, THREE])
        self.client.up.discard(ONE)
        self.pass_time(GONE + JITTER)
        self.assertEqual(self.membership.supernode, THREE)

    def test_the_same_again(self) -> None:
        """Where there is no other it is, once it is back."""
        self.start(ONE, up=[ONE])
        self.gone(ONE)
        self.client.up.add(ONE)
        self.pass_time(JITTER + JOIN_RETRY + JITTER)
        self.assertEqual(self.membership.supernode, ONE)

    def test_back_too_late(self) -> None:
        """A supernode that is back just after it was given up has lost the node to the next."""
        self.start(ONE, TWO, up=[ONE, TWO])
        self.client.up.discard(ONE)
        self.pass_time(GONE)
        self.client.up.add(ONE)
        self.pass_time(JITTER)
        self.assertEqual(self.membership.supernode, TWO)

    def test_none_meanwhile(self) -> None:
        """Between two supernodes a node has none: it asks nothing of one that is gone."""
        self.start(ONE, up=[ONE])
        self.gone(ONE)
        self.assertIs(self.membership.supernode, None)

    def test_jitter(self) -> None:
        """The move is put off by up to JITTER, by each node differently."""
        delays = set()
        for seed in range(20):
            self.setUp()
            self.start(ONE, TWO, up=[ONE, TWO], seed=seed)
            self.client.up.discard(ONE)
            self.pass_time(GONE)
            delay = self.passes(lambda: self.membership.supernode == TWO, JITTER + STEP)
            delays.add(delay)
        self.assertGreater(len(delays), 5)

    def test_order(self) -> None:
        """Those named are tried in their order, beginning with the first."""
        self.start(ONE, TWO, THREE, up=[TWO, THREE])
        self.assertEqual(self.client.called("register"), [(0, ONE), (0, TWO)])
        self.assertEqual(self.membership.supernode, TWO)

    def test_order_of_moves(self) -> None:
        """After the last of those named comes the first again, should it be back."""
        self.start(ONE, TWO, THREE, up=[ONE, TWO, THREE])
        self.gone(ONE)
        self.client.up.add(ONE)
        self.assertEqual(self.membership.supernode, TWO)
        self.gone(TWO)
        self.assertEqual(self.membership.supernode, THREE)
        self.gone(THREE)
        self.assertEqual(self.membership.supernode, ONE)

    def test_then_discovered(self) -> None:
        """Where none of those named answers, a node that has been registered finds another."""
        self.start(ONE, TWO, up=[ONE, THREE])
        self.found = [THREE]
        self.gone(ONE)
        self.assertEqual(self.membership.supernode, THREE)
        self.assertLess(self.client.called("register")[-1][0], GONE + JITTER + STEP)

    def test_given_again_after_discovered(self) -> None:
        """From one that was found, a node goes back to those named when it has to move."""
        self.start(ONE, up=[ONE, THREE])
        self.found = [THREE]
        self.gone(ONE)
        self.assertEqual(self.membership.supernode, THREE)
        self.client.up.add(ONE)
        self.gone(THREE)
        self.assertEqual(self.membership.supernode, ONE)

    def test_refused(self) -> None:
        """A supernode that refuses a node is passed over for the next."""
        self.client.refusing.add(ONE)
        self.start(ONE, TWO, up=[ONE, TWO])
        self.assertEqual(self.membership.supernode, TWO)

    def test_refused_later(self) -> None:
        """A supernode that refuses two beats in a row is as good as gone."""
        self.start(ONE, TWO, up=[ONE, TWO])
        self.client.refusing.add(ONE)
        self.pass_time(GONE + JITTER + STEP)
        self.assertEqual(self.membership.supernode, TWO)

    def test_resolved_in_turn(self) -> None:
        """A name is resolved when it is its turn, not before the one ahead of it was tried."""

        async def resolved() -> str:
            raise AssertionError("it is not needed")

        self.client.up.add(ONE)
        self.make([*self.given(ONE), resolved]).startService()
        self.assertEqual(self.membership.supernode, ONE)

    def test_unresolvable(self) -> None:
        """A name without an address is told of and passed over, and asked for again later."""
        answers: list[str | None] = [None, ONE]

        async def resolved() -> str:
            address = answers.pop(0)
            if address is None:
                raise InvalidInput("host name 'super' has no IPv4 address")
            return address

        self.client.up.add(ONE)
        with log_lines(LogLevel.warn) as lines:
            self.make([resolved]).startService()
            self.pass_time(JOIN_RETRY + JITTER)
        (line,) = lines
        self.assertIn("host name 'super' has no IPv4 address", line)
        self.assertEqual(self.membership.supernode, ONE)

    def test_order_with_unresolvable(self) -> None:
        """One named that has no address does not confuse whose turn is next."""

        async def resolved() -> str:
            raise InvalidInput("no address")

        self.client.up.update([ONE, TWO])
        first, second = self.given(ONE, TWO)
        self.make([first, resolved, second]).startService()
        self.gone(ONE)
        self.assertEqual(self.membership.supernode, TWO)
        self.client.up.add(ONE)
        self.gone(TWO)
        self.assertEqual(self.membership.supernode, ONE)


class BusyTests(MembershipCase):
    """Supernodes that answer "not now", which the living do."""

    def tries(self, supernode: str, since: float = 0) -> list[float]:
        return [at for at, to in self.client.called("register") if to == supernode and at >= since]

    def test_while_listed(self) -> None:
        """A node stays, however long its change is put off, and asks ever more seldom."""
        for status in (503, 429):
            self.setUp()
            self.client.busy_status = status
            self.start(ONE, TWO, up=[ONE, TWO])
            self.pass_time(1)
            self.client.busy.add(ONE)
            self.change(OTHER)
            self.pass_time(300)
            self.assertEqual(self.membership.supernode, ONE)
            tries = self.tries(ONE, since=1)
            pauses = [after - before for before, after in pairwise(tries)]
            self.assertTrue(BUSY_RETRY <= pauses[0] <= BUSY_RETRY + JITTER + STEP)
            self.assertLess(max(pauses), BUSY_RETRY_MAX + JITTER + STEP)
            self.assertGreaterEqual(min(pauses[5:]), BUSY_RETRY_MAX)
            # Beats go on beside it.
            self.assertEqual(len(self.client.called("heartbeat")), 60)
            self.client.busy.clear()
            self.pass_time(BUSY_RETRY_MAX + JITTER)
            self.assertEqual(self.client.registrations[-1].resources, [OTHER])
            self.assertEqual(self.tries(TWO), [])

    def test_beats(self) -> None:
        """A heartbeat that is put off was answered."""
        self.start(ONE, TWO, up=[ONE, TWO])

        async def put_off(*_: object) -> bool:
            raise Refused(503, "try again in a moment")

        self.patch(self.client, "heartbeat", put_off)
        self.pass_time(60)
        self.assertEqual(self.membership.supernode, ONE)

    def test_gone_while_busy(self) -> None:
        """One that was busy, and then is gone, is given up like any other."""
        self.start(ONE, TWO, up=[ONE, TWO])
        self.client.busy.add(ONE)
        self.change(OTHER)
        self.pass_time(HEARTBEAT_INTERVAL + 1)
        self.client.up.discard(ONE)
        moved = self.passes(lambda: self.membership.supernode == TWO, 60)
        self.assertLess(moved, GONE + JITTER + STEP)

    def test_at_first(self) -> None:
        """A node that joins waits for the one it prefers, with the next one free."""
        self.client.busy.add(ONE)
        self.start(ONE, TWO, up=[ONE, TWO])
        self.pass_time(11)
        self.client.busy.clear()
        self.passes(lambda: self.membership.supernode == ONE, BUSY_RETRY_MAX + JITTER)
        self.assertEqual(self.tries(TWO), [])

    def test_too_long(self) -> None:
        """But not for ever: where nobody lists it, the next one is tried."""
        self.client.busy.add(ONE)
        self.start(ONE, TWO, up=[ONE, TWO])
        joined = self.passes(lambda: self.membership.supernode == TWO, 60)
        self.assertGreaterEqual(joined, BUSY_TIMEOUT)
        self.assertLess(joined, BUSY_TIMEOUT + BUSY_RETRY_MAX + JITTER + STEP)

    def test_forgotten(self) -> None:
        """The same for a supernode that has forgotten the node and puts it off."""
        self.start(ONE, TWO, up=[ONE, TWO])
        self.client.known.clear()
        self.client.busy.add(ONE)
        self.pass_time(HEARTBEAT_INTERVAL + BUSY_TIMEOUT - STEP)
        self.assertEqual(self.membership.supernode, ONE)
        self.passes(lambda: self.membership.supernode == TWO, BUSY_RETRY_MAX + 3 * JITTER)

    def test_stopped(self) -> None:
        """Stopped while it is being put off, it leaves nothing."""
        self.start(ONE, up=[ONE])
        self.client.busy.add(ONE)
        self.change(OTHER)
        self.pass_time(3)
        self.successResultOf(self.membership.stopService())


class FindTests(MembershipCase):
    """Finding the first supernode."""

    def test_discovered(self) -> None:
        """With none named, a node registers at one that multicast finds, at once."""
        self.found = [ONE]
        self.start(up=[ONE])
        self.assertEqual(self.client.called("register"), [(0, ONE)])
        self.assertEqual(self.discoveries, [0])

    def test_discovered_in_any_order(self) -> None:
        """Of several that were found, different nodes choose different ones."""
        chosen = set()
        for seed in range(20):
            self.setUp()
            self.found = [ONE, TWO, THREE]
            self.start(up=[ONE, TWO, THREE], seed=seed)
            chosen.add(self.membership.supernode)
        self.assertEqual(chosen, {ONE, TWO, THREE})

    def test_next_discovered(self) -> None:
        """A supernode that was found but does not take the node is passed over."""
        self.found = [ONE, TWO, THREE]
        self.start(up=[TWO])
        self.assertEqual(self.membership.supernode, TWO)

    def test_crowded(self) -> None:
        """A thousand made-up supernodes of one address don't keep a node from the real one."""
        self.found = [*(f"10.0.0.9:{port}" for port in range(1, 1_001)), ONE]
        self.start(up=[ONE])
        self.pass_time(30)
        self.assertEqual(self.membership.supernode, ONE)
        self.assertLessEqual(len(self.client.called("register")), share_of(TRIED_MAX) + 1)

    def test_patience(self) -> None:
        """While they may just be starting, only those named are tried: for the first 10 s."""
        self.found = [THREE]
        self.start(ONE, TWO, up=[THREE])
        self.assertEqual(NAMED_ONLY_FOR, 10)
        self.pass_time(NAMED_ONLY_FOR - STEP)
        self.assertEqual(self.discoveries, [])
        self.assertEqual({call.supernode for call in self.client.calls}, {ONE, TWO})
        self.pass_time(JOIN_RETRY + JITTER + STEP)
        self.assertEqual(self.membership.supernode, THREE)

    def test_named_one_silent(self) -> None:
        """A named supernode whose silence outlasts the 10 s is not waited for once more."""
        self.found = [THREE]
        self.client.silence = 5.0
        self.start(ONE, up=[THREE])
        self.pass_time(2 * self.client.silence + JOIN_RETRY + JITTER)
        self.assertEqual(self.membership.supernode, THREE)

    def test_named_one_comes_late(self) -> None:
        """A named supernode that starts after the node is tried every second or two."""
        self.start(ONE)
        self.pass_time(7)
        tries = [at for at, _ in self.client.called("register")]
        pauses = [after - before for before, after in pairwise(tries)]
        self.assertGreaterEqual(min(pauses), JOIN_RETRY - 0.001)
        self.assertLessEqual(max(pauses), JOIN_RETRY + JITTER + STEP)
        self.client.up.add(ONE)
        self.passes(lambda: self.membership.supernode == ONE, JOIN_RETRY + JITTER)

    def test_none(self) -> None:
        """With no supernode anywhere a node tries on for ever, and says so once."""
        with log_lines(LogLevel.warn) as lines:
            self.start()
            self.pass_time(60)
        self.assertGreater(len(self.discoveries), 30)
        (line,) = lines
        self.assertIn("No supernode yet", line)
        self.assertIn("--supernode", line)

    def test_none_of_those_named(self) -> None:
        """Where one was named, the line says what is wrong with it."""
        with log_lines(LogLevel.warn) as lines:
            self.start(ONE)
            self.pass_time(30)
        (line,) = lines
        self.assertIn(f"{ONE}: {ONE} does not answer", line)

    def test_said_again(self) -> None:
        """It is said once for each time that a node is without a supernode."""
        with log_lines(LogLevel.warn) as lines:
            self.start(ONE)
            self.pass_time(5)
            self.client.up.add(ONE)
            self.pass_time(5)
            self.client.up.clear()
            self.pass_time(30)
        self.assertEqual(len([line for line in lines if "No supernode yet" in line]), 2)

    def test_discovery_unavailable(self) -> None:
        """Where multicast can't be used just now, it is tried again."""
        ways = [Unavailable("too much is being asked"), None]

        async def discover() -> Sequence[str]:
            way = ways.pop(0)
            if way is not None:
                raise way
            return [ONE]

        self.client.up.add(ONE)
        self.make(discover=discover).startService()
        self.assertIs(self.membership.supernode, None)
        self.pass_time(JOIN_RETRY + JITTER)
        self.assertEqual(self.membership.supernode, ONE)

    def test_connecting_times_out(self) -> None:
        """A supernode whose host is off is tried again and again, with the real client."""
        reactor = MemoryReactorClock()
        client = make_client(cast(IClientReactor, reactor))
        with log_lines(LogLevel.warn) as lines:
            self.make(self.given(ONE), client=client, clock=reactor).startService()
            for tries in range(1, 4):
                self.assertEqual(len(reactor.tcpClients), tries)
                _, _, factory, timeout, _ = reactor.tcpClients[-1]
                reactor.advance(timeout)
                factory.clientConnectionFailed(reactor.connectors[-1], Failure(TimeoutError()))
                reactor.advance(JOIN_RETRY + JITTER)
            stopped = self.membership.stopService()
            reactor.advance(CALL_TIMEOUT)
        self.successResultOf(stopped)
        (line,) = lines
        self.assertIn(ONE, line)


class GoodbyeTests(MembershipCase):
    """Leaving."""

    def test_goodbye(self) -> None:
        """A node that stops says goodbye, from the location that it registered."""
        self.start(ONE, up=[ONE])
        self.successResultOf(self.membership.stopService())
        self.assertEqual(self.client.goodbyes, [(ONE, "10.0.0.9:8000(to 10.0.0.1)")])
        self.assertIs(self.membership.supernode, None)

    def test_goodbye_in_vain(self) -> None:
        """A supernode that is gone or refuses keeps no node from stopping."""
        for refusing in (set(), {ONE}):
            self.setUp()
            self.start(ONE, up=[ONE])
            self.client.refusing.update(refusing)
            self.client.up = refusing
            self.successResultOf(self.membership.stopService())
            self.assertEqual(self.client.called("goodbye"), [(0, ONE)])

    def test_nobody_to_leave(self) -> None:
        """A node without a supernode says goodbye to nobody."""
        self.start(ONE)
        self.successResultOf(self.membership.stopService())
        self.assertEqual(self.client.called("goodbye"), [])

    def test_while_joining(self) -> None:
        """A supernode that was just being told gets a goodbye: it may have the list already."""
        self.client.slowness = 1.0
        self.start(ONE, up=[ONE])
        self.pass_time(0.5)
        self.successResultOf(self.membership.stopService())
        self.assertEqual(self.client.called("goodbye"), [(0.5, ONE)])

    def test_another_name(self) -> None:
        """Where goodbye was said to the supernode itself, by another name, it is told at once."""
        self.start(ONE, TWO, up=[ONE, TWO])
        self.client.up.discard(ONE)
        self.pass_time(30)
        self.assertEqual(self.membership.supernode, TWO)
        goodbye = self.client.goodbye

        async def forget_both(supernode: str, location: str) -> bool:
            self.client.known.discard(TWO)
            return await goodbye(supernode, location)

        self.patch(self.client, "goodbye", forget_both)
        self.client.up.add(ONE)
        self.passes(lambda: bool(self.client.goodbyes), HEARTBEAT_INTERVAL)
        self.assertEqual(
            self.client.called("register")[-1][0], self.client.called("goodbye")[-1][0]
        )
        self.assertIn(TWO, self.client.known)

    def test_given_up(self) -> None:
        """A supernode that was given up is told goodbye when it is back: it may list this node."""
        self.start(ONE, TWO, up=[ONE, TWO])
        self.client.up.discard(ONE)
        self.pass_time(30)
        self.assertEqual(self.client.goodbyes, [])
        self.client.up.add(ONE)
        self.pass_time(HEARTBEAT_INTERVAL)
        self.assertEqual(self.client.goodbyes, [(ONE, "10.0.0.9:8000(to 10.0.0.1)")])
        self.pass_time(4 * HEARTBEAT_INTERVAL)
        self.assertEqual(len(self.client.goodbyes), 1)
        self.assertEqual(self.membership.supernode, TWO)

    def test_given_up_and_joined_again(self) -> None:
        """A supernode that was given up and taken again is not told goodbye."""
        self.start(ONE, up=[ONE])
        self.client.up.clear()
        self.pass_time(30)
        self.client.up.add(ONE)
        self.pass_time(6 * HEARTBEAT_INTERVAL)
        self.assertEqual(self.membership.supernode, ONE)
        self.assertEqual(self.client.goodbyes, [])

    def test_given_up_refuses(self) -> None:
        """A supernode that was given up and refuses the goodbye is let alone."""
        self.start(ONE, TWO, up=[ONE, TWO])
        self.client.up.discard(ONE)
        self.pass_time(15)
        self.client.up.add(ONE)
        self.client.refusing.add(ONE)
        self.pass_time(4 * HEARTBEAT_INTERVAL)
        back = [at for at, where in self.client.called("goodbye") if where == ONE and at > 15]
        self.assertEqual(len(back), 1)

    def test_many_given_up(self) -> None:
        """Only so many supernodes are remembered as given up, and told goodbye in turn."""
        self.patch(membership, "GIVEN_UP_MAX", 2)
        names = [f"10.0.1.{number}:5000" for number in range(1, 5)]
        self.start(*names, up=names)
        for name in names[:3]:
            self.client.up.discard(name)
            self.pass_time(GONE + JITTER)
        self.assertEqual(self.membership.supernode, names[3])
        self.client.up.update(names)
        self.pass_time(4 * HEARTBEAT_INTERVAL)
        self.assertEqual({name for name, _ in self.client.goodbyes}, set(names[1:3]))


class StopTests(MembershipCase):
    """Stopping, whatever is being waited for; every test checks what is left on the clock."""

    def stopped_after(self, seconds: float) -> None:
        """Stop then, and see that nothing comes after that."""
        self.pass_time(seconds)
        self.successResultOf(self.membership.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        calls = len(self.client.calls)
        self.change(OTHER)
        self.clock.advance(100)
        self.assertEqual(len(self.client.calls), calls)

    def test_waiting_for_a_beat(self) -> None:
        """Stopped between two beats, it leaves nothing."""
        self.start(ONE, up=[ONE])
        self.stopped_after(3)

    def test_waiting_to_try_again(self) -> None:
        """Stopped between two tries to find a supernode, it leaves nothing."""
        self.start(ONE)
        self.stopped_after(3)

    def test_waiting_to_move(self) -> None:
        """Stopped while the move to another supernode is put off, it leaves nothing."""
        self.start(ONE, TWO, up=[ONE, TWO])
        self.client.up.discard(ONE)
        self.stopped_after(GONE)
        self.assertEqual(self.client.goodbyes, [])

    def test_resting(self) -> None:
        """Stopped while a change waits to be registered, it leaves nothing."""
        self.client.slowness = 1.0
        self.start(ONE, up=[ONE])
        self.pass_time(1)
        self.change(OTHER)
        self.stopped_after(1)

    def test_registering(self) -> None:
        """Stopped in the middle of a registration, it leaves nothing."""
        self.client.slowness = 1.0
        self.start(ONE, up=[ONE])
        self.stopped_after(0.5)

    def test_discovering(self) -> None:
        """Stopped in the middle of a search for supernodes, it leaves nothing."""
        searches: list[Deferred[Sequence[str]]] = []

        def discover() -> Deferred[Sequence[str]]:
            searches.append(Deferred())
            return searches[-1]

        self.make(discover=discover).startService()
        self.stopped_after(1)
        self.assertTrue(searches[0].called)

    def test_never_started(self) -> None:
        """It can be stopped without having been started."""
        self.successResultOf(self.make().stopService())

    def test_call_under_way(self) -> None:
        """Stopped while a supernode is slow to answer, it leaves nothing, with the real client."""
        reactor = MemoryReactorClock()
        client = make_client(cast(IClientReactor, reactor))
        self.make(self.given(ONE), client=client, clock=reactor).startService()
        self.assertEqual(len(reactor.tcpClients), 1)
        stopped = self.membership.stopService()
        # The goodbye, in vain.
        reactor.advance(CALL_TIMEOUT)
        self.successResultOf(stopped)
        self.assertEqual(reactor.getDelayedCalls(), [])
        reactor.advance(100)
        self.assertEqual(len(reactor.tcpClients), 2)
