"""A token bucket: how much may go out now. Pure; time is an argument."""

from collections import OrderedDict


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

    def take(self, now: float, count: int = 1) -> bool:
        """Take so many tokens at `now` (seconds, monotonic); False where there are fewer."""
        if self._filled_at is not None:
            grown = self._tokens + (now - self._filled_at) * self._rate
            self._tokens = min(self._burst, grown)
        self._filled_at = now
        if self._tokens < count:
            return False
        self._tokens -= count
        return True

    def give_back(self, count: int = 1) -> None:
        """Return tokens that were taken."""
        self._tokens = min(self._burst, self._tokens + count)


class TokenBuckets:
    """A token bucket for each of many names; those used least recently are forgotten."""

    def __init__(self, rate: float, burst: float, most: int) -> None:
        """`most`: names remembered. One that is forgotten begins with a full bucket."""
        self._rate = rate
        self._burst = burst
        self._most = most
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def of(self, name: str) -> TokenBucket:
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = TokenBucket(self._rate, self._burst)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(name)
        return bucket
