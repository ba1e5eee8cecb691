"""
Syncing a file to its disk in a child process: it can take seconds, in which the daemon would
stand still.
"""

import errno
import os
from collections.abc import Callable
from contextlib import suppress

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ProcessDone, ProcessExitedAlready
from twisted.internet.interfaces import IProcessTransport, IReactorProcess
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2ptwisted.support.child_process import start_child

#: What its child runs.
WORKER = "p2ptwisted.transfer.sync_worker"

_log = Logger()


def file_sync(reactor: IReactorProcess) -> Callable[[int], Deferred[None]]:
    """A function that syncs an open file; its Deferred fails with OSError."""

    def sync(file: int) -> Deferred[None]:
        child = _SyncProtocol()
        try:
            start_child(reactor, child, WORKER, stdin=file)
        except OSError as error:
            # Whoever puts the file in its place syncs it too.
            _log.warn("Can't start a process to sync a file in ({error})", error=error)
            return succeed(None)
        return child.done

    return sync


class _SyncProtocol(ProcessProtocol):
    """A child process that syncs the file that is its standard input."""

    transport: IProcessTransport

    def __init__(self) -> None:
        self.done: Deferred[None] = Deferred(self._cancelled)

    def _cancelled(self, done: Deferred[None]) -> None:
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")

    def processEnded(self, reason: Failure) -> None:
        if self.done.called:
            return
        if reason.check(ProcessDone):
            self.done.callback(None)
        else:
            number = getattr(reason.value, "exitCode", None) or errno.EIO
            self.done.errback(OSError(number, os.strerror(number)))
