"""
The locations that a download may ask: who named them, which are in use, and when to try again
one that failed. Pure; time is an argument, in seconds.

Whoever likes can name any location, and each that is asked costs a call to it. So how many that
never answered are tried is bounded: in all, of one address, and of those that one neighbor names.
"""

import math
from collections import Counter
from dataclasses import dataclass
from random import Random

from p2ptwisted.support.round_robin import host_of, share_of

#: Locations that are remembered, and so all that are ever asked in vain.
CANDIDATES_MAX = 256

#: Of these, how many neighbors may have named that have never answered: one of them, and all.
NAMED_BY_ONE_MAX, NAMED_MAX = 16, 128

#: Seconds until one that failed is tried again: doubled each time, up to a bound.
RETRY_FIRST, RETRY_MAX = 1.0, 32.0


@dataclass(eq=False, slots=True)
class _Candidate:
    #: The address of the neighbor that named it; None: the supernode did.
    named_by: str | None
    in_use: bool = False
    #: Whether it has ever answered with what was asked for.
    proven: bool = False
    failures: int = 0
    retry_at: float = -math.inf

    def is_ready(self, now: float) -> bool:
        return not self.in_use and self.retry_at <= now


class Candidates:
    """Locations to ask, by location."""

    def __init__(self, random: Random | None = None) -> None:
        self._random = random or Random()  # nosec B311  # it spreads load, and keeps no secret
        self._candidates: dict[str, _Candidate] = {}
        self._of_host: Counter[str] = Counter()
        self._rejected: set[str] = set()

    def add(self, location: str, named_by: str | None = None) -> None:
        """Remember a location, where the bounds allow it; `named_by` a neighbor's address."""
        known = self._candidates.get(location)
        if location in self._rejected:
            return
        if known is not None:
            if named_by is None:
                known.named_by = None
            return
        if self._of_host[host_of(location)] >= share_of(CANDIDATES_MAX):
            return
        if named_by is not None and not self._may_name(named_by):
            return
        if len(self._candidates) + len(self._rejected) >= CANDIDATES_MAX:
            return
        self._candidates[location] = _Candidate(named_by)
        self._of_host[host_of(location)] += 1

    def _may_name(self, host: str) -> bool:
        named = [
            one.named_by
            for one in self._candidates.values()
            if one.named_by is not None and not one.proven
        ]
        return len(named) < NAMED_MAX and named.count(host) < NAMED_BY_ONE_MAX

    def take(self, now: float) -> str | None:
        """
        One to be asked now, at random; None: there is none.

        Rather one that has never failed, and of an address of which the fewest are in use.
        """
        in_use = Counter(host_of(at) for at, one in self._candidates.items() if one.in_use)
        ready = {
            location: (self._candidates[location].failures, in_use[host_of(location)])
            for location in self._ready(now)
        }
        if not ready:
            return None
        best = min(ready.values())
        location = self._random.choice([at for at, rank in ready.items() if rank == best])
        self._candidates[location].in_use = True
        return location

    def take_this(self, location: str, now: float) -> bool:
        """Take a certain one, if it is to be asked now; whether it is."""
        candidate = self._candidates.get(location)
        if candidate is None or not candidate.is_ready(now):
            return False
        candidate.in_use = True
        return True

    def are_waiting(self, now: float) -> bool:
        """Whether there is one to be asked."""
        return bool(self._ready(now))

    def _ready(self, now: float) -> list[str]:
        return [location for location, one in self._candidates.items() if one.is_ready(now)]

    def answered(self, location: str) -> None:
        """Note that one in use gave an answer: it is no longer among those that are bounded."""
        candidate = self._candidates.get(location)
        if candidate is not None:
            candidate.in_use = candidate.proven = True
            candidate.failures = 0

    def left(self, location: str, now: float, failed: bool) -> None:
        """Note that one is no longer in use: because it `failed`, or for another's sake."""
        candidate = self._candidates.get(location)
        if candidate is None:
            return
        candidate.in_use = False
        candidate.failures += failed
        delay = RETRY_FIRST * 2 ** min(max(0, candidate.failures - 1), 10)
        candidate.retry_at = now + min(delay, RETRY_MAX)

    def reject(self, location: str) -> None:
        """Never give it again."""
        # Its address keeps what it has had of its share.
        self._candidates.pop(location, None)
        self._rejected.add(location)
