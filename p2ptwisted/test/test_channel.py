"""Tests of `p2ptwisted.web.channel`: slow clients and too many of them, in memory."""

import json
import resource
import socket
from http import HTTPStatus

from twisted.internet.interfaces import ISystemHandle
from twisted.internet.task import Clock
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from p2ptwisted.calls import IDLE
from p2ptwisted.test.node_fakes import Connection, Transport
from p2ptwisted.test.test_site import Echo
from p2ptwisted.web.limits import BODY_RATE, IDLE_LEAST, Limits, affordable
from p2ptwisted.web.site import LimitedSite

LIMITS = Limits(
    connections=4,
    connections_per_address=3,
    header_time=2.0,
    body_time=3.0,
    idle_time=40.0,
    stall_time=5.0,
)
HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"


class ChannelCase(SynchronousTestCase):
    """A site with tight limits."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.echo = Echo()
        self.site = LimitedSite(self.echo, 10_000_000, self.clock, LIMITS)

    def connect(self, host: str = "10.0.0.1") -> Connection:
        connection = Connection(self.site, self.clock, host)
        self.addCleanup(self.disconnect, connection)
        return connection

    def disconnect(self, connection: Connection) -> None:
        if connection.is_open:
            connection.vanish()

    def tearDown(self) -> None:
        self.clock.advance(0)

    def refusal(self, connection: Connection, status: HTTPStatus) -> str:
        """What the one answer says, which ends the connection."""
        answer = connection.take()
        self.assertEqual((answer.status, answer.headers["connection"]), (status.value, "close"))
        self.assertTrue(connection.has_ended)
        error = json.loads(answer.body)
        self.assertEqual((error["code"], error["name"]), (status.value, status.phrase))
        return str(error["description"])


class HeaderTests(ChannelCase):
    """How long a request's headers may take."""

    def test_nothing(self) -> None:
        """A client that connects and says nothing is dropped without a word."""
        connection = self.connect()
        self.clock.advance(LIMITS.header_time - 0.1)
        self.assertTrue(connection.is_open)
        self.clock.advance(0.1)
        self.assertFalse(connection.is_open)
        self.assertEqual(connection.received(), b"")

    def test_byte_by_byte(self) -> None:
        """However steadily they trickle, they have just that time, and then there is a 408."""
        connection = self.connect()
        for number in range(19):
            connection.send(HEAD[number : number + 1])
            self.clock.advance(0.1)
        self.assertEqual(connection.received(), b"")
        self.clock.advance(0.1)
        self.assertIn("2 s", self.refusal(connection, HTTPStatus.REQUEST_TIMEOUT))
        self.assertEqual(self.echo.bodies, [])

    def test_second_request(self) -> None:
        """So they have in a later request of the same connection, counted from its first byte."""
        connection = self.connect()
        connection.ask("GET", "/")
        connection.take()
        self.clock.advance(LIMITS.idle_time - 1)
        self.assertTrue(connection.is_open)
        connection.send(HEAD)
        self.clock.advance(LIMITS.header_time)
        self.refusal(connection, HTTPStatus.REQUEST_TIMEOUT)

    def test_behind_another(self) -> None:
        """So they have where a request's beginning came in one piece with the one before."""
        for path in "/", "/slow":
            connection = self.connect()
            connection.send(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode() + HEAD)
            if path == "/slow":
                self.clock.advance(1_000)
                self.echo.finish()
            for _ in range(19):
                connection.send(b"a")
                self.clock.advance(0.1)
            connection.take()
            self.clock.advance(0.1)
            self.refusal(connection, HTTPStatus.REQUEST_TIMEOUT)

    def test_answering_takes_its_time(self) -> None:
        """An answer that takes long is no fault of the client's."""
        connection = self.connect()
        connection.ask("GET", "/slow")
        self.clock.advance(1_000)
        self.echo.finish()
        self.assertEqual(connection.received()[-14:], b"at last\r\n0\r\n\r\n"[-14:])


class BodyTests(ChannelCase):
    """How slowly a request's body may come."""

    def begin(self, length: int) -> Connection:
        connection = self.connect()
        connection.send(HEAD + b"Content-Length: %d\r\n\r\n" % length)
        return connection

    def test_slow(self) -> None:
        """A body that grows by less than the least is refused, and no handler sees it."""
        connection = self.begin(1_000_000)
        grown = int(BODY_RATE * LIMITS.body_time)
        connection.send(bytes(grown))
        self.clock.advance(LIMITS.body_time)
        self.assertEqual(connection.received(), b"")
        connection.send(bytes(grown - 1))
        self.clock.advance(LIMITS.body_time)
        told = self.refusal(connection, HTTPStatus.REQUEST_TIMEOUT)
        self.assertIn(f"{BODY_RATE} bytes a second", told)
        self.assertEqual(self.echo.bodies, [])

    def test_steady(self) -> None:
        """One that comes with the least there is may take as long as it takes."""
        grown = int(BODY_RATE * LIMITS.body_time)
        connection = self.begin(20 * grown)
        for _ in range(20):
            self.clock.advance(LIMITS.body_time - 0.1)
            connection.send(bytes(grown))
            self.clock.advance(0.1)
        self.assertEqual(connection.take().body, b"got %d" % (20 * grown))

    def test_chunks(self) -> None:
        """Without a length it is the same."""
        connection = self.connect()
        connection.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            connection.send(b"1\r\nx\r\n")
            self.clock.advance(1)
        self.refusal(connection, HTTPStatus.REQUEST_TIMEOUT)


class CrowdTests(ChannelCase):
    """How many connections there may be."""

    def test_own_goes(self) -> None:
        """A client with too many loses the one that it has not used for the longest."""
        first, second, third = self.connect(), self.connect(), self.connect()
        first.ask("GET", "/")
        fourth = self.connect()
        open = [one.is_open for one in (first, second, third, fourth)]
        self.assertEqual(open, [True, False, True, True])

    def test_another_goes(self) -> None:
        """Where there are too many in all, the one goes that nobody has used for the longest."""
        first, *others = [self.connect(f"10.0.0.{number}") for number in range(5)]
        self.assertFalse(first.is_open)
        self.assertTrue(all(one.is_open for one in others))

    def test_all_busy(self) -> None:
        """Where all are being answered the next is told to come again, and none is cut."""
        busy = [self.connect() for _ in range(3)]
        for connection in busy:
            connection.ask("GET", "/slow")
        turned_away = self.connect()
        self.assertEqual(turned_away.take().headers["retry-after"], "1")
        self.assertFalse(turned_away.is_open)
        for connection in busy:
            self.echo.finish()
            self.assertEqual(connection.received()[:12], b"HTTP/1.1 200")
        self.assertTrue(self.connect().is_open)

    def test_behind_another_is_busy(self) -> None:
        """Nor is who has a request answered that came in one piece with the one before."""
        both = self.connect()
        both.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        both.take()
        for _ in range(3):
            self.connect()
        self.assertTrue(both.is_open)
        self.echo.finish()
        self.assertEqual(both.received()[:12], b"HTTP/1.1 200")

    def test_trickling_is_busy(self) -> None:
        """Who has begun to ask is not idle: a slow request is not lost to a crowd."""
        slow = self.connect()
        slow.send(HEAD)
        for _ in range(3):
            self.connect()
        slow.send(b"Content-Length: 0\r\n\r\n")
        self.assertEqual(slow.take().body, b"got 0")

    def test_gone(self) -> None:
        """Who has gone makes room."""
        connections = [self.connect() for _ in range(3)]
        for connection in connections:
            connection.ask("GET", "/slow")
        connections[0].vanish()
        self.assertTrue(self.connect().is_open)


@implementer(ISystemHandle)
class WithHandle(Transport):
    """A transport of a socket that notes its options."""

    def __init__(self, clock: Clock, protocol: object) -> None:
        super().__init__(clock, protocol)  # type: ignore[arg-type]
        self.options: list[tuple[int, int, int]] = []

    def getHandle(self) -> "WithHandle":
        return self

    def setsockopt(self, level: int, option: int, value: int) -> None:
        self.options.append((level, option, value))


class SocketTests(ChannelCase):
    """What the kernel is told."""

    def test_stall(self) -> None:
        """After how long it gives up a client that takes nothing."""
        channel = self.site.buildProtocol(self.connect().transport.getPeer())
        transport = WithHandle(self.clock, channel)
        channel.makeConnection(transport)
        self.addCleanup(transport.loseConnection)
        stall = (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 5_000)
        self.assertEqual(transport.options, [stall])

    def test_stall_below_tls(self) -> None:
        """TLS has a handle of its own, which knows no such option; the socket is below it."""

        class Secured(ProtocolWrapper):
            def getHandle(self) -> object:
                return object()

        channel = self.site.buildProtocol(self.connect().transport.getPeer())
        secured = Secured(WrappingFactory(self.site), channel)
        transport = WithHandle(self.clock, secured)
        secured.makeConnection(transport)
        self.addCleanup(transport.loseConnection)
        self.assertEqual(len(transport.options), 1)


class LimitsTests(SynchronousTestCase):
    """The figures."""

    def test_idle(self) -> None:
        """Members drop their connections before any server may."""
        self.assertGreater(IDLE_LEAST, IDLE)

    def test_affordable(self) -> None:
        """There are never more connections than a part of what the process may open."""
        self.patch(resource, "getrlimit", lambda _: (1_000, 1_000))
        self.assertEqual([affordable(500), affordable(10_000)], [500, 750])
