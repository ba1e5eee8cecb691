"""
Searches of the registry by a part of a file's name, by a node's name, or both:
which ids they find. In slices, for each may have to look at every row.
"""

from collections.abc import Iterator, Sequence

from p2ptwisted.supernode.registry.schema import SPARE, Key, key_of
from p2ptwisted.support.sqlite import Database

#: Ids found by one search.
FOUND_MAX = 1_000

#: Rows looked at in a slice: where the index of names tells which, and where it can't.
INDEX_SLICE, SCAN_SLICE = 10_000, 2_000

#: The index of names needs so many characters of one.
INDEXED_LENGTH = 3

#: By id, in the order in which they were found, a row that says so.
Found = dict[Key, int]


def find(
    database: Database,
    found: Found,
    file_name: str | None,
    node_name: str | None,
    ids: Sequence[str] | None,
) -> Iterator[None]:
    """Fill `found`, with at most FOUND_MAX ids."""
    conditions = [f"h.partial IN (0, {SPARE})", "n.location IS NOT NULL"]
    values = list[Key]()
    if node_name is not None:
        conditions.append("n.name = ?")
        values.append(node_name)
    if file_name is not None:
        if ids is not None:
            conditions.append(f"h.id IN ({','.join('?' * len(ids))})")
            values.extend(map(key_of, ids))
        rows = _named(database, file_name, " AND ".join(conditions), values)
    elif ids is not None:
        rows = _among(database, ids, " AND ".join(conditions), values)
    else:
        rows = _of_nodes(database, node_name)
    for some in rows:
        for key, holding in some:
            found.setdefault(key, holding)
            if len(found) >= FOUND_MAX:
                return
        yield


_Rows = Iterator[list[tuple[Key, int]]]


def _named(database: Database, part: str, conditions: str, values: Sequence[Key]) -> _Rows:
    """What is called so, by row; the index of names doesn't know short parts."""
    if "\0" in part:
        # No file has such a name, and the index's query would end there.
        return
    if len(part) < INDEXED_LENGTH:
        size, source, matches = SCAN_SLICE, "holdings h", "instr(lower(h.name), lower(?))"
        row = "h.holding"
    else:
        size, matches = INDEX_SLICE, "names MATCH ?"
        source, row = "names CROSS JOIN holdings h ON h.holding = names.rowid", "names.rowid"
        part = '"' + part.replace('"', '""') + '"'
    # What comes while it looks need not be found.
    ((end,),) = database.rows("SELECT max(holding) FROM holdings")
    last = 0
    while end is not None and last < end:
        # Rows that are gone leave gaps, which can be wide.
        ((first,),) = database.rows("SELECT min(holding) FROM holdings WHERE holding > ?", (last,))
        if first is None:
            return
        last = first + size - 1
        rows = database.rows(
            f"SELECT h.id, h.holding FROM {source} CROSS JOIN nodes n USING (node) "
            f"WHERE {row} BETWEEN ? AND ? AND {matches} AND {conditions} "
            f"ORDER BY {row} LIMIT {FOUND_MAX}",  # nosec B608  # all of it is written above
            [first, last, part, *values],
        )
        if len(rows) == FOUND_MAX:
            last = rows[-1][1]
        yield rows


def _among(database: Database, ids: Sequence[str], conditions: str, values: Sequence[Key]) -> _Rows:
    for id in ids:
        yield database.rows(
            "SELECT h.id, h.holding FROM holdings h CROSS JOIN nodes n USING (node) "
            f"WHERE h.id = ? AND {conditions} LIMIT 1",  # nosec B608  # they hold no value
            [key_of(id), *values],
        )


def _of_nodes(database: Database, name: str | None) -> _Rows:
    """What these nodes have, or all nodes where no name is given."""
    for (node,) in database.rows(
        "SELECT node FROM nodes WHERE location IS NOT NULL AND name = coalesce(?, name)", (name,)
    ):
        last = 0
        while rows := database.rows(
            "SELECT id, holding, partial FROM holdings "
            "WHERE node = ? AND holding > ? ORDER BY holding LIMIT ?",
            (node, last, SCAN_SLICE),
        ):
            last = rows[-1][1]
            yield [(key, holding) for key, holding, partial in rows if not partial % SPARE]
