"""
Tests of `p2ptwisted.support.twisted_internals`: that this release of Twisted has what it uses.

The first class says by name what a new release has taken away; the others, what
behaves in another way than before. Either is mended in that package alone.
"""

import importlib
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from twisted import __version__

PACKAGE = "p2ptwisted.support.twisted_internals"

#: By module of the package: what it uses, as a module of Twisted's and a name in it, with the
#: attributes of that which are used.
USED: dict[str, list[tuple[str, str, tuple[str, ...]]]] = {
    "http_server": [
        (
            *("twisted.web.http", "HTTPChannel"),
            (
                *("_busyReceiving", "_buffer", "_waitingForTransport"),
                "_respondToBadRequestAndDisconnect",
            ),
        ),
        ("twisted.web.server", "Request", ("_handleStar",)),
    ],
    "http_client": [
        ("twisted.web._newclient", "HEADER", ()),
        ("twisted.web._newclient", "STATUS", ()),
        ("twisted.web._newclient", "ParseError", ()),
        ("twisted.web._newclient", "Request", ()),
        ("twisted.web._newclient", "HTTPClientParser", ("_log",)),
        (
            *("twisted.web._newclient", "HTTP11ClientProtocol"),
            ("_parser", "_disconnectParser", "state"),
        ),
        ("twisted.web.client", "HTTPConnectionPool", ("_factory",)),
    ],
    "reactor": [
        ("twisted.internet.base", "ReactorBase", ("seconds",)),
        ("twisted.internet.udp", "Port", ("maxThroughput",)),
        ("twisted.internet.tcp", "Connection", ("bufferSize", "dataBuffer")),
        ("twisted.internet.defer", "DebugInfo", ("failResult",)),
    ],
    "twistd": [
        ("twisted.scripts._twistd_unix", "UnixAppLogger", ("_getLogObserver",)),
        ("twisted.application.twist._options", "TwistOptions", ("parseOptions",)),
    ],
}

#: The same of attributes that only instances have: how one is made, and what it must have.
OF_INSTANCES: dict[str, list[tuple[str, str, tuple[object, ...], tuple[str, ...]]]] = {
    "http_server": [
        ("twisted.web.http", "HTTPChannel", (), ("_handlingRequest", "_dataBuffer")),
    ],
    "http_client": [
        ("twisted.web.client", "_HTTP11ClientFactory", (None, ""), ("_quiescentCallback",)),
    ],
    "reactor": [
        ("twisted.internet.abstract", "FileDescriptor", (Clock(),), ("_tempDataLen",)),
    ],
}


def gone(user: str, what: str) -> str:
    return (
        f"Twisted {__version__} has no {what}, which {PACKAGE}.{user} uses: "
        "see there what for, and what else there is"
    )


def internal(module: str) -> Any:
    """A module of the package; not imported above, so that what is gone has its sentence first."""
    return importlib.import_module(f"{PACKAGE}.{module}")


class NameTests(SynchronousTestCase):
    """Every private or undocumented name that is used."""

    def used(self, user: str, module: str, name: str) -> Any:
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            self.fail(gone(user, f"{module}.{name}"))

    def check(self, user: str) -> None:
        for module, name, attributes in USED[user]:
            found = self.used(user, module, name)
            for attribute in attributes:
                what = f"{module}.{name}.{attribute}"
                self.assertTrue(hasattr(found, attribute), gone(user, what))
        for module, name, arguments, attributes in OF_INSTANCES.get(user, []):
            instance = self.used(user, module, name)(*arguments)
            for attribute in attributes:
                what = f"{module}.{name}.{attribute}"
                self.assertTrue(hasattr(instance, attribute), gone(user, what))

    def test_http_server(self) -> None:
        """The state of a server's channel, and what it does by itself, can be got at."""
        self.check("http_server")

    def test_network_producer(self) -> None:
        """A channel that is connected has what it reads through."""
        channel = self.used("http_server", "twisted.web.http", "HTTPChannel")()
        channel.makeConnection(StringTransport())
        what = "twisted.web.http.HTTPChannel._networkProducer"
        self.assertTrue(hasattr(channel, "_networkProducer"), gone("http_server", what))
        channel.setTimeout(None)

    def test_http_client(self) -> None:
        """The state of a client's connection can be got at, and a pool told which kind to make."""
        self.check("http_client")

    def test_reactor(self) -> None:
        """The reactor's clock, its transports' figures, and Deferreds' failures are there."""
        self.check("reactor")

    def test_twistd(self) -> None:
        """The log and the options of twistd's are there."""
        self.check("twistd")


class Slow(Resource):
    """A site's root that answers when the test does."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Request] = []

    def render(self, request: Request) -> int:
        self.requests.append(request)
        return NOT_DONE_YET


class ServerTests(SynchronousTestCase):
    """A channel that shows its state."""

    GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

    def setUp(self) -> None:
        internals = internal("http_server")
        bad: list[object] = []
        parsing: list[bool] = []
        self.bad, self.parsing = bad, parsing

        class Channel(internals.ExposedChannel):  # type: ignore[misc, name-defined]
            def lineReceived(self, line: bytes) -> None:
                parsing.append(self.is_parsing)
                super().lineReceived(line)

            def bad_request(self) -> None:
                bad.append(self)

        self.root = Slow()
        clock = Clock()
        site = Site(self.root, requestFactory=internals.ExposedRequest, reactor=clock)
        self.channel: Any = Channel()
        self.channel.site, self.channel.callLater = site, clock.callLater
        self.channel.requestFactory = internals.ExposedRequest
        self.transport = StringTransport()
        self.channel.makeConnection(self.transport)
        self.addCleanup(self.channel.setTimeout, None)

    def test_parsing(self) -> None:
        """It is parsing while a line is handled, and no longer."""
        self.channel.dataReceived(b"GET / HTTP/1.1\r\nHo")
        self.assertEqual(self.parsing, [True])
        self.assertFalse(self.channel.is_parsing)
        self.assertEqual(self.channel.unparsed, b"Ho")

    def test_handling(self) -> None:
        """It handles a request from its end to the answer's, and knows of data behind it."""
        self.channel.dataReceived(self.GET[:-1])
        self.assertFalse(self.channel.is_handling_request)
        self.channel.dataReceived(self.GET[-1:])
        self.assertTrue(self.channel.is_handling_request)
        self.assertFalse(self.channel.has_pipelined_data)
        self.channel.dataReceived(self.GET[:5])
        self.assertTrue(self.channel.has_pipelined_data)
        self.root.requests[0].finish()
        self.assertFalse(self.channel.is_handling_request)
        self.assertFalse(self.channel.has_pipelined_data)
        self.assertEqual(self.channel.unparsed, self.GET[:5])

    def test_write_blocked(self) -> None:
        """It can't write from the transport's pause to its going on."""
        self.assertFalse(self.channel.is_write_blocked)
        self.channel.pauseProducing()
        self.assertTrue(self.channel.is_write_blocked)
        self.channel.resumeProducing()
        self.assertFalse(self.channel.is_write_blocked)

    def test_reading(self) -> None:
        """Reading from the socket can be paused and resumed."""
        self.channel.pause_reading()
        self.assertEqual(self.transport.producerState, "paused")
        self.channel.resume_reading()
        self.assertEqual(self.transport.producerState, "producing")

    def test_bad_request(self) -> None:
        """What is no request is ours to answer."""
        self.channel.dataReceived(b"nonsense\r\n")
        self.assertEqual(self.bad[:1], [self.channel])
        self.assertEqual(self.transport.value(), b"")

    def test_star(self) -> None:
        """The target `*` goes to the site's root like any other."""
        self.channel.dataReceived(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual([request.path for request in self.root.requests], [b"*"])


class ClientTests(SynchronousTestCase):
    """A client's connection that shows its state."""

    def setUp(self) -> None:
        from twisted.web.http_headers import Headers

        internals = internal("http_client")
        self.protocol_class: Any = internals.ExposedClientProtocol
        self.pool_class: Any = internals.pool_class
        self.protocol: Any = self.protocol_class(lambda protocol: None)
        self.protocol.makeConnection(StringTransport())
        self.assertFalse(self.protocol.is_reading_headers)
        headers = Headers({b"host": [b"a"]})
        request = internals.Request(b"GET", b"/", headers, None)
        self.response: Deferred[Any] = self.protocol.request(request)

    def test_headers(self) -> None:
        """It reads headers until they are complete, those of a 102 too, which it does not log."""
        self.assertTrue(self.protocol.is_reading_headers)
        self.protocol.dataReceived(b"HTTP/1.1 102 Processing\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n")
        self.assertTrue(self.protocol.is_reading_headers)
        self.protocol.dataReceived(b"Content-Length: 3\r\n\r\n")
        self.assertFalse(self.protocol.is_reading_headers)
        self.assertEqual(self.successResultOf(self.response).code, 200)
        self.protocol.connectionLost(Failure(ConnectionDone()))

    def test_fail(self) -> None:
        """A request can be made to fail with a reason of our own."""
        self.protocol.fail_request(Failure(ZeroDivisionError()))
        failed = self.failureResultOf(self.response).value
        self.assertIsInstance(cast(Any, failed).reasons[0].value, ZeroDivisionError)

    def test_pool(self) -> None:
        """A pool makes connections of the class that it was given, without a line in the log."""
        pool = self.pool_class(self.protocol_class)(MemoryReactorClock())
        factories: list[Any] = []

        class Endpoint:
            def connect(self, factory: object) -> Deferred[object]:
                factories.append(factory)
                return Deferred()

        pool.getConnection(("http", b"a", 80), Endpoint())
        (factory,) = factories
        self.assertFalse(factory.noisy)
        self.assertIs(type(factory.buildProtocol(None)), self.protocol_class)
        self.protocol.connectionLost(Failure(ConnectionDone()))
        self.failureResultOf(self.response)


class ReactorTests(SynchronousTestCase):
    """The reactor's clock, its transports and Deferreds."""

    def setUp(self) -> None:
        self.internals = internal("reactor")

    def test_clock(self) -> None:
        """Timers go by the clock that a reactor is given."""
        from twisted.internet.selectreactor import SelectReactor

        reactor = SelectReactor()
        self.addCleanup(reactor.disconnectAll)
        self.addCleanup(reactor.removeAll)
        now = 5.0
        self.internals.set_reactor_clock(reactor, lambda: now)
        self.assertEqual(reactor.seconds(), 5.0)
        timer = reactor.callLater(2, lambda: None)
        self.assertEqual(timer.getTime(), 7.0)
        timer.cancel()

    def test_unsent(self) -> None:
        """What a transport keeps is seen; one that keeps nothing has nothing."""
        transport: Any = StringTransport()
        self.assertFalse(self.internals.has_unsent(transport))
        transport.dataBuffer = b"x"
        self.assertTrue(self.internals.has_unsent(transport))

    def test_read_limit(self) -> None:
        """A UDP socket is read no further than it was told."""
        from twisted.internet.protocol import DatagramProtocol
        from twisted.internet.udp import Port

        port = Port(0, DatagramProtocol(), reactor=MemoryReactorClock())
        self.internals.set_read_limit(port, 10)
        read: list[int] = []

        class Socket:
            def recvfrom(self, size: int) -> tuple[bytes, tuple[str, int]]:
                read.append(size)
                return bytes(6), ("10.0.0.1", 1)

        port.socket = cast(Any, Socket())
        port.doRead()
        self.assertEqual(len(read), 2)

    def test_unhandled(self) -> None:
        """The failure of a Deferred that nobody handles is found, once, and not logged."""
        import gc

        failed: Deferred[None] = Deferred()
        failed.errback(ZeroDivisionError())
        found = list(self.internals.take_unhandled(gc.get_objects()))
        self.assertEqual([type(failure.value) for failure in found], [ZeroDivisionError])
        self.assertEqual(list(self.internals.take_unhandled(gc.get_objects())), [])
        del failed
        self.assertEqual(self.flushLoggedErrors(), [])
