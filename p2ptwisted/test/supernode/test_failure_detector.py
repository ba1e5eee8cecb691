"""Tests for `p2ptwisted.supernode.failure_detector`."""

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.supernode.failure_detector import DOUBTFUL_FAILURES, FailureDetector

A, B = "10.0.0.1:8000", "10.0.0.2:8000"


class MissesTests(SynchronousTestCase):
    """How many checks a node may miss."""

    def setUp(self) -> None:
        self.detector = FailureDetector()

    def test_two_in_a_row(self) -> None:
        """The second miss in a row is one too many."""
        self.assertEqual([self.detector.swept([A], 2), self.detector.swept([A], 2)], [[], [A]])

    def test_seen_in_between(self) -> None:
        """Whatever shows that the node is alive makes the count begin again."""
        self.detector.swept([A], 2)
        self.detector.seen(A)
        self.assertEqual(self.detector.swept([A], 2), [])

    def test_each_node_for_itself(self) -> None:
        """Two nodes that miss one check each have not missed two."""
        self.assertEqual([self.detector.swept([A], 2), self.detector.swept([B], 2)], [[], []])

    def test_gone_is_forgotten(self) -> None:
        """A node that is gone and comes back begins without a miss."""
        self.detector.swept([A], 2)
        self.detector.swept([A], 2)
        self.assertEqual(self.detector.swept([A], 2), [])

    def test_left_is_forgotten(self) -> None:
        """So does one that left by itself; those that stayed keep their misses."""
        self.detector.swept([A, B], 2)
        self.detector.keep([B])
        self.assertEqual(self.detector.swept([A, B], 2), [B])

    def test_most_together(self) -> None:
        """Most nodes failing together are not believed the first time, and then as ever."""
        many = [f"10.0.1.{n}:8000" for n in range(DOUBTFUL_FAILURES)]
        asked = 2 * DOUBTFUL_FAILURES - 1
        gone = [self.detector.swept(many, asked) for _ in range(3)]
        self.assertEqual(gone, [[], [], many])

    def test_together_once(self) -> None:
        """A sweep that was not believed is no miss for anybody."""
        many = [f"10.0.1.{n}:8000" for n in range(DOUBTFUL_FAILURES)]
        self.detector.swept(many, DOUBTFUL_FAILURES)
        self.assertEqual(self.detector.swept(many[:1], DOUBTFUL_FAILURES), [])
        self.assertEqual(self.detector.swept(many[:1], DOUBTFUL_FAILURES), many[:1])

    def test_doubted_once(self) -> None:
        """Nodes that are missing already give no cause to doubt, however few others are left."""
        many = [f"10.0.1.{n}:8000" for n in range(4 * DOUBTFUL_FAILURES)]
        few = many[: DOUBTFUL_FAILURES + 1]
        self.assertEqual(self.detector.swept(many, len(many)), [])
        self.assertEqual(self.detector.swept(few, 3 * len(few)), [])
        self.assertEqual(self.detector.swept(few, len(few) + 2), few)

    def test_half_together(self) -> None:
        """Half of the nodes are not most of them."""
        many = [f"10.0.1.{n}:8000" for n in range(DOUBTFUL_FAILURES)]
        asked = 2 * DOUBTFUL_FAILURES
        self.assertEqual([self.detector.swept(many, asked) for _ in range(2)], [[], many])
