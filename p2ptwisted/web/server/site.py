"""
The HTTP server around the routes: whose connections it takes, and how it
stops. Twisted bounds neither their number nor the end of keep-alive ones.
"""

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.web.http import Request as HTTPRequest
from twisted.web.resource import IResource
from twisted.web.server import Site

from p2ptwisted.support.lifecycle import GRACE
from p2ptwisted.web.server.channel import LimitedChannel
from p2ptwisted.web.server.connection_table import ConnectionTable
from p2ptwisted.web.server.early_errors import ServerFull
from p2ptwisted.web.server.request_body import BodyBudget, LimitedRequest
from p2ptwisted.web.server.settings import BODIES_MAX, ServerSettings, affordable

#: Connections looked at for one that can make room for another: those that still
#: have something to take from us can't, and are looked at again last.
LOOKED_AT = 16


class LimitedSite(Site):
    """A site that bounds bodies and knows its connections."""

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
        limits: ServerSettings = ServerSettings(),  # noqa: B008  # frozen
    ) -> None:
        """`body_max`: bytes of a request's body, where the limits say nothing of that."""
        # The channel has a timer of its own for every wait.
        super().__init__(root, timeout=None, reactor=reactor, parsePOSTFormSubmission=False)
        self.body_max = limits.body_size or body_max
        self.limits = affordable(limits)
        self.connections: ConnectionTable[LimitedChannel] = ConnectionTable(
            self.limits.connections, self.limits.connections_per_address
        )
        self.bodies = BodyBudget(BODIES_MAX)
        self.stopping = False
        self._all_gone: Deferred[None] | None = None

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
        """Close the connection that should go for another from there, if one may."""
        for _ in range(LOOKED_AT):
            idle = self.connections.to_close(address)
            if idle is None:
                return False
            # It counts until it is gone, which takes its client's doing over TLS.
            self.connections.busy(idle)
            if not idle.has_unsent():
                idle.close()
                return True
            self.connections.idle(idle)
        return False

    def connection_lost(self, channel: LimitedChannel) -> None:
        """Forget a connection that has ended; `close` waits for the last one."""
        self.connections.remove(channel)
        if not self.connections and self._all_gone is not None:
            self._all_gone.callback(None)
            self._all_gone = None

    def close(self) -> Deferred[None]:
        """Close what is idle, let what is under way finish in time, and cut off the rest."""
        self.stopping = True
        for channel in self.connections:
            if not channel.requests:
                channel.close()
        if not self.connections:
            return succeed(None)
        gone = self._all_gone = Deferred()
        deadline = self.reactor.callLater(GRACE, self._cut_off)

        def all_gone(result: None) -> None:
            if deadline.active():
                deadline.cancel()

        return gone.addCallback(all_gone)

    def _cut_off(self) -> None:
        for channel in self.connections:
            channel.transport.abortConnection()
