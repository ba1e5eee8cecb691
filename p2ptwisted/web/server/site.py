"""
The site: which connections it takes, and how it stops.

Twisted bounds neither the number of connections nor the end of keep-alive
ones. A connection's own limits are in `channel`.
"""

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.web.http import Request as HTTPRequest
from twisted.web.resource import IResource
from twisted.web.server import Site

from p2ptwisted.support.lifecycle import STOP_GRACE
from p2ptwisted.web.server.channel import LimitedChannel
from p2ptwisted.web.server.connection_table import ConnectionTable
from p2ptwisted.web.server.early_errors import ServerFull
from p2ptwisted.web.server.request_body import BodyBudget, LimitedRequest
from p2ptwisted.web.server.settings import BODIES_MAX, ServerSettings, limited_by_descriptors

#: Connections looked at for one that can make room for another: a connection whose
#: client still has something to take from us can't, and is then looked at last.
CANDIDATES_MAX = 16


class LimitedSite(Site):
    """A site that bounds its requests and its connections."""

    # Not Twisted's own, which could also speak HTTP/2: one protocol, one way to stop it.
    protocol = LimitedChannel  # type: ignore[assignment]
    requestFactory = LimitedRequest
    displayTracebacks = False
    noisy = False

    def __init__(
        self,
        root: IResource,
        body_max: int,
        reactor: IReactorTime,
        settings: ServerSettings = ServerSettings(),  # noqa: B008  # frozen
    ) -> None:
        """`body_max`: bytes of a request's body, unless the settings have a `body_size`."""
        # Without Twisted's timeout: the channel has a timer of its own for every wait.
        super().__init__(root, timeout=None, reactor=reactor, parsePOSTFormSubmission=False)
        self.body_max = settings.body_size or body_max
        self.settings = limited_by_descriptors(settings)
        self.connections: ConnectionTable[LimitedChannel] = ConnectionTable(
            self.settings.connections, self.settings.connections_per_address
        )
        self.bodies = BodyBudget(BODIES_MAX)
        self.stopping = False
        self._all_closed: Deferred[None] | None = None

    def log(self, request: HTTPRequest) -> None:
        """No access log: a line a request would cost as much as the request."""

    def buildProtocol(self, addr: IAddress | None) -> Any:
        if self.stopping:
            return None
        address = getattr(addr, "host", "")
        if self.connections.is_full(address) and not self._make_room(address):
            return ServerFull()
        return super().buildProtocol(addr)

    def _make_room(self, address: str) -> bool:
        """Close an idle connection for another from `address`; returns whether there was one."""
        for _ in range(CANDIDATES_MAX):
            candidate = self.connections.next_to_close(address)
            if candidate is None:
                return False
            # It counts until it is closed, which over TLS takes its client's doing.
            self.connections.mark_busy(candidate)
            if not candidate.has_unsent():
                candidate.close()
                return True
            self.connections.mark_idle(candidate)
        return False

    def connection_lost(self, channel: LimitedChannel) -> None:
        """Forget a connection that has ended; `close` waits for the last one."""
        self.connections.remove(channel)
        if not self.connections and self._all_closed is not None:
            self._all_closed.callback(None)
            self._all_closed = None

    def close(self) -> Deferred[None]:
        """Close idle connections, let running requests finish in time, and abort the rest."""
        self.stopping = True
        for channel in self.connections:
            if not channel.requests:
                channel.close()
        if not self.connections:
            return succeed(None)
        closed = self._all_closed = Deferred()
        deadline = self.reactor.callLater(STOP_GRACE, self._abort_all)

        def all_closed(result: None) -> None:
            if deadline.active():
                deadline.cancel()

        return closed.addCallback(all_closed)

    def _abort_all(self) -> None:
        for channel in self.connections:
            channel.transport.abortConnection()
