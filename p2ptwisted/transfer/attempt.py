"""
One attempt at a resource: from the holders that agree about its pieces. A worker for each
neighbor asks it for pieces and writes what comes, until every piece is here and the id says
whether the file is right.
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
from p2ptwisted.transfer.piece_deadline import PieceDeadline
from p2ptwisted.transfer.piece_picker import Neighbor, PiecePicker
from p2ptwisted.transfer.rate_meter import RateMeter
from p2ptwisted.transfer.swarm import WRONG_DIGESTS, HolderGroup, Swarm

#: Seconds between two questions what a holder of a part has.
POLL_INTERVAL = 0.25

#: Seconds without a byte from a neighbor after which its connection is closed.
SILENCE_TIMEOUT = 10.0

#: Seconds without a piece from anybody after which an attempt ends; and see
#: `piece_deadline.SLOWEST`.
PIECE_TIMEOUT = 30.0

#: Why a neighbor that trickles is left alone.
TRICKLES = "it sends next to nothing"


class AttemptFailed(Exception):
    """The resource can't be fetched from this group."""


class FalseDigests(AttemptFailed):
    """The piece digests that this group gives are not the resource's."""


@dataclass(frozen=True)
class AttemptContext:
    """What all attempts of a download share."""

    clock: IReactorTime
    client: Client
    cooperator: Cooperator
    #: Makes the digest of a file that grows to a size.
    make_digest: Callable[[Path, os.stat_result, int], IFileDigest]
    #: Takes the number of bytes that came; the seconds to wait before more.
    throttle: Callable[[int], float]


class Attempt:
    """What one group of holders gives, into one part."""

    def __init__(
        self,
        context: AttemptContext,
        id: str,
        swarm: Swarm,
        group: HolderGroup,
        part: PartFile,
        started: Callable[[], None],
        is_disputed: Callable[[], bool],
    ) -> None:
        """
        `started` is called when the first piece is here. `is_disputed` returns whether others
        say something else of the pieces, so that no room is to be reserved yet.
        """
        self._context = context
        self._clock = context.clock
        self._id = id
        self._swarm = swarm
        self._started = started
        self._is_disputed = is_disputed
        self._wakeup = Wakeup(context.clock)
        self._workers: dict[str, Deferred[None]] = {}
        #: What the workers work at; one that is cancelled by what it has set off sees it here.
        self._current: PiecePicker | None = None
        self._file_digest: IFileDigest | None = None
        self._deadline = PieceDeadline(PIECE_TIMEOUT)
        self._reserving: CooperativeTask[Iterator[None]] | None = None
        self._error: Failure | None = None
        self.group = group
        self.part = part
        self.picker = PiecePicker(group.pieces, part.have)
        self.rate = RateMeter()
        #: When the last piece came.
        self.last_piece_at = 0.0

    @property
    def bytes_here(self) -> int:
        """Bytes of the pieces that are right, as their digests say."""
        return self.part.pieces.size - self.picker.bytes_missing

    def wake(self) -> None:
        """Look again: who is in the group, or what others do, may have changed."""
        self._wakeup.fire()

    async def run(self) -> None:
        """
        Fetch until every piece is here and the file is right.

        Raises AttemptFailed if this group can give nothing more, and Unavailable if it can't
        be written. What has come is kept.
        """
        if self.part.have:
            self._started()
        while await self._fetch_pieces() != self._id:
            # Something may have happened to what was there before: look at every piece.
            await _finish(self._context.cooperator.cooperate(self.part.recheck()))
            if self.part.is_complete:
                # Every piece is as its digest says, so it is the digests that are wrong.
                raise FalseDigests(WRONG_DIGESTS)
            self.picker = PiecePicker(self.group.pieces, self.part.have)

    async def _fetch_pieces(self) -> str:
        """Fetch every missing piece; the digest of the file."""
        self._current = picker = self.picker
        self.rate.begin(self._clock.seconds())
        self._deadline.restart(self._clock.seconds())
        self._file_digest = file_digest = self._begin_digest()
        polling = LoopingCall(self._swarm.poll, self.group)
        polling.clock = self._clock
        polling.start(POLL_INTERVAL, now=False)
        try:
            while not picker.done:
                self._start_workers(picker)
                self._reserve()
                await self._wakeup.wait(max(0.0, self._seconds_left(picker)))
                if self._error is not None:
                    self._error.raiseException()
                if all(neighbor.distrusted for neighbor in picker.neighbors):
                    raise AttemptFailed("what it sends is not what its piece digests say")
                if not picker.done and self._seconds_left(picker) <= 0:
                    raise AttemptFailed(f"no piece has come for {PIECE_TIMEOUT:.0f} s")
            return await file_digest.digest()
        finally:
            polling.stop()
            self._stop_workers()
            if self._reserving is not None:
                _stop(self._reserving)
            await file_digest.stop()

    def _begin_digest(self) -> IFileDigest:
        pieces = self.part.pieces
        known = pieces.known_id
        digest = (
            KnownDigest(known)
            if known is not None
            else self._context.make_digest(self.part.path, self.part.status(), pieces.size)
        )
        digest.grown(self.part.front)
        return digest

    def _seconds_left(self, picker: PiecePicker) -> float:
        return self._deadline.seconds_left(self._clock.seconds(), picker.bytes_coming)

    def _reserve(self) -> None:
        """Take all the room, once there is a piece that is right and nobody disputes it."""
        if self._reserving is None and self.part.have and not self._is_disputed():
            self._reserving = self._context.cooperator.cooperate(self.part.reserve())
            self._reserving.whenDone().addErrback(self._failed)

    # -- workers

    def _start_workers(self, picker: PiecePicker) -> None:
        """Give each holder of the group that has none a worker."""
        for location, has in list(self.group.has.items()):
            neighbor = picker.offer(location, has)
            if location not in self._workers:
                worker = Deferred.fromCoroutine(self._work(neighbor, picker))
                self._workers[location] = worker.addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError, TaskStopped):
            # A disk that is full or a mistake of ours: it ends the attempt.
            self._error = failure
            self._wakeup.fire()

    def _stop_workers(self) -> None:
        self._current = None
        for worker in self._workers.values():
            worker.cancel()
        self._workers.clear()

    async def _work(self, neighbor: Neighbor, picker: PiecePicker) -> None:
        """Ask one neighbor, again and again, until no piece is missing."""
        while self._current is picker and not picker.done:
            wanted = picker.wanted(neighbor, self._clock.seconds())
            if not wanted:
                await self._wakeup.wait(POLL_INTERVAL)
                continue
            incoming = IncomingPieces(neighbor, picker, self.part, self._received, self._verified)
            try:
                await self._context.client.stream(
                    neighbor.location, self._id, wanted, incoming, SILENCE_TIMEOUT
                )
            except (Refused, Unavailable) as error:
                if incoming.failure is not None:
                    incoming.failure.raiseException()
                if not incoming.ended:
                    now = self._clock.seconds()
                    trickles = neighbor.sending and picker.trickles(neighbor, now)
                    picker.failed(neighbor, now)
                    reason = TRICKLES if trickles else str(error)
                    self._swarm.troubles[neighbor.location] = reason
            picker.released(neighbor)
            self._wakeup.fire()

    def _received(self, neighbor: Neighbor, count: int) -> float | None:
        """Count bytes that came; seconds to wait before more, None if they come too slowly."""
        now = self._clock.seconds()
        self.picker.progress(neighbor, count, now)
        self.rate.add(count, now)
        pause = self._context.throttle(count)
        if pause > 0:
            # While we hold them back ourselves, nobody is slow.
            self._deadline.extend(pause, now)
            neighbor.deadline.extend(pause, now)
        elif self.picker.trickles(neighbor, now):
            return None
        return pause

    def _verified(self, neighbor: Neighbor, piece: int) -> None:
        """Note that a piece has come and is right."""
        self.picker.verified(neighbor, piece)
        self.last_piece_at = self._clock.seconds()
        self._deadline.restart(self.last_piece_at)
        self._swarm.troubles.pop(neighbor.location, None)
        if self._file_digest is not None:
            self._file_digest.grown(self.part.front)
        if self.part.have.bit_count() == 1:
            self._started()
        self._wakeup.fire()


async def _finish(task: CooperativeTask[Iterator[None]]) -> None:
    """Wait until it is through; it stops if that isn't waited for any more."""
    try:
        await task.whenDone()
    finally:
        _stop(task)


def _stop(task: CooperativeTask[Iterator[None]]) -> None:
    try:
        task.stop()
    except TaskFinished:
        pass
