"""Tests of `p2ptwisted.node.torrents`: which children compute SHA-1s, and what becomes of them."""

import errno
import hashlib
from pathlib import Path
from typing import Any, BinaryIO

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.interfaces import IProcessProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.errors import Unavailable, UnknownResource
from p2ptwisted.interfaces import Sha1Pieces
from p2ptwisted.node.torrents import (
    ABANDONED_AFTER,
    JOBS_MAX,
    JOBS_PER_ADDRESS_MAX,
    REMEMBERED_MAX,
    RUNNING_MAX,
    WAIT,
    WORKER,
    Torrents,
)
from p2ptwisted.pieces import PIECE_MIN
from p2ptwisted.test.node_fakes import FakeProcess, ProcessReactor

CALLER = "10.0.0.5"


def id_of(number: int) -> str:
    return hashlib.sha256(b"%d" % number).hexdigest()


class Children(ProcessReactor):
    """A reactor that keeps the protocols of the processes that it has started."""

    def __init__(self) -> None:
        super().__init__()
        self.protocols: list[IProcessProtocol] = []

    def spawnProcess(self, processProtocol: IProcessProtocol, *more: Any, **named: Any) -> Any:
        process = super().spawnProcess(processProtocol, *more, **named)
        self.protocols.append(processProtocol)
        return process


class TorrentsTests(SynchronousTestCase):
    """Resources of which each has one piece; the test says what their children write."""

    def setUp(self) -> None:
        self.reactor = Children()
        self.torrents = Torrents(self.reactor, self.open)
        self.torrents.startService()
        self.opened: list[str] = []
        self.problem: Exception | None = None
        self.path = Path(self.mktemp())
        self.path.write_bytes(b"content")

    def open(self, id: str) -> BinaryIO:
        if self.problem is not None:
            raise self.problem
        self.opened.append(id)
        return self.path.open("rb", buffering=0)

    def ask(self, number: int, caller: str = CALLER) -> Deferred[Sha1Pieces]:
        asked = self.torrents.pieces(id_of(number), PIECE_MIN, caller)
        return Deferred.fromCoroutine(asked)

    def child(self, at: int = -1) -> FakeProcess:
        return self.reactor.processes[at]

    def end(self, output: bytes, reason: Exception | None = None, at: int = -1) -> None:
        """A child has written that, in two parts, and ends."""
        process, protocol = self.reactor.processes[at], self.reactor.protocols[at]
        process.say(output[:5])
        process.say(output[5:])
        process.alive = False
        protocol.processEnded(Failure(reason or ProcessDone(0)))

    def end_well(self, number: int, at: int = -1) -> None:
        self.end(bytes.fromhex(id_of(number)) + b"%20d" % number, at=at)

    def test_computed(self) -> None:
        """A child reads the file, and what it writes is remembered; all who ask wait for it."""
        first, second = self.ask(1), self.ask(1)
        self.assertEqual(self.opened, [id_of(1)])
        self.assertEqual(self.child().arguments[-2:], [WORKER.encode(), b"%d" % PIECE_MIN])
        self.assertNoResult(first)
        self.end_well(1)
        for asked in (first, second, self.ask(1)):
            self.assertEqual(self.successResultOf(asked), (PIECE_MIN, b"%20d" % 1))
        self.assertEqual(len(self.reactor.processes), 1)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_other_content(self) -> None:
        """A file that is not what its id says, any more, has none."""
        asked = self.ask(1)
        self.end_well(2)
        self.failureResultOf(asked, UnknownResource)
        self.assertNoResult(self.ask(1))

    def test_gone(self) -> None:
        """A file that is gone when its turn comes has none."""
        self.problem = UnknownResource("gone")
        self.failureResultOf(self.ask(1), UnknownResource)

    def test_child_dies(self) -> None:
        """A child that dies makes it Unavailable, and the next who asks has it tried again."""
        asked = self.ask(1)
        self.end(b"", ProcessTerminated(exitCode=1))
        self.failureResultOf(asked, Unavailable)
        asked = self.ask(1)
        self.end_well(1)
        self.successResultOf(asked)

    def test_no_process(self) -> None:
        """So does a system that starts no process; it is logged."""
        self.reactor.no_process = OSError(errno.EAGAIN, "no process")
        self.failureResultOf(self.ask(1), Unavailable)
        self.assertNoResult(self.ask(1))

    def test_slow(self) -> None:
        """Who has waited long is told to ask again, and does so while it is being computed."""
        asked = self.ask(1)
        self.reactor.advance(WAIT)
        self.failureResultOf(asked, Unavailable)
        self.reactor.advance(ABANDONED_AFTER - 1)
        again = self.ask(1)
        self.reactor.advance(WAIT - 1)
        self.end_well(1)
        self.successResultOf(again)
        self.assertEqual(len(self.reactor.processes), 1)

    def test_abandoned(self) -> None:
        """When nobody has asked for a while, it is not computed any more."""
        asked = self.ask(1)
        asked.cancel()
        self.failureResultOf(asked, CancelledError)
        self.reactor.advance(ABANDONED_AFTER - 1)
        self.assertFalse(self.child().killed)
        self.reactor.advance(1)
        self.assertTrue(self.child().killed)
        self.reactor.turn()
        self.assertNoResult(self.ask(1))
        self.assertEqual(len(self.reactor.processes), 2)

    def test_turns(self) -> None:
        """Some are read at once, of one address one; the others in turn."""
        for number in range(3):
            self.ask(number)
        self.assertEqual(self.opened, [id_of(0)])
        for number in range(3, 6):
            self.ask(number, f"10.0.1.{number}")
        self.assertEqual(self.opened, [id_of(0), id_of(3)])
        self.assertEqual(len(self.opened), RUNNING_MAX)
        self.end_well(3, at=1)
        self.assertEqual(self.opened[2:], [id_of(4)])
        self.end_well(0, at=0)
        self.assertEqual(self.opened[3:], [id_of(1)])

    def test_next_after_a_problem(self) -> None:
        """What can't be read doesn't hold up the others, nor have too many read at once."""
        asked = [self.ask(number, f"10.0.1.{number}") for number in range(5)]
        self.problem = UnknownResource("gone")
        self.end_well(0, at=0)
        self.assertEqual(len(self.opened), RUNNING_MAX)
        self.problem = None
        for one in asked[RUNNING_MAX:]:
            self.failureResultOf(one, UnknownResource)
        for number in range(5, 9):
            self.ask(number, f"10.0.1.{number}")
        self.assertEqual(self.opened[RUNNING_MAX:], [id_of(5)])

    def test_too_many(self) -> None:
        """One address, and all together, have only so many that wait."""
        for number in range(JOBS_PER_ADDRESS_MAX):
            self.ask(number)
        self.failureResultOf(self.ask(JOBS_PER_ADDRESS_MAX), Unavailable)
        self.assertNoResult(self.ask(0))
        for number in range(JOBS_PER_ADDRESS_MAX, JOBS_MAX):
            self.assertNoResult(self.ask(number, f"10.0.1.{number}"))
        self.failureResultOf(self.ask(JOBS_MAX, "10.0.2.1"), Unavailable)

    def test_remembered(self) -> None:
        """Only so many are remembered, those that came last."""
        for number in range(REMEMBERED_MAX + 1):
            self.ask(number)
            self.end_well(number)
        self.successResultOf(self.ask(1))
        self.assertNoResult(self.ask(0))

    def test_stop(self) -> None:
        """At the end all children are ended and waited for, and nobody waits for them."""
        asked = [self.ask(number, f"10.0.1.{number}") for number in range(RUNNING_MAX + 1)]
        stopped = self.torrents.stopService()
        for one in asked:
            self.failureResultOf(one, Unavailable)
        self.assertNoResult(stopped)
        self.reactor.turn()
        self.successResultOf(stopped)
        self.assertEqual(len(self.reactor.processes), RUNNING_MAX)
        self.failureResultOf(self.ask(9), Unavailable)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
