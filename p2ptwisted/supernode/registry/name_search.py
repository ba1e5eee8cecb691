"""
Finds the ids of resources by part of a file's name, by a node's name, or both.
In slices, because a search may have to read every row.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import chain

from p2ptwisted.model import FOUND_MAX
from p2ptwisted.supernode.registry.schema import OTHER_NAME, SPARE, Key, key_of, range_of
from p2ptwisted.support.file_names import is_named
from p2ptwisted.support.round_robin import SHARE_PARTS, host_of
from p2ptwisted.support.sqlite import Database

#: The share of one address among these, so that others' ids have room, however late they are found.
FOUND_SHARE = FOUND_MAX // SHARE_PARTS

#: Rows that a search by a file's name still reads for the ids of other addresses, once it has
#: FOUND_MAX ids and an address has more than its share. Where all rows have that name it takes
#: half a second.
OTHERS_MAX = 500_000

#: Rows read in a slice: with the index of names, and without it.
INDEX_SLICE, SCAN_SLICE = 10_000, 2_000

#: Characters of a name that the (trigram) index of names needs at least.
INDEXED_LENGTH = 3

#: For each id, in the order in which they were found, the name in a row that matches and its normal
#: form; if a row has the very name that was asked for, that one.
Found = dict[Key, tuple[str, str]]


def find(
    database: Database,
    found: Found,
    file_name: str | None,
    node_name: str | None,
    ids: Sequence[str] | None,
) -> Iterator[None]:
    """
    Search in slices, and fill `found` with at most FOUND_MAX ids.

    If there are more, one address has no more than its share while others have some too.
    What is given must all match: part of a file's name, a node's name, ids; names in normal form.
    """
    shares = _Shares(found, file_name)
    conditions, values = conditions_of(node_name, file_name is not None)
    if file_name is not None:
        if ids is not None:
            conditions += f" AND h.id IN ({','.join('?' * len(ids))})"
            values.extend(map(key_of, ids))
        rows = rows_by_name(database, file_name, conditions, values, lambda: shares.unwanted)
    elif ids is not None:
        rows = _among(database, ids, conditions, values)
    else:
        rows = rows_of_nodes(database, node_name, lambda: shares.unwanted)
    for slice_rows in rows:
        for row in slice_rows:
            shares.add(*row)
        if len(found) >= FOUND_MAX and not shares.crowding:
            return
        yield


def conditions_of(node_name: str | None, other_names: bool) -> tuple[str, list[Key]]:
    """
    Returns the SQL conditions on a row of holdings `h` and its node `n`, and the values for them.

    `other_names`: rows with a resource's other names count too. `node_name` is in normal form.
    """
    rows_of = [0, SPARE, OTHER_NAME, OTHER_NAME + SPARE] if other_names else [0, SPARE]
    conditions = f"h.partial IN ({', '.join(map(str, rows_of))}) AND n.location IS NOT NULL"
    return (
        (conditions, []) if node_name is None else (f"{conditions} AND n.normal = ?", [node_name])
    )


def _nobody() -> Collection[str]:
    return ()


class _Shares:
    """Fills `found`, and keeps count of which address each id was found at."""

    def __init__(self, found: Found, file_name: str | None) -> None:
        self._found = found
        self._file_name = file_name
        #: By address, the ids found there first.
        self._keys: dict[str, list[Key]] = {}
        #: The addresses that have more than their share; they are few.
        self.crowding: set[str] = set()

    @property
    def unwanted(self) -> set[str]:
        """The addresses from which no more ids are taken."""
        return self.crowding if len(self._found) >= FOUND_MAX else set()

    def add(self, key: Key, name: str, normal: str, location: str) -> None:
        """Add an id if there is room, or if an address with more than its share makes room."""
        if key in self._found:
            if self._file_name is not None and is_named(normal, self._file_name):
                self._found[key] = name, normal
            return
        host = host_of(location)
        if host in self.unwanted or (len(self._found) >= FOUND_MAX and not self._make_room()):
            return
        self._found[key] = name, normal
        keys = self._keys.setdefault(host, [])
        keys.append(key)
        if len(keys) > FOUND_SHARE:
            self.crowding.add(host)

    def _make_room(self) -> bool:
        """
        Remove the last id of the address that has the most.

        Returns False if no address has more than its share.
        """
        if not self.crowding:
            return False
        host = max(self.crowding, key=lambda one: len(self._keys[one]))
        del self._found[self._keys[host].pop()]
        if len(self._keys[host]) <= FOUND_SHARE:
            self.crowding.remove(host)
        return True


#: Slices of rows: of each its id, its name and the normal form of that, and its node's location.
Rows = Iterator[Sequence[tuple[Key, str, str, str]]]


def rows_by_name(
    database: Database,
    part: str,
    conditions: str,
    values: Sequence[Key],
    unwanted: Callable[[], Collection[str]] = _nobody,
) -> Rows:
    """
    Returns the matching rows by part of a name; the index of names can't find short parts.

    `unwanted` returns, before each slice, the addresses whose rows are left out.
    """
    if "\0" in part:
        # No file has such a name, and the index's query would end there.
        return
    if len(part) < INDEXED_LENGTH:
        size, source, row = SCAN_SLICE, "holdings h", "h.holding"
        matches = "instr(lower(coalesce(h.normal, h.name)), lower(?))"
    else:
        size, matches = INDEX_SLICE, "names MATCH ?"
        source, row = "names CROSS JOIN holdings h ON h.holding = names.rowid", "names.rowid"
        part = '"' + part.replace('"', '""') + '"'
    # What is registered while this searches need not be found.
    ((end,),) = database.rows("SELECT max(holding) FROM holdings")
    last = read_for_others = 0
    while end is not None and last < end and read_for_others < OTHERS_MAX:
        # Deleted rows leave gaps, which can be wide.
        ((first,),) = database.rows("SELECT min(holding) FROM holdings WHERE holding > ?", (last,))
        if first is None:
            return
        last = first + size - 1
        ranges = [range_of(host) for host in unwanted()]
        read_for_others += size if ranges else 0
        others = " AND NOT (n.location > ? AND n.location < ?)" * len(ranges)
        rows = database.rows(
            f"SELECT h.id, h.name, coalesce(h.normal, h.name), n.location, {row} "
            f"FROM {source} CROSS JOIN nodes n USING (node) "
            f"WHERE {row} BETWEEN ? AND ? AND {matches} AND {conditions}{others} "
            f"ORDER BY {row} LIMIT {FOUND_MAX}",  # nosec B608  # all of it is written above
            [first, last, part, *values, *chain.from_iterable(ranges)],
        )
        if len(rows) == FOUND_MAX:
            last = rows[-1][4]
        yield [row[:4] for row in rows]


def _among(database: Database, ids: Sequence[str], conditions: str, values: Sequence[Key]) -> Rows:
    """Returns a matching row for each of `ids`."""
    for id in ids:
        yield database.rows(
            "SELECT h.id, h.name, coalesce(h.normal, h.name), n.location "
            "FROM holdings h CROSS JOIN nodes n USING (node) "
            f"WHERE h.id = ? AND {conditions} LIMIT 1",  # nosec B608  # they hold no value
            [key_of(id), *values],
        )


def rows_of_nodes(
    database: Database, name: str | None, unwanted: Callable[[], Collection[str]] = _nobody
) -> Rows:
    """Returns the rows of the nodes with that name, or of all nodes if it is None."""
    for node, location in database.rows(
        "SELECT node, location FROM nodes "
        "WHERE location IS NOT NULL AND normal = coalesce(?, normal)",
        (name,),
    ):
        last = 0
        while host_of(location) not in unwanted() and (
            rows := database.rows(
                "SELECT id, name, coalesce(normal, name), holding, partial FROM holdings "
                "WHERE node = ? AND holding > ? ORDER BY holding LIMIT ?",
                (node, last, SCAN_SLICE),
            )
        ):
            last = rows[-1][3]
            yield [
                (key, name, normal, location)
                for key, name, normal, _, partial in rows
                if partial in (0, SPARE)
            ]
