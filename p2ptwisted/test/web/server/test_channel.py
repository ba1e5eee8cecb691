"""Tests of `p2ptwisted.web.server.channel`: slow, greedy and too many clients, in memory."""

import json
import resource
import socket
from collections.abc import Iterable
from http import HTTPStatus

from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IProtocol,
    ISSLTransport,
    ISystemHandle,
)
from twisted.internet.task import Clock
from twisted.logger import LogLevel
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides, implementer
from zope.interface.verify import verifyObject

from p2ptwisted.client.transport import POOL_IDLE_TIMEOUT
from p2ptwisted.test import node_fakes
from p2ptwisted.test.node_fakes import Connection, Transport, log_lines
from p2ptwisted.test.web.server.test_site import Echo
from p2ptwisted.web.server.channel import CLOSE_TIMEOUT
from p2ptwisted.web.server.pipelining import REQUESTS_PER_TURN
from p2ptwisted.web.server.settings import (
    BODY_RATE_MIN,
    IDLE_TIME_MIN,
    ServerSettings,
    limited_by_descriptors,
)
from p2ptwisted.web.server.site import CANDIDATES_MAX, LimitedSite

LIMITS = ServerSettings(
    connections=4,
    connections_per_address=3,
    header_time=2.0,
    body_time=3.0,
    idle_time=40.0,
    stall_time=5.0,
)
HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
SLOW = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"


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

    def test_no_line(self) -> None:
        """Nor does it leave a line in the log, which anybody could fill a disk with."""
        with log_lines(*LogLevel.iterconstants()) as lines:
            self.connect()
            slow = self.connect()
            slow.send(HEAD)
            self.clock.advance(1_000)
        self.assertEqual(lines, [])

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
        grown = int(BODY_RATE_MIN * LIMITS.body_time)
        connection.send(bytes(grown))
        self.clock.advance(LIMITS.body_time)
        self.assertEqual(connection.received(), b"")
        connection.send(bytes(grown - 1))
        self.clock.advance(LIMITS.body_time)
        told = self.refusal(connection, HTTPStatus.REQUEST_TIMEOUT)
        self.assertIn(f"{BODY_RATE_MIN} bytes a second", told)
        self.assertEqual(self.echo.bodies, [])

    def test_steady(self) -> None:
        """One that comes with the least there is may take as long as it takes."""
        grown = int(BODY_RATE_MIN * LIMITS.body_time)
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


class Small(Transport):
    """A transport that is full when it has ROOM bytes."""

    ROOM = 1_000
    full = False

    def write(self, data: bytes) -> None:
        super().write(data)
        if self.producer is not None and not self.full and len(self.value()) > self.ROOM:
            self.full = True
            self.producer.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def take_all(self) -> bytes:
        """The client takes what there is."""
        taken = bytes(self.value())
        self.clear()
        if self.full:
            self.full = False
            assert self.producer is not None
            self.producer.resumeProducing()
        return taken


class PipelineCase(ChannelCase):
    """Connections with several requests."""

    def small(self) -> tuple[Connection, Small]:
        """A connection with little room for answers."""
        self.patch(node_fakes, "Transport", Small)
        connection = self.connect()
        transport = connection.transport
        assert isinstance(transport, Small)
        return connection, transport

    def answers(self, taken: bytes) -> int:
        return taken.count(b"HTTP/1.1 200")


class PipelineTests(PipelineCase):
    """Requests that come before the answers to those before them are taken."""

    def test_full(self) -> None:
        """Where there is no room for the answers no more requests are read, until there is."""
        connection, transport = self.small()
        connection.send(GET * 50)
        answered = 0
        while answered < 50:
            self.clock.advance(0)
            self.clock.advance(0)
            self.assertLess(len(transport.value()), Small.ROOM + 500)
            if transport.full:
                self.assertEqual(transport.producerState, "paused")
            count = self.answers(transport.take_all())
            self.assertGreater(count, 0)
            answered += count
        self.clock.advance(0)
        self.assertEqual(transport.producerState, "producing")
        self.clock.advance(LIMITS.idle_time)
        self.assertFalse(connection.is_open)
        self.assertEqual(len(self.echo.bodies), 50)

    def test_full_for_long(self) -> None:
        """That the client has yet to take what it asked for is no slowness of its requests."""
        connection, transport = self.small()
        connection.send(GET * 50 + HEAD)
        self.clock.advance(0)
        self.assertTrue(transport.full)
        self.clock.advance(1_000)
        while transport.full:
            transport.take_all()
            self.clock.advance(0)
            self.clock.advance(0)
        self.assertEqual(len(self.echo.bodies), 50)
        transport.take_all()
        self.clock.advance(LIMITS.header_time)
        self.refusal(connection, HTTPStatus.REQUEST_TIMEOUT)

    def test_turns(self) -> None:
        """However many came in one read, in each turn of the reactor only some are answered."""
        connection = self.connect()
        seen = []

        def look() -> None:
            seen.append((len(self.echo.bodies), connection.transport.producerState))
            if len(seen) < 3:
                self.clock.callLater(0, look)

        self.clock.callLater(0, look)
        connection.send(GET * (2 * REQUESTS_PER_TURN + 1))
        self.clock.advance(0)
        counts = [REQUESTS_PER_TURN, 2 * REQUESTS_PER_TURN, 2 * REQUESTS_PER_TURN + 1]
        self.assertEqual(seen, list(zip(counts, ["paused", "paused", "producing"], strict=True)))
        self.clock.advance(LIMITS.idle_time - 1)
        connection.send(GET)
        self.assertEqual(self.answers(connection.received()), 2 * REQUESTS_PER_TURN + 2)

    def test_just_a_turn(self) -> None:
        """Whether it was just a turn's or one more, the connection is idle then, and hears more."""
        for count in (REQUESTS_PER_TURN, REQUESTS_PER_TURN + 1):
            connection = self.connect()
            connection.send(GET * count)
            self.clock.advance(0)
            self.clock.advance(LIMITS.idle_time - 1)
            connection.send(GET)
            self.assertEqual(self.answers(connection.received()), count + 1)
            self.clock.advance(LIMITS.idle_time)
            self.assertFalse(connection.is_open)

    def test_behind_slow_ones(self) -> None:
        """The same behind answers that take their time, each of which begins a turn."""
        connection = self.connect()
        connection.send((SLOW + GET * REQUESTS_PER_TURN * 2) * 2)
        for done in (1, 2):
            self.echo.finish()
            self.assertLess(len(self.echo.bodies), done * (2 * REQUESTS_PER_TURN + 1))
            for _ in range(4):
                self.clock.advance(0)
        self.assertEqual(self.answers(connection.received()), 2 + 4 * REQUESTS_PER_TURN)

    def test_behind_one_not_taken(self) -> None:
        """Behind an answer that is not taken not more than a bit of what comes is read."""
        connection, transport = self.small()
        connection.send(SLOW)
        self.echo.waiting[0].write(bytes(2 * Small.ROOM))
        self.assertEqual(transport.producerState, "producing")
        connection.send(GET)
        self.assertEqual(transport.producerState, "paused")
        self.echo.finish()
        transport.take_all()
        self.clock.advance(0)
        self.assertEqual(transport.producerState, "producing")
        self.assertEqual(self.answers(transport.take_all()), 1)

    def test_gone(self) -> None:
        """A client that goes in between leaves nothing to do."""
        connection = self.connect()
        connection.send(GET * 100)
        connection.vanish()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopping(self) -> None:
        """What is still to be read when the site stops is not begun any more."""
        connection = self.connect()
        connection.send(GET * 100)
        closed = self.site.close()
        self.clock.advance(0)
        self.clock.advance(0)
        self.assertEqual(len(self.echo.bodies), REQUESTS_PER_TURN)
        self.successResultOf(closed)
        self.assertFalse(connection.is_open)


class TakingTests(ChannelCase):
    """How long an answer may take to be taken."""

    def test_full(self) -> None:
        """For as long as the client takes something: it is busy meanwhile, and idle then."""
        steady = self.connect()
        steady.send(SLOW)
        steady.congest()
        self.echo.finish()
        for _ in range(3):
            self.clock.advance(LIMITS.idle_time)
            for _ in range(3):
                self.connect()
            self.assertTrue(steady.is_open)
        steady.flow()
        self.clock.advance(LIMITS.idle_time - 1)
        self.assertTrue(steady.is_open)
        self.clock.advance(1)
        self.assertFalse(steady.is_open)

    def test_rest(self) -> None:
        """The same where less is left than makes a connection full."""
        steady = self.connect()
        steady.ask("GET", "/")
        self.leave(steady, b"some")
        for _ in range(3):
            self.clock.advance(LIMITS.idle_time)
            self.assertTrue(steady.is_open)
        self.leave(steady, b"")
        self.clock.advance(LIMITS.idle_time)
        self.assertFalse(steady.is_open)

    def test_last_answer(self) -> None:
        """The same for the last answer of a connection; but who won't close it is cut off."""
        steady = self.connect()
        # As a socket that has something left to send, or TLS whose other side must close, too.
        self.patch(steady.transport, "loseConnection", lambda: None)
        steady.ask("GET", "/", {"Connection": "close"})
        self.leave(steady, b"some")
        for _ in range(3):
            self.clock.advance(LIMITS.idle_time)
            self.assertTrue(steady.is_open)
        self.leave(steady, b"")
        self.clock.advance(LIMITS.idle_time)
        self.assertTrue(steady.transport.aborted)

    def test_does_not_close(self) -> None:
        """So is who won't close an idle one."""
        idle = self.connect()
        self.patch(idle.transport, "loseConnection", lambda: None)
        self.clock.advance(LIMITS.header_time)
        self.clock.advance(CLOSE_TIMEOUT)
        self.assertTrue(idle.transport.aborted)

    def test_crowd(self) -> None:
        """Who still takes an answer does not make room for others: another does."""
        first, second, third = self.connect(), self.connect(), self.connect()
        for connection in (first, third):
            self.leave(connection, b"some")
        self.connect()
        self.assertEqual([one.is_open for one in (first, second, third)], [True, False, True])

    def test_crowd_of_takers(self) -> None:
        """Where all do, the next is told to come again, and nothing is cut."""
        limits = ServerSettings(
            connections=2 * CANDIDATES_MAX, connections_per_address=2 * CANDIDATES_MAX
        )
        self.site = LimitedSite(self.echo, 1_000, self.clock, limits)
        takers = [self.connect() for _ in range(2 * CANDIDATES_MAX)]
        for connection in takers:
            self.leave(connection, b"some")
        for _ in range(2):
            self.assertEqual(self.connect().take().status, 503)
        self.assertTrue(all(connection.is_open for connection in takers))
        self.leave(takers[3], b"")
        self.assertTrue(self.connect().is_open)
        self.assertFalse(takers[3].is_open)

    def leave(self, connection: Connection, data: bytes) -> None:
        """The kernel has not taken so much of what was said to that client."""
        connection.transport.dataBuffer = data  # type: ignore[attr-defined]


class HalfClosedTests(PipelineCase):
    """A client that closes its side behind its requests, as `nc -N` does."""

    def test_interface(self) -> None:
        """Twisted is told that there is more than the whole connection to lose."""
        channel = self.site.buildProtocol(None)
        verifyObject(IHalfCloseableProtocol, channel)
        channel.writeConnectionLost()

    def test_idle(self) -> None:
        """Where all is answered, or nothing was asked, the connection ends at once."""
        for sent in (b"", GET):
            connection = self.connect()
            connection.send(sent)
            connection.close_write()
            self.assertFalse(connection.is_open)

    def test_waits(self) -> None:
        """What was asked before is answered, however long it takes; then the connection ends."""
        connection = self.connect()
        connection.send(SLOW)
        for _ in range(2):
            # Twisted says so again, where it reads again for any reason.
            connection.close_write()
        self.clock.advance(1_000)
        self.assertTrue(connection.is_open)
        self.echo.finish()
        self.assertIn(b"at last", connection.received())
        self.assertFalse(connection.is_open)

    def test_close_asked_for(self) -> None:
        """Nothing differs where the client has asked for the end, too."""
        connection = self.connect()
        connection.send(SLOW.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        connection.close_write()
        self.echo.finish()
        self.assertIn(b"at last", connection.received())
        self.assertFalse(connection.is_open)

    def test_behind_another(self) -> None:
        """So are those that came behind it, be they many or slow, and a beginning is dropped."""
        for count, rest in ((1, b""), (3 * REQUESTS_PER_TURN, b""), (REQUESTS_PER_TURN, HEAD)):
            connection = self.connect()
            connection.send(SLOW + GET * count + SLOW + GET * count + rest)
            connection.close_write()
            for _ in range(2):
                self.assertTrue(connection.is_open)
                self.echo.finish()
                for _ in range(5):
                    self.clock.advance(0)
            self.assertEqual(self.answers(connection.received()), 2 + 2 * count)
            self.assertEqual(connection.received().count(b"HTTP/1.1"), 2 + 2 * count)
            self.assertFalse(connection.is_open)

    def test_many_at_once(self) -> None:
        """So are more than are answered in one turn of the reactor."""
        connection = self.connect()
        connection.send(GET * (2 * REQUESTS_PER_TURN + 1))
        connection.close_write()
        for _ in range(3):
            self.clock.advance(0)
        self.assertEqual(self.answers(connection.received()), 2 * REQUESTS_PER_TURN + 1)
        self.assertFalse(connection.is_open)

    def test_full(self) -> None:
        """So are those for whose answers there is no room at first."""
        connection, transport = self.small()
        connection.send(GET * 50)
        connection.close_write()
        answered = 0
        for _ in range(50):
            self.clock.advance(0)
            self.clock.advance(0)
            answered += self.answers(transport.take_all())
        self.assertEqual(answered, 50)
        self.assertFalse(connection.is_open)

    def test_incomplete(self) -> None:
        """A request whose rest can't come any more ends the connection without a word."""
        for sent in (b"GET", HEAD, HEAD + b"Content-Length: 9\r\n\r\nbody"):
            connection = self.connect()
            connection.send(sent)
            connection.close_write()
            self.assertFalse(connection.is_open)
            self.assertEqual(connection.received(), b"")
        self.assertEqual(self.echo.bodies, [])

    def test_refused(self) -> None:
        """A refusal, after which our side is closed, is the end."""
        connection = self.connect()
        connection.send(b"nonsense\r\n\r\n")
        self.assertTrue(connection.is_open)
        connection.close_write()
        self.refusal(connection, HTTPStatus.BAD_REQUEST)
        self.assertFalse(connection.is_open)

    def test_takes_nothing(self) -> None:
        """A client that takes the answer has the time it needs; one that doesn't is dropped."""

        class Unsent(Transport):
            """A socket that still has to send when it is closed."""

            dataBuffer = b"rest"

            def loseConnection(self) -> None:
                self.disconnecting = True

        self.patch(node_fakes, "Transport", Unsent)
        connection = self.connect()
        connection.send(GET)
        connection.close_write()
        self.clock.advance(10 * LIMITS.idle_time)
        self.assertTrue(connection.is_open)
        self.patch(Unsent, "dataBuffer", b"")
        self.clock.advance(LIMITS.idle_time)
        self.assertTrue(connection.transport.aborted)


class SecuredTests(ChannelCase):
    """What is other over TLS, of which one half can't be closed alone."""

    def secured(self) -> Connection:
        class Secured(Transport):
            def __init__(self, clock: Clock, protocol: IProtocol, peer: str) -> None:
                super().__init__(clock, protocol, peer)
                alsoProvides(self, ISSLTransport)

            def setTcpNoDelay(self, enabled: bool) -> None:
                """Not in memory."""

            def loseWriteConnection(self) -> None:
                raise AssertionError("that would cut the TCP below")

        self.patch(node_fakes, "Transport", Secured)
        return self.connect()

    def test_refused(self) -> None:
        """A refusal comes whole, and then the end."""
        connection = self.secured()
        connection.send(b"nonsense\r\n\r\n")
        self.refusal(connection, HTTPStatus.BAD_REQUEST)
        self.assertFalse(connection.is_open)

    def test_no_room(self) -> None:
        """Who finds no room is cut off: a 503 would wait for a handshake, which may never come."""
        for _ in range(3):
            self.connect().ask("GET", "/slow")
        turned_away = self.secured()
        self.assertTrue(turned_away.transport.aborted)
        self.assertEqual(turned_away.received(), b"")


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
        self.assertGreater(IDLE_TIME_MIN, POOL_IDLE_TIMEOUT)

    def test_affordable(self) -> None:
        """There are never more connections than a part of what the process may open."""
        self.patch(resource, "getrlimit", lambda _: (1_000, 1_000))
        most = [
            limited_by_descriptors(ServerSettings(connections=some)).connections
            for some in (500, 10_000)
        ]
        self.assertEqual(most, [500, 750])

    def test_affordable_of_address(self) -> None:
        """Where there are fewer than was asked for, so there are of one address; but one."""
        self.patch(resource, "getrlimit", lambda _: (1_000, 1_000))
        for asked, given in [(10_000, 750), (1_000, 75), (1, 1)]:
            limits = limited_by_descriptors(ServerSettings(10_000, asked))
            self.assertEqual(limits.connections_per_address, given)
        self.assertEqual(
            limited_by_descriptors(ServerSettings(500, 100)).connections_per_address, 100
        )
