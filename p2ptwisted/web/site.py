"""
The HTTP server around the routes: how much it takes from a client, and how it
stops. Twisted bounds neither bodies nor the end of keep-alive connections.
"""

from http import HTTPStatus
from typing import Any, cast

from twisted.application.service import Service
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort, IReactorTime, ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.http import Request as HTTPRequest
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from p2ptwisted.addresses import Location
from p2ptwisted.errors import StartError
from p2ptwisted.web.envelope import error, error_body

#: Seconds that requests under way get to finish when the daemon stops.
GRACE = 5.0

#: Seconds without a byte after which a connection is closed. Clients drop
#: theirs earlier (see `client.IDLE`), so none posts into a closing one.
IDLE = 60

#: Bytes that are read and thrown away of a request that is too large, so that
#: its sender gets to read the answer; then the connection is cut.
PATIENCE = 256 * 1024 * 1024


class LimitedRequest(Request):
    """A request whose body may not grow beyond its site's limit."""

    channel: "LimitedChannel"
    _received = 0

    def handleContentChunk(self, data: bytes) -> None:
        # Counted here, not by Content-Length, for a chunked body has none.
        self._received += len(data)
        limit = self.channel.site.body_max
        if self._received <= limit:
            super().handleContentChunk(data)
        elif self._received > PATIENCE:
            self.channel.loseConnection()

    def process(self) -> None:
        limit = self.channel.site.body_max
        if self._received <= limit:
            super().process()
            return
        # What was kept is not the whole body, so no handler may see it.
        self.setHeader(b"connection", b"close")
        self.channel.persistent = False
        body = error(
            self,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the body is larger than {limit} bytes, the most that is taken here",
        )
        self.setHeader(b"content-length", b"%d" % len(body))
        self.write(body)
        self.finish()


class LimitedChannel(HTTPChannel):
    """A connection that its site knows of."""

    site: "LimitedSite"
    transport: ITCPTransport
    _refused = False
    _thrown_away = 0

    def connectionMade(self) -> None:
        super().connectionMade()
        self.site.channels.add(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self.site.gone(self)

    def requestDone(self, request: Request) -> None:
        if self.site.stopping:
            self.persistent = False
        super().requestDone(request)

    def dataReceived(self, data: bytes) -> None:
        if not self._refused:
            super().dataReceived(data)
            return
        self._thrown_away += len(data)
        if self._thrown_away > PATIENCE:
            self.loseConnection()

    def lineLengthExceeded(self, line: bytes) -> None:
        self._respondToBadRequestAndDisconnect()

    def _respondToBadRequestAndDisconnect(self) -> None:
        # Twisted's own answer has no body; this is its one place to say more.
        body = error_body(
            HTTPStatus.BAD_REQUEST,
            "this is not a valid HTTP request, or its first line and headers are larger "
            f"than {self.totalHeadersSize} bytes (of many ids, ask for some at a time)",
        )
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        # Closing with the rest unread would reset the connection, and the answer with it.
        self._refused = True
        self.clearLineBuffer()
        self.transport.loseWriteConnection()


class LimitedSite(Site):
    """A site that bounds bodies and knows its connections."""

    # Not Twisted's own, which could also speak HTTP/2: one protocol, one way to stop it.
    protocol = LimitedChannel  # type: ignore[assignment]
    requestFactory = LimitedRequest
    displayTracebacks = False
    noisy = False

    def __init__(self, root: IResource, body_max: int, reactor: IReactorTime) -> None:
        """`body_max`: bytes of a request's body."""
        super().__init__(root, timeout=IDLE, reactor=reactor, parsePOSTFormSubmission=False)
        self.body_max = body_max
        self.channels: set[LimitedChannel] = set()
        self.stopping = False
        self._all_gone: Deferred[None] | None = None

    def log(self, request: HTTPRequest) -> None:
        """No access log: a line a request would cost as much as the request."""

    def buildProtocol(self, addr: IAddress | None) -> Any:
        return None if self.stopping else super().buildProtocol(addr)

    def gone(self, channel: LimitedChannel) -> None:
        self.channels.discard(channel)
        if not self.channels and self._all_gone is not None:
            self._all_gone.callback(None)
            self._all_gone = None

    def close(self) -> Deferred[None]:
        """Close what is idle, let what is under way finish in time, and cut off the rest."""
        self.stopping = True
        for channel in list(self.channels):
            if not channel.requests:
                channel.loseConnection()
        if not self.channels:
            return succeed(None)
        gone = self._all_gone = Deferred()
        deadline = self.reactor.callLater(GRACE, self._cut_off)

        def all_gone(result: None) -> None:
            if deadline.active():
                deadline.cancel()

        return gone.addCallback(all_gone)

    def _cut_off(self) -> None:
        for channel in list(self.channels):
            channel.transport.abortConnection()


class WebService(Service):
    """A site that listens while the service runs."""

    def __init__(self, reactor: IReactorTime, endpoint: str, site: LimitedSite) -> None:
        """`endpoint` is a Twisted endpoint string, such as `tcp:8000`."""
        self._reactor = reactor
        self._endpoint = endpoint
        self._site = site
        self._port: IListeningPort | None = None

    def privilegedStartService(self) -> None:
        """Raises StartError where the port can't be had."""
        super().privilegedStartService()
        try:
            listening = serverFromString(self._reactor, self._endpoint).listen(self._site)
        except Exception as problem:
            # Whatever Twisted and its plugins say of a string that they can't read.
            raise StartError(
                f"--port {self._endpoint}: neither a number nor an endpoint: {problem}"
            ) from problem
        failures: list[Failure] = []
        listening.addCallback(self._listening).addErrback(failures.append)
        for failure in failures:
            reason = failure.value
            if isinstance(reason, StartError):
                raise reason
            if isinstance(reason, CannotListenError):
                reason = reason.socketError
            raise StartError(f"--port {self._endpoint}: can't listen there: {reason}")

    def startService(self) -> None:
        super().startService()
        if self._port is None:
            self.privilegedStartService()

    async def _close(self) -> None:
        if self._port is not None:
            await maybeDeferred(self._port.stopListening)
            self._port = None
        await self._site.close()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return Deferred.fromCoroutine(self._close())

    def _listening(self, port: IListeningPort) -> None:
        self._port = port
        if not isinstance(port.getHost(), IPv4Address):
            raise StartError(
                f"--port {self._endpoint}: listen on IPv4, for locations are IPv4 addresses"
            )

    def listening(self) -> Location:
        """Where this listens; to be asked after the start."""
        assert self._port is not None
        address = cast(IPv4Address, self._port.getHost())
        return Location(address.host, address.port)
