"""Tests of `p2ptwisted.transfer.file_digest`: what the child is sent."""

from pathlib import Path
from typing import cast

from twisted.internet.error import ProcessDone
from twisted.internet.interfaces import IProcessTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.transfer.file_digest import GROWN_STEP, ChildDigest


class Child:
    """Keeps what the child is sent."""

    def __init__(self) -> None:
        self.sent: list[int] = []

    def writeToChild(self, childFD: int, data: bytes) -> None:
        self.sent.extend(map(int, data.split()))


class GrownTests(SynchronousTestCase):
    """A file that grows."""

    def setUp(self) -> None:
        self.child = Child()
        self.digest = ChildDigest(Path("file"))
        self.digest.transport = cast(IProcessTransport, self.child)

    def test_steps(self) -> None:
        """The child is woken up for many bytes at a time, and for what is left at the end."""
        for size in (0, 10, GROWN_STEP - 1, GROWN_STEP, GROWN_STEP + 1, 2 * GROWN_STEP + 5):
            self.digest.grown(size)
        self.assertEqual(self.child.sent, [GROWN_STEP, 2 * GROWN_STEP + 5])
        self.digest.grown(2 * GROWN_STEP + 6)
        made = self.digest.digest()
        self.assertEqual(self.child.sent[2:], [2 * GROWN_STEP + 6])
        self.assertNoResult(made)
        self.digest.outReceived(b"ab\n")
        self.digest.processEnded(Failure(ProcessDone(0)))
        self.assertEqual(self.successResultOf(made), "ab")

    def test_empty(self) -> None:
        """The child hears of an empty file too: it waits for that."""
        self.digest.grown(0)
        self.digest.digest()
        self.assertEqual(self.child.sent, [0])

    def test_ended(self) -> None:
        """A child that has ended is sent nothing more."""
        self.digest.processEnded(Failure(ProcessDone(0)))
        self.digest.grown(GROWN_STEP)
        self.failureResultOf(self.digest.digest())
        self.assertEqual(self.child.sent, [])
