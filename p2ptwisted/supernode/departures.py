"""
The nodes that have gone lately, and how: with a goodbye, or because they stopped answering.

Pure; time is an argument, in seconds on a monotonic clock.
"""

from typing import NamedTuple

from p2ptwisted.model import GoneNode
from p2ptwisted.support.round_robin import host_of

#: Seconds for which a node that has gone is remembered.
REMEMBERED = 3_600.0

#: Nodes remembered, and those of one address: one that registers many and takes them back pushes
#: out few of the others'.
GONE_MAX, GONE_AT_ADDRESS_MAX = 1_000, 100

#: Characters of a name that are remembered.
NAME_MAX = 200

GOODBYE, LOST = "goodbye", "lost"


class _Departure(NamedTuple):
    name: str
    how: str
    when: float


class Departures:
    """Remembers which nodes have gone; those that are back are forgotten."""

    def __init__(self) -> None:
        #: By location, the first that went in front; and the same locations by address.
        self._all: dict[str, _Departure] = {}
        self._by_address: dict[str, dict[str, None]] = {}

    def gone(self, name: str, location: str, how: str, now: float) -> None:
        """Note that a node has gone: `how` is GOODBYE or LOST."""
        self.back(location)
        self._expire(now)
        of_address = self._by_address.get(host_of(location), {})
        if len(of_address) >= GONE_AT_ADDRESS_MAX:
            self.back(next(iter(of_address)))
        elif len(self._all) >= GONE_MAX:
            self.back(next(iter(self._all)))
        self._by_address.setdefault(host_of(location), {})[location] = None
        self._all[location] = _Departure(name[:NAME_MAX], how, now)

    def back(self, location: str) -> None:
        """Forget that the node there has gone."""
        if self._all.pop(location, None) is None:
            return
        host = host_of(location)
        del self._by_address[host][location]
        if not self._by_address[host]:
            del self._by_address[host]

    def nodes(self, now: float) -> list[GoneNode]:
        """Return those that are remembered, the last that went first."""
        self._expire(now)
        return [
            GoneNode(one.name, location, round(now - one.when, 1), one.how)
            for location, one in reversed(self._all.items())
        ]

    def _expire(self, now: float) -> None:
        while self._all:
            location, first = next(iter(self._all.items()))
            if now - first.when < REMEMBERED:
                return
            self.back(location)
