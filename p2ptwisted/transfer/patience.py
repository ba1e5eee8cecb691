"""
How long a transfer goes on without a piece that is whole and right. Pure; seconds and bytes.

Bytes alone prove nothing: of who sends one a second there will never be a piece.
"""

import math

#: Bytes a second of the slowest link that will do, all sources together: a piece that is on
#: its way gets as long as it takes over that, besides the seconds without any.
SLOWEST = 8 * 1024


class Patience:
    """What is left of it."""

    def __init__(self, seconds: float, now: float = 0.0) -> None:
        """`seconds` is how long nothing at all may come."""
        self._seconds = seconds
        self._since = now
        self._coming = 0
        self._held_until = -math.inf

    def satisfied(self, now: float) -> None:
        """A piece has come, or the first bytes of one that was asked for: from now on anew."""
        self._since = max(now, self._held_until)
        self._coming = 0

    def held(self, pause: float, now: float) -> None:
        """We hold back what comes so long ourselves; that time doesn't count."""
        until = max(self._held_until, now + pause)
        self._since += until - max(self._held_until, now)
        self._held_until = until

    def left(self, now: float, coming: int) -> float:
        """Seconds, where so many bytes are here of pieces that aren't complete."""
        # Not less when one of them is broken off: its source may try again.
        self._coming = max(self._coming, coming)
        return self._since + self._seconds + self._coming / SLOWEST - now
