"""TLS in memory, between a client of ours and any server."""

from typing import Any, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import (
    IOpenSSLServerConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, connect
from zope.interface import implementer

from p2ptwisted.security.tls import TrustedAuthority

SAID = b"what only the host may read"


class Talker(Protocol):
    """Says something at once, as a client does, and keeps what it hears."""

    def __init__(self) -> None:
        self.heard = b""
        self.lost: BaseException | None = None

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(SAID)

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason.value


@implementer(IStreamClientEndpoint)
class InMemory:
    """Leads to a server in memory."""

    def __init__(self, server: IOpenSSLServerConnectionCreator, clock: Clock) -> None:
        self._clock = clock
        self.talker = Talker()
        factory = Factory.forProtocol(lambda: self.talker)
        self._factory = TLSMemoryBIOFactory(server, False, factory, clock=clock)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        client: Any = protocolFactory.buildProtocol(cast(Any, None))
        server: Any = self._factory.buildProtocol(cast(Any, None))
        transports = FakeTransport(server, True), FakeTransport(client, False)
        connect(server, transports[0], client, transports[1], clock=self._clock).flush()
        return succeed(client)


def shake_hands(
    authority: TrustedAuthority, server: IOpenSSLServerConnectionCreator, address: str
) -> tuple[Talker, Talker]:
    """What becomes of a call to a server: the client, and the server."""
    clock, client = Clock(), Talker()
    plain = InMemory(server, clock)
    called = authority.secured(address, plain, clock).connect(Factory.forProtocol(lambda: client))
    # Of a connection that was refused at once nobody wants the outcome.
    called.addErrback(lambda _: None)
    return client, plain.talker
