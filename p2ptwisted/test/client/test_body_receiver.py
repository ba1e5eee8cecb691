"""Tests of `p2ptwisted.client.body_receiver`."""

from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone, ResponseFailed

from p2ptwisted.client.body_receiver import BodyReceiver, ContentSink
from p2ptwisted.errors import Unavailable

SILENCE = 10.0


class Diary(ContentSink):
    """Keeps what comes, and says what the test told it to."""

    def __init__(self) -> None:
        self.data = b""
        self.pause: float | None = 0.0
        self.problem: Exception | None = None

    def began(self, start: int, stop: int) -> bool:
        return True

    def received(self, data: bytes) -> float | None:
        if self.problem is not None:
            raise self.problem
        self.data += data
        return self.pause


class ReceiverTests(SynchronousTestCase):
    """An answer of ten bytes."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.stream = Diary()
        self.transport = StringTransport()
        self.receiver = BodyReceiver(self.clock, self.stream, 10, SILENCE)
        self.receiver.makeConnection(self.transport)

    def over(self) -> None:
        """No timer is left."""
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def broken_off(self) -> str:
        """Why it was given up; its connection is closed and no timer is left."""
        self.assertTrue(self.transport.disconnecting)
        self.over()
        return str(self.failureResultOf(self.receiver.complete, Unavailable).value)

    def test_complete(self) -> None:
        """All bytes are handed on as they come, and the end is told."""
        self.receiver.dataReceived(b"12345")
        self.assertEqual(self.stream.data, b"12345")
        self.receiver.dataReceived(b"67890")
        self.assertNoResult(self.receiver.complete)
        self.receiver.connectionLost(Failure(ResponseDone()))
        self.successResultOf(self.receiver.complete)
        self.assertEqual(self.stream.data, b"1234567890")
        self.over()

    def test_too_few(self) -> None:
        """An answer that ends early fails, however it ends."""
        for reason in (ResponseDone(), ResponseFailed([])):
            receiver = BodyReceiver(self.clock, self.stream, 10, SILENCE)
            receiver.makeConnection(StringTransport())
            receiver.dataReceived(b"123456789")
            receiver.connectionLost(Failure(reason))
            failure = self.failureResultOf(receiver.complete, Unavailable)
            self.assertIn("broke off", str(failure.value))

    def test_too_many(self) -> None:
        """More than was announced is not handed on."""
        self.receiver.dataReceived(b"12345678901")
        self.assertEqual(self.stream.data, b"")
        self.assertIn("it sent more than was asked for", self.broken_off())

    def test_no_more_wanted(self) -> None:
        """It ends when no more is wanted, and takes nothing that comes after that."""
        self.stream.pause = None
        self.receiver.dataReceived(b"12345")
        self.broken_off()
        self.receiver.dataReceived(b"67890")
        self.receiver.connectionLost(Failure(ResponseFailed([])))
        self.assertEqual(self.stream.data, b"12345")

    def test_problem(self) -> None:
        """What goes wrong with taking it in is what the caller gets."""
        self.stream.problem = ZeroDivisionError()
        self.receiver.dataReceived(b"12345")
        self.failureResultOf(self.receiver.complete, ZeroDivisionError)
        self.assertTrue(self.transport.disconnecting)
        self.over()

    def test_silence(self) -> None:
        """It is given up a while after the last byte, and not sooner."""
        self.clock.advance(SILENCE - 1)
        self.receiver.dataReceived(b"1")
        self.clock.advance(SILENCE - 1)
        self.assertNoResult(self.receiver.complete)
        self.clock.advance(1)
        self.assertIn("nothing came for 10 s", self.broken_off())

    def test_pause(self) -> None:
        """It is held back for as long as it is told to; that is no silence."""
        self.stream.pause = 25.0
        self.receiver.dataReceived(b"12345")
        self.assertEqual(self.transport.producerState, "paused")
        self.clock.advance(24)
        self.assertEqual(self.transport.producerState, "paused")
        self.assertNoResult(self.receiver.complete)
        self.clock.advance(1)
        self.assertEqual(self.transport.producerState, "producing")
        self.clock.advance(SILENCE - 1)
        self.assertNoResult(self.receiver.complete)
        self.clock.advance(1)
        self.broken_off()

    def test_pause_at_the_end(self) -> None:
        """The last bytes are not followed by a pause, for nothing more comes."""
        self.stream.pause = 25.0
        self.receiver.dataReceived(b"1234567890")
        self.assertEqual(self.transport.producerState, "producing")

    def test_pauses(self) -> None:
        """Of several that come at once in one read the last pause counts."""
        self.stream.pause = 1.0
        self.receiver.dataReceived(b"123")
        self.stream.pause = 3.0
        self.receiver.dataReceived(b"456")
        self.clock.advance(2)
        self.assertEqual(self.transport.producerState, "paused")
        self.clock.advance(1)
        self.assertEqual(self.transport.producerState, "producing")

    def test_cancelled(self) -> None:
        """Cancelled, it closes its connection and leaves no timer, in a pause too."""
        for pause in (0.0, 5.0):
            receiver = BodyReceiver(self.clock, self.stream, 10, SILENCE)
            transport = StringTransport()
            receiver.makeConnection(transport)
            self.stream.pause = pause
            receiver.dataReceived(b"123")
            receiver.dataReceived(b"456")
            receiver.complete.cancel()
            self.failureResultOf(receiver.complete, CancelledError)
            self.assertTrue(transport.disconnecting)
            receiver.connectionLost(Failure(ResponseFailed([])))
        self.receiver.complete.cancel()
        self.failureResultOf(self.receiver.complete, CancelledError)
        self.over()
