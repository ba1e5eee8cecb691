"""
Progress bars, on standard error where that is a terminal; nothing elsewhere. A LoopingCall draws
them, because rich's own way is a thread.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from p2ptwisted.cli.output import size_of
from p2ptwisted.support.escaping import shown

#: Seconds between two redraws.
REDRAW_INTERVAL = 0.1

#: Characters of a name that are shown, and of a note beside a bar.
NAME_MAX, NOTE_MAX = 40, 80


@dataclass(frozen=True)
class Row:
    """The progress of one transfer: bytes, bytes a second, seconds."""

    here: int | None = None
    size: int | None = None
    rate: float | None = None
    seconds_left: float | None = None
    note: str = ""


class ProgressBars:
    """A bar for each transfer, drawn while this context manager is entered."""

    def __init__(self, clock: IReactorTime) -> None:
        self._looks: dict[TaskID, Callable[[], Row]] = {}
        console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
            BarColumn(bar_width=None, table_column=Column(ratio=1)),
            TextColumn("{task.fields[note]}", markup=False, table_column=Column(no_wrap=True)),
            console=console,
            auto_refresh=False,
            expand=True,
            disable=not sys.stderr.isatty(),
        )
        self._redrawing = LoopingCall(self.redraw)
        self._redrawing.clock = clock

    def add(self, name: str, look: Callable[[], Row]) -> None:
        """Add a transfer; `look` returns its progress."""
        task = self._progress.add_task(shown(name, NAME_MAX), total=None, note="")
        self._looks[task] = look

    def redraw(self) -> None:
        """Draw the progress of every transfer."""
        for task, look in self._looks.items():
            row = look()
            self._progress.update(task, completed=row.here or 0, total=row.size, note=describe(row))
        # The terminal may be gone: what the bars are about goes on.
        with suppress(OSError):
            self._progress.refresh()

    def __enter__(self) -> "ProgressBars":
        with suppress(OSError):
            self._progress.start()
        self._redrawing.start(REDRAW_INTERVAL, now=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._redrawing.stop()
        self.redraw()
        with suppress(OSError):
            self._progress.stop()


def describe(row: Row) -> str:
    """The text beside a bar."""
    parts = []
    if row.size is not None:
        parts.append(f"{size_of(row.here or 0)} of {size_of(row.size)}")
    if row.rate:
        parts.append(f"{size_of(row.rate)}/s")
    if row.seconds_left is not None:
        minutes, seconds = divmod(int(row.seconds_left + 0.5), 60)
        parts.append(f"{minutes}:{seconds:02} left")
    if row.note:
        parts.append(shown(row.note, NOTE_MAX))
    return "  ".join(parts)
