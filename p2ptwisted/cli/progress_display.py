"""
How progress is shown on standard error: as bars in a terminal, as lines elsewhere, or not at all.

A display shows what a TransferTally has come to, and says the lines of those that have ended.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal, Protocol

from rich.console import Console
from rich.live import Live
from rich.text import Text

from p2ptwisted.cli.output import print_message, print_messages
from p2ptwisted.cli.progress_layout import in_words, lay_out, summary
from p2ptwisted.cli.transfer_tally import TransferTally

Mode = Literal["bar", "plain", "none"]

#: Seconds between two looks at the transfers: for bars, and for lines.
BAR_INTERVAL, PLAIN_INTERVAL = 0.1, 1.0

#: Seconds between two lines.
LINE_INTERVAL = 10.0

#: What `TERM` says of what takes no more than lines.
_DUMB = ("", "dumb", "unknown")


class Display(Protocol):
    """Shows progress; after `close` no more."""

    #: Seconds between two calls of `show`.
    interval: float

    def show(self, tally: TransferTally, now: float) -> None:
        """Show how far all are, at a time in seconds."""

    def say(self, lines: Sequence[str]) -> None:
        """Print these lines, which stay."""

    def hide(self) -> None:
        """Make room for what is printed elsewhere, until the next `show`."""

    def close(self) -> None:
        """Leave nothing behind but lines."""


class NoDisplay:
    """Nothing at all."""

    interval = PLAIN_INTERVAL

    def show(self, tally: TransferTally, now: float) -> None:
        pass

    def say(self, lines: Sequence[str]) -> None:
        pass

    def hide(self) -> None:
        pass

    def close(self) -> None:
        pass


class PlainDisplay:
    """A line every LINE_INTERVAL seconds, and one for each transfer that ends."""

    interval = PLAIN_INTERVAL

    def __init__(self, began: float) -> None:
        self._last = began

    def show(self, tally: TransferTally, now: float) -> None:
        if now < self._last + LINE_INTERVAL:
            return
        self._last = now
        if tally.count > 1:
            done = f"{tally.good} of {tally.count} done"
            print_message(", ".join([done, *in_words(tally.total)]))
        else:
            for one in [*tally.running(), *tally.waiting(1)]:
                print_message(summary(one))

    def say(self, lines: Sequence[str]) -> None:
        print_messages(lines)

    def hide(self) -> None:
        pass

    def close(self) -> None:
        pass


class BarDisplay:
    """A bar for each transfer that runs, in a terminal; those that have ended scroll away."""

    interval = BAR_INTERVAL

    def __init__(self, console: Console | None = None) -> None:
        # Lines that are wider than the terminal are wrapped by that, and can be copied.
        self._console = console or Console(
            stderr=True, highlight=False, soft_wrap=True, force_terminal=True
        )
        self._live: Live | None = None

    def show(self, tally: TransferTally, now: float) -> None:
        width, height = self._console.size
        self._draw(lay_out(tally, width, height, self._console.options.ascii_only))

    def _draw(self, lines: Sequence[Text]) -> None:
        # The terminal may be gone: what the bars are about goes on.
        with suppress(OSError):
            if self._live is None:
                # Results go to where standard output goes, and nowhere else.
                self._live = Live(
                    console=self._console,
                    auto_refresh=False,
                    transient=True,
                    redirect_stdout=False,
                )
                self._live.start()
                # Else a shell would be without one while this is stopped, or when it is killed.
                self._console.show_cursor(True)
            self._live.update(Text("\n").join(lines), refresh=True)

    def say(self, lines: Sequence[str]) -> None:
        # They come out above the bars.
        print_messages(lines)

    def hide(self) -> None:
        if self._live is not None:
            self._draw([])

    def close(self) -> None:
        if self._live is not None:
            with suppress(OSError):
                self._live.stop()
            self._live = None


def display_for(mode: Mode | None, now: float) -> Display:
    """
    Return the display that was asked for; by default bars in a terminal, and else lines.

    Where there is no terminal, or one that can't move its cursor, bars are lines, too.
    """
    if mode == "none":
        return NoDisplay()
    can_draw = sys.stderr.isatty() and os.environ.get("TERM", "") not in _DUMB
    return BarDisplay() if can_draw and mode != "plain" else PlainDisplay(now)
