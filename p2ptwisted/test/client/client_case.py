"""What the tests of the client have in common: a client on connections in memory."""

from collections.abc import Coroutine
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.client.api import make_client
from p2ptwisted.client.body_receiver import ContentSink
from p2ptwisted.client.transport import IClientReactor
from p2ptwisted.errors import Unavailable
from p2ptwisted.pieces import PIECE_MIN, HolderState, Pieces
from p2ptwisted.test.node_fakes import Peer, producers_on, work

SUPERNODE = "10.0.0.1:5000"
NODE = "10.0.0.3:8000"
ID = "a" * 64

#: None of them is where one host is.
BAD_LOCATIONS = ["", "x", "10.0.0.4", "10.0.0.4:1/path", "169.254.169.254:80", "230.0.0.0:1"]

#: The resource with that id: four pieces.
PIECES = Pieces(3 * PIECE_MIN + 1, b"\xab" * 4 * 32)

_T = TypeVar("_T")


class ClientCase(SynchronousTestCase):
    """A client on a reactor in memory."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        producers_on(self, self.reactor)
        self.client = make_client(cast(IClientReactor, self.reactor))
        self.addCleanup(self.close)

    def close(self) -> None:
        closed = Deferred.fromCoroutine(self.client.close())
        self.reactor.advance(0)
        self.successResultOf(closed)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def call(self, coroutine: Coroutine[Deferred[Any], Any, _T]) -> Deferred[_T]:
        return Deferred.fromCoroutine(coroutine)

    def accept(self) -> Peer:
        """Take the connection that the client is making, and let it send its request."""
        _, _, factory, _, _ = self.reactor.tcpClients[-1]
        protocol = factory.buildProtocol(None)
        assert protocol is not None
        peer = Peer(self.reactor, protocol)
        work(self.reactor, 5)
        return peer

    def fail_to_connect(self, error: Exception) -> None:
        """Have the connection fail that the client is making."""
        _, _, factory, _, _ = self.reactor.tcpClients[-1]
        factory.clientConnectionFailed(self.reactor.connectors[-1], Failure(error))

    def unavailable(self, deferred: Deferred[Any]) -> str:
        """What is said of a call that failed for the time being."""
        return str(self.failureResultOf(deferred, Unavailable).value)


class Taken(ContentSink):
    """What comes, taken or refused."""

    def __init__(self) -> None:
        self.span: tuple[int, int] | None = None
        self.takes = True
        self.data = b""
        self.states: list[HolderState] = []

    def told(self, state: HolderState) -> None:
        self.states.append(state)

    def began(self, start: int, stop: int) -> bool:
        self.span = start, stop
        return self.takes

    def received(self, data: bytes) -> float | None:
        self.data += data
        return 0.0
