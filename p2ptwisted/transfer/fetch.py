"""
One transfer: the plan carried out. A worker for each source asks it for
pieces and writes what comes; the holders are looked up again while it runs.
"""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Cooperator, LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2ptwisted.calls import Refused
from p2ptwisted.client import Client
from p2ptwisted.errors import Unavailable, UnknownResource
from p2ptwisted.interfaces import IWhole
from p2ptwisted.model import Holders
from p2ptwisted.pieces import Pieces
from p2ptwisted.printable import shown
from p2ptwisted.services import Signal
from p2ptwisted.streams import Stream
from p2ptwisted.transfer.part import Arriving, Part
from p2ptwisted.transfer.plan import Plan, Rate, Source
from p2ptwisted.transfer.sources import Group, Sources
from p2ptwisted.transfer.whole import Known

#: Seconds between two look-ups of all holders, and of what a partial one has.
LOOK_UP, POLL = 2.0, 0.25

#: Seconds between two look-ups at the own supernode, for so many seconds: nodes
#: that begin together have something to give each other after their first piece.
LOOK_UP_EARLY, EARLY = 0.5, 4.0

#: Seconds to wait for more holders to say what they have, once one has.
GRACE = 0.1

#: Seconds without a byte from a source after which its connection is closed.
SILENCE = 10.0

#: Seconds without a byte from anybody after which a transfer fails.
PATIENCE = 30.0

#: Characters in which it is told why no holder gives anything; there may be hundreds.
TOLD_MAX = 800

_log = Logger()


class Fetch:
    """The transfer of one resource to one file."""

    def __init__(
        self,
        clock: IReactorTime,
        client: Client,
        cooperator: Cooperator,
        whole: Callable[[Path, os.stat_result, int], IWhole],
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
        Part's.
        """
        self.id = id
        self._clock = clock
        self._client = client
        self._cooperator = cooperator
        self._follow = whole
        self._destination = destination
        self._overwrite = overwrite
        self._throttle = throttle
        self._started = started
        self._within = within
        self._signal = Signal(clock)
        self._sources = Sources(client, id, find, self._signal.fire)
        self._workers: dict[str, Deferred[None]] = {}
        #: What the workers work at; one that is cancelled by what it has set off sees it here.
        self._current: Plan | None = None
        self._whole: IWhole | None = None
        self._error: Failure | None = None
        self._heard_at = clock.seconds()
        self.part: Part | None = None
        self.plan: Plan | None = None
        self.rate = Rate()

    @property
    def troubles(self) -> dict[str, str]:
        """Why a holder gives nothing, by location."""
        told = dict(self._sources.troubles)
        if self.plan is not None:
            told |= {one.location: one.distrusted for one in self.plan.sources if one.distrusted}
        return told

    async def run(self) -> Path:
        """
        Fetch it; the file where it then is.

        Raises UnknownResource where nobody has it, Unavailable where it can't
        be fetched or written. What has come is kept.
        """
        try:
            while True:
                group = await self._first_group()
                try:
                    digest = await self._gather(group)
                except _Useless as useless:
                    self._sources.discard(group, useless.reason)
                    continue
                assert self.part is not None
                if digest == self.id:
                    self.part.finish(self._overwrite)
                    return self.part.destination
                # Something may have happened to what was there before: look at every piece.
                await self._cooperator.coiterate(self.part.recheck())
                if self.part.is_complete:
                    # Every piece is as its digest says, so it is the digests that are wrong.
                    self._sources.discard(group, "its piece digests are not this resource's")
        finally:
            self._stop()

    async def _first_group(self) -> Group:
        """Wait for holders that say what they have; those that most agree with come first."""
        try:
            # What is near answers at once, and the others are asked in a moment.
            anybody = await self._sources.look_up(here=True) or await self._sources.look_up()
        except Unavailable:
            if self._sources.best() is None:
                raise
            anybody = True  # Those that are known will do.
        self._heard_at = self._clock.seconds()
        if self._sources.asking:
            while self._sources.best() is None and self._sources.asking:
                await self._signal.wait(PATIENCE)
            until = self._clock.seconds() + GRACE
            while self._sources.asking and (left := until - self._clock.seconds()) > 0:
                await self._signal.wait(left)
        group = self._sources.best()
        if group is not None:
            return group
        if not anybody:
            raise UnknownResource(f"nobody has {self.id}")
        raise Unavailable(f"no holder can be used: {self._told()}")

    # -- gathering the pieces

    async def _gather(self, group: Group) -> str:
        """All pieces that the group tells of; the digest of the whole."""
        if self.part is not None:
            self.part.close()
        try:
            self.part = self._open_part(group.pieces)
            await self._cooperator.coiterate(self.part.reserve())
        except Unavailable as error:
            # It may be the size that is a lie.
            if self._sources.has_others(group):
                raise _Useless(str(error)) from error
            raise
        self.plan = self._current = plan = Plan(group.pieces, self.part.have)
        self.rate.begin(self._clock.seconds())
        self._whole = whole = self._begin_whole(self.part)
        if self.part.have:
            self._started()
        looking_up = Deferred.fromCoroutine(self._look_up())
        looking_up.addErrback(lambda failure: failure.trap(CancelledError))
        polling = LoopingCall(self._sources.poll, group)
        polling.clock = self._clock
        polling.start(POLL, now=False)
        try:
            while not plan.done:
                for location, has in list(group.has.items()):
                    source = plan.offer(location, has)
                    if location not in self._workers:
                        self._workers[location] = self._work(source, plan, self.part)
                await self._signal.wait(PATIENCE)
                if self._error is not None:
                    self._error.raiseException()
                if all(source.distrusted for source in plan.sources):
                    raise _Useless("what it sends is not what its piece digests say")
                if self._clock.seconds() - self._heard_at >= PATIENCE:
                    if self._sources.has_others(group):
                        raise _Useless(f"nothing has come for {PATIENCE:.0f} s")
                    raise Unavailable(f"nothing has come for {PATIENCE:.0f} s: {self._told()}")
            return await whole.digest()
        finally:
            looking_up.cancel()
            polling.stop()
            self._stop_workers()
            await whole.stop()

    def _open_part(self, pieces: Pieces) -> Part:
        destination = self._destination(self._sources.name)
        if not self._overwrite and os.path.lexists(destination):
            # Told now, and not when all has come.
            raise Unavailable(f"{destination} exists and is another file: it is left as it is")
        return Part(destination, self.id, pieces, self._within)

    def _begin_whole(self, part: Part) -> IWhole:
        known = part.pieces.whole
        whole = (
            Known(known)
            if known is not None
            else self._follow(part.path, part.status(), part.pieces.size)
        )
        whole.grown(part.front)
        return whole

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

    def _work(self, source: Source, plan: Plan, part: Part) -> Deferred[None]:
        worker = Deferred.fromCoroutine(self._ask(source, plan, part))

        def failed(failure: Failure) -> None:
            if not failure.check(CancelledError):
                # A disk that is full or a mistake of ours: it ends the transfer.
                self._error = failure
                self._signal.fire()

        return worker.addErrback(failed)

    async def _ask(self, source: Source, plan: Plan, part: Part) -> None:
        """Ask one source, again and again, until nothing is missing."""
        while self._current is plan and not plan.done:
            wanted = plan.wanted(source, self._clock.seconds())
            if not wanted:
                await self._signal.wait(POLL)
                continue
            incoming = _Incoming(self, source, plan, part)
            try:
                await self._client.stream(source.location, self.id, wanted, incoming, SILENCE)
            except (Refused, Unavailable) as error:
                if incoming.failure is not None:
                    incoming.failure.raiseException()
                if not incoming.ended:
                    plan.failed(source, self._clock.seconds())
                    self._sources.troubles[source.location] = str(error)
            plan.released(source)
            self._signal.fire()

    def received(self, source: Source, plan: Plan, count: int) -> float:
        """Bytes have come; the seconds to wait before more."""
        now = self._clock.seconds()
        plan.progress(source, count, now)
        self.rate.add(count, now)
        pause = self._throttle(count)
        # While we hold them back ourselves, nobody is silent.
        self._heard_at = now + pause
        return pause

    def verified(self, source: Source, plan: Plan, part: Part, piece: int) -> None:
        """A piece has come and is right."""
        plan.verified(source, piece)
        self._sources.troubles.pop(source.location, None)
        if self._whole is not None:
            self._whole.grown(part.front)
        if part.have.bit_count() == 1:
            self._started()
        self._signal.fire()

    # -- the end

    def _told(self) -> str:
        told = "; ".join(f"{at}: {why}" for at, why in self.troubles.items())
        return shown(told, TOLD_MAX) or "no reason known"

    def _stop_workers(self) -> None:
        self._current = None
        for worker in self._workers.values():
            worker.cancel()
        self._workers.clear()

    def _stop(self) -> None:
        self._stop_workers()
        self._sources.stop()
        if self.part is not None:
            self.part.close()


class _Useless(Exception):
    """A group of holders can't be fetched from."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Incoming(Stream):
    """What comes from one source in one answer: consecutive pieces."""

    def __init__(self, fetch: Fetch, source: Source, plan: Plan, part: Part) -> None:
        self._fetch = fetch
        self._source = source
        self._plan = plan
        self._part = part
        self._left: list[int] = []
        self._arriving: Arriving | None = None
        #: Whether we ended it ourselves.
        self.ended = False
        #: Why it can't be written, if it can't.
        self.failure: Failure | None = None

    def began(self, start: int, stop: int) -> bool:
        """These bytes are about to come; False where they are not what was asked for."""
        pieces = self._part.pieces
        first, last = start // pieces.length, -(-stop // pieces.length)
        if pieces.span(first)[0] != start or pieces.span(last - 1)[1] != stop:
            return False
        self._left = list(range(first, last))
        return self._plan.started(self._source, sum(1 << piece for piece in self._left))

    def received(self, data: bytes) -> float | None:
        try:
            return self._take(data)
        except Exception:
            # Not the holder's doing.
            self.failure = Failure()
            return None

    def _take(self, data: bytes) -> float | None:
        pause = self._fetch.received(self._source, self._plan, len(data))
        view = memoryview(data)
        while view:
            if self._arriving is None:
                self._arriving = self._part.arriving(self._left.pop(0))
            taken = view[: self._arriving.left]
            self._arriving.write(taken)
            view = view[len(taken) :]
            if not self._arriving.left and not self._finish(self._arriving):
                self.ended = True
                return None
        return pause

    def _finish(self, arrived: Arriving) -> bool:
        """The piece is complete; whether more is wanted of this source."""
        self._arriving = None
        if not arrived.finish():
            self._plan.distrust(self._source, f"it sent a wrong piece ({arrived.piece})")
            return False
        self._fetch.verified(self._source, self._plan, self._part, arrived.piece)
        return not self._left or not self._plan.is_needless(self._source)
