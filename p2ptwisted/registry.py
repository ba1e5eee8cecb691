"""
The registry of a supernode: which node holds which resource. An SQLite
database, called straight from the reactor.

It is soft state: a crash may lose it, for the nodes tell it again. What takes
long (a large list, the removal of a large node) is done in slices, between
which other requests are answered.
"""

from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.task import CooperativeTask, Cooperator, TaskStopped
from twisted.python.failure import Failure
from zope.interface import implementer

from p2ptwisted.database import Database
from p2ptwisted.errors import InvalidInput, Unavailable
from p2ptwisted.finding import Found, find
from p2ptwisted.interfaces import IRegistry
from p2ptwisted.model import (
    SUPERNODE_ID,
    HeldFile,
    Holders,
    Holding,
    Node,
    Resource,
    parse_id,
)
from p2ptwisted.registry_tables import SCHEMA, Key, id_of, key_of, merge_names
from p2ptwisted.services import run

#: Nodes of one supernode; each costs a health check every sweep.
NODES_MAX = 10_000

#: Resources of all nodes together, each counted once for every node that has it.
HOLDINGS_MAX = 5_000_000

#: What the nodes at one address may have of these, where an address is bounded.
ADDRESS_NODES_MAX, ADDRESS_HOLDINGS_MAX = 1_000, 2_500_000

#: Locations of one resource in an answer; and of all resources in one, that is looked up
#: at once, or in slices as after a search by name.
LOCATIONS_MAX, ANSWER_MAX, FOUND_ANSWER_MAX = 1_000, 3_000, 10_000

#: Searches by name that are under way at once.
FINDS_MAX = 16

#: Holdings that are looked up at a time for the answer to a search by name.
FIND_SLICE = 25

#: Rows, and characters of their names, that are written at a time: at most 10 ms, for a
#: name of 4,096 characters as for many short ones.
WRITE_SLICE, WRITE_CHARACTERS = 100, 4_000

#: Rows read at a time.
READ_SLICE = 2_000

_T = TypeVar("_T")

#: When its node was seen, key, name, size, location.
_Row = tuple[int, Key, str, int | None, str]

#: A name, and the values of a statement about the row that has it.
_Named = tuple[str, tuple[object, ...]]

_seen = itemgetter(0)


def _likeness(name: str, wanted: str) -> int:
    if wanted in (name, name.rpartition("/")[2]):
        return 2
    return int(wanted.casefold() in name.casefold())


def make_registry(cooperator: Cooperator, state: Path | None) -> "Registry":
    """The registry in the folder `state`, or in memory; to be opened."""
    return Registry(cooperator, Database(state, "registry", SCHEMA))


@implementer(IRegistry)
class Registry:
    """An IRegistry in an SQLite database."""

    def __init__(self, cooperator: Cooperator, database: Database) -> None:
        self._cooperator = cooperator
        self._db = database
        #: By location, the list that is being written now.
        self._writing: dict[str, CooperativeTask[Iterator[None]]] = {}
        self._counter = 0
        #: Searches by name that are under way.
        self._finding = 0

    def open(self) -> None:
        """Raises StartError."""
        self._db.open()
        ((self._counter,),) = self._db.rows("SELECT coalesce(max(seen), 0) FROM nodes")
        for (node,) in self._db.rows("SELECT node FROM nodes WHERE location IS NULL"):
            run(self._cooperator, self._delete_holdings(node))

    def close(self) -> None:
        """Close the database; work that is under way is finished when it is opened again."""
        self._cooperator.stop()
        self._db.close()

    def register(
        self, node: Node, resources: Sequence[Resource], bounded: bool = False
    ) -> Deferred[None]:
        self._stop_writing(node.location)
        task = self._cooperator.cooperate(self._replace(node, resources, bounded))
        self._writing[node.location] = task

        def written(result: object) -> Failure | None:
            if self._writing.get(node.location) is task:
                del self._writing[node.location]
            if isinstance(result, Failure):
                if result.check(CancelledError):
                    # Nobody waits for it: who gave it has gone, and will register again.
                    task.stop()
                    return result
                # A newer list, or a goodbye, has taken the place of this one.
                result.trap(TaskStopped)
            return None

        done: Deferred[None] = task.whenDone().addBoth(written)
        return done

    def _stop_writing(self, location: str) -> bool:
        task = self._writing.pop(location, None)
        if task is not None:
            task.stop()
        return task is not None

    def seen(self, location: str) -> bool:
        self._counter += 1
        changed = self._db.change(
            "UPDATE nodes SET seen = ? WHERE location = ?", (self._counter, location)
        )
        return changed > 0

    def remove(self, location: str) -> bool:
        # Also before its first slice, when there is no row yet.
        was_writing = self._stop_writing(location)
        nodes = self._db.rows("SELECT node FROM nodes WHERE location = ?", (location,))
        for node in nodes:
            # Without a location no search sees it; what it held goes in slices.
            self._db.change("UPDATE nodes SET location = NULL WHERE node = ?", node)
            run(self._cooperator, self._delete_holdings(*node))
        return was_writing or bool(nodes)

    def nodes(self) -> list[Node]:
        rows = self._db.rows(
            "SELECT name, location FROM nodes WHERE location IS NOT NULL ORDER BY node"
        )
        return [Node(name, location) for name, location in rows]

    def holdings(self, ids: Sequence[str], most: int = LOCATIONS_MAX) -> list[Holding]:
        share = min(most, LOCATIONS_MAX, max(1, ANSWER_MAX // max(1, len(ids))))
        return self._holdings([key_of(id) for id in ids], share)

    def holders(self, id: str) -> Holders:
        key = key_of(id)
        whole, partial = (
            sorted(
                self._db.rows(
                    "SELECT n.seen, h.name, h.size, n.location "
                    "FROM holdings h CROSS JOIN nodes n USING (node) "
                    "WHERE h.id = ? AND h.partial = ? AND n.location IS NOT NULL "
                    "ORDER BY h.holding DESC LIMIT ?",
                    (key, partial, LOCATIONS_MAX),
                ),
                key=_seen,
                reverse=True,
            )
            for partial in (0, 1)
        )
        both = sorted([*whole, *partial], key=_seen, reverse=True) if partial else whole
        return Holders(
            id,
            [location for _, _, _, location in whole],
            [location for _, _, _, location in partial],
            both[0][1] if both else None,
            next((size for _, _, size, _ in both if size is not None), None),
        )

    def find(
        self,
        file_name: str | None = None,
        node_name: str | None = None,
        ids: Sequence[str] | None = None,
    ) -> Deferred[list[Holding]]:
        if self._finding >= FINDS_MAX:
            return fail(Unavailable("many searches by name are under way: try again in a moment"))
        self._finding += 1
        holdings: list[Holding] = []
        task = self._cooperator.cooperate(self._find(holdings, file_name, node_name, ids))

        def found(result: object) -> Any:
            self._finding -= 1
            if not isinstance(result, Failure):
                return holdings
            if result.check(CancelledError):
                # Nobody waits for it any more.
                task.stop()
            return result

        return task.whenDone().addBoth(found)

    # -- searching

    def _find(
        self,
        holdings: list[Holding],
        file_name: str | None,
        node_name: str | None,
        ids: Sequence[str] | None,
    ) -> Iterator[None]:
        found: Found = {}
        yield from find(self._db, found, file_name, node_name, ids)
        share = min(LOCATIONS_MAX, FOUND_ANSWER_MAX // max(1, len(found)))
        # Nodes of another name have to be gone through, and can be many.
        size = FIND_SLICE if node_name is None else 1
        for keys in _slices(list(found), size):
            for holding in self._holdings(keys, share, node_name, file_name):
                if file_name is not None and not _likeness(str(holding.file.name), file_name):
                    holding = self._renamed(holding, found[key_of(holding.id)])
                holdings.append(holding)
            yield

    def _renamed(self, holding: Holding, row: int) -> Holding:
        """The same by the name that was found, of a holder that is not among those told."""
        for (name,) in self._db.rows("SELECT name FROM holdings WHERE holding = ?", (row,)):
            file = msgspec.structs.replace(holding.file, name=name)
            return msgspec.structs.replace(holding, file=file)
        return holding

    def _holdings(
        self,
        keys: Sequence[Key],
        share: int,
        node_name: str | None = None,
        file_name: str | None = None,
    ) -> list[Holding]:
        """
        The holdings of these, with at most `share` locations each where they have many.

        Of the names that one resource has, the one most like `file_name`, then the newest.
        """
        rows = self._rows_with(keys, share, node_name)
        found: dict[Key, Holding] = {}
        for _, key, name, size, location in sorted(rows, key=_seen, reverse=True):
            holding = found.get(key)
            if holding is None:
                file = HeldFile(location, [location], name, UNSET if size is None else size)
                found[key] = Holding(id_of(key), file)
                continue
            if len(holding.file.locations) < LOCATIONS_MAX:
                holding.file.locations.append(location)
            if file_name is not None and _likeness(name, file_name) > _likeness(
                str(holding.file.name), file_name
            ):
                file = msgspec.structs.replace(holding.file, name=name)
                found[key] = Holding(holding.id, file)
        return [found[key] for key in dict.fromkeys(keys) if key in found]

    def _rows_with(self, keys: Sequence[Key], share: int, node_name: str | None) -> list[_Row]:
        """All rows that have these; where they are too many, of each the last to come."""
        named, names = ("", []) if node_name is None else ("AND n.name = ?", [node_name])
        rest = f"JOIN nodes n USING (node) WHERE h.partial = 0 AND n.location IS NOT NULL {named} "
        if len(keys) > 1:
            unlike = dict.fromkeys(keys)
            most = share * len(unlike)
            rows: list[_Row] = self._db.rows(
                # Not `IN`, for which SQLite sorts the ids into an index of their own first.
                "SELECT n.seen, h.id, h.name, h.size, n.location "
                f"FROM (VALUES {','.join(['(?)'] * len(unlike))}) w "
                f"CROSS JOIN holdings h ON h.id = w.column1 CROSS {rest} LIMIT ?",
                [*unlike, *names, most + 1],
            )
            if len(rows) <= most:
                return rows
        statement = (
            "SELECT n.seen, h.id, h.name, h.size, n.location "
            f"FROM holdings h CROSS {rest} AND h.id = ? ORDER BY h.holding DESC LIMIT ?"
        )
        return [
            row
            for key in dict.fromkeys(keys)
            for row in self._db.rows(statement, [*names, key, share])
        ]

    # -- writing, in slices

    def _replace(self, node: Node, resources: Sequence[Resource], bounded: bool) -> Iterator[None]:
        """Turn what is stored for the node into this list, touching only what differs."""
        wanted: dict[Key, Resource] = {}
        for some in _slices(resources, READ_SLICE):
            for resource in some:
                wanted.setdefault(_checked_key(resource.id), resource)
            yield
        count = len(wanted)
        row = self._upsert(node, count, bounded)
        for rows in self._rows_of(row):
            stale = []
            for holding, key, name, size, partial in rows:
                same = wanted.get(key)
                known = name, size, bool(partial)
                if same is not None and (same.name, same.size, same.partial) == known:
                    del wanted[key]
                else:
                    stale.append((name, (holding,)))
            yield from self._delete(stale)
        added = [
            (resource.name, (row, key, resource.name, resource.size, resource.partial))
            for key, resource in wanted.items()
        ]
        yield from self._write(
            "INSERT INTO holdings (node, id, name, size, partial) VALUES (?, ?, ?, ?, ?)", added
        )
        self._db.change("UPDATE nodes SET held = ? WHERE node = ?", (count, row))

    def _upsert(self, node: Node, count: int, bounded: bool) -> int:
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
        host = location.rpartition(":")[0]
        ((here, held),) = self._db.rows(
            # A colon comes after all digits, and before a semicolon.
            "SELECT count(*), total(held) FROM nodes WHERE location > ? AND location < ?",
            (f"{host}:", f"{host};"),
        )
        if here + nodes > ADDRESS_NODES_MAX:
            raise Unavailable(f"{host} has {here} nodes here, and may have no more")
        if held + holdings > ADDRESS_HOLDINGS_MAX:
            raise Unavailable(f"{host} may have no more than {ADDRESS_HOLDINGS_MAX} resources here")

    def _rows_of(self, node: int) -> Iterator[list[tuple[int, Key, str, int | None, int]]]:
        last = 0
        while rows := self._db.rows(
            "SELECT holding, id, name, size, partial FROM holdings "
            "WHERE node = ? AND holding > ? ORDER BY holding LIMIT ?",
            (node, last, READ_SLICE),
        ):
            yield rows
            last = rows[-1][0]

    def _delete_holdings(self, node: int) -> Iterator[None]:
        """Delete what a removed node held, then its row."""
        for rows in self._rows_of(node):
            yield from self._delete([(name, (holding,)) for holding, _, name, _, _ in rows])
        self._db.change("DELETE FROM nodes WHERE node = ?", (node,))

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


def _slices(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _checked_key(id: str) -> Key:
    id = parse_id(id)
    if id == SUPERNODE_ID:
        raise InvalidInput(f"the id {SUPERNODE_ID!r} is reserved: no node can hold it")
    return key_of(id)
