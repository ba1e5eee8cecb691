"""
The private state of `twisted.web.http.HTTPChannel` and `twisted.web.server.Request`.

What a server does with it is in `p2ptwisted.web.server`.
"""

from twisted.web.http import HTTPChannel
from twisted.web.server import Request


class ExposedChannel(HTTPChannel):
    """
    Twisted's server side of a connection, with its state in public.

    Missing in Twisted: a channel that stops parsing the requests behind one
    whose answer isn't taken (it pauses only the socket), and errors with a body.
    """

    @property
    def is_parsing(self) -> bool:
        """Whether received data is being parsed, further up the stack; what comes is only kept."""
        # Missing: a public way to ask LineReceiver.
        return self._busyReceiving

    @property
    def unparsed(self) -> bytes:
        """What has been received and not parsed yet."""
        # Missing: a way to look at it; the public clearLineBuffer() takes it away.
        return self._buffer

    @property
    def is_handling_request(self) -> bool:
        """Whether a request is complete, and its answer isn't yet."""
        # Missing: `requests` is public, but also has the request whose body still comes.
        return self._handlingRequest

    @property
    def has_pipelined_data(self) -> bool:
        """Whether data came behind the request that is being handled."""
        # Missing: any public sign of it.
        return bool(self._dataBuffer)

    @property
    def is_write_blocked(self) -> bool:
        """Whether the transport asked for a pause, for the client doesn't take what was written."""
        # Missing: transports tell their producer alone, which is the channel.
        return self._waitingForTransport

    def pause_reading(self) -> None:
        """Read nothing more from the socket."""
        # Missing: the channel's own pauseProducing() pauses the answer's producer as well.
        self._networkProducer.pauseProducing()

    def resume_reading(self) -> None:
        """Read from the socket again."""
        # Missing: the same for resumeProducing().
        self._networkProducer.resumeProducing()

    def bad_request(self) -> None:
        """Answer what isn't a valid request, and read no more of it. For subclasses."""
        raise NotImplementedError

    def _respondToBadRequestAndDisconnect(self) -> None:
        # Missing: a hook for the answer, of which Twisted's own has no body.
        self.bad_request()


class ExposedRequest(Request):
    """A request that treats the target `*` like every other."""

    def _handleStar(self) -> None:
        # Missing: a hook for `*`, which Twisted answers by itself, whatever the headers are.
        assert self.site is not None
        self.render(self.site.getResourceFor(self))
