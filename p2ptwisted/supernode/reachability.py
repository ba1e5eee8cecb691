"""
Decides which nodes can't be reached at their locations, though they are alive. Pure.

Their heartbeats arrive, and their health checks, which `sweep` makes, fail: a closed port, say.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from p2ptwisted.supernode.failure_detector import DOUBTFUL_FAILURES

#: Checks in a row that fail, and seconds from the beginning of the first to the end of the last,
#: until a node counts as unreachable. With the usual interval, 5 s, that is the third one; one
#: that was busy for a moment doesn't count.
CHECKS, UNREACHABLE_AFTER = 3, 9.0

#: The same where most nodes fail together, and DOUBTFUL_FAILURES at the least: that is rather the
#: supernode's own network, or its lack of sockets, which mostly is over by then.
TOGETHER_AFTER = 60.0


class _Missing(NamedTuple):
    """Since when a node's checks have failed, and how many."""

    since: float
    checks: int


class Reachability:
    """Counts the checks in a row that each node has failed while it was alive."""

    def __init__(self) -> None:
        self._missing: dict[str, _Missing] = {}

    def reached(self, location: str) -> None:
        """Note that a check was passed."""
        self._missing.pop(location, None)

    def missed(self, location: str, began: float) -> None:
        """Note that a check failed that began then."""
        since, checks = self._missing.get(location, _Missing(began, 0))
        self._missing[location] = _Missing(since, checks + 1)

    def keep(self, locations: Iterable[str]) -> None:
        """Forget all nodes but those at `locations`."""
        for location in self._missing.keys() - set(locations):
            del self._missing[location]

    def is_heard(self, location: str, heard: Mapping[str, float]) -> bool:
        """
        Whether a node was heard since its checks fail; `heard`: when each was last heard.

        Its checks then say nothing of whether it is alive.
        """
        missing = self._missing.get(location)
        return missing is not None and heard.get(location, missing.since) > missing.since

    def unreachable(self, now: float, heard: Mapping[str, float], asked: int) -> list[str]:
        """
        The locations of the nodes that can't be reached, after a sweep of `asked` nodes.

        Those that were not heard are not among them: they may be gone.
        """
        alive = {
            location: missing
            for location, missing in self._missing.items()
            if self.is_heard(location, heard)
        }
        together = len(alive) >= DOUBTFUL_FAILURES and 2 * len(alive) > asked
        patience = TOGETHER_AFTER if together else UNREACHABLE_AFTER
        return [
            location
            for location, missing in alive.items()
            if missing.checks >= CHECKS and now - missing.since >= patience
        ]
