"""
What a command's transfers have come to: how many are in which state, and their bytes. Pure; how
it is shown is decided in `progress_layout` and `progress`.
"""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from heapq import nsmallest

#: The states of a transfer, in the order in which they are listed. docs/command-line.md says what
#: each means.
WAITING, RUNNING = "waiting", "running"
DONE, PRESENT, FAILED, CANCELLED = "done", "present", "failed", "cancelled"
UNDER_WAY = (WAITING, RUNNING)
ENDED = (DONE, PRESENT, FAILED, CANCELLED)

#: Transfers looked at in a turn; of more, each is looked at every few turns. 1,000 take 1.4 ms.
LOOKS_MAX = 1_000


@dataclass(frozen=True)
class Row:
    """
    The progress of one transfer: bytes, bytes a second, seconds.

    `note` is a word or two beside its figures; `closing` is a line that says how it ended.
    """

    here: int | None = None
    size: int | None = None
    rate: float | None = None
    seconds_left: float | None = None
    note: str = ""
    state: str = RUNNING
    closing: str = ""


class Transfer:
    """One transfer: its name, and the last that was seen of it."""

    __slots__ = ("look", "name", "number", "row")

    def __init__(self, number: int, name: str, look: Callable[[], Row]) -> None:
        self.number = number
        self.name = name
        self.look = look
        self.row = Row(state=WAITING)


class TransferTally:
    """All transfers of a command: those that are open, and a count of those that have ended."""

    def __init__(self) -> None:
        self.count = 0
        #: How many have ended in each state, and their bytes.
        self.ended: Counter[str] = Counter()
        self._ended_bytes = 0
        #: Bytes of those that are `done`.
        self.done_bytes = 0
        self._open: deque[Transfer] = deque()

    def add(self, name: str, look: Callable[[], Row]) -> None:
        """Add a transfer; `look` returns its progress."""
        self._open.append(Transfer(self.count, name, look))
        self.count += 1

    def look(self, most: int = LOOKS_MAX) -> list[Transfer]:
        """Look at so many of the open ones; return those that have ended since."""
        ended = []
        kept = []
        for _ in range(min(most, len(self._open))):
            one = self._open.popleft()
            one.row = one.look()
            if one.row.state in ENDED:
                ended.append(one)
                self._end(one.row)
            else:
                kept.append(one)
        self._open.extend(kept)
        return ended

    def _end(self, row: Row) -> None:
        self.ended[row.state] += 1
        if row.state in (DONE, PRESENT):
            self._ended_bytes += row.size or 0
            self.done_bytes += (row.size or 0) if row.state == DONE else 0

    def running(self) -> list[Transfer]:
        """Those that run, in the order in which they were added."""
        running = [one for one in self._open if one.row.state == RUNNING]
        return sorted(running, key=lambda one: one.number)

    def waiting(self, most: int) -> list[Transfer]:
        """The first that haven't begun, at most so many."""
        waiting = (one for one in self._open if one.row.state != RUNNING)
        return nsmallest(most, waiting, key=lambda one: one.number)

    @property
    def total(self) -> Row:
        """
        All transfers together.

        Those that have failed don't count, nor do those of unknown size.
        """
        rows = [one.row for one in self._open]
        size = self._ended_bytes + sum(row.size or 0 for row in rows)
        here = self._ended_bytes + sum(row.here or 0 for row in rows if row.size is not None)
        rate = sum(row.rate or 0.0 for row in rows)
        left = (size - here) / rate if rate else None
        bad = self.ended[FAILED] + self.ended[CANCELLED]
        return Row(here, size or None, rate or None, left, f"{bad} failed" if bad else "")

    @property
    def good(self) -> int:
        """How many have ended well."""
        return self.ended[DONE] + self.ended[PRESENT]
