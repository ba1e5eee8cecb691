"""Tests of `p2ptwisted.node.name_tree`."""

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.node.name_tree import NameTree


class NameTreeTests(SynchronousTestCase):
    """Names by folder."""

    def setUp(self) -> None:
        self.tree = NameTree()

    def add(self, *names: str) -> None:
        for name in names:
            self.tree.add(name)

    def beneath(self, folder: str) -> list[str]:
        return sorted(self.tree.beneath(folder))

    def test_beneath(self) -> None:
        """All that is in a folder and in the folders in it, and nothing beside it."""
        self.add("a", "b/c", "b/d/e", "bc/f", "/x/y")
        self.assertEqual(self.beneath("b"), ["b/c", "b/d", "b/d/e"])
        self.assertEqual(self.beneath("b/d"), ["b/d/e"])
        self.assertEqual(self.beneath("a"), [])
        self.assertEqual(self.beneath("none"), [])
        self.assertEqual(self.beneath("/x"), ["/x/y"])

    def test_directly_in(self) -> None:
        """What is in a folder, without the folders in it."""
        self.add("a", "b/c", "b/d/e", "f")
        self.assertEqual(sorted(self.tree.directly_in("")), ["a", "f"])
        self.assertEqual(list(self.tree.directly_in("b")), ["b/c"])

    def test_discard(self) -> None:
        """With the last name in it a folder goes, and the folders that it was in."""
        self.add("a/b/c", "a/b/d")
        self.tree.discard("a/b/c")
        self.tree.discard("a/b")
        self.assertEqual(self.beneath(""), ["a", "a/b", "a/b/d"])
        self.tree.discard("a/b/d")
        self.assertEqual(self.beneath(""), [])
        self.assertEqual(self.tree._inner, {})
        self.tree.discard("a/b/d")
        self.tree.discard("")

    def test_file_becomes_folder(self) -> None:
        """A name may be a file's and then a folder's, and a file's again."""
        self.add("a", "a/b")
        self.tree.discard("a")
        self.assertEqual(self.beneath(""), ["a", "a/b"])
        self.tree.discard("a/b")
        self.add("a")
        self.assertEqual(list(self.tree.directly_in("")), ["a"])
