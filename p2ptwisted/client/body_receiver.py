"""Taking in content that comes over HTTP: as it comes, at a bounded rate, and not for ever."""

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime, ITransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone

from p2ptwisted.errors import Unavailable


class ContentSink:
    """Takes what a holder sends of a resource."""

    def began(self, start: int, stop: int) -> bool:
        """These bytes are about to come; False to refuse them."""
        raise NotImplementedError

    def received(self, data: bytes) -> float | None:
        """The next bytes; seconds to wait before more, or None where no more is wanted."""
        raise NotImplementedError


class BodyReceiver(Protocol):
    """Hands an answer's body on as it comes, and ends a connection that falls silent."""

    transport: ITransport

    def __init__(
        self, clock: IReactorTime, stream: ContentSink, length: int, silence: float
    ) -> None:
        self._clock = clock
        self._stream = stream
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
            pause = self._stream.received(data) if self._left >= 0 else None
        except Exception:
            self._break_off(Failure())
            return
        if self.complete.called:
            return  # Cancelled by what these bytes have set off.
        if pause is None:
            self._break_off(Failure(Unavailable("more than was wanted")))
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
