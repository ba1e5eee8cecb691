"""
`twisted.web._newclient` and `HTTPConnectionPool`'s choice of a protocol.

What a client does with it is in `p2ptwisted.client`.
"""

from typing import cast

from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, Logger
from twisted.python.failure import Failure
from twisted.web._newclient import HEADER, STATUS, HTTP11ClientProtocol, ParseError, Request
from twisted.web.client import HTTPConnectionPool
from twisted.web.iweb import IResponse

__all__ = ["ExposedClientProtocol", "ParseError", "Request", "pool_class"]

#: Logs nothing.
_silent = Logger(observer=cast(ILogObserver, lambda event: None))


class ExposedClientProtocol(HTTP11ClientProtocol):
    """
    Twisted's client side of a connection, with its state in public.

    Missing in Twisted: a limit for the headers of an answer, and public names for
    this class, for the Request that it is given, and for the error of what is no HTTP.
    """

    def request(self, request: Request) -> Deferred[IResponse]:
        """Send a request; its answer's parser logs nothing."""
        requested = super().request(request)
        if self._parser is not None:
            # Missing: a way to silence it. It logs a line for every "102 Processing".
            self._parser._log = _silent
        return requested

    @property
    def is_reading_headers(self) -> bool:
        """Whether an answer's status line or headers are incomplete."""
        # Missing: any public sign of it; `state` tells only about the connection.
        parser = self._parser
        return parser is not None and parser.state in (STATUS, HEADER)

    def fail_request(self, reason: Failure) -> None:
        """
        Have the request under way fail with `reason`.

        While the request is still being sent, this does nothing: it fails when
        its connection is closed.
        """
        # Missing: abort() gives no reason, and fails a request only with ConnectionAborted.
        if self.state == "WAITING":
            self._disconnectParser(reason)


# Missing in Twisted: a public way to choose the protocol of a pool's connections.
class _Factory(HTTPConnectionPool._factory):  # type: ignore[misc, valid-type]
    # Twisted's logs two lines for every connection.
    noisy = False
    protocol_class: type[HTTP11ClientProtocol]

    def buildProtocol(self, addr: object) -> HTTP11ClientProtocol:
        return self.protocol_class(self._quiescentCallback)


def pool_class(protocol: type[HTTP11ClientProtocol]) -> type[HTTPConnectionPool]:
    """Return a class of pools whose connections speak `protocol`."""
    factory = type("ProtocolFactory", (_Factory,), {"protocol_class": protocol})
    return type("ProtocolPool", (HTTPConnectionPool,), {"_factory": factory})
