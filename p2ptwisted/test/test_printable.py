"""Tests of `p2ptwisted.printable`."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.printable import printable


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
