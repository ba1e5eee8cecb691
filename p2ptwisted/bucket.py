"""A token bucket: how much may go out now. Pure; time is an argument."""


class TokenBucket:
    """
    Lets `rate` tokens a second through, and `burst` at once.

    A token that turned out to cost nothing can be given back.
    """

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._filled_at: float | None = None

    def take(self, now: float) -> bool:
        """Take one token at `now` (seconds, monotonic); False where there is none."""
        if self._filled_at is not None:
            grown = self._tokens + (now - self._filled_at) * self._rate
            self._tokens = min(self._burst, grown)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def give_back(self) -> None:
        """Return a token that was taken."""
        self._tokens = min(self._burst, self._tokens + 1)
