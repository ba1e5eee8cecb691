"""
The connections that content comes through, kept for the next request to the same holder, and
closed when they are not used for a while.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import cast

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IProtocol, IReactorTime
from twisted.internet.protocol import Factory
from twisted.web.client import URI
from twisted.web.iweb import IAgentEndpointFactory

from p2ptwisted.client.content_connection import Answer, ContentConnection, Unanswered
from p2ptwisted.errors import Unavailable

#: Unused connections kept to one holder: two that content came through, one for its news.
IDLE_MAX = 3

#: What may stand in a URL. Anything else could end the line, and begin a header.
_URL = re.compile(r"http://([!-.0-~]+)(/[!-~]*)")


class _Factory(Factory):
    """Makes one connection."""

    noisy = False

    def __init__(self, pool: "ContentPool", location: str) -> None:
        self._made = pool, location

    def buildProtocol(self, addr: object) -> ContentConnection:
        return ContentConnection(*self._made)


class ContentPool:
    """The connections of a client; unused ones are closed after a while."""

    def __init__(self, clock: IReactorTime, endpoints: IAgentEndpointFactory, idle: float) -> None:
        """`idle`: seconds for which an unused connection is kept."""
        self._clock = clock
        self._endpoints = endpoints
        self._idle_time = idle
        #: By location, those that are unused, the last one used last.
        self._idle: dict[str, list[ContentConnection]] = {}
        #: By the URL of a content, the connection that it was last asked for on.
        self._used: dict[str, ContentConnection] = {}
        self._timer: IDelayedCall | None = None

    def now(self) -> float:
        """Return the time, in seconds."""
        return self._clock.seconds()

    async def request(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        """
        Send a request; returns its answer, of which only the head has come.

        Raises Unavailable, and whatever a connection fails with.
        """
        parts = _URL.fullmatch(url)
        if parts is None:
            raise Unavailable("that is not the URL of a node")
        location, path = parts.groups()
        lines = [
            f"{method} {path} HTTP/1.1",
            # As Agent writes it and signatures cover it: without the port of HTTP.
            f"Host: {location.removesuffix(':80')}",
            *([] if body is None else [f"Content-Length: {len(body)}"]),
            *(f"{name}: {value}" for name, value in headers.items()),
            "\r\n",
        ]
        data = "\r\n".join(lines).encode() + (body or b"")
        # Of a GET the answer may be held back for seconds, and must not wait for content either.
        content = "" if body is None else url
        connection = self._used.get(content)
        if connection is not None and connection.takes_next:
            with suppress(Unanswered):
                return await connection.request(content, data)
        while (connection := self._take(location)) is not None:
            # The holder may have closed it, where we haven't heard of that yet.
            with suppress(Unanswered):
                return await self._ask(connection, content, data)
        endpoint = self._endpoints.endpointForURI(URI.fromBytes(url.encode()))
        made = endpoint.connect(_Factory(self, location))
        connection = cast(ContentConnection, await cast(Deferred[IProtocol], made))
        return await self._ask(connection, content, data)

    def _ask(self, connection: ContentConnection, content: str, data: bytes) -> Deferred[Answer]:
        if content:
            self._used[content] = connection
        return connection.request(content, data)

    async def close(self) -> None:
        """Close the unused connections; the others are closed by those who use them."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        idle = [connection for of_one in self._idle.values() for connection in of_one]
        self._idle.clear()
        await DeferredList([connection.close() for connection in idle])

    def put(self, connection: ContentConnection) -> None:
        """Keep a connection for the next request."""
        self._forget_use(connection)
        connection.used_at = self._clock.seconds()
        idle = self._idle.setdefault(connection.location, [])
        idle.append(connection)
        if len(idle) > IDLE_MAX:
            idle.pop(0).close()
        if self._timer is None:
            self._timer = self._clock.callLater(self._idle_time, self._close_old)

    def forget(self, connection: ContentConnection) -> None:
        """Forget a connection that is closed."""
        self._forget_use(connection)
        idle = self._idle.get(connection.location, [])
        if connection in idle:
            idle.remove(connection)
            if not idle:
                del self._idle[connection.location]

    def _forget_use(self, connection: ContentConnection) -> None:
        if self._used.get(connection.content) is connection:
            del self._used[connection.content]

    def _take(self, location: str) -> ContentConnection | None:
        """Return the connection to that location that was used last, if there is an unused one."""
        idle = self._idle.get(location)
        if not idle:
            return None
        connection = idle.pop()
        if not idle:
            del self._idle[location]
        return connection

    def _close_old(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        for of_one in list(self._idle.values()):
            for connection in of_one[:]:
                if connection.used_at + self._idle_time <= now:
                    self.forget(connection)
                    connection.close()
        first = min((idle[0].used_at for idle in self._idle.values()), default=None)
        if first is not None:
            wait = max(0.0, first + self._idle_time - now)
            self._timer = self._clock.callLater(wait, self._close_old)
