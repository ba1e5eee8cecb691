"""How long this process itself stalled lately: stopped, starved of a processor, or busy. Pure."""

from collections import deque

#: Seconds between two ticks.
TICK = 0.25

#: Seconds by which a tick must be late to count as a stall. Shorter delays are normal when there
#: is much to do, perhaps for hours; answers are read all the same.
STALL_MIN = 0.1

#: Stalls remembered: those of 16 s, more than anybody asks about.
STALLS_MAX = 64


class StallDetector:
    """
    Measures stalls by ticks that should come evenly and don't.

    Whoever waits for others must know about stalls: the answers may have arrived and lie
    unread, because timers are served first when a process wakes.
    """

    def __init__(self) -> None:
        #: When the next tick is due; None while there are none.
        self._due: float | None = None
        #: For each stall, when a tick was due and when it came.
        self._stalls: deque[tuple[float, float]] = deque(maxlen=STALLS_MAX)

    def tick(self, now: float) -> None:
        """Note a tick at `now`; to be called every TICK seconds."""
        if self._due is not None and now - self._due >= STALL_MIN:
            self._stalls.append((self._due, now))
        self._due = now + TICK

    def stop(self) -> None:
        """No more ticks are due."""
        self._due = None

    def since(self, began: float, now: float) -> float:
        """Returns the seconds for which this process stalled, in all, from `began` to `now`."""
        stalls = list(self._stalls)
        if self._due is not None and now - self._due >= STALL_MIN:
            # A timer that was due before the next tick is served before it.
            stalls.append((self._due, now))
        return sum(max(0.0, came - max(due, began)) for due, came in stalls)
