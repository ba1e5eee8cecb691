"""A time limit that is set again far more often than it is reached."""

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class IdleTimer:
    """
    Calls a function when its time is up.

    It keeps one delayed call, which is left to run, and checks the time only
    when that fires: a delayed call set and cancelled for each event in time
    would cost a request several microseconds each.
    """

    def __init__(self, clock: IReactorTime, timed_out: Callable[[], object]) -> None:
        """`timed_out` is called, without arguments, when the time is up."""
        self._clock = clock
        self._timed_out = timed_out
        self._due: float | None = None
        self._timer: IDelayedCall | None = None
        #: When the delayed call fires, where there is one.
        self._fires = 0.0

    def set(self, seconds: float) -> None:
        """Set the time limit to `seconds` from now; an earlier one is forgotten."""
        self._due = self._clock.seconds() + seconds
        if self._timer is None:
            self._start(seconds)
        elif self._due < self._fires:
            self._timer.cancel()
            self._start(seconds)

    def clear(self) -> None:
        """Have no time limit until one is set."""
        self._due = None

    def stop(self) -> None:
        """Have no time limit, and leave no delayed call in the reactor."""
        self._due = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start(self, seconds: float) -> None:
        self._timer = self._clock.callLater(seconds, self._fire)
        self._fires = self._clock.seconds() + seconds

    def _fire(self) -> None:
        self._timer = None
        if self._due is None:
            return
        rest = self._due - self._clock.seconds()
        if rest > 0:
            self._start(rest)
            return
        self._due = None
        self._timed_out()
