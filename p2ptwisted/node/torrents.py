"""
The SHA-1s of the pieces of what a node shares: BitTorrent wants them, and nobody else.

They are computed when somebody asks for them, in a child process for each file, and remembered.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import ProcessDone, ProcessExitedAlready
from twisted.internet.interfaces import (
    IDelayedCall,
    IProcessTransport,
    IReactorTime,
)
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2ptwisted.errors import Unavailable, UnknownResource
from p2ptwisted.interfaces import Sha1Pieces
from p2ptwisted.node.hash_pool import IPoolReactor
from p2ptwisted.pieces import DIGEST, piece_size
from p2ptwisted.support.child_process import start_child
from p2ptwisted.support.expiring import BoundedDict
from p2ptwisted.support.lifecycle import Wakeup

#: The module that its children run.
WORKER = "p2ptwisted.node.torrent_worker"

#: Files that are read at once, of those one address asks for no more than one; and that wait or
#: are read, in all and for one address.
RUNNING_MAX, JOBS_MAX, JOBS_PER_ADDRESS_MAX = 2, 32, 8

#: Seconds that an answer waits for them; aria2 gives up after 60 s without a byte.
WAIT = 45.0

#: Seconds without anybody who waits after which they are no longer computed.
ABANDONED_AFTER = 60.0

#: Resources whose SHA-1s are remembered: of 1 TiB they take 1.3 MB.
REMEMBERED_MAX = 32

_log = Logger()


class _Job:
    """The SHA-1s of one resource, which are being computed or wait for that."""

    def __init__(self, clock: IReactorTime, id: str, length: int, caller: str) -> None:
        self.id = id
        self.length = length
        #: Who asked for them first.
        self.caller = caller
        self.ended = Wakeup(clock)
        self.waiting = 0
        self.problem: Exception | None = None
        self.child: _Child | None = None
        self.abandoning: IDelayedCall | None = None


class Torrents(Service):
    """Computes the SHA-1s of resources' pieces."""

    def __init__(self, reactor: IPoolReactor, open: Callable[[str], BinaryIO]) -> None:
        """`open` opens the content of a resource, or raises UnknownResource."""
        self._reactor = reactor
        self._open = open
        self._known: BoundedDict[str, Sha1Pieces] = BoundedDict(REMEMBERED_MAX)
        #: By id, in the order in which they were asked for.
        self._jobs: dict[str, _Job] = {}

    async def pieces(self, id: str, size: int, caller: str) -> Sha1Pieces:
        """
        The SHA-1s of the pieces of a resource with `size` bytes, for a client with that address.

        Raises UnknownResource if it has changed, and Unavailable if they are not known in time;
        they are being computed all the same.
        """
        known = self._known.get(id)
        if known is not None:
            return known
        job = self._jobs.get(id) or self._new_job(id, size, caller)
        if self._is_open(job):
            await self._wait(job)
        if job.problem is not None:
            raise job.problem
        known = self._known.get(id)
        if known is None:
            raise Unavailable(f"the SHA-1s of the pieces of {id} are being computed: ask again")
        return known

    def stopService(self) -> Deferred[list[tuple[bool, None]]]:
        """End all children; who waits is answered that the node is stopping."""
        super().stopService()
        gone = [job.child.gone for job in self._jobs.values() if job.child is not None]
        for job in list(self._jobs.values()):
            self._end(job, Unavailable("this node is stopping"))
        return DeferredList(gone)

    def _new_job(self, id: str, size: int, caller: str) -> _Job:
        if not self.running:
            raise Unavailable("this node is stopping")
        own = sum(job.caller == caller for job in self._jobs.values())
        if len(self._jobs) >= JOBS_MAX or own >= JOBS_PER_ADDRESS_MAX:
            raise Unavailable("too many torrents are being made here: try again in a moment")
        job = self._jobs[id] = _Job(self._reactor, id, piece_size(size), caller)
        self._begin_some()
        return job

    async def _wait(self, job: _Job) -> None:
        """Wait for the end of a job, which is abandoned when nobody has done so for a while."""
        job.waiting += 1
        if job.abandoning is not None:
            job.abandoning.cancel()
            job.abandoning = None
        try:
            await job.ended.wait(WAIT)
        finally:
            job.waiting -= 1
            if not job.waiting and self._is_open(job):
                job.abandoning = self._reactor.callLater(ABANDONED_AFTER, self._end, job)

    def _is_open(self, job: _Job) -> bool:
        return self._jobs.get(job.id) is job

    def _begin_some(self) -> None:
        """Read the next files, if there is room."""
        for job in list(self._jobs.values()):
            # One that can't begin ends, and then others have begun.
            if self._is_open(job) and self._may_begin(job):
                self._begin(job)

    def _may_begin(self, job: _Job) -> bool:
        running = [other.caller for other in self._jobs.values() if other.child is not None]
        has_room = len(running) < RUNNING_MAX and job.caller not in running
        return bool(self.running) and job.child is None and has_room

    def _begin(self, job: _Job) -> None:
        child = _Child(lambda output: self._was_read(job, output))
        try:
            with self._open(job.id) as file:
                start_child(self._reactor, child, WORKER, str(job.length), stdin=file.fileno())
        except UnknownResource as error:
            self._end(job, error)
        except OSError as error:
            _log.warn("Can't start a process to read a file in ({error})", error=error)
            self._end(job, Unavailable("no process can be started here: try again in a moment"))
        else:
            job.child = child

    def _was_read(self, job: _Job, output: bytes | None) -> None:
        """Take what a child has written, or None if it has failed."""
        if output is None:
            self._end(job, Unavailable(f"{job.id} could not be read: try again in a moment"))
        elif output[:DIGEST].hex() != job.id:
            self._end(job, UnknownResource(f"{job.id} has just changed or gone"))
        else:
            self._known[job.id] = Sha1Pieces(job.length, output[DIGEST:])
            self._end(job)

    def _end(self, job: _Job, problem: Exception | None = None) -> None:
        """Forget a job, whose child need not go on."""
        if not self._is_open(job):
            return
        del self._jobs[job.id]
        if job.abandoning is not None and job.abandoning.active():
            job.abandoning.cancel()
        if job.child is not None:
            job.child.kill()
        job.problem = problem
        job.ended.fire()
        self._begin_some()


class _Child(ProcessProtocol):
    """A child process that reads the file that is its standard input."""

    transport: IProcessTransport

    def __init__(self, ended: Callable[[bytes | None], None]) -> None:
        """`ended` is called with what it has written; with None if it has failed."""
        self._ended = ended
        self._output = bytearray()
        #: Fires when it is gone.
        self.gone: Deferred[None] = Deferred()

    def kill(self) -> None:
        """End it, if it is still there."""
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")

    def outReceived(self, data: bytes) -> None:
        self._output += data

    def processEnded(self, reason: Failure) -> None:
        self._ended(bytes(self._output) if reason.check(ProcessDone) else None)
        self.gone.callback(None)
