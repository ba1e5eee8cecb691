"""Tests of `p2ptwisted.support.escaping`."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.support.escaping import SHOWN_MAX, printable, shown


class PrintableTests(SynchronousTestCase):
    """What a person reads of what strangers say."""

    @given(st.text())
    def test_all(self, text: str) -> None:
        """Whatever a stranger calls a file, nothing of it reaches a terminal but letters."""
        self.assertTrue(printable(text).isprintable())

    def test_kept(self) -> None:
        """What is harmless stays as it is."""
        self.assertEqual(printable("[bold]ünïcode 文件[/bold]"), "[bold]ünïcode 文件[/bold]")

    def test_escaped(self) -> None:
        """What a terminal would obey is shown instead."""
        self.assertEqual(printable("a\x1b[31m\nb\u202ec"), r"a\x1b[31m\nb\u202ec")

    @given(st.text(), st.integers(3, 50))
    def test_cut(self, text: str, most: int) -> None:
        """However it is escaped, no more is shown than was asked for; and all, where it fits."""
        line = shown(text, most)
        self.assertTrue(line.isprintable())
        self.assertLessEqual(len(line), most)
        if len(printable(text)) <= most:
            self.assertEqual(line, printable(text))
        else:
            self.assertEqual(line[-3:], "...")

    def test_cut_long(self) -> None:
        """Of a long text the beginning is shown, and that there was more."""
        self.assertEqual(shown("x" * SHOWN_MAX), "x" * SHOWN_MAX)
        self.assertEqual(shown("x" * 4096), "x" * (SHOWN_MAX - 3) + "...")
