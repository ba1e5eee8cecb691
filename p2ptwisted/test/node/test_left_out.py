"""Tests of `p2ptwisted.node.left_out`."""

from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.node import left_out
from p2ptwisted.node.left_out import LeftOut
from p2ptwisted.test.node_fakes import log_lines


class LeftOutTests(SynchronousTestCase):
    """What can't be read."""

    def setUp(self) -> None:
        self.left_out = LeftOut()

    def walk(self, *names: str, reason: str = "Permission denied") -> list[str]:
        """Walk, meet these, and return what is logged."""
        with log_lines(LogLevel.warn) as lines:
            for name in names:
                self.left_out.add(name, reason)
            self.left_out.walked()
        return lines

    def test_once(self) -> None:
        """It is told once, by its name and reason, however often it is met."""
        self.assertEqual(
            self.walk("lost+found", "lost+found"),
            ["lost+found is not shared: Permission denied"],
        )
        self.assertEqual(self.walk("lost+found"), [])

    def test_again(self) -> None:
        """It is told again when it could be read meanwhile, or has another reason."""
        self.walk("a")
        self.walk()
        self.assertEqual(len(self.walk("a")), 1)
        self.assertEqual(
            self.walk("a", reason="Input/output error"), ["a is not shared: Input/output error"]
        )

    def test_many(self) -> None:
        """Of many, some are named and the others counted, once."""
        self.patch(left_out, "TOLD_MAX", 2)
        lines = self.walk("a", "b", "c", "d")
        self.assertEqual(lines[2:], ["2 more can't be read, and are not shared"])
        self.assertEqual(self.walk("a", "b", "c", "d"), [])
        self.assertEqual(self.walk("c", "d", "a", "b"), [])

    def test_odd_names(self) -> None:
        """What others called it does nothing to the log."""
        (line,) = self.walk("a\n\x1b[31mb\udce4")
        self.assertTrue(line.isprintable())
