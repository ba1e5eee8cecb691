"""Hashes files in a few child processes, started on demand and ended when idle."""

import errno
import os
from collections import deque
from contextlib import suppress
from pathlib import Path

import msgspec
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import (
    IDelayedCall,
    IProcessTransport,
    IReactorProcess,
    IReactorTime,
)
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from p2ptwisted.interfaces import IHasher
from p2ptwisted.model import FileStamp
from p2ptwisted.node.hash_worker import Job, Result
from p2ptwisted.pieces import Digests
from p2ptwisted.support.child_process import start_child

#: The module that its children run.
WORKER = "p2ptwisted.node.hash_worker"

#: Bytes; files from this size on never occupy the last child: that is for the small ones.
LARGE = 16 * 1024 * 1024

#: Small files given to a child at once, so that it never waits for the next.
JOBS_AHEAD = 16

#: Seconds after which a child without work is ended.
IDLE_TIMEOUT = 10.0

#: Seconds until another try if the system starts no process.
START_RETRY = 5.0

_log = Logger()
_result = msgspec.json.Decoder(Result)


class IPoolReactor(IReactorProcess, IReactorTime):
    """What the pool needs of a reactor."""


class _Task:
    """A job, and the Deferred of its result."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.done: Deferred[Digests] = Deferred()
        self.tries = 0

    @property
    def is_large(self) -> bool:
        return self.job.stamp.size >= LARGE


@implementer(IHasher)
class HashPool(Service):
    """An IHasher with at most `size` child processes, by default one a core."""

    def __init__(self, reactor: IPoolReactor, size: int | None = None) -> None:
        self._reactor = reactor
        self._size = size or os.cpu_count() or 1
        self._children: list[_Child] = []
        self._small: deque[_Task] = deque()
        self._large: deque[_Task] = deque()
        self._again: IDelayedCall | None = None

    def is_large(self, size: int) -> bool:
        return size >= LARGE

    def hash(self, folder: Path, name: str, stamp: FileStamp) -> Deferred[Digests]:
        # Absolute, for a child's working directory is not ours.
        job = Job(os.fsencode(folder.absolute()), os.fsencode(name), stamp)
        task = _Task(job)
        (self._large if task.is_large else self._small).append(task)
        self._give_out()
        return task.done

    def stopService(self) -> Deferred[list[tuple[bool, None]]]:
        """End all children; the jobs that are left are not done."""
        super().stopService()
        if self._again is not None:
            self._again.cancel()
            self._again = None
        self._small.clear()
        self._large.clear()
        ended = [child.end() for child in list(self._children)]
        return DeferredList(ended)

    def _give_out(self) -> None:
        """Give waiting tasks to the children, and start more children if needed."""
        while self._small or self._large:
            busy = sum(1 for child in self._children if child.is_on_large)
            large = bool(self._large) and busy < max(1, self._size - 1)
            if not (self._small or large):
                return
            child = self._free_child(large and not self._small)
            if child is None:
                return
            child.give(self._small.popleft() if self._small else self._large.popleft())

    def _free_child(self, for_large: bool) -> "_Child | None":
        """A child to give the next task to, started if need be; None if all are busy."""
        children = [child for child in self._children if not child.is_on_large]
        least = min(children, key=lambda child: len(child.tasks), default=None)
        if least is not None and not least.tasks:
            return least
        if len(self._children) < self._size:
            return self._start_child()
        if for_large or least is None or len(least.tasks) >= JOBS_AHEAD:
            return None
        return least

    def _start_child(self) -> "_Child | None":
        child = _Child(self)
        try:
            start_child(self._reactor, child, WORKER)
        except OSError as error:
            _log.warn("Can't start a process to hash in ({error}); still trying", error=error)
            if self._again is None:
                self._again = self._reactor.callLater(START_RETRY, self._try_again)
            return None
        self._children.append(child)
        return child

    def _try_again(self) -> None:
        self._again = None
        self._give_out()

    # -- called by the children

    def finished(self) -> None:
        """Give out more: a child has done a task."""
        self._give_out()

    def ended(self, child: "_Child") -> None:
        """Give the tasks of a child that has died to others, the one it was at only once."""
        self._children.remove(child)
        if not self.running:
            return
        failed = None
        if child.tasks:
            child.tasks[0].tries += 1
            if child.tasks[0].tries > 1:
                failed = child.tasks.popleft()
        for task in reversed(child.tasks):
            (self._large if task.is_large else self._small).appendleft(task)
        if failed is not None:
            failed.done.errback(Failure(OSError(errno.EIO, "hashing it went wrong twice")))
        self._give_out()

    def call_later(self, seconds: float, child: "_Child") -> IDelayedCall:
        """End the child in so many seconds."""
        return self._reactor.callLater(seconds, child.end)


class _Child(ProcessProtocol):
    """One child process and the tasks it has been given, done in that order."""

    transport: IProcessTransport

    def __init__(self, pool: HashPool) -> None:
        self._pool = pool
        self._buffer = b""
        self._idle: IDelayedCall | None = None
        self._gone: Deferred[None] = Deferred()
        self._ending = False
        self.tasks: deque[_Task] = deque()

    @property
    def is_on_large(self) -> bool:
        """Whether it can be given nothing: it has a large file, or is ending."""
        return self._ending or any(task.is_large for task in self.tasks)

    def give(self, task: _Task) -> None:
        """Send it a task."""
        self._stop_idling()
        self.tasks.append(task)
        self.transport.writeToChild(0, msgspec.json.encode(task.job) + b"\n")

    def end(self) -> Deferred[None]:
        """End the process; fires when it is gone."""
        self._stop_idling()
        self._ending = True
        if self.tasks:
            with suppress(ProcessExitedAlready):
                self.transport.signalProcess("KILL")
        else:
            self.transport.closeStdin()
        return self._gone

    def outReceived(self, data: bytes) -> None:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            result = _result.decode(line)
            done = self.tasks.popleft().done
            if result.error:
                done.errback(Failure(OSError(result.error, os.strerror(result.error))))
            else:
                pieces, prefixes = map(bytes.fromhex, (result.pieces, result.prefixes))
                done.callback(Digests(result.id, pieces, prefixes))
        if not self.tasks and not self._ending:
            self._idle = self._pool.call_later(IDLE_TIMEOUT, self)
        self._pool.finished()

    def inConnectionLost(self) -> None:
        # It has died, and nothing can be given to it any more.
        self._ending = True

    def processEnded(self, reason: Failure) -> None:
        self._stop_idling()
        self._pool.ended(self)
        self._gone.callback(None)

    def _stop_idling(self) -> None:
        if self._idle is not None and self._idle.active():
            self._idle.cancel()
        self._idle = None
