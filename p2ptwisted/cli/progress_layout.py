"""
The lines of a progress display, as wide and as high as a terminal has room. Pure.

What there is no room for is left out, the least important first: a name always keeps its end, and
a row its bar.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.text import Text

from p2ptwisted.cli.output import size_of
from p2ptwisted.cli.transfer_tally import RUNNING, Row, Transfer, TransferTally
from p2ptwisted.support.escaping import shown

#: Columns left free at the right: a terminal writes ^C there, and a line that it makes too long
#: would be two.
MARGIN = 3

#: Lines for transfers that are waiting, where others run; running ones may take all there are.
WAITING_LINES = 5

#: Columns of a name at most, and of a bar at least and at most.
NAME_MAX, BAR_MIN, BAR_MAX = 60, 6, 60

#: Characters looked at of a name and of a note. A name in a folder can be 4,096 long.
NAME_READ_MAX, NOTE_MAX = 5_000, 40

#: Columns of each figure.
_PERCENT, _AMOUNT, _RATE, _LEFT = 4, 24, 12, 10

_CUT = "..."


class Level(NamedTuple):
    """How much is said beside a bar: which figures, and a note of at most so many columns."""

    figures: tuple[int, ...]
    note: int
    #: Columns that this must leave for the longest name, up to so many, and for the bar.
    name: int
    bar: int
    #: Columns between two columns.
    gap: int = 2


_LEVELS = (
    Level((_PERCENT, _AMOUNT, _RATE, _LEFT), NOTE_MAX, 40, 10),
    Level((_PERCENT, _RATE, _LEFT), NOTE_MAX, 20, 10),
    Level((_PERCENT, _RATE, _LEFT), 0, 16, BAR_MIN),
    Level((_PERCENT, _RATE), 0, 16, BAR_MIN, gap=1),
    Level((_PERCENT,), 0, 0, 0, gap=1),
)


def lay_out(tally: TransferTally, width: int, height: int, ascii_only: bool = False) -> list[Text]:
    """
    Return the lines for a terminal of that size: a row for each transfer, and one for all of them.

    Running ones come first; where there are more than lines, those that wait are left out, and then
    the last that run. The line for all is always there, unless there is one transfer.
    """
    width -= MARGIN
    has_total = tally.count > 1
    running = tally.running()
    room = min(max(1, height - 1) - has_total, max(len(running), WAITING_LINES))
    waiting = tally.waiting(max(0, room - len(running)))
    rows = [(one.name, one.row) for one in [*running[:room], *waiting]]
    if not has_total:
        return draw(rows, width, ascii_only)
    total = f"{tally.good} of {tally.count} done", tally.total
    short = f"{tally.good}/{tally.count}"
    if _level([*rows, total], width) is _LEVELS[-1] and rows:
        # How fast all is, there is room for in a line of its own.
        return [
            *draw(rows, width, ascii_only),
            *draw([(short, total[1])], width, ascii_only, short),
        ]
    return draw([*rows, total], width, ascii_only, short)


def _level(rows: Sequence[tuple[str, Row]], width: int) -> Level:
    """The fullest level of detail for which there is room in each row."""
    longest = max((cell_len(name) for name, _ in rows), default=0)
    note = max((cell_len(row.note) for _, row in rows), default=0)
    return next(
        one
        for one in _LEVELS
        if _leaves(one, width, note) >= (min(longest, one.name) + one.bar if one.bar else 0)
        or one is _LEVELS[-1]
    )


def draw(
    rows: Sequence[tuple[str, Row]],
    width: int,
    ascii_only: bool = False,
    short_last: str | None = None,
) -> list[Text]:
    """
    Return a line for each row, all in the same columns and at most `width` wide.

    `short_last` is another name of the last row, for where there is little room; it is then the row
    for all.
    """
    rows = [
        (
            _readable(name, NAME_READ_MAX, ascii_only),
            dataclasses.replace(row, note=_readable(row.note, NOTE_MAX, ascii_only)),
        )
        for name, row in rows
    ]
    longest = min(NAME_MAX, max((cell_len(name) for name, _ in rows), default=0))
    note = max((cell_len(row.note) for _, row in rows), default=0)
    level = _level(rows, width)
    level = level._replace(note=min(level.note, note))
    room = max(0, _leaves(level, width, note))
    # Where names are short, the bars get the rest.
    name_width = min(longest, max(room - BAR_MAX, room * 3 // 5))
    name_width = max(0, min(name_width, room - BAR_MIN))
    bar_width = min(BAR_MAX, room - name_width)
    gap = " " * level.gap
    drawn = []
    for number, (name, row) in enumerate(rows):
        line = Text(no_wrap=True, end="")
        if name_width > 0:
            style = ""
            if short_last is not None and number == len(rows) - 1:
                style, name = "bold", name if cell_len(name) <= name_width else short_last
            line.append(_pad(shorten(name, name_width), name_width) + gap, style)
        _append_bar(line, row, bar_width, ascii_only)
        line.append(gap + _details(row, level, gap))
        line.truncate(max(0, width))
        drawn.append(line)
    return drawn


def _leaves(level: Level, width: int, note: int) -> int:
    """The columns that a level of detail leaves for name and bar."""
    figures = sum(figure + level.gap for figure in level.figures)
    note = min(note, level.note)
    return width - figures - level.gap - (note + level.gap if note else 0)


def _append_bar(line: Text, row: Row, width: int, ascii_only: bool) -> None:
    full = share(row, width) or 0
    done, rest = ("#", "-") if ascii_only else ("━", "─")
    line.append(done * full, "bar.finished" if full == width else "bar.complete")
    line.append(rest * (width - full), "bar.back")


def _details(row: Row, level: Level, gap: str) -> str:
    """What stands beside the bar: figures in their columns, and the note."""
    percent = share(row, 100)
    figures = {
        _PERCENT: "" if percent is None else f"{percent}%",
        _AMOUNT: "" if row.size is None else amount(row),
        _RATE: f"{size_of(row.rate)}/s" if row.rate else "",
        _LEFT: "" if row.seconds_left is None else f"{time_left(row.seconds_left)} left",
    }
    if row.state != RUNNING and row.note:
        # It has no figures yet that would matter.
        room = sum(level.figures) + len(gap) * (len(level.figures) - 1) + level.note
        return row.note if cell_len(row.note) <= room else ""
    cells = [figures[figure].rjust(figure) for figure in level.figures]
    if level.note:
        cells.append(row.note)
    return gap.join(cells).rstrip()


def share(row: Row, parts: int) -> int | None:
    """How many of so many equal parts are here; None where its size is unknown."""
    if row.size is None:
        return None
    return min(parts, (row.here or 0) * parts // row.size) if row.size else parts


def amount(row: Row) -> str:
    """The bytes that are here, and all of them."""
    return f"{size_of(row.here or 0)} of {size_of(row.size)}"


def time_left(seconds: float) -> str:
    """Seconds as a clock shows them; many, in hours or days."""
    minutes, left = divmod(int(seconds + 0.5), 60)
    hours = seconds / 3600
    if minutes < 100:
        return f"{minutes}:{left:02}"
    if hours < 48:
        return f"{hours:.1f} h" if hours < 9.95 else f"{hours:.0f} h"
    return f"{hours / 24:.0f} d" if hours < 2400 else ">99 d"


def in_words(row: Row) -> list[str]:
    """The figures of a row, for a line of text."""
    parts = []
    percent = share(row, 100)
    if percent is not None:
        parts.append(f"{amount(row)} ({percent}%)")
    if row.rate:
        parts.append(f"{size_of(row.rate)}/s")
    if row.seconds_left is not None:
        parts.append(f"{time_left(row.seconds_left)} left")
    if row.note:
        parts.append(shown(row.note, NOTE_MAX))
    return parts


def summary(one: Transfer) -> str:
    """A line for one transfer."""
    return ", ".join([f"{shown(one.name)}: {one.row.state}", *in_words(one.row)])


def shorten(text: str, width: int) -> str:
    """Return the text in at most `width` columns: with its end, and some of its beginning."""
    if cell_len(text) <= width:
        return text
    if width <= len(_CUT):
        return _CUT[: max(0, width)]
    start = (width - len(_CUT)) // 3
    end = width - len(_CUT) - start
    return f"{_first(text, start)}{_CUT}{_first(text[::-1], end)[::-1]}"


def _first(text: str, width: int) -> str:
    """As many characters from the beginning as fit in `width` columns."""
    taken = 0
    for number, character in enumerate(text):
        taken += cell_len(character)
        if taken > width:
            return text[:number]
    return text


def _pad(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))


def _readable(text: str, most: int, ascii_only: bool) -> str:
    if ascii_only:
        text = text[:most].encode("ascii", "backslashreplace").decode("ascii")
    return shown(text, most)
