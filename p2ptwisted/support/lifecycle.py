"""
Starting and stopping a daemon's parts in order, and work in slices: what both roles compose.

Services here wrap what has no service of its own. What a role is made of is in
its `service` module; the process around it is in `p2ptwisted.daemon`.
"""

from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeVar

from twisted.application.service import IService, MultiService, Service
from twisted.internet.defer import (
    CancelledError,
    Deferred,
    FirstError,
    gatherResults,
    maybeDeferred,
    succeed,
)
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Cooperator, SchedulerStopped, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

#: Seconds that running transfers and requests get to finish when the daemon stops.
STOP_GRACE = 5.0

#: Seconds of work between two turns of the reactor (Twisted's own figure).
SLICE_TIME = 0.01

_log = Logger()
_T = TypeVar("_T")


class InOrder(MultiService):
    """Starts its services one after the other, and stops them in reverse order, awaiting each."""

    def stopService(self) -> Deferred[None]:
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        for service in reversed(list(self)):
            try:
                await maybeDeferred(service.stopService)
            except Exception:
                # The others must be stopped all the same.
                _log.failure("{service} did not stop well", service=service)


def in_order(*services: IService) -> InOrder:
    """Compose services that are started in this order and stopped in the reverse order."""
    parent = InOrder()
    for service in services:
        service.setServiceParent(parent)
    return parent


def together(*services: IService) -> MultiService:
    """Compose services that are started in this order and stopped all at once."""
    parent = MultiService()
    for service in services:
        service.setServiceParent(parent)
    return parent


class Closing(Service):
    """Closes something, which is open from the beginning, when the service stops."""

    def __init__(self, close: Callable[[], Coroutine[Deferred[Any], Any, None] | None]) -> None:
        self._close = close

    def stopService(self) -> Deferred[object]:
        super().stopService()
        return maybeDeferred(self._close)


class Opening(Closing):
    """Opens something at the start and closes it at the end; StartError propagates."""

    def __init__(self, open: Callable[[], None], close: Callable[[], None]) -> None:
        super().__init__(close)
        self._open = open

    def startService(self) -> None:
        super().startService()
        self._open()

    def stopService(self) -> Deferred[object]:
        # What was never started has nothing to close.
        return super().stopService() if self.running else succeed(None)


class Starting(Service):
    """Does something once, at the start; a failure is logged and the daemon goes on."""

    def __init__(self, work: Callable[[], Coroutine[Deferred[Any], Any, None]]) -> None:
        self._work = work
        self._done: Deferred[None] | None = None

    def startService(self) -> None:
        super().startService()
        self._done = Deferred.fromCoroutine(self._work())
        self._done.addErrback(self._failed)

    def stopService(self) -> None:
        super().stopService()
        if self._done is not None:
            self._done.cancel()

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            _log.error("{error}", error=failure.value)


class Wakeup:
    """Wakes all coroutines that wait for it."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        # In order, so that a simulation of it is repeatable.
        self._waiting: dict[Deferred[None], None] = {}

    def fire(self) -> None:
        """Wake all that wait now."""
        waiting, self._waiting = self._waiting, {}
        for waiter in waiting:
            waiter.callback(None)

    async def wait(self, seconds: float) -> None:
        """Wait until it fires, but no longer than so many seconds."""
        waiter: Deferred[None] = Deferred()
        self._waiting[waiter] = None
        timer = self._clock.callLater(seconds, waiter.callback, None)
        try:
            await waiter
        finally:
            self._waiting.pop(waiter, None)
            if timer.active():
                timer.cancel()

    async def wait_aside(self, seconds: float) -> None:
        """
        Wait as `wait` does, but go on only in the reactor's next turn.

        The caller of `fire` is then not interrupted, and can cancel what waits.
        """
        await self.wait(seconds)
        await deferLater(self._clock, 0)


def make_cooperator(clock: IReactorTime) -> Cooperator:
    """Return a Cooperator that yields to the reactor after SLICE_TIME of work."""

    def begin() -> Callable[[], bool]:
        # Twisted's own goes by the wall clock: set back by an hour, a slice would last an hour.
        until = clock.seconds() + SLICE_TIME
        return lambda: clock.seconds() >= until

    return Cooperator(begin, lambda step: clock.callLater(0, step))


def run(cooperator: Cooperator, slices: Iterator[None]) -> None:
    """Run work in slices that nobody waits for; failures are logged."""

    def failed(failure: Failure) -> None:
        failure.trap(SchedulerStopped)

    task = cooperator.cooperate(slices)
    task.whenDone().addErrback(failed).addErrback(
        lambda failure: _log.failure("Work in slices failed", failure=failure)
    )


async def all_of(work: Sequence[Deferred[_T]]) -> list[_T]:
    """Await all of these and return their results; raises what the first failure raised."""
    try:
        return await gatherResults(work, consumeErrors=True)
    except FirstError as first:
        raise cause_of(first) from None


def cause_of(first: FirstError) -> BaseException:
    """Return the exception behind a FirstError."""
    cause = first.subFailure.value
    assert cause is not None
    return cause
