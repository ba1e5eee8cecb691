"""
Supernodes given by name (`--peer`), which are asked over HTTP in addition to those
that multicast reaches: for networks that multicast doesn't cross, or no longer.
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
ANSWER_TIMEOUT = 1.0

#: Seconds for which a peer that didn't answer is not asked: it would hold up every search.
RETRY_DELAY = 5.0

_log = Logger()


class NamedSupernode:
    """A supernode given by name, asked over HTTP."""

    def __init__(
        self, clock: IReactorTime, client: Client, resolved: Callable[[], Awaitable[str]]
    ) -> None:
        """`resolved` returns its location, and may raise InvalidInput."""
        self._clock = clock
        self._client = client
        self._resolved = resolved
        #: Its last known location, for the log.
        self._location = "its name"
        self._retry_at = 0.0
        self._has_warned = False

    async def holders(self, id: str) -> Sequence[str]:
        """
        Returns who holds a resource there; for the reserved id, its own location.

        If it can't be asked that is nobody. Raises Unavailable if it is too busy to answer.
        """
        if self._clock.seconds() < self._retry_at:
            return ()
        try:
            asked = Deferred.fromCoroutine(self._ask(id))
            locations = await asked.addTimeout(ANSWER_TIMEOUT, self._clock)
        except (InvalidInput, Refused, TimeoutError, Unavailable) as error:
            if isinstance(error, Refused) and error.status in BUSY_STATUSES:
                raise Unavailable(f"a --peer is overloaded: {error}") from None
            self._retry_at = self._clock.seconds() + RETRY_DELAY
            if not self._has_warned:
                late = f"{self._location}: no answer in time"
                reason = late if isinstance(error, TimeoutError) else error
                _log.warn("A --peer can't be asked: {reason}; still trying", reason=reason)
            self._has_warned = True
            return ()
        self._has_warned = False
        return locations

    async def _ask(self, id: str) -> Sequence[str]:
        self._location = location = await self._resolved()
        found = await self._client.holders(location, id, here=True)
        return [location] if id == SUPERNODE_ID else found.locations


@implementer(ISearchOverlay)
class WithNamedSupernodes:
    """An ISearchOverlay that asks named supernodes in addition to another overlay."""

    def __init__(self, overlay: ISearchOverlay, peers: Sequence[NamedSupernode]) -> None:
        self._overlay = overlay
        self._peers = peers

    def search(self, id: str) -> Deferred[tuple[str, ...]]:
        return self._search(self._overlay.search(id), id, everyone=False)

    def search_all(self, id: str) -> Deferred[tuple[str, ...]]:
        return self._search(self._overlay.search_all(id), id, everyone=True)

    def _search(
        self, multicast: Deferred[tuple[str, ...]], id: str, everyone: bool
    ) -> Deferred[tuple[str, ...]]:
        peers = [Deferred.fromCoroutine(peer.holders(id)) for peer in self._peers]
        answers = [multicast, *(answer.addCallback(tuple[str, ...]) for answer in peers)]
        return _Gathering(answers, everyone).result


class _Gathering:
    """Combines several answers: the first with anything in it, or all of them."""

    def __init__(self, answers: Sequence[Deferred[tuple[str, ...]]], everyone: bool) -> None:
        self._open = list(answers)
        self._everyone = everyone
        self._locations: dict[str, None] = {}
        self._failure: Failure | None = None
        self._is_over = False
        self.result: Deferred[tuple[str, ...]] = Deferred(lambda _: self._stop())
        for answer in answers:
            answer.addCallbacks(self._add, self._failed).addBoth(self._answered, answer)

    def _add(self, locations: tuple[str, ...]) -> None:
        self._locations |= dict.fromkeys(locations)

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._failure = failure

    def _answered(self, result: object, answer: Deferred[tuple[str, ...]]) -> None:
        self._open.remove(answer)
        if self._is_over:
            return
        if (self._locations and not self._everyone) or not self._open:
            self._end()

    def _end(self) -> None:
        self._stop()
        if self._failure is not None and not self._locations:
            self.result.errback(self._failure)
        else:
            self.result.callback(tuple(self._locations))

    def _stop(self) -> None:
        self._is_over = True
        for answer in list(self._open):
            answer.cancel()
