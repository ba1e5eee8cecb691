"""Tests of `p2ptwisted.transfer.file_sync`, and of what its child does."""

import errno
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.interfaces import IProcessProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.test.node_fakes import ProcessReactor
from p2ptwisted.transfer.file_sync import file_sync
from p2ptwisted.transfer.sync_worker import main


class OneProcess(ProcessReactor):
    """A reactor that keeps the protocol of the process that it has started."""

    protocol: IProcessProtocol

    def spawnProcess(self, processProtocol: IProcessProtocol, *more: Any, **named: Any) -> Any:
        self.protocol, self.descriptors = processProtocol, named["childFDs"]
        return super().spawnProcess(processProtocol, *more, **named)


class SyncTests(SynchronousTestCase):
    """The child process, as the daemon sees it."""

    def setUp(self) -> None:
        self.reactor = OneProcess()
        self.done = file_sync(self.reactor)(5)

    def end(self, reason: Exception) -> None:
        """The child ends."""
        self.reactor.protocol.processEnded(Failure(reason))

    def test_done(self) -> None:
        """It is synced when the child has ended well."""
        self.assertNoResult(self.done)
        self.assertEqual(self.reactor.descriptors[0], 5)
        self.end(ProcessDone(0))
        self.assertIs(self.successResultOf(self.done), None)

    def test_problem(self) -> None:
        """The child's exit status is the error's number; killed, it says nothing."""
        for status, number in ((errno.ENOSPC, errno.ENOSPC), (None, errno.EIO)):
            self.setUp()
            self.end(ProcessTerminated(exitCode=status))
            self.assertEqual(self.failureResultOf(self.done, OSError).value.errno, number)

    def test_cancelled(self) -> None:
        """Cancelled, it is killed, and its end is no matter any more."""
        self.done.cancel()
        self.failureResultOf(self.done, CancelledError)
        self.end(ProcessTerminated(signal=9))

    def test_no_process(self) -> None:
        """Where none can be started, whoever renames the file syncs it."""
        self.reactor.no_process = OSError(errno.EAGAIN, "no process")
        self.assertIs(self.successResultOf(file_sync(self.reactor)(5)), None)

    def test_child(self) -> None:
        """It syncs its standard input, and ends with the number of what goes wrong."""
        path = Path(self.mktemp())
        with path.open("wb") as file:
            self.patch(sys, "stdin", file)
            main([])
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        self.patch(sys, "stdin", SimpleNamespace(fileno=lambda: reader))
        with self.assertRaises(SystemExit) as caught:
            main([])
        self.assertEqual(caught.exception.code, errno.EINVAL)
