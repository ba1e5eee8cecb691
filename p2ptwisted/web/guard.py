"""Who may call at all: in a closed group, whoever signs with the group's key."""

from twisted.internet.interfaces import IReactorTime
from twisted.web.server import Request

from p2ptwisted.config import CommonConfig
from p2ptwisted.signatures import Call, Signatures

#: Methods that change nothing.
_READING = (b"GET", b"HEAD")


class Guard:
    """Lets the calls of a closed group's members in."""

    def __init__(self, clock: IReactorTime, signatures: Signatures, private: bool) -> None:
        """`private`: reading takes a signature too, not only writing."""
        self._clock = clock
        self._signatures = signatures
        self._private = private

    def check(self, request: Request) -> None:
        """Raises NotSigned where the call is not a member's, and Unavailable."""
        reading = _is_reading(request)
        if reading and not self._private:
            return
        assert request.content is not None
        body = request.content.read()
        request.content.seek(0)
        # What changes something may come only once; reading again does no harm.
        self._signatures.check(_call(request), body, self._clock.seconds(), once=not reading)


def make_guard(clock: IReactorTime, config: CommonConfig) -> Guard | None:
    """The guard of a closed group's member; an open group needs none."""
    key = config.group_key
    return None if key is None else Guard(clock, Signatures(key.http), config.private)


def _is_reading(request: Request) -> bool:
    # Pieces are asked for by POST, as a set of them is too long for a URL.
    return request.method in _READING or request.path.endswith(b"/pieces")


def _call(request: Request) -> Call:
    """The request as its caller signed it."""
    host = request.getHeader(b"host") or b""
    url = b"http://%b%b" % (host, request.uri)
    headers = {
        name.decode("latin-1"): ", ".join(value.decode("latin-1") for value in values)
        for name, values in request.requestHeaders.getAllRawHeaders()
    }
    return Call(request.method.decode("latin-1"), url.decode("latin-1"), headers)
