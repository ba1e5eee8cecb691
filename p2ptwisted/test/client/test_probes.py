"""Tests of `p2ptwisted.client.probes`."""

from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IProtocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.client.probes import PROBE_TIMEOUT, speaks_http, speaks_tls
from p2ptwisted.client.transport import IClientReactor


class _Transport(StringTransport):
    def abortConnection(self) -> None:
        self.loseConnection()


class ProbeTests(SynchronousTestCase):
    """A look at what is spoken somewhere. (That TLS is found, system tests show.)"""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()

    def begin(self, tls: bool = False) -> Deferred[bool]:
        asked = speaks_tls if tls else speaks_http
        coroutine = asked(cast(IClientReactor, self.reactor), "10.0.0.1:5000")
        return Deferred.fromCoroutine(coroutine)

    def accept(self) -> tuple[IProtocol, _Transport]:
        protocol = self.reactor.tcpClients[-1][2].buildProtocol(None)
        assert protocol is not None
        transport = _Transport()
        protocol.makeConnection(transport)
        return protocol, transport

    def test_http(self) -> None:
        """Any answer of HTTP counts, however it comes in parts, and nothing else does."""
        for answer, expected in ((b"HTTP/1.1 404 No", True), (b"SSH-2.0-x", False)):
            asked = self.begin()
            protocol, transport = self.accept()
            self.assertIn(b"HTTP/1.0", transport.value())
            for number in range(len(answer)):
                if not asked.called:
                    protocol.dataReceived(answer[number : number + 1])
            self.assertIs(self.successResultOf(asked), expected)
            self.assertTrue(transport.disconnecting)

    def test_nothing_there(self) -> None:
        """Where nothing listens, or nothing is said in time, neither is spoken."""
        for tls in (False, True):
            asked = self.begin(tls)
            connector = self.reactor.connectors[-1]
            factory = self.reactor.tcpClients[-1][2]
            factory.clientConnectionFailed(connector, Failure(ConnectionRefusedError()))
            self.assertIs(self.successResultOf(asked), False)
            asked = self.begin(tls)
            self.reactor.advance(PROBE_TIMEOUT)
            self.assertIs(self.successResultOf(asked), False)
            self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_plain(self) -> None:
        """One that closes the connection upon a handshake speaks no TLS."""
        asked = self.begin(tls=True)
        protocol, _ = self.accept()
        protocol.connectionLost(Failure(ConnectionRefusedError()))
        self.assertIs(self.successResultOf(asked), False)
