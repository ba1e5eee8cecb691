"""
The digest of a file that is being downloaded, made in a child process
that follows the part through the page cache: so the daemon hashes every byte
only once, for its piece, and the two digests are made on two cores.
"""

import os
from collections.abc import Callable
from pathlib import Path

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ProcessDone
from twisted.internet.interfaces import IProcessTransport, IReactorProcess
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from p2ptwisted.errors import Unavailable
from p2ptwisted.interfaces import IFileDigest
from p2ptwisted.support.child_process import start_child

#: Bytes that come between two messages to the child, but for the last: each one wakes it up, and
#: it hashes these in 3 ms once the last piece is here.
GROWN_STEP = 4 * 1024 * 1024

#: What its child runs.
WORKER = "p2ptwisted.transfer.digest_worker"


def follower(reactor: IReactorProcess) -> Callable[[Path, os.stat_result, int], IFileDigest]:
    """A function that starts an IFileDigest: of a path, its file's status, and its final size."""

    def follow(path: Path, status: os.stat_result, size: int) -> IFileDigest:
        digest = ChildDigest(path)
        # Absolute, for a child's working directory is not ours.
        start_child(reactor, digest, WORKER, os.fspath(path.absolute()), str(size))
        digest.begin(status)
        return digest

    return follow


@implementer(IFileDigest)
class ChildDigest(ProcessProtocol):
    """An IFileDigest by a child process."""

    transport: IProcessTransport

    def __init__(self, path: Path) -> None:
        self._path = path
        #: The size that the file has, and the one that the child was sent last.
        self._size = 0
        self._sent_size = 0
        self._output = b""
        self._problem = b""
        self._result: str | Unavailable | None = None
        self._waiting: Deferred[str] | None = None
        self._gone: Deferred[None] | None = None

    def begin(self, status: os.stat_result) -> None:
        """Say which file it is: not another that is at its path by now."""
        self.transport.writeToChild(0, b"%d %d\n" % (status.st_dev, status.st_ino))

    def grown(self, size: int) -> None:
        self._size = max(size, self._size)
        if self._size - self._sent_size >= GROWN_STEP:
            self._send_size()

    def _send_size(self) -> None:
        if self._result is None:
            self._sent_size = self._size
            self.transport.writeToChild(0, b"%d\n" % self._size)

    def digest(self) -> Deferred[str]:
        # Also where it was sent before: an empty file is hashed by its only message.
        self._send_size()
        self._waiting = Deferred()
        self._answer()
        return self._waiting

    def stop(self) -> Deferred[None]:
        if self._result is not None:
            return succeed(None)
        self._gone = Deferred()
        self.transport.signalProcess("KILL")
        return self._gone

    def outReceived(self, data: bytes) -> None:
        self._output += data

    def errReceived(self, data: bytes) -> None:
        self._problem += data

    def processEnded(self, reason: Failure) -> None:
        if reason.check(ProcessDone) and self._output:
            self._result = self._output.decode("ascii").strip()
        else:
            last_line = self._problem.decode("utf-8", "replace").strip().rpartition("\n")[2]
            self._result = Unavailable(
                f"{self._path} can't be hashed: {last_line or reason.getErrorMessage()}"
            )
        self._answer()
        if self._gone is not None:
            self._gone.callback(None)

    def _answer(self) -> None:
        if self._waiting is None or self._waiting.called or self._result is None:
            return
        if isinstance(self._result, str):
            self._waiting.callback(self._result)
        else:
            self._waiting.errback(self._result)


@implementer(IFileDigest)
class KnownDigest:
    """An IFileDigest whose digest is known beforehand."""

    def __init__(self, digest: str) -> None:
        self._digest = digest

    def grown(self, size: int) -> None:
        """Do nothing: the digest is known."""

    def digest(self) -> Deferred[str]:
        return succeed(self._digest)

    def stop(self) -> Deferred[None]:
        return succeed(None)
