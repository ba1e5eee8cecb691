"""
One connection of a client's: how slow and how large its requests may be.
Twisted bounds neither a request's body nor the time that it takes.
"""

import enum
import socket
from http import HTTPStatus
from typing import Protocol, cast

from twisted.internet.interfaces import (
    IConsumer,
    IReactorTime,
    ISystemHandle,
    ITCPTransport,
    ITransport,
)
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure

from p2ptwisted.support.twisted_internals.reactor import has_unsent
from p2ptwisted.web.server.connection_table import ConnectionTable
from p2ptwisted.web.server.early_errors import raw_answer
from p2ptwisted.web.server.idle_timer import IdleTimer
from p2ptwisted.web.server.pipelining import PipeliningChannel
from p2ptwisted.web.server.request_body import BodySite, LimitedRequest
from p2ptwisted.web.server.settings import BODY_RATE, ServerSettings

#: Bytes that are read and thrown away of a request that is refused, so that
#: its sender gets to read the answer; then the connection is cut.
DISCARDED_MAX = 256 * 1024 * 1024

#: Seconds that a connection which is being closed gets to end as it should.
CLOSE_TIME = 5.0


class _Awaited(enum.Enum):
    """What a client has yet to do."""

    REQUEST = enum.auto()
    HEADERS = enum.auto()
    BODY = enum.auto()
    NOTHING = enum.auto()
    #: Take the last answer; we close then.
    LAST_TAKEN = enum.auto()
    #: Close, for we have.
    END = enum.auto()


class ChannelSite(BodySite, Protocol):
    """What a channel needs of its site."""

    limits: ServerSettings
    connections: ConnectionTable["LimitedChannel"]
    #: Whether the site is being closed, so that no connection is kept for another request.
    stopping: bool

    @property
    def reactor(self) -> IReactorTime: ...

    def connection_lost(self, channel: "LimitedChannel") -> None:
        """Forget a connection that has ended."""


class LimitedChannel(PipeliningChannel):
    """A client's connection, bounded by its site's limits."""

    site: ChannelSite
    transport: ITCPTransport
    requests: list[LimitedRequest]
    refused = False
    _awaited = _Awaited.REQUEST
    _discarded = 0
    #: Bytes of the body under way that had come when it was last looked at.
    _body_seen = 0

    def connectionMade(self) -> None:
        super().connectionMade()
        self.totalHeadersSize = self.MAX_LENGTH = self.site.limits.header_size
        self._deadline = IdleTimer(self.site.reactor, self._late)
        self._deadline.set(self.site.limits.header_time)
        self.site.connections.add(self, self.getPeer().host)
        transport = self._lowest_transport()
        if ISystemHandle.providedBy(transport):
            # The kernel knows best whether a client still takes what is sent to it.
            stall = round(self.site.limits.stall_time * 1000)
            handle = cast(socket.socket, transport.getHandle())
            handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, stall)

    def _lowest_transport(self) -> ITransport:
        transport: ITransport = self.transport
        while isinstance(transport, ProtocolWrapper):
            # TLS, below which is the socket.
            transport = cast(ITransport, transport.transport)
        return transport

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._deadline.stop()
        for request in self.requests:
            request.free_body()
        super().connectionLost(reason)
        self.site.connection_lost(self)

    def dataReceived(self, data: bytes) -> None:
        if self._awaited is _Awaited.END:
            self.discard(len(data))
        elif self.is_parsing or self.paused:
            super().dataReceived(data)  # Only keeps it.
        else:
            if self._awaited is _Awaited.REQUEST:
                self._begin()
            super().dataReceived(data)
            begun = self.unparsed or self.requests
            if begun and self._awaited is _Awaited.REQUEST and not self.paused:
                self._begin()  # Behind another.

    def headerReceived(self, line: bytes) -> bool:
        try:
            return bool(super().headerReceived(line))
        except ValueError:
            # A length of more digits than Python takes for a number.
            self.bad_request()
            return False

    def allHeadersReceived(self) -> None:
        if self._awaited is _Awaited.REQUEST:
            self._begin()  # It came with the one before.
        self._awaited = _Awaited.BODY
        self._body_seen = 0
        self._deadline.set(self.site.limits.body_time)
        if self.length and self.length > self.site.body_max:
            self.refuse_body()
            return
        super().allHeadersReceived()

    def allContentReceived(self) -> None:
        if self.refused:
            return  # What was kept is not the whole body, so no handler may see it.
        self._awaited = _Awaited.NOTHING
        self._deadline.clear()
        super().allContentReceived()

    def requestDone(self, request: LimitedRequest) -> None:
        request.free_body()
        if self.site.stopping:
            self.persistent = False
        if self.persistent:
            self._awaited = _Awaited.REQUEST
        else:
            self._awaited = _Awaited.LAST_TAKEN
            self._deadline.set(self.site.limits.idle_time)
        super().requestDone(request)

    def is_idle_now(self) -> None:
        self._deadline.set(self.site.limits.idle_time)
        self.site.connections.idle(self)

    def _begin(self) -> None:
        """A request has begun to come."""
        self._awaited = _Awaited.HEADERS
        self._deadline.set(self.site.limits.header_time)
        self.site.connections.busy(self)

    # -- being slow

    def _late(self) -> None:
        limits = self.site.limits
        if self._awaited is _Awaited.HEADERS:
            self.refuse(
                HTTPStatus.REQUEST_TIMEOUT,
                f"the headers were not complete after {limits.header_time:g} s",
            )
        elif self._awaited is _Awaited.BODY:
            received = self.requests[-1].received
            if received - self._body_seen >= BODY_RATE * limits.body_time:
                self._body_seen = received
                self._deadline.set(limits.body_time)
                return
            self.refuse(
                HTTPStatus.REQUEST_TIMEOUT,
                f"the body came with less than {BODY_RATE} bytes a second",
            )
        elif self._awaited is _Awaited.END:
            self.transport.abortConnection()
        elif self.has_unsent():
            # It takes what it asked for; if it doesn't, the kernel will say so.
            self._deadline.set(limits.idle_time)
        elif self._awaited is _Awaited.LAST_TAKEN:
            self.transport.abortConnection()
        else:
            # It asks for nothing more, so there is nothing to say.
            self.close()

    def has_unsent(self) -> bool:
        """Whether there is something that the kernel has not taken yet, for it is full."""
        return has_unsent(self._lowest_transport())

    def close(self) -> None:
        """Close it, though the other side may not want to."""
        self._awaited = _Awaited.END
        self._deadline.set(CLOSE_TIME)
        self.loseConnection()

    def forceAbortClient(self) -> None:
        # Twisted writes a line for each into the log.
        self.transport.abortConnection()

    # -- being refused

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
        """So many bytes more have come of what is refused."""
        self._discarded += count
        if self._discarded > DISCARDED_MAX:
            self.transport.abortConnection()

    def refuse_body(self) -> None:
        self.refuse(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the body is larger than {self.site.body_max} bytes, the most that is taken here",
        )

    def refuse(self, status: HTTPStatus, description: str) -> None:
        """Answer what never became a request, and hear no more of it."""
        if self.refused:
            return
        self.refused = True
        self.transport.write(raw_answer(status, description))
        # Closing with the rest unread would reset the connection, and the answer with it.
        self._awaited = _Awaited.END
        self._deadline.set(self.site.limits.idle_time)
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
