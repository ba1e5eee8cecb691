"""
HTTP pipelining: requests that a client sends before it has the answers to earlier ones.

Where answers are not taken, Twisted pauses only the socket, and still handles
what has come: as many requests as fit one read, in one turn of the reactor.
"""

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from p2ptwisted.support.twisted_internals.http_server import ExposedChannel
from p2ptwisted.web.server.request_body import LimitedRequest

#: Requests of one connection that are answered in one turn of the reactor, at the most.
REQUESTS_PER_TURN = 8


class PipeliningChannel(ExposedChannel):
    """
    A connection whose next request waits until there is room for its answer.

    While `paused`, what has come is kept unparsed, and nothing is read from the socket.
    """

    #: Requests answered in this turn with more behind them, and the timer of the next turn.
    _answered_this_turn = 0
    _next_turn: IDelayedCall | None = None

    def became_idle(self) -> None:
        """Called when all that has come is answered, and the transport has room. For subclasses."""

    def parsed_kept(self) -> None:
        """Called when what was kept has been parsed as far as can be now. For subclasses."""

    def dataReceived(self, data: bytes) -> None:
        # Not where the parser calls this itself, with what was kept.
        if self._answered_this_turn and not self.is_parsing:
            self._answered_this_turn = 0
        super().dataReceived(data)

    def rawDataReceived(self, data: bytes) -> None:
        super().rawDataReceived(data)
        if self.is_handling_request and self.is_write_blocked:
            # Twisted would go on reading, for as long as the answer is not taken.
            self.pause_reading()

    def requestDone(self, request: LimitedRequest) -> None:
        if self.persistent:
            if self.unparsed:
                self._answered_this_turn += 1
            if self.is_write_blocked or self._answered_this_turn >= REQUESTS_PER_TURN:
                self.paused = True
            else:
                self.became_idle()
        # Reads what came of the next one meanwhile.
        super().requestDone(request)
        if self.paused:
            self.pause_reading()
            self._schedule_continue()

    def resumeProducing(self) -> None:
        super().resumeProducing()
        if not self.paused:
            return
        if self.unparsed:
            self.pause_reading()
            self._schedule_continue()
        else:
            self.paused = False
            self.became_idle()

    def _schedule_continue(self) -> None:
        """Go on in the reactor's next turn, unless the client must first take what it asked for."""
        if not self.is_write_blocked and self._next_turn is None:
            self._next_turn = self.callLater(0, self._continue)

    def _continue(self) -> None:
        """Parse what came behind the requests that have been answered."""
        self._next_turn = None
        self.paused = False
        if self.unparsed:
            self.dataReceived(b"")
        else:
            self.became_idle()
        if not self.paused and not (self.is_handling_request and self.has_pipelined_data):
            self.resume_reading()
        self.parsed_kept()

    def loseConnection(self) -> None:
        self._cancel_next_turn()
        super().loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._cancel_next_turn()
        super().connectionLost(reason)

    def _cancel_next_turn(self) -> None:
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None
