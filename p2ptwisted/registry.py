"""
The registry of a supernode: which node holds which resource. An SQLite
database, called straight from the reactor.

It is soft state: a crash may lose it, for the nodes tell it again. What takes
long (a large list, the removal of a large node) is done in slices, between
which other requests are answered.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import UNSET
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import CooperativeTask, Cooperator, TaskStopped
from twisted.python.failure import Failure
from zope.interface import implementer

from p2ptwisted.database import Database
from p2ptwisted.errors import InvalidInput, Unavailable
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
from p2ptwisted.services import run

#: Nodes of one supernode; each costs a health check every sweep.
NODES_MAX = 10_000

#: Locations in one answer.
LOCATIONS_MAX = 1_000

#: Holdings in one answer to a search by name.
FOUND_MAX = 1_000

#: Rows written at a time: a slice with its name index stays well below 20 ms.
WRITE_SLICE = 200

#: Rows read at a time when a name is looked for without the index.
READ_SLICE = 10_000

#: The trigram index needs this many characters of a name.
INDEXED_LENGTH = 3

SCHEMA = """
CREATE TABLE IF NOT EXISTS nodes (
    node INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice, not even after a removal
    location TEXT UNIQUE,                   -- NULL: removed, its holdings not yet deleted
    name TEXT NOT NULL,
    seen INTEGER NOT NULL                   -- a counter: the higher, the more recently seen
);
CREATE TABLE IF NOT EXISTS holdings (
    holding INTEGER PRIMARY KEY,
    node INTEGER NOT NULL,
    id NOT NULL,                            -- a BLOB of 32 bytes for a SHA-256, else TEXT
    name TEXT NOT NULL,
    size INTEGER,
    partial INTEGER NOT NULL                -- 1: the node has only some of its pieces
);
CREATE INDEX IF NOT EXISTS holdings_by_id ON holdings (id);
CREATE INDEX IF NOT EXISTS holdings_by_node ON holdings (node);
CREATE VIRTUAL TABLE IF NOT EXISTS names USING fts5 (
    name, content='holdings', content_rowid='holding', tokenize='trigram'
);
CREATE TRIGGER IF NOT EXISTS name_added AFTER INSERT ON holdings BEGIN
    INSERT INTO names (rowid, name) VALUES (new.holding, new.name);
END;
CREATE TRIGGER IF NOT EXISTS name_removed AFTER DELETE ON holdings BEGIN
    INSERT INTO names (names, rowid, name) VALUES ('delete', old.holding, old.name);
END;
"""

_T = TypeVar("_T")

_Key = bytes | str


def _likeness(name: str, wanted: str) -> int:
    if wanted in (name, name.rpartition("/")[2]):
        return 2
    return int(wanted.casefold() in name.casefold())


def _key(id: str) -> _Key:
    """What a canonical id is stored as: half the size for a SHA-256."""
    if len(id) == 64:
        try:
            return bytes.fromhex(id)
        except ValueError:
            pass  # Another token of that length.
    return id


def _id(key: _Key) -> str:
    return key.hex() if isinstance(key, bytes) else key


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

    def register(self, node: Node, resources: Sequence[Resource]) -> Deferred[None]:
        self._stop_writing(node.location)
        task = self._cooperator.cooperate(self._replace(node, resources))
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

    def holdings(self, ids: Sequence[str]) -> list[Holding]:
        return self._holdings(ids, None)

    def holders(self, id: str) -> Holders:
        rows = self._db.rows(
            "SELECT h.name, h.size, h.partial, n.location "
            "FROM holdings h JOIN nodes n USING (node) "
            f"WHERE h.id = ? AND n.location IS NOT NULL ORDER BY n.seen DESC LIMIT {LOCATIONS_MAX}",
            (_key(id),),
        )
        return Holders(
            id,
            [location for _, _, partial, location in rows if not partial],
            [location for _, _, partial, location in rows if partial],
            rows[0][0] if rows else None,
            next((size for _, size, _, _ in rows if size is not None), None),
        )

    def find(
        self,
        file_name: str | None = None,
        node_name: str | None = None,
        ids: Sequence[str] | None = None,
    ) -> Deferred[list[Holding]]:
        found: dict[_Key, None] = {}
        searched = self._cooperator.cooperate(
            self._find_ids(found, file_name, node_name, ids)
        ).whenDone()
        return searched.addCallback(
            lambda _: self._holdings([_id(key) for key in found], node_name, file_name)
        )

    # -- searching

    def _holdings(
        self, ids: Sequence[str], node_name: str | None, file_name: str | None = None
    ) -> list[Holding]:
        """Of the names that one resource has, the one most like `file_name`, then the newest."""
        if not ids:
            return []
        keys = {_key(id): id for id in ids}
        marks = ",".join(["(?)"] * len(keys))
        named, names = ("", []) if node_name is None else ("AND n.name = ?", [node_name])
        rows = self._db.rows(
            # Not `IN`, for which SQLite sorts the ids into an index of their own first.
            "SELECT h.id, h.name, h.size, n.location "
            f"FROM (VALUES {marks}) w CROSS JOIN holdings h ON h.id = w.column1 "
            "JOIN nodes n USING (node) "
            f"WHERE NOT h.partial AND n.location IS NOT NULL {named} ORDER BY n.seen DESC",
            [*keys, *names],
        )
        found: dict[_Key, Holding] = {}
        for key, name, size, location in rows:
            holding = found.get(key)
            if holding is None:
                size = UNSET if size is None else size
                found[key] = Holding(keys[key], HeldFile(location, [location], name, size))
                continue
            if len(holding.file.locations) < LOCATIONS_MAX:
                holding.file.locations.append(location)
            if file_name is not None and _likeness(name, file_name) > _likeness(
                str(holding.file.name), file_name
            ):
                file = msgspec.structs.replace(holding.file, name=name)
                found[key] = Holding(keys[key], file)
        return [found[key] for key in keys if key in found]

    def _find_ids(
        self,
        found: dict[_Key, None],
        file_name: str | None,
        node_name: str | None,
        ids: Sequence[str] | None,
    ) -> Iterator[None]:
        """Fill `found`, a set that keeps its order, with up to FOUND_MAX ids."""
        if file_name is not None and "\0" in file_name:
            # No file has such a name, and the index's query would end there.
            return
        conditions = ["n.location IS NOT NULL", "NOT h.partial"]
        values: list[_Key] = []
        if node_name is not None:
            conditions.append("n.name = ?")
            values.append(node_name)
        if ids is not None:
            conditions.append(f"h.id IN ({','.join('?' * len(ids))})")
            values.extend(_key(id) for id in ids)
        if file_name is not None and len(file_name) < INDEXED_LENGTH:
            yield from self._scan_names(found, file_name, conditions, values)
            return
        source = "holdings h"
        if file_name is not None:
            source = "names JOIN holdings h ON h.holding = names.rowid"
            conditions.append("names MATCH ?")
            values.append('"' + file_name.replace('"', '""') + '"')
        rows = self._db.rows(
            f"SELECT DISTINCT h.id FROM {source} JOIN nodes n USING (node) "
            f"WHERE {' AND '.join(conditions)} LIMIT {FOUND_MAX}",
            values,
        )
        found.update((key, None) for (key,) in rows)
        yield

    def _scan_names(
        self,
        found: dict[_Key, None],
        part: str,
        conditions: list[str],
        values: list[_Key],
    ) -> Iterator[None]:
        """Look for a part of a name that is too short for the index."""
        ((last,),) = self._db.rows("SELECT coalesce(max(holding), 0) FROM holdings")
        for start in range(0, last, READ_SLICE):
            rows = self._db.rows(
                "SELECT DISTINCT h.id FROM holdings h JOIN nodes n USING (node) "
                f"WHERE {' AND '.join(conditions)} AND h.holding > ? AND h.holding <= ? "
                f"AND instr(lower(h.name), lower(?)) LIMIT {FOUND_MAX - len(found)}",
                [*values, start, start + READ_SLICE, part],
            )
            found.update((key, None) for (key,) in rows)
            if len(found) >= FOUND_MAX:
                return
            yield

    # -- writing, in slices

    def _replace(self, node: Node, resources: Sequence[Resource]) -> Iterator[None]:
        """Turn what is stored for the node into this list, touching only what differs."""
        wanted: dict[_Key, Resource] = {}
        for some in _slices(resources, READ_SLICE):
            for resource in some:
                wanted.setdefault(_checked_key(resource.id), resource)
            yield
        row = self._upsert(node)
        for rows in self._rows_of(row):
            stale = []
            for holding, key, name, size, partial in rows:
                same = wanted.get(key)
                known = name, size, bool(partial)
                if same is not None and (same.name, same.size, same.partial) == known:
                    del wanted[key]
                else:
                    stale.append((holding,))
            yield from self._write("DELETE FROM holdings WHERE holding = ?", stale)
        added = [
            (row, key, resource.name, resource.size, resource.partial)
            for key, resource in wanted.items()
        ]
        yield from self._write(
            "INSERT INTO holdings (node, id, name, size, partial) VALUES (?, ?, ?, ?, ?)", added
        )

    def _upsert(self, node: Node) -> int:
        if not self.seen(node.location):
            ((count,),) = self._db.rows("SELECT count(*) FROM nodes WHERE location IS NOT NULL")
            if count >= NODES_MAX:
                raise Unavailable(f"this supernode has {NODES_MAX} nodes and takes no more")
            self._db.change(
                "INSERT INTO nodes (location, name, seen) VALUES (?, ?, ?)",
                (node.location, node.name, self._counter),
            )
        ((row,),) = self._db.rows(
            "UPDATE nodes SET name = ? WHERE location = ? RETURNING node",
            (node.name, node.location),
        )
        return int(row)

    def _rows_of(self, node: int) -> Iterator[list[tuple[int, _Key, str, int | None, int]]]:
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
            holdings = [row[:1] for row in rows]
            yield from self._write("DELETE FROM holdings WHERE holding = ?", holdings)
        self._db.change("DELETE FROM nodes WHERE node = ?", (node,))

    def _write(self, statement: str, rows: Sequence[tuple[object, ...]]) -> Iterator[None]:
        for some in _slices(rows, WRITE_SLICE):
            self._db.change_many(statement, some)
            yield
        yield


def _slices(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _checked_key(id: str) -> _Key:
    id = parse_id(id)
    if id == SUPERNODE_ID:
        raise InvalidInput(f"the id {SUPERNODE_ID!r} is reserved: no node can hold it")
    return _key(id)
