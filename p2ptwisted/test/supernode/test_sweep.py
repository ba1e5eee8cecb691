"""Tests for `p2ptwisted.supernode.sweep`."""

import gc

from twisted.application.service import IService
from twisted.internet.defer import CancelledError, Deferred, FirstError
from twisted.internet.task import deferLater
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2ptwisted.client.transport import CALL_TIMEOUT
from p2ptwisted.model import NodeInfo, ResourceInfo
from p2ptwisted.supernode.failure_detector import DOUBTFUL_FAILURES
from p2ptwisted.supernode.registry.registry import Registry
from p2ptwisted.supernode.sweep import CHECKS_A_TURN, CHECKS_AT_ONCE, RECHECK_DELAY, Sweep
from p2ptwisted.support.escaping import SHOWN_MAX
from p2ptwisted.test.fakes import Slices, open_registry
from p2ptwisted.test.node_fakes import log_lines
from p2ptwisted.test.stoppable_clock import StoppableClock

A, B = "10.0.0.1:8000", "10.0.0.2:8000"

#: Seconds; a float adds up to whole seconds without an error only in such steps.
STEP = 1 / 8


class Nodes:
    """Nodes that answer their health check, or don't, or not yet."""

    def __init__(self) -> None:
        #: The checks so far, by location.
        self.asked: list[str] = []
        self.down: set[str] = set()
        #: Those that answer with an error.
        self.refusing: set[str] = set()
        #: The checks that the nodes in `hung` leave open.
        self.hung: set[str] = set()
        self.open: dict[str, Deferred[bool]] = {}
        self.most_at_once = 0
        #: Those that are registered at another supernode, by what they say.
        self.moved: set[str] = set()

    async def is_well(self, location: str) -> bool | None:
        self.asked.append(location)
        if location in self.hung:
            self.open[location] = Deferred()
            self.most_at_once = max(self.most_at_once, len(self.open))
            try:
                return await self.open[location]
            finally:
                del self.open[location]
        if location in self.refusing:
            return False
        return None if location in self.down else True

    def answer(self, location: str, well: bool) -> None:
        self.open[location].callback(well)

    async def has_supernode(self, location: str) -> bool:
        return location in self.moved


class SweepTestCase(SynchronousTestCase):
    """A sweep every 5 s over a real registry."""

    def setUp(self) -> None:
        self.clock = StoppableClock()
        self.slices = Slices()
        self.registry: Registry = open_registry(self.slices.cooperator, None)
        self.addCleanup(self.registry.close)
        self.nodes = Nodes()
        self.lost: list[str] = []
        self.sweep = Sweep(
            self.clock,
            self.registry,
            self.nodes.is_well,
            self.nodes.has_supernode,
            5.0,
            lambda node: self.lost.append(node.location),
        )

    def start(self) -> None:
        self.sweep.startService()

    def add(self, *locations: str) -> None:
        for location in locations:
            self.registry.register(NodeInfo("", location), [ResourceInfo("x", "x")])
        self.slices.run()

    def pass_time(self, seconds: float) -> None:
        """Let time pass in small steps."""
        self.clock.pump([STEP] * round(seconds / STEP))

    def alive(self) -> list[str]:
        return [node.location for node in self.registry.nodes()]


class SweepTests(SweepTestCase):
    """Who stays and who goes."""

    def test_provides(self) -> None:
        """It is a service."""
        verifyObject(IService, self.sweep)

    def test_interval(self) -> None:
        """All nodes are asked every 5 s, first 5 s after the start."""
        self.add(A, B)
        self.start()
        self.assertEqual(self.nodes.asked, [])
        self.clock.advance(5)
        self.assertEqual(self.nodes.asked, [A, B])
        self.clock.advance(4.9)
        self.assertEqual(self.nodes.asked, [A, B])
        self.clock.advance(0.1)
        self.assertEqual(self.nodes.asked, [A, B, A, B])

    def test_moved(self) -> None:
        """A node that is well, but silent and registered elsewhere, is gone; its silence tells."""
        self.add(A, B)
        self.nodes.moved = {A}
        self.start()
        self.sweep.seen(A)
        self.sweep.seen(B)
        self.pass_time(10)
        self.assertEqual(self.alive(), [A, B])
        self.pass_time(5)
        self.assertEqual(self.alive(), [B])
        self.assertEqual(self.lost, [])

    def test_lost(self) -> None:
        """It is told which nodes are gone without a word, each once."""
        self.add(A, B)
        self.nodes.down = {A}
        self.start()
        self.pass_time(30)
        self.assertEqual((self.alive(), self.lost), ([B], [A]))

    def test_heartbeats_tell(self) -> None:
        """A node whose heartbeats arrive is here, whatever its health says."""
        self.add(A)
        self.nodes.moved = {A}
        self.start()
        for _ in range(6):
            self.sweep.seen(A)
            self.pass_time(5)
        self.assertEqual(self.alive(), [A])

    def test_silent_and_nowhere(self) -> None:
        """A node that is well and knows no supernode stays, as those of other programs do."""
        self.add(A)
        self.start()
        self.pass_time(30)
        self.assertEqual(self.alive(), [A])

    def test_known_from_before(self) -> None:
        """A node of an earlier run of the supernode's is given the same time to be heard."""
        self.add(A)
        self.nodes.moved = {A}
        self.start()
        self.pass_time(15)
        self.assertEqual(self.alive(), [A])
        self.pass_time(5)
        self.assertEqual(self.alive(), [])

    def test_two_misses(self) -> None:
        """A node that misses two checks in a row is gone after the second, the others stay."""
        self.add(A, B)
        self.nodes.down = {A}
        self.start()
        self.clock.advance(5)
        self.assertEqual(self.alive(), [A, B])
        self.clock.advance(5)
        self.assertEqual(self.alive(), [B])
        self.assertEqual(self.registry.holdings(["x"])[0].file.locations, [B])

    def test_one_miss(self) -> None:
        """Misses that are not in a row remove nobody."""
        self.add(A)
        self.start()
        for down in [{A}, set(), {A}, set()]:
            self.nodes.down = down
            self.clock.advance(5)
        self.assertEqual(self.alive(), [A])

    def test_heartbeat_counts(self) -> None:
        """A node that posts heartbeats stays, though its checks are never answered."""
        self.add(A)
        self.nodes.down = {A}
        self.start()
        for _ in range(5):
            self.clock.advance(5)
            self.assertTrue(self.sweep.seen(A))
        self.assertEqual(self.alive(), [A])

    def test_heartbeat_of_a_stranger(self) -> None:
        """A heartbeat of a node that is not registered is answered so that it registers again."""
        self.assertFalse(self.sweep.seen(A))

    def test_answer_counts_as_seen(self) -> None:
        """A node that answers becomes the most recently seen; one that doesn't falls behind."""
        self.add(A, B)
        self.nodes.down = {B}
        self.start()
        self.clock.advance(5)
        self.assertEqual(self.registry.holdings(["x"])[0].file.locations, [A, B])

    def test_registers_again(self) -> None:
        """A node that was removed and registers again has two misses to its name once more."""
        self.add(A)
        self.nodes.down = {A}
        self.start()
        self.clock.advance(5)
        self.clock.advance(5)
        self.add(A)
        self.clock.advance(5)
        self.assertEqual(self.alive(), [A])
        self.clock.advance(5)
        self.assertEqual(self.alive(), [])

    def test_leaves_and_comes_back(self) -> None:
        """A node that had missed one, left by itself and came back has two misses again."""
        self.add(A)
        self.nodes.down = {A}
        self.start()
        self.clock.advance(5)
        self.registry.remove(A)
        self.clock.advance(5)
        self.add(A)
        self.clock.advance(5)
        self.assertEqual(self.alive(), [A])

    def test_goodbye_during_the_check(self) -> None:
        """A node that leaves while it is being asked is not brought back by its answer."""
        self.add(A)
        self.nodes.hung = {A}
        swept = self.sweep.run()
        self.registry.remove(A)
        self.nodes.answer(A, True)
        self.successResultOf(swept)
        self.assertEqual(self.alive(), [])

    def test_supernode_was_late(self) -> None:
        """A check whose answer couldn't be read while the supernode stood still is no miss."""
        self.add(A)
        self.start()
        for _ in range(3):
            self.nodes.hung = {A}
            self.pass_time(5)
            failing = self.clock.callLater(CALL_TIMEOUT, self.nodes.answer, A, False)
            self.clock.stand_still(20)
            self.assertTrue(failing.active())
            failing.cancel()
            self.nodes.answer(A, True)
            self.pass_time(2)
        self.assertEqual(self.alive(), [A])

    def test_supernode_was_late_before(self) -> None:
        """One that began after it had stood still is, if it is not late any more."""
        self.add(A)
        self.start()
        for _ in range(2):
            self.nodes.hung = {A}
            self.clock.stand_still(5)
            self.pass_time(5)
            self.clock.callLater(CALL_TIMEOUT, self.nodes.answer, A, False)
            self.pass_time(2)
        self.assertEqual(self.alive(), [])

    def test_late_but_in_time(self) -> None:
        """A check that failed when its time was up, on an idle supernode, is a miss."""
        self.add(A)
        self.start()
        self.nodes.hung = {A}
        for _ in range(2):
            while not self.nodes.open:
                self.pass_time(STEP)
            self.pass_time(2)
            self.nodes.answer(A, False)
        self.assertEqual(self.alive(), [])

    def test_silent_while_late(self) -> None:
        """Heartbeats that could not be read are not missing: the node is still here."""
        self.add(A)
        self.nodes.moved = {A}
        self.start()
        self.sweep.seen(A)
        self.clock.stand_still(20)
        self.pass_time(10)
        self.assertEqual(self.alive(), [A])
        self.pass_time(10)
        self.assertEqual(self.alive(), [])

    def test_heartbeat_while_others_are_asked(self) -> None:
        """A node that failed its check and is heard before the sweep ends has not missed it."""
        self.add(A, B)
        self.nodes.down, self.nodes.hung = {A}, {B}
        self.start()
        for _ in range(2):
            self.clock.advance(5)
            self.sweep.seen(A)
            self.nodes.answer(B, True)
        self.assertEqual(self.alive(), [A, B])

    def test_nobody(self) -> None:
        """A sweep over no nodes is through at once."""
        self.successResultOf(self.sweep.run())


class ClosedPortTests(SweepTestCase):
    """Nodes whose heartbeats arrive, and that nobody can reach."""

    def live(self, seconds: float, *heard: str) -> None:
        """Let time pass in which these nodes send their heartbeats, 1 s behind each sweep."""
        for _ in range(round(seconds / 5)):
            for location in heard:
                self.sweep.seen(location)
            self.pass_time(5)

    def unreachable(self) -> list[str]:
        return [node.location for node in self.registry.nodes() if not node.reachable]

    def setUp(self) -> None:
        super().setUp()
        self.add(A, B)
        self.start()
        self.pass_time(1)

    def test_closed(self) -> None:
        """After three checks in vain it is listed as such, and it is no first holder any more."""
        self.live(5, A, B)
        self.nodes.down = {A}
        self.live(10, A, B)
        self.assertEqual(self.unreachable(), [])
        with log_lines(LogLevel.warn) as lines:
            self.live(20, A, B)
        (line,) = lines
        self.assertIn(f"can't be reached at {A}", line)
        self.assertEqual(self.unreachable(), [A])
        self.sweep.seen(A)
        self.assertEqual(self.registry.holdings(["x"])[0].file.locations, [B, A])

    def test_open_again(self) -> None:
        """The first check that is passed ends it."""
        self.nodes.down = {A}
        self.live(15, A, B)
        self.assertEqual(self.unreachable(), [A])
        self.nodes.down = set()
        with log_lines(LogLevel.info) as lines:
            self.live(5, A, B)
        self.assertEqual(lines, [f"Node  can be reached at {A} again"])
        self.assertEqual(self.unreachable(), [])

    def test_refuses(self) -> None:
        """A node that answers with an error, being too busy for example, is reached."""
        self.nodes.refusing = {A}
        self.live(30, A, B)
        self.assertEqual((self.alive(), self.unreachable()), ([A, B], []))
        self.nodes.refusing, self.nodes.down = set(), {A}
        self.live(15, A, B)
        self.assertEqual(self.unreachable(), [A])
        self.nodes.refusing, self.nodes.down = {A}, set()
        self.live(5, A, B)
        self.assertEqual(self.unreachable(), [])

    def test_own_network(self) -> None:
        """While the supernode's own network is gone, nobody is: no heartbeats arrive either."""
        others = [f"10.1.0.{number}:80" for number in range(1, 9)]
        self.add(*others)
        everybody = [A, B, *others]
        self.live(5, *everybody)
        self.nodes.down = set(everybody)
        for _ in range(9):
            self.pass_time(1)
        self.nodes.down = set()
        self.live(5, *everybody)
        self.assertEqual(self.unreachable(), [])

    def test_own_firewall(self) -> None:
        """Nor where the supernode can't call anybody for a while, though all heartbeats arrive."""
        others = [f"10.1.0.{number}:80" for number in range(1, 9)]
        self.add(*others)
        everybody = [A, B, *others]
        self.nodes.down = set(everybody)
        self.live(45, *everybody)
        self.assertEqual(self.unreachable(), [])
        self.live(30, *everybody)
        self.assertEqual(sorted(self.unreachable()), sorted(everybody))
        # They are not looked at any more often than others, either.
        self.nodes.asked.clear()
        self.live(10, *everybody)
        self.assertEqual(len(self.nodes.asked), 2 * len(everybody))

    def test_falls_silent(self) -> None:
        """One whose heartbeats end is gone when they are missing for 12 s, and no sooner."""
        self.nodes.down = {A}
        self.live(20, A, B)
        self.pass_time(8)
        self.assertEqual(self.alive(), [A, B])
        self.pass_time(5)
        self.assertEqual(self.alive(), [B])

    def test_heartbeats_apart(self) -> None:
        """Two sweeps between two of its heartbeats, as happens, don't make it go."""
        self.nodes.down = {A}
        self.live(20, A, B)
        self.pass_time(5.5)
        self.live(10, A, B)
        self.assertEqual(self.alive(), [A, B])
        self.assertEqual(self.unreachable(), [A])

    def test_comes_back(self) -> None:
        """A node that has left, and registers again, counts as reachable until it isn't."""
        self.nodes.down = {A}
        self.live(15, A, B)
        self.registry.remove(A)
        self.add(A)
        self.assertEqual(self.unreachable(), [])
        self.live(15, A, B)
        self.assertEqual(self.unreachable(), [A])


class HungTests(SweepTestCase):
    """Nodes that take the connection and never answer."""

    def test_delays_nobody(self) -> None:
        """All others are asked and judged while one hangs."""
        others = [f"10.1.0.{number}:80" for number in range(1, 201)]
        self.add(A, *others)
        self.nodes.hung = {A}
        self.sweep.run()
        self.clock.advance(0)
        self.assertEqual(self.nodes.asked, [A, *others])

    def test_at_most_at_once(self) -> None:
        """However many hang, 512 are asked at once; each that ends makes room for one."""
        nodes = [f"10.1.{number // 200}.{number % 200 + 1}:80" for number in range(600)]
        self.add(*nodes)
        self.nodes.hung = set(nodes)
        swept = self.sweep.run()
        self.clock.advance(0)
        self.assertEqual(CHECKS_AT_ONCE, 512)
        self.assertEqual(self.nodes.asked, nodes[:512])
        self.nodes.answer(nodes[10], True)
        self.clock.advance(0)
        self.assertEqual(self.nodes.asked, nodes[:513])
        while self.nodes.open:
            self.nodes.answer(next(iter(self.nodes.open)), True)
            self.clock.advance(0)
        self.successResultOf(swept)
        self.assertEqual(self.nodes.asked, nodes)
        self.assertEqual(self.nodes.most_at_once, 512)

    def test_begun_in_turns(self) -> None:
        """Not all begin at one turn of the reactor, which has others to serve."""
        nodes = [f"10.1.0.{number}:80" for number in range(1, 101)]
        self.add(*nodes)
        self.nodes.hung = set(nodes)
        self.sweep.run()
        self.assertEqual(self.nodes.asked, nodes[:CHECKS_A_TURN])
        self.clock.advance(0)
        self.assertEqual(self.nodes.asked, nodes)

    def test_no_second_sweep_meanwhile(self) -> None:
        """The next sweep waits for one that takes longer than the interval."""
        self.add(A)
        self.nodes.hung = {A}
        self.start()
        self.clock.advance(5)
        self.clock.advance(5)
        self.assertEqual(self.nodes.asked, [A])
        self.nodes.answer(A, False)
        self.clock.advance(5)
        self.assertEqual(self.nodes.asked, [A, A])


class SilentTests(SweepTestCase):
    """Many nodes whose network is gone: each check takes its 2 s."""

    def setUp(self) -> None:
        super().setUp()
        self.silent: set[str] = set()
        self.sweep = Sweep(self.clock, self.registry, self.is_well, self.nodes.has_supernode, 5.0)

    async def is_well(self, location: str) -> bool:
        self.nodes.asked.append(location)
        if location in self.silent:
            await deferLater(self.clock, CALL_TIMEOUT)
        return location not in self.silent

    def gone_after(self, count: int, silent: int, phase: float) -> float:
        """How long it takes until the last of so many that fell silent is forgotten."""
        nodes = [f"10.1.{number // 200}.{number % 200 + 1}:80" for number in range(count)]
        self.add(*nodes)
        self.sweep.startService()
        self.pass_time(5 + phase)
        # Every second one, or every one, as the registry lists them.
        self.silent = set((nodes[::2] + nodes[1::2])[:silent])
        fell = self.clock.seconds()
        while self.silent & set(self.alive()):
            self.assertLess(self.clock.seconds() - fell, 60)
            self.clock.advance(STEP)
        self.assertEqual(len(self.alive()), count - silent)
        self.successResultOf(self.sweep.stopService())
        return self.clock.seconds() - fell

    def test_within_15_s(self) -> None:
        """All are gone within 15 s, be they half of 1,000, most of them, or a few."""
        for count, silent in ((1_000, 500), (900, 512), (300, 299), (5, 4), (4, 4), (2, 1)):
            for phase in (STEP, 5 - STEP):
                self.setUp()
                gone = self.gone_after(count, silent, phase)
                self.assertLess(gone, 15.0, f"{silent} of {count}")

    def test_again_soon(self) -> None:
        """After a sweep that is not believed the next comes soon, and not once it has stopped."""
        nodes = [f"10.1.0.{number}:80" for number in range(1, DOUBTFUL_FAILURES + 1)]
        self.add(*nodes)
        self.sweep.startService()
        self.silent = set(nodes)
        self.pass_time(5 + CALL_TIMEOUT)
        self.assertEqual(len(self.nodes.asked), DOUBTFUL_FAILURES)
        self.pass_time(RECHECK_DELAY)
        self.assertEqual(len(self.nodes.asked), 2 * DOUBTFUL_FAILURES)
        self.pass_time(CALL_TIMEOUT)
        self.successResultOf(self.sweep.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])


class JoiningTests(SweepTestCase):
    """Sweeps that are asked for."""

    def setUp(self) -> None:
        super().setUp()
        self.add(A)
        self.nodes.hung = {A}

    def test_run_joins(self) -> None:
        """Whoever asks during a sweep shares it, and nobody is asked twice."""
        both = [self.sweep.run(), self.sweep.run()]
        self.assertEqual(self.nodes.asked, [A])
        self.nodes.answer(A, True)
        for swept in both:
            self.successResultOf(swept)

    def test_run_joins_the_regular_one(self) -> None:
        """The sweep that comes every 5 s is shared too, and so counts one miss and not two."""
        self.start()
        self.clock.advance(5)
        swept = self.sweep.run()
        self.nodes.answer(A, False)
        self.successResultOf(swept)
        self.assertEqual(self.alive(), [A])

    def test_run_after_the_end(self) -> None:
        """A sweep that is through is not shared: the next asks again."""
        first = self.sweep.run()
        self.nodes.answer(A, True)
        self.successResultOf(first)
        second = self.sweep.run()
        self.assertNoResult(second)
        self.assertEqual(self.nodes.asked, [A, A])

    def test_run_again_from_the_end(self) -> None:
        """Whoever asks again as soon as a sweep is through gets a new one."""
        again: list[Deferred[None]] = []
        self.sweep.run().addCallback(lambda _: again.append(self.sweep.run()))
        self.nodes.answer(A, True)
        self.assertEqual(self.nodes.asked, [A, A])
        self.assertNoResult(again[0])

    def test_giving_up(self) -> None:
        """One that waits for the sweep and gives up leaves the others waiting, and the sweep."""
        one, other = self.sweep.run(), self.sweep.run()
        one.cancel()
        self.failureResultOf(one, CancelledError)
        self.assertNoResult(other)
        self.nodes.answer(A, True)
        self.successResultOf(other)


class LogTests(SweepTestCase):
    """What the log says of nodes that are gone."""

    def test_long_name(self) -> None:
        """A node's name is shown as far as it tells it from others, however it is escaped."""
        self.registry.register(NodeInfo("\U000e0001" * 4096, A), [])
        self.registry.register(NodeInfo("name", B), [])
        self.slices.run()
        self.nodes.down = {A, B}
        self.start()
        with log_lines(LogLevel.info) as lines:
            self.pass_time(11)
        self.assertEqual(self.alive(), [])
        long, short = sorted(lines, key=len, reverse=True)
        self.assertLess(len(long), SHOWN_MAX + 100)
        self.assertIn(A, long)
        self.assertEqual(short, f"Node name at {B} missed 2 checks and is gone")


class FailureTests(SweepTestCase):
    """What goes wrong inside a sweep."""

    def test_registry_fails(self) -> None:
        """An exception ends that sweep, is in the log, and the next sweep comes."""
        self.add(A)
        self.start()

        def broken() -> list[NodeInfo]:
            raise OSError("disk gone")

        patch = self.patch(self.registry, "nodes", broken)
        self.clock.advance(5)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        patch.restore()
        self.clock.advance(5)
        self.assertEqual(self.nodes.asked, [A])

    def test_check_fails(self) -> None:
        """A check that raises is logged once, and ends neither the loop nor anybody's wait."""
        self.add(A)
        self.start()
        self.nodes.hung = {A}
        swept = self.sweep.run()
        self.nodes.open[A].errback(RuntimeError("a mistake"))
        self.successResultOf(swept)
        logged = [error.type for error in self.flushLoggedErrors()]
        # What nobody handled is logged when it is collected.
        gc.collect()
        logged += [error.type for error in self.flushLoggedErrors()]
        self.assertEqual(logged, [FirstError])
        self.nodes.hung = set()
        self.clock.advance(5)
        self.assertEqual(self.nodes.asked, [A, A])


class StopTests(SweepTestCase):
    """The end of the service."""

    def test_between_sweeps(self) -> None:
        """Between two sweeps it stops at once and leaves nothing behind."""
        self.add(A)
        self.start()
        self.successResultOf(self.sweep.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(60)
        self.assertEqual(self.nodes.asked, [])

    def test_during_a_sweep(self) -> None:
        """During one it waits for the checks under way, for they use what is closed next."""
        self.add(A)
        self.nodes.hung = {A}
        self.start()
        self.clock.advance(5)
        stopped = self.sweep.stopService()
        self.assertNoResult(stopped)
        self.nodes.answer(A, True)
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_no_further_checks(self) -> None:
        """Once it stops no further node is asked, or many dead ones could hold it up for long."""
        nodes = [f"10.1.{number // 200}.{number % 200 + 1}:80" for number in range(600)]
        self.add(*nodes)
        self.nodes.hung = set(nodes)
        self.start()
        self.clock.advance(5)
        stopped = self.sweep.stopService()
        for node in nodes[:CHECKS_AT_ONCE]:
            self.nodes.answer(node, False)
        self.assertEqual(self.nodes.asked, nodes[:CHECKS_AT_ONCE])
        self.successResultOf(stopped)

    def test_again(self) -> None:
        """What was stopped can be started again."""
        self.add(A)
        self.start()
        self.assertTrue(self.sweep.running)
        self.successResultOf(self.sweep.stopService())
        self.assertFalse(self.sweep.running)
        self.start()
        self.clock.advance(5)
        self.assertEqual(self.nodes.asked, [A])
