"""
The nodes that fetch a resource, as they say themselves when they ask for its pieces. Others that
ask are told some of them, so that nodes which fetch the same find each other without asking
their supernode. Pure; time is an argument, in seconds.
"""

from collections import Counter
from collections.abc import Iterable
from random import Random

from p2ptwisted.model import NEIGHBORS_TOLD
from p2ptwisted.support.expiring import BoundedDict, ExpiringDict
from p2ptwisted.support.round_robin import host_of, share_of

#: Resources whose fetchers are remembered: those asked for most recently.
RESOURCES_MAX = 64

#: Fetchers of one resource that are remembered, and seconds since they asked last.
FETCHERS_MAX, FETCHER_LIFETIME = 256, 30.0


class Fetchers:
    """Who fetches which resource."""

    def __init__(self, random: Random | None = None) -> None:
        self._random = random or Random()  # nosec B311  # it spreads load, and keeps no secret
        self._fetchers: BoundedDict[str, ExpiringDict[str, None]] = BoundedDict(RESOURCES_MAX)

    def add(self, id: str, location: str, now: float) -> None:
        """Remember that the node at that location fetches a resource; an address has its share."""
        fetchers = self._fetchers.get(id)
        if fetchers is None:
            fetchers = ExpiringDict(FETCHERS_MAX, FETCHER_LIFETIME)
        self._fetchers[id] = fetchers
        fetchers.expire(now)
        if location not in fetchers:
            of_host = Counter(map(host_of, fetchers))[host_of(location)]
            if of_host >= share_of(FETCHERS_MAX):
                return
        fetchers.set(location, None, now)

    def knows(self, id: str, location: str) -> bool:
        """Whether it is remembered that the node at that location fetches that resource."""
        fetchers = self._fetchers.get(id)
        return fetchers is not None and location in fetchers

    def some(self, id: str, others: Iterable[str], asker: str | None, now: float) -> list[str]:
        """Some of them at random, and of the `others`, but not who asks."""
        fetchers = self._fetchers.get(id)
        known = dict.fromkeys(others)
        if fetchers is not None:
            fetchers.expire(now)
            known |= dict.fromkeys(fetchers)
        known.pop(asker or "", None)
        return self._random.sample(list(known), min(NEIGHBORS_TOLD, len(known)))
