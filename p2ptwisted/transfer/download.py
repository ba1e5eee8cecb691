"""
The download of one resource: its holders looked up again and again, and attempts at the
pieces that they tell of. Holders that disagree about the pieces are tried side by side; the
id says which of them are right.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Cooperator
from twisted.python.failure import Failure

from p2ptwisted.client.api import Client
from p2ptwisted.errors import Unavailable, UnknownResource
from p2ptwisted.model import Holders
from p2ptwisted.support.escaping import shown
from p2ptwisted.support.lifecycle import Wakeup
from p2ptwisted.support.round_robin import host_of
from p2ptwisted.transfer.attempt import (
    PIECE_TIMEOUT,
    Attempt,
    AttemptContext,
    AttemptFailed,
    FalseDigests,
)
from p2ptwisted.transfer.destination import Destination
from p2ptwisted.transfer.lookups import Lookups
from p2ptwisted.transfer.part_file import PartFile
from p2ptwisted.transfer.part_versions import PartVersions
from p2ptwisted.transfer.piece_picker import PiecePicker
from p2ptwisted.transfer.rate_meter import RateMeter
from p2ptwisted.transfer.shared_folder import SharedFolder
from p2ptwisted.transfer.swarm import ANSWER_PATIENCE, HolderGroup, Swarm
from p2ptwisted.transfer.write_errors import NoRoom, write_error

#: Downloads that run at once; more would only share the same link.
RUNNING_MAX = 4

#: Attempts that are made side by side, and seconds after which there may be one more while
#: others wait: so each has its turn, however those before it draw it out. In all they are
#: bounded by `swarm.GROUPS_MAX`.
ATTEMPTS_AT_ONCE, ATTEMPT_TURN = 3, 10.0

#: Seconds without a piece from anybody after which no attempt is begun any more: so a download
#: ends, though there be ever others who say that they have it.
NO_PIECE_TIMEOUT = 120.0

#: Characters of the reasons why no holder gives anything; there may be hundreds.
REASONS_LENGTH_MAX = 800


class Download:
    """The download of one resource to one file."""

    def __init__(
        self,
        clock: IReactorTime,
        client: Client,
        cooperator: Cooperator,
        sync: Callable[[int], Deferred[None]],
        id: str,
        find: Callable[[bool], Awaitable[Holders]],
        destination: Callable[[str | None], Path],
        overwrite: bool = False,
        throttle: Callable[[int], float] = lambda count: 0.0,
        started: Callable[[], None] = lambda: None,
        waits: Callable[[], None] = lambda: None,
        within: SharedFolder | None = None,
    ) -> None:
        """
        `sync` syncs an open file to the disk; what it returns fails with OSError.

        `find` looks up the holders: all, or only those at the own supernode if it is called
        with True. It may raise Unavailable.

        `destination` returns where a resource with some name goes. `throttle` takes the
        number of bytes that came and returns the seconds to wait before more. `started` is
        called when the first piece is here, and `waits` when another program is waited for,
        which fetches the same to the same place. `within` is TargetFolder's.
        """
        self.id = id
        self._clock = clock
        self._context = AttemptContext(clock, client, cooperator, throttle)
        self._sync_file = sync
        self._destination = destination
        self._overwrite = overwrite
        self._started = started
        self._waits = waits
        self._to: Destination | None = None
        #: Whether the file was there already, or has come by another program.
        self.was_there = False
        self._is_first = True
        self._is_over = False
        self._within = within
        self._wakeup = Wakeup(clock)
        self._swarm = Swarm(clock, client, id, find, self._changed)
        self._lookups = Lookups(clock, self._swarm, self._is_alone)
        #: Fires when a piece has come.
        self._news = Wakeup(clock)
        self._parts: PartVersions | None = None
        self._running: dict[HolderGroup, Attempt] = {}
        self._ends: dict[HolderGroup, Deferred[None]] = {}
        self._looking_up: Deferred[None] | None = None
        #: The attempt that has brought the file, and the last one that was through.
        self._won: Attempt | None = None
        self._last: Attempt | None = None
        #: Why the last group that was given up gave nothing.
        self._reason = ""
        #: When the last piece of the ended attempts came.
        self._last_piece_at = 0.0
        #: Groups that there was no room for; it may be the others that take it.
        self._without_room: dict[HolderGroup, NoRoom] = {}
        self._error: Failure | None = None
        self._idle_rate = RateMeter()

    # -- what others see of it: the attempt that has brought the most

    @property
    def _leading(self) -> Attempt | None:
        if self._won is not None or not self._running:
            return self._won or self._last
        if len(self._running) == 1:
            return next(iter(self._running.values()))
        return max(self._running.values(), key=lambda attempt: attempt.bytes_here)

    @property
    def part(self) -> PartFile | None:
        """The part that has come; None before the first attempt."""
        return None if self._leading is None else self._leading.part

    @property
    def picker(self) -> PiecePicker | None:
        """What is missing, and which neighbors are asked for it; None before the first attempt."""
        return None if self._leading is None else self._leading.picker

    @property
    def rate(self) -> RateMeter:
        """How fast it comes."""
        return self._idle_rate if self._leading is None else self._leading.rate

    @property
    def troubles(self) -> dict[str, str]:
        """Why a holder gives nothing, by location."""
        troubles = dict(self._swarm.troubles)
        for attempt in (*self._running.values(), self._last, self._won):
            if attempt is not None:
                for neighbor in attempt.picker.neighbors:
                    if neighbor.distrusted:
                        troubles[neighbor.location] = neighbor.distrusted
        return troubles

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for another program, which fetches the same to the same place."""
        return self._to is not None and self._to.is_waiting

    @property
    def neighbors(self) -> list[str]:
        """The holders that it talks to."""
        return self._swarm.neighbors

    # -- other nodes that fetch the same

    def meet(self, location: str) -> None:
        """Hear of a node that asks for what has come here: it may have something too."""
        self._swarm.came(location, host_of(location))

    async def check(self, pieces: int) -> None:
        """
        Check the digests of these pieces, where only the running digest has been checked.

        To be called before they are passed on. Raises UnknownResource if one is wrong.
        """
        part = self.part
        if part is not None and pieces & part.unchecked:
            await self._context.cooperator.coiterate(part.check(pieces & part.unchecked))
            if pieces & ~part.have or part is not self.part:
                raise UnknownResource(f"some of these pieces of {self.id} are no longer here")

    async def news(self, since: int, seconds: float, has_manifest: bool = True) -> None:
        """
        Wait, but no longer than that, until the number of pieces here is not `since`.

        For who has no manifest yet, not `has_manifest`, only until that is here.
        """
        until = self._clock.seconds() + seconds
        while (
            not self._is_over
            and self._count() == since
            and (has_manifest or self.part is None)
            and (left := until - self._clock.seconds()) > 0
        ):
            await self._news.wait_aside(left)

    def _count(self) -> int:
        return 0 if self.part is None else self.part.have.bit_count()

    def _came(self) -> None:
        if self._is_first:
            self._is_first = False
            self._started()
        self._news.fire()

    # -- its course

    async def run(self) -> Path:
        """
        Fetch the resource; the path of the file. Who else fetches it there is waited for.

        Raises UnknownResource where nobody has it, Unavailable where it can't
        be fetched or written. What has come is kept.
        """
        try:
            await self._find_holders()
            path = self._destination(self._swarm.name)
            self._to = to = Destination(
                self._clock, self._context.cooperator, self.id, path, self._overwrite, self._waits
            )
            # First, for what stands where its folder isn't now says nothing.
            self._parts = PartVersions(path, self.id, self._within)
            self.was_there = not self._overwrite and await to.is_there(self._sizes())
            if self.was_there:
                return path
            self._looking_up = Deferred.fromCoroutine(self._lookups.run())
            self._looking_up.addErrback(lambda failure: failure.trap(CancelledError))
            won = await self._winner(self._parts, to)
            if won is None:
                self.was_there = True
                return path
            await self._stop()
            await self._sync(won.part)
            self._parts.finish(won.part, self._overwrite)
            return won.part.destination
        finally:
            await self._stop()
            if self._parts is not None:
                self._parts.close()

    async def _sync(self, part: PartFile) -> None:
        """Have the complete part on the disk; one of a single piece is there in a moment."""
        if part.pieces.count > 1:
            try:
                await self._sync_file(part.fileno())
            except OSError as error:
                raise write_error(error, part.destination, part.pieces.size) from error

    def _sizes(self) -> set[int]:
        """What the holders say of its size."""
        return {group.pieces.size for group in self._swarm.ranked()}

    async def _winner(self, parts: PartVersions, to: Destination) -> Attempt | None:
        """
        The first attempt that ends with the file whose digest is the id.

        None where another program has put it there.
        """
        began = self._last_piece_at = self._clock.seconds()
        while self._won is None:
            if self._error is not None:
                self._error.raiseException()
            at_once = ATTEMPTS_AT_ONCE + int((self._clock.seconds() - began) / ATTEMPT_TURN)
            for group in self._waiting():
                is_turn = at_once > ATTEMPTS_AT_ONCE or not self._is_cut_otherwise(group)
                if len(self._running) < at_once and is_turn and self._won is None:
                    self._begin(group, parts, to)
            if self._running:
                await self._wakeup.wait(ATTEMPT_TURN)
            elif to.is_elsewhere:
                if await to.wait_for_other(self._sizes()):
                    return None
                # Nobody was asked for a piece meanwhile.
                self._last_piece_at = self._clock.seconds()
            elif self._won is None and self._error is None:
                await self._find_holders()
        self._swarm.confirm(self._won.group)
        return self._won

    async def _find_holders(self) -> None:
        """Wait for holders that can be tried. Raises UnknownResource and Unavailable."""
        anybody, failure = False, None
        # What is near answers at once, and the others are asked in a moment.
        for here in (True, False):
            try:
                anybody = await self._swarm.look_up(here) or anybody
            except Unavailable as error:
                failure = error
            await self._wait_for_answers(ANSWER_PATIENCE if here else PIECE_TIMEOUT)
            if self._waiting():
                return
        if self._without_room:
            raise next(iter(self._without_room.values()))
        if failure is not None and not self._reason:
            raise failure
        if not anybody and not self._reason:
            raise UnknownResource(f"nobody has {self.id}")
        raise Unavailable(f"{self._reason or 'no holder can be used'}: {self._reasons()}")

    async def _wait_for_answers(self, seconds: float) -> None:
        """Wait until a holder has said what it has; those that are silent make place for others."""
        until = self._clock.seconds() + seconds
        while not self._waiting() and (left := until - self._clock.seconds()) > 0:
            self._swarm.fill()
            if not self._swarm.asking:
                return
            await self._wakeup.wait(min(left, ANSWER_PATIENCE))

    def _is_alone(self) -> bool:
        """Whether no neighbor gives anything."""
        return not any(
            not neighbor.failures and not neighbor.distrusted
            for attempt in self._running.values()
            for neighbor in attempt.picker.current
        )

    def _reasons(self) -> str:
        reasons = "; ".join(f"{location}: {why}" for location, why in self.troubles.items())
        return shown(reasons, REASONS_LENGTH_MAX) or "no reason known"

    # -- attempts

    def _waiting(self) -> list[HolderGroup]:
        """The groups that can be tried and aren't, the one to try first in front."""
        now = self._clock.seconds()
        running = self._running.values()
        last_piece_at = max((attempt.last_piece_at for attempt in running), default=0.0)
        since = max(last_piece_at, self._last_piece_at)
        if self._parts is not None and now - since >= NO_PIECE_TIMEOUT:
            return []
        return [
            group
            for group in self._swarm.ranked()
            if group not in self._running
            and group not in self._without_room
            and group.rests_until <= now
        ]

    def _is_disputed(self) -> bool:
        return len(self._running) > 1 or bool(self._waiting())

    def _is_cut_otherwise(self, group: HolderGroup) -> bool:
        """Whether it may well agree with those that are tried: its version cuts by another rule."""
        return any(other.pieces.count != group.pieces.count for other in self._running)

    def _begin(self, group: HolderGroup, parts: PartVersions, to: Destination) -> None:
        try:
            part = to.open_part(parts, group.pieces)
        except NoRoom as error:
            # It may be the size that is a lie.
            self._without_room[group] = error
            return
        if part is None:
            return
        attempt = Attempt(
            self._context, self.id, self._swarm, group, part, self._came, self._is_disputed
        )
        self._running[group] = attempt
        self._news.fire()
        self._ends[group] = Deferred.fromCoroutine(attempt.run())
        self._ends[group].addBoth(self._ended, attempt, parts)

    def _ended(self, result: object, attempt: Attempt, parts: PartVersions) -> None:
        group = attempt.group
        del self._running[group], self._ends[group]
        self._last = attempt
        self._last_piece_at = max(self._last_piece_at, attempt.last_piece_at)
        if not isinstance(result, Failure):
            self._won = self._won or attempt
        elif result.check(FalseDigests):
            parts.discard(attempt.part)
            self._swarm.discard(group, str(result.value))
            self._reason = "no holder can be used"
        else:
            parts.leave(attempt.part)
            self._give_up(attempt, result)
        if self._won is None and group not in self._without_room:
            # What it took may be room enough for another.
            self._without_room.clear()
        self._changed()

    def _give_up(self, attempt: Attempt, failure: Failure) -> None:
        """Note why an attempt failed whose digests may be right: others may do better."""
        group, error = attempt.group, failure.value
        if isinstance(error, NoRoom):
            self._without_room[group] = error
        elif isinstance(error, AttemptFailed):
            self._reason = str(error)
            group.rests_until = self._clock.seconds() + PIECE_TIMEOUT
            for location in group.has:
                self._swarm.troubles.setdefault(location, self._reason)
            for neighbor in attempt.picker.neighbors:
                if neighbor.distrusted:
                    self._swarm.distrust(neighbor.location, neighbor.distrusted)
        elif not isinstance(error, CancelledError):
            self._error = failure

    def _changed(self) -> None:
        self._wakeup.fire()
        for group, attempt in list(self._running.items()):
            if self._swarm.knows(group):
                attempt.wake()
            elif group in self._ends:
                # Others have more who vouch for them.
                self._ends[group].cancel()

    # -- the end

    async def _stop(self) -> None:
        self._is_over = True
        self._swarm.stop()
        self._news.fire()
        if self._looking_up is not None:
            self._looking_up.cancel()
        ends = [self._ends[group] for group in self._running]
        for end in ends:
            end.cancel()
        await DeferredList(ends)
