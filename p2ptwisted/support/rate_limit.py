"""
How much may go out now: token buckets for requests, and a limit on bytes a second for transfers.

Pure: time is an argument, in seconds on a monotonic clock. Waiting is up to the caller.
"""

from p2ptwisted.support.expiring import BoundedDict

#: Seconds' worth of bytes that may go at once, so that small answers don't wait.
RATE_LIMIT_BURST = 0.1


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
        """Take `count` tokens; False, and none is taken, where there are fewer."""
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
        self._buckets: BoundedDict[str, TokenBucket] = BoundedDict(most)

    def of(self, name: str) -> TokenBucket:
        """Return the bucket of `name`, a new one where it has none."""
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = TokenBucket(self._rate, self._burst)
        # Whether it is new or not, it is now the one used last.
        self._buckets[name] = bucket
        return bucket


class RateLimit:
    """
    A limit on bytes a second, shared by all transfers of one direction.

    Unlike a bucket it refuses nothing: it counts bytes that have gone, and
    says how long to wait before more of them.
    """

    def __init__(self, rate: int | None) -> None:
        """`rate`: bytes a second; None for no limit."""
        self._rate = rate
        self._free_at = 0.0

    def take(self, count: int, now: float) -> float:
        """Count `count` bytes that go now; returns the seconds to wait before the next."""
        if self._rate is None:
            return 0.0
        self._free_at = max(self._free_at, now - RATE_LIMIT_BURST) + count / self._rate
        return max(0.0, self._free_at - now)
