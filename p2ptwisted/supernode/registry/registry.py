"""
The registry of a supernode: which node holds which resource. An SQLite
database, called straight from the reactor.

It is soft state: a crash may lose it, for the nodes tell it again. What takes
long (a large list, the removal of a large node) is done in slices, between
which other requests are answered. `registry_lists` has what writes, `finding`
the searches by name, `registry_tables` the tables.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.task import CooperativeTask, Cooperator, TaskStopped
from twisted.python.failure import Failure
from zope.interface import implementer

from p2ptwisted.errors import Unavailable
from p2ptwisted.interfaces import IRegistry
from p2ptwisted.model import SIZE_MAX, HeldFile, Holders, Holding, NodeInfo, ResourceInfo
from p2ptwisted.supernode.registry.name_search import Found, find
from p2ptwisted.supernode.registry.schema import SCHEMA, SPARE, Key, id_of, key_of
from p2ptwisted.supernode.registry.writer import RegistryWriter, slices
from p2ptwisted.support.lifecycle import run
from p2ptwisted.support.round_robin import host_of, in_turns, share_of
from p2ptwisted.support.sqlite import Database

#: Locations of one resource in an answer; and of all resources in one, that is looked up
#: at once, or in slices as after a search by name.
LOCATIONS_MAX, ANSWER_MAX, FOUND_ANSWER_MAX = 1_000, 3_000, 10_000

#: Searches by name that are under way at once.
FINDS_MAX = 16

#: Holdings that are looked up at a time for the answer to a search by name.
FIND_SLICE = 25

#: Rows that are read at a time where those of a few addresses come before all others; one
#: address has no more than SHARE_MAX that are not spare. And rows that are read in all, which
#: take about a millisecond: they are more than those of 31 such addresses.
HOLDERS_SLICE, ROWS_MAX = 256, 1_000

#: When its node was seen, key, name, size, location, and its own number.
_Row = tuple[int, Key, str, int | None, str, int]

_COLUMNS = "SELECT n.seen, h.id, h.name, h.size, n.location, h.holding"

#: More than the number of any row.
_END = SIZE_MAX

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
        self._lists = RegistryWriter(database)
        #: Searches by name that are under way.
        self._finding = 0

    def open(self) -> None:
        """Raises StartError."""
        self._db.open()
        for node in self._lists.open():
            run(self._cooperator, self._lists.delete(node))

    def close(self) -> None:
        """Close the database; work that is under way is finished when it is opened again."""
        self._cooperator.stop()
        self._db.close()

    def register(
        self, node: NodeInfo, resources: Sequence[ResourceInfo], bounded: bool = False
    ) -> Deferred[None]:
        self._stop_writing(node.location)
        task = self._cooperator.cooperate(self._lists.replace(node, resources, bounded))
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
        return self._lists.seen(location)

    def remove(self, location: str) -> bool:
        # Also before its first slice, when there is no row yet.
        was_writing = self._stop_writing(location)
        nodes = self._lists.hide(location)
        for node in nodes:
            run(self._cooperator, self._lists.delete(node))
        return was_writing or bool(nodes)

    def nodes(self) -> list[NodeInfo]:
        rows = self._db.rows(
            "SELECT name, location FROM nodes WHERE location IS NOT NULL ORDER BY node"
        )
        return [NodeInfo(name, location) for name, location in rows]

    def holdings(self, ids: Sequence[str], most: int = LOCATIONS_MAX) -> list[Holding]:
        share = min(most, LOCATIONS_MAX, max(1, ANSWER_MAX // max(1, len(ids))))
        return self._holdings([key_of(id) for id in ids], share)

    def holders(self, id: str) -> Holders:
        key = key_of(id)
        whole, partial = (
            sorted(self._newest(key, LOCATIONS_MAX, partial), key=_seen, reverse=True)
            for partial in (0, 1)
        )
        both = sorted([*whole, *partial], key=_seen, reverse=True) if partial else whole
        return Holders(
            id,
            in_turns([row[4] for row in whole], LOCATIONS_MAX),
            in_turns([row[4] for row in partial], LOCATIONS_MAX),
            both[0][2] if both else None,
            next((row[3] for row in both if row[3] is not None), None),
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
        for keys in slices(list(found), size):
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
        for _, key, name, size, location, _ in sorted(rows, key=_seen, reverse=True):
            holding = found.get(key)
            if holding is None:
                file = HeldFile(location, [location], name, UNSET if size is None else size)
                found[key] = Holding(id_of(key), file)
                continue
            holding.file.locations.append(location)
            if file_name is not None and _likeness(name, file_name) > _likeness(
                str(holding.file.name), file_name
            ):
                file = msgspec.structs.replace(holding.file, name=name)
                found[key] = Holding(holding.id, file)
        for holding in found.values():
            locations = holding.file.locations
            if len(locations) > 1:
                locations[:] = in_turns(locations, LOCATIONS_MAX)
        return [found[key] for key in dict.fromkeys(keys) if key in found]

    def _rows_with(self, keys: Sequence[Key], share: int, node_name: str | None) -> list[_Row]:
        """All rows that have these; where they are too many, of each the last to come."""
        if len(keys) > 1:
            unlike = dict.fromkeys(keys)
            most = share * len(unlike)
            named, names = _named(node_name)
            # What is put into the statements is written here, and question marks: values are bound.
            rows: list[_Row] = self._db.rows(
                # Not `IN`, for which SQLite sorts the ids into an index of their own first.
                f"{_COLUMNS} FROM (VALUES {','.join(['(?)'] * len(unlike))}) w "
                "CROSS JOIN holdings h ON h.id = w.column1 CROSS JOIN nodes n USING (node) "
                f"WHERE h.partial IN (0, {SPARE}) AND n.location IS NOT NULL {named} LIMIT ?",
                [*unlike, *names, most + 1],
            )
            if len(rows) <= most:
                return rows
        unlike = dict.fromkeys(keys)
        return [row for key in unlike for row in self._newest(key, share, 0, node_name)]

    def _newest(
        self, key: Key, most: int, partial: int, node_name: str | None = None
    ) -> list[_Row]:
        """
        The last rows to come that have this, at most `most`, and of one address its share.

        Where some addresses have many, what came before is read until there are enough others.
        """
        named, names = _named(node_name)
        statement = (
            f"{_COLUMNS} FROM holdings h CROSS JOIN nodes n USING (node) "
            f"WHERE h.id = ? AND h.partial = ? AND n.location IS NOT NULL {named} "
            "AND h.holding < ? ORDER BY h.holding DESC LIMIT ?"
        )
        values = [key, partial, *names, _END, most]
        rows: list[_Row] = self._db.rows(statement, values)
        spare: list[_Row] = []
        if self._lists.has_spare:
            spare = self._db.rows(statement, [key, partial + SPARE, *names, _END, most])
        share, size = share_of(most), most
        if len(rows) + len(spare) <= share:
            return rows + spare
        #: The first row of each address, the second of each, and so on.
        turns: list[list[_Row]] = [[] for _ in range(share)]
        counts: dict[str, int] = {}
        read = 0
        while True:
            _take(rows, turns, counts)
            read += len(rows)
            if len(turns[0]) >= most or len(rows) < size or read >= ROWS_MAX:
                break
            size = HOLDERS_SLICE
            rows = self._db.rows(statement, [*values[:-2], rows[-1][5], size])
        _take(spare, turns, counts)
        return list(chain.from_iterable(turns))[:most]


def _take(rows: Sequence[_Row], turns: list[list[_Row]], counts: dict[str, int]) -> None:
    """Add each row to its address's next turn, while it has one; `counts` has each one's."""
    for row in rows:
        host = host_of(row[4])
        turn = counts.get(host, 0)
        if turn < len(turns):
            counts[host] = turn + 1
            turns[turn].append(row)


def _named(node_name: str | None) -> tuple[str, list[str]]:
    """A condition on a node's name, and its values."""
    return ("", []) if node_name is None else ("AND n.name = ?", [node_name])
