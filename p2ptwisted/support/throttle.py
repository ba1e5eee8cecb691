"""A bound on bytes a second, for all transfers of one direction together. Pure."""

#: Seconds' worth of bytes that may go at once, so that small answers don't wait.
BURST = 0.1


class RateLimit:
    """Counts bytes and says how long to wait before more of them."""

    def __init__(self, rate: int | None) -> None:
        """`rate`: bytes a second; None for no bound."""
        self._rate = rate
        self._free_at = 0.0

    def take(self, count: int, now: float) -> float:
        """So many bytes go now; the seconds to wait before the next."""
        if self._rate is None:
            return 0.0
        self._free_at = max(self._free_at, now - BURST) + count / self._rate
        return max(0.0, self._free_at - now)
