"""Tests of `p2ptwisted.cli.progress_layout`: what a terminal of any size shows."""

from functools import partial

from rich.cells import cell_len
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.cli.progress_layout import MARGIN, in_words, lay_out, shorten, time_left
from p2ptwisted.cli.transfer_tally import Row, TransferTally

MIB = 1024**2
LONG = "a-very-long-file-name-that-takes-all-the-room-there-is-in-every-terminal-0001.tar.zst"
RUNNING = Row(57 * MIB, 100 * MIB, 12.5 * MIB, 42, "3 holders")
WAITING = Row(0, 7 * MIB, note="waiting", state="waiting")


def _same(row: Row) -> Row:
    return row


def tally_of(*rows: tuple[str, Row]) -> TransferTally:
    tally = TransferTally()
    for name, row in rows:
        tally.add(name, partial(_same, row))
    tally.look()
    return tally


def lines(
    tally: TransferTally, width: int, height: int = 24, ascii_only: bool = False
) -> list[str]:
    return [line.plain for line in lay_out(tally, width, height, ascii_only)]


class LayoutTests(SynchronousTestCase):
    """Rows that fit."""

    def test_widths(self) -> None:
        """At any width no line is too long, and each has a bar and the end of its name."""
        tally = tally_of(("big.bin", RUNNING), (LONG, RUNNING), ("日本語の名前.bin", WAITING))
        for width in range(20, 250):
            drawn = lines(tally, width)
            self.assertEqual(len(drawn), 4)
            for line, end in zip(drawn, ("in", "st", "in", ""), strict=True):
                self.assertLessEqual(cell_len(line), width - MARGIN)
                self.assertTrue("━" in line or "─" in line, line)
                self.assertIn(end, line)

    def test_narrow(self) -> None:
        """In 40 columns there are name, bar and share of each, and the speed of all."""
        first, second, total = lines(tally_of(("nn1 big.bin", RUNNING), (LONG, RUNNING)), 40)
        self.assertTrue(first.startswith("nn1 big.bin "), first)
        self.assertTrue(second.startswith("a-ver...01.tar.zst "), second)
        for line in (first, second):
            self.assertTrue(line.endswith(" 57%"), line)
        self.assertTrue(total.startswith("0/2 ━"), total)
        self.assertTrue(total.endswith("57%   25.0 MiB/s"), total)

    def test_wide(self) -> None:
        """Where there is room, all that is known is shown, and each name in full."""
        drawn = lines(tally_of(("big.bin", RUNNING), (LONG[:50], WAITING)), 200)
        self.assertIn("57.0 MiB of 100.0 MiB    12.5 MiB/s   0:42 left  3 holders", drawn[0])
        self.assertTrue(drawn[1].startswith(LONG[:50]))
        self.assertTrue(drawn[1].endswith("waiting"))
        self.assertTrue(drawn[2].startswith("0 of 2 done"))

    def test_one(self) -> None:
        """A single transfer is its own total."""
        self.assertEqual(len(lines(tally_of(("big.bin", RUNNING)), 80)), 1)

    def test_more_than_lines(self) -> None:
        """Where rows are more than lines, the running ones are shown, and the total last."""
        waiting = [(f"waiting-{number}", WAITING) for number in range(100)]
        running = [(f"running-{number}", RUNNING) for number in range(5)]
        drawn = lines(tally_of(*waiting, *running), 80, 10)
        self.assertEqual([line.split()[0] for line in drawn[:5]], [name for name, _ in running])
        self.assertTrue(drawn[-1].startswith("0 of 105 done"))
        self.assertLess(len(drawn), 10)
        for height in range(1, 8):
            drawn = lines(tally_of(*waiting, *running), 80, height)
            self.assertLessEqual(len(drawn), max(1, height - 1))
            self.assertTrue(drawn[-1].startswith("0 of 105 done"))

    def test_few_waiting(self) -> None:
        """A high terminal isn't filled with what waits."""
        waiting = [(f"waiting-{number}", WAITING) for number in range(100)]
        self.assertLess(len(lines(tally_of(("one", RUNNING), *waiting), 80, 60)), 10)

    def test_ascii(self) -> None:
        """A terminal that knows no more gets ASCII alone, and names escaped."""
        tally = tally_of(("日本.bin", RUNNING), (LONG, RUNNING), ("c", WAITING))
        for width in (20, 40, 80, 200):
            for line in lines(tally, width, ascii_only=True):
                self.assertTrue(line.isascii())
                self.assertLessEqual(len(line), width - MARGIN)
        self.assertIn("\\u65e5\\u672c.bin", lines(tally, 80, ascii_only=True)[0])

    def test_hostile_name(self) -> None:
        """No name moves the cursor."""
        for line in lines(tally_of(("\x1b[2Ja\nb\r", RUNNING), (LONG, RUNNING)), 80):
            self.assertTrue(line.isprintable())

    def test_failed(self) -> None:
        """The total says how many have failed."""
        failed = Row(0, 9, state="failed")
        drawn = lines(tally_of(("a", RUNNING), ("b", failed), ("c", failed)), 80)
        self.assertTrue(drawn[-1].endswith("2 failed"), drawn)


class WordsTests(SynchronousTestCase):
    """The parts of a row."""

    def test_shorten(self) -> None:
        """A name that is too long keeps its end and some of its beginning."""
        self.assertEqual(shorten("abcdefghijkl", 12), "abcdefghijkl")
        self.assertEqual(shorten("abcdefghijklm", 12), "abc...hijklm")
        self.assertEqual(shorten("abcdefghijklm", 2), "..")
        for width in range(30):
            self.assertLessEqual(
                cell_len(shorten("日本語の長い名前のファイルです.bin", width)), width
            )

    def test_time_left(self) -> None:
        """Times of any length take few columns."""
        for seconds, said in (
            (0, "0:00"),
            (59.6, "1:00"),
            (99 * 60, "99:00"),
            (6_000, "1.7 h"),
            (47 * 3600, "47 h"),
            (100 * 3600, "4 d"),
            (1e12, ">99 d"),
        ):
            self.assertEqual(time_left(seconds), said)

    def test_in_words(self) -> None:
        """A row as text says the same."""
        self.assertEqual(
            in_words(RUNNING),
            ["57.0 MiB of 100.0 MiB (57%)", "12.5 MiB/s", "0:42 left", "3 holders"],
        )
        self.assertEqual(in_words(Row(note="waiting")), ["waiting"])
