"""
One connection of a client's: how slow and how large its requests may be.
Twisted bounds neither a request's body nor the time that it takes.
"""

import enum
import re
import socket
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from twisted.internet.interfaces import ISystemHandle, ITCPTransport, ITransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.server import Request

from p2ptwisted.web.deadline import Deadline
from p2ptwisted.web.envelope import RETRY_AFTER, error, error_body
from p2ptwisted.web.limits import BODY_RATE

if TYPE_CHECKING:
    from p2ptwisted.web.site import LimitedSite

#: Bytes that are read and thrown away of a request that is refused, so that
#: its sender gets to read the answer; then the connection is cut.
PATIENCE = 256 * 1024 * 1024


#: What stands before the path where a request names the whole URL.
_AUTHORITY = re.compile(rb"\Ahttps?://[^/?#]*/?", re.IGNORECASE)


class LimitedRequest(Request):
    """A request whose body may not grow beyond its site's limit."""

    channel: "LimitedChannel"
    #: Bytes of the body that have come.
    received = 0

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        # The whole URL, as a proxy is sent it, must be taken by every server (RFC 9112, 3.2.2).
        super().requestReceived(command, _AUTHORITY.sub(b"/", path, count=1), version)

    def handleContentChunk(self, data: bytes) -> None:
        # Counted here, not by Content-Length, for a chunked body has none.
        self.received += len(data)
        limit = self.channel.site.body_max
        if self.received <= limit:
            super().handleContentChunk(data)
        elif self.received > PATIENCE:
            self.channel.loseConnection()

    def process(self) -> None:
        limit = self.channel.site.body_max
        if self.received <= limit:
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
        self.write(body)
        self.finish()


class _Awaited(enum.Enum):
    """What a client has yet to send."""

    REQUEST = enum.auto()
    HEADERS = enum.auto()
    BODY = enum.auto()
    NOTHING = enum.auto()


class LimitedChannel(HTTPChannel):
    """A connection that its site knows of."""

    site: "LimitedSite"
    transport: ITCPTransport
    _awaited = _Awaited.REQUEST
    _refused = False
    _thrown_away = 0
    #: Bytes of the body under way that had come when it was last looked at.
    _body_seen = 0

    def connectionMade(self) -> None:
        super().connectionMade()
        self._deadline = Deadline(self.site.reactor, self._late)
        self._deadline.set(self.site.limits.header_time)
        self.site.connections.add(self, self.getPeer().host)
        transport: ITransport = self.transport
        while isinstance(transport, ProtocolWrapper):
            # TLS, below which is the socket.
            transport = cast(ITransport, transport.transport)
        if ISystemHandle.providedBy(transport):
            # The kernel knows best whether a client still takes what is sent to it.
            stall = round(self.site.limits.stall_time * 1000)
            handle = cast(socket.socket, transport.getHandle())
            handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, stall)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._deadline.stop()
        super().connectionLost(reason)
        self.site.gone(self)

    def dataReceived(self, data: bytes) -> None:
        if not self._refused:
            if self._awaited is _Awaited.REQUEST:
                self._begin()
            super().dataReceived(data)
            return
        self._thrown_away += len(data)
        if self._thrown_away > PATIENCE:
            self.loseConnection()

    def allHeadersReceived(self) -> None:
        if self._awaited is _Awaited.REQUEST:
            self._begin()  # It came with the one before.
        self._awaited = _Awaited.BODY
        self._body_seen = 0
        self._deadline.set(self.site.limits.body_time)
        super().allHeadersReceived()

    def allContentReceived(self) -> None:
        self._awaited = _Awaited.NOTHING
        self._deadline.clear()
        super().allContentReceived()

    def requestDone(self, request: Request) -> None:
        if self.site.stopping:
            self.persistent = False
        self._awaited = _Awaited.REQUEST
        self._deadline.set(self.site.limits.idle_time)
        self.site.connections.idle(self)
        # Reads what came of the next one meanwhile.
        super().requestDone(request)
        if self.requests and self._awaited is _Awaited.REQUEST:
            self._begin()

    def _begin(self) -> None:
        """A request has begun to come."""
        self._awaited = _Awaited.HEADERS
        self._deadline.set(self.site.limits.header_time)
        self.site.connections.busy(self)

    # -- being slow

    def _late(self) -> None:
        limits = self.site.limits
        if self._awaited is _Awaited.HEADERS:
            self._refuse(
                HTTPStatus.REQUEST_TIMEOUT,
                f"the headers were not complete after {limits.header_time:g} s",
            )
        elif self._awaited is _Awaited.BODY:
            received = self.requests[-1].received
            if received - self._body_seen >= BODY_RATE * limits.body_time:
                self._body_seen = received
                self._deadline.set(limits.body_time)
                return
            self._refuse(
                HTTPStatus.REQUEST_TIMEOUT,
                f"the body came with less than {BODY_RATE} bytes a second",
            )
        else:
            # It asks for nothing more, so there is nothing to say.
            self.timeoutConnection()

    # -- being refused

    def lineLengthExceeded(self, line: bytes) -> None:
        self._respondToBadRequestAndDisconnect()

    def _respondToBadRequestAndDisconnect(self) -> None:
        # Twisted's own answer has no body; this is its one place to say more.
        self._refuse(
            HTTPStatus.BAD_REQUEST,
            "this is not a valid HTTP request, or its first line and headers are larger "
            f"than {self.totalHeadersSize} bytes (of many ids, ask for some at a time)",
        )

    def _refuse(self, status: HTTPStatus, description: str) -> None:
        """Answer what never became a request, and hear no more of it."""
        self.transport.write(_raw_answer(status, description))
        # Closing with the rest unread would reset the connection, and the answer with it.
        self._refused = True
        self._awaited = _Awaited.NOTHING
        self._deadline.set(self.site.limits.idle_time)
        self.clearLineBuffer()
        self.transport.loseWriteConnection()


class Full(Protocol):
    """What a client meets for whose connection there is no room."""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(
            _raw_answer(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "there are too many connections just now: try again in a moment",
            )
        )
        self.transport.loseConnection()


def _raw_answer(status: HTTPStatus, description: str) -> bytes:
    """An error as it goes through the wire, where there is no request to answer."""
    body = error_body(status, description)
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        lines.append(f"Retry-After: {RETRY_AFTER}")
    return "\r\n".join([*lines, "", ""]).encode() + body
