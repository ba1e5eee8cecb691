"""Tests of `p2ptwisted.support.awake_clock`."""

import errno
import os
import time
from typing import cast

from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.support.awake_clock import (
    GAP_MAX,
    LOOK_INTERVAL,
    STANDSTILL_MIN,
    AwakeClock,
    IAwakeReactor,
    keep_awake_time,
    system_clock,
)
from p2ptwisted.test.node_fakes import log_lines


class AwakeTests(SynchronousTestCase):
    """What the clock says, as the world's time goes on."""

    def setUp(self) -> None:
        self.world = 1000.0
        self.clock = AwakeClock(lambda: self.world)

    def after(self, seconds: float) -> float:
        """What it says after so many seconds without a look."""
        self.world += seconds
        return self.clock.seconds()

    def test_awake(self) -> None:
        """For who looks at it often enough it goes as the world's does, for ever."""
        for _ in range(1_000):
            self.after(LOOK_INTERVAL)
        self.assertEqual(self.clock.seconds(), self.world)
        self.assertFalse(self.clock.stood_still_since(0))

    def test_nothing_is_due(self) -> None:
        """The first look after a standstill finds no time passed: nobody's time is up by it."""
        self.assertEqual(self.after(35), 1000)

    def test_little_counts(self) -> None:
        """The next one finds as much as may pass between two looks, whatever it was."""
        for length in (1, 35, 1e6):
            before = self.clock.seconds()
            self.after(length)
            self.assertAlmostEqual(self.after(0) - before, GAP_MAX)

    def test_starved(self) -> None:
        """Who wakes for a moment only, again and again, comes to the end of his time, too."""
        for _ in range(10):
            self.after(2)
        self.assertAlmostEqual(self.after(0), 1000 + 10 * GAP_MAX)

    def test_set_back(self) -> None:
        """It never goes back, should the system's clock do so."""
        self.assertEqual(self.after(-500), 1000)
        self.assertEqual(self.after(LOOK_INTERVAL), 1000 + LOOK_INTERVAL)

    def test_stood_still_since(self) -> None:
        """A standstill is told to whom it came after, if it was long enough for others to act."""
        began = self.clock.seconds()
        self.after(STANDSTILL_MIN)
        self.assertFalse(self.clock.stood_still_since(began))
        self.after(STANDSTILL_MIN + GAP_MAX)
        self.assertTrue(self.clock.stood_still_since(began))
        self.after(LOOK_INTERVAL)
        self.after(LOOK_INTERVAL)
        self.assertFalse(self.clock.stood_still_since(self.clock.seconds()))

    def test_seen_by_who_asks(self) -> None:
        """One that nobody has looked at the clock since is told as well."""
        began = self.clock.seconds()
        self.world += 35
        self.assertTrue(self.clock.stood_still_since(began))

    def test_woken(self) -> None:
        """Whoever wants to know of it is called once, even where another's call goes wrong."""
        calls: list[str] = []
        self.clock.call_when_woken(lambda: 1 // 0)
        self.clock.call_when_woken(lambda: calls.append("woken"))
        self.clock.look()
        self.assertEqual(calls, [])
        self.after(35)
        with log_lines(LogLevel.critical) as lines:
            self.clock.look()
            self.clock.look()
        self.assertEqual(calls, ["woken"])
        self.assertEqual(len(lines), 1)
        self.flushLoggedErrors(ZeroDivisionError)


class ReactorTests(SynchronousTestCase):
    """A reactor that goes by it."""

    def test_kept(self) -> None:
        """Its timers go by that time, which is looked at from when it runs, if none is due."""
        reactor = MemoryReactorClock()
        clock = keep_awake_time(cast(IAwakeReactor, reactor))
        self.assertEqual(reactor.seconds, clock.seconds)
        self.assertEqual(reactor.getDelayedCalls(), [])
        for function, args, kwargs in reactor.whenRunningHooks:
            function(*args, **kwargs)
        (look,) = reactor.getDelayedCalls()
        self.assertLessEqual(look.getTime(), clock.seconds() + LOOK_INTERVAL)

    def test_suspended(self) -> None:
        """It sees that the machine was suspended, where the system tells: then peers are gone."""
        if not hasattr(time, "CLOCK_BOOTTIME"):
            self.skipTest("this system doesn't tell")
        suspended = 0.0
        real = time.clock_gettime
        self.patch(time, "clock_gettime", lambda which: real(which) + suspended)
        clock = AwakeClock()
        began = clock.seconds()
        suspended = 3600
        self.assertTrue(clock.stood_still_since(began))
        self.assertLess(clock.seconds() - began, 60)

    def test_no_such_clock(self) -> None:
        """Where the system lacks that clock, it goes by the monotonic one."""

        def unknown(which: int) -> float:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

        self.patch(time, "clock_gettime", unknown)
        self.assertIs(system_clock(), time.monotonic)
        self.assertGreater(AwakeClock().seconds(), 0)
