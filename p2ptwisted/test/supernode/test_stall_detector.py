"""Tests for `p2ptwisted.supernode.stall_detector`."""

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.supernode.stall_detector import STALL_MIN, STALLS_MAX, TICK, StallDetector


class StallTests(SynchronousTestCase):
    """What is known of a process by when its ticks come."""

    def setUp(self) -> None:
        self.stalls = StallDetector()

    def tick(self, *times: float) -> None:
        for now in times:
            self.stalls.tick(now)

    def test_punctual(self) -> None:
        """Ticks that come when they are due tell of nothing."""
        self.tick(*(number * TICK for number in range(100)))
        self.assertEqual(self.stalls.since(0, 100 * TICK), 0)

    def test_busy(self) -> None:
        """Nor do those that are a little late each, however many they are."""
        step = TICK + 0.9 * STALL_MIN
        self.tick(*(number * step for number in range(100)))
        self.assertEqual(self.stalls.since(0, 100 * step), 0)

    def test_stood_still(self) -> None:
        """Late is the time from when a tick was due until it came, as far as it is asked about."""
        self.tick(0, TICK, 4)
        self.assertEqual(self.stalls.since(0, 4), 4 - 2 * TICK)
        self.assertEqual(self.stalls.since(3, 4), 1)
        self.assertEqual(self.stalls.since(4, 4 + TICK), 0)

    def test_not_yet_ticked(self) -> None:
        """It is known already before the late tick comes: other timers may be served first."""
        self.tick(0)
        self.assertEqual(self.stalls.since(0, 3), 3 - TICK)

    def test_starved(self) -> None:
        """Delays add up."""
        self.tick(*(number * 2 * TICK for number in range(9)))
        self.assertEqual(self.stalls.since(0, 16 * TICK), 8 * TICK)

    def test_bounded(self) -> None:
        """Only the last are remembered."""
        self.tick(*(number * 2 * TICK for number in range(3 * STALLS_MAX)))
        self.assertEqual(self.stalls.since(0, (3 * STALLS_MAX - 1) * 2 * TICK), STALLS_MAX * TICK)

    def test_stopped(self) -> None:
        """Where no ticks are due none are late."""
        self.assertEqual(self.stalls.since(0, 10), 0)
        self.tick(0)
        self.stalls.stop()
        self.assertEqual(self.stalls.since(0, 10), 0)
        self.tick(10)
        self.assertEqual(self.stalls.since(0, 10), 0)
