"""Tests for `p2ptwisted.supernode.quota`."""

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.supernode.quota import Quota


class SharesTests(SynchronousTestCase):
    """Ten of something, of which one user gets four."""

    def setUp(self) -> None:
        self.shares = Quota(10, 4)

    def test_share(self) -> None:
        """A user begins while it has less than its share, and more when some has ended."""
        self.assertTrue(self.shares.begin("a", 3))
        self.assertTrue(self.shares.begin("a", 3))
        self.assertFalse(self.shares.begin("a", 1))
        self.shares.end("a", 3)
        self.assertTrue(self.shares.begin("a", 1))

    def test_all(self) -> None:
        """Of all together no more begin than there is room for."""
        for user in ("a", "b", "c"):
            self.assertTrue(self.shares.begin(user, 4))
        self.assertFalse(self.shares.begin("d", 1))
        self.shares.end("b", 4)
        self.assertTrue(self.shares.begin("d", 1))

    def test_one_alone(self) -> None:
        """However much one user takes at once, others find room."""
        self.assertTrue(self.shares.begin("a", 100))
        self.assertTrue(self.shares.begin("b", 100))
        self.assertTrue(self.shares.begin("c", 100))
        self.shares.end("a", 100)
        self.assertTrue(self.shares.begin("a", 1))

    def test_without_a_share(self) -> None:
        """Who isn't bounded is so by what there is in all, and counts whole."""
        for _ in range(2):
            self.assertTrue(self.shares.begin("a", 5, bounded=False))
        self.assertFalse(self.shares.begin("a", 1, bounded=False))
        self.assertFalse(self.shares.begin("b", 1))
        self.shares.end("a", 5, bounded=False)
        self.assertTrue(self.shares.begin("b", 1))

    def test_nothing(self) -> None:
        """What takes nothing leaves nothing behind."""
        for _ in range(20):
            self.assertTrue(self.shares.begin("a", 0))
            self.shares.end("a", 0)
        self.assertTrue(self.shares.begin("a", 10))
