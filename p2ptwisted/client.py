"""
The HTTP client of both APIs; the only module that knows treq.

Everything it fetches is bounded in time and size, follows no redirect, and
goes to numeric addresses, for anything else would start a thread.
"""

from collections.abc import Sequence
from typing import TypeVar, cast

import msgspec
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import (
    IReactorTCP,
    IReactorTime,
    IStreamClientEndpoint,
    ITransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
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

from p2ptwisted.errors import Unavailable
from p2ptwisted.model import Holding, Presence, Registration

#: Seconds for a whole health check, a heartbeat or a search.
TIMEOUT = 2.0

#: Seconds for a registration, which can have 14 MB.
REGISTER_TIMEOUT = 30.0

#: Seconds to connect; a host that is up answers in milliseconds.
CONNECT_TIMEOUT = 2.0

#: Seconds an unused connection is kept. Less than a server keeps it
#: (web.site.IDLE), so that no request goes into a connection being closed.
IDLE = 30

#: Bytes read of an answer: a health check's, and a search's.
HEALTH_MAX = 64 * 1024
ANSWER_MAX = 4 * 1024 * 1024

#: What comes of a call that was broken off, before or after it was connected.
_CANCELLED = (CancelledError, ConnectingCancelledError)

#: What msgspec raises for bytes that are not the JSON they should be.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_T = TypeVar("_T")


class IClientReactor(IReactorTCP, IReactorTime):
    """What the client needs of a reactor."""


@implementer(IAgentEndpointFactory)
class NumericEndpoints:
    """Endpoints for numeric addresses. Agent's own resolve names on a thread pool."""

    def __init__(self, reactor: IClientReactor) -> None:
        self._reactor = reactor

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        return TCP4ClientEndpoint(
            self._reactor, uri.host.decode("ascii"), uri.port, timeout=CONNECT_TIMEOUT
        )


class Refused(Exception):
    """The other side answered with an error."""

    def __init__(self, status: int, description: str) -> None:
        super().__init__(description)
        self.status = status


class _Data(msgspec.Struct):
    """The envelope of an answer; what `data` is depends on the route."""

    data: msgspec.Raw = msgspec.Raw(b"{}")


class _Error(msgspec.Struct):
    description: str = ""


class _Id(msgspec.Struct):
    id: str = ""


class _QuietFactory(HTTPConnectionPool._factory):  # type: ignore[misc, valid-type]
    noisy = False


class _Pool(HTTPConnectionPool):
    """Twisted's pool without two lines in the log for every connection."""

    _factory = _QuietFactory


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
            self._end(Failure(Unavailable(f"an answer of more than {self._limit} bytes")))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        # PotentialDataLoss: an answer without a length, ended by closing.
        whole = reason.check(ResponseDone, PotentialDataLoss)
        self._end(bytes(self._read) if whole else reason)

    def _end(self, result: bytes | Failure) -> None:
        if not self.complete.called:
            self.complete.callback(result)


class Client:
    """Calls supernodes (by `host:port`) and nodes (by location)."""

    def __init__(
        self,
        clock: IReactorTime,
        agent: IAgent,
        pool: HTTPConnectionPool | None = None,
    ) -> None:
        """`pool` is the agent's, to be closed with this client."""
        self._clock = clock
        self._http = HTTPClient(agent)
        self._pool = pool

    async def close(self) -> None:
        """Close all connections."""
        if self._pool is not None:
            await self._pool.closeCachedConnections()

    # -- a node's

    async def is_well(self, location: str) -> bool:
        """Whether the node there answers its health check. Never raises."""
        try:
            await self._call("GET", f"http://{location}/api/node/health", limit=HEALTH_MAX)
        except (Refused, Unavailable):
            return False
        return True

    async def holds(self, location: str, id: str) -> bool:
        """Whether the node there has that resource itself. Never raises."""
        try:
            body = await self._call(
                "GET", f"http://{location}/api/node/resources/{id}", limit=HEALTH_MAX
            )
            return _decode(body, _Id).id == id
        except (Refused, Unavailable):
            return False

    # -- a supernode's; all raise Refused or Unavailable

    async def register(self, supernode: str, registration: Registration) -> None:
        await self._call(
            "POST",
            f"http://{supernode}/api/supernode/register",
            msgspec.json.encode(registration),
            within=REGISTER_TIMEOUT,
        )

    async def heartbeat(self, supernode: str, location: str) -> bool:
        """False where the supernode does not know the node."""
        return await self._presence("POST", supernode, location)

    async def goodbye(self, supernode: str, location: str) -> bool:
        """False where the supernode did not know the node."""
        return await self._presence("DELETE", supernode, location)

    async def search(self, supernode: str, ids: Sequence[str]) -> list[Holding]:
        """Who holds these resources, anywhere in the group."""
        url = f"http://{supernode}/api/supernode/search?hash_ids={','.join(ids)}"
        return _decode(await self._call("GET", url, limit=ANSWER_MAX), list[Holding])

    async def _presence(self, method: str, supernode: str, location: str) -> bool:
        body = msgspec.json.encode(Presence(location))
        try:
            await self._call(method, f"http://{supernode}/api/supernode/alive", body)
        except Refused as refused:
            if refused.status == 404:
                return False
            raise
        return True

    async def _call(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        limit: int = HEALTH_MAX,
        within: float = TIMEOUT,
    ) -> bytes:
        """The body of a successful answer that is complete in time."""
        call = Deferred.fromCoroutine(self._request(method, url, body, limit))
        timer = self._clock.callLater(within, call.cancel)
        try:
            status, answer = await call
        except Unavailable:
            raise
        except Exception as error:
            reason = _reason(error)
            if isinstance(reason, _CANCELLED):
                if timer.active():
                    raise CancelledError() from error  # Not for want of time: nobody waits for it.
                raise Unavailable(f"{method} {url}: no answer in time") from error
            # Whatever a broken network or a broken peer can cause.
            told = str(reason) or type(reason).__name__
            raise Unavailable(f"{method} {url}: {told}") from error
        finally:
            if timer.active():
                timer.cancel()
        if status >= 300:
            raise Refused(status, _description(answer) or f"{method} {url}: status {status}")
        return answer

    async def _request(
        self, method: str, url: str, body: bytes | None, limit: int
    ) -> tuple[int, bytes]:
        headers = Headers({} if body is None else {"content-type": ["application/json"]})
        response = cast(
            IResponse,
            await self._http.request(
                method, url, data=body, headers=headers, allow_redirects=False, unbuffered=True
            ),
        )
        body_read = _Body(limit)
        response.deliverBody(body_read)
        return response.code, await body_read.complete


def make_client(reactor: IClientReactor) -> Client:
    """A Client with a connection pool of its own, on real connections."""
    pool = _Pool(reactor)
    pool.cachedConnectionTimeout = IDLE
    agent = Agent.usingEndpointFactory(reactor, NumericEndpoints(reactor), pool)
    return Client(reactor, agent, pool)


def _decode(answer: bytes, kind: type[_T]) -> _T:
    """The data of an answer; raises Unavailable where it is not of that kind."""
    try:
        return msgspec.json.decode(msgspec.json.decode(answer, type=_Data).data, type=kind)
    except _UNREADABLE as error:
        raise Unavailable(f"an answer that can't be understood: {error}") from None


def _description(answer: bytes) -> str:
    try:
        return msgspec.json.decode(answer, type=_Error).description
    except _UNREADABLE:
        return ""


def _reason(error: BaseException) -> BaseException:
    """What Twisted has wrapped."""
    wrappers = (RequestGenerationFailed, RequestTransmissionFailed, ResponseFailed)
    while isinstance(error, wrappers) and error.reasons:
        error = error.reasons[0].value
    return error
