"""
Supernodes that are named, asked over HTTP beside those that multicast
reaches: for networks that multicast doesn't cross, or has stopped crossing.
"""

from collections.abc import Awaitable, Callable, Sequence

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from p2ptwisted.client.api import Client
from p2ptwisted.client.transport import BUSY_STATUSES, Refused
from p2ptwisted.errors import InvalidInput, Unavailable
from p2ptwisted.interfaces import ISearchOverlay
from p2ptwisted.model import SUPERNODE_ID

#: Seconds to wait for the answer of a peer.
TIMEOUT = 1.0

#: Seconds for which one that didn't answer is left alone: it would hold up every search.
REST = 5.0

_log = Logger()


class NamedSupernode:
    """One named supernode."""

    def __init__(
        self, clock: IReactorTime, client: Client, resolved: Callable[[], Awaitable[str]]
    ) -> None:
        """`resolved` gives its location, and may raise InvalidInput."""
        self._clock = clock
        self._client = client
        self._resolved = resolved
        #: Where it was last, for the log.
        self._location = "its name"
        self._rests_until = 0.0
        self._told = False

    async def holders(self, id: str) -> Sequence[str]:
        """
        Who holds a resource there; for the reserved id, where it is itself.

        Raises Unavailable where it is well and too busy to say; one that can't be asked
        has nothing.
        """
        if self._clock.seconds() < self._rests_until:
            return ()
        try:
            asked = Deferred.fromCoroutine(self._ask(id))
            locations = await asked.addTimeout(TIMEOUT, self._clock)
        except (InvalidInput, Refused, TimeoutError, Unavailable) as error:
            if isinstance(error, Refused) and error.status in BUSY_STATUSES:
                raise Unavailable(f"a --peer has too much to do: {error}") from None
            self._rests_until = self._clock.seconds() + REST
            if not self._told:
                late = f"{self._location}: no answer in time"
                reason = late if isinstance(error, TimeoutError) else error
                _log.warn("A --peer can't be asked: {reason}; trying on", reason=reason)
            self._told = True
            return ()
        self._told = False
        return locations

    async def _ask(self, id: str) -> Sequence[str]:
        self._location = location = await self._resolved()
        found = await self._client.holders(location, id, here=True)
        return [location] if id == SUPERNODE_ID else found.locations


@implementer(ISearchOverlay)
class WithNamedSupernodes:
    """An ISearchOverlay that asks named supernodes beside another overlay."""

    def __init__(self, overlay: ISearchOverlay, peers: Sequence[NamedSupernode]) -> None:
        self._overlay = overlay
        self._peers = peers

    def search(self, id: str) -> Deferred[tuple[str, ...]]:
        return self._ask(self._overlay.search(id), id, everyone=False)

    def search_all(self, id: str) -> Deferred[tuple[str, ...]]:
        return self._ask(self._overlay.search_all(id), id, everyone=True)

    def _ask(
        self, multicast: Deferred[tuple[str, ...]], id: str, everyone: bool
    ) -> Deferred[tuple[str, ...]]:
        peers = [Deferred.fromCoroutine(peer.holders(id)) for peer in self._peers]
        asking = [multicast, *(asked.addCallback(tuple[str, ...]) for asked in peers)]
        return _Gathering(asking, everyone).result


class _Gathering:
    """Several answers made one: the first with anything in it, or all of them together."""

    def __init__(self, asking: Sequence[Deferred[tuple[str, ...]]], everyone: bool) -> None:
        self._left = list(asking)
        self._everyone = everyone
        self._locations: dict[str, None] = {}
        self._failure: Failure | None = None
        self._over = False
        self.result: Deferred[tuple[str, ...]] = Deferred(lambda _: self._stop())
        for one in asking:
            one.addCallbacks(self._add, self._failed).addBoth(self._answered, one)

    def _add(self, locations: tuple[str, ...]) -> None:
        self._locations |= dict.fromkeys(locations)

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._failure = failure

    def _answered(self, result: object, one: Deferred[tuple[str, ...]]) -> None:
        self._left.remove(one)
        if self._over:
            return
        if (self._locations and not self._everyone) or not self._left:
            self._end()

    def _end(self) -> None:
        self._stop()
        if self._failure is not None and not self._locations:
            self.result.errback(self._failure)
        else:
            self.result.callback(tuple(self._locations))

    def _stop(self) -> None:
        self._over = True
        for one in list(self._left):
            one.cancel()
