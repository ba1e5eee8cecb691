"""Tests for `p2ptwisted.support.lifecycle`."""

from collections.abc import Iterator

from twisted.application.service import IService, Service
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2ptwisted.support.lifecycle import (
    Closing,
    InOrder,
    Starting,
    Wakeup,
    all_of,
    in_order,
    make_cooperator,
    run,
)
from p2ptwisted.test.fakes import Slices


class Part(Service):
    """A service that keeps a diary, and stops when it is told to."""

    def __init__(self, name: str, diary: list[str]) -> None:
        self.setName(name)
        self._diary = diary
        self.stopped: Deferred[None] = Deferred()

    def privilegedStartService(self) -> None:
        super().privilegedStartService()
        self._diary.append(f"{self.name} prepares")

    def startService(self) -> None:
        super().startService()
        self._diary.append(f"{self.name} starts")

    def stopService(self) -> Deferred[None]:
        super().stopService()
        self._diary.append(f"{self.name} stops")
        return self.stopped


class InOrderTests(SynchronousTestCase):
    """Services that need each other."""

    def setUp(self) -> None:
        self.diary: list[str] = []
        self.parts = [Part(name, self.diary) for name in "abc"]
        self.service = in_order(*self.parts)

    def stop(self) -> Deferred[None]:
        self.diary.clear()
        return self.service.stopService()

    def test_provides(self) -> None:
        """It is a service like any other."""
        verifyObject(IService, InOrder())

    def test_starts_in_order(self) -> None:
        """The first starts first."""
        self.service.startService()
        self.assertEqual(self.diary, ["a starts", "b starts", "c starts"])
        self.assertTrue(self.service.running)

    def test_prepares_in_order(self) -> None:
        """What needs privileges is done before, in the same order."""
        self.service.privilegedStartService()
        self.assertEqual(self.diary, ["a prepares", "b prepares", "c prepares"])

    def test_stops_in_reverse_each_awaited(self) -> None:
        """The last stops first, and no other before it is through."""
        self.service.startService()
        stopped = self.stop()
        self.assertFalse(self.service.running)
        self.assertEqual(self.diary, ["c stops"])
        self.parts[2].stopped.callback(None)
        self.assertEqual(self.diary, ["c stops", "b stops"])
        self.parts[1].stopped.callback(None)
        self.assertNoResult(stopped)
        self.parts[0].stopped.callback(None)
        self.assertEqual(self.diary, ["c stops", "b stops", "a stops"])
        self.successResultOf(stopped)

    def test_survives_a_failing_stop(self) -> None:
        """One that can't stop is told in the log, and the others are stopped all the same."""
        self.service.startService()
        for part in (self.parts[0], self.parts[1]):
            part.stopped.callback(None)
        self.parts[2].stopped.errback(RuntimeError("stuck"))
        self.successResultOf(self.stop())
        self.assertEqual(self.diary, ["c stops", "b stops", "a stops"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_survives_a_raising_stop(self) -> None:
        """The same where stopService raises instead of failing."""

        class Broken(Part):
            def stopService(self) -> Deferred[None]:
                raise RuntimeError("broken")

        service = in_order(self.parts[0], Broken("broken", self.diary))
        service.startService()
        self.parts[0].stopped.callback(None)
        self.successResultOf(service.stopService())
        self.assertEqual(self.diary[-1], "a stops")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class ClosingTests(SynchronousTestCase):
    """What must be closed in the end."""

    def test_waits(self) -> None:
        """A coroutine is waited for."""
        closed: Deferred[None] = Deferred()

        async def close() -> None:
            await closed

        service = Closing(close)
        service.startService()
        stopped = service.stopService()
        self.assertFalse(service.running)
        self.assertNoResult(stopped)
        closed.callback(None)
        self.successResultOf(stopped)

    def test_plain_function(self) -> None:
        """A function that closes at once does too, and not before the stop."""
        calls: list[str] = []
        service = Closing(lambda: calls.append("closed"))
        service.startService()
        self.assertEqual(calls, [])
        self.successResultOf(service.stopService())
        self.assertEqual(calls, ["closed"])


class StartingTests(SynchronousTestCase):
    """What is done once, at the start."""

    def test_done_at_the_start(self) -> None:
        """It is done when the service starts, and then no more."""
        calls: list[str] = []

        async def work() -> None:
            calls.append("done")

        service = Starting(work)
        self.assertEqual(calls, [])
        service.startService()
        service.stopService()
        self.assertEqual(calls, ["done"])

    def test_failure_is_survived(self) -> None:
        """A failure neither stops the start nor is left unhandled."""

        async def work() -> None:
            raise ValueError("no such name")

        service = Starting(work)
        service.startService()
        self.assertTrue(service.running)
        service.stopService()

    def test_cancelled_at_the_stop(self) -> None:
        """What is still under way when the service stops is given up."""
        cancelled: list[Deferred[None]] = []
        endless: Deferred[None] = Deferred(cancelled.append)

        async def work() -> None:
            await endless

        service = Starting(work)
        service.startService()
        service.stopService()
        self.assertFalse(service.running)
        self.assertEqual(cancelled, [endless])

    def test_stopped_before_it_started(self) -> None:
        """Stopping what never started is no mistake."""

        async def work() -> None:
            raise AssertionError("never started")

        Starting(work).stopService()


class SlicesTests(SynchronousTestCase):
    """Work that nobody waits for."""

    def test_gives_way(self) -> None:
        """Slices wait for the reactor to come round."""
        clock = Clock()
        done: list[int] = []

        def slices() -> Iterator[None]:
            done.append(1)
            yield
            done.append(2)

        run(make_cooperator(clock), slices())
        self.assertEqual(done, [])
        clock.advance(0)
        self.assertEqual(done, [1, 2])
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_failure_is_logged(self) -> None:
        """What goes wrong is in the log."""

        def slices() -> Iterator[None]:
            yield
            raise RuntimeError("disk full")

        work = Slices()
        run(work.cooperator, slices())
        work.run()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_stopped_cooperator(self) -> None:
        """Work that ends because the daemon does is no error."""
        work = Slices()
        run(work.cooperator, iter([None, None, None]))
        work.step()
        work.cooperator.stop()
        self.assertEqual(self.flushLoggedErrors(), [])


class SignalTests(SynchronousTestCase):
    """Waiting for something to happen."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.signal = Wakeup(self.clock)

    def wait(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.signal.wait(5))

    def test_wakes_all(self) -> None:
        """All who wait are woken, and no timer is left."""
        waiting = [self.wait(), self.wait()]
        self.assertNoResult(waiting[0])
        self.signal.fire()
        for one in waiting:
            self.successResultOf(one)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_not_kept(self) -> None:
        """Who waits only after it has fired waits for the next time."""
        self.signal.fire()
        waiting = self.wait()
        self.assertNoResult(waiting)
        self.signal.fire()
        self.successResultOf(waiting)

    def test_in_time(self) -> None:
        """Nobody waits longer than wished."""
        waiting = self.wait()
        self.clock.advance(5)
        self.successResultOf(waiting)
        self.signal.fire()

    def test_cancelled(self) -> None:
        """Who gives up waiting leaves no timer, and is not woken."""
        waiting = self.wait()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.signal.fire()


class AllOfTests(SynchronousTestCase):
    """Several Deferreds awaited together."""

    def test_results_in_order(self) -> None:
        """The results come in the order of the work, whichever ends first."""
        first: Deferred[str] = Deferred()
        result = Deferred.fromCoroutine(all_of([first, succeed("b")]))
        self.assertNoResult(result)
        first.callback("a")
        self.assertEqual(self.successResultOf(result), ["a", "b"])

    def test_nothing(self) -> None:
        """Of no work there are no results."""
        nothing: list[Deferred[str]] = []
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(all_of(nothing))), [])

    def test_first_failure(self) -> None:
        """What the first that failed raised is raised itself, and the others leave no trace."""
        pending: Deferred[str] = Deferred()
        result = Deferred.fromCoroutine(all_of([pending, fail(KeyError("k"))]))
        self.failureResultOf(result, KeyError)
        pending.errback(ValueError("too late"))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_cancelled(self) -> None:
        """Whoever gives up gives up all of the work."""
        cancelled: list[Deferred[str]] = []
        work: list[Deferred[str]] = [Deferred(cancelled.append), Deferred(cancelled.append)]
        result = Deferred.fromCoroutine(all_of(work))
        result.cancel()
        self.failureResultOf(result, CancelledError)
        self.assertEqual(cancelled, work)
