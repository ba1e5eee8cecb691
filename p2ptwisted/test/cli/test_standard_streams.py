"""Tests of `p2ptwisted.cli.standard_streams`."""

import errno
import io
import os
import sys
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.cli.exit_status import CommandError, ExitStatus
from p2ptwisted.cli.main import main
from p2ptwisted.cli.output import print_json, print_lines, print_message, print_table
from p2ptwisted.cli.standard_streams import (
    knows_ascii_only,
    open_missing_streams,
    print_any_character,
)


class Unwritable(io.RawIOBase):
    """A file that can't be written to, for that reason."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number: int | None = number

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if self.number is None:
            return len(data)
        raise OSError(self.number, os.strerror(self.number))


class StandardStreamsTests(SynchronousTestCase):
    """Streams that can't be used."""

    def setUp(self) -> None:
        self.told = io.StringIO()
        self.patch(sys, "stderr", self.told)
        self.path = Path(self.mktemp())
        self.path.write_bytes(b"")

    def unwritable(self, number: int) -> io.TextIOWrapper:
        raw = Unwritable(number)
        stream = io.TextIOWrapper(io.BufferedWriter(raw))
        # What is left in it can't be written at its end either, until the test is over.
        stream.close = lambda: None  # type: ignore[method-assign]
        self.addCleanup(setattr, raw, "number", None)
        return stream

    def test_closed(self) -> None:
        """Those that were closed are there, and fail when they are used, not before."""
        for name in ("stdin", "stdout", "stderr"):
            self.patch(sys, name, None)
        open_missing_streams()
        self.addCleanup(os.close, sys.stdin.fileno())
        self.addCleanup(os.close, sys.stdout.fileno())
        self.addCleanup(os.close, sys.stderr.fileno())
        self.assertRaises(OSError, sys.stdin.read)
        print_message("something")
        self.assertFalse(sys.stderr.isatty())
        error = self.assertRaises(CommandError, print_lines, "something")
        self.assertIn(os.strerror(errno.EBADF), str(error))

    def test_full(self) -> None:
        """A result that can't be written is an error with a line, whatever form it has."""
        for write in (
            lambda: print_lines("something"),
            lambda: print_json(["something"]),
            lambda: print_table(("NAME",), [("something",)]),
        ):
            self.patch(sys, "stdout", self.unwritable(errno.ENOSPC))
            error = self.assertRaises(CommandError, write)
            self.assertIn(os.strerror(errno.ENOSPC), str(error))

    def test_gone(self) -> None:
        """Where the reader has gone there is no line, a table's neither."""
        for write in (
            lambda: print_lines("something"),
            lambda: print_table(("NAME",), [("something",)]),
        ):
            self.patch(sys, "stdout", self.unwritable(errno.EPIPE))
            self.assertRaises(BrokenPipeError, write)

    def test_commands(self) -> None:
        """A command ends with status 1 and one line, its help too."""
        for arguments in (["hash", str(self.path)], ["hash", str(self.path), "--json"], ["--help"]):
            self.told.truncate(0)
            self.patch(sys, "stdout", self.unwritable(errno.ENOSPC))
            self.assertEqual(main(arguments), ExitStatus.FAILED)
            (line,) = self.told.getvalue().splitlines()
            self.assertIn("standard output", line)

    def test_encoding(self) -> None:
        """What an encoding lacks is escaped, in a table as well."""
        for encoding in ("ascii", "latin-1", "cp1252"):
            for write in (
                lambda: print_lines("naïve-日本"),
                lambda: print_table(("NAME",), [("naïve-日本",)]),
            ):
                self.patch(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding))
                print_any_character()
                write()
                sys.stdout.seek(0)
                self.assertIn("\\u65e5\\u672c", sys.stdout.read())

    def test_ascii_terminal(self) -> None:
        """A terminal in the C locale gets ASCII; what is piped there keeps its characters."""
        for is_terminal, expected in ((True, "\\u65e5\\u672c"), (False, "日本")):
            out = io.TextIOWrapper(io.BytesIO(), "utf-8")
            self.patch(out, "isatty", lambda is_terminal=is_terminal: is_terminal)
            self.patch(sys, "stdout", out)
            print_any_character({"LANG": "C"})
            print_lines("日本")
            sys.stdout.seek(0)
            self.assertEqual(sys.stdout.read(), f"{expected}\n")

    def test_locales(self) -> None:
        """What counts is the first variable that says something, as everywhere."""
        for variables, is_ascii in (
            ({}, True),
            ({"LANG": "C"}, True),
            ({"LANG": "en_US.UTF-8"}, False),
            ({"LANG": "en_US.UTF-8", "LC_ALL": "POSIX"}, True),
            ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, False),
            ({"LANG": "C", "LC_ALL": ""}, True),
            ({"LANG": "C", "PYTHONUTF8": "1"}, False),
            ({"LANG": "C", "PYTHONIOENCODING": "latin-1"}, False),
        ):
            self.assertIs(knows_ascii_only(variables), is_ascii, variables)

    def test_messages(self) -> None:
        """A message that can't be written changes no status."""
        self.patch(sys, "stderr", self.unwritable(errno.ENOSPC))
        self.patch(sys, "stdout", io.TextIOWrapper(io.BytesIO()))
        self.assertEqual(main(["hash", str(self.path)]), ExitStatus.OK)
        self.assertEqual(main(["nonsense"]), ExitStatus.USAGE)
        self.assertEqual(main([]), ExitStatus.USAGE)
