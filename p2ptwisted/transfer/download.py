"""
One transfer: its holders looked up again and again, and attempts at what they tell. Holders
that disagree about the pieces are tried side by side; the id tells which of them are right.
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
from p2ptwisted.transfer.attempt import PATIENCE, Attempt, Lies, Means, Useless
from p2ptwisted.transfer.part_file import PartFile
from p2ptwisted.transfer.part_versions import PartVersions
from p2ptwisted.transfer.piece_picker import PiecePicker, RateMeter
from p2ptwisted.transfer.swarm import HolderGroup, Swarm
from p2ptwisted.transfer.write_errors import NoRoom

#: Downloads that run at once; more would only share the same link.
RUNNING_MAX = 4

#: Seconds between two look-ups of all holders.
LOOK_UP = 2.0

#: Seconds between two look-ups at the own supernode, for so many seconds: nodes
#: that begin together have something to give each other after their first piece.
LOOK_UP_EARLY, EARLY = 0.5, 4.0

#: Seconds to wait for more holders to say what they have, once one has.
GRACE = 0.1

#: Attempts that are made side by side, and seconds after which there may be one more while
#: others wait: so each has its turn, however those before it draw it out. In all they are
#: bounded by `sources.GROUPS_MAX`.
ATTEMPTS, TURN = 3, 10.0

#: Seconds without a piece from anybody after which no attempt is begun any more: so a fetch
#: ends, though there be ever others who say that they have it.
GIVE_UP = 120.0

#: Characters in which it is told why no holder gives anything; there may be hundreds.
TOLD_MAX = 800

_log = Logger()


class Download:
    """The transfer of one resource to one file."""

    def __init__(
        self,
        clock: IReactorTime,
        client: Client,
        cooperator: Cooperator,
        whole: Callable[[Path, os.stat_result, int], IFileDigest],
        id: str,
        find: Callable[[bool], Awaitable[Holders]],
        destination: Callable[[str | None], Path],
        overwrite: bool = False,
        throttle: Callable[[int], float] = lambda count: 0.0,
        started: Callable[[], None] = lambda: None,
        within: Path | None = None,
    ) -> None:
        """
        `whole` makes the digest of a file that grows to a size.

        `find` looks the holders up, only the near ones or all, and may raise Unavailable.

        `destination` says where a resource with some name goes. `throttle` is
        told of bytes that came, and tells how many seconds to wait before
        more. `started` is called when the first piece is here. `within` is
        TargetFolder's.
        """
        self.id = id
        self._clock = clock
        self._means = Means(clock, client, cooperator, whole, throttle)
        self._destination = destination
        self._overwrite = overwrite
        self._started = started
        self._within = within
        self._signal = Wakeup(clock)
        self._sources = Swarm(client, id, find, self._changed)
        self._parts: PartVersions | None = None
        self._running: dict[HolderGroup, Attempt] = {}
        self._ends: dict[HolderGroup, Deferred[None]] = {}
        self._looking_up: Deferred[None] | None = None
        #: The attempt that has brought the file, or the last one that was through.
        self._won: Attempt | None = None
        self._last: Attempt | None = None
        #: Why the last group that was given up gave nothing.
        self._reason = ""
        #: When the last piece came of those attempts that are through.
        self._came_at = 0.0
        #: Those that there was no room for; it may be the others that take it.
        self._without_room: dict[HolderGroup, NoRoom] = {}
        self._error: Failure | None = None
        self._idle_rate = RateMeter()

    # -- what is to be seen of it: the attempt that has brought the most

    @property
    def _leading(self) -> Attempt | None:
        leading = max(self._running.values(), key=lambda one: one.bytes_here, default=self._last)
        return self._won or leading

    @property
    def part(self) -> PartFile | None:
        """What has come."""
        return None if self._leading is None else self._leading.part

    @property
    def plan(self) -> PiecePicker | None:
        """What is missing, and who is asked for it."""
        return None if self._leading is None else self._leading.plan

    @property
    def rate(self) -> RateMeter:
        """How fast it comes."""
        return self._idle_rate if self._leading is None else self._leading.rate

    @property
    def troubles(self) -> dict[str, str]:
        """Why a holder gives nothing, by location."""
        told = dict(self._sources.troubles)
        for attempt in (*self._running.values(), self._last, self._won):
            if attempt is not None:
                sources = attempt.plan.sources
                told |= {one.location: one.distrusted for one in sources if one.distrusted}
        return told

    # -- its course

    async def run(self) -> Path:
        """
        Fetch it; the file where it then is.

        Raises UnknownResource where nobody has it, Unavailable where it can't
        be fetched or written. What has come is kept.
        """
        try:
            await self._find_holders()
            self._parts = PartVersions(self._place(), self.id, self._within)
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

    def _place(self) -> Path:
        destination = self._destination(self._sources.name)
        if not self._overwrite and os.path.lexists(destination):
            # Told now, and not when all has come.
            raise Unavailable(f"{destination} exists and is another file: it is left as it is")
        return destination

    async def _winner(self, parts: PartVersions) -> Attempt:
        """The first attempt that comes to its end with what the id says."""
        began = self._came_at = self._clock.seconds()
        while self._won is None:
            if self._error is not None:
                self._error.raiseException()
            room = ATTEMPTS + int((self._clock.seconds() - began) / TURN)
            for group in self._waiting():
                if len(self._running) < room and self._won is None:
                    self._begin(group, parts)
            if self._running:
                await self._signal.wait(TURN)
            elif self._won is None and self._error is None:
                await self._find_holders()
        self._sources.right(self._won.group)
        return self._won

    async def _find_holders(self) -> None:
        """Wait for holders that can be tried. Raises UnknownResource and Unavailable."""
        anybody, failure = False, None
        # What is near answers at once, and the others are asked in a moment.
        for here in (True, False):
            try:
                anybody = await self._sources.look_up(here) or anybody
            except Unavailable as error:
                failure = error
            await self._answers()
            if self._waiting():
                return
        if self._without_room:
            raise next(iter(self._without_room.values()))
        if failure is not None and not self._reason:
            raise failure
        if not anybody and not self._reason:
            raise UnknownResource(f"nobody has {self.id}")
        raise Unavailable(f"{self._reason or 'no holder can be used'}: {self._told()}")

    async def _answers(self) -> None:
        """Until somebody has said what he has, and the others have had a moment to."""
        while self._sources.asking and not self._waiting():
            await self._signal.wait(PATIENCE)
        until = self._clock.seconds() + GRACE
        while self._sources.asking and (left := until - self._clock.seconds()) > 0:
            await self._signal.wait(left)

    async def _look_up(self) -> None:
        """Look the holders up again and again, until it is cancelled."""
        began = everywhere_at = self._clock.seconds()
        while True:
            now = self._clock.seconds()
            here = now < everywhere_at
            if not here:
                everywhere_at = now + LOOK_UP
            try:
                await self._sources.look_up(here)
            except CancelledError:
                raise
            except Unavailable:
                pass  # The holders that are known will do; the next look-up comes.
            except Exception:
                _log.failure("Looking up the holders failed")
            await deferLater(self._clock, LOOK_UP_EARLY if now - began < EARLY else LOOK_UP)

    def _told(self) -> str:
        told = "; ".join(f"{at}: {why}" for at, why in self.troubles.items())
        return shown(told, TOLD_MAX) or "no reason known"

    # -- attempts

    def _waiting(self) -> list[HolderGroup]:
        """The groups that can be tried and aren't, the one to try first in front."""
        now = self._clock.seconds()
        came_at = max((one.came_at for one in self._running.values()), default=0.0)
        if self._parts is not None and now - max(came_at, self._came_at) >= GIVE_UP:
            return []
        return [
            group
            for group in self._sources.ranked()
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
            self._means, self.id, self._sources, group, part, self._started, self._is_disputed
        )
        self._running[group] = attempt
        self._ends[group] = Deferred.fromCoroutine(attempt.run())
        self._ends[group].addBoth(self._ended, attempt, parts)

    def _ended(self, result: object, attempt: Attempt, parts: PartVersions) -> None:
        group = attempt.group
        del self._running[group], self._ends[group]
        self._last = attempt
        self._came_at = max(self._came_at, attempt.came_at)
        if not isinstance(result, Failure):
            self._won = self._won or attempt
        elif result.check(Lies):
            parts.discard(attempt.part)
            self._sources.discard(group, str(result.value))
            self._reason = "no holder can be used"
        else:
            parts.leave(attempt.part)
            self._give_up(attempt, result)
        if self._won is None and group not in self._without_room:
            # What it took may be room enough for another.
            self._without_room.clear()
        self._changed()

    def _give_up(self, attempt: Attempt, failure: Failure) -> None:
        """An attempt has come to nothing, though it may be right: others may do better."""
        group, error = attempt.group, failure.value
        if isinstance(error, NoRoom):
            self._without_room[group] = error
        elif isinstance(error, Useless):
            self._reason = str(error)
            group.rests_until = self._clock.seconds() + PATIENCE
            for location in group.has:
                self._sources.troubles.setdefault(location, self._reason)
            for source in attempt.plan.sources:
                if source.distrusted:
                    self._sources.distrust(source.location, source.distrusted)
        elif not isinstance(error, CancelledError):
            self._error = failure

    def _changed(self) -> None:
        self._signal.fire()
        for group, attempt in list(self._running.items()):
            if self._sources.knows(group):
                attempt.wake()
            elif group in self._ends:
                # Others have more who vouch for them.
                self._ends[group].cancel()

    # -- the end

    async def _stop(self) -> None:
        self._sources.stop()
        if self._looking_up is not None:
            self._looking_up.cancel()
        ends = [self._ends[group] for group in self._running]
        for end in ends:
            end.cancel()
        await DeferredList(ends)
