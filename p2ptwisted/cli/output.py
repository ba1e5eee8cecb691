"""
What `p2p` prints: results to standard output, for a person or as JSON; messages, one line each,
to standard error. Progress bars are in `progress.py`.

Names come from strangers. What is printed of them can't upset a terminal.
"""

import json
import sys
from collections.abc import Iterable, Sequence

import msgspec

from p2ptwisted.cli.end_signals import END_SIGNALS
from p2ptwisted.cli.standard_streams import discard, results
from p2ptwisted.support.escaping import shown

#: Characters of a line of the result, and of a message. A path has 4,096 at the most.
RESULT_LINE_MAX, MESSAGE_MAX = 8_192, 2_000

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def size_of(size: float | None) -> str:
    """Bytes as a person reads them."""
    if size is None:
        return "size unknown"
    if size < 1024:
        return f"{size:.0f} B"
    for unit in _UNITS:
        size /= 1024
        if size < 1023.95 or unit == _UNITS[-1]:
            break
    return f"{size:.1f} {unit}"


def print_message(message: str) -> None:
    """Print one line to standard error."""
    print_messages([message])


@END_SIGNALS.breaking()
def print_messages(messages: Iterable[str]) -> None:
    """Print lines to standard error, all at once."""
    lines = [f"p2p: {shown(message, MESSAGE_MAX)}\n" for message in messages]
    try:
        print("".join(lines), end="", file=sys.stderr, flush=True)
    except OSError:
        discard(sys.stderr)  # Nobody reads it; the exit status says it too.


@END_SIGNALS.breaking()
def print_lines(*lines: str) -> None:
    """Print lines of a result. Raises what `standard_streams.results` does, as all these do."""
    with results():
        for line in lines:
            print(shown(line, RESULT_LINE_MAX))


@END_SIGNALS.breaking()
def print_json(result: object) -> None:
    """Print a result as one JSON document."""
    with results():
        print(json.dumps(msgspec.to_builtins(result), indent=2))


@END_SIGNALS.breaking()
def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a result in columns, which are cut to the width of a terminal only."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(shown(cell, RESULT_LINE_MAX)) for cell in row))
    console = Console(width=None if sys.stdout.isatty() else 4096, highlight=False)
    # Where its reader has gone, rich would end the program with a status of its own.
    with results():
        with console.capture() as drawn:
            console.print(table)
        sys.stdout.write(drawn.get())
