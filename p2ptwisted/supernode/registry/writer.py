"""
The lists of a supernode's nodes, as they are written to the registry's tables and
deleted from them: only what differs, in slices, for a list can be very long.
"""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from p2ptwisted.errors import InvalidInput, Unavailable
from p2ptwisted.model import SUPERNODE_ID, NodeInfo, ResourceInfo, parse_id
from p2ptwisted.supernode.registry.schema import SPARE, Key, key_of, merge_names, range_of
from p2ptwisted.support.round_robin import SHARE_MAX, host_of
from p2ptwisted.support.sqlite import Database

#: Nodes of one supernode; each costs a health check every sweep.
NODES_MAX = 10_000

#: Resources of all nodes together, each counted once for every node that has it.
HOLDINGS_MAX = 5_000_000

#: What the nodes at one address may have of these, where an address is bounded.
ADDRESS_NODES_MAX, ADDRESS_HOLDINGS_MAX = 1_000, 2_500_000

#: Rows, and characters of their names, that are written at a time: at most 10 ms, for a
#: name of 4,096 characters as for many short ones.
WRITE_SLICE, WRITE_CHARACTERS = 100, 4_000

#: Rows read at a time.
READ_SLICE = 2_000

#: A name, and the values of a statement about the row that has it.
_Named = tuple[str, tuple[object, ...]]

_T = TypeVar("_T")


class RegistryWriter:
    """Each node's row, and those of what it holds."""

    def __init__(self, database: Database) -> None:
        self._db = database
        #: How often any node was seen; each has the number of the last time.
        self._counter = 0
        #: Whether there may be holdings that are SPARE.
        self.has_spare = False

    def open(self) -> list[int]:
        """The rows of nodes that were removed, and whose lists are still to be deleted."""
        ((self._counter,),) = self._db.rows("SELECT coalesce(max(seen), 0) FROM nodes")
        # Of those of an earlier run, nobody knows.
        self.has_spare = self._counter > 0
        rows = self._db.rows("SELECT node FROM nodes WHERE location IS NULL")
        return [node for (node,) in rows]

    def seen(self, location: str) -> bool:
        """The node there is the one that was seen last; whether there is one."""
        self._counter += 1
        changed = self._db.change(
            "UPDATE nodes SET seen = ? WHERE location = ?", (self._counter, location)
        )
        return changed > 0

    def replace(
        self, node: NodeInfo, resources: Sequence[ResourceInfo], bounded: bool
    ) -> Iterator[None]:
        """Turn what is stored for the node into this list. Raises InvalidInput, Unavailable."""
        wanted: dict[Key, ResourceInfo] = {}
        for some in slices(resources, READ_SLICE):
            for resource in some:
                wanted.setdefault(_checked_key(resource.id), resource)
            yield
        count = len(wanted)
        row = self._upsert(node, count, bounded)
        for rows in self._rows_of(row):
            stale = []
            for holding, key, name, size, partial in rows:
                same = wanted.get(key)
                known = name, size, partial % SPARE == 1
                if same is not None and (same.name, same.size, same.partial) == known:
                    del wanted[key]
                else:
                    stale.append((name, (holding,)))
            yield from self._delete(stale)
        spare = SPARE if self._is_spare(row, node.location) else 0
        added = [
            (resource.name, (row, key, resource.name, resource.size, resource.partial + spare))
            for key, resource in wanted.items()
        ]
        yield from self._write(
            "INSERT INTO holdings (node, id, name, size, partial) VALUES (?, ?, ?, ?, ?)", added
        )
        self._db.change("UPDATE nodes SET held = ? WHERE node = ?", (count, row))

    def hide(self, location: str) -> list[int]:
        """Have no search see the node there any more; its row, if any, is to be deleted."""
        # What it held goes in slices; without a location it is not found meanwhile.
        rows = self._db.rows(
            "UPDATE nodes SET location = NULL WHERE location = ? RETURNING node", (location,)
        )
        return [node for (node,) in rows]

    def delete(self, node: int) -> Iterator[None]:
        """Delete what a removed node held, then its row."""
        for rows in self._rows_of(node):
            yield from self._delete([(name, (holding,)) for holding, _, name, _, _ in rows])
        self._db.change("DELETE FROM nodes WHERE node = ?", (node,))

    # -- bits

    def _upsert(self, node: NodeInfo, count: int, bounded: bool) -> int:
        """The node's row, which may come to have so many holdings. Raises Unavailable."""
        known = self._db.rows("SELECT held FROM nodes WHERE location = ?", (node.location,))
        more = count - known[0][0] if known else count
        if more > 0 or not known:
            self._check_room(node.location, 0 if known else 1, more, bounded)
        if not self.seen(node.location):
            self._db.change(
                "INSERT INTO nodes (location, name, seen, held) VALUES (?, ?, ?, 0)",
                (node.location, node.name, self._counter),
            )
        ((row,),) = self._db.rows(
            # Until it is written there can be as many as before.
            "UPDATE nodes SET name = ?, held = max(held, ?) WHERE location = ? RETURNING node",
            (node.name, count, node.location),
        )
        return int(row)

    def _check_room(self, location: str, nodes: int, holdings: int, bounded: bool) -> None:
        """Raises Unavailable where there can't be so many more."""
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
        """Whether as many nodes as an address may have among the first were there before it."""
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

    def _delete(self, rows: Sequence[_Named]) -> Iterator[None]:
        yield from self._write("DELETE FROM holdings WHERE holding = ?", rows)

    def _write(self, statement: str, rows: Sequence[_Named]) -> Iterator[None]:
        for some in _written_together(rows):
            self._db.change_many(statement, some)
            yield
            merge_names(self._db)
            yield
        yield


def _written_together(rows: Sequence[_Named]) -> Iterator[list[tuple[object, ...]]]:
    """These in slices: it is the names that take long, for they are indexed."""
    some: list[tuple[object, ...]] = []
    characters = 0
    for name, values in rows:
        if some and (len(some) >= WRITE_SLICE or characters + len(name) > WRITE_CHARACTERS):
            yield some
            some, characters = [], 0
        some.append(values)
        characters += len(name)
    if some:
        yield some


def slices(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    """These, so many at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _checked_key(id: str) -> Key:
    id = parse_id(id)
    if id == SUPERNODE_ID:
        raise InvalidInput(f"the id {SUPERNODE_ID!r} is reserved: no node can hold it")
    return key_of(id)
