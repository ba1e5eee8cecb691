"""Tests of `p2ptwisted.supernode.registry.told_names`."""

from msgspec import UNSET
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.model import NAMES_MAX
from p2ptwisted.supernode.registry.told_names import told_names
from p2ptwisted.support.file_names import likeness


class ToldNamesTests(SynchronousTestCase):
    """Which names an answer tells."""

    def test_order(self) -> None:
        """The first that is most like what was asked for, then the others as they came."""
        names = ["x", "a.bin", "b/a", "y", "a", "x"]
        self.assertEqual(told_names(names), ("x", ["a.bin", "b/a", "y", "a"]))
        self.assertEqual(told_names(names, self.like_a), ("b/a", ["a", "a.bin", "x", "y"]))
        self.assertEqual(told_names(["x"], self.like_a), ("x", UNSET))
        self.assertEqual(told_names([]), (None, UNSET))

    def like_a(self, name: str) -> int:
        return likeness(name, "a")

    def test_bounds(self) -> None:
        """There are no more than so many, with no more than so many characters."""
        names = [str(number) for number in range(NAMES_MAX + 1)]
        name, others = told_names(names)
        self.assertEqual([name, *(others or [])], names[:NAMES_MAX])
        self.assertEqual(told_names(["long name", "abc", "de", "f"], share=5)[1], ["abc", "de"])
        self.assertEqual(told_names(["long name", "abc", "de", "f"], share=2)[1], UNSET)
