"""The content of a resource over HTTP: whole, a range of it, or pieces; straight from the file."""

import os
import re
from http import HTTPStatus
from urllib.parse import quote

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.web.http import CACHED
from twisted.web.resource import Resource as WebResource
from twisted.web.server import NOT_DONE_YET, Request
from werkzeug.http import parse_range_header
from zope.interface import implementer

from p2ptwisted.interfaces import ContentSlice
from p2ptwisted.web.error_responses import error

#: Bytes read at a time; with Twisted's 64 KiB one curl gets half as much.
BLOCK_MAX = 1024 * 1024

#: The same at first, and while there is a bound on the rate to wait for: blocks
#: that are far between look like a connection that has stalled.
BLOCK_MIN = 64 * 1024


class Content(WebResource):
    """The whole of a resource, or a range of it."""

    isLeaf = True

    def __init__(self, clock: IReactorTime, giving: ContentSlice) -> None:
        super().__init__()
        self._clock = clock
        self._giving = giving

    def render_GET(self, request: Request) -> bytes | int:
        giving = self._giving
        size = giving.stop
        etag = f'"{giving.resource.id}"'
        request.setHeader(b"accept-ranges", b"bytes")
        # A shared file is data: no browser shall take it for a page of the node's.
        request.setHeader(b"content-type", b"application/octet-stream")
        request.setHeader(b"x-content-type-options", b"nosniff")
        request.setHeader(b"content-disposition", _disposition(giving.resource.name))
        if request.setETag(etag.encode()) is CACHED:
            return _close(giving)
        wanted = _range(request, size, etag)
        if wanted is None:
            _close(giving)
            request.setHeader(b"content-range", b"bytes */%d" % size)
            return error(
                request,
                HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
                f"the range is outside of the resource, which has {size} bytes",
            )
        start, stop = wanted
        if (start, stop) != (0, size):
            _partial(request, start, stop, size)
        request.setHeader(b"content-length", b"%d" % (stop - start))
        if request.method == b"HEAD":
            return _close(giving)
        return _send(self._clock, request, giving, start, stop)


class SomePieces(WebResource):
    """The pieces of a resource that its holder has chosen to send."""

    isLeaf = True

    def __init__(self, clock: IReactorTime, giving: ContentSlice) -> None:
        super().__init__()
        self._clock = clock
        self._giving = giving

    def render(self, request: Request) -> bytes | int:
        start, stop = self._giving.start, self._giving.stop
        request.setHeader(b"content-type", b"application/octet-stream")
        _partial(request, start, stop, self._giving.resource.size or stop)
        request.setHeader(b"content-length", b"%d" % (stop - start))
        return _send(self._clock, request, self._giving, start, stop)


#: The last no bytes: what parses a range takes it for all of them.
_LAST_NONE = re.compile(rb"bytes=[ \t]*-0+[ \t]*")


@implementer(IPushProducer)
class _Producer:
    """
    Sends a range of a file, held back where there is a bound on the rate.

    Twisted's own producers are asked for more again and again, which leaves no time to wait.
    """

    def __init__(
        self, clock: IReactorTime, request: Request, giving: ContentSlice, start: int, stop: int
    ) -> None:
        self._clock = clock
        self._request = request
        self._file = giving.file
        self._upload = giving.upload
        self._left = stop - start
        self._stop = stop
        self._block = BLOCK_MIN
        self._next: IDelayedCall | None = None
        self._due = 0.0
        self._paused = False
        self._file.seek(start)

    def start(self) -> None:
        self._request.registerProducer(self, True)
        self.resumeProducing()

    def resumeProducing(self) -> None:
        self._paused = False
        if self._next is None:
            wait = max(0.0, self._due - self._clock.seconds()) if self._left else 0.0
            self._next = self._clock.callLater(wait, self._produce)

    def pauseProducing(self) -> None:
        self._paused = True
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def stopProducing(self) -> None:
        self.pauseProducing()
        self._file.close()

    def _produce(self) -> None:
        self._next = None
        if not self._left:
            self._finish()
            return
        data = self._read()
        if not data:
            # An end that nobody can take for the real one.
            self._request.channel.forceAbortClient()
            return
        self._left -= len(data)
        wait = self._upload.sent(len(data))
        self._block = BLOCK_MIN if wait else min(2 * self._block, BLOCK_MAX)
        self._due = self._clock.seconds() + wait
        if self._left:
            self.resumeProducing()
        # This may pause us.
        self._request.write(data)
        # A client that doesn't take the last block is sent something still.
        if not self._left and not self._paused:
            self._finish()

    def _finish(self) -> None:
        self._request.unregisterProducer()
        self._request.finish()
        self.stopProducing()

    def _read(self) -> bytes:
        """The next block; nothing where the file was cut off or can't be read any more."""
        try:
            if os.fstat(self._file.fileno()).st_size < self._stop:
                return b""
            return self._file.read(min(self._block, self._left))
        except OSError:
            return b""


def _send(
    clock: IReactorTime, request: Request, giving: ContentSlice, start: int, stop: int
) -> int:
    request.notifyFinish().addBoth(lambda _: giving.upload.end())
    _Producer(clock, request, giving, start, stop).start()
    return NOT_DONE_YET


def _close(giving: ContentSlice) -> bytes:
    giving.file.close()
    giving.upload.end()
    return b""


def _partial(request: Request, start: int, stop: int, size: int) -> None:
    request.setResponseCode(HTTPStatus.PARTIAL_CONTENT)
    request.setHeader(b"content-range", b"bytes %d-%d/%d" % (start, stop - 1, size))


def _range(request: Request, size: int, etag: str) -> tuple[int, int] | None:
    """
    The first byte to send and the one after the last; None where there is none to send.

    The whole file where no range is asked for, where several are, and where
    the range is meant for another version (RFC 9110, sections 13.1.5 and 14.2).
    """
    whole = 0, size
    header = request.getHeader(b"range")
    if_range = request.getHeader(b"if-range")
    if header is None or request.method == b"HEAD":
        return whole
    if if_range is not None and if_range.decode("latin-1") != etag:
        return whole
    if _LAST_NONE.fullmatch(header):
        return None
    parsed = parse_range_header(header.decode("latin-1"))
    if parsed is None or parsed.units != "bytes" or len(parsed.ranges) != 1:
        return whole
    ((start, stop),) = parsed.ranges
    if start < 0:
        start = max(0, size + start)
    stop = size if stop is None else min(stop, size)
    return (start, stop) if start < stop else None


def _disposition(name: str) -> bytes:
    """The name that `curl -OJ` saves under: without its folders (RFC 6266)."""
    base = name.rpartition("/")[2]
    # curl knows only the plain form, which has no way to say more than ASCII.
    plain = "".join(one if one.isascii() and one.isprintable() else "_" for one in base)
    quoted = plain.replace("\\", "_").replace('"', "_")
    encoded = quote(base, safe="")
    return f"attachment; filename=\"{quoted}\"; filename*=UTF-8''{encoded}".encode()
