"""
One attempt at a resource: from the holders that agree about its pieces. Each neighbor is asked
for pieces, and for news while it has none that are missing; what comes is written, until every
piece is here and the id says whether the file is right.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus

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
from p2ptwisted.errors import Interrupted, Unavailable
from p2ptwisted.pieces import HolderState
from p2ptwisted.support.lifecycle import Wakeup
from p2ptwisted.transfer.incoming_pieces import IncomingPieces
from p2ptwisted.transfer.neighbor_news import NeighborNews
from p2ptwisted.transfer.part_file import PartFile
from p2ptwisted.transfer.piece_deadline import PieceDeadline
from p2ptwisted.transfer.piece_picker import Neighbor, PiecePicker, Request
from p2ptwisted.transfer.rate_meter import RateMeter
from p2ptwisted.transfer.swarm import CHOSEN_MAX, WRONG_DIGESTS, HolderGroup, Swarm

#: Seconds after which it is looked, at the latest, whom to ask for what is late.
LOOK_INTERVAL = 0.25

#: Seconds between two looks which neighbors are no good; and looks after which the least useful
#: one of all is exchanged for another holder, so that nobody's neighbors are a closed circle.
TEND_INTERVAL, EXCHANGE_EVERY = 1.0, 5

#: Requests under way at once, besides those that are about to end and those that are slow to: with
#: a bound, nodes with few neighbors get as much as those with many. In the simulation of 32 nodes
#: 8 are too few to keep all links busy.
REQUESTS_MAX = 12

#: Failures in a row after which a neighbor makes place for another.
FAILURES_MAX = 2

#: Seconds after which nobody else fetches the resource if nobody has been heard of.
ALONE_AFTER = 1.0

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
        came: Callable[[], None],
        is_disputed: Callable[[], bool],
    ) -> None:
        """
        `came` is called when a piece is here, and when some are at first. `is_disputed` returns
        whether others say something else of the pieces, so that no room is to be reserved yet.
        """
        self._context = context
        self._clock = context.clock
        self._id = id
        self._swarm = swarm
        self._came = came
        self._is_disputed = is_disputed
        self._wakeup = Wakeup(context.clock)
        self._began_at = 0.0
        #: Whether others may be in the group than were met.
        self._is_changed = True
        #: When it was looked last whether something is late.
        self._looked_at = 0.0
        #: The answers with pieces that are under way.
        self._answers: dict[Request, Deferred[None]] = {}
        self._news = NeighborNews(
            self._clock,
            self._hear,
            self._piece_time,
            lambda: len(self._answers),
            self._wakeup.fire,
            self._failed,
        )
        #: How often the neighbors were looked at, and what each had given at the last exchange.
        self._looks = 0
        self._given: Counter[str] = Counter()
        self._deadline = PieceDeadline(PIECE_TIMEOUT)
        self._reserving: CooperativeTask[Iterator[None]] | None = None
        self._catching_up: CooperativeTask[Iterator[None]] | None = None
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
        self._is_changed = True
        self._wakeup.fire()

    async def run(self) -> None:
        """
        Fetch until every piece is here and the file is right.

        Raises AttemptFailed if this group can give nothing more, and Unavailable if it can't
        be written. What has come is kept.
        """
        if self.part.have:
            self._came()
        while await self._fetch_pieces() != self._id or not self.part.is_complete:
            # Something may have happened to what was there before: look at every piece.
            await _finish(self._context.cooperator.cooperate(self.part.recheck()))
            if self.part.is_complete:
                # Every piece is as its digest says, so it is the digests that are wrong.
                raise FalseDigests(WRONG_DIGESTS)
            self.picker = PiecePicker(self.group.pieces, self.part.have)

    async def _fetch_pieces(self) -> str:
        """Fetch every missing piece; the digest of the file, as far as it is here."""
        picker = self.picker
        self._is_changed = True
        self._began_at = self._clock.seconds()
        self.rate.begin(self._clock.seconds())
        self._deadline.restart(self._clock.seconds())
        self._catch_up()
        tending = LoopingCall(self._tend, picker)
        tending.clock = self._clock
        tending.start(TEND_INTERVAL, now=False).addErrback(self._failed)
        try:
            while not picker.done:
                if self._is_changed:
                    self._meet(picker)
                self._ask(picker)
                self._reserve()
                patience = min(LOOK_INTERVAL, self._seconds_left(picker))
                await self._wakeup.wait_aside(max(0.0, patience))
                if self._error is not None:
                    self._error.raiseException()
                if all(neighbor.distrusted for neighbor in picker.neighbors):
                    raise AttemptFailed("what it sends is not what its piece digests say")
                if not picker.done and self._seconds_left(picker) <= 0:
                    raise AttemptFailed(f"no piece has come for {PIECE_TIMEOUT:.0f} s")
            if self._catching_up is not None:
                await self._catching_up.whenDone()
            return self.part.running.hexdigest()
        finally:
            tending.stop()
            self._stop_calls()
            for task in (self._reserving, self._catching_up):
                if task is not None:
                    _stop(task)
            self._catching_up = None

    def _catch_up(self) -> None:
        """Hash what is here and came out of order, once what is before it is here too."""
        if self._catching_up is None and self.part.is_behind:
            self._catching_up = self._context.cooperator.cooperate(self.part.catch_up())
            self._catching_up.whenDone().addCallbacks(self._caught_up, self._failed)

    def _caught_up(self, result: object) -> None:
        self._catching_up = None

    def _seconds_left(self, picker: PiecePicker) -> float:
        return self._deadline.seconds_left(self._clock.seconds(), picker.bytes_coming)

    def _reserve(self) -> None:
        """Take all the room, once there is a piece that is right and nobody disputes it."""
        if self._reserving is None and self.part.have and not self._is_disputed():
            self._reserving = self._context.cooperator.cooperate(self.part.reserve())
            self._reserving.whenDone().addErrback(self._failed)

    # -- neighbors

    def _meet(self, picker: PiecePicker) -> None:
        """Have those asked that are in the group, and nobody else."""
        self._is_changed = False
        is_early = self._clock.seconds() < self._began_at + ALONE_AFTER
        picker.is_shared = self._swarm.is_shared or is_early
        for location, has in self.group.has.items():
            picker.offer(location, has)
        for neighbor in list(picker.current):
            if neighbor.location not in self.group.has:
                self._leave(neighbor, picker)

    def _leave(self, neighbor: Neighbor, picker: PiecePicker) -> None:
        for request in [one for one in self._answers if one.neighbor is neighbor]:
            self._answers.pop(request).cancel()
        self._news.leave(neighbor)
        picker.leave(neighbor.location)

    def _tend(self, picker: PiecePicker) -> None:
        """Let neighbors go that are no good, or one where others wait; ask others instead."""
        self._looks += 1
        neighbors = list(picker.current)
        if len(neighbors) > 1:
            for neighbor in neighbors:
                if neighbor.failures >= FAILURES_MAX and not neighbor.requests:
                    self._swarm.leave(self.group, neighbor.location, failed=True)
            if self._looks % EXCHANGE_EVERY == 0:
                if len(neighbors) >= CHOSEN_MAX and self._swarm.others_wait:
                    least = min(neighbors, key=lambda one: one.received - self._given[one.location])
                    self._swarm.leave(self.group, least.location)
                self._given = Counter({one.location: one.received for one in neighbors})
        self._swarm.fill()
        self.wake()

    async def _hear(self, neighbor: Neighbor) -> bool:
        """Wait for a neighbor's news; whether it had any."""
        had = neighbor.has
        try:
            await self._swarm.news(self.group, neighbor.location)
        except (Refused, Unavailable) as error:
            self.picker.failed(neighbor, self._clock.seconds())
            self._swarm.troubles[neighbor.location] = str(error)
        return self.group.has.get(neighbor.location, had) != had

    def _piece_time(self) -> float | None:
        """Seconds that a piece takes to come, of all neighbors together."""
        rate = self.rate.value()
        return self.part.pieces.length / rate if rate else None

    # -- asking

    def _ask(self, picker: PiecePicker) -> None:
        """Ask every neighbor for what there is to ask it for."""
        now = self._clock.seconds()
        look = now >= self._looked_at + LOOK_INTERVAL
        if look:
            self._looked_at = now
        under_way = sum(1 for request in self._answers if picker.takes_place(request, now))
        neighbors = picker.in_order()
        for neighbor in neighbors:
            if under_way >= REQUESTS_MAX:
                break
            request = picker.wanted(neighbor, now, look)
            if request is not None:
                under_way += 1
                answer = self._answers[request] = Deferred.fromCoroutine(
                    self._fetch(request, picker)
                )
                answer.addErrback(self._failed)
        room = self._news.room()
        for neighbor in neighbors:
            if room <= 0:
                break
            if (
                now >= neighbor.retry_at
                and not self._news.is_asking(neighbor)
                and picker.has_nothing(neighbor)
            ):
                self._news.ask(neighbor)
                room -= 1

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError, TaskStopped):
            # A disk that is full or a mistake of ours: it ends the attempt.
            self._error = failure
            self._wakeup.fire()

    def _stop_calls(self) -> None:
        self._news.stop()
        answers = [*self._answers.values()]
        self._answers.clear()
        for answer in answers:
            answer.cancel()

    async def _fetch(self, request: Request, picker: PiecePicker) -> None:
        """Make one request to a neighbor, and take what it sends."""
        neighbor = request.neighbor
        incoming = IncomingPieces(
            request,
            picker,
            self.part,
            self._clock.seconds,
            self._told,
            self._received,
            self._verified,
        )
        try:
            await self._context.client.stream(
                neighbor.location,
                self._id,
                self.group.pieces,
                request.asked,
                request.most,
                incoming,
                SILENCE_TIMEOUT,
            )
        except (Refused, Unavailable) as error:
            if incoming.failure is not None:
                incoming.failure.raiseException()
            if not incoming.ended and not isinstance(error, Interrupted):
                self._broke_off(request, error)
        finally:
            self._answers.pop(request, None)
            picker.ended(request)
        if neighbor.distrusted is not None:
            # What else is under way with it is cancelled, and another takes its place.
            self._swarm.distrust(neighbor.location, neighbor.distrusted)
            self._swarm.fill()
            self._is_changed = True
        self._wakeup.fire()

    def _broke_off(self, request: Request, error: Refused | Unavailable) -> None:
        """Leave a neighbor alone for a while whose answer isn't what was asked for."""
        neighbor, now = request.neighbor, self._clock.seconds()
        trickles = request.sending and self.picker.trickles(request, now)
        self.picker.failed(neighbor, now)
        self._swarm.troubles[neighbor.location] = TRICKLES if trickles else str(error)
        if isinstance(error, Refused) and error.status == HTTPStatus.NOT_FOUND:
            # It has less than it said: ask it again what it has.
            self._told(request, HolderState(self.group.pieces, 0))
        elif isinstance(error, Refused) and error.status == HTTPStatus.SERVICE_UNAVAILABLE:
            self._leave_busy(neighbor)

    def _leave_busy(self, neighbor: Neighbor) -> None:
        """
        Exchange a neighbor that has too many to serve, where others wait.

        Those that get it first are all that the others can find in the first moment.
        """
        if self._swarm.others_wait:
            self._swarm.leave(self.group, neighbor.location, failed=True)
            self._swarm.fill()
            self._is_changed = True

    def _told(self, request: Request, state: HolderState) -> None:
        """Take what a neighbor says beside the pieces that it sends."""
        request.neighbor.has = state.have
        self._swarm.told(self.group, request.neighbor.location, state)

    def _received(self, request: Request, count: int) -> float | None:
        """Count bytes that came; seconds to wait before more, None if they come too slowly."""
        now = self._clock.seconds()
        self.picker.progress(request, count, now)
        self.rate.add(count, now)
        pause = self._context.throttle(count)
        if pause > 0:
            # While we hold them back ourselves, nobody is slow.
            self._deadline.extend(pause, now)
            request.deadline.extend(pause, now)
        elif self.picker.trickles(request, now):
            return None
        if self.picker.is_time_for_next(request):
            self._wakeup.fire()
        return pause

    def _verified(self, request: Request, piece: int) -> None:
        """Note that a piece has come and is right."""
        self.picker.verified(request, piece)
        self.last_piece_at = self._clock.seconds()
        self._deadline.restart(self.last_piece_at)
        self._swarm.troubles.pop(request.neighbor.location, None)
        self._catch_up()
        self._came()
        if self.picker.done or self._reserving is None:
            # Else nothing is to do that the answer's end, or a look now and then, doesn't see to.
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
