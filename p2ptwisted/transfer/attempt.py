"""
One attempt at a resource: from the holders that say the same of its pieces. A worker for
each source asks it for pieces and writes what comes, until all is there and the id tells
whether it is right.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import (
    CooperativeTask,
    Cooperator,
    LoopingCall,
    TaskFinished,
    TaskStopped,
)
from twisted.python.failure import Failure

from p2ptwisted.client.api import Client
from p2ptwisted.client.transport import Refused
from p2ptwisted.errors import Unavailable
from p2ptwisted.interfaces import IFileDigest
from p2ptwisted.support.lifecycle import Wakeup
from p2ptwisted.transfer.file_digest import KnownDigest
from p2ptwisted.transfer.incoming_pieces import IncomingPieces
from p2ptwisted.transfer.part_file import PartFile
from p2ptwisted.transfer.patience import Patience
from p2ptwisted.transfer.piece_picker import Neighbor, PiecePicker, RateMeter
from p2ptwisted.transfer.swarm import WRONG_DIGESTS, HolderGroup, Swarm

#: Seconds between two questions what a holder of a part has.
POLL = 0.25

#: Seconds without a byte from a source after which its connection is closed.
SILENCE = 10.0

#: Seconds without a piece from anybody after which an attempt ends; and see `patience.SLOWEST`.
PATIENCE = 30.0

#: Why a source that trickles is left alone.
TRICKLES = "it sends next to nothing"


class Useless(Exception):
    """This group can't be fetched from."""


class Lies(Useless):
    """What this group says of the pieces is not so."""


@dataclass(frozen=True)
class Means:
    """What all attempts of a fetch work with."""

    clock: IReactorTime
    client: Client
    cooperator: Cooperator
    #: Makes the digest of a file that grows to a size.
    whole: Callable[[Path, os.stat_result, int], IFileDigest]
    #: Is told of bytes that came, and tells how many seconds to wait before more.
    throttle: Callable[[int], float]


class Attempt:
    """What one group of holders gives, into one part."""

    def __init__(
        self,
        means: Means,
        id: str,
        sources: Swarm,
        group: HolderGroup,
        part: PartFile,
        started: Callable[[], None],
        is_disputed: Callable[[], bool],
    ) -> None:
        """
        `started` is called when the first piece is here; `is_disputed` tells whether others
        say something else of the pieces, so that no room is to be reserved yet.
        """
        self._means = means
        self._clock = means.clock
        self._id = id
        self._sources = sources
        self._started = started
        self._is_disputed = is_disputed
        self._signal = Wakeup(means.clock)
        self._workers: dict[str, Deferred[None]] = {}
        #: What the workers work at; one that is cancelled by what it has set off sees it here.
        self._current: PiecePicker | None = None
        self._whole: IFileDigest | None = None
        self._patience = Patience(PATIENCE)
        self._reserving: CooperativeTask[Iterator[None]] | None = None
        self._error: Failure | None = None
        self.group = group
        self.part = part
        self.plan = PiecePicker(group.pieces, part.have)
        self.rate = RateMeter()
        #: When the last piece came.
        self.came_at = 0.0

    @property
    def bytes_here(self) -> int:
        """Of pieces that are right, as their digests say."""
        return self.part.pieces.size - self.plan.bytes_missing

    def wake(self) -> None:
        """Something may have changed: who is in the group, or what others do."""
        self._signal.fire()

    async def run(self) -> None:
        """
        Until all is there and right.

        Raises Useless where nothing more is to be had so, and Unavailable where it can't be
        written. What has come is kept.
        """
        if self.part.have:
            self._started()
        while await self._gather() != self._id:
            # Something may have happened to what was there before: look at every piece.
            await _done(self._means.cooperator.cooperate(self.part.recheck()))
            if self.part.is_complete:
                # Every piece is as its digest says, so it is the digests that are wrong.
                raise Lies(WRONG_DIGESTS)
            self.plan = PiecePicker(self.group.pieces, self.part.have)

    async def _gather(self) -> str:
        """All pieces that the group tells of; the digest of the whole."""
        self._current = plan = self.plan
        self.rate.begin(self._clock.seconds())
        self._patience.satisfied(self._clock.seconds())
        self._whole = whole = self._begin_whole()
        polling = LoopingCall(self._sources.poll, self.group)
        polling.clock = self._clock
        polling.start(POLL, now=False)
        try:
            while not plan.done:
                self._employ(plan)
                self._reserve()
                await self._signal.wait(max(0.0, self._patience_left(plan)))
                if self._error is not None:
                    self._error.raiseException()
                if all(source.distrusted for source in plan.sources):
                    raise Useless("what it sends is not what its piece digests say")
                if not plan.done and self._patience_left(plan) <= 0:
                    raise Useless(f"no piece has come for {PATIENCE:.0f} s")
            return await whole.digest()
        finally:
            polling.stop()
            self._stop_workers()
            if self._reserving is not None:
                _stop(self._reserving)
            await whole.stop()

    def _begin_whole(self) -> IFileDigest:
        pieces = self.part.pieces
        known = pieces.whole
        whole = (
            KnownDigest(known)
            if known is not None
            else self._means.whole(self.part.path, self.part.status(), pieces.size)
        )
        whole.grown(self.part.front)
        return whole

    def _patience_left(self, plan: PiecePicker) -> float:
        return self._patience.left(self._clock.seconds(), plan.bytes_coming)

    def _reserve(self) -> None:
        """Take all the room, once there is a piece that is right and nobody disputes it."""
        if self._reserving is None and self.part.have and not self._is_disputed():
            self._reserving = self._means.cooperator.cooperate(self.part.reserve())
            self._reserving.whenDone().addErrback(self._failed)

    # -- workers

    def _employ(self, plan: PiecePicker) -> None:
        for location, has in list(self.group.has.items()):
            source = plan.offer(location, has)
            if location not in self._workers:
                worker = Deferred.fromCoroutine(self._ask(source, plan))
                self._workers[location] = worker.addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError, TaskStopped):
            # A disk that is full or a mistake of ours: it ends the attempt.
            self._error = failure
            self._signal.fire()

    def _stop_workers(self) -> None:
        self._current = None
        for worker in self._workers.values():
            worker.cancel()
        self._workers.clear()

    async def _ask(self, source: Neighbor, plan: PiecePicker) -> None:
        """Ask one source, again and again, until nothing is missing."""
        while self._current is plan and not plan.done:
            wanted = plan.wanted(source, self._clock.seconds())
            if not wanted:
                await self._signal.wait(POLL)
                continue
            incoming = IncomingPieces(source, plan, self.part, self._received, self._verified)
            try:
                await self._means.client.stream(
                    source.location, self._id, wanted, incoming, SILENCE
                )
            except (Refused, Unavailable) as error:
                if incoming.failure is not None:
                    incoming.failure.raiseException()
                if not incoming.ended:
                    now = self._clock.seconds()
                    trickles = source.sending and plan.trickles(source, now)
                    plan.failed(source, now)
                    self._sources.troubles[source.location] = TRICKLES if trickles else str(error)
            plan.released(source)
            self._signal.fire()

    def _received(self, source: Neighbor, count: int) -> float | None:
        """Bytes have come; the seconds to wait before more, None where they are too few."""
        now = self._clock.seconds()
        self.plan.progress(source, count, now)
        self.rate.add(count, now)
        pause = self._means.throttle(count)
        if pause > 0:
            # While we hold them back ourselves, nobody is slow.
            self._patience.held(pause, now)
            source.patience.held(pause, now)
        elif self.plan.trickles(source, now):
            return None
        return pause

    def _verified(self, source: Neighbor, piece: int) -> None:
        """A piece has come and is right."""
        self.plan.verified(source, piece)
        self.came_at = self._clock.seconds()
        self._patience.satisfied(self.came_at)
        self._sources.troubles.pop(source.location, None)
        if self._whole is not None:
            self._whole.grown(self.part.front)
        if self.part.have.bit_count() == 1:
            self._started()
        self._signal.fire()


async def _done(task: CooperativeTask[Iterator[None]]) -> None:
    """Until it is through; it stops where that isn't waited for any more."""
    try:
        await task.whenDone()
    finally:
        _stop(task)


def _stop(task: CooperativeTask[Iterator[None]]) -> None:
    try:
        task.stop()
    except TaskFinished:
        pass
