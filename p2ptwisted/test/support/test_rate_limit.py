"""Tests for `p2ptwisted.support.rate_limit`."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.support.rate_limit import RATE_LIMIT_BURST, RateLimit, TokenBucket, TokenBuckets


def taken(bucket: TokenBucket, now: float) -> int:
    """How many tokens there are; afterwards there are none."""
    count = 0
    while bucket.take(now):
        count += 1
    return count


class TokenBucketTests(SynchronousTestCase):
    """How much a bucket lets through."""

    def test_burst(self) -> None:
        """A new bucket lets its burst through at once, and no more."""
        self.assertEqual(taken(TokenBucket(rate=1, burst=3), now=100.0), 3)

    def test_refill(self) -> None:
        """An empty bucket fills at its rate."""
        bucket = TokenBucket(rate=2, burst=10)
        taken(bucket, now=0.0)
        self.assertFalse(bucket.take(0.4))
        self.assertTrue(bucket.take(0.5))
        self.assertEqual(taken(bucket, now=2.0), 3)

    def test_never_more_than_the_burst(self) -> None:
        """However long nothing is taken, no more than the burst gathers."""
        bucket = TokenBucket(rate=100, burst=5)
        taken(bucket, now=0.0)
        self.assertEqual(taken(bucket, now=1e6), 5)

    def test_refused_takes_cost_nothing(self) -> None:
        """Asking an empty bucket again and again does not keep it empty."""
        bucket = TokenBucket(rate=1, burst=1)
        bucket.take(0.0)
        refused = [bucket.take(tenth / 8) for tenth in range(1, 8)]
        self.assertEqual(refused, [False] * 7)
        self.assertTrue(bucket.take(1.0))

    def test_several(self) -> None:
        """Several are taken together or not at all, and can be given back so."""
        bucket = TokenBucket(rate=1, burst=5)
        self.assertTrue(bucket.take(0.0, 3))
        self.assertFalse(bucket.take(0.0, 3))
        bucket.give_back(2)
        self.assertTrue(bucket.take(0.0, 4))
        self.assertFalse(bucket.take(0.0))

    def test_give_back(self) -> None:
        """A token that was given back can be taken again without any time going by."""
        bucket = TokenBucket(rate=1, burst=2)
        taken(bucket, now=0.0)
        bucket.give_back()
        self.assertEqual(taken(bucket, now=0.0), 1)

    def test_give_back_to_a_full_bucket(self) -> None:
        """Giving back never makes more of it than the burst."""
        bucket = TokenBucket(rate=1, burst=2)
        bucket.give_back()
        self.assertEqual(taken(bucket, now=0.0), 2)

    @settings(deadline=None)
    @given(
        rate=st.integers(1, 1000),
        burst=st.integers(1, 50),
        pauses=st.lists(st.floats(0, 1), max_size=40),
    )
    def test_bound(self, rate: int, burst: int, pauses: list[float]) -> None:
        """Over any time, no more than the burst and the rate times that time goes through."""
        bucket = TokenBucket(rate, burst)
        now, through = 0.0, 0
        for pause in pauses:
            now += pause
            through += taken(bucket, now)
            self.assertLessEqual(through, burst + rate * now + 1e-6)


class TokenBucketsTests(SynchronousTestCase):
    """A bucket for each of many."""

    def test_apart(self) -> None:
        """What one takes the others keep."""
        buckets = TokenBuckets(1, 1, 10)
        self.assertTrue(buckets.of("a").take(0.0))
        self.assertFalse(buckets.of("a").take(0.0))
        self.assertTrue(buckets.of("b").take(0.0))

    def test_bounded(self) -> None:
        """The one used least recently is forgotten, and begins anew."""
        buckets = TokenBuckets(1, 1, 2)
        for name in ("a", "b", "a", "c"):
            buckets.of(name).take(0.0)
        self.assertFalse(buckets.of("a").take(0.0))
        self.assertTrue(buckets.of("b").take(0.0))


class RateLimitTests(SynchronousTestCase):
    """How long a rate limit makes its transfers wait."""

    def test_no_bound(self) -> None:
        """Without a rate there is never a wait."""
        self.assertEqual(RateLimit(None).take(1 << 40, 0.0), 0.0)

    def test_rate(self) -> None:
        """Bytes cost as many seconds as they take at the rate."""
        limit = RateLimit(1000)
        limit.take(100, 50.0)
        self.assertAlmostEqual(limit.take(500, 50.0), 0.5)
        self.assertAlmostEqual(limit.take(500, 50.0), 1.0)
        self.assertAlmostEqual(limit.take(500, 50.8), 0.7)

    def test_burst(self) -> None:
        """After a pause, however long, a tenth of a second's worth goes at once."""
        limit = RateLimit(1000)
        limit.take(5000, 0.0)
        self.assertEqual(limit.take(100, 1e6), 0.0)
        self.assertGreater(limit.take(1, 1e6), 0.0)

    @settings(deadline=None)
    @given(
        rate=st.integers(1, 10**9),
        starts=st.lists(st.floats(0, 5), min_size=1, max_size=4),
        counts=st.lists(st.integers(1, 10**6), min_size=1, max_size=40),
    )
    def test_bound(self, rate: int, starts: list[float], counts: list[int]) -> None:
        """Several that share it and wait as told keep to the rate together."""
        limit = RateLimit(rate)
        turns = sorted(starts)
        through = 0
        for count in counts:
            now = turns.pop(0)
            # Each transfer may have one answer under way that is paid for afterwards.
            self.assertLessEqual(
                through, rate * (now + RATE_LIMIT_BURST) + len(starts) * 10**6 + 1e-3
            )
            through += count
            turns = sorted([*turns, now + limit.take(count, now)])
