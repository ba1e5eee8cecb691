"""
One connection of a client's: how slow and how large its requests may be.
Twisted bounds neither a request's body nor the time that it takes.
"""

import re
import socket
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from twisted.internet.interfaces import IDelayedCall, ISystemHandle, ITCPTransport, ITransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.server import Request

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


class LimitedChannel(HTTPChannel):
    """A connection that its site knows of."""

    site: "LimitedSite"
    transport: ITCPTransport
    _refused = False
    _thrown_away = 0
    #: When what is expected next must have come, if anything is.
    _deadline: IDelayedCall | None = None
    #: Bytes of the body under way that had come when it was last looked at.
    _body_seen = 0

    def connectionMade(self) -> None:
        super().connectionMade()
        self.site.connections.add(self, self.getPeer().host)
        self._expect_headers()
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
        self._expect_nothing()
        super().connectionLost(reason)
        self.site.gone(self)

    def requestDone(self, request: Request) -> None:
        if self.site.stopping:
            self.persistent = False
        super().requestDone(request)
        if not self.requests:
            self.site.connections.idle(self)

    def allHeadersReceived(self) -> None:
        self._expect_nothing()
        self._body_seen = 0
        self._expect_body()
        super().allHeadersReceived()

    def allContentReceived(self) -> None:
        self._expect_nothing()
        super().allContentReceived()

    # -- being slow

    def _expect_headers(self) -> None:
        self._deadline = self.callLater(self.site.limits.header_time, self._headers_late)

    def _expect_body(self) -> None:
        self._deadline = self.callLater(self.site.limits.body_time, self._body_late)

    def _expect_nothing(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None

    def _headers_late(self) -> None:
        if self.site.connections.is_idle(self):
            self.loseConnection()  # It has asked for nothing, so there is nothing to say.
            return
        self._refuse(
            HTTPStatus.REQUEST_TIMEOUT,
            f"the headers were not complete after {self.site.limits.header_time:g} s",
        )

    def _body_late(self) -> None:
        received = self.requests[-1].received
        if received - self._body_seen >= BODY_RATE * self.site.limits.body_time:
            self._body_seen = received
            self._expect_body()
            return
        self._refuse(
            HTTPStatus.REQUEST_TIMEOUT,
            f"the body came with less than {BODY_RATE} bytes a second",
        )

    # -- being refused

    def dataReceived(self, data: bytes) -> None:
        if not self._refused:
            if self.site.connections.is_idle(self):
                self.site.connections.busy(self)
                if self._deadline is None:
                    self._expect_headers()
            super().dataReceived(data)
            return
        self._thrown_away += len(data)
        if self._thrown_away > PATIENCE:
            self.loseConnection()

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
        self._expect_nothing()
        self.transport.write(_raw_answer(status, description))
        # Closing with the rest unread would reset the connection, and the answer with it.
        self._refused = True
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
