"""
The progress of a command's transfers: what a command adds them to. `transfer_tally` counts them,
`progress_display` shows them.

A LoopingCall draws, because rich's own way is a thread.
"""

import sys
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from p2ptwisted.cli.output import size_of
from p2ptwisted.cli.progress_display import Display, Mode, display_for
from p2ptwisted.cli.standard_streams import is_writable
from p2ptwisted.cli.transfer_tally import (
    CANCELLED,
    DONE,
    FAILED,
    LOOKS_MAX,
    PRESENT,
    Row,
    TransferTally,
)
from p2ptwisted.support.wording import counted

__all__ = ["ProgressBars", "ProgressReport", "Row"]


class Noun(NamedTuple):
    """What the transfers are called in the last line."""

    singular: str
    plural: str


FILES = Noun("file", "files")


class ProgressReport:
    """Progress that is shown whenever `turn` is called, while this context manager is entered."""

    def __init__(
        self,
        now: Callable[[], float],
        mode: Mode | None = None,
        closing: bool = True,
    ) -> None:
        """`now` returns a time in seconds. With `closing` each transfer that ends leaves a line."""
        self._now = now
        self._began = now()
        self._closing = closing
        self._tally = TransferTally()
        self._lines: list[str] = []
        self.display: Display = display_for(mode, self._began)
        self._due = self._began + self.display.interval

    def add(self, name: str, look: Callable[[], Row]) -> None:
        """Add a transfer; `look` returns its progress."""
        self._tally.add(name, look)

    def turn(self) -> None:
        """Look at the transfers, and show them, unless whoever reads that takes nothing now."""
        self._due = self._now() + self.display.interval
        self._look()
        if is_writable(sys.stderr):
            self._say()
            self.display.show(self._tally, self._now())

    def turn_if_due(self) -> None:
        """The same, unless that was just done: for work that is done outside the reactor."""
        if self._now() >= self._due:
            self.turn()

    def _look(self, most: int = LOOKS_MAX) -> None:
        for one in self._tally.look(most):
            if self._closing and one.row.closing:
                self._lines.append(one.row.closing)

    def _say(self) -> None:
        lines, self._lines = self._lines, []
        if lines:
            self.display.say(lines)

    def __enter__(self) -> "ProgressReport":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.display.close()
        self._look(self._tally.count)
        if kind is None:
            self._say()

    def sum_up(self, noun: Noun) -> None:
        """
        Print the last line, if there were several: how many ended in which way, and in what time.

        `noun` is what the transfers are called.
        """
        ended = self._tally.ended
        if self._tally.count < 2:
            return
        ways = [f"{ended[way]} {way}" for way in (DONE, PRESENT, FAILED, CANCELLED) if ended[way]]
        line = f"{counted(self._tally.count, *noun)}: {', '.join(ways)}"
        if self._tally.done_bytes:
            took = self._now() - self._began
            line += f"; {size_of(self._tally.done_bytes)} in {took:.1f} s"
        self.display.say([line])


class ProgressBars(ProgressReport):
    """Progress that is shown by the reactor."""

    def __init__(
        self,
        clock: IReactorTime,
        mode: Mode | None = None,
        closing: bool = True,
    ) -> None:
        """See ProgressReport."""
        super().__init__(clock.seconds, mode, closing)
        self._turning = LoopingCall(self.turn)
        self._turning.clock = clock

    def __enter__(self) -> "ProgressBars":
        # Where a turn fails, it is the last one, and the transfers go on.
        self._turning.start(self.display.interval, now=False).addErrback(lambda failure: None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._turning.running:
            self._turning.stop()
        super().__exit__(kind, error, trace)
