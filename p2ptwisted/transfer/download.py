"""
The download of one resource: its holders looked up again and again, and attempts at the
pieces that they tell of. Holders that disagree about the pieces are tried side by side; the
id says which of them are right.
"""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Cooperator, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2ptwisted.client.api import Client
from p2ptwisted.errors import Unavailable, UnknownResource
from p2ptwisted.interfaces import IFileDigest
from p2ptwisted.model import Holders
from p2ptwisted.support.escaping import shown
from p2ptwisted.support.lifecycle import Wakeup
from p2ptwisted.transfer.attempt import (
    PIECE_TIMEOUT,
    Attempt,
    AttemptContext,
    AttemptFailed,
    FalseDigests,
)
from p2ptwisted.transfer.part_file import PartFile
from p2ptwisted.transfer.part_versions import PartVersions
from p2ptwisted.transfer.piece_picker import PiecePicker
from p2ptwisted.transfer.rate_meter import RateMeter
from p2ptwisted.transfer.swarm import HolderGroup, Swarm
from p2ptwisted.transfer.write_errors import NoRoom

#: Downloads that run at once; more would only share the same link.
RUNNING_MAX = 4

#: Seconds between two look-ups of all holders.
LOOKUP_INTERVAL = 2.0

#: Seconds between two look-ups at the own supernode, for so many seconds: nodes
#: that begin together have something to give each other after their first piece.
EARLY_LOOKUP_INTERVAL, EARLY_LOOKUPS_FOR = 0.5, 4.0

#: Seconds to wait for more holders to say what they have, once one has.
ANSWER_GRACE = 0.1

#: Attempts that are made side by side, and seconds after which there may be one more while
#: others wait: so each has its turn, however those before it draw it out. In all they are
#: bounded by `swarm.GROUPS_MAX`.
ATTEMPTS_AT_ONCE, ATTEMPT_TURN = 3, 10.0

#: Seconds without a piece from anybody after which no attempt is begun any more: so a download
#: ends, though there be ever others who say that they have it.
NO_PIECE_TIMEOUT = 120.0

#: Characters of the reasons why no holder gives anything; there may be hundreds.
REASONS_LENGTH_MAX = 800

_log = Logger()


class Download:
    """The download of one resource to one file."""

    def __init__(
        self,
        clock: IReactorTime,
        client: Client,
        cooperator: Cooperator,
        make_digest: Callable[[Path, os.stat_result, int], IFileDigest],
        id: str,
        find: Callable[[bool], Awaitable[Holders]],
        destination: Callable[[str | None], Path],
        overwrite: bool = False,
        throttle: Callable[[int], float] = lambda count: 0.0,
        started: Callable[[], None] = lambda: None,
        within: Path | None = None,
    ) -> None:
        """
        `make_digest` makes the digest of a file, with its status, that grows to a size.

        `find` looks up the holders: all, or only those at the own supernode if it is called
        with True. It may raise Unavailable.

        `destination` returns where a resource with some name goes. `throttle` takes the
        number of bytes that came and returns the seconds to wait before more. `started` is
        called when the first piece is here. `within` is TargetFolder's.
        """
        self.id = id
        self._clock = clock
        self._context = AttemptContext(clock, client, cooperator, make_digest, throttle)
        self._destination = destination
        self._overwrite = overwrite
        self._started = started
        self._within = within
        self._wakeup = Wakeup(clock)
        self._swarm = Swarm(client, id, find, self._changed)
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
        running = self._running.values()
        leading = max(running, key=lambda attempt: attempt.bytes_here, default=self._last)
        return self._won or leading

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

    # -- its course

    async def run(self) -> Path:
        """
        Fetch the resource; the path of the file.

        Raises UnknownResource where nobody has it, Unavailable where it can't
        be fetched or written. What has come is kept.
        """
        try:
            await self._find_holders()
            self._parts = PartVersions(self._choose_destination(), self.id, self._within)
            self._looking_up = Deferred.fromCoroutine(self._look_up())
            self._looking_up.addErrback(lambda failure: failure.trap(CancelledError))
            won = await self._winner(self._parts)
            await self._stop()
            self._parts.finish(won.part, self._overwrite)
            return won.part.destination
        finally:
            await self._stop()
            if self._parts is not None:
                self._parts.close()

    def _choose_destination(self) -> Path:
        destination = self._destination(self._swarm.name)
        if not self._overwrite and os.path.lexists(destination):
            # Said now, and not when all has come.
            raise Unavailable(f"{destination} exists and is another file: it is left as it is")
        return destination

    async def _winner(self, parts: PartVersions) -> Attempt:
        """The first attempt that ends with the file whose digest is the id."""
        began = self._last_piece_at = self._clock.seconds()
        while self._won is None:
            if self._error is not None:
                self._error.raiseException()
            at_once = ATTEMPTS_AT_ONCE + int((self._clock.seconds() - began) / ATTEMPT_TURN)
            for group in self._waiting():
                if len(self._running) < at_once and self._won is None:
                    self._begin(group, parts)
            if self._running:
                await self._wakeup.wait(ATTEMPT_TURN)
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
            await self._wait_for_answers()
            if self._waiting():
                return
        if self._without_room:
            raise next(iter(self._without_room.values()))
        if failure is not None and not self._reason:
            raise failure
        if not anybody and not self._reason:
            raise UnknownResource(f"nobody has {self.id}")
        raise Unavailable(f"{self._reason or 'no holder can be used'}: {self._reasons()}")

    async def _wait_for_answers(self) -> None:
        """Wait until a holder has said what it has, and the others have had a moment to."""
        while self._swarm.asking and not self._waiting():
            await self._wakeup.wait(PIECE_TIMEOUT)
        until = self._clock.seconds() + ANSWER_GRACE
        while self._swarm.asking and (left := until - self._clock.seconds()) > 0:
            await self._wakeup.wait(left)

    async def _look_up(self) -> None:
        """Look the holders up again and again, until it is cancelled."""
        began = everywhere_at = self._clock.seconds()
        while True:
            now = self._clock.seconds()
            here = now < everywhere_at
            if not here:
                everywhere_at = now + LOOKUP_INTERVAL
            try:
                await self._swarm.look_up(here)
            except CancelledError:
                raise
            except Unavailable:
                pass  # The holders that are known will do; the next look-up comes.
            except Exception:
                _log.failure("Looking up the holders failed")
            early = now - began < EARLY_LOOKUPS_FOR
            await deferLater(self._clock, EARLY_LOOKUP_INTERVAL if early else LOOKUP_INTERVAL)

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

    def _begin(self, group: HolderGroup, parts: PartVersions) -> None:
        try:
            part = parts.of(group.pieces)
        except NoRoom as error:
            # It may be the size that is a lie.
            self._without_room[group] = error
            return
        attempt = Attempt(
            self._context, self.id, self._swarm, group, part, self._started, self._is_disputed
        )
        self._running[group] = attempt
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
        self._swarm.stop()
        if self._looking_up is not None:
            self._looking_up.cancel()
        ends = [self._ends[group] for group in self._running]
        for end in ends:
            end.cancel()
        await DeferredList(ends)
