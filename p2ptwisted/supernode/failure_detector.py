"""
Decides from missed health checks which nodes are gone. Pure.

The checks themselves are made by `sweep`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

#: Checks that a node may miss in a row before it is gone.
MISSES_MAX = 2

#: If at least this many nodes fail the same sweep, and they are most of those asked, that says
#: more about the supernode or its network than about the nodes: one such sweep is not believed,
#: only the next.
DOUBTFUL_FAILURES = 4


class FailureDetector:
    """Counts how many checks each node has missed in a row."""

    def __init__(self) -> None:
        self._missed: Counter[str] = Counter()
        #: Whether most nodes failed the last sweep together.
        self.is_doubtful = False

    def seen(self, location: str) -> None:
        """Reset the count of the node at `location`: it has shown that it is alive."""
        self._missed.pop(location, None)

    def swept(self, failed: Sequence[str], asked: int) -> list[str]:
        """
        Record a sweep of `asked` nodes, in which those at the locations `failed` failed.

        Returns the locations of the nodes that are gone by that.
        """
        was_doubtful = self.is_doubtful
        # Those that are missing already are no reason to doubt anything.
        fresh = sum(location not in self._missed for location in failed)
        self.is_doubtful = fresh >= DOUBTFUL_FAILURES and 2 * fresh > asked
        if self.is_doubtful and not was_doubtful:
            return []
        return [location for location in failed if self._missed_too_often(location)]

    def _missed_too_often(self, location: str) -> bool:
        self._missed[location] += 1
        if self._missed[location] < MISSES_MAX:
            return False
        del self._missed[location]
        return True

    def keep(self, locations: Iterable[str]) -> None:
        """Forget all nodes but those at `locations`: the others left by themselves."""
        known = set(locations)
        for location in self._missed.keys() - known:
            del self._missed[location]
