"""
The sweep of a supernode: every few seconds it checks each of its nodes, and
removes those that are gone or registered elsewhere.

Which failures mean that a node is gone is decided by `failure_detector`, and
by `reachability` which mean that it is alive, but nobody reaches it.
"""

from collections.abc import Awaitable, Callable, Sequence

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from p2ptwisted.interfaces import IRegistry
from p2ptwisted.model import NodeInfo
from p2ptwisted.supernode.failure_detector import MISSES_MAX, FailureDetector
from p2ptwisted.supernode.reachability import Reachability
from p2ptwisted.support.escaping import shown

#: Seconds from a sweep that was not believed to the next one, so that nodes
#: that are really gone are not given in answers for much longer.
RECHECK_DELAY = 1.0

#: Seconds without a heartbeat after which a node that is well may have moved to another
#: supernode, and one that can't be reached is gone: a node that is still here would have given
#: this supernode up by then (`membership`).
SILENCE_MAX = 12.0

#: Nodes checked at once, so that many dead ones can't use up the sockets: of 1,000
#: nodes 500 can fall silent, and all are gone after two sweeps of 2 s.
CHECKS_AT_ONCE = 512

#: Checks started in one turn of the reactor; starting one takes about a third of a millisecond.
CHECKS_A_TURN = 32

_log = Logger()


class Sweep(Service):
    """Checks all nodes of a registry at a regular interval."""

    def __init__(
        self,
        clock: IReactorTime,
        registry: IRegistry,
        is_well: Callable[[str], Awaitable[bool | None]],
        has_supernode: Callable[[str], Awaitable[bool]],
        interval: float,
        lost: Callable[[NodeInfo], None] = lambda node: None,
    ) -> None:
        """
        `is_well` says whether the node at a location answers its health check, None
        where nobody answers there at all; `has_supernode` whether that node says that
        it is registered somewhere. Both must time out by themselves.

        `interval`: seconds between the starts of two sweeps. `lost` is called with each node that
        is gone without a word.
        """
        self._clock = clock
        self._registry = registry
        self._is_well = is_well
        self._has_supernode = has_supernode
        self._interval = interval
        self._lost = lost
        self._detector = FailureDetector()
        self._reachability = Reachability()
        #: By location, when each node last showed by itself that it is alive, or was first checked.
        self._heard: dict[str, float] = {}
        self._loop = LoopingCall(self.run)
        self._loop.clock = clock
        self._recheck: IDelayedCall | None = None
        self._sweeping = False
        self._stopping = False
        #: By location, the nodes that failed in the sweep under way and were not seen since.
        self._failed: dict[str, NodeInfo] = {}
        self._waiting: list[Deferred[None]] = []

    def startService(self) -> None:
        super().startService()
        self._stopping = False
        self._loop.start(self._interval, now=False)

    def stopService(self) -> Deferred[None]:
        super().stopService()
        self._stopping = True
        if self._loop.running:
            self._loop.stop()
        self._schedule_recheck(False)
        return self.run() if self._sweeping else succeed(None)

    def seen(self, location: str) -> bool:
        """
        Note that the node at `location` has shown by itself that it is alive.

        Returns False if no node is registered there.
        """
        is_registered = self._mark_alive(location)
        if is_registered:
            self._heard[location] = self._clock.seconds()
        return is_registered

    def _mark_alive(self, location: str) -> bool:
        self._detector.seen(location)
        self._failed.pop(location, None)
        return self._registry.seen(location)

    def run(self) -> Deferred[None]:
        """Start a sweep, or join the sweep under way; fires when it has ended. Never fails."""
        waiter: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiter)
        if not self._sweeping:
            self._sweeping = True
            Deferred.fromCoroutine(self._sweep())
        return waiter

    async def _sweep(self) -> None:
        try:
            nodes = self._registry.nodes()
            self._detector.keep(node.location for node in nodes)
            self._reachability.keep(node.location for node in nodes)
            now = self._clock.seconds()
            self._heard = {node.location: self._heard.get(node.location, now) for node in nodes}
            await self._check_all(nodes)
            if not self._stopping:
                self._remove_missing(len(nodes))
                self._mark_unreachable(nodes)
                self._schedule_recheck(self._detector.is_doubtful)
        except Exception:
            # Anything raised here would end the LoopingCall for good.
            _log.failure("This sweep failed; the next one comes")
        finally:
            self._failed.clear()
            self._sweeping = False
            waiting, self._waiting = self._waiting, []
            for waiter in waiting:
                waiter.callback(None)

    def _schedule_recheck(self, is_needed: bool) -> None:
        """Have an extra sweep start before the regular one, or cancel the one scheduled."""
        if self._recheck is not None and self._recheck.active():
            self._recheck.cancel()
        self._recheck = None
        if is_needed and self.running:
            self._recheck = self._clock.callLater(RECHECK_DELAY, self.run)

    async def _check_all(self, nodes: Sequence[NodeInfo]) -> None:
        """Check all of these nodes; returns when each has answered or failed."""
        room = DeferredSemaphore(CHECKS_AT_ONCE)
        checks: list[Deferred[None]] = []
        for node in nodes:
            if checks and len(checks) % CHECKS_A_TURN == 0:
                await deferLater(self._clock, 0)
            await room.acquire()
            if self._stopping:
                break
            checks.append(Deferred.fromCoroutine(self._check(node, room)))
        await gatherResults(checks, consumeErrors=True)

    async def _check(self, node: NodeInfo, room: DeferredSemaphore) -> None:
        began = self._clock.seconds()
        try:
            is_well = await self._is_well(node.location)
            if is_well is not None:
                # Even if it is too busy, or doesn't take this supernode for a member.
                self._mark_reached(node)
            if is_well:
                self._mark_alive(node.location)
                await self._remove_moved(node)
            else:
                self._failed[node.location] = node
                if is_well is None:
                    self._reachability.missed(node.location, began)
        finally:
            room.release()

    def _mark_reached(self, node: NodeInfo) -> None:
        self._reachability.reached(node.location)
        if not self._registry.is_reachable(node.location):
            self._registry.mark_reachable(node.location, True)
            _log.info(
                "Node {name} can be reached at {location} again",
                name=shown(node.name),
                location=node.location,
            )

    def _mark_unreachable(self, nodes: Sequence[NodeInfo]) -> None:
        """Have those that are alive, but can't be reached, be told, and given after all others."""
        now = self._clock.seconds()
        unreachable = set(self._reachability.unreachable(now, self._heard, len(nodes)))
        for node in nodes:
            if node.location in unreachable and self._registry.is_reachable(node.location):
                self._registry.mark_reachable(node.location, False)
                _log.warn(
                    "Node {name} sends heartbeats, but can't be reached at {location}: it is told, "
                    "and named after all other holders",
                    name=shown(node.name),
                    location=node.location,
                )

    async def _remove_moved(self, node: NodeInfo) -> None:
        """
        Remove a node that is well but registered at another supernode.

        It may have been given up here while it was silent, or it may have been restarted:
        nobody would tell this supernode what changes at that node.
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
        return self._clock.seconds() - heard > SILENCE_MAX

    def _remove_missing(self, asked: int) -> None:
        """Remove the nodes that are gone after a sweep of `asked` nodes."""
        failed = dict(self._failed)
        # One that was heard while its checks failed can't be reached: only its silence tells.
        heard = {one for one in failed if self._reachability.is_heard(one, self._heard)}
        gone = self._detector.swept([one for one in failed if one not in heard], asked)
        gone += [one for one in heard if self._is_silent(failed[one])]
        for location in gone:
            if self._registry.remove(location):
                self._lost(failed[location])
                _log.info(
                    "Node {name} at {location} missed {misses} checks and is gone",
                    name=shown(failed[location].name),
                    location=location,
                    misses=MISSES_MAX,
                )
