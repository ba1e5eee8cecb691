"""Tests of `p2ptwisted.node.changes`."""

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.node import changes
from p2ptwisted.node.changes import Changed, Changes, is_in


class ChangesTests(SynchronousTestCase):
    """What has changed and is yet to be looked at."""

    def setUp(self) -> None:
        self.changes = Changes()

    def test_taken_once(self) -> None:
        """What has changed is taken once, each name once, by the folder that it is in."""
        for name in ("a", "b/c", "b/d", "a"):
            self.assertTrue(self.changes.add_file(name))
        self.assertTrue(self.changes.add_folder("e"))
        self.assertEqual(self.changes.due(5), 5)
        self.assertEqual(
            self.changes.take(5), Changed({"": {"a"}, "b": {"b/c", "b/d"}}, set(), {"e"})
        )
        self.assertEqual(self.changes.take(5), Changed({}, set(), set()))
        self.assertIs(self.changes.due(5), None)

    def test_later(self) -> None:
        """What is to be looked at later is taken then, together with what has changed."""
        self.changes.add_later("a", 10)
        self.changes.add_later("b", 20)
        self.assertEqual(self.changes.due(5), 10)
        self.assertEqual(self.changes.take(5), Changed({}, set(), set()))
        self.changes.add_file("c")
        self.assertEqual(self.changes.due(10), 10)
        self.assertEqual(self.changes.take(10).files, {"": {"a", "c"}})
        self.assertEqual(self.changes.due(10), 20)

    def test_many_files(self) -> None:
        """Of too many files in a folder the folder is remembered; others are by their names."""
        self.patch(changes, "FILES_MAX", 3)
        self.changes.add_file("other/a")
        for number in range(1000):
            self.assertTrue(self.changes.add_file(f"many/{number}"))
        self.changes.add_file("other/b")
        self.assertEqual(
            self.changes.take(0), Changed({"other": {"other/a", "other/b"}}, {"many"}, set())
        )
        self.changes.add_file("many/a")
        self.assertEqual(self.changes.take(0).files, {"many": {"many/a"}})

    def test_many_folders(self) -> None:
        """Of too many folders nothing is remembered, and the caller is told."""
        self.patch(changes, "FILES_MAX", 0)
        self.patch(changes, "FOLDERS_MAX", 2)
        told = [self.changes.add_file(f"{number}/a") for number in (1, 2, 3, 1)]
        self.assertEqual(told, [True, True, False, True])
        told = [self.changes.add_folder(f"{number}") for number in (1, 2, 3, 1)]
        self.assertEqual(told, [True, True, False, True])
        self.assertEqual(self.changes.take(0), Changed({}, {"1", "2"}, {"1", "2"}))

    def test_many_later(self) -> None:
        """Of too many files that are to be looked at later, the folder is looked at."""
        self.patch(changes, "FILES_MAX", 2)
        for name in ("a/1", "a/2", "a/3", "a/1"):
            self.assertTrue(self.changes.add_later(name, 10))
        self.assertEqual(self.changes.take(0), Changed({}, {"a"}, set()))
        self.assertEqual(self.changes.take(10).files, {"a": {"a/1", "a/2"}})

    def test_is_in(self) -> None:
        """What is in a folder, or in a folder in it, is; the folder itself is not."""
        self.assertTrue(is_in("a/b/c", {"a"}))
        self.assertTrue(is_in("a/b", {"a"}))
        self.assertTrue(is_in("a", {""}))
        self.assertFalse(is_in("a", {"a"}))
        self.assertFalse(is_in("ab/c", {"a"}))
        self.assertFalse(is_in("", {""}))
