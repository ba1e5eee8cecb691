"""
Calls to other members over HTTP, whatever they are about; the only module that
knows treq.

Every call is bounded in time and size, follows no redirect, and goes to a
numeric address, for anything else would start a thread.
"""

from collections.abc import Coroutine
from typing import Any, TypeVar, cast

import msgspec
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import (
    IReactorTCP,
    IReactorTime,
    IStreamClientEndpoint,
    ITCPTransport,
    ITransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import ILogObserver, Logger
from twisted.python.failure import Failure
from twisted.web._newclient import HEADER, STATUS, HTTP11ClientProtocol, Request
from twisted.web.client import (
    URI,
    Agent,
    HTTPConnectionPool,
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseDone,
    ResponseFailed,
)
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IResponse
from zope.interface import implementer

from p2ptwisted.errors import Nonsense, Unavailable
from p2ptwisted.model import UNREADABLE
from p2ptwisted.security.http_signatures import HttpSignatures
from p2ptwisted.security.tls import TrustedAuthority
from p2ptwisted.support.escaping import shown

#: Seconds to connect; a host that is up answers in milliseconds.
CONNECT_TIMEOUT = 2.0

#: Seconds an unused connection is kept. Less than a server keeps it
#: (web.limits), so that no request goes into a connection being closed.
IDLE = 30

#: Seconds for a whole call, and bytes read of its answer, where nothing else is said.
TIMEOUT = 2.0
SMALL_MAX = 64 * 1024

#: Characters that are shown of what the other side says, or is blamed for: it goes into logs
#: and other answers. Our own descriptions have some 250 at the most.
TOLD_MAX = 500

#: Bytes of an answer's headers; our own have some hundreds. (Twisted bounds each line only.)
HEADERS_MAX = 64 * 1024

#: Statuses of a member that is well, and has too much to do.
BUSY_STATUSES = (429, 503)

#: What comes of a call that was broken off, before or after it was connected.
_CANCELLED = (CancelledError, ConnectingCancelledError)

_unheard = Logger(observer=cast(ILogObserver, lambda event: None))
_T = TypeVar("_T")


class IClientReactor(IReactorTCP, IReactorTime):
    """What the client needs of a reactor."""


@implementer(IAgentEndpointFactory)
class NumericEndpoints:
    """
    Endpoints for numeric addresses. Agent's own resolve names on a thread pool.

    Whether TLS is spoken is a matter of the whole group, so no location says
    it, and every URL of this client's begins with `http:`.
    """

    def __init__(self, reactor: IClientReactor, authority: TrustedAuthority | None = None) -> None:
        """With an `authority`, TLS with whom it has signed a certificate for; none: plain TCP."""
        self._reactor = reactor
        self._authority = authority

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        host = uri.host.decode("ascii")
        plain = TCP4ClientEndpoint(self._reactor, host, uri.port, timeout=CONNECT_TIMEOUT)
        if self._authority is None:
            return plain
        return self._authority.secured(host, plain, self._reactor)


class Refused(Exception):
    """The other side answered with an error."""

    def __init__(self, status: int, description: str) -> None:
        super().__init__(description)
        self.status = status


class _Error(msgspec.Struct):
    description: str = ""


class _Bounded(HTTP11ClientProtocol):
    """A connection that breaks off an answer whose headers have no end."""

    transport: ITCPTransport
    _headers = 0

    def request(self, request: Request) -> Deferred[IResponse]:
        self._headers = 0
        requested = super().request(request)
        if self._parser is not None:
            # Of every "102 Processing" there would be a line in the log.
            self._parser._log = _unheard
        return requested

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        parser = self._parser
        if parser is None or parser.state not in (STATUS, HEADER):
            return
        self._headers += len(data)
        if self._headers > HEADERS_MAX:
            self.transport.abortConnection()
            if self._state == "WAITING":  # Else the request is yet being sent, and fails so.
                self._disconnectParser(
                    Failure(Unavailable(f"an answer with headers of more than {HEADERS_MAX} bytes"))
                )


class _Factory(HTTPConnectionPool._factory):  # type: ignore[misc, valid-type]
    """Twisted's, without two lines in the log for every connection."""

    noisy = False

    def buildProtocol(self, addr: object) -> _Bounded:
        return _Bounded(self._quiescentCallback)


class _Pool(HTTPConnectionPool):
    """Twisted's pool, of connections of ours."""

    _factory = _Factory


class _Body(Protocol):
    """
    Reads an answer's body, up to a limit.

    treq's own collector keeps the connection when it is cancelled; a peer
    that never ends its answer would cost a socket every time.
    """

    transport: ITransport

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._read = bytearray()
        self.complete: Deferred[bytes] = Deferred(lambda _: self.transport.loseConnection())

    def dataReceived(self, data: bytes) -> None:
        self._read.extend(data)
        if len(self._read) > self._limit:
            self.transport.loseConnection()
            self._end(Failure(Nonsense(f"an answer of more than {self._limit} bytes")))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        # PotentialDataLoss: an answer without a length, ended by closing.
        whole = reason.check(ResponseDone, PotentialDataLoss)
        self._end(bytes(self._read) if whole else reason)

    def _end(self, result: bytes | Failure) -> None:
        if not self.complete.called:
            self.complete.callback(result)


class _Unwanted(Protocol):
    """Closes the connection of an answer that is of no use."""

    transport: ITransport

    def connectionMade(self) -> None:
        self.transport.loseConnection()


class HttpTransport:
    """Makes calls, on connections that it keeps for the next ones."""

    def __init__(
        self,
        clock: IReactorTime,
        agent: IAgent,
        pool: HTTPConnectionPool | None = None,
        signatures: HttpSignatures | None = None,
    ) -> None:
        """
        `pool` is the agent's, to be closed with this caller.

        `signatures` signs every call, for a closed group.
        """
        self._clock = clock
        self._http = HTTPClient(agent)
        self._pool = pool
        self._signatures = signatures

    async def close(self) -> None:
        """Close all connections."""
        if self._pool is not None:
            await self._pool.closeCachedConnections()

    async def _call(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        limit: int = SMALL_MAX,
        within: float = TIMEOUT,
    ) -> bytes:
        """The body of a successful answer that is complete in time."""
        called, what = self._request(method, url, body, limit), f"{method} {url}"
        status, answer = await self._in_time(called, within, what)
        if status >= 300:
            raise Refused(status, _description(answer) or f"{shown(what)}: status {status}")
        return answer

    async def _refusal(self, response: IResponse, within: float, what: str) -> Refused:
        """What the other side says with an answer that is an error."""
        body = _Body(SMALL_MAX)
        response.deliverBody(body)
        answer = await self._in_time(_wait(body.complete), within, what)
        return Refused(response.code, _description(answer) or f"status {response.code}")

    async def _in_time(self, call: Coroutine[Any, Any, _T], seconds: float, what: str) -> _T:
        """What the call gives; raises Unavailable where it fails or takes longer."""
        called = Deferred.fromCoroutine(call)
        timer = self._clock.callLater(seconds, called.cancel)
        try:
            return await called
        except Unavailable:
            raise
        except Exception as error:
            reason = _reason(error)
            if isinstance(reason, _CANCELLED):
                if timer.active():
                    raise CancelledError() from error  # Not for want of time: nobody waits for it.
                raise Unavailable(f"{shown(what)}: no answer in time") from error
            # Whatever a broken network or a broken peer can cause.
            told = shown(str(reason), TOLD_MAX) or type(reason).__name__
            raise Unavailable(f"{shown(what)}: {told}") from error
        finally:
            if timer.active():
                timer.cancel()

    async def _send(self, method: str, url: str, body: bytes | None) -> IResponse:
        headers = Headers({} if body is None else {"content-type": ["application/json"]})
        if self._signatures is not None:
            for name, value in self._signatures.sign(method, url, body).items():
                headers.addRawHeader(name, value)
        return cast(
            IResponse,
            await self._http.request(
                method, url, data=body, headers=headers, allow_redirects=False, unbuffered=True
            ),
        )

    async def _request(
        self, method: str, url: str, body: bytes | None, limit: int
    ) -> tuple[int, bytes]:
        response = await self._send(method, url, body)
        body_read = _Body(limit)
        response.deliverBody(body_read)
        return response.code, await body_read.complete


def drop(response: IResponse) -> None:
    """Want nothing more of an answer."""
    response.deliverBody(_Unwanted())


def make_agent(
    reactor: IClientReactor, authority: TrustedAuthority | None = None
) -> tuple[IAgent, HTTPConnectionPool]:
    """An agent on real connections, with a pool of its own; `authority` as for the endpoints."""
    pool = _Pool(reactor)
    pool.cachedConnectionTimeout = IDLE
    return Agent.usingEndpointFactory(reactor, NumericEndpoints(reactor, authority), pool), pool


def _description(answer: bytes) -> str:
    try:
        return shown(msgspec.json.decode(answer, type=_Error).description, TOLD_MAX)
    except UNREADABLE:
        return ""


def _reason(error: BaseException) -> BaseException:
    """What Twisted has wrapped."""
    wrappers = (RequestGenerationFailed, RequestTransmissionFailed, ResponseFailed)
    while isinstance(error, wrappers) and error.reasons:
        error = error.reasons[0].value
    return error


async def _wait(deferred: Deferred[_T]) -> _T:
    return await deferred
