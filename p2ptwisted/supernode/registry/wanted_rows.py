"""
The rows that a node's list makes: one for each resource, and one for each other name that
the resource has there.
"""

from collections.abc import Iterator, Sequence
from enum import Enum, auto

from p2ptwisted.errors import InvalidInput
from p2ptwisted.model import NAMES_MAX, OTHER_NAMES_MAX, SUPERNODE_ID, ResourceInfo, parse_id
from p2ptwisted.supernode.registry.schema import OTHER_NAME, SPARE, Key, key_of
from p2ptwisted.support.file_names import normal_form

#: Entries of a list, and names, that are looked at at a time.
LIST_SLICE = 2_000


class Stored(Enum):
    """What a row that is stored is, next to the rows that are wanted."""

    #: It is wanted as it is.
    RIGHT = auto()
    #: The same, but that its name is to be the first of its resource, or no longer.
    FIRST_NOW, OTHER_NOW = auto(), auto()
    #: Another row of the same resource takes its place.
    REPLACED = auto()
    #: The node doesn't have that resource.
    STALE = auto()


class WantedRows:
    """The rows of a node's list that are still to be stored, and what becomes of the others."""

    def __init__(self) -> None:
        #: By id and name, the size, and 1 for a part, with OTHER_NAME where the name is one.
        self._rows: dict[tuple[Key, str], tuple[int | None, int]] = {}
        #: The same of each id's first name.
        self._firsts: dict[Key, tuple[int | None, int]] = {}
        #: How many other names an id has, and all have together.
        self._counts: dict[Key, int] = {}
        self._others = 0

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, resources: Sequence[ResourceInfo]) -> Iterator[None]:
        """
        Add the rows for these resources, in slices. Raises InvalidInput.

        Of an id that comes twice the first entry counts, and the others give names. Of one id
        no more than NAMES_MAX names are taken, and of all no more than OTHER_NAMES_MAX besides.
        """
        work = 0
        for resource in resources:
            key = _checked_key(resource.id)
            names: Sequence[str] = resource.other_names
            if key not in self._firsts:
                first = self._firsts[key] = resource.size, int(resource.partial)
                self._rows[key, resource.name] = first
            else:
                names = (resource.name, *names[: NAMES_MAX - 1])
            if names:
                self._add_names(key, names[:NAMES_MAX])
            work += 1 + min(len(names), NAMES_MAX)
            if work >= LIST_SLICE:
                work = 0
                yield
        yield

    def _add_names(self, key: Key, names: Sequence[str]) -> None:
        size, partial = self._firsts[key]
        count = self._counts.get(key, 0)
        for name in names:
            if count >= NAMES_MAX - 1 or self._others >= OTHER_NAMES_MAX:
                break
            if (key, name) not in self._rows:
                self._rows[key, name] = size, partial + OTHER_NAME
                count += 1
                self._others += 1
        self._counts[key] = count

    def take(self, key: Key, name: str, size: int | None, partial: int) -> Stored:
        """Say what a stored row is; if it is of use, it is no longer among those to be written."""
        known = size, partial & ~SPARE
        wanted = self._rows.get((key, name))
        if wanted is not None and (wanted[0], wanted[1] & ~OTHER_NAME) == (size, partial & 1):
            del self._rows[key, name]
            if wanted == known:
                return Stored.RIGHT
            return Stored.OTHER_NOW if wanted[1] & OTHER_NAME else Stored.FIRST_NOW
        return Stored.REPLACED if key in self._firsts else Stored.STALE

    def left(self, spare: int) -> Iterator[tuple[Key, str, str | None, int | None, int]]:
        """
        Yield what is still to be written: id, name, normal form, size, and `partial` with `spare`.

        The normal form is None if that is the name.
        """
        for (key, name), (size, partial) in self._rows.items():
            normal = normal_form(name)
            yield key, name, None if normal == name else normal, size, partial + spare


def _checked_key(id: str) -> Key:
    """Returns the key of an id that a node may hold. Raises InvalidInput."""
    id = parse_id(id)
    if id == SUPERNODE_ID:
        raise InvalidInput(f"the id {SUPERNODE_ID!r} is reserved: no node can hold it")
    return key_of(id)
