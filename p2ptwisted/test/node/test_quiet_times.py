"""Tests of `p2ptwisted.node.quiet_times`."""

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.model import FileStamp
from p2ptwisted.node import quiet_times
from p2ptwisted.node.quiet_times import RESTLESS, SETTLE, SETTLE_MAX, QuietTimes

#: More seconds than a file must have been left alone.
OLD = 1000.0


def stamp(size: int) -> FileStamp:
    return FileStamp(1, 2, size, 3, 4)


class QuietTimesTests(SynchronousTestCase):
    """How long files must be left alone."""

    def setUp(self) -> None:
        self.times = QuietTimes()

    def waits(self, size: int, now: float, age: float = OLD) -> float:
        return self.times.wait("a", stamp(size), age, now)

    def hashes(self, interval: float, seconds: float, took: float = 0.1) -> int:
        """How often a file is hashed that changes at such intervals."""
        count, now, changed_at = 0, 0.0, 0.0
        size, hashed, due = 1, 0, float("inf")
        while now < seconds:
            if now - changed_at >= interval:
                size, changed_at = size + 1, now
            if now >= due:
                self.times.hashed("a", now)
                due = float("inf")
            if hashed != size and not self.waits(size, now, now - changed_at):
                self.times.hashing("a", now)
                hashed, count, due = size, count + 1, now + took
            now += 0.1
        return count

    def test_new(self) -> None:
        """A new file must have been left alone for SETTLE; a time in the future says nothing."""
        for age, wait in ((0, SETTLE), (SETTLE / 4, SETTLE * 3 / 4), (SETTLE, 0), (-5, 0)):
            self.assertAlmostEqual(self.times.wait("a", stamp(1), age, 0, False), wait)
        self.assertEqual(self.times._records, {})

    def test_changed_now_and_then(self) -> None:
        """So it is with one that changes now and then, however often."""
        for number in range(20):
            now = number * (RESTLESS * SETTLE + 1)
            self.assertEqual(self.waits(number, now, 0), SETTLE)
            self.assertEqual(self.waits(number, now), 0)
            self.times.hashing("a", now)
            self.times.hashed("a", now)

    def test_each_second(self) -> None:
        """One that changes each second is hashed a few times at first, and then no more."""
        self.assertLessEqual(self.hashes(1, 600), 5)

    def test_every_few_seconds(self) -> None:
        """One that changes every few seconds is, too, where hashing it takes long."""
        self.assertLessEqual(self.hashes(10, 600, took=2), 8)
        self.times.gone("a")
        self.assertGreaterEqual(self.hashes(10, 600, took=0.1), 59)

    def test_ever_so_often(self) -> None:
        """At the most, one is hashed about every SETTLE_MAX."""
        self.assertLessEqual(self.hashes(SETTLE_MAX + 1, 3600), 3600 / SETTLE_MAX)

    def test_in_the_end(self) -> None:
        """When it is left alone it is hashed, after about as long as it was between two changes."""
        self.hashes(1, 60)
        wait = self.waits(1000, 60)
        self.assertGreater(wait, 1)
        self.assertLess(wait, 4)
        self.assertEqual(self.waits(1000, 60 + wait), 0)

    def test_same_times(self) -> None:
        """One that is dated back at each change is found out by its stamp all the same."""
        for now in range(6):
            if not self.waits(now, now):
                self.times.hashed("a", now)
        self.assertGreater(self.waits(7, 7), 0)

    def test_only_hashing_counts(self) -> None:
        """One that changes many times before it is hashed waits no longer for that."""
        for now in range(100):
            self.assertEqual(self.waits(now, now), 0)

    def test_gone(self) -> None:
        """What is gone is forgotten."""
        self.hashes(1, 60)
        self.assertGreater(self.waits(1000, 60), 0)
        self.times.gone("a")
        self.assertEqual(self.waits(1001, 60), 0)

    def test_bounded(self) -> None:
        """Of many files those are remembered that have changed last."""
        self.patch(quiet_times, "FILES_MAX", 3)
        for name in ("a", "b", "c", "a", "d", "e"):
            self.times.changed(name, stamp(1), 0)
        self.assertEqual(list(self.times._records), ["a", "d", "e"])
