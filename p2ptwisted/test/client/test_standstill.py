"""Tests of the client in a process that stands still: what fails by that is nobody's fault."""

from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock

from p2ptwisted.client.api import make_client
from p2ptwisted.client.transport import CALL_TIMEOUT, IClientReactor, Refused
from p2ptwisted.errors import Interrupted, Nonsense, Unavailable
from p2ptwisted.test.client.client_case import ID, NODE, PIECES, SUPERNODE, ClientCase, Taken
from p2ptwisted.test.node_fakes import Peer, producers_on
from p2ptwisted.test.stoppable_clock import StoppableClock

SILENCE = 10.0

#: Seconds for which it stands still: longer than any limit of the client's.
STOPPED = 35.0


class StoppableReactor(StoppableClock, MemoryReactorClock):
    """A reactor in memory whose process can stand still."""


class StandstillCase(ClientCase):
    """A client that knows when its process stood still."""

    reactor: StoppableReactor

    def setUp(self) -> None:
        self.reactor = StoppableReactor()
        producers_on(self, self.reactor)
        self.client = make_client(cast(IClientReactor, self.reactor), awake=self.reactor.awake)
        self.addCleanup(self.close)

    @property
    def made(self) -> int:
        """How many connections were made."""
        return len(self.reactor.tcpClients)


class CallTests(StandstillCase):
    """A call with a small answer."""

    def test_answer_lies_unread(self) -> None:
        """An answer that came meanwhile is read, though its time would have been up."""
        well = self.call(self.client.is_well(NODE))
        peer = self.accept()
        self.reactor.stand_still(STOPPED)
        self.assertNoResult(well)
        peer.answer("200 OK", b"{}")
        self.assertIs(self.successResultOf(well), True)

    def test_no_answer(self) -> None:
        """Its time goes on afterwards; and a call that has no answer by then is made again."""
        beat = self.call(self.client.heartbeat(SUPERNODE, NODE))
        peer = self.accept()
        self.reactor.stand_still(STOPPED)
        self.reactor.advance(CALL_TIMEOUT)
        self.assertNoResult(beat)
        self.assertFalse(peer.is_open)
        self.accept().answer("204 No Content")
        self.assertTrue(self.successResultOf(beat).known)

    def test_died(self) -> None:
        """A call whose connection died meanwhile is made again, on another."""
        registered = self.call(self.client.goodbye(SUPERNODE, NODE))
        peer = self.accept()
        self.reactor.stand_still(STOPPED)
        peer.break_off()
        self.assertNoResult(registered)
        self.accept().answer("204 No Content")
        self.successResultOf(registered)

    def test_again_only_once(self) -> None:
        """One that fails without another standstill has failed."""
        beat = self.call(self.client.heartbeat(SUPERNODE, NODE))
        peer = self.accept()
        self.reactor.stand_still(STOPPED)
        self.reactor.wake()
        peer.break_off()
        self.reactor.advance(1)
        self.accept().break_off()
        self.failureResultOf(beat, Unavailable)
        self.assertEqual(self.made, 2)

    def test_refused(self) -> None:
        """An answer is one: what is refused isn't asked again."""
        beat = self.call(self.client.heartbeat(SUPERNODE, NODE))
        peer = self.accept()
        self.reactor.stand_still(STOPPED)
        peer.answer("403 Forbidden")
        self.failureResultOf(beat, Refused)

    def test_nonsense(self) -> None:
        """Nor is what makes no sense, whenever it came."""
        pieces = self.call(self.client.pieces(NODE, ID))
        peer = self.accept()
        self.reactor.stand_still(STOPPED)
        peer.answer("200 OK", b"{}", "Content-Type: application/json")
        self.failureResultOf(pieces, Nonsense)


class StreamTests(StandstillCase):
    """Content that comes from a holder."""

    def setUp(self) -> None:
        super().setUp()
        self.taken = Taken()

    def start(self) -> Deferred[None]:
        return self.call(self.client.stream(NODE, ID, PIECES, 0b10, 1, self.taken, SILENCE))

    def begin(self, peer: Peer) -> None:
        peer.send(b"HTTP/1.1 206 X\r\nContent-Range: bytes 4-7/20\r\nContent-Length: 4\r\n\r\nab")

    def test_goes_on(self) -> None:
        """The rest is taken after a standstill longer than a holder may be silent."""
        done = self.start()
        peer = self.accept()
        self.begin(peer)
        self.reactor.stand_still(STOPPED)
        self.reactor.wake()
        self.assertNoResult(done)
        peer.send(b"cd")
        self.successResultOf(done)

    def test_died(self) -> None:
        """Where its connection died meanwhile, that is told from a holder that breaks off."""
        done = self.start()
        peer = self.accept()
        self.begin(peer)
        self.reactor.stand_still(STOPPED)
        peer.break_off()
        self.failureResultOf(done, Interrupted)
        done = self.start()
        peer = self.accept()
        self.reactor.advance(1)
        self.begin(peer)
        peer.break_off()
        self.assertNotIsInstance(self.failureResultOf(done, Unavailable).value, Interrupted)

    def test_silent_since(self) -> None:
        """So is one that nothing comes from any more: who knows whether its end got lost."""
        done = self.start()
        peer = self.accept()
        self.begin(peer)
        self.reactor.stand_still(STOPPED)
        self.reactor.advance(SILENCE - 1)
        self.assertNoResult(done)
        self.reactor.advance(1)
        self.failureResultOf(done, Interrupted)
        self.assertFalse(peer.is_open)

    def test_kept_and_closed(self) -> None:
        """A kept connection that its holder has closed, unheard of yet, costs nothing."""
        done = self.start()
        peer = self.accept()
        self.begin(peer)
        peer.send(b"cd")
        self.successResultOf(done)
        done = self.start()
        self.assertEqual(self.made, 1)
        peer.close()
        self.assertEqual(self.made, 2)
        peer = self.accept()
        self.begin(peer)
        peer.send(b"cd")
        self.successResultOf(done)
        self.assertEqual(self.taken.data, b"abcdabcd")
