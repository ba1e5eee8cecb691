"""Tests of `p2ptwisted.client.transport`: where calls come from, and headers without end."""

from typing import cast

from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import URI

from p2ptwisted.client import transport
from p2ptwisted.client.transport import HEADERS_MAX, IClientReactor, NumericEndpoints
from p2ptwisted.model import Registration
from p2ptwisted.test.client.client_case import NODE, SUPERNODE, ClientCase
from p2ptwisted.test.node_fakes import Peer, log_lines, work

STATUS = b"HTTP/1.1 200 OK\r\n"
HEADER = b"X: " + b"x" * 995 + b"\r\n"


class SourceTests(SynchronousTestCase):
    """Which address a call comes from."""

    def source(self, from_loopback: bool, host: str) -> object:
        """The address that a connection to that host is bound to."""
        reactor = MemoryReactorClock()
        endpoints = NumericEndpoints(cast(IClientReactor, reactor), None, from_loopback)
        uri = URI.fromBytes(f"http://{host}:8000/".encode())
        endpoints.endpointForURI(uri).connect(Factory()).addErrback(lambda _: None)
        return reactor.tcpClients[-1][4]

    def test_own(self) -> None:
        """A member on this machine is called from loopback, whichever address it is called by."""
        self.patch(transport, "is_own", {"10.0.0.1", "127.0.0.1"}.__contains__)
        for host in ("10.0.0.1", "127.0.0.1"):
            self.assertEqual(self.source(True, host), ("127.0.0.1", 0))
        self.assertIsNone(self.source(True, "10.0.0.2"))
        self.assertIsNone(self.source(False, "10.0.0.1"))


class HeadersTests(ClientCase):
    """What comes before an answer's body is bounded in bytes."""

    def test_without_end(self) -> None:
        """Headers without end are read no further, and the connection is closed at once."""
        asked = self.call(self.client.health(NODE))
        peer = self.accept()
        peer.send(STATUS)
        for _ in range(HEADERS_MAX // len(HEADER)):
            peer.send(HEADER)
            self.assertNoResult(asked)
        peer.send(HEADER)
        self.assertIn(f"headers of more than {HEADERS_MAX} bytes", self.unavailable(asked))
        self.assertFalse(peer.is_open)

    def test_not_even_a_status(self) -> None:
        """Nor are answers that only say that there will be one."""
        asked = self.call(self.client.health(NODE))
        peer = self.accept()
        going_on = b"HTTP/1.1 102 Processing\r\n\r\n"
        with log_lines(LogLevel.info) as lines:
            for _ in range(HEADERS_MAX // len(going_on) + 1):
                self.assertNoResult(asked)
                peer.send(going_on)
        self.assertEqual(lines, [])
        self.assertIn("headers of more than", self.unavailable(asked))
        self.assertFalse(peer.is_open)

    def test_long(self) -> None:
        """Long ones with an end are taken, one answer after the other on the same connection."""
        body = b" " * 60_000
        answer = STATUS + HEADER * 60 + b"Content-Length: %d\r\n\r\n" % len(body) + body
        for again in range(3):
            well = self.call(self.client.is_well(NODE))
            if not again:
                peer = self.accept()
            peer.send(answer)
            self.assertIs(self.successResultOf(well), True)
        self.assertEqual(len(self.reactor.tcpClients), 1)

    def test_while_it_is_asked(self) -> None:
        """Headers without end that come before the request has left altogether end it as well."""
        registered = self.call(self.client.register(SUPERNODE, Registration(NODE, [])))
        _, _, factory, _, _ = self.reactor.tcpClients[-1]
        protocol = factory.buildProtocol(None)
        assert protocol is not None
        peer = Peer(self.reactor, protocol)
        peer.send(STATUS)
        while peer.is_open:
            self.assertNoResult(registered)
            peer.send(HEADER)
        work(self.reactor, 5)
        self.unavailable(registered)
