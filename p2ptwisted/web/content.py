"""The content of a resource over HTTP, straight from its file: all of it, a range, or pieces."""

import errno
import os
import re
from http import HTTPStatus
from typing import cast
from urllib.parse import quote

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime, ITransport
from twisted.web.resource import Resource as WebResource
from twisted.web.server import NOT_DONE_YET, Request
from werkzeug.http import parse_range_header
from zope.interface import implementer

from p2ptwisted.interfaces import ContentSlice
from p2ptwisted.web.conditions import is_range_of, unmet_condition
from p2ptwisted.web.error_responses import error, not_sent
from p2ptwisted.web.manifests import tell_state
from p2ptwisted.web.server.file_sender import CantSendFile, FileSender, make_file_sender

#: Bytes read at a time, at the most; with Twisted's 64 KiB one curl gets half as much.
BLOCK_MAX = 1024 * 1024

#: Bytes read at a time at first, and while a rate limit makes the upload wait: large
#: blocks with long pauses between them look like a connection that has stalled.
BLOCK_MIN = 64 * 1024


class Content(WebResource):
    """A resource, or a range of it."""

    isLeaf = True

    def __init__(self, clock: IReactorTime, content: ContentSlice) -> None:
        super().__init__()
        self._clock = clock
        self._content = content

    def render_GET(self, request: Request) -> bytes | int:
        content = self._content
        size = content.stop
        tag = content.resource.id
        request.setHeader(b"accept-ranges", b"bytes")
        # A shared file is data: no browser shall take it for a page of the node's.
        request.setHeader(b"content-type", b"application/octet-stream")
        request.setHeader(b"x-content-type-options", b"nosniff")
        request.setHeader(b"content-disposition", _disposition(content.resource.name))
        unmet = unmet_condition(request, tag)
        if unmet is not None:
            _close(content)
            return not_sent(request, unmet)
        byte_range = _range(request, size, tag)
        if byte_range is None:
            _close(content)
            request.setHeader(b"content-range", b"bytes */%d" % size)
            return error(
                request,
                HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
                f"the range is outside of the resource, which has {size} bytes",
            )
        start, stop = byte_range
        if (start, stop) != (0, size):
            _partial(request, start, stop, size)
        request.setHeader(b"content-length", b"%d" % (stop - start))
        if request.method == b"HEAD":
            return _close(content)
        return _send(self._clock, request, content, start, stop)


class SomePieces(WebResource):
    """The pieces of a resource that its holder has chosen to send, which follow each other."""

    isLeaf = True

    def __init__(self, clock: IReactorTime, content: ContentSlice) -> None:
        super().__init__()
        self._clock = clock
        self._content = content

    def render(self, request: Request) -> bytes | int:
        start, stop = self._content.start, self._content.stop
        request.setHeader(b"content-type", b"application/octet-stream")
        _partial(request, start, stop, self._content.resource.size or stop)
        request.setHeader(b"content-length", b"%d" % (stop - start))
        if self._content.state is not None:
            tell_state(request, self._content.state)
        return _send(self._clock, request, self._content, start, stop)


#: "The last 0 bytes", which werkzeug's parser takes for all bytes.
_LAST_ZERO = re.compile(rb"bytes=[ \t]*-0+[ \t]*")


@implementer(IPushProducer)
class _Producer:
    """
    Sends a range of a file, and waits where there is a rate limit.

    Twisted's own producers (pull producers) are asked for more again and again,
    which leaves no time to wait.

    The first block goes out with the headers. Where the kernel can send what follows by
    itself, that takes a third of the processor time.
    """

    def __init__(
        self, clock: IReactorTime, request: Request, content: ContentSlice, start: int, stop: int
    ) -> None:
        self._clock = clock
        self._request = request
        self._file = content.file
        self._upload = content.upload
        self._at = start
        self._left = stop - start
        self._stop = stop
        self._block = BLOCK_MIN
        self._next: IDelayedCall | None = None
        self._due = 0.0
        self._paused = False
        self._may_send = True
        #: What sends the rest; None where that is read and written too.
        self._sender: FileSender | None = None

    def start(self) -> None:
        self._request.registerProducer(self, True)
        self._produce()

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
        if self._sender is not None:
            self._sender.pause()

    def stopProducing(self) -> None:
        self.pauseProducing()
        if self._sender is not None:
            self._sender.close()
        self._file.close()

    def _produce(self) -> None:
        self._next = None
        if not self._left:
            self._finish()
        elif self._sender is not None:
            self._sender.resume()
        else:
            self._write()

    def _write(self) -> None:
        """Read and write the next block."""
        data = self._read()
        if not data:
            self._abort()
            return
        self._count(len(data))
        if self._left:
            if self._may_send:
                self._may_send = False
                transport = cast(ITransport, self._request.channel.transport)
                self._sender = make_file_sender(self._clock, transport, self._send, self._abort)
            self.resumeProducing()
        # This may pause us.
        self._request.write(data)
        # While a client doesn't take the last block, it is still being sent something.
        if not self._left and not self._paused:
            self._finish()

    def _send(self) -> None:
        """Have the kernel send the next block, or as much of it as the socket takes."""
        assert self._sender is not None
        try:
            self._check_size()
            sent = self._sender.send(self._file.fileno(), self._at, min(self._block, self._left))
        except CantSendFile:
            self._sender.close()
            self._sender = None
            self.resumeProducing()
            return
        except OSError:
            self._sender.close()
            self._abort()
            return
        wait = self._count(sent)
        if not self._left:
            self._finish()
        elif wait:
            self._sender.pause()
            self.resumeProducing()

    def _count(self, sent: int) -> float:
        """Count bytes that are on their way; returns the seconds to wait before more."""
        self._at += sent
        self._left -= sent
        wait = self._upload.sent(sent)
        self._block = BLOCK_MIN if wait else min(2 * self._block, BLOCK_MAX)
        self._due = self._clock.seconds() + wait
        return wait

    def _abort(self) -> None:
        # No client can take this end for the content's.
        self._request.channel.forceAbortClient()

    def _finish(self) -> None:
        self._request.unregisterProducer()
        self._request.finish()
        self.stopProducing()

    def _read(self) -> bytes:
        """Read the next block; empty where the file was truncated or can't be read any more."""
        try:
            self._check_size()
            return os.pread(self._file.fileno(), min(self._block, self._left), self._at)
        except OSError:
            return b""

    def _check_size(self) -> None:
        """Raise OSError where the file was truncated, so that it will end too early."""
        if os.fstat(self._file.fileno()).st_size < self._stop:
            raise OSError(errno.EIO, "it was truncated")


def _send(
    clock: IReactorTime, request: Request, content: ContentSlice, start: int, stop: int
) -> int:
    """Send the bytes from `start` to `stop`; the upload ends with the request."""
    request.notifyFinish().addBoth(lambda _: content.upload.end())
    _Producer(clock, request, content, start, stop).start()
    return NOT_DONE_YET


def _close(content: ContentSlice) -> bytes:
    """Close the file and end the upload, of which nothing is sent; returns an empty body."""
    content.file.close()
    content.upload.end()
    return b""


def _partial(request: Request, start: int, stop: int, size: int) -> None:
    """Make the answer a 206 with the bytes from `start` to `stop` of `size`."""
    request.setResponseCode(HTTPStatus.PARTIAL_CONTENT)
    request.setHeader(b"content-range", b"bytes %d-%d/%d" % (start, stop - 1, size))


def _range(request: Request, size: int, tag: str) -> tuple[int, int] | None:
    """
    Return the first byte to send and the one after the last; None where there is none to send.

    All bytes where no range is asked for, where several are, and where the range
    is meant for another version (RFC 9110, sections 13.1.5 and 14.2).
    """
    everything = 0, size
    header = request.getHeader(b"range")
    if header is None or request.method == b"HEAD" or not is_range_of(request, tag):
        return everything
    if _LAST_ZERO.fullmatch(header):
        return None
    parsed = parse_range_header(header.decode("latin-1"))
    if parsed is None or parsed.units != "bytes" or len(parsed.ranges) != 1:
        return everything
    ((start, stop),) = parsed.ranges
    if start < 0:
        start = max(0, size + start)
    stop = size if stop is None else min(stop, size)
    return (start, stop) if start < stop else None


def _disposition(name: str) -> bytes:
    """Return the header with the name that `curl -OJ` saves under: without folders (RFC 6266)."""
    base = name.rpartition("/")[2]
    # curl knows only the plain form, which has no way to say more than ASCII.
    plain = "".join(char if char.isascii() and char.isprintable() else "_" for char in base)
    quoted = plain.replace("\\", "_").replace('"', "_")
    encoded = quote(base, safe="")
    return f"attachment; filename=\"{quoted}\"; filename*=UTF-8''{encoded}".encode()
