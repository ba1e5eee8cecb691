"""Tests of `p2ptwisted.node.hash_pool`: children that the test controls hash real files."""

import errno
import hashlib
import os
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2ptwisted.interfaces import IHasher
from p2ptwisted.model import FileStamp
from p2ptwisted.node.hash_pool import IDLE_TIMEOUT, JOBS_AHEAD, LARGE, START_RETRY, HashPool
from p2ptwisted.pieces import Digests
from p2ptwisted.test.node_fakes import FakeProcess, ProcessReactor, log_lines


class PoolCase(SynchronousTestCase):
    """A folder, and a pool that is not yet made."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir(parents=True)
        self.reactor = ProcessReactor()
        self.pool: HashPool

    def start(self, size: int | None = 2) -> None:
        self.pool = HashPool(self.reactor, size)
        self.pool.startService()
        self.addCleanup(self.stop)

    def stop(self) -> None:
        if self.pool.running:
            stopped = self.pool.stopService()
            self.reactor.turn()
            self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    @property
    def children(self) -> list[FakeProcess]:
        """Those alive."""
        return [process for process in self.reactor.processes if process.alive]

    def given(self) -> list[list[str]]:
        """What each child alive has to do."""
        return [child.names for child in self.children]

    def hash(self, name: str, size: int | None = None) -> Deferred[Digests]:
        """Have a file hashed whose content is its name, or so many zeros."""
        path = self.folder / name
        path.write_bytes(name.encode())
        if size is not None:
            os.truncate(path, size)
        return self.pool.hash(self.folder, name, FileStamp.of(path.stat()))

    def large(self, name: str) -> Deferred[Digests]:
        return self.hash(name, LARGE)

    def assert_hashed(self, done: Deferred[Digests], name: str) -> None:
        digest = hashlib.sha256(name.encode())
        self.assertEqual(self.successResultOf(done), Digests(digest.hexdigest(), digest.digest()))


class ChildrenTests(PoolCase):
    """When there are children, and how many."""

    def test_provider(self) -> None:
        """A pool is an IHasher."""
        self.start()
        verifyObject(IHasher, self.pool)

    def test_on_demand(self) -> None:
        """There is no child before there is something to hash, and then there is one."""
        self.start()
        self.assertEqual(self.reactor.processes, [])
        done = self.hash("a")
        (child,) = self.children
        self.assertNoResult(done)
        child.work()
        self.assert_hashed(done, "a")

    def test_one_is_enough(self) -> None:
        """A child that has nothing to do is given the next file; no other is started."""
        self.start()
        for name in "abc":
            done = self.hash(name)
            self.children[0].work()
            self.assert_hashed(done, name)
        self.assertEqual(len(self.reactor.processes), 1)

    def test_at_most(self) -> None:
        """However much there is to hash, there are as many children as the pool has room for."""
        for size in (1, 2, 5):
            self.start(size)
            for number in range(100):
                self.hash(f"{number}")
            self.assertEqual(len(self.children), size)
            self.stop()

    def test_one_a_core(self) -> None:
        """By default that is one a core; one, where nobody knows how many there are."""
        for cores, most in [(3, 3), (None, 1)]:
            self.patch(os, "cpu_count", lambda cores=cores: cores)
            self.start(None)
            for number in range(100):
                self.hash(f"{number}")
            self.assertEqual(len(self.children), most)
            self.stop()

    def test_ended_when_idle(self) -> None:
        """After a while without work a child's input is closed, upon which it ends."""
        self.start()
        self.hash("a")
        (child,) = self.children
        child.work()
        self.reactor.advance(IDLE_TIMEOUT - 0.01)
        self.assertFalse(child.closed)
        self.reactor.advance(0.01)
        self.assertTrue(child.closed)
        self.assertFalse(child.killed)
        self.reactor.turn()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_work_in_time(self) -> None:
        """Work that comes before that keeps the child, and a long one does not end it."""
        self.start()
        self.hash("a")
        (child,) = self.children
        child.work()
        self.reactor.advance(IDLE_TIMEOUT - 0.01)
        done = self.hash("b")
        self.reactor.advance(10 * IDLE_TIMEOUT)
        self.assertFalse(child.closed)
        child.work()
        self.assert_hashed(done, "b")
        self.reactor.advance(IDLE_TIMEOUT - 0.01)
        self.assertFalse(child.closed)
        self.reactor.advance(0.01)
        self.assertTrue(child.closed)

    def test_work_while_one_ends(self) -> None:
        """A child that is told to end gets nothing any more: another one is started."""
        self.start()
        self.hash("a")
        self.children[0].work()
        self.reactor.advance(IDLE_TIMEOUT)
        done = self.hash("b")
        self.assertEqual(self.given(), [[], ["b"]])
        self.reactor.turn()
        self.assert_hashed(done, "b")

    def test_room_for_one_only(self) -> None:
        """Where there is no room for another one yet, the work waits for the end of the first."""
        self.start(1)
        self.hash("a")
        self.children[0].work()
        self.reactor.advance(IDLE_TIMEOUT)
        done = self.hash("b")
        self.assertEqual(len(self.reactor.processes), 1)
        self.reactor.turn()
        self.assertEqual(self.given(), [["b"]])
        self.reactor.turn()
        self.assert_hashed(done, "b")

    def test_no_process(self) -> None:
        """Where the system gives no process the work waits, and it is tried again."""
        self.start()
        self.reactor.no_process = OSError(errno.EAGAIN, "Resource temporarily unavailable")
        with log_lines(LogLevel.warn) as lines:
            done = self.hash("a")
        self.assertEqual(len(lines), 1)
        self.reactor.advance(START_RETRY)
        self.reactor.turn()
        self.assert_hashed(done, "a")

    def test_no_process_at_the_end(self) -> None:
        """Stopped while it waits for that, it leaves nothing behind."""
        self.start()
        self.reactor.no_process = OSError(errno.EAGAIN, "Resource temporarily unavailable")
        with log_lines(LogLevel.warn):
            self.hash("a")
        self.stop()
        self.assertEqual(self.reactor.processes, [])


class OrderTests(PoolCase):
    """Who gets which file."""

    def test_spread(self) -> None:
        """The first files go to a child each, the next ones to whom has least."""
        self.start(3)
        for name in "abcdefg":
            self.hash(name)
        self.assertEqual(self.given(), [["a", "d", "g"], ["b", "e"], ["c", "f"]])

    def test_ahead(self) -> None:
        """A child has some small files ahead, never more, and gets another for each one done."""
        self.start(1)
        done = [self.hash(f"{number}") for number in range(3 * JOBS_AHEAD)]
        (child,) = self.children
        self.assertEqual(len(child.names), JOBS_AHEAD)
        child.work(1)
        self.assertEqual(len(child.names), JOBS_AHEAD)
        self.assertEqual(child.names[-1], f"{JOBS_AHEAD}")
        child.work()
        for number, one in enumerate(done):
            self.assert_hashed(one, f"{number}")

    def test_large_one_leaves_a_child(self) -> None:
        """A large file never takes the last child: small ones go on beside it."""
        self.start(2)
        first, second = self.large("large"), self.large("larger")
        self.assertEqual(self.given(), [["large"]])
        done = self.hash("small")
        self.assertEqual(self.given(), [["large"], ["small"]])
        self.children[1].work()
        self.assert_hashed(done, "small")
        self.assertEqual(self.given(), [["large"], []])
        self.children[0].work(1)
        self.successResultOf(first)
        self.assertEqual(sorted(self.given()), [[], ["larger"]])
        self.reactor.turn()
        self.successResultOf(second)

    def test_large_ones_beside_each_other(self) -> None:
        """With more children there may be large files in all but one."""
        self.start(4)
        for number in range(6):
            self.large(f"large{number}")
        self.assertEqual(self.given(), [["large0"], ["large1"], ["large2"]])
        for number in range(4):
            self.hash(f"{number}")
        self.assertEqual(self.given()[3], ["0", "1", "2", "3"])

    def test_only_child(self) -> None:
        """Where there is only one child it does all, small ones first, large ones one by one."""
        self.start(1)
        for name in "ab":
            self.hash(name)
        self.large("large")
        self.large("larger")
        self.hash("c")
        (child,) = self.children
        self.assertEqual(child.names, ["a", "b", "c"])
        child.work(3)
        self.assertEqual(child.names, ["large"])
        self.hash("d")
        self.assertEqual(child.names, ["large"])
        child.work(1)
        self.assertEqual(child.names, ["d"])
        child.work(1)
        self.assertEqual(child.names, ["larger"])

    def test_nothing_behind_a_large_one(self) -> None:
        """A large file waits for a child with nothing else to do, and nothing waits behind it."""
        self.start(2)
        self.hash("a")
        self.hash("b")
        self.large("large")
        self.assertEqual(self.given(), [["a"], ["b"]])
        self.children[0].work(1)
        self.assertEqual(self.given(), [["large"], ["b"]])
        self.hash("c")
        self.assertEqual(self.given(), [["large"], ["b", "c"]])

    def test_size_that_is_large(self) -> None:
        """A file is large from 16 MiB on."""
        self.assertEqual(LARGE, 16 * 1024 * 1024)
        self.start(2)
        for name in "abc":
            self.hash(name, LARGE - 1)
        self.assertEqual(self.given(), [["a", "c"], ["b"]])


class AnswerTests(PoolCase):
    """What children say."""

    def test_in_bits(self) -> None:
        """An answer may come in bits, and several at once."""
        self.start(1)
        done = [self.hash(name) for name in "abc"]
        (child,) = self.children
        said = b"".join(child.answer() for _ in range(3))
        child.say(said[:30])
        self.assertNoResult(done[0])
        child.say(said[30:-1])
        self.assert_hashed(done[0], "a")
        self.assert_hashed(done[1], "b")
        self.assertNoResult(done[2])
        child.say(said[-1:])
        self.assert_hashed(done[2], "c")

    def test_changed(self) -> None:
        """A file that has changed since, or gone, is a FileNotFoundError; the next one is done."""
        self.start(1)
        changed, gone, good = self.hash("changed"), self.hash("gone"), self.hash("good")
        (self.folder / "changed").write_bytes(b"other")
        (self.folder / "gone").unlink()
        self.children[0].work()
        self.failureResultOf(changed, FileNotFoundError)
        self.failureResultOf(gone, FileNotFoundError)
        self.assert_hashed(good, "good")

    def test_unreadable(self) -> None:
        """What can't be read is the OSError that the child had."""
        self.start(1)
        done = self.hash("a")
        self.children[0].answer()
        self.children[0].say(b'["","",13]\n')
        self.failureResultOf(done, PermissionError)

    def test_more_work_at_an_answer(self) -> None:
        """Who gets an answer may ask for more at once; the child goes on and is not ended."""
        self.start(1)
        more: list[Deferred[Digests]] = []
        self.hash("a").addCallback(lambda _: more.append(self.hash("b")))
        (child,) = self.children
        child.work(1)
        self.assertEqual(child.names, ["b"])
        self.reactor.advance(2 * IDLE_TIMEOUT)
        self.assertFalse(child.closed)
        child.work()
        self.assert_hashed(more[0], "b")


class DeathTests(PoolCase):
    """Children that die."""

    def test_repeated(self) -> None:
        """What a child had to do when it died is done by another, in the same order."""
        self.start(1)
        done = [self.hash(name) for name in "abc"]
        self.children[0].work(1)
        self.children[0].die()
        self.assertEqual(self.given(), [["b", "c"]])
        self.children[0].work()
        for name, one in zip("abc", done, strict=True):
            self.assert_hashed(one, name)

    def test_half_an_answer(self) -> None:
        """Half of an answer from one that died is no answer, and no part of the next one's."""
        self.start(1)
        done = self.hash("a")
        (child,) = self.children
        child.say(child.answer()[:40])
        child.die()
        self.assertNoResult(done)
        self.children[0].work()
        self.assert_hashed(done, "a")

    def test_large_repeated(self) -> None:
        """A large file too, and others are not pushed aside by it."""
        self.start(2)
        large, small = self.large("large"), self.hash("small")
        self.children[0].die()
        self.assertEqual(sorted(self.given()), [["large"], ["small"]])
        self.reactor.turn()
        self.successResultOf(large)
        self.assert_hashed(small, "small")

    def test_deadly(self) -> None:
        """A file at which two children died fails; the others are done, and it is not tried on."""
        self.start(1)
        before, deadly, after = self.hash("before"), self.hash("deadly"), self.hash("after")
        self.children[0].work(1)
        self.assert_hashed(before, "before")
        self.children[0].die()
        self.assertNoResult(deadly)
        self.children[0].die()
        problem = self.failureResultOf(deadly, OSError).value
        assert isinstance(problem, OSError)
        self.assertEqual(problem.errno, errno.EIO)
        self.assertEqual(self.given(), [["after"]])
        self.children[0].work()
        self.assert_hashed(after, "after")

    def test_the_others_are_not_to_blame(self) -> None:
        """Only the file that a child was at counts as tried, not those that waited behind it."""
        self.start(1)
        deadly = [self.hash(f"deadly{number}") for number in range(3)]
        good = self.hash("good")
        for _ in range(6):
            self.children[0].die()
        for one in deadly:
            self.failureResultOf(one, OSError)
        self.children[0].work()
        self.assert_hashed(good, "good")

    def test_idle(self) -> None:
        """One that dies with nothing to do is missed by nobody, and its place is free."""
        self.start(1)
        self.hash("a")
        self.children[0].work()
        self.children[0].die()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        done = self.hash("b")
        self.children[0].work()
        self.assert_hashed(done, "b")

    def test_dying(self) -> None:
        """Nothing is given to one whose input is gone, though its end is not told yet."""
        self.start(2)
        self.hash("a")
        child = self.children[0]
        child.work()
        child.alive = False
        child.lose_input()
        done = self.hash("b")
        self.assertEqual(self.given(), [["b"]])
        self.children[0].work()
        self.assert_hashed(done, "b")
        child.die()


class StopTests(PoolCase):
    """Stopping."""

    def test_none(self) -> None:
        """Without children it is over at once."""
        self.start()
        self.successResultOf(self.pool.stopService())

    def test_awaited(self) -> None:
        """Those at work are killed, idle ones ended, and it is over when the last one has gone."""
        self.start(3)
        for name in "abc":
            self.hash(name)
        idle, busy, other = self.children
        idle.work()
        stopped = self.pool.stopService()
        self.assertEqual([child.killed for child in (idle, busy, other)], [False, True, True])
        self.assertTrue(idle.closed)
        for child in (busy, idle):
            child.die()
            self.assertNoResult(stopped)
        other.die()
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_nothing_done_any_more(self) -> None:
        """What waited is dropped, not failed, and no other child is started for it."""
        self.start(1)
        done = [self.hash(f"{number}") for number in range(2 * JOBS_AHEAD)]
        self.children[0].die()
        stopped = self.pool.stopService()
        self.children[0].die()
        self.successResultOf(stopped)
        self.assertEqual(len(self.reactor.processes), 2)
        for one in done:
            self.assertNoResult(one)

    def test_while_one_ends(self) -> None:
        """One that is ending already is awaited too."""
        self.start(1)
        self.hash("a")
        self.children[0].work()
        self.reactor.advance(IDLE_TIMEOUT)
        stopped = self.pool.stopService()
        self.assertNoResult(stopped)
        self.reactor.turn()
        self.successResultOf(stopped)

    def test_dead_already(self) -> None:
        """One that has just died, which is not told yet, can't be killed and is awaited."""
        self.start(1)
        self.hash("a")
        child = self.children[0]
        child.alive = False
        stopped = self.pool.stopService()
        self.assertNoResult(stopped)
        child.die()
        self.successResultOf(stopped)
