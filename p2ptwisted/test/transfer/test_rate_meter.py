"""Tests of `p2ptwisted.transfer.rate_meter`."""

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.transfer.rate_meter import RateMeter


class RateTests(SynchronousTestCase):
    """How a rate is averaged."""

    def test_unknown(self) -> None:
        """Before anything has come, nothing is known."""
        rate = RateMeter()
        self.assertIsNone(rate.value())
        rate.begin(5.0)
        rate.add(100, 5.0)
        self.assertIsNone(rate.value())

    def test_steady(self) -> None:
        """A steady rate is what it is, whatever the pauses between requests."""
        rate = RateMeter()
        now = 100.0
        for _ in range(50):
            rate.begin(now)
            for _ in range(4):
                now += 0.1
                rate.add(100, now)
            now += 10.0
        self.assertAlmostEqual(rate.value() or 0.0, 1000.0)

    def test_change(self) -> None:
        """Some seconds after a change, the rate is the new one."""
        rate = RateMeter()
        rate.begin(0.0)
        for tenth in range(1, 100):
            rate.add(1000 if tenth < 20 else 10, tenth / 10)
        self.assertTrue(100 < (rate.value() or 0.0) < 500)
