"""A stand-in for a supernode where who has a file is asked: it answers as the registry does."""

from collections import Counter

from p2ptwisted.errors import UnknownNode
from p2ptwisted.model import Holders, Registration, ResourceInfo
from p2ptwisted.supernode.registry.registry import LOCATIONS_MAX


class Directory:
    """Which node has what, the most recently seen last; and who asked how often."""

    def __init__(self) -> None:
        self._lists: dict[str, dict[str, ResourceInfo]] = {}
        #: By location, how often it asked for holders, and how often for anything else.
        self.asked: Counter[str] = Counter()
        self.reported: Counter[str] = Counter()

    def register(self, registration: Registration) -> None:
        """Replace a node's list."""
        location = registration.location
        self.reported[location] += 1
        self._lists.pop(location, None)
        self._lists[location] = {one.id: one for one in registration.resources}

    def heartbeat(self, location: str) -> None:
        """Count a node as seen. Raises UnknownNode."""
        self.reported[location] += 1
        if location not in self._lists:
            raise UnknownNode(f"{location} is not listed")
        self._lists[location] = self._lists.pop(location)

    def forget(self, location: str) -> None:
        """Forget a node: it has left, or the sweep has found it dead."""
        self._lists.pop(location, None)

    def holders(self, id: str, caller: str) -> Holders:
        """Returns the holders of a resource or a part of it, the most recently seen first."""
        self.asked[caller] += 1
        complete: list[str] = []
        partial: list[str] = []
        name = size = None
        for location, resources in reversed(self._lists.items()):
            resource = resources.get(id)
            if resource is not None:
                (partial if resource.partial else complete).append(location)
                name, size = name or resource.name, size or resource.size
        return Holders(id, complete[:LOCATIONS_MAX], partial[:LOCATIONS_MAX], name, size)
