"""Tests of `p2ptwisted.cli.progress` and `progress_display`: what is shown, and when."""

import io
import os
import sys
from functools import partial
from pathlib import Path
from typing import cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.cli import progress_display
from p2ptwisted.cli.progress import Noun, ProgressBars, Row
from p2ptwisted.cli.progress_display import BAR_INTERVAL, LINE_INTERVAL, Mode
from p2ptwisted.cli.share_progress import ShareProgress
from p2ptwisted.cli.source_file import SourceFile

MIB = 1024**2


class Terminal(io.StringIO):
    """What a terminal of 80 columns and 24 lines is sent."""

    def isatty(self) -> bool:
        return True


class ProgressTests(SynchronousTestCase):
    """The progress of some transfers."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.rows: dict[str, Row] = {}
        self.use(io.StringIO())

    def use(self, stream: io.StringIO, term: str = "xterm") -> None:
        self.stream = stream
        self.patch(sys, "stderr", stream)
        variables = {"TERM": term, "COLUMNS": "80", "LINES": "24"}
        self.patch(os, "environ", {**os.environ, **variables})

    def begin(
        self, *rows: tuple[str, Row], mode: Mode | None = None, closing: bool = True
    ) -> ProgressBars:
        bars = ProgressBars(self.clock, mode, closing)
        for name, row in rows:
            self.rows[name] = row
            bars.add(name, partial(self.rows.__getitem__, name))
        return bars

    @property
    def said(self) -> list[str]:
        return self.stream.getvalue().splitlines()

    def test_piped(self) -> None:
        """Where there is no terminal, a line every 10 s says how far it is, and no more."""
        bars = self.begin(
            ("a", Row(30 * MIB, 100 * MIB, 5.0 * MIB, 14)), ("b", Row(0, 50 * MIB, state="waiting"))
        )
        with bars:
            self.clock.pump([1.0] * 35)
        line = "p2p: 0 of 2 done, 30.0 MiB of 150.0 MiB (20%), 5.0 MiB/s, 0:24 left"
        self.assertEqual(self.said, [line] * 3)

    def test_piped_one(self) -> None:
        """Of a single transfer it has the name, and whom it comes from."""
        with self.begin(("a.bin", Row(30, 100, 5.0, 14, "2 holders"))):
            self.clock.pump([1.0] * int(LINE_INTERVAL))
        self.assertEqual(
            self.said, ["p2p: a.bin: running, 30 B of 100 B (30%), 5 B/s, 0:14 left, 2 holders"]
        )

    def test_closing_lines(self) -> None:
        """Each transfer leaves its line as soon as it has ended, and one that ends last, too."""
        bars = self.begin(("a", Row(0, 7)), ("b", Row(0, 7)))
        with bars:
            self.rows["a"] = Row(7, 7, state="done", closing="a: verified")
            self.clock.advance(1.0)
            self.assertEqual(self.said, ["p2p: a: verified"])
            self.rows["b"] = Row(7, 7, state="failed")
        bars.sum_up(Noun("file", "files"))
        self.assertEqual(self.said[1:], ["p2p: 2 files: 1 done, 1 failed; 7 B in 1.0 s"])

    def test_no_closing_lines(self) -> None:
        """They can be left out, as where the result is a document."""
        with self.begin(("a", Row(7, 7, state="done", closing="a: verified")), closing=False):
            self.clock.advance(1.0)
        self.assertEqual(self.said, [])

    def test_none(self) -> None:
        """With none nothing is said, neither of progress nor at the end."""
        for stream in (io.StringIO(), Terminal()):
            self.use(stream)
            bars = self.begin(
                ("a", Row(7, 7, state="done", closing="a: verified")), ("b", Row(0, 7)), mode="none"
            )
            with bars:
                self.clock.pump([1.0] * 30)
            bars.sum_up(Noun("file", "files"))
            self.assertEqual(self.said, [])

    def test_one_needs_no_sum(self) -> None:
        """Its own line says all."""
        bars = self.begin(("a", Row(7, 7, state="done", closing="a: verified")))
        with bars:
            pass
        bars.sum_up(Noun("file", "files"))
        self.assertEqual(self.said, ["p2p: a: verified"])

    def test_terminal(self) -> None:
        """In a terminal there are bars, and lines of what has ended stay above them."""
        self.use(Terminal())
        with self.begin(("a", Row(3, 7)), ("b", Row(0, 7, state="waiting"))):
            self.clock.advance(BAR_INTERVAL)
            self.rows["a"] = Row(7, 7, state="done", closing="a: verified")
            self.clock.advance(BAR_INTERVAL)
        drawn = self.stream.getvalue()
        self.assertIn("0 of 2 done", drawn)
        self.assertIn("1 of 2 done", drawn)
        self.assertIn("p2p: a: verified", drawn)
        # What was drawn last is taken away again.
        self.assertTrue(drawn.rpartition("1 of 2 done")[2].count("\x1b[2K") >= 2)
        self.assertIs(sys.stderr, self.stream)

    def test_terminal_that_cannot(self) -> None:
        """One that can't move its cursor, or where lines are asked for, gets lines."""
        for term, mode in (("dumb", None), ("", "bar"), ("xterm", "plain")):
            self.use(Terminal(), term)
            with self.begin(("a", Row(3, 7)), mode=cast("Mode | None", mode)):
                self.clock.pump([1.0] * 10)
            self.assertEqual(self.said, ["p2p: a: running, 3 B of 7 B (42%)"])

    def test_interrupted(self) -> None:
        """What ends by an error leaves no bar, and neither lines nor a sum."""
        self.use(Terminal())

        def fail() -> None:
            with self.begin(
                ("a", Row(3, 7)), ("b", Row(7, 7, state="done", closing="b: verified"))
            ):
                raise ValueError("interrupted")

        self.assertRaises(ValueError, fail)
        self.assertEqual(self.stream.getvalue(), "")

    def test_quick(self) -> None:
        """What is over at once draws nothing."""
        self.use(Terminal())
        with self.begin(("a", Row(3, 7))):
            pass
        self.assertEqual(self.stream.getvalue(), "")

    def test_stuck_reader(self) -> None:
        """A reader that takes nothing holds up nobody."""
        self.patch(progress_display, "LINE_INTERVAL", 1.0)
        self.patch(sys.modules["p2ptwisted.cli.progress"], "is_writable", lambda stream: False)
        with self.begin(("a", Row(3, 7))):
            self.clock.pump([1.0] * 5)
            self.assertEqual(self.said, [])

    def test_many(self) -> None:
        """Thousands of transfers take no long turn: not all are looked at in each."""
        looks = 0

        def look() -> Row:
            nonlocal looks
            looks += 1
            return Row(0, 7, state="waiting")

        bars = ProgressBars(self.clock)
        for number in range(5_000):
            bars.add(str(number), look)
        bars.turn()
        self.assertEqual(looks, 1_000)


class ShareProgressTests(SynchronousTestCase):
    """The progress of a file that is shared."""

    def test_states(self) -> None:
        """It waits, is read, waits until it is listed, and is done."""
        path, clock = Path(self.mktemp()), Clock()
        path.write_bytes(b"content")
        progress = ShareProgress(SourceFile(path, "file"), clock.seconds)
        self.assertEqual(progress.row(), Row(0, 7, note="waiting", state="waiting"))
        with progress.reading(path.open("rb", buffering=0)) as file:
            file.read(2)
            clock.advance(2.0)
            self.assertEqual(progress.row(), Row(2, 7, 1.0, 5.0))
        self.assertEqual(progress.row(), Row(7, 7, note="not listed yet"))
        progress.end(is_listed=True)
        self.assertEqual(progress.row().state, "done")


class HashProgressTests(SynchronousTestCase):
    """The progress of a command without a reactor."""

    def test_hash(self) -> None:
        """Files that take long to hash are shown while they are read."""
        from p2ptwisted.cli import hash as module
        from p2ptwisted.cli.hash import HashJob, HashProgress

        path = Path(self.mktemp())
        path.write_bytes(b"x" * 3 * module.BLOCK)
        self.patch(module, "SHOWN_AFTER", 0.0)
        self.patch(progress_display, "PLAIN_INTERVAL", 0.0)
        self.patch(progress_display.PlainDisplay, "interval", 0.0)
        self.patch(progress_display, "LINE_INTERVAL", 0.0)
        told = io.StringIO()
        self.patch(sys, "stderr", told)
        job = HashJob(str(path))
        with HashProgress([job], "plain") as shown:
            job.run(shown.turn)
        lines = told.getvalue().splitlines()
        self.assertEqual(len(lines), 3)
        self.assertIn("running, 1.0 MiB of 3.0 MiB (33%)", lines[0])
        self.assertEqual(job.row().state, "done")
