"""Tests for `p2ptwisted.support.throttle`."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.support.throttle import BURST, RateLimit


class ThrottleTests(SynchronousTestCase):
    """How long a throttle makes its transfers wait."""

    def test_no_bound(self) -> None:
        """Without a rate there is never a wait."""
        self.assertEqual(RateLimit(None).take(1 << 40, 0.0), 0.0)

    def test_rate(self) -> None:
        """Bytes cost as many seconds as they take at the rate."""
        throttle = RateLimit(1000)
        throttle.take(100, 50.0)
        self.assertAlmostEqual(throttle.take(500, 50.0), 0.5)
        self.assertAlmostEqual(throttle.take(500, 50.0), 1.0)
        self.assertAlmostEqual(throttle.take(500, 50.8), 0.7)

    def test_burst(self) -> None:
        """After a pause, however long, a tenth of a second's worth goes at once."""
        throttle = RateLimit(1000)
        throttle.take(5000, 0.0)
        self.assertEqual(throttle.take(100, 1e6), 0.0)
        self.assertGreater(throttle.take(1, 1e6), 0.0)

    @settings(deadline=None)
    @given(
        rate=st.integers(1, 10**9),
        starts=st.lists(st.floats(0, 5), min_size=1, max_size=4),
        counts=st.lists(st.integers(1, 10**6), min_size=1, max_size=40),
    )
    def test_bound(self, rate: int, starts: list[float], counts: list[int]) -> None:
        """Several that share it and wait as told keep to the rate together."""
        throttle = RateLimit(rate)
        turns = sorted(starts)
        through = 0
        for count in counts:
            now = turns.pop(0)
            # Each transfer may have one answer under way that is paid for afterwards.
            self.assertLessEqual(through, rate * (now + BURST) + len(starts) * 10**6 + 1e-3)
            through += count
            turns = sorted([*turns, now + throttle.take(count, now)])
