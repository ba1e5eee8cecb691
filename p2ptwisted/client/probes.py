"""Whether TLS or plain HTTP is spoken somewhere, by whomever: for saying why a call failed."""

from typing import cast

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.interfaces import (
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IStreamClientEndpoint,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from p2ptwisted.client.transport import IClientReactor
from p2ptwisted.security.tls import tls_context
from p2ptwisted.support.locations import parse_location

#: Seconds for connecting and for the answer together.
PROBE_TIMEOUT = 2.0


async def speaks_tls(reactor: IClientReactor, location: str) -> bool:
    """
    Whether a TLS handshake succeeds there, with whatever certificate.

    Nothing is sent after it. Never raises.
    """
    endpoint = wrapClientTLS(_AnyServer(), _plain(reactor, location), reactor)
    return await _result(reactor, endpoint, _TlsProbe())


async def speaks_http(reactor: IClientReactor, location: str) -> bool:
    """Whether a request in plain HTTP has an answer there, whatever it is. Never raises."""
    return await _result(reactor, _plain(reactor, location), _HttpProbe())


def _plain(reactor: IClientReactor, location: str) -> TCP4ClientEndpoint:
    host, port = parse_location(location)
    return TCP4ClientEndpoint(reactor, host, port, timeout=PROBE_TIMEOUT)


async def _result(
    reactor: IClientReactor, endpoint: IStreamClientEndpoint, probe: "_Probe"
) -> bool:
    connecting = connectProtocol(endpoint, probe)
    connecting.addErrback(lambda _: probe.end(False))
    timer = reactor.callLater(PROBE_TIMEOUT, probe.end, False)
    try:
        return await probe.result
    finally:
        if timer.active():
            timer.cancel()
        connecting.cancel()
        if probe.transport is not None:
            cast(ITCPTransport, probe.transport).abortConnection()


class _Probe(Protocol):
    """A connection that is closed when its question is answered."""

    def __init__(self) -> None:
        self.result: Deferred[bool] = Deferred()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.end(False)

    def end(self, result: bool) -> None:
        """Say how it went, unless that is known."""
        if not self.result.called:
            self.result.callback(result)


@implementer(IHandshakeListener)
class _TlsProbe(_Probe):
    """Asks whether a handshake succeeds."""

    def handshakeCompleted(self) -> None:
        self.end(True)


class _HttpProbe(_Probe):
    """Asks whether an answer begins as those of HTTP do."""

    _BEGINNING = b"HTTP/"

    def connectionMade(self) -> None:
        self._read = b""
        cast(ITCPTransport, self.transport).write(b"HEAD / HTTP/1.0\r\n\r\n")

    def dataReceived(self, data: bytes) -> None:
        self._read += data[: len(self._BEGINNING)]
        if len(self._read) >= len(self._BEGINNING):
            self.end(self._read.startswith(self._BEGINNING))


@implementer(IOpenSSLClientConnectionCreator)
class _AnyServer:
    """Creates TLS connections on which no certificate is checked."""

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        context = tls_context(SSL.TLS_CLIENT_METHOD)
        context.set_verify(SSL.VERIFY_NONE, lambda *_: True)
        return SSL.Connection(context)
