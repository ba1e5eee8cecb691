"""Tests of `p2ptwisted.supernode.reachability`."""

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.supernode.failure_detector import DOUBTFUL_FAILURES
from p2ptwisted.supernode.reachability import (
    CHECKS,
    TOGETHER_AFTER,
    UNREACHABLE_AFTER,
    Reachability,
)

A, B = "10.0.0.1:8000", "10.0.0.2:8000"

#: Checks that are just far enough apart.
EACH = UNREACHABLE_AFTER / (CHECKS - 1)


class ReachabilityTests(SynchronousTestCase):
    """Who is alive and can't be reached."""

    def setUp(self) -> None:
        self.reachability = Reachability()

    def miss(self, *locations: str, checks: int = CHECKS) -> None:
        for number in range(checks):
            for location in locations:
                self.reachability.missed(location, number * EACH)

    def unreachable(
        self, now: float = UNREACHABLE_AFTER, heard: float = 1.0, asked: int = 1
    ) -> list[str]:
        return self.reachability.unreachable(now, {A: heard, B: heard}, asked)

    def test_three_checks(self) -> None:
        """A node is unreachable that fails three checks in a row, over 9 s, and is heard."""
        self.miss(A)
        self.assertEqual(self.unreachable(), [A])

    def test_too_few(self) -> None:
        """Two checks are too few, however far apart."""
        self.miss(A, checks=CHECKS - 1)
        self.assertEqual(self.unreachable(1_000), [])

    def test_too_soon(self) -> None:
        """Checks in a short time, as of a node that is busy for a moment, don't count."""
        self.miss(A)
        self.assertEqual(self.unreachable(UNREACHABLE_AFTER - 0.1), [])

    def test_silent(self) -> None:
        """Of a node that wasn't heard since, nothing is said: it may be gone."""
        self.miss(A)
        self.assertEqual(self.unreachable(heard=0.0), [])
        self.assertEqual(self.reachability.unreachable(UNREACHABLE_AFTER, {}, 1), [])

    def test_reached(self) -> None:
        """One check that is passed, and all begins again."""
        self.miss(A, B)
        self.reachability.reached(A)
        self.assertEqual(self.unreachable(), [B])
        self.reachability.missed(A, UNREACHABLE_AFTER)
        self.assertEqual(self.unreachable(2 * UNREACHABLE_AFTER), [B])

    def test_left(self) -> None:
        """A node that has left begins again when it is back."""
        self.miss(A, B)
        self.reachability.keep([B])
        self.assertEqual(self.unreachable(), [B])

    def test_most_together(self) -> None:
        """Where most fail together, that is the supernode's trouble until it has lasted long."""
        nodes = [f"10.0.1.{number}:80" for number in range(DOUBTFUL_FAILURES)]
        heard = dict.fromkeys(nodes, 1.0)
        self.miss(*nodes)
        for asked, now, expected in (
            (2 * len(nodes) - 1, UNREACHABLE_AFTER, []),
            (2 * len(nodes) - 1, TOGETHER_AFTER - 0.1, []),
            (2 * len(nodes) - 1, TOGETHER_AFTER, nodes),
            (2 * len(nodes), UNREACHABLE_AFTER, nodes),
        ):
            self.assertEqual(self.reachability.unreachable(now, heard, asked), expected)
