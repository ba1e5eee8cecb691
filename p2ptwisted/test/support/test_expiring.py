"""Tests for `p2ptwisted.support.expiring`."""

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.support.expiring import BoundedDict, ExpiringDict


class BoundedDictTests(SynchronousTestCase):
    """What is kept where there is too much."""

    def test_oldest_goes(self) -> None:
        """Beyond the bound the oldest entry is forgotten."""
        entries: BoundedDict[str, int] = BoundedDict(2)
        for value, key in enumerate("abc"):
            entries[key] = value
        self.assertEqual(list(entries.items()), [("b", 1), ("c", 2)])

    def test_set_again(self) -> None:
        """An entry that is set again is the newest, and has its new value."""
        entries: BoundedDict[str, int] = BoundedDict(2)
        for value, key in enumerate("abac"):
            entries[key] = value
        self.assertEqual(list(entries.items()), [("a", 2), ("c", 3)])

    def test_reading(self) -> None:
        """Reading makes nothing newer."""
        entries: BoundedDict[str, int] = BoundedDict(2)
        entries["a"], entries["b"] = 0, 1
        self.assertEqual((entries["a"], entries.get("a")), (0, 0))
        entries["c"] = 2
        self.assertEqual(list(entries), ["b", "c"])


class ExpiringDictTests(SynchronousTestCase):
    """What is kept, and for how long."""

    def setUp(self) -> None:
        self.entries: ExpiringDict[str, int | None] = ExpiringDict(2, lifetime=10.0)

    def test_expires(self) -> None:
        """An entry is there until its time is up, and not at that moment any more."""
        self.entries.set("a", 1, 100.0)
        self.entries.expire(109.9)
        self.assertEqual(self.entries.get("a"), 1)
        self.entries.expire(110.0)
        self.assertNotIn("a", self.entries)
        self.assertEqual(len(self.entries), 0)

    def test_each_in_its_time(self) -> None:
        """Entries expire one after the other, in the order in which they were set."""
        self.entries.set("a", 1, 0.0)
        self.entries.set("b", 2, 5.0)
        self.entries.expire(10.0)
        self.assertEqual(list(self.entries.items()), [("b", 2)])

    def test_set_again(self) -> None:
        """An entry that is set again has its whole time before it again."""
        self.entries.set("a", 1, 0.0)
        self.entries.set("b", 2, 1.0)
        self.entries.set("a", 3, 9.0)
        self.entries.expire(11.0)
        self.assertEqual(list(self.entries.items()), [("a", 3)])

    def test_bounded(self) -> None:
        """Beyond the bound the oldest goes before its time."""
        for key in "abc":
            self.entries.set(key, None, 0.0)
        self.assertEqual(list(self.entries), ["b", "c"])

    def test_discard(self) -> None:
        """An entry can be forgotten, whether it is there or not."""
        self.entries.set("a", 1, 0.0)
        for _ in range(2):
            self.entries.discard("a")
            self.assertNotIn("a", self.entries)

    def test_default(self) -> None:
        """The default is for what is not there; None is a value like any."""
        self.entries.set("a", None, 0.0)
        self.assertIs(self.entries.get("a", 7), None)
        self.assertEqual(self.entries.get("b", 7), 7)
        self.assertIs(self.entries.get("b"), None)
