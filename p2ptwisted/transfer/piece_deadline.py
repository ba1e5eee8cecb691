"""
How long a download waits for the next complete piece. Pure; seconds and bytes.

Bytes alone prove nothing: who sends one a second never completes a piece.
"""

import math

#: Bytes a second of the slowest link that will do, all neighbors together: a piece that is on
#: its way gets as long as it takes over that, besides the seconds without any.
SLOWEST = 8 * 1024


class PieceDeadline:
    """When the next complete piece must be here."""

    def __init__(self, seconds: float, now: float = 0.0) -> None:
        """`seconds` is how long nothing at all may come."""
        self._seconds = seconds
        self._since = now
        self._coming = 0
        self._held_until = -math.inf

    def restart(self, now: float) -> None:
        """Begin again: a piece has come, or the first bytes of one that was asked for."""
        self._since = max(now, self._held_until)
        self._coming = 0

    def extend(self, pause: float, now: float) -> None:
        """Leave out so many seconds, in which we hold back ourselves what comes."""
        until = max(self._held_until, now + pause)
        self._since += until - max(self._held_until, now)
        self._held_until = until

    def seconds_left(self, now: float, coming: int) -> float:
        """Seconds until then, with so many bytes here of incomplete pieces; 0 or less: missed."""
        # Not less when one of them is broken off: its neighbor may try again.
        self._coming = max(self._coming, coming)
        return self._since + self._seconds + self._coming / SLOWEST - now
