"""
The time for which this process was awake, which every timer and every silence goes by.

A process stands still where it is stopped (Ctrl-Z), its machine is suspended, it is starved of a
processor, or the disk that it writes to doesn't answer. Meanwhile nothing is read of what others
send, and others give its connections up; so it says nothing about them.
"""

import time
from collections.abc import Callable

from twisted.internet.interfaces import IReactorCore, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from p2ptwisted.support.twisted_internals.reactor import set_reactor_clock

#: Seconds between two looks at the clock, at the most, of a process that is awake.
LOOK_INTERVAL = 0.25

#: Seconds that may pass between two looks. Of more, so many count: a process that is starved for
#: hours must come to the end of its timers, too.
GAP_MAX = LOOK_INTERVAL + 0.1

#: Seconds of standing still after which others may have given up connections of ours. (A server's
#: shortest `--stall-time`.)
STANDSTILL_MIN = 1.0

_log = Logger()


def system_clock() -> Callable[[], float]:
    """Return the system's seconds that never leap; where it can tell, they go on in a suspend."""
    try:
        time.clock_gettime(time.CLOCK_BOOTTIME)
    except (AttributeError, OSError):
        return time.monotonic
    return lambda: time.clock_gettime(time.CLOCK_BOOTTIME)


class AwakeClock:
    """Seconds that stand still while this process does."""

    def __init__(self, system_seconds: Callable[[], float] | None = None) -> None:
        """`system_seconds` returns the time of the world outside."""
        self._system_seconds = system_seconds or system_clock()
        self._seen = self._awake = self._system_seconds()
        #: What is yet to be counted of the last standstill.
        self._owed = 0.0
        #: When the last one was from which connections may have died; None: there was none.
        self._stood_still_at: float | None = None
        self._is_news = False
        self._woken: list[Callable[[], object]] = []

    def seconds(self) -> float:
        """Return the time; only differences mean anything."""
        now = self._system_seconds()
        gap, self._seen = max(0.0, now - self._seen), now
        if gap <= GAP_MAX:
            self._awake += gap + self._owed
            self._owed = 0.0
            return self._awake
        # What a reactor that wakes does first is to look which timers are due: none is by this
        # time. They are by the next look, which it takes after it has read what has come.
        self._awake += self._owed
        self._owed = GAP_MAX
        if gap - GAP_MAX >= STANDSTILL_MIN:
            self._stood_still_at = self._awake
            self._is_news = True
        return self._awake

    def stood_still_since(self, when: float) -> bool:
        """Whether this process stood still since then, so long that connections may have died."""
        self.seconds()
        return self._stood_still_at is not None and self._stood_still_at >= when

    def call_when_woken(self, function: Callable[[], object]) -> None:
        """Have `function` called soon after each time that it stood still so long."""
        self._woken.append(function)

    def look(self) -> None:
        """Look at the clock; to be called every LOOK_INTERVAL."""
        self.seconds()
        if self._is_news:
            self._is_news = False
            for function in self._woken:
                try:
                    function()
                except Exception:
                    # Anything raised here would end the LoopingCall for good.
                    _log.failure("What follows a standstill went wrong")


class IAwakeReactor(IReactorCore, IReactorTime):
    """What keeping the time needs of a reactor."""


def keep_awake_time(reactor: IAwakeReactor) -> AwakeClock:
    """
    Have a reactor's timers go by the time for which it is awake, from when it runs.

    To be called before any is set. Twisted's own go by the wall clock: they fire all at once when
    that is set forward, and when it is set back an hour, they stand still for an hour.
    """
    clock = AwakeClock()
    set_reactor_clock(reactor, clock.seconds)
    looking = LoopingCall(clock.look)
    looking.clock = reactor
    reactor.callWhenRunning(looking.start, LOOK_INTERVAL)
    return clock
