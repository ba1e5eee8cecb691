"""
HTTP calls to other members, whatever they are about; the only module that knows treq.
Content comes through connections of its own (`content_connection`).

Every call is limited in time and size, follows no redirect, and goes to a
numeric address, because a host name would start a thread. The calls of each
API are in `node_client` and `supernode_client`.
"""

from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar, cast

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
from twisted.python.failure import Failure
from twisted.web.client import (
    URI,
    Agent,
    HTTPConnectionPool,
    ResponseDone,
)
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IResponse
from zope.interface import implementer

from p2ptwisted.client.call_errors import DESCRIPTION_MAX, call_name, unreached, unwrapped
from p2ptwisted.client.content_connection import Answer
from p2ptwisted.client.content_pool import ContentPool
from p2ptwisted.errors import Nonsense, Trouble, Unavailable, Unreached
from p2ptwisted.model import UNREADABLE
from p2ptwisted.security.http_signatures import HttpSignatures
from p2ptwisted.security.tls import TrustedAuthority
from p2ptwisted.support.address_policy import is_own
from p2ptwisted.support.escaping import shown
from p2ptwisted.support.locations import LOCALHOST
from p2ptwisted.support.twisted_internals.http_client import (
    ExposedClientProtocol,
    Request,
    pool_class,
)

#: Seconds to connect; a host that is up answers in milliseconds.
CONNECT_TIMEOUT = 2.0

#: Seconds for which an unused connection is kept. Less than a server keeps it
#: (`web.server.settings`), so that no request goes into a connection being closed.
POOL_IDLE_TIMEOUT = 30

#: Seconds for a call with its answer, and bytes read of the answer, by default.
CALL_TIMEOUT = 2.0
SMALL_ANSWER_MAX = 64 * 1024

#: Bytes of an answer's headers; our own have some hundreds. (Twisted bounds each line only.)
HEADERS_MAX = 64 * 1024

#: Statuses of a member that is well, but has too much to do.
BUSY_STATUSES = (429, 503)

NO_HEADERS: Mapping[str, str] = MappingProxyType({})

#: How a call fails that was cancelled, before or after it was connected.
_CANCELLED = (CancelledError, ConnectingCancelledError)

_T = TypeVar("_T")


class IClientReactor(IReactorTCP, IReactorTime):
    """What the client needs of a reactor."""


@implementer(IAgentEndpointFactory)
class NumericEndpoints:
    """
    Makes endpoints for numeric addresses. Agent's own resolve names on a thread pool.

    All members of a group use TLS or none does, so locations don't say which,
    and every URL of this client begins with `http:`.
    """

    def __init__(
        self,
        reactor: IClientReactor,
        authority: TrustedAuthority | None = None,
        from_loopback: bool = False,
    ) -> None:
        """
        `authority`: use TLS, with hosts that have a certificate of it; None: plain TCP.

        `from_loopback`: connect from there to any of this machine's addresses, so that who is
        called sees that the caller is on its machine.
        """
        self._reactor = reactor
        self._authority = authority
        self._from_loopback = from_loopback

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        host = uri.host.decode("ascii")
        source = (LOCALHOST, 0) if self._from_loopback and is_own(host) else None
        plain = TCP4ClientEndpoint(self._reactor, host, uri.port, CONNECT_TIMEOUT, source)
        if self._authority is None:
            return plain
        return self._authority.secured(host, plain, self._reactor)


class Refused(Exception):
    """The other side answered with an error status, and this description."""

    def __init__(
        self,
        status: int,
        description: str,
        headers: Mapping[bytes, bytes] = MappingProxyType({}),
    ) -> None:
        """`headers` are the answer's, by their names in lower case."""
        super().__init__(description)
        self.status = status
        self.headers = headers


class Reply(NamedTuple):
    """An answer, with its body."""

    status: int
    body: bytes
    #: By their names in lower case.
    headers: Mapping[bytes, bytes] = MappingProxyType({})


class _Error(msgspec.Struct):
    """The body of an answer that is an error."""

    description: str = ""


class _Bounded(ExposedClientProtocol):
    """A connection that breaks off an answer whose headers have no end."""

    transport: ITCPTransport
    _headers = 0

    def request(self, request: Request) -> Deferred[IResponse]:
        self._headers = 0
        return super().request(request)

    def dataReceived(self, data: bytes) -> None:
        # Before: what ends an answer may have the next request sent, and is no part of its answer.
        if self.is_reading_headers:
            self._headers += len(data)
        super().dataReceived(data)
        if self.is_reading_headers and self._headers > HEADERS_MAX:
            self.transport.abortConnection()
            self.fail_request(
                Failure(Unavailable(f"an answer with headers of more than {HEADERS_MAX} bytes"))
            )


_Pool = pool_class(_Bounded)


class _BodyCollector(Protocol):
    """
    Collects an answer's body, up to a limit in bytes.

    treq's own collector keeps the connection open when it is cancelled, so each
    answer that never ends would cost a socket.
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
        is_complete = reason.check(ResponseDone, PotentialDataLoss)
        self._end(bytes(self._read) if is_complete else reason)

    def _end(self, result: bytes | Failure) -> None:
        if not self.complete.called:
            self.complete.callback(result)


class _Discard(Protocol):
    """Closes the connection of an answer that nobody needs."""

    transport: ITransport

    def connectionMade(self) -> None:
        self.transport.loseConnection()


class HttpTransport:
    """Makes calls, on connections that are kept for later calls."""

    def __init__(
        self,
        clock: IReactorTime,
        agent: IAgent,
        pool: HTTPConnectionPool | None = None,
        signatures: HttpSignatures | None = None,
        connections: ContentPool | None = None,
    ) -> None:
        """
        `pool`: the agent's connection pool, which `close` closes.

        `signatures`: signs every call, in a closed group. `connections`: those that content
        comes through; None for a client that asks for none.
        """
        self._clock = clock
        #: Whether this process has stood still since then, so that what fails is its own fault.
        self.stood_still_since: Callable[[float], bool] = lambda when: False
        self._http = HTTPClient(agent)
        self._pool = pool
        self._signatures = signatures
        self._connections = connections

    async def close(self) -> None:
        """Close all connections."""
        if self._connections is not None:
            await self._connections.close()
        if self._pool is not None:
            await self._pool.closeCachedConnections()

    async def _call(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        limit: int = SMALL_ANSWER_MAX,
        within: float = CALL_TIMEOUT,
    ) -> bytes:
        """
        Make a call and return the body of its answer.

        `limit`: bytes of the answer; `within`: seconds for all of it. Raises
        Refused for an error status, and Unavailable for any other failure.
        """

        def call() -> Coroutine[Any, Any, Reply]:
            return self._request(method, url, body, limit)

        return (await self._answered(call, within, call_name(method, url))).body

    async def _answered(
        self,
        call: Callable[[], Coroutine[Any, Any, Reply]],
        within: float,
        what: str,
        same: bool = False,
    ) -> Reply:
        """
        Make a call and await its answer as `_call` does; `what` names the call in messages, if
        they should.

        A call that had none because this process stood still is made again: each may be made
        twice. `same`: that nothing has changed, 304, is an answer too.
        """
        while True:
            began = self._clock.seconds()
            try:
                reply = await self._in_time(call(), within, what)
                break
            except Unavailable as error:
                if isinstance(error, Nonsense) or not self.stood_still_since(began):
                    raise
        if reply.status >= 300 and not (same and reply.status == HTTPStatus.NOT_MODIFIED):
            status = f"status {reply.status}"
            reason = _description(reply.body) or (f"{what}: {status}" if what else status)
            raise Refused(reply.status, reason, reply.headers)
        return reply

    async def _refusal(self, response: Answer, within: float, what: str) -> Refused:
        """Read the description from an error's answer, and return it as Refused."""
        answer = await self._in_time(_body_of(response, SMALL_ANSWER_MAX), within, what)
        return Refused(response.code, _description(answer) or f"status {response.code}")

    async def _in_time(self, call: Coroutine[Any, Any, _T], seconds: float, what: str) -> _T:
        """
        Await a call for so many seconds and return its result; `what` names it in messages.

        Raises Unavailable where it fails or takes longer.
        """
        called = Deferred.fromCoroutine(call)
        timer = self._clock.callLater(seconds, called.cancel)
        try:
            return await called
        except Unavailable:
            raise
        except Exception as error:
            if isinstance(unwrapped(error), _CANCELLED):
                if timer.active():
                    raise CancelledError from error  # Not a timeout: the caller was cancelled.
                raise Unreached(what, Trouble.SILENT) from error
            # Anything that a broken network or a broken peer can cause.
            raise unreached(what, error) from error
        finally:
            if timer.active():
                timer.cancel()

    async def _send(self, method: str, url: str, body: bytes | None) -> IResponse:
        """Send a request, signed in a closed group; returns the answer, its body still unread."""
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

    async def _ask_holder(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str] = NO_HEADERS
    ) -> Answer:
        """Send a request, signed in a closed group, to a holder; its answer is still unread."""
        assert self._connections is not None
        if body is not None:
            headers = {"Content-Type": "application/json", **headers}
        if self._signatures is not None:
            headers = {**headers, **self._signatures.sign(method, url, body)}
        return await self._connections.request(method, url, body, headers)

    async def _reply_of_holder(self, url: str, headers: Mapping[str, str], limit: int) -> Reply:
        """Send a GET to a holder; returns its answer."""
        answer = await self._ask_holder("GET", url, None, headers)
        return Reply(answer.code, await _body_of(answer, limit), answer.headers)

    async def _request(self, method: str, url: str, body: bytes | None, limit: int) -> Reply:
        """Send a request; returns its answer."""
        response = await self._send(method, url, body)
        headers = {name.lower(): all[-1] for name, all in response.headers.getAllRawHeaders()}
        return Reply(response.code, await _body_of(response, limit), headers)


def drop(response: Answer) -> None:
    """Discard the rest of an answer, by closing its connection."""
    response.deliverBody(_Discard())


def make_agent(
    reactor: IClientReactor, endpoints: IAgentEndpointFactory
) -> tuple[IAgent, HTTPConnectionPool]:
    """Return an agent on real connections, and its pool."""
    pool = _Pool(reactor)
    pool.cachedConnectionTimeout = POOL_IDLE_TIMEOUT
    return Agent.usingEndpointFactory(reactor, endpoints, pool), pool


def make_connections(reactor: IClientReactor, endpoints: IAgentEndpointFactory) -> ContentPool:
    """Return connections for content."""
    return ContentPool(reactor, endpoints, POOL_IDLE_TIMEOUT)


def _description(answer: bytes) -> str:
    """Return the description in an error's answer; empty if there is none."""
    try:
        return shown(msgspec.json.decode(answer, type=_Error).description, DESCRIPTION_MAX)
    except UNREADABLE:
        return ""


async def _body_of(answer: Answer | IResponse, limit: int) -> bytes:
    """Read the body of an answer, up to `limit` bytes."""
    body = _BodyCollector(limit)
    answer.deliverBody(body)
    return await body.complete
