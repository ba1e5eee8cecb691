"""Tests for `p2ptwisted.transfer.patience`."""

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.transfer.patience import SLOWEST, Patience


class PatienceTests(SynchronousTestCase):
    """How long is waited for a piece."""

    def setUp(self) -> None:
        self.patience = Patience(30.0, 100.0)

    def test_nothing(self) -> None:
        """Where nothing comes it lasts as long as it is said."""
        self.assertEqual(self.patience.left(100.0, 0), 30.0)
        self.assertEqual(self.patience.left(131.0, 0), -1.0)

    def test_trickle(self) -> None:
        """A byte a second is as good as nothing."""
        self.assertLess(self.patience.left(131.0, 31), 0)

    def test_slow(self) -> None:
        """Whoever brings what the slowest link does, has all the time that a piece takes."""
        for seconds in range(10_000):
            self.assertGreater(self.patience.left(100.0 + seconds, SLOWEST * seconds), 0)

    def test_piece(self) -> None:
        """With a piece it begins anew."""
        self.patience.left(110.0, 50 * SLOWEST)
        self.patience.satisfied(120.0)
        self.assertEqual(self.patience.left(140.0, 0), 10.0)

    def test_broken_off(self) -> None:
        """What had come of a piece goes on to count when its source breaks off, once."""
        self.patience.left(200.0, 100 * SLOWEST)
        self.assertEqual(self.patience.left(205.0, 0), 25.0)
        self.assertEqual(self.patience.left(205.0, 10 * SLOWEST), 25.0)

    def test_held(self) -> None:
        """Time for which we hold back what comes doesn't count, of several at once only once."""
        self.patience.held(60.0, 110.0)
        self.patience.held(50.0, 115.0)
        self.assertEqual(self.patience.left(175.0, 0), 15.0)
        self.patience.held(10.0, 165.0)
        self.assertEqual(self.patience.left(175.0, 0), 20.0)
        self.patience.held(30.0, 180.0)
        self.patience.satisfied(190.0)
        self.assertEqual(self.patience.left(210.0, 0), 30.0)
