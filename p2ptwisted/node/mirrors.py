"""
The other holders of what a node shares, as it tells them to clients that fetch by HTTP alone.

Nobody waits long for them: what the supernode says is remembered for a while.
"""

from collections.abc import Awaitable, Callable, Sequence

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime

from p2ptwisted.errors import Unavailable
from p2ptwisted.model import Holders
from p2ptwisted.support.expiring import ExpiringDict
from p2ptwisted.support.rate_limit import TokenBuckets

#: Bytes of the smallest resource with whose content others are named. aria2 fetches no smaller
#: parts, and the question would take longer than they do.
SIZE_MIN = 1024 * 1024

#: Others that are named with content, in the head of each answer, and in a file about it.
NAMED_WITH_CONTENT, NAMED_IN_FILE = 8, 32

#: Seconds for which a supernode's answer is remembered, and of how many resources.
LIFETIME, RESOURCES_MAX = 15.0, 1_000

#: Seconds that content waits for its own supernode's answer, which takes some milliseconds.
WAIT = 0.25

#: Files about resources for which all supernodes are asked on behalf of one address: a second, and
#: at once. It is this node's own rate there (local_supernode.HOLDERS_RATE), and no single stranger
#: is to use it up. For more of them only its own supernode is asked.
SEARCH_RATE, SEARCH_BURST = 10, 50

#: Addresses whose rates are remembered.
ADDRESSES_MAX = 10_000


class Mirrors:
    """Who else has a resource."""

    def __init__(
        self, clock: IReactorTime, find: Callable[[str, bool], Awaitable[Holders]]
    ) -> None:
        """`find` looks up the others: all, or with True those at the own supernode."""
        self._clock = clock
        self._find = find
        #: By id, and whether all supernodes were asked.
        self._known: ExpiringDict[tuple[str, bool], Sequence[str]] = ExpiringDict(
            RESOURCES_MAX, LIFETIME
        )
        self._searches = TokenBuckets(SEARCH_RATE, SEARCH_BURST, ADDRESSES_MAX)

    async def near(self, id: str) -> Sequence[str]:
        """Those at the own supernode, and others that are known; none where it is silent."""
        return (await self._of(id, everywhere=False, wait=WAIT))[:NAMED_WITH_CONTENT]

    async def everywhere(self, id: str, caller: str) -> Sequence[str]:
        """Those at all supernodes, for a client with that address; none where nobody says any."""
        now = self._clock.seconds()
        self._known.expire(now)
        is_known = (id, True) in self._known
        everywhere = is_known or self._searches.of(caller).take(now)
        # The look-up itself has an end.
        return await self._of(id, everywhere=everywhere, wait=None)

    async def _of(self, id: str, *, everywhere: bool, wait: float | None) -> Sequence[str]:
        self._known.expire(self._clock.seconds())
        for key in ((id, True), (id, everywhere)):
            known = self._known.get(key)
            if known is not None:
                return known
        looking = Deferred.fromCoroutine(self._look_up(id, everywhere))
        if wait is not None:
            looking.addTimeout(wait, self._clock)
        try:
            found = await looking
        except (Unavailable, TimeoutError):
            # Nor is it asked again at once: it may be silent for long.
            found = ()
        self._known.set((id, everywhere), found, self._clock.seconds())
        return found

    async def _look_up(self, id: str, everywhere: bool) -> Sequence[str]:
        return (await self._find(id, not everywhere)).locations[:NAMED_IN_FILE]
