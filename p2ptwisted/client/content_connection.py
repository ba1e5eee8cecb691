"""
A connection that content comes through, and what its holder says of it: for one answer at a time.

A request for more of the same content is sent behind the one whose answer is coming. So what a
holder sends comes in order, and none of it waits for the way there and back.

For these calls it takes the place of treq and Agent, which cost a request of one piece five times
as much processor time: 0.5 to 0.9 ms against 0.16 (256 KiB on loopback). Connections are kept in
`content_pool`; all other calls are in `transport`.
"""

import re
import socket
from collections import deque
from collections.abc import Mapping
from typing import Protocol as TypingProtocol
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IPushProducer,
    ISSLTransport,
    ISystemHandle,
    ITCPTransport,
    ITransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from zope.interface import implementer

from p2ptwisted.errors import Unavailable
from p2ptwisted.support.twisted_internals.reactor import set_read_size

#: Bytes read at a time, at the most. With Twisted's 64 KiB a node's reactor takes eight times as
#: many turns; half of this costs a GiB 5% more processor time, and twice as much saves nothing.
#: Over TLS it has no effect: that hands on records of 16 KiB.
READ_SIZE = 512 * 1024

#: What has come is read once it is as much as usually comes in so many seconds, up to so many
#: bytes: a piece of 256 KiB on one of eight flows of a link of 100 Mbit/s would else be read in
#: some 15 parts, and each costs the daemon a turn.
LOW_WATER_TIME, LOW_WATER_MAX = 0.2, 128 * 1024

#: Bytes of an answer's status line and headers; our own have some hundreds.
HEAD_MAX = 64 * 1024

_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [^\r\n]*)?")
#: Statuses whose answers have no body, whatever they say of its length.
_NO_BODY = (204, 304)
_LENGTH = re.compile(rb"[0-9]{1,18}")

#: How a body ends that is complete.
_DONE = Failure(ResponseDone())


class Unanswered(Exception):
    """The connection was closed before it was this request's turn: it can be sent again."""


class ConnectionKeeper(TypingProtocol):
    """What keeps connections for the next request."""

    def now(self) -> float: ...
    def put(self, connection: "ContentConnection") -> None: ...
    def forget(self, connection: "ContentConnection") -> None: ...


class AnswerReceiver(TypingProtocol):
    """What an answer's body is delivered to: a Protocol, which takes the answer for a transport."""

    def makeConnection(self, transport: ITransport) -> None: ...
    def dataReceived(self, data: bytes) -> None: ...
    def connectionLost(self, reason: Failure) -> None: ...


@implementer(IPushProducer)
class Answer:
    """An answer whose head has come, and what the receiver of its body has for a transport."""

    def __init__(
        self, connection: "ContentConnection", code: int, headers: Mapping[bytes, bytes]
    ) -> None:
        """`headers`: by their names in lower case."""
        self.code = code
        self.headers = headers
        #: None once the body has ended: the connection is then no matter of its receiver's.
        self.connection: ContentConnection | None = connection

    def deliverBody(self, receiver: AnswerReceiver) -> None:
        """Pass the body to `receiver`. To be called at once, else the connection is closed."""
        assert self.connection is not None
        self.connection.deliver(receiver)

    def pauseProducing(self) -> None:
        if self.connection is not None:
            IPushProducer(self.connection.transport).pauseProducing()

    def resumeProducing(self) -> None:
        if self.connection is not None:
            IPushProducer(self.connection.transport).resumeProducing()

    def stopProducing(self) -> None:
        self.loseConnection()

    def loseConnection(self) -> None:
        """Close the connection: no more is wanted of this body."""
        if self.connection is not None:
            self.connection.close()


class ContentConnection(Protocol):
    """
    The client's side of a connection to a holder.

    It knows bodies with a Content-Length only. Of another answer, which no holder gives, it
    has the head, and then closes.
    """

    transport: ITCPTransport
    #: Whether bytes come from the socket as they are sent.
    _is_plain = False

    def __init__(self, keeper: ConnectionKeeper, location: str) -> None:
        self.location = location
        #: The URL of the content that it was last used for; empty: it was for none.
        self.content = ""
        #: When it was last used, in seconds.
        self.used_at = 0.0
        self._keeper = keeper
        #: Requests whose answers have yet to begin.
        self._waiting: deque[Deferred[Answer]] = deque()
        #: Whether the first of them was sent behind another's, whose answer may have ended long
        #: before, and nothing has come of its own: it may be that nobody reads it any more.
        self._is_behind = False
        self._answer: Answer | None = None
        self._receiver: AnswerReceiver | None = None
        #: Bytes that have come and aren't parsed.
        self._buffer = b""
        #: Bytes of heads that announce another ("102 Processing").
        self._skipped = 0
        #: Bytes of the body, those yet to come, and when it began.
        self._length = self._left = 0
        self._began_at = 0.0
        #: Bytes a second of the body before it; 0: there was none.
        self._rate = 0.0
        #: Bytes that must have come before they are read.
        self._low_water = 1
        self._is_kept = True
        #: Fires when it is closed.
        self._closed: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        set_read_size(self.transport, READ_SIZE)
        self._is_plain = ISystemHandle.providedBy(self.transport) and not (
            ISSLTransport.providedBy(self.transport)
        )

    @property
    def takes_next(self) -> bool:
        """Whether an answer is coming that the next request can be sent behind."""
        return self._answer is not None and self._is_kept and not self._waiting

    def request(self, content: str, data: bytes) -> Deferred[Answer]:
        """Send a request; cancelled, it closes the connection, but for an answer that is coming."""
        self.content = content
        waiting: Deferred[Answer] = Deferred(self._cancelled)
        self._waiting.append(waiting)
        self.transport.write(data)
        return waiting

    def _cancelled(self, waiting: Deferred[Answer]) -> None:
        self._waiting.remove(waiting)
        self._is_kept = False
        if self._answer is None:
            self._abort()

    def deliver(self, receiver: AnswerReceiver) -> None:
        """Pass the body of the answer to `receiver`, first what of it came with the head."""
        self._receiver = receiver
        self._began_at = self._keeper.now()
        receiver.makeConnection(cast(ITransport, self._answer))
        data, self._buffer = self._buffer, b""
        self._body_received(data)

    def dataReceived(self, data: bytes) -> None:
        if self._receiver is not None:
            self._body_received(data)
        elif self._waiting:
            self._buffer += data
            self._read_heads()
        else:
            self._abort()  # Nobody asked for anything.

    def close(self) -> Deferred[None]:
        """Close it; the Deferred fires when that is done."""
        self._is_kept = False
        self.transport.loseConnection()
        self._give_back()
        return self._closed

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._is_kept = False
        self._keeper.forget(self)
        self._fail(reason)
        self._closed.callback(None)

    def _read_heads(self) -> None:
        """Read the head of the answer, if it is here, behind those that only announce it."""
        if self._buffer:
            self._is_behind = False
        while self._waiting and self._answer is None:
            end = self._buffer.find(b"\r\n\r\n")
            if self._skipped + (len(self._buffer) if end < 0 else end) > HEAD_MAX:
                self._give_up(f"an answer with headers of more than {HEAD_MAX} bytes")
                return
            if end < 0:
                return
            head, self._buffer = self._buffer[:end], self._buffer[end + 4 :]
            self._skipped += end
            self._head_received(head)

    def _head_received(self, head: bytes) -> None:
        first, *lines = head.split(b"\r\n")
        status = _STATUS.fullmatch(first)
        if status is None:
            self._give_up("what it answers is no HTTP")
            return
        code = int(status[2])
        if code < 200:
            return
        headers: dict[bytes, bytes] = {}
        for line in lines:
            name, _, value = line.partition(b":")
            name, value = name.lower(), value.strip()
            if headers.setdefault(name, value) != value and name == b"content-length":
                self._give_up("an answer with two lengths")
                return
        length = b"0" if code in _NO_BODY else headers.get(b"content-length", b"")
        has_length = b"transfer-encoding" not in headers and _LENGTH.fullmatch(length) is not None
        if code < 300 and not has_length:
            self._give_up("an answer that doesn't say how long it is")
            return
        self._length = self._left = int(length) if has_length else 0
        if (
            not has_length
            or status[1] == b"0"
            or headers.get(b"connection", b"").lower() == b"close"
        ):
            self._is_kept = False
        self._skipped = 0
        waiting = self._waiting.popleft()
        answer = self._answer = Answer(self, code, headers)
        waiting.callback(answer)
        if self._answer is answer and self._receiver is None:
            self._abort()

    def _body_received(self, data: bytes) -> None:
        receiver = self._receiver
        if len(data) > self._left:
            self._buffer = data[self._left :]
            data = data[: self._left]
            if not self._waiting:
                self._is_kept = False  # What follows the body nobody asked for.
        self._left -= len(data)
        if data:
            assert receiver is not None
            receiver.dataReceived(data)
        if self._left:
            # Up to where a piece ends, so that it need not be cut in two.
            set_read_size(self.transport, READ_SIZE - (self._length - self._left) % READ_SIZE)
            self._set_low_water(min(self._left, LOW_WATER_MAX, int(self._rate * LOW_WATER_TIME)))
        elif self._receiver is not None:
            self._end()

    def _set_low_water(self, count: int) -> None:
        """Read what comes once it is so many bytes."""
        count = max(1, count)
        if count != self._low_water and self._is_plain:
            self._low_water = count
            handle = cast(socket.socket, ISystemHandle(self.transport).getHandle())
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)

    def _end(self) -> None:
        """End an answer whose body is complete."""
        seconds = self._keeper.now() - self._began_at
        self._rate = self._length / seconds if seconds > 0 else 0.0
        set_read_size(self.transport, READ_SIZE)
        self._set_low_water(1)
        receiver = self._detach()
        self._is_behind = True
        if not self._is_kept:
            self.close()
        elif not self._waiting:
            # First, for the receiver may well send the next request.
            self._keeper.put(self)
        if receiver is not None:
            receiver.connectionLost(_DONE)
        if self._is_kept:
            self._read_heads()

    def _detach(self) -> AnswerReceiver | None:
        """Forget the answer; returns its receiver."""
        receiver, self._receiver = self._receiver, None
        if self._answer is not None:
            self._answer.connection = None
            self._answer = None
        return receiver

    def _give_up(self, why: str) -> None:
        self._abort()
        self._fail(Failure(Unavailable(why)))

    def _fail(self, reason: Failure) -> None:
        is_first = self._answer is None and not self._is_behind
        waiting = self._waiting.popleft() if self._waiting and is_first else None
        receiver = self._detach()
        if waiting is not None:
            waiting.errback(reason)
        if receiver is not None:
            receiver.connectionLost(reason)
        self._give_back()

    def _give_back(self) -> None:
        """Have what is not yet answered sent elsewhere."""
        while self._waiting:
            self._waiting.popleft().errback(Unanswered())

    def _abort(self) -> None:
        self._is_kept = False
        self.transport.abortConnection()
