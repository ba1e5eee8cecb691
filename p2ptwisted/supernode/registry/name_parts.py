"""
Finds all ids by part of a file's name or by a node's name, in parts: the next part begins after the
last id of the one before, so whatever is held all the time is found once, while names come and go.
"""

from collections.abc import Iterator, Sequence

from p2ptwisted.model import FOUND_MAX
from p2ptwisted.supernode.registry.name_search import (
    INDEXED_LENGTH,
    Found,
    Rows,
    conditions_of,
    rows_by_name,
    rows_of_nodes,
)
from p2ptwisted.supernode.registry.schema import OTHER_NAME, Key
from p2ptwisted.support.file_names import is_named
from p2ptwisted.support.sqlite import Database

#: Rows read in the order of their ids for one part, which then ends, be it empty: at 3 us each that
#: is 0.3 s. And rows read at a time.
SCANNED_MAX, SLICE = 100_000, 500

#: So many of these tell how many rows have that name. If few do, the index of names is used: all
#: rows with that name are read for each part, which are less than one in a hundred.
SAMPLE, SAMPLE_FEW = 10_000, FOUND_MAX // 10


class NamePart:
    """One part of what a search by name finds: the first ids after a given one."""

    def __init__(
        self, database: Database, file_name: str | None, node_name: str | None, after: Key
    ) -> None:
        """Names are in normal form; `after`: the last key of the part before, or an empty one."""
        self._db = database
        self._file_name = file_name
        self._folded = "" if file_name is None else file_name.casefold()
        self._node_name = node_name
        self._after = after
        #: What is found, in the order of the keys once the search has ended.
        self.found: Found = {}
        #: The key after which the next part begins; None if this is the last.
        self.next: Key | None = None

    def search(self) -> Iterator[None]:
        """Search, in slices."""
        if self._file_name is None:
            yield from self._gather(rows_of_nodes(self._db, self._node_name))
        else:
            yield from self._by_key(self._file_name)
        self.found = dict(sorted(self.found.items(), key=lambda item: _order(item[0])))

    def _gather(self, rows: Rows) -> Iterator[None]:
        """Keep the first FOUND_MAX of these rows' keys."""
        self.found = {}
        for slice_rows in rows:
            for key, name, normal, _ in slice_rows:
                if _order(key) > _order(self._after):
                    self._add(key, name, normal)
            if len(self.found) > 2 * FOUND_MAX:
                self._cut()
            yield
        self._cut()

    def _cut(self) -> None:
        if len(self.found) > FOUND_MAX:
            first = sorted(self.found, key=_order)[:FOUND_MAX]
            self.found = {key: self.found[key] for key in first}
            self.next = first[-1]

    def _by_key(self, file_name: str) -> Iterator[None]:
        """Read the rows in the order of their keys, until there are enough or it takes too long."""
        conditions, values = conditions_of(self._node_name, True)
        has_index = len(file_name) >= INDEXED_LENGTH
        last: tuple[Key, int, int] = (self._after, 2 * OTHER_NAME, 0)
        #: The last key all of whose rows have been read.
        complete = self._after
        for number in range(SCANNED_MAX // SLICE):
            if has_index and number == SAMPLE // SLICE and len(self.found) < SAMPLE_FEW:
                later, after = f"{conditions} AND h.id > ?", [*values, self._after]
                yield from self._gather(rows_by_name(self._db, file_name, later, after))
                return
            rows = self._slice(last)
            for key, partial, row, name, normal, is_wanted in rows:
                if key != last[0]:
                    complete = last[0]
                    if len(self.found) >= FOUND_MAX:
                        self.next = complete
                        return
                last = key, partial, row
                if is_wanted and self._folded in normal.casefold():
                    self._add(key, name, normal)
            if len(rows) < SLICE:
                return
            yield
        # Of one with so many rows that they fill a part by themselves the rest is left out.
        self.next = last[0] if complete == self._after else complete
        if self.next != last[0]:
            self.found.pop(last[0], None)

    def _slice(self, last: tuple[Key, int, int]) -> Sequence[tuple[Key, int, int, str, str, int]]:
        conditions, values = conditions_of(self._node_name, True)
        rows: Sequence[tuple[Key, int, int, str, str, int]] = self._db.rows(
            # Bounded before it is joined: else rows that don't count would be read without end.
            "SELECT h.id, h.partial, h.holding, h.name, coalesce(h.normal, h.name), "
            f"coalesce({conditions}, 0) FROM ("
            "SELECT * FROM holdings WHERE (id, partial, holding) > (?, ?, ?) "
            "ORDER BY id, partial, holding LIMIT ?) h LEFT JOIN nodes n USING (node) "
            "ORDER BY h.id, h.partial, h.holding",  # nosec B608  # text of these modules
            [*values, *last, SLICE],
        )
        return rows

    def _add(self, key: Key, name: str, normal: str) -> None:
        """Note a row that matches; of several of one key rather one with the very name."""
        if key not in self.found or (
            self._file_name is not None and is_named(normal, self._file_name)
        ):
            self.found[key] = name, normal


def _order(key: Key) -> tuple[bool, Key]:
    """Sorts keys as the database does: text before blobs."""
    return isinstance(key, bytes), key
