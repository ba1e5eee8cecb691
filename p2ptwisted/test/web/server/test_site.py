"""Tests of `p2ptwisted.web.server.site`: connections in memory, and a reactor that only listens."""

import json
from http import HTTPStatus
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import ServerFactory
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from p2ptwisted.errors import StartError
from p2ptwisted.support.lifecycle import STOP_GRACE
from p2ptwisted.support.locations import Location
from p2ptwisted.test.node_fakes import Answer, Connection, open_descriptors
from p2ptwisted.web.server import channel, site
from p2ptwisted.web.server.listener import WebService
from p2ptwisted.web.server.request_body import BodyBudget, BodyChannel
from p2ptwisted.web.server.settings import ServerSettings
from p2ptwisted.web.server.site import LimitedSite

BODY_MAX = 1_000
#: Bytes; a small stand-in for the site's own.
DISCARDED_MAX = 16_000
TOO_LARGE = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class Echo(Resource):
    """Tells how many bytes it got, or waits until it is told to answer."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[bytes] = []
        self.arguments: object = None
        self.waiting: list[Request] = []

    def render(self, request: Request) -> bytes | int:
        assert request.content is not None
        self.arguments = request.args
        self.bodies.append(request.content.read())
        if request.path == b"/slow":
            self.waiting.append(request)
            return NOT_DONE_YET
        return b"got %d" % len(self.bodies[-1])

    def finish(self) -> None:
        """Answer one that waits."""
        request = self.waiting.pop(0)
        request.write(b"at last")
        request.finish()


class SiteCase(SynchronousTestCase):
    """A site, and connections to it."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.echo = Echo()
        self.site = LimitedSite(self.echo, BODY_MAX, self.clock)
        self.patch(channel, "DISCARDED_MAX", DISCARDED_MAX)
        self.connections: list[Connection] = []
        self.addCleanup(self.disconnect)

    def connect(self) -> Connection:
        self.connections.append(Connection(self.site, self.clock))
        return self.connections[-1]

    def disconnect(self) -> None:
        for connection in self.connections:
            if connection.is_open and not connection.refused:
                connection.vanish()
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def refusal(self, answer: Answer, status: HTTPStatus) -> str:
        """What an error says, whose form is checked."""
        error = json.loads(answer.body)
        self.assertEqual((answer.status, error["code"]), (status.value, status.value))
        self.assertEqual(error["name"], status.phrase)
        self.assertEqual(answer.headers["content-type"], "application/json")
        return str(error["description"])


class BodyTests(SiteCase):
    """How large a request's body may be."""

    head = b"POST / HTTP/1.1\r\nHost: a\r\n"

    def chunked(self, *chunks: bytes) -> bytes:
        parts = [b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks]
        return b"".join([self.head, b"Transfer-Encoding: chunked\r\n\r\n", *parts, b"0\r\n\r\n"])

    def with_length(self, body: bytes) -> bytes:
        return self.head + b"Content-Length: %d\r\n\r\n" % len(body) + body

    def in_pieces(self, connection: Connection, data: bytes) -> None:
        """Send it in small pieces, as long as the other end listens."""
        for start in range(0, len(data), 97):
            if connection.is_open:
                connection.send(data[start : start + 97])

    def test_largest(self) -> None:
        """A body of just the limit is taken, however it comes."""
        body = bytes(BODY_MAX)
        for data in (self.with_length(body), self.chunked(body), self.chunked(body[1:], b"x")):
            for send in (Connection.send, self.in_pieces):
                connection = self.connect()
                send(connection, data)
                self.assertEqual(connection.take().body, b"got %d" % BODY_MAX)
                self.assertTrue(connection.is_open)

    def test_too_large(self) -> None:
        """One byte more: 413 as JSON that tells the limit, and no handler ever sees the body."""
        body = bytes(BODY_MAX + 1)
        for data in (self.with_length(body), self.chunked(body), self.chunked(body[1:], b"x")):
            for send in (Connection.send, self.in_pieces):
                connection = self.connect()
                send(connection, data)
                answer = connection.take()
                self.assertIn(str(BODY_MAX), self.refusal(answer, TOO_LARGE))
                self.assertEqual(answer.headers["connection"], "close")
                self.assertTrue(connection.has_ended)
        self.assertEqual(self.echo.bodies, [])

    def test_told(self) -> None:
        """A length over the limit is answered before anything of the body has come."""
        connection = self.connect()
        length = b"Content-Length: %d\r\n" % (BODY_MAX + 1)
        connection.send(self.head + b"Expect: 100-continue\r\n" + length + b"\r\n")
        self.refusal(connection.take(), TOO_LARGE)
        self.assertTrue(connection.has_ended)

    def test_passed(self) -> None:
        """Without a length it is as soon as the limit is passed."""
        connection = self.connect()
        connection.send(self.head + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(BODY_MAX):
            connection.send(b"1\r\nx\r\n")
        self.assertEqual(connection.received(), b"")
        connection.send(b"1\r\nx\r\n")
        self.refusal(connection.take(), TOO_LARGE)
        connection.send(b"no chunk\r\n0\r\n\r\n")
        self.assertEqual((connection.received(), self.echo.bodies), (b"", []))

    def test_time(self) -> None:
        """Who is refused so gets Limits.idle_time to read it, whatever he goes on to send."""
        connection = self.connect()
        connection.send(self.head + b"Content-Length: 99999999\r\n\r\n")
        for _ in range(10):
            self.assertTrue(connection.is_open)
            self.clock.advance(ServerSettings.idle_time / 10)
            if connection.is_open:
                connection.send(b"more")
        self.assertFalse(connection.is_open)

    def test_patience(self) -> None:
        """Some more of it is read and thrown away, so that the sender gets to read the answer."""
        self.patch(channel, "DISCARDED_MAX", 20_000)
        for make in (self.with_length, self.chunked):
            connection = self.connect()
            self.in_pieces(connection, make(bytes(20_000)))
            self.refusal(connection.take(), TOO_LARGE)

    def test_no_end(self) -> None:
        """A sender who goes on and on is cut off, without waiting for the end."""
        self.patch(channel, "DISCARDED_MAX", 20_000)
        sent = bytes(20_001)
        for data in (
            self.head + b"Content-Length: 99999999\r\n\r\n" + sent,
            self.chunked(sent).removesuffix(b"0\r\n\r\n"),
        ):
            for send in (Connection.send, self.in_pieces):
                connection = self.connect()
                send(connection, data)
                self.assertFalse(connection.is_open)
        self.assertEqual(self.echo.bodies, [])

    def test_next_request(self) -> None:
        """What was sent behind a body that is too large is not done: the connection ends there."""
        connection = self.connect()
        connection.send(self.with_length(bytes(BODY_MAX + 1)) + self.with_length(b"again"))
        self.refusal(connection.take(), TOO_LARGE)
        self.clock.advance(0)
        self.assertEqual(self.echo.bodies, [])

    def test_each_by_itself(self) -> None:
        """The limit is for each request, not for all on one connection."""
        connection = self.connect()
        for _ in range(3):
            connection.send(self.with_length(bytes(BODY_MAX)))
            self.assertEqual(connection.take().body, b"got %d" % BODY_MAX)

    def test_form(self) -> None:
        """A form's body is not taken apart by the server: routes take JSON."""
        connection = self.connect()
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        connection.ask("POST", "/", form, b"a=1&b=2")
        self.assertEqual(connection.take().body, b"got 7")
        self.assertEqual(self.echo.arguments, {})


class AllBodiesTests(SiteCase):
    """How large all requests' bodies together may be, which are kept in memory."""

    head = b"POST /slow HTTP/1.1\r\nHost: a\r\n"
    addresses = ("10.0.0.1", "10.0.0.2", "10.0.0.3")

    def setUp(self) -> None:
        super().setUp()
        self.patch(site, "BODIES_MAX", 4 * BODY_MAX)
        self.site = LimitedSite(self.echo, BODY_MAX, self.clock)

    def send(self, address: str, length: int = BODY_MAX, missing: int = 0) -> Connection:
        """Send a body of that length from there, all but the last bytes."""
        connection = Connection(self.site, self.clock, address)
        self.connections.append(connection)
        head = self.head + b"Content-Length: %d\r\n\r\n" % length
        connection.send(head + bytes(length - missing))
        return connection

    def put_off(self, connection: Connection) -> bool:
        """Whether it is told to come again; it is not answered otherwise."""
        if not connection.received():
            return False
        answer = connection.take()
        self.refusal(answer, HTTPStatus.SERVICE_UNAVAILABLE)
        self.assertEqual(answer.headers["retry-after"], "1")
        return True

    def test_in_memory(self) -> None:
        """A body takes no file, however long and however it comes: nobody bounds those."""
        self.site.body_max = 1_000_000
        self.site.bodies = BodyBudget(4_000_000)
        before = open_descriptors()
        self.send(self.addresses[0], 500_000, 1)
        chunked = self.connect()
        chunked.send(self.head + b"Transfer-Encoding: chunked\r\n\r\n7a120\r\n" + bytes(500_000))
        self.assertEqual(open_descriptors(), before)

    def test_of_one_address(self) -> None:
        """One address has half of them; the next is put off, and others are not."""
        here, there, _ = self.addresses
        kept = [self.send(here), self.send(here, missing=1)]
        self.assertTrue(self.put_off(self.send(here)))
        self.assertFalse(any(map(self.put_off, [*kept, self.send(there), self.send(there)])))

    def test_in_all(self) -> None:
        """Where there are too many in all, everybody is put off, and what is under way goes on."""
        here, there, elsewhere = self.addresses
        kept = [self.send(address) for address in (here, there) for _ in range(2)]
        self.assertTrue(self.put_off(self.send(elsewhere)))
        for connection in kept:
            self.echo.finish()
            self.assertEqual(connection.take().body, b"at last")

    def test_told_only(self) -> None:
        """What is only told of takes up nothing."""
        here, *_ = self.addresses
        for _ in range(10):
            self.send(here, missing=BODY_MAX - 1)
        self.assertFalse(self.put_off(self.send(here)))

    def test_room_again(self) -> None:
        """However a request comes to its end, there is room for another then."""
        here, *_ = self.addresses

        def answered(connection: Connection) -> None:
            connection.send(b"x")
            self.echo.finish()

        def slow(connection: Connection) -> None:
            self.clock.advance(ServerSettings.body_time)
            self.assertEqual(connection.take().status, 408)

        for end in (answered, Connection.vanish, slow):
            one, other = self.send(here, missing=1), self.send(here, missing=1)
            self.assertTrue(self.put_off(self.send(here)))
            end(one)
            self.assertFalse(self.put_off(self.send(here, missing=1)))
            other.vanish()
            self.connections.pop().vanish()

    def test_too_large(self) -> None:
        """So there is when it is refused, or put off."""
        here, *_ = self.addresses
        for _ in range(5):
            connection = self.connect()
            chunk = bytes(BODY_MAX)
            connection.send(self.head + b"Transfer-Encoding: chunked\r\n\r\n")
            connection.send(b"3e8\r\n" + chunk + b"\r\n1\r\nx\r\n")
            self.refusal(connection.take(), TOO_LARGE)
        self.send(here), self.send(here)
        for _ in range(5):
            self.assertTrue(self.put_off(self.send(here)))


class SizesTests(SiteCase):
    """Sizes that the user has set."""

    def make(self, limits: ServerSettings) -> None:
        self.site = LimitedSite(self.echo, BODY_MAX, self.clock, limits)

    def post(self, body: bytes, *headers: bytes) -> Answer:
        connection = self.connect()
        length = b"Content-Length: %d" % len(body)
        lines = [b"POST / HTTP/1.1", b"Host: a", b"Connection: close", length, *headers, b"", b""]
        connection.send(b"\r\n".join(lines) + body)
        return connection.take()

    def test_body(self) -> None:
        """Bodies may be smaller or larger than the routes need by themselves."""
        for most in (BODY_MAX // 2, 2 * BODY_MAX):
            self.make(ServerSettings(body_size=most))
            self.assertEqual(self.post(bytes(most)).status, 200)
            self.assertIn(str(most), self.refusal(self.post(bytes(most + 1)), TOO_LARGE))

    def test_headers(self) -> None:
        """So may a request's first line and headers, each line of them and all together."""
        for most in (2_000, 100_000):
            self.make(ServerSettings(header_size=most))
            one, many = [b"X: " + bytes(most // 2).replace(b"\0", b"x")], [b"X: y"] * 100
            self.assertEqual(self.post(b"", *one, *many).status, 200)
            answer = self.post(b"", *one, *one, *many)
            self.assertIn(str(most), self.refusal(answer, HTTPStatus.BAD_REQUEST))


class RequestTests(SiteCase):
    """Requests that are none, and connections that say nothing."""

    def bad_request(self, connection: Connection) -> str:
        """What an answer says that refuses the request, and is the last."""
        said = self.refusal(connection.take(), HTTPStatus.BAD_REQUEST)
        self.assertEqual(connection.received(), b"")
        self.assertTrue(connection.has_ended)
        return said

    def by_halves(self, connection: Connection, data: bytes) -> None:
        connection.send(data[: len(data) // 2])
        if connection.is_open:
            connection.send(data[len(data) // 2 :])

    def test_long_line(self) -> None:
        """A request line of more than 16 KiB: 400 as JSON that says so, and the end."""
        for send in (Connection.send, self.by_halves):
            connection = self.connect()
            send(connection, b"GET /?hash_ids=" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n")
            self.assertIn("16384 bytes", self.bad_request(connection))

    def test_long_headers(self) -> None:
        """The same for headers that are too large, each or together."""
        for headers in (
            b"X: %s\r\n" % (b"a" * 20_000),
            b"".join(b"X-%d: %s\r\n" % (number, b"a" * 900) for number in range(20)),
        ):
            for send in (Connection.send, self.by_halves):
                connection = self.connect()
                send(connection, b"GET / HTTP/1.1\r\n" + headers + b"\r\n")
                self.bad_request(connection)
        self.assertEqual(self.echo.bodies, [])

    def test_not_http(self) -> None:
        """What is no request at all: 400 as JSON, and the end."""
        for data in (b"hello\r\n\r\n", b"GET / HTTP/1.1\r\nno header\r\n\r\n", b"\x16\x03\x01\r\n"):
            for send in (Connection.send, self.by_halves):
                connection = self.connect()
                send(connection, data)
                self.bad_request(connection)
        self.assertEqual(self.echo.bodies, [])

    def test_length_without_end(self) -> None:
        """A length of more digits than Python takes for a number is refused as well."""
        for line in (b"", b"Host: a\r\n"):
            connection = self.connect()
            connection.send(b"GET / HTTP/1.1\r\nContent-Length: " + b"9" * 5_000 + b"\r\n" + line)
            connection.send(b"\r\n")
            self.bad_request(connection)
        self.assertEqual(self.echo.bodies, [])

    def test_rest(self) -> None:
        """What comes after a refused request is read, so that the answer is, and has no effect."""
        connection = self.connect()
        connection.send(b"GET /" + b"a" * 20_000)
        self.bad_request(connection)
        for _ in range(10):
            connection.send(b"a" * 1_000)
        connection.send(b" HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n")
        self.assertEqual(connection.received(), b"")
        self.assertEqual(self.echo.bodies, [])

    def test_rest_without_end(self) -> None:
        """It is not read for ever: neither more than so much nor longer than Limits.idle_time."""
        self.patch(channel, "DISCARDED_MAX", 50_000)
        much, slow = self.connect(), self.connect()
        for connection in (much, slow):
            connection.send(b"GET /" + b"a" * 20_000)
        for _ in range(60):
            if much.is_open:
                much.send(b"a" * 1_000)
        self.assertFalse(much.is_open)
        self.clock.advance(ServerSettings.idle_time / 2)
        slow.send(b"a")
        self.clock.advance(ServerSettings.idle_time)
        self.assertFalse(slow.is_open)

    def test_several_in_one(self) -> None:
        """Requests that come in one piece are answered one after the other."""
        connection = self.connect()
        connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
        for _ in range(3):
            self.assertEqual(connection.take().body, b"got 0")

    def test_idle(self) -> None:
        """A connection is closed that has been without a request for so long."""
        used = self.connect()
        used.ask("GET", "/")
        self.clock.advance(ServerSettings.idle_time - 1)
        used.ask("GET", "/")
        self.clock.advance(ServerSettings.idle_time - 1)
        self.assertTrue(used.is_open)
        self.clock.advance(1)
        self.assertFalse(used.is_open)

    def test_no_traceback(self) -> None:
        """An exception that no route handles shows the client nothing of the code."""

        class Broken(Resource):
            isLeaf = True

            def render(self, request: Request) -> bytes:
                raise RuntimeError("secret")

        connection = Connection(LimitedSite(Broken(), BODY_MAX, self.clock), self.clock)
        connection.ask("GET", "/")
        answer = connection.take()
        self.assertEqual(answer.status, 500)
        self.assertNotIn(b"secret", answer.body)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        connection.vanish()


class CloseTests(SiteCase):
    """How a site stops."""

    def test_nobody(self) -> None:
        """With no connection it is closed at once."""
        self.connect().vanish()
        self.successResultOf(self.site.close())

    def test_idle(self) -> None:
        """Connections that are idle are closed at once, used ones or not."""
        used, silent = self.connect(), self.connect()
        used.ask("GET", "/")
        used.take()
        closed = self.site.close()
        self.assertFalse(used.is_open)
        self.assertFalse(silent.is_open)
        self.clock.advance(0)
        self.successResultOf(closed)

    def test_half_a_request(self) -> None:
        """Who has sent half a request when it stops holds nothing up beyond STOP_GRACE."""
        connection = self.connect()
        connection.send(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nhal")
        closed = self.site.close()
        self.clock.advance(STOP_GRACE)
        self.clock.advance(0)
        self.successResultOf(closed)
        self.assertFalse(connection.is_open)

    def test_running(self) -> None:
        """A request that is under way is answered; then its connection is closed."""
        connection = self.connect()
        connection.ask("GET", "/slow")
        closed = self.site.close()
        self.clock.advance(STOP_GRACE - 1)
        self.assertNoResult(closed)
        self.echo.finish()
        self.assertEqual(connection.take().body, b"at last")
        self.assertFalse(connection.is_open)
        self.clock.advance(0)
        self.successResultOf(closed)

    def test_last_of_several(self) -> None:
        """It is closed when the last running request is answered."""
        connections = [self.connect() for _ in range(3)]
        for connection in connections:
            connection.ask("GET", "/slow")
        closed = self.site.close()
        for _ in range(3):
            self.assertNoResult(closed)
            self.echo.finish()
            self.clock.advance(0)
        self.successResultOf(closed)
        self.assertEqual([connection.take().body for connection in connections], [b"at last"] * 3)

    def test_deadline(self) -> None:
        """A request that takes longer than STOP_GRACE is cut off."""
        connection = self.connect()
        connection.ask("GET", "/slow")
        closed = self.site.close()
        self.clock.advance(STOP_GRACE - 0.1)
        self.assertTrue(connection.is_open)
        self.clock.advance(0.1)
        self.assertFalse(connection.is_open)
        self.assertTrue(connection.transport.aborted)
        self.clock.advance(0)
        self.successResultOf(closed)

    def test_slow_reader(self) -> None:
        """Who doesn't take his answer, as he has the time of STOP_GRACE to, is cut off too."""
        connection = self.connect()
        connection.ask("GET", "/slow")
        # A socket with bytes left to send does not close until they are gone.
        self.patch(connection.transport, "loseConnection", lambda: None)
        closed = self.site.close()
        self.echo.finish()
        self.assertTrue(connection.is_open)
        self.clock.advance(STOP_GRACE)
        self.assertFalse(connection.is_open)
        self.clock.advance(0)
        self.successResultOf(closed)

    def test_client_gone(self) -> None:
        """A client that goes away instead of waiting holds nothing up."""
        connection = self.connect()
        connection.ask("GET", "/slow")
        closed = self.site.close()
        connection.vanish()
        self.successResultOf(closed)

    def test_new_connection(self) -> None:
        """Once it stops, a connection that was still in the queue is not taken."""
        connection = self.connect()
        connection.ask("GET", "/slow")
        closed = self.site.close()
        self.assertTrue(self.connect().refused)
        connection.vanish()
        self.successResultOf(closed)

    def test_next_request(self) -> None:
        """A request that came behind the one under way is not begun any more."""
        connection = self.connect()
        connection.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
        closed = self.site.close()
        self.echo.finish()
        self.clock.advance(0)
        self.assertEqual(len(self.echo.bodies), 1)
        self.successResultOf(closed)


class NeedsTests(SiteCase):
    """What the modules below the site's need of it. mypy compares the methods' types."""

    def test_site(self) -> None:
        """A site has what its channels need, and a channel what its requests need."""
        needed: channel.ChannelSite = self.site
        body_channel: BodyChannel = channel.LimitedChannel()
        self.assertIs(needed.reactor, self.clock)
        self.assertEqual((needed.body_max, needed.stopping), (BODY_MAX, False))
        self.assertFalse(body_channel.refused)


@implementer(IListeningPort)
class Port:
    """A port that says when it was closed."""

    def __init__(self, interface: str, port: int) -> None:
        kind = IPv6Address if ":" in interface else IPv4Address
        self._address = kind("TCP", interface or "0.0.0.0", port)
        self.open = True

    def startListening(self) -> None:
        """It does already."""

    def stopListening(self) -> Deferred[None]:
        self.open = False
        return succeed(None)

    def getHost(self) -> IPv4Address | IPv6Address:
        return self._address


class Listening(MemoryReactorClock):
    """A reactor whose ports are in `ports`, and one of which is in use."""

    def __init__(self) -> None:
        super().__init__()
        self.ports: list[Port] = []

    def listenTCP(
        self, port: int, factory: ServerFactory, backlog: int = 50, interface: str = ""
    ) -> Any:
        if port == 80:
            raise CannotListenError(interface, port, OSError(98, "Address already in use"))
        if port > 65_535:
            raise OverflowError("bind(): port must be 0-65535.")
        # Port 0 is any that is free.
        self.ports.append(Port(interface, port or 32_768))
        return self.ports[-1]


class WebServiceTests(SynchronousTestCase):
    """Listening, and no longer."""

    def setUp(self) -> None:
        self.reactor = Listening()
        self.echo = Echo()
        self.site = LimitedSite(self.echo, BODY_MAX, self.reactor)

    def service(self, endpoint: str) -> WebService:
        return WebService(self.reactor, endpoint, self.site)

    def refusal(self, endpoint: str) -> str:
        """The one line that a user reads where it can't listen."""
        service = self.service(endpoint)
        message = str(self.assertRaises(StartError, service.startService))
        self.assertNotIn("\n", message)
        return message

    def test_listens(self) -> None:
        """It listens where it was told to, and tells where that is."""
        for endpoint, location in [
            ("tcp:8000", Location("0.0.0.0", 8000)),
            ("tcp:8000:interface=127.0.0.1", Location("127.0.0.1", 8000)),
            ("tcp:0", Location("0.0.0.0", 32_768)),
        ]:
            service = self.service(endpoint)
            service.startService()
            self.assertEqual(service.listening(), location)
            self.successResultOf(service.stopService())

    def test_once(self) -> None:
        """A port below 1024 is taken while that is allowed, and not a second time afterwards."""
        service = self.service("tcp:443")
        service.privilegedStartService()
        service.startService()
        self.assertEqual(len(self.reactor.ports), 1)
        self.successResultOf(service.stopService())

    def test_in_use(self) -> None:
        """A port that is in use is a StartError that says so in one line."""
        message = self.refusal("tcp:80")
        self.assertIn("--port tcp:80", message)
        self.assertIn("Address already in use", message)

    def test_no_port(self) -> None:
        """A number that is no port, inside of an endpoint, is a StartError too."""
        self.assertIn("0-65535", self.refusal("tcp:70000"))

    def test_not_ipv4(self) -> None:
        """An endpoint that no location can name is a StartError that says why."""
        for endpoint in ("tcp6:8000", "unix:socket"):
            self.assertIn("IPv4", self.refusal(endpoint))

    def test_no_endpoint(self) -> None:
        """What is no endpoint is a StartError that says so in one line."""
        for endpoint in (
            "",
            "nonsense",
            "nonsense:80",
            "tcp",
            "tcp:",
            "tcp:http-or-so",
            "tcp:8000:nonsense=1",
            "tcp:8000:1:2:3:4",
            "haproxy:tcp:8000",
            "ssl:8000:privateKey=/nonexistent.pem",
        ):
            self.assertIn(f"--port {endpoint}:", self.refusal(endpoint), msg=endpoint)

    def test_stop(self) -> None:
        """It stops listening at once, and has stopped when the last answer is given."""
        service = self.service("tcp:8000")
        service.startService()
        connection = Connection(self.site, self.reactor)
        connection.ask("GET", "/slow")
        stopped = service.stopService()
        self.assertFalse(self.reactor.ports[0].open)
        self.assertNoResult(stopped)
        self.echo.finish()
        self.reactor.advance(0)
        self.successResultOf(stopped)
        self.assertEqual(connection.take().body, b"at last")
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_stop_without_start(self) -> None:
        """What could not start can be stopped."""
        service = self.service("tcp:80")
        self.assertRaises(StartError, service.startService)
        self.successResultOf(service.stopService())
