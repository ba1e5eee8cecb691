"""
The list of a library's resources: each id once, however many files have its content. Pure.

Whatever names come to an id and go from it, it stays in the list while it has one.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence

from p2ptwisted.model import NAMES_MAX, ResourceInfo


class ResourceList:
    """Resources by id, with the names of their files."""

    def __init__(self) -> None:
        #: By id, the names of all files with this content, sorted.
        self._names: dict[str, list[str]] = {}
        self._resources: dict[str, ResourceInfo] = {}
        #: First names and ids, sorted, for a sort of them all would take too long.
        self._order: list[tuple[str, str]] = []

    def __len__(self) -> int:
        return len(self._resources)

    def all(self) -> list[ResourceInfo]:
        """Return all resources, in the order of their first names."""
        return [self._resources[id] for _, id in self._order]

    def get(self, id: str) -> ResourceInfo | None:
        """Return the resource with this id; it tells at most NAMES_MAX of its names."""
        return self._resources.get(id)

    def names(self, id: str) -> Sequence[str]:
        """Return all its names, sorted; none if it isn't listed."""
        return self._names.get(id, ())

    def add(self, name: str, id: str, size: int) -> None:
        """List a file of that content."""
        insort(self._names.setdefault(id, []), name)
        self._list(id, size)

    def remove(self, name: str, id: str) -> None:
        """Forget a file of that content, which is listed."""
        names = self._names[id]
        del names[bisect_left(names, name)]
        self._list(id, self._resources[id].size)

    def _list(self, id: str, size: int | None) -> None:
        before = self._resources.get(id)
        names = self._names[id]
        first = names[0] if names else None
        if before is not None and before.name != first:
            del self._order[bisect_left(self._order, (before.name, id))]
        if first is None:
            del self._names[id], self._resources[id]
            return
        if before is None or before.name != first:
            insort(self._order, (first, id))
        self._resources[id] = ResourceInfo(id, first, size, other_names=tuple(names[1:NAMES_MAX]))
