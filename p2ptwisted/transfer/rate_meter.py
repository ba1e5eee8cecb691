"""How fast something comes. Pure; seconds and bytes."""

import math
from dataclasses import dataclass

#: Seconds over which a rate is averaged.
RATE_SPAN = 2.0


@dataclass(eq=False, slots=True)
class RateMeter:
    """Bytes a second, recent ones counting most."""

    _bytes: float = 0.0
    _seconds: float = 0.0
    _at: float = 0.0

    def begin(self, now: float) -> None:
        """Idle time before this doesn't count."""
        self._at = now

    def add(self, count: int, now: float) -> None:
        """Count bytes that have come since the last call."""
        passed = max(0.0, now - self._at)
        fading = math.exp(-passed / RATE_SPAN)
        self._bytes = self._bytes * fading + count
        self._seconds = self._seconds * fading + passed
        self._at = now

    def value(self) -> float | None:
        """Bytes a second; None while nothing is known."""
        return self._bytes / self._seconds if self._seconds > 0 else None
