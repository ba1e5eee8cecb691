"""Tests for `p2ptwisted.transfer.piece_deadline`."""

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.transfer.piece_deadline import SLOWEST, PieceDeadline


class PieceDeadlineTests(SynchronousTestCase):
    """How long is waited for a piece."""

    def setUp(self) -> None:
        self.deadline = PieceDeadline(30.0, 100.0)

    def test_nothing(self) -> None:
        """Where nothing comes it lasts as long as it is said."""
        self.assertEqual(self.deadline.seconds_left(100.0, 0), 30.0)
        self.assertEqual(self.deadline.seconds_left(131.0, 0), -1.0)

    def test_trickle(self) -> None:
        """A byte a second is as good as nothing."""
        self.assertLess(self.deadline.seconds_left(131.0, 31), 0)

    def test_slow(self) -> None:
        """Whoever brings what the slowest link does, has all the time that a piece takes."""
        for seconds in range(10_000):
            self.assertGreater(self.deadline.seconds_left(100.0 + seconds, SLOWEST * seconds), 0)

    def test_piece(self) -> None:
        """With a piece it begins again."""
        self.deadline.seconds_left(110.0, 50 * SLOWEST)
        self.deadline.restart(120.0)
        self.assertEqual(self.deadline.seconds_left(140.0, 0), 10.0)

    def test_broken_off(self) -> None:
        """What had come of a piece goes on to count when its neighbor breaks off, once."""
        self.deadline.seconds_left(200.0, 100 * SLOWEST)
        self.assertEqual(self.deadline.seconds_left(205.0, 0), 25.0)
        self.assertEqual(self.deadline.seconds_left(205.0, 10 * SLOWEST), 25.0)

    def test_held(self) -> None:
        """Time for which we hold back what comes doesn't count, of several at once only once."""
        self.deadline.extend(60.0, 110.0)
        self.deadline.extend(50.0, 115.0)
        self.assertEqual(self.deadline.seconds_left(175.0, 0), 15.0)
        self.deadline.extend(10.0, 165.0)
        self.assertEqual(self.deadline.seconds_left(175.0, 0), 20.0)
        self.deadline.extend(30.0, 180.0)
        self.deadline.restart(190.0)
        self.assertEqual(self.deadline.seconds_left(210.0, 0), 30.0)
