"""Receiving content over HTTP: piece by piece as it arrives, at a limited rate, with a timeout."""

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime, ITransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone

from p2ptwisted.errors import Unavailable
from p2ptwisted.pieces import HolderState


class ContentSink:
    """Takes the content of a resource that a holder sends."""

    def told(self, state: HolderState) -> None:
        """Take what the holder says of the pieces that it has; before `began`."""
        raise NotImplementedError

    def began(self, start: int, stop: int) -> bool:
        """The bytes from `start` to before `stop` are about to arrive; False to refuse them."""
        raise NotImplementedError

    def received(self, data: bytes) -> float | None:
        """Take the next bytes; returns seconds to wait before more, or None to end it."""
        raise NotImplementedError


class BodyReceiver(Protocol):
    """
    Passes an answer's body to a sink as it arrives, and closes a connection that falls silent.

    `complete` fires when all of it has arrived, or fails with Unavailable or what the
    sink raised.
    """

    transport: ITransport

    def __init__(self, clock: IReactorTime, sink: ContentSink, length: int, silence: float) -> None:
        """`length`: bytes of the body; `silence`: seconds without a byte that end it."""
        self._clock = clock
        self._sink = sink
        self._left = length
        self._silence = silence
        self._timer = clock.callLater(silence, self._silent)
        self._resuming: IDelayedCall | None = None
        self.complete: Deferred[None] = Deferred(self._cancelled)

    def dataReceived(self, data: bytes) -> None:
        if self.complete.called:
            return
        self._timer.reset(self._silence)
        self._left -= len(data)
        try:
            pause = self._sink.received(data) if self._left >= 0 else None
        except Exception:
            self._break_off(Failure())
            return
        if self.complete.called:
            return  # Cancelled by the sink.
        if pause is None:
            self._break_off(Failure(Unavailable("it sent more than was asked for")))
        elif pause > 0 and self._left:
            producer = IPushProducer(self.transport)
            producer.pauseProducing()
            self._timer.reset(pause + self._silence)
            if self._resuming is not None and self._resuming.active():
                self._resuming.cancel()
            self._resuming = self._clock.callLater(pause, producer.resumeProducing)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._left == 0 and reason.check(ResponseDone):
            self._end(None)
        else:
            self._end(Failure(Unavailable("it broke off in the middle")))

    def _silent(self) -> None:
        self._break_off(Failure(Unavailable(f"nothing came for {self._silence:.0f} s")))

    def _break_off(self, why: Failure) -> None:
        self.transport.loseConnection()
        self._end(why)

    def _cancelled(self, complete: Deferred[None]) -> None:
        self._stop_timers()
        self.transport.loseConnection()

    def _end(self, result: Failure | None) -> None:
        self._stop_timers()
        if not self.complete.called:
            self.complete.callback(result)

    def _stop_timers(self) -> None:
        for timer in (self._timer, self._resuming):
            if timer is not None and timer.active():
                timer.cancel()
