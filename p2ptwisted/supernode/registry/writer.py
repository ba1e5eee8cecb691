"""
Writes the lists of a supernode's nodes to the registry's tables, and deletes them:
only what differs, and in slices, because a list can be very long.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from p2ptwisted.errors import Unavailable
from p2ptwisted.model import NodeInfo, ResourceInfo
from p2ptwisted.supernode.registry.schema import OTHER_NAME, SPARE, Key, merge_names, range_of
from p2ptwisted.supernode.registry.wanted_rows import Stored, WantedRows
from p2ptwisted.support.file_names import normal_form
from p2ptwisted.support.round_robin import SHARE_MAX, host_of
from p2ptwisted.support.sqlite import Database

#: Nodes of one supernode; each costs a health check every sweep.
NODES_MAX = 10_000

#: Resources of all nodes together; each counts once for every node that has it, and once more for
#: every other name that it has there.
HOLDINGS_MAX = 5_000_000

#: The share of these for the nodes at one address, where addresses are bounded.
ADDRESS_NODES_MAX, ADDRESS_HOLDINGS_MAX = 1_000, 2_500_000

#: Rows, and characters of their names, written at a time: at most 10 ms, both for a name
#: of 4,096 characters and for many short ones.
WRITE_SLICE, WRITE_CHARACTERS = 100, 4_000

#: Rows read at a time.
READ_SLICE = 2_000

#: A file's name, and the values of a statement that writes or deletes its row.
_NamedValues = tuple[str, tuple[object, ...]]

_T = TypeVar("_T")


class RegistryWriter:
    """Writes each node's row and the rows of what it holds."""

    def __init__(self, database: Database) -> None:
        self._db = database
        #: How often any node was seen; a node's `seen` is the count at its last time.
        self._counter = 0
        #: Whether there may be holdings that are SPARE.
        self.has_spare = False

    def open(self) -> list[int]:
        """Returns the rows of nodes that were removed and whose lists are still to be deleted."""
        ((self._counter,),) = self._db.rows("SELECT coalesce(max(seen), 0) FROM nodes")
        # An earlier run may have left some.
        self.has_spare = self._counter > 0
        rows = self._db.rows("SELECT node FROM nodes WHERE location IS NULL")
        return [node for (node,) in rows]

    def seen(self, location: str) -> bool:
        """Make the node at `location` the most recently seen; returns False if there is none."""
        self._counter += 1
        changed = self._db.change(
            "UPDATE nodes SET seen = ? WHERE location = ?", (self._counter, location)
        )
        return changed > 0

    def replace(
        self, node: NodeInfo, resources: Sequence[ResourceInfo], bounded: bool
    ) -> Iterator[None]:
        """
        Replace what is stored for the node by this list, in slices.

        `bounded`: with the limits for one address, too. Raises InvalidInput and Unavailable.
        """
        wanted = WantedRows()
        yield from wanted.read(resources)
        count = len(wanted)
        row = self._upsert(node, count, bounded)
        # What other rows of the same resource take the place of goes when they are there: there is
        # no moment in which the resource isn't found.
        replaced: list[_NamedValues] = []
        other_now: list[int] = []
        for rows in self._rows_of(row):
            stale: list[_NamedValues] = []
            first_now: list[int] = []
            for holding, key, name, size, partial in rows:
                match wanted.take(key, name, size, partial):
                    case Stored.STALE:
                        stale.append((name, (holding,)))
                    case Stored.REPLACED:
                        replaced.append((name, (holding,)))
                    case Stored.FIRST_NOW:
                        first_now.append(holding)
                    case Stored.OTHER_NOW:
                        other_now.append(holding)
            yield from self._mark(first_now, -OTHER_NAME)
            yield from self._delete(stale)
        spare = SPARE if self._is_spare(row, node.location) else 0
        yield from self._write(
            "INSERT INTO holdings (node, id, name, normal, size, partial) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            # What is indexed is the normal form.
            ((one[2] or one[1], (row, *one)) for one in wanted.left(spare)),
        )
        yield from self._mark(other_now, OTHER_NAME)
        yield from self._delete(replaced)
        self._db.change("UPDATE nodes SET held = ? WHERE node = ?", (count, row))

    def hide(self, location: str) -> list[int]:
        """
        Hide the node at `location` from all searches.

        Returns its row, if there is one, which the caller has to delete.
        """
        # What it held is deleted in slices; without a location it is not found meanwhile.
        rows = self._db.rows(
            "UPDATE nodes SET location = NULL WHERE location = ? RETURNING node", (location,)
        )
        return [node for (node,) in rows]

    def delete(self, node: int) -> Iterator[None]:
        """Delete what the removed node at that row held, then the row itself, in slices."""
        for rows in self._rows_of(node):
            yield from self._delete([(name, (holding,)) for holding, _, name, _, _ in rows])
        self._db.change("DELETE FROM nodes WHERE node = ?", (node,))

    # -- rows

    def _upsert(self, node: NodeInfo, count: int, bounded: bool) -> int:
        """Returns the node's row, with room for `count` holdings. Raises Unavailable."""
        known = self._db.rows("SELECT held FROM nodes WHERE location = ?", (node.location,))
        more = count - known[0][0] if known else count
        if more > 0 or not known:
            self._check_room(node.location, 0 if known else 1, more, bounded)
        if not self.seen(node.location):
            self._db.change(
                "INSERT INTO nodes (location, name, normal, seen, held) VALUES (?, '', '', ?, 0)",
                (node.location, self._counter),
            )
        ((row,),) = self._db.rows(
            # Until the new list is written there can be as many holdings as before.
            "UPDATE nodes SET name = ?, normal = ?, held = max(held, ?) WHERE location = ? "
            "RETURNING node",
            (node.name, normal_form(node.name), count, node.location),
        )
        return int(row)

    def _check_room(self, location: str, nodes: int, holdings: int, bounded: bool) -> None:
        """Raises Unavailable if so many more nodes and holdings are too many."""
        ((here, held),) = self._db.rows("SELECT count(location), total(held) FROM nodes")
        if here + nodes > NODES_MAX:
            raise Unavailable(f"this supernode has {here} nodes and takes no more")
        if held + holdings > HOLDINGS_MAX:
            raise Unavailable(f"this supernode takes no more than {HOLDINGS_MAX} resources")
        if not bounded:
            return
        host = host_of(location)
        ((here, held),) = self._db.rows(
            "SELECT count(*), total(held) FROM nodes WHERE location > ? AND location < ?",
            range_of(host),
        )
        if here + nodes > ADDRESS_NODES_MAX:
            raise Unavailable(f"{host} has {here} nodes here, and may have no more")
        if held + holdings > ADDRESS_HOLDINGS_MAX:
            raise Unavailable(f"{host} may have no more than {ADDRESS_HOLDINGS_MAX} resources here")

    def _is_spare(self, row: int, location: str) -> bool:
        """Whether SHARE_MAX older nodes have the node's address, so that its holdings are SPARE."""
        ((older,),) = self._db.rows(
            "SELECT count(*) FROM (SELECT 1 FROM nodes "
            "WHERE location > ? AND location < ? AND node < ? LIMIT ?)",
            (*range_of(host_of(location)), row, SHARE_MAX),
        )
        is_spare: bool = older >= SHARE_MAX
        self.has_spare = self.has_spare or is_spare
        return is_spare

    def _rows_of(self, node: int) -> Iterator[list[tuple[int, Key, str, int | None, int]]]:
        last = 0
        while rows := self._db.rows(
            "SELECT holding, id, name, size, partial FROM holdings "
            "WHERE node = ? AND holding > ? ORDER BY holding LIMIT ?",
            (node, last, READ_SLICE),
        ):
            yield rows
            last = rows[-1][0]

    def _mark(self, holdings: Sequence[int], mark: int) -> Iterator[None]:
        """Add `mark` to `partial` in these rows, in slices."""
        for part in slices(holdings, WRITE_SLICE):
            self._db.change_many(
                "UPDATE holdings SET partial = partial + ? WHERE holding = ?",
                [(mark, holding) for holding in part],
            )
            yield

    def _delete(self, rows: Sequence[_NamedValues]) -> Iterator[None]:
        yield from self._write("DELETE FROM holdings WHERE holding = ?", rows)

    def _write(self, statement: str, rows: Iterable[_NamedValues]) -> Iterator[None]:
        for part in _write_slices(rows):
            self._db.change_many(statement, part)
            yield
            merge_names(self._db)
            yield
        yield


def _write_slices(rows: Iterable[_NamedValues]) -> Iterator[list[tuple[object, ...]]]:
    """Cut into slices by the length of the names: they take longest, because they are indexed."""
    part: list[tuple[object, ...]] = []
    characters = 0
    for name, values in rows:
        if part and (len(part) >= WRITE_SLICE or characters + len(name) > WRITE_CHARACTERS):
            yield part
            part, characters = [], 0
        part.append(values)
        characters += len(name)
    if part:
        yield part


def slices(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    """Cut into slices of `size` items; the last may be shorter."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
