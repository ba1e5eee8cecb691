"""
Reads from the registry's tables which nodes hold an id: of many the last that
came, and of one address no more than its share.
"""

from collections.abc import Sequence
from itertools import chain

from p2ptwisted.model import SIZE_MAX
from p2ptwisted.supernode.registry.schema import OTHER_NAME, SPARE, Key
from p2ptwisted.support.round_robin import host_of, share_of
from p2ptwisted.support.sqlite import Database

#: Rows read at a time where those of a few addresses come before all others; one address has
#: no more than SHARE_MAX that are not spare. And rows read in all, which take about a
#: millisecond: they are more than those of 31 such addresses.
HOLDERS_SLICE, ROWS_MAX = 256, 1_000

#: Rows of other names that are read for one id; nodes can have the same.
NAME_ROWS_MAX = 400

#: When its node was last seen, the key, name, size, location, the row's own number, and the name's
#: normal form.
Row = tuple[int, Key, str, int | None, str, int, str]

_COLUMNS = "SELECT n.seen, h.id, h.name, h.size, n.location, h.holding, coalesce(h.normal, h.name)"

#: Greater than the number of any row.
_END = SIZE_MAX


class HolderRows:
    """Reads the rows of an id's holders."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def of_keys(
        self, keys: Sequence[Key], limit: int, node_name: str | None, has_spare: bool
    ) -> list[Row]:
        """
        Returns the rows of all complete holders of `keys`, in any order.

        Where they are more than `limit` for each key, those of each that came last. If
        `node_name` is given, only nodes of that name count; `has_spare` as in `newest`.
        """
        if len(keys) > 1:
            distinct = dict.fromkeys(keys)
            most = limit * len(distinct)
            named, names = _named(node_name)
            # Only text of this module is put into the statements: values are bound.
            rows: list[Row] = self._db.rows(
                # Not `IN`, for which SQLite sorts the ids into an index of their own first.
                f"{_COLUMNS} FROM (VALUES {','.join(['(?)'] * len(distinct))}) w "
                "CROSS JOIN holdings h ON h.id = w.column1 CROSS JOIN nodes n USING (node) "
                f"WHERE h.partial IN (0, {SPARE}) AND n.location IS NOT NULL {named} LIMIT ?",
                [*distinct, *names, most + 1],
            )
            if len(rows) <= most:
                return rows
        return [
            row
            for key in dict.fromkeys(keys)
            for row in self.newest(key, limit, 0, node_name, has_spare=has_spare)
        ]

    def newest(
        self,
        key: Key,
        limit: int,
        partial: int,
        node_name: str | None = None,
        *,
        has_spare: bool,
    ) -> list[Row]:
        """
        Returns the rows of `key` that came last: at most `limit`, and of one address its share.

        Where some addresses have many, earlier rows are read until there are enough others.
        `partial` is 1 for holders of only a part, and 0 for the others; `has_spare` says
        whether there may be SPARE rows.
        """
        named, names = _named(node_name)
        statement = (
            f"{_COLUMNS} FROM holdings h CROSS JOIN nodes n USING (node) "
            f"WHERE h.id = ? AND h.partial = ? AND n.location IS NOT NULL {named} "
            "AND h.holding < ? ORDER BY h.holding DESC LIMIT ?"
        )
        values = [key, partial, *names, _END, limit]
        rows: list[Row] = self._db.rows(statement, values)
        spare: list[Row] = []
        if has_spare:
            spare = self._db.rows(statement, [key, partial + SPARE, *names, _END, limit])
        share, size = share_of(limit), limit
        if len(rows) + len(spare) <= share:
            return rows + spare
        #: The first row of each address, the second of each, and so on.
        turns: list[list[Row]] = [[] for _ in range(share)]
        counts: dict[str, int] = {}
        read = 0
        while True:
            _take(rows, turns, counts)
            read += len(rows)
            if len(turns[0]) >= limit or len(rows) < size or read >= ROWS_MAX:
                break
            size = HOLDERS_SLICE
            rows = self._db.rows(statement, [*values[:-2], rows[-1][5], size])
        _take(spare, turns, counts)
        return list(chain.from_iterable(turns))[:limit]

    def other_names(self, key: Key, node_name: str | None = None) -> dict[str, str]:
        """
        Returns what complete holders of `key` call it besides its first names there.

        They are given with their normal forms. If `node_name` is given, only nodes of that name
        count.
        """
        named, names = _named(node_name)
        rows = self._db.rows(
            "SELECT h.name, coalesce(h.normal, h.name) "
            "FROM holdings h CROSS JOIN nodes n USING (node) "
            "WHERE h.id = ? AND h.partial IN (?, ?) AND n.location IS NOT NULL "
            f"{named} LIMIT ?",  # nosec B608  # text of this module, without values
            [key, OTHER_NAME, OTHER_NAME + SPARE, *names, NAME_ROWS_MAX],
        )
        return dict(rows)


def _take(rows: Sequence[Row], turns: list[list[Row]], counts: dict[str, int]) -> None:
    """
    Add each row to the next turn of its address, while there is one.

    `counts` has the number of turns that each address has taken.
    """
    for row in rows:
        host = host_of(row[4])
        turn = counts.get(host, 0)
        if turn < len(turns):
            counts[host] = turn + 1
            turns[turn].append(row)


def _named(node_name: str | None) -> tuple[str, list[str]]:
    """Returns an SQL condition on the node's name, in normal form, and the values for it."""
    return ("", []) if node_name is None else ("AND n.normal = ?", [node_name])
