"""A time limit that is set anew far more often than it is reached."""

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class IdleTimer:
    """
    Calls back when its time has come.

    It keeps one timer, which is left to run and looked at only when it fires:
    a timer set and cancelled for each thing that comes in time would cost a
    request several microseconds each.
    """

    def __init__(self, clock: IReactorTime, late: Callable[[], object]) -> None:
        self._clock = clock
        self._late = late
        self._due: float | None = None
        self._timer: IDelayedCall | None = None
        #: When the timer fires, where it runs.
        self._fires = 0.0

    def set(self, seconds: float) -> None:
        """In so many seconds, and no longer when it was to be."""
        self._due = self._clock.seconds() + seconds
        if self._timer is None:
            self._start(seconds)
        elif self._due < self._fires:
            self._timer.cancel()
            self._start(seconds)

    def clear(self) -> None:
        """Not at all, until it is set again."""
        self._due = None

    def stop(self) -> None:
        """As `clear`, and the timer does not run any more either."""
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
        self._late()
