"""
Orders to one node, of any number of resources, followed until each has ended there.

A node gets no more at once than it can be watched for; the others wait in line here. An order
without an answer is asked about before it is given again, and only a node that answers nothing
for a while fails what is left.
"""

from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from p2ptwisted.cli.transfer_tally import DONE, UNDER_WAY
from p2ptwisted.client.api import Client
from p2ptwisted.client.transport import BUSY_STATUSES, Refused
from p2ptwisted.errors import OlderProgram, Unavailable
from p2ptwisted.model import DownloadStatus, Order

#: Fetches under way at one node for this command: one answer has the states of all of them, with
#: up to 256 holders each, in less than `answers.ANSWER_MAX`; and a node runs four at a time.
UNDER_WAY_MAX = 100

#: Characters of the names in one request; a node takes 64 KiB, the ids and escapes included.
NAMES_LENGTH_MAX = 4_096

#: Seconds between two questions about the fetches under way at a node.
POLL_INTERVAL = 0.25

#: Seconds for which a node that has answered may be silent, as while it is started again, and
#: for which one may be too busy while nothing of ours is under way there.
SILENCE_MAX, BUSY_MAX = 15.0, 30.0

#: Failures of a node that has answered nothing yet: of an order, and of the question about it.
FIRST_FAILURES_MAX = 2

#: How often one resource is ordered of a node that forgets it.
TIMES_ORDERED_MAX = 3

#: Calls under way to all nodes together.
CALLS_AT_ONCE = 64

#: Refusals that are about the caller, so that the node would refuse all its orders.
_NOT_FOR_US = (401, 403)

_T = TypeVar("_T")
_Job = TypeVar("_Job", bound="Ordered")


class Ordered(Protocol):
    """What one order is about, and who hears what becomes of it."""

    @property
    def order(self) -> Order: ...

    def take(self, status: DownloadStatus) -> None:
        """Hear how far it is. It has ended where the state is none of UNDER_WAY."""

    def fail(self, error: Exception) -> None:
        """Hear that it has failed, and the last of it."""


@dataclass(frozen=True)
class Lost(Generic[_Job]):
    """The orders that a node can't be asked about any more, or refuses all together, and why."""

    error: Unavailable | Refused
    jobs: Sequence[_Job]


class NodeOrders(Generic[_Job]):
    """The orders of one command to one node."""

    def __init__(
        self,
        clock: IReactorTime,
        client: Client,
        location: str,
        jobs: Iterable[_Job],
        room: DeferredSemaphore,
    ) -> None:
        """`room` is for CALLS_AT_ONCE calls, to all nodes."""
        self._clock = clock
        self._client = client
        self._location = location
        self._room = room
        self._waiting = deque(jobs)
        self._under_way: dict[str, _Job] = {}
        self._times_ordered: dict[str, int] = {}
        #: Whether it takes several orders at once, as far as is known.
        self._takes_several = True
        self._has_answered = False
        self._failures = 0
        #: Since when it doesn't answer and how that began, and since when it is too busy.
        self._silent_since: float | None = None
        self._first_error: Unavailable | None = None
        self._busy_since: float | None = None

    async def run(self) -> Lost[_Job] | None:
        """Give all orders; returns when each has ended, or with those that no more is heard of."""
        try:
            while True:
                await self._order()
                if not self._waiting and not self._under_way:
                    return None
                await deferLater(self._clock, POLL_INTERVAL)
                await self._look()
        except (Unavailable, Refused) as error:
            return Lost(error, [*self._under_way.values(), *self._waiting])

    async def _order(self) -> None:
        """Give as many of the waiting orders as there is room for."""
        while self._waiting and len(self._under_way) < UNDER_WAY_MAX:
            batch = self._next()
            try:
                taken = await self._give(batch)
            except OlderProgram:
                raise
            except Unavailable as error:
                self._failed(error)
                # They may have been taken all the same.
                self._begin(batch, await self._known(batch), only_open=True)
                return
            except Refused as refused:
                if refused.status in BUSY_STATUSES:
                    await self._wait_in_line(refused)
                    return
                if refused.status in _NOT_FOR_US:
                    raise
                self._answered()
                if len(batch) > 1:
                    # One of them is at fault, or all together are too long for this node.
                    self._takes_several = False
                else:
                    self._waiting.popleft().fail(refused)
                continue
            self._answered()
            self._begin(batch, taken)
            if len(taken) < len(batch) and self._takes_several:
                return  # It has no room for more now.

    def _next(self) -> list[_Job]:
        """The orders of the next request; they stay in line until they are taken."""
        batch: list[_Job] = []
        length = 0
        for job in self._waiting:
            length += len(job.order.name or "")
            is_full = len(batch) + len(self._under_way) >= UNDER_WAY_MAX
            if batch and (is_full or not self._takes_several or length > NAMES_LENGTH_MAX):
                break
            batch.append(job)
        return batch

    async def _give(self, batch: list[_Job]) -> dict[str, DownloadStatus]:
        """Give these orders; returns the states of those that were taken, by id."""
        location, (first, *others) = self._location, [job.order for job in batch]
        if not self._takes_several:
            one = await self._call(lambda: self._client.order(location, first.id, first.name))
            return {one.id: one}
        # One too: where there is no room for it, it is not refused, but left out.
        taken = await self._call(lambda: self._client.order_all(location, [first, *others]))
        self._takes_several = taken.several
        return {status.id: status for status in taken.statuses}

    def _begin(
        self, batch: list[_Job], known: dict[str, DownloadStatus], only_open: bool = False
    ) -> None:
        """
        Follow those of the orders that are known there.

        `only_open`: what has failed there may have done so long ago.
        """
        for job in batch:
            id = job.order.id
            status = known.get(id)
            if status is None or (only_open and status.state not in (*UNDER_WAY, DONE)):
                continue
            self._waiting.remove(job)
            self._times_ordered[id] = self._times_ordered.get(id, 0) + 1
            self._take(job, status)

    async def _look(self) -> None:
        """Ask what has become of those that are under way."""
        if not self._under_way:
            return
        jobs = list(self._under_way.values())
        known = await self._known(jobs)
        if self._silent_since is not None or self._busy_since is not None:
            return
        for job in jobs:
            id = job.order.id
            if status := known.get(id):
                self._take(job, status)
                continue
            # It was started again, or has too many others to remember this one's end.
            del self._under_way[id]
            if self._times_ordered[id] < TIMES_ORDERED_MAX:
                self._waiting.append(job)
            else:
                job.fail(Unavailable("it forgets what it is to fetch: its log may say why"))

    def _take(self, job: _Job, status: DownloadStatus) -> None:
        if status.state in UNDER_WAY:
            self._under_way[job.order.id] = job
        else:
            self._under_way.pop(job.order.id, None)
        job.take(status)

    async def _known(self, jobs: list[_Job]) -> dict[str, DownloadStatus]:
        """The states of these there, by id; none where it doesn't say."""
        ids = [job.order.id for job in jobs]
        try:
            if len(ids) == 1:
                found = [
                    await self._call(lambda: self._client.fetch_status(self._location, ids[0]))
                ]
            else:
                found = await self._call(lambda: self._client.fetches(self._location, ids))
        except Unavailable as error:
            self._failed(error)
            return {}
        except Refused as refused:
            if refused.status in BUSY_STATUSES:
                await self._wait_in_line(refused)
                return {}
            if refused.status != 404:
                raise
            found = []
        self._answered()
        return {status.id: status for status in found}

    async def _call(self, call: Callable[[], Coroutine[Deferred[Any], Any, _T]]) -> _T:
        """Make a call when there is room for it."""
        await self._room.acquire()
        try:
            return await call()
        finally:
            self._room.release()

    def _answered(self) -> None:
        self._has_answered = True
        self._failures = 0
        self._silent_since = self._busy_since = None

    def _failed(self, error: Unavailable) -> None:
        """Note that it doesn't answer. Raises the first error where that has lasted too long."""
        now = self._clock.seconds()
        self._failures += 1
        if self._silent_since is None or self._first_error is None:
            self._silent_since, self._first_error = now, error
        if self._has_answered:
            if now - self._silent_since >= SILENCE_MAX:
                raise self._first_error
        elif self._failures >= FIRST_FAILURES_MAX:
            raise self._first_error

    async def _wait_in_line(self, refused: Refused) -> None:
        """Note that it is too busy. Raises that where waiting doesn't help, or lasted too long."""
        now = self._clock.seconds()
        self._has_answered, self._silent_since = True, None
        if self._busy_since is None:
            self._busy_since = now
            # The same status says that its folder is gone.
            try:
                health = await self._call(lambda: self._client.health(self._location))
            except (Unavailable, Refused):
                return
            if health.folder_problem:
                raise refused
        if not self._under_way and now - self._busy_since >= BUSY_MAX:
            raise refused
