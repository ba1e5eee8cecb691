"""
The registry of a supernode: which node holds which resource. An SQLite
database, called straight from the reactor.

It is soft state: a crash may lose it, because the nodes register again. What takes
long (a large list, the removal of a large node) is done in slices, between which
other requests are answered. `writer` writes the tables, `holder_rows` reads who
holds an id, `name_search` and `name_parts` find ids by name, and `schema` defines the tables.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from msgspec import UNSET, UnsetType
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.task import CooperativeTask, Cooperator, TaskStopped
from twisted.python.failure import Failure
from zope.interface import implementer

from p2ptwisted.errors import Unavailable
from p2ptwisted.interfaces import IRegistry
from p2ptwisted.model import (
    PREFIX_FOUND_MAX,
    FoundPart,
    HeldFile,
    Holders,
    Holding,
    NodeInfo,
    ResourceInfo,
)
from p2ptwisted.supernode.registry.holder_rows import HolderRows, Row
from p2ptwisted.supernode.registry.name_parts import NamePart
from p2ptwisted.supernode.registry.name_search import Found, find
from p2ptwisted.supernode.registry.schema import SCHEMA, Key, id_of, key_of
from p2ptwisted.supernode.registry.told_names import NAMES_LENGTH_MAX, told_names
from p2ptwisted.supernode.registry.writer import RegistryWriter, slices
from p2ptwisted.support.file_names import likeness, normal_form
from p2ptwisted.support.lifecycle import run
from p2ptwisted.support.round_robin import in_turns
from p2ptwisted.support.sqlite import Database

#: Locations of one resource in an answer; of all resources in an answer that is looked up at
#: once; and of all in one that is looked up in slices, as after a search by name.
LOCATIONS_MAX, ANSWER_MAX, FOUND_ANSWER_MAX = 1_000, 3_000, 10_000

#: Searches by name under way at once.
FINDS_MAX = 16

#: Holdings looked up at a time for the answer to a search by name.
FIND_SLICE = 25

_T = TypeVar("_T")


def make_registry(cooperator: Cooperator, state: Path | None) -> "Registry":
    """Returns a registry in the folder `state`, or in memory; it is still to be opened."""
    return Registry(cooperator, Database(state, "registry", SCHEMA))


@implementer(IRegistry)
class Registry:
    """An IRegistry in an SQLite database."""

    def __init__(self, cooperator: Cooperator, database: Database) -> None:
        self._cooperator = cooperator
        self._db = database
        #: By location, the task that is writing a node's list.
        self._writing: dict[str, CooperativeTask[Iterator[None]]] = {}
        self._writer = RegistryWriter(database)
        self._reader = HolderRows(database)
        #: How many searches by name are under way.
        self._finds = 0
        #: The locations of the nodes that can't be reached there.
        self._unreachable: set[str] = set()

    def open(self) -> None:
        """Open the database. Raises StartError."""
        self._db.open()
        for node in self._writer.open():
            run(self._cooperator, self._writer.delete(node))

    def close(self) -> None:
        """Close the database; work that is under way is finished when it is opened again."""
        self._cooperator.stop()
        self._db.close()

    def register(
        self, node: NodeInfo, resources: Sequence[ResourceInfo], bounded: bool = False
    ) -> Deferred[None]:
        self._stop_writing(node.location)
        task = self._cooperator.cooperate(self._writer.replace(node, resources, bounded))
        self._writing[node.location] = task

        def written(result: object) -> Failure | None:
            if self._writing.get(node.location) is task:
                del self._writing[node.location]
            if isinstance(result, Failure):
                if result.check(CancelledError):
                    # Nobody waits for it: the node that sent it has gone, and will register again.
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
        return self._writer.seen(location)

    def is_reachable(self, location: str) -> bool:
        return location not in self._unreachable

    def mark_reachable(self, location: str, reachable: bool) -> None:
        if reachable:
            self._unreachable.discard(location)
        else:
            self._unreachable.add(location)

    def _rank(self, row: Row) -> tuple[bool, int]:
        """The higher, the earlier a holder is named: by when it was last seen, if it is reached."""
        return self.is_reachable(row[4]), row[0]

    def remove(self, location: str) -> bool:
        self._unreachable.discard(location)
        # A list may be there before its first slice is written, when there is no row yet.
        was_writing = self._stop_writing(location)
        nodes = self._writer.hide(location)
        for node in nodes:
            run(self._cooperator, self._writer.delete(node))
        return was_writing or bool(nodes)

    def nodes(self) -> list[NodeInfo]:
        rows = self._db.rows(
            "SELECT name, location FROM nodes WHERE location IS NOT NULL ORDER BY node"
        )
        return [NodeInfo(name, at, self.is_reachable(at)) for name, at in rows]

    def name_of(self, location: str) -> str | None:
        for (name,) in self._db.rows("SELECT name FROM nodes WHERE location = ?", (location,)):
            return str(name)
        return None

    def holdings(self, ids: Sequence[str], most: int = LOCATIONS_MAX) -> list[Holding]:
        limit = min(most, LOCATIONS_MAX, max(1, ANSWER_MAX // max(1, len(ids))))
        keys = [key_of(id) for id in ids]
        rows = self._rows_by_key(keys, limit)
        return [_holding(key, rows[key], rows[key][0][2]) for key in rows]

    def holders(self, id: str) -> Holders:
        key = key_of(id)
        complete, partial = (
            sorted(self._newest(key, partial), key=self._rank, reverse=True) for partial in (0, 1)
        )
        both = sorted([*complete, *partial], key=self._rank, reverse=True) if partial else complete
        name, other_names = told_names([*(row[2] for row in both), *self._reader.other_names(key)])
        return Holders(
            id,
            in_turns([row[4] for row in complete], LOCATIONS_MAX),
            in_turns([row[4] for row in partial], LOCATIONS_MAX),
            name,
            next((row[3] for row in both if row[3] is not None), None),
            other_names,
        )

    def _newest(self, key: Key, partial: int) -> list[Row]:
        return self._reader.newest(key, LOCATIONS_MAX, partial, has_spare=self._writer.has_spare)

    def find(
        self,
        file_name: str | None = None,
        node_name: str | None = None,
        ids: Sequence[str] | None = None,
    ) -> Deferred[list[Holding]]:
        holdings: list[Holding] = []
        return self._searched(
            self._find(holdings, _normal(file_name), _normal(node_name), ids), lambda: holdings
        )

    def ids_beginning(self, prefix: str) -> list[str]:
        last, end = (key_of(prefix.lower().ljust(64, digit)) for digit in "0f")
        comparison, found = ">=", list[str]()
        while len(found) < PREFIX_FOUND_MAX:
            # One after the other: an id can have very many rows.
            ((key,),) = self._db.rows(
                f"SELECT min(id) FROM holdings WHERE id {comparison} ? AND id <= ?",  # nosec B608
                (last, end),
            )
            if key is None:
                break
            found.append(id_of(key))
            last, comparison = key, ">"
        return found

    def find_part(
        self, file_name: str | None, node_name: str | None, after: str
    ) -> Deferred[FoundPart]:
        holdings: list[Holding] = []
        part = NamePart(self._db, _normal(file_name), _normal(node_name), key_of(after))

        def search() -> Iterator[None]:
            yield from part.search()
            yield from self._describe(holdings, part.found, _normal(file_name), _normal(node_name))

        return self._searched(
            search(),
            lambda: FoundPart(holdings, None if part.next is None else id_of(part.next)),
        )

    def _searched(self, work: Iterator[None], result_of: Callable[[], _T]) -> Deferred[_T]:
        """Do a search in slices; fires with its result, or fails if too many are under way."""
        if self._finds >= FINDS_MAX:
            return fail(Unavailable("many searches by name are under way: try again in a moment"))
        self._finds += 1
        task = self._cooperator.cooperate(work)

        def found(result: object) -> Any:
            self._finds -= 1
            if not isinstance(result, Failure):
                return result_of()
            if result.check(CancelledError):
                # Nobody waits for it any more.
                task.stop()
            return result

        return task.whenDone().addBoth(found)

    # -- making answers

    def _find(
        self,
        holdings: list[Holding],
        file_name: str | None,
        node_name: str | None,
        ids: Sequence[str] | None,
    ) -> Iterator[None]:
        """Search in slices, and append what is found to `holdings`. Names are in normal form."""
        found: Found = {}
        yield from find(self._db, found, file_name, node_name, ids)
        yield from self._describe(holdings, found, file_name, node_name)

    def _describe(
        self,
        holdings: list[Holding],
        found: Found,
        file_name: str | None,
        node_name: str | None,
    ) -> Iterator[None]:
        """Append the holdings of what was found to `holdings`, in slices."""
        limit = min(LOCATIONS_MAX, FOUND_ANSWER_MAX // max(1, len(found)))
        share = NAMES_LENGTH_MAX // max(1, len(found))
        # Where only nodes of one name count, all others are read too, and can be many.
        size = FIND_SLICE if node_name is None else 1
        for keys in slices(list(found), size):
            for key, rows in self._rows_by_key(keys, limit, node_name).items():
                # The holder that has the name that was found may be one too many to be told.
                forms = {row[2]: row[6] for row in rows} | dict([found[key]])
                forms |= self._reader.other_names(key, node_name)
                name, other_names = _names(forms, file_name, share)
                partial = self._partial(key, limit, node_name)
                holdings.append(_holding(key, rows, name or UNSET, other_names, partial))
            yield

    def _partial(self, key: Key, limit: int, node_name: str | None) -> list[str] | UnsetType:
        """Returns the locations that have only a part of `key`, at most `limit`; unset if none."""
        rows = self._reader.newest(key, limit, 1, node_name, has_spare=self._writer.has_spare)
        rows.sort(key=self._rank, reverse=True)
        return in_turns([row[4] for row in rows], limit) or UNSET

    def _rows_by_key(
        self, keys: Sequence[Key], limit: int, node_name: str | None = None
    ) -> dict[Key, list[Row]]:
        """
        Returns the rows of each of `keys` that has some, the most recently seen first.

        Of each there are about `limit` at most.
        """
        rows = self._reader.of_keys(keys, limit, node_name, has_spare=self._writer.has_spare)
        found: dict[Key, list[Row]] = {key: [] for key in keys}
        for row in sorted(rows, key=self._rank, reverse=True):
            found[row[1]].append(row)
        return {key: rows for key, rows in found.items() if rows}


def _normal(name: str | None) -> str | None:
    return None if name is None else normal_form(name)


def _names(
    forms: dict[str, str], wanted: str | None, share: int
) -> tuple[str | None, list[str] | UnsetType]:
    """Returns what `told_names` does of these names, which are given with their normal forms."""
    if wanted is None:
        return told_names(forms, share=share)
    return told_names(forms, lambda name: likeness(forms[name], wanted), share)


def _holding(
    key: Key,
    rows: Sequence[Row],
    name: str | UnsetType,
    other_names: list[str] | UnsetType = UNSET,
    partial: list[str] | UnsetType = UNSET,
) -> Holding:
    """Returns the holding that these rows of one id are."""
    locations = [row[4] for row in rows]
    if len(locations) > 1:
        locations = in_turns(locations, LOCATIONS_MAX)
    size = UNSET if rows[0][3] is None else rows[0][3]
    file = HeldFile(locations[0], locations, name, size, other_names, partial)
    return Holding(id_of(key), file)
