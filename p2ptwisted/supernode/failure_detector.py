"""
The sweep of a supernode: every few seconds it asks each of its nodes whether
it is well, and forgets one that missed two checks in a row.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from p2ptwisted.interfaces import IRegistry
from p2ptwisted.model import NodeInfo
from p2ptwisted.supernode.stall_detector import TICK, StallDetector
from p2ptwisted.support.escaping import shown

#: Checks that a node may miss in a row before it is gone.
MISSES_MAX = 2

#: So many nodes that fail one sweep together, and are most of those asked, tell
#: more of the supernode or its network than of themselves: one such sweep is
#: not believed, only the next.
TOGETHER = 4

#: Seconds after a sweep that was not believed until the next one, so that
#: those who are really gone are not answered for much longer.
AGAIN = 1.0

#: Seconds for which the supernode itself was late, in all, during a check (whose
#: limit is 2 s) beyond which its failure tells nothing of the node.
LATE = 0.5

#: Seconds without a heartbeat after which a node that is well may have moved to
#: another supernode: one that is here has given this one up by then (`membership`).
SILENCE = 12.0

#: Nodes asked at once, so that many dead ones can't use up the sockets: of 1,000
#: nodes 500 can fall silent, and all are gone after two sweeps of 2 s.
CHECKS_AT_ONCE = 512

#: Checks begun at one turn of the reactor, each in a third of a millisecond or so.
BEGUN_AT_ONCE = 32

_log = Logger()


class MissCounter:
    """How many checks each node has missed in a row. Pure."""

    def __init__(self) -> None:
        self._missed: Counter[str] = Counter()
        #: Whether most failed the last sweep together.
        self.doubtful = False

    def seen(self, location: str) -> None:
        """The node there has shown that it is alive."""
        self._missed.pop(location, None)

    def swept(self, failed: Sequence[str], asked: int) -> list[str]:
        """A sweep of so many nodes is through and these have failed; those gone with that."""
        doubted = self.doubtful
        # Those that are missing already are no reason to doubt anything.
        fresh = sum(location not in self._missed for location in failed)
        self.doubtful = fresh >= TOGETHER and 2 * fresh > asked
        if self.doubtful and not doubted:
            return []
        return [location for location in failed if self._missed_too_often(location)]

    def _missed_too_often(self, location: str) -> bool:
        self._missed[location] += 1
        if self._missed[location] < MISSES_MAX:
            return False
        del self._missed[location]
        return True

    def keep(self, locations: Iterable[str]) -> None:
        """Forget what is not among these: nodes that left by themselves."""
        known = set(locations)
        for location in self._missed.keys() - known:
            del self._missed[location]


class Sweep(Service):
    """Checks all nodes of a registry, again and again."""

    def __init__(
        self,
        clock: IReactorTime,
        registry: IRegistry,
        is_well: Callable[[str], Awaitable[bool]],
        has_supernode: Callable[[str], Awaitable[bool]],
        interval: float,
    ) -> None:
        """
        `is_well` tells whether the node at a location answers, `has_supernode` whether
        it says that it is registered somewhere; neither may take long.

        `interval` is in seconds.
        """
        self._clock = clock
        self._registry = registry
        self._is_well = is_well
        self._has_supernode = has_supernode
        self._interval = interval
        self._misses = MissCounter()
        #: When each node last showed by itself that it is alive, or was first asked.
        self._heard: dict[str, float] = {}
        self._loop = LoopingCall(self.run)
        self._loop.clock = clock
        self._again: IDelayedCall | None = None
        self._lateness = StallDetector()
        self._ticks = LoopingCall(lambda: self._lateness.tick(clock.seconds()))
        self._ticks.clock = clock
        self._sweeping = False
        self._stopping = False
        #: Those that failed in the sweep under way, and have not been seen since.
        self._failed: dict[str, NodeInfo] = {}
        self._waiting: list[Deferred[None]] = []

    def startService(self) -> None:
        super().startService()
        self._stopping = False
        self._ticks.start(TICK)
        self._loop.start(self._interval, now=False)

    def stopService(self) -> Deferred[None]:
        super().stopService()
        self._stopping = True
        if self._loop.running:
            self._loop.stop()
            self._ticks.stop()
            self._lateness.stop()
        self._sweep_again(False)
        return self.run() if self._sweeping else succeed(None)

    def seen(self, location: str) -> bool:
        """A node has shown by itself that it is alive; False where it is not registered."""
        known = self._is_alive(location)
        if known:
            self._heard[location] = self._clock.seconds()
        return known

    def _is_alive(self, location: str) -> bool:
        self._misses.seen(location)
        self._failed.pop(location, None)
        return self._registry.seen(location)

    def run(self) -> Deferred[None]:
        """Sweep now, or join the sweep under way; fires when it is through. Never fails."""
        waiter: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiter)
        if not self._sweeping:
            self._sweeping = True
            Deferred.fromCoroutine(self._sweep())
        return waiter

    async def _sweep(self) -> None:
        try:
            nodes = self._registry.nodes()
            self._misses.keep(node.location for node in nodes)
            now = self._clock.seconds()
            self._heard = {node.location: self._heard.get(node.location, now) for node in nodes}
            await self._check_all(nodes)
            if not self._stopping:
                self._remove_missing(len(nodes))
                self._sweep_again(self._misses.doubtful)
        except Exception:
            # Anything raised here would end the LoopingCall for good.
            _log.failure("This sweep failed; the next one comes")
        finally:
            self._failed.clear()
            self._sweeping = False
            waiting, self._waiting = self._waiting, []
            for waiter in waiting:
                waiter.callback(None)

    def _sweep_again(self, soon: bool) -> None:
        """Have the next sweep begin soon, and not only at its regular time; or not any more."""
        if self._again is not None and self._again.active():
            self._again.cancel()
        self._again = self._clock.callLater(AGAIN, self.run) if soon and self.running else None

    async def _check_all(self, nodes: Sequence[NodeInfo]) -> None:
        """Ask all of them; through when each has answered or failed."""
        room = DeferredSemaphore(CHECKS_AT_ONCE)
        checks: list[Deferred[None]] = []
        for node in nodes:
            if checks and len(checks) % BEGUN_AT_ONCE == 0:
                await deferLater(self._clock, 0)
            await room.acquire()
            if self._stopping:
                break
            checks.append(Deferred.fromCoroutine(self._check(node, room)))
        await gatherResults(checks, consumeErrors=True)

    async def _check(self, node: NodeInfo, room: DeferredSemaphore) -> None:
        began = self._clock.seconds()
        try:
            if await self._is_well(node.location):
                self._is_alive(node.location)
                await self._remove_moved(node)
            elif self._late_since(began) < LATE:
                self._failed[node.location] = node
        finally:
            room.release()

    def _late_since(self, began: float) -> float:
        return self._lateness.since(began, self._clock.seconds())

    async def _remove_moved(self, node: NodeInfo) -> None:
        """
        Forget a node that is well, but registered elsewhere.

        It may have been given up while it was silent, or been restarted: nobody
        would tell this supernode what changes there.
        """
        if (
            self._is_silent(node)
            and await self._has_supernode(node.location)
            and self._is_silent(node)
            and self._registry.remove(node.location)
        ):
            _log.info(
                "Node {name} at {location} has another supernode",
                name=shown(node.name),
                location=node.location,
            )

    def _is_silent(self, node: NodeInfo) -> bool:
        heard = self._heard.get(node.location)
        if heard is None:
            return False
        # While the supernode was late, heartbeats were not read.
        return self._clock.seconds() - heard - self._late_since(heard) > SILENCE

    def _remove_missing(self, asked: int) -> None:
        failed = dict(self._failed)
        for location in self._misses.swept(list(failed), asked):
            if self._registry.remove(location):
                _log.info(
                    "Node {name} at {location} missed {misses} checks and is gone",
                    name=shown(failed[location].name),
                    location=location,
                    misses=MISSES_MAX,
                )
