"""Tests of `p2ptwisted.node.folder_checks`: on a Clock."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.node.folder_checks import LOOK_EVERY, FolderChecks


class FolderChecksTests(SynchronousTestCase):
    """Looks in a row."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.looks: list[float] = []
        self.error: Exception | None = None
        self.checks = FolderChecks(self.clock, self.look)
        self.checks.startService()

    def look(self) -> None:
        self.looks.append(self.clock.seconds())
        if self.error is not None:
            raise self.error

    def test_regular(self) -> None:
        """It looks every LOOK_EVERY seconds until it stops."""
        self.clock.pump([LOOK_EVERY] * 3)
        self.checks.stopService()
        self.clock.pump([LOOK_EVERY] * 3)
        self.assertEqual(self.looks, [LOOK_EVERY, 2 * LOOK_EVERY, 3 * LOOK_EVERY])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_failing(self) -> None:
        """A look that fails is told of, and not the last."""
        self.error = ZeroDivisionError()
        self.clock.pump([LOOK_EVERY] * 2)
        self.assertEqual(len(self.looks), 2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.checks.stopService()
