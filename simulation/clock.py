"""
Virtual time: one queue of all calls to come, and a clock for each process, which
can be killed and frozen.

Twisted's own Clock sorts all its calls whenever one is added; here are tens of thousands.
"""

import heapq
import itertools
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.base import DelayedCall
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer


class _FixedCall:
    """A call that is never canceled or postponed: most are, and it costs half as much."""

    __slots__ = ("args", "called", "func", "time")

    cancelled = 0
    kw: dict[str, Any] = {}

    def __init__(self, time: float, func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.time = time
        self.func = func
        self.args = args
        self.called = 0

    def getTime(self) -> float:
        return self.time


_Call = DelayedCall | _FixedCall

#: An entry of the queue: when it is due, its number, and a process's _Call; where it is nobody's, a
#: function without arguments.
_Entry = tuple[float, int, Any, "ProcessClock | None"]

#: Canceled calls in the queue, at the least, before they are thrown out.
CANCELED_MIN = 1_000


class Time:
    """The time of the whole simulation, in seconds."""

    def __init__(self) -> None:
        self.now = 0.0
        self._order = itertools.count()
        self._queue: list[_Entry] = []
        #: Canceled calls in the queue.
        self._canceled = 0

    def put(self, call: _Call, owner: "ProcessClock") -> None:
        self.put_at(call.getTime(), call, owner)

    def put_at(self, due: float, call: _Call, owner: "ProcessClock") -> None:
        heapq.heappush(self._queue, (due, next(self._order), call, owner))

    def call_at(self, due: float, call: Callable[[], object]) -> None:
        """Call a function then: no process owns that call, and nothing cancels or holds it."""
        heapq.heappush(self._queue, (due, next(self._order), call, None))

    def canceled(self, call: _Call) -> None:
        """Count a canceled call, and throw all of them out when they are most of the queue."""
        # A download cancels a timer of 30 s for every piece: millions, for longer than it takes.
        self._canceled += 1
        if self._canceled > max(CANCELED_MIN, len(self._queue) // 2):
            self._queue[:] = [
                entry for entry in self._queue if entry[3] is None or not entry[2].cancelled
            ]
            heapq.heapify(self._queue)
            self._canceled = 0

    def run_until(self, end: float) -> None:
        """Make all calls that are due until then, in order."""
        queue = self._queue
        while queue and queue[0][0] <= end:
            due, _, call, owner = heapq.heappop(queue)
            if owner is None:
                self.now = due
                call()
            elif call.cancelled:
                self._canceled -= 1
            elif call.called or owner.is_dead:
                continue
            elif call.getTime() > due:
                self.put(call, owner)  # It was postponed meanwhile.
            elif owner.is_frozen:
                owner.held.append(call)
            else:
                # A call that was held up is late; time doesn't go back for it.
                self.now = max(self.now, due)
                call.called = 1
                call.func(*call.args, **call.kw)
        self.now = max(self.now, end)


@implementer(IReactorTime)
class ProcessClock:
    """The clock of one process: calls that are due while it is frozen are made when it thaws."""

    def __init__(self, time: Time) -> None:
        self.time = time
        self.is_dead = False
        self.is_frozen = False
        #: Calls that became due while it was frozen, in order.
        self.held: list[_Call] = []

    def seconds(self) -> float:
        return self.time.now

    def callLater(
        self, delay: float, callable: Callable[..., Any], *args: object, **kw: object
    ) -> IDelayedCall:
        call = DelayedCall(
            self.time.now + delay,
            callable,
            args,
            kw,
            self.time.canceled,
            self._put,
            self.seconds,
        )
        self.time.put(call, self)
        return call

    def call_fixed(self, delay: float, callable: Callable[..., Any], *args: object) -> None:
        """As `callLater`, for a call that is never canceled or postponed."""
        due = self.time.now + delay
        self.time.put_at(due, _FixedCall(due, callable, args), self)

    def _put(self, call: DelayedCall) -> None:
        self.time.put(call, self)

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        raise NotImplementedError("nothing in a daemon asks for it")

    def freeze(self) -> None:
        """Hold all calls until it thaws."""
        self.is_frozen = True

    def thaw(self) -> None:
        """Make the calls that were held, and go on."""
        self.is_frozen = False
        held, self.held = self.held, []
        for call in held:
            self.time.put(call, self)

    def kill(self) -> None:
        """Drop all calls, for good."""
        self.is_dead = True
        self.held.clear()
