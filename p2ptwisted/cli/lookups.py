"""
Looking up many things that the user names: some at once, with a line in the terminal that says how
far it is.
"""

import sys
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from p2ptwisted.cli.end_signals import END_SIGNALS
from p2ptwisted.cli.exit_status import Ambiguous
from p2ptwisted.errors import UnknownResource
from p2ptwisted.support.lifecycle import all_of

#: Look-ups at once. One by id takes a supernode as long as the slowest other one needs to answer,
#: which it asks; and one by name counts among the 8 that it has under way for an address.
IDS_AT_ONCE, NAMES_AT_ONCE = 32, 4

#: Seconds from the beginning to the first line, and between two.
LINE_INTERVAL = 0.25

_T = TypeVar("_T")


async def look_up_all(
    clock: IReactorTime, wanted: Sequence[str], find: Callable[[str], Awaitable[_T]], at_once: int
) -> list[_T | UnknownResource | Ambiguous]:
    """
    Await `find` for each of these, `at_once` at a time; returns the results in their order.

    What is unknown or ambiguous keeps nobody from the others. Raises any other error at once.
    """
    outcomes: dict[int, _T | UnknownResource | Ambiguous] = {}
    waiting = deque(enumerate(wanted))

    async def work() -> None:
        while waiting:
            number, what = waiting.popleft()
            try:
                outcomes[number] = await find(what)
            except (UnknownResource, Ambiguous) as error:
                outcomes[number] = error
            except BaseException:
                # Nobody needs the rest.
                waiting.clear()
                raise

    with _line(clock, lambda: f"looking up {len(outcomes) + 1} of {len(wanted)}"):
        workers = min(at_once, len(wanted))
        await all_of([Deferred.fromCoroutine(work()) for _ in range(workers)])
    return [outcomes[number] for number in range(len(wanted))]


@contextmanager
def _line(clock: IReactorTime, text: Callable[[], str]) -> Iterator[None]:
    """Keep a line on standard error up to date, if that is a terminal; it is removed at the end."""
    if not sys.stderr.isatty():
        yield
        return
    drawing = LoopingCall(lambda: _draw(f"p2p: {text()}"))
    drawing.clock = clock
    drawing.start(LINE_INTERVAL, now=False)
    try:
        yield
    finally:
        drawing.stop()
        _draw("")


@END_SIGNALS.breaking()
def _draw(line: str) -> None:
    # The terminal may be gone: the work goes on.
    with suppress(OSError):
        sys.stderr.write(f"\r\x1b[K{line}")
        sys.stderr.flush()
