"""Tests of `p2ptwisted.cli.output`."""

import io
import sys

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.cli.output import (
    MESSAGE_MAX,
    RESULT_LINE_MAX,
    print_lines,
    print_message,
    print_table,
    size_of,
)


class OutputTests(SynchronousTestCase):
    """What a person reads."""

    def test_long(self) -> None:
        """However long a stranger's words are, a line is bounded."""
        for stream, print_it, most in (
            ("stderr", lambda text: print_message(text), MESSAGE_MAX + 10),
            ("stdout", lambda text: print_lines(text), RESULT_LINE_MAX + 1),
            ("stdout", lambda text: print_table(("A",), [(text,)]), 3 * RESULT_LINE_MAX),
        ):
            written = io.StringIO()
            self.patch(sys, stream, written)
            print_it("\U000e0001" * 100_000)
            self.assertLessEqual(len(written.getvalue()), most)
            self.assertIn("\\U000e0001", written.getvalue())

    def test_sizes(self) -> None:
        """Bytes come in the unit that a person would choose."""
        for size, shown in (
            (None, "size unknown"),
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1024**2 - 1, "1.0 MiB"),
            (3 * 1024**4, "3.0 TiB"),
        ):
            self.assertEqual(size_of(size), shown)
