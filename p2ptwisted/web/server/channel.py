"""
A client's connection: how slow and how large its requests may be.

Twisted bounds neither a request's body nor the time that it takes. What the
limits are is in `settings`; requests behind others are in `pipelining`.
"""

import enum
import socket
from http import HTTPStatus
from typing import Protocol, cast

from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IReactorTime,
    ISystemHandle,
    ITCPTransport,
    ITransport,
)
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from zope.interface import implementer

from p2ptwisted.support.twisted_internals.reactor import has_unsent
from p2ptwisted.web.server.connection_table import ConnectionTable
from p2ptwisted.web.server.early_errors import raw_answer
from p2ptwisted.web.server.idle_timer import IdleTimer
from p2ptwisted.web.server.pipelining import PipeliningChannel
from p2ptwisted.web.server.request_body import BodySite, LimitedRequest
from p2ptwisted.web.server.settings import BODY_RATE_MIN, ServerSettings

#: Bytes that are read and discarded of a request that is refused, so that its
#: sender gets to read the answer; then the connection is aborted.
DISCARDED_MAX = 256 * 1024 * 1024

#: Seconds that a connection which is being closed gets to end properly; then it is aborted.
CLOSE_TIMEOUT = 5.0


class _Awaited(enum.Enum):
    """What a client has to do next."""

    REQUEST = enum.auto()
    HEADERS = enum.auto()
    BODY = enum.auto()
    NOTHING = enum.auto()
    #: Take the last answer; then we close.
    LAST_TAKEN = enum.auto()
    #: Close its side, for ours is closed.
    END = enum.auto()


class ChannelSite(BodySite, Protocol):
    """What a channel needs of its site."""

    settings: ServerSettings
    connections: ConnectionTable["LimitedChannel"]
    #: Whether the site is being closed, so that no connection is kept for another request.
    stopping: bool

    @property
    def reactor(self) -> IReactorTime: ...

    def connection_lost(self, channel: "LimitedChannel") -> None:
        """Forget a connection that has ended."""


@implementer(IHalfCloseableProtocol)
class LimitedChannel(PipeliningChannel):
    """
    A client's connection, bounded by its site's settings.

    A client may close its side after its last request, and still gets the answers.
    """

    site: ChannelSite
    transport: ITCPTransport
    requests: list[LimitedRequest]
    refused = False
    #: Whether the client has closed its side, so that no more requests come.
    _asks_no_more = False
    _awaited = _Awaited.REQUEST
    _discarded = 0
    #: Bytes of the current body that had come when the timer last fired.
    _body_checked = 0

    def connectionMade(self) -> None:
        super().connectionMade()
        self.totalHeadersSize = self.MAX_LENGTH = self.site.settings.header_size
        self._timer = IdleTimer(self.site.reactor, self._timed_out)
        self._timer.set(self.site.settings.header_time)
        self.site.connections.add(self, self.getPeer().host)
        transport = self._lowest_transport()
        if ISystemHandle.providedBy(transport):
            # The kernel knows best whether a client still takes what is sent to it.
            stall = round(self.site.settings.stall_time * 1000)
            handle = cast(socket.socket, transport.getHandle())
            handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, stall)

    def _lowest_transport(self) -> ITransport:
        """Return the socket's transport, below TLS."""
        transport: ITransport = self.transport
        while isinstance(transport, ProtocolWrapper):
            transport = cast(ITransport, transport.transport)
        return transport

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._timer.stop()
        for request in self.requests:
            request.free_body()
        super().connectionLost(reason)
        self.site.connection_lost(self)

    def readConnectionLost(self) -> None:
        """Close when all is answered that was asked for before the client closed its side."""
        self._asks_no_more = True
        if self._awaited is _Awaited.END:
            self.transport.loseConnection()  # Now both sides are closed.
        else:
            self._close_if_answered()

    def writeConnectionLost(self) -> None:
        """Nothing is left to do: it was closed by `refuse`."""

    def _close_if_answered(self) -> None:
        """Close where the client asks no more, and no request that is complete waits."""
        waits = self.is_handling_request or self.is_parsing or (self.paused and self.unparsed)
        if self._asks_no_more and not waits:
            self._await_last_taken()
            self.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        if self._awaited is _Awaited.END:
            self.discard(len(data))
        elif self.is_parsing or self.paused:
            super().dataReceived(data)  # Only keeps it.
        else:
            if self._awaited is _Awaited.REQUEST:
                self._request_begins()
            super().dataReceived(data)
            begun = self.unparsed or self.requests
            if begun and self._awaited is _Awaited.REQUEST and not self.paused:
                self._request_begins()  # Behind another.

    def headerReceived(self, line: bytes) -> bool:
        try:
            return bool(super().headerReceived(line))
        except ValueError:
            # A length of more digits than Python takes for a number.
            self.bad_request()
            return False

    def allHeadersReceived(self) -> None:
        if self._awaited is _Awaited.REQUEST:
            self._request_begins()  # It came with the one before.
        self._awaited = _Awaited.BODY
        self._body_checked = 0
        self._timer.set(self.site.settings.body_time)
        if self.length and self.length > self.site.body_max:
            self.refuse_body()
            return
        super().allHeadersReceived()

    def allContentReceived(self) -> None:
        if self.refused:
            return  # What was kept is only a part of the body, so no handler may see it.
        self._awaited = _Awaited.NOTHING
        self._timer.clear()
        super().allContentReceived()

    def requestDone(self, request: LimitedRequest) -> None:
        request.free_body()
        if self.site.stopping:
            self.persistent = False
        if self.persistent:
            self._awaited = _Awaited.REQUEST
        else:
            self._await_last_taken()
        super().requestDone(request)
        self._close_if_answered()

    def parsed_kept(self) -> None:
        self._close_if_answered()

    def _await_last_taken(self) -> None:
        """Wait for the client to take the last of the answers."""
        self._awaited = _Awaited.LAST_TAKEN
        self._timer.set(self.site.settings.idle_time)

    def became_idle(self) -> None:
        self._timer.set(self.site.settings.idle_time)
        self.site.connections.mark_idle(self)

    def _request_begins(self) -> None:
        """Wait for the headers of a request, of which something has come."""
        self._awaited = _Awaited.HEADERS
        self._timer.set(self.site.settings.header_time)
        self.site.connections.mark_busy(self)

    # -- slow clients

    def _timed_out(self) -> None:
        """Refuse or close where the client has not done in time what it has to do."""
        settings = self.site.settings
        if self._awaited is _Awaited.HEADERS:
            self.refuse(
                HTTPStatus.REQUEST_TIMEOUT,
                f"the headers were not complete after {settings.header_time:g} s",
            )
        elif self._awaited is _Awaited.BODY:
            received = self.requests[-1].received
            if received - self._body_checked >= BODY_RATE_MIN * settings.body_time:
                self._body_checked = received
                self._timer.set(settings.body_time)
                return
            self.refuse(
                HTTPStatus.REQUEST_TIMEOUT,
                f"the body came with less than {BODY_RATE_MIN} bytes a second",
            )
        elif self._awaited is _Awaited.END:
            self.transport.abortConnection()
        elif self.has_unsent():
            # It takes what it asked for; if it doesn't, the kernel will say so (TCP_USER_TIMEOUT).
            self._timer.set(settings.idle_time)
        elif self._awaited is _Awaited.LAST_TAKEN:
            self.transport.abortConnection()
        else:
            # It asks for nothing more, so there is nothing to say.
            self.close()

    def has_unsent(self) -> bool:
        """Whether the kernel's buffer is full, and some of what was written is not in it yet."""
        return has_unsent(self._lowest_transport())

    def close(self) -> None:
        """Close the connection; it is aborted where the client doesn't close its side in time."""
        self._awaited = _Awaited.END
        self._timer.set(CLOSE_TIMEOUT)
        self.loseConnection()

    def forceAbortClient(self) -> None:
        # Twisted writes a line for each into the log.
        self.transport.abortConnection()

    # -- refusals

    def lineLengthExceeded(self, line: bytes) -> None:
        self.bad_request()

    def bad_request(self) -> None:
        """Refuse what isn't a valid request, or is too large for one."""
        self.refuse(
            HTTPStatus.BAD_REQUEST,
            "this is not a valid HTTP request, or its first line and headers are larger "
            f"than {self.totalHeadersSize} bytes (of many ids, ask for some at a time)",
        )

    def discard(self, count: int) -> None:
        """Count bytes that have come of what is refused; abort the connection at DISCARDED_MAX."""
        self._discarded += count
        if self._discarded > DISCARDED_MAX:
            self.transport.abortConnection()

    def refuse_body(self) -> None:
        """Refuse a body that is larger than the site's limit."""
        self.refuse(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the body is larger than {self.site.body_max} bytes, the most that is taken here",
        )

    def refuse(self, status: HTTPStatus, description: str) -> None:
        """Answer with an error, and close; what still comes is read and discarded."""
        if self.refused:
            return
        self.refused = True
        self.transport.write(raw_answer(status, description))
        # Closing with the rest unread would reset the connection, and the answer with it.
        self._awaited = _Awaited.END
        self._timer.set(self.site.settings.idle_time)
        self.discard(len(self.clearLineBuffer()))
        for request in self.requests:
            self.discard(request.free_body())
        cast(IConsumer, self.transport).unregisterProducer()
        self.resume_reading()
        if self.isSecure():
            # Half of TLS can't be closed.
            self.transport.loseConnection()
        else:
            self.transport.loseWriteConnection()
