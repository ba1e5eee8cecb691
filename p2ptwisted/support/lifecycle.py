"""How the parts of a daemon are started, sliced and stopped: small pieces that both roles use."""

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

#: Seconds that transfers under way get to finish when the daemon stops.
STOP_GRACE = 5.0

#: Seconds of work between two turns of the reactor (Twisted's own figure).
SLICE_TIME = 0.01

_log = Logger()
_T = TypeVar("_T")


class InOrder(MultiService):
    """Starts its services one after the other and stops them, each awaited, the other way round."""

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
    parent = InOrder()
    for service in services:
        service.setServiceParent(parent)
    return parent


def together(*services: IService) -> MultiService:
    """They are started one after the other, and stopped all at once."""
    parent = MultiService()
    for service in services:
        service.setServiceParent(parent)
    return parent


class Closing(Service):
    """Something that is there from the beginning and must be closed in the end."""

    def __init__(self, close: Callable[[], Coroutine[Deferred[Any], Any, None] | None]) -> None:
        self._close = close

    def stopService(self) -> Deferred[object]:
        super().stopService()
        return maybeDeferred(self._close)


class Opening(Closing):
    """The same, opened at the start; StartError goes on to who starts it."""

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
    """Something to be done once, at the start; a failure is told and survived."""

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
    """Wakes all who wait for it."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: set[Deferred[None]] = set()

    def fire(self) -> None:
        waiting, self._waiting = self._waiting, set()
        for one in waiting:
            one.callback(None)

    async def wait(self, seconds: float) -> None:
        """Until it fires, or so much time has passed."""
        one: Deferred[None] = Deferred()
        self._waiting.add(one)
        timer = self._clock.callLater(seconds, one.callback, None)
        try:
            await one
        finally:
            self._waiting.discard(one)
            if timer.active():
                timer.cancel()

    async def wait_aside(self, seconds: float) -> None:
        """As `wait`, but not to go on in the midst of what fires it, and may be ended by that."""
        await self.wait(seconds)
        await deferLater(self._clock, 0)


def make_cooperator(clock: IReactorTime) -> Cooperator:
    """A Cooperator that gives way to the reactor after SLICE_TIME of work."""

    def begin() -> Callable[[], bool]:
        # Not Twisted's own, which goes by the wall clock: set back an hour, it would not end.
        until = clock.seconds() + SLICE_TIME
        return lambda: clock.seconds() >= until

    return Cooperator(begin, lambda step: clock.callLater(0, step))


def run(cooperator: Cooperator, slices: Iterator[None]) -> None:
    """Have slices of work done that nobody waits for; what goes wrong is in the log."""

    def failed(failure: Failure) -> None:
        failure.trap(SchedulerStopped)

    task = cooperator.cooperate(slices)
    task.whenDone().addErrback(failed).addErrback(
        lambda failure: _log.failure("Work in slices failed", failure=failure)
    )


async def all_of(work: Sequence[Deferred[_T]]) -> list[_T]:
    """The results of all of these; raises what the first that failed raised."""
    try:
        return await gatherResults(work, consumeErrors=True)
    except FirstError as first:
        raise cause_of(first) from None


def cause_of(first: FirstError) -> BaseException:
    """What the first that failed raised."""
    cause = first.subFailure.value
    assert cause is not None
    return cause
