"""Tests of `p2ptwisted.web.server.idle_timer`, by a clock that is moved by hand."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.test.stoppable_clock import StoppableClock
from p2ptwisted.web.server.idle_timer import IdleTimer


class DeadlineTests(SynchronousTestCase):
    """When it calls back, and with how many timers."""

    def setUp(self) -> None:
        self.clock: Clock = Clock()
        self.late: list[float] = []
        self.deadline = IdleTimer(self.clock, lambda: self.late.append(self.clock.seconds()))

    def advance(self, seconds: int) -> None:
        """Second by second, so that what is late shows when it was."""
        for _ in range(seconds):
            self.clock.advance(1)

    def test_once(self) -> None:
        """It calls back when its time has come, and once."""
        self.deadline.set(5)
        self.advance(20)
        self.assertEqual(self.late, [5])

    def test_stood_still(self) -> None:
        """While the process stands still, no time is up: what came since is read before."""
        clock = self.clock = StoppableClock()
        self.deadline = IdleTimer(clock, lambda: self.late.append(clock.seconds()))
        self.deadline.set(5)
        clock.advance(3)
        clock.stand_still(3600)
        self.assertEqual(self.late, [])
        clock.advance(1)
        self.assertEqual(self.late, [])
        clock.advance(1)
        self.assertEqual(len(self.late), 1)

    def test_later(self) -> None:
        """Set anew it calls back at the new time only, with the one timer."""
        self.deadline.set(5)
        for _ in range(3):
            self.advance(4)
            self.deadline.set(5)
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.advance(20)
        self.assertEqual(self.late, [17])

    def test_earlier(self) -> None:
        """A shorter time is not kept waiting by a longer one before it."""
        self.deadline.set(60)
        self.deadline.set(2)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.advance(100)
        self.assertEqual(self.late, [2])

    def test_clear(self) -> None:
        """Cleared it doesn't call back, and can be set again."""
        self.deadline.set(5)
        self.deadline.clear()
        self.advance(10)
        self.assertEqual(self.late, [])
        self.deadline.set(5)
        self.advance(10)
        self.assertEqual(self.late, [15])

    def test_again(self) -> None:
        """It may be set by what it calls back."""
        self.deadline = IdleTimer(self.clock, self.again)
        self.deadline.set(3)
        self.advance(10)
        self.assertEqual(self.late, [3, 6, 9])

    def again(self) -> None:
        self.late.append(self.clock.seconds())
        self.deadline.set(3)

    def test_stop(self) -> None:
        """Stopped it leaves no timer behind, set or not."""
        self.deadline.stop()
        self.deadline.set(5)
        self.deadline.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.late, [])
