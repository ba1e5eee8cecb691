"""How late this very process was, of late: stopped, starved of a processor, or busy."""

from collections import deque

#: Seconds between two ticks.
TICK = 0.25

#: Seconds from which on a tick is late. By less it is whenever there is much to do, for
#: hours perhaps; answers are read all the same.
LEAST = 0.1

#: Late ticks that are remembered: those of 16 s, more than anybody asks about.
LATE_MAX = 64


class StallDetector:
    """
    What ticks that should come evenly tell by not doing so. Pure.

    Whoever waits for others must know: their answers may lie here unread,
    for timers come first when a process wakes.
    """

    def __init__(self) -> None:
        #: When the next tick is due; None while there are none.
        self._due: float | None = None
        #: From when a tick was due until it came.
        self._late: deque[tuple[float, float]] = deque(maxlen=LATE_MAX)

    def tick(self, now: float) -> None:
        """To be called every TICK seconds."""
        if self._due is not None and now - self._due >= LEAST:
            self._late.append((self._due, now))
        self._due = now + TICK

    def stop(self) -> None:
        """No more ticks are due."""
        self._due = None

    def since(self, began: float, now: float) -> float:
        """The seconds for which this process was late, in all, from `began` until `now`."""
        late = list(self._late)
        if self._due is not None and now - self._due >= LEAST:
            # A timer that was due before the next tick is served before it.
            late.append((self._due, now))
        return sum(max(0.0, came - max(due, began)) for due, came in late)
