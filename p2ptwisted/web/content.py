"""The content of a resource over HTTP, straight from its file: all of it, ranges, or pieces."""

import errno
import os
import secrets
from collections.abc import Sequence
from http import HTTPStatus
from typing import cast

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime, ITransport
from twisted.web.resource import Resource as WebResource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from p2ptwisted.interfaces import ContentSlice
from p2ptwisted.web.byte_ranges import Part, content_range, multipart, parse_ranges
from p2ptwisted.web.conditions import is_range_of, unmet_condition
from p2ptwisted.web.error_responses import error, not_sent
from p2ptwisted.web.manifests import tell_state
from p2ptwisted.web.mirrors import tell_digest, tell_mirrors
from p2ptwisted.web.responses import disposition
from p2ptwisted.web.server.file_sender import CantSendFile, FileSender, make_file_sender

#: Bytes read at a time, at the most; with Twisted's 64 KiB one curl gets half as much.
BLOCK_MAX = 1024 * 1024

#: Bytes read at a time at first, and while a rate limit makes the upload wait: large
#: blocks with long pauses between them look like a connection that has stalled.
BLOCK_MIN = 64 * 1024

#: A shared file is data: no browser shall take it for a page of the node's.
CONTENT_TYPE = b"application/octet-stream"


class Content(WebResource):
    """A resource, or ranges of it."""

    isLeaf = True

    def __init__(
        self, clock: IReactorTime, content: ContentSlice, mirrors: Sequence[str] = ()
    ) -> None:
        """`mirrors`: the locations of some other nodes that have it."""
        super().__init__()
        self._clock = clock
        self._content = content
        self._mirrors = mirrors

    def render_GET(self, request: Request) -> bytes | int:
        content = self._content
        size = content.stop
        tag = content.resource.id
        request.setHeader(b"accept-ranges", b"bytes")
        request.setHeader(b"content-type", CONTENT_TYPE)
        request.setHeader(b"x-content-type-options", b"nosniff")
        request.setHeader(b"content-disposition", disposition(content.resource.name))
        unmet = unmet_condition(request, tag)
        if unmet is not None:
            _close(content)
            return not_sent(request, unmet)
        ranges = _ranges(request, size, tag)
        if ranges is not None and not ranges:
            _close(content)
            request.setHeader(b"content-range", b"bytes */%d" % size)
            return error(
                request,
                HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
                f"the range is outside of the resource, which has {size} bytes",
            )
        tell_digest(request, tag)
        tell_mirrors(request, tag, self._mirrors)
        if ranges is None:
            return self._send_whole(request)
        if len(ranges) > 1:
            # Nobody can have put this into the file.
            boundary = secrets.token_hex(16).encode()
            parts, end = multipart(ranges, size, CONTENT_TYPE, boundary)
            request.setResponseCode(HTTPStatus.PARTIAL_CONTENT)
            request.setHeader(b"content-type", b"multipart/byteranges; boundary=" + boundary)
            return _send(self._clock, request, content, parts, end)
        ((start, stop),) = ranges
        # All of it, too: axel asks for that to see whether there are ranges.
        _partial(request, start, stop, size)
        return _send(self._clock, request, content, [Part(start, stop)])

    def _send_whole(self, request: Request) -> bytes | int:
        """Send all of it, or only its length."""
        if request.method == b"HEAD":
            request.setHeader(b"content-length", b"%d" % self._content.stop)
            return _close(self._content)
        return _send(self._clock, request, self._content, [Part(0, self._content.stop)])


class SomePieces(WebResource):
    """The pieces of a resource that its holder has chosen to send, which follow each other."""

    isLeaf = True

    def __init__(self, clock: IReactorTime, content: ContentSlice) -> None:
        super().__init__()
        self._clock = clock
        self._content = content

    def render(self, request: Request) -> bytes | int:
        start, stop = self._content.start, self._content.stop
        request.setHeader(b"content-type", CONTENT_TYPE)
        _partial(request, start, stop, self._content.resource.size or stop)
        if self._content.state is not None:
            tell_state(request, self._content.state)
        return _send(self._clock, request, self._content, [Part(start, stop)])


@implementer(IPushProducer)
class _Producer:
    """
    Sends ranges of a file, and waits where there is a rate limit.

    Twisted's own producers (pull producers) are asked for more again and again,
    which leaves no time to wait.

    The first block goes out with the headers. Where the kernel can send what follows by
    itself, that takes a third of the processor time.
    """

    def __init__(
        self,
        clock: IReactorTime,
        request: Request,
        content: ContentSlice,
        parts: Sequence[Part],
        end: bytes,
    ) -> None:
        """`end` is sent behind the last of the parts."""
        self._clock = clock
        self._request = request
        self._file = content.file
        self._upload = content.upload
        self._file_size = max(part.stop for part in parts)
        self._parts = iter(parts)
        self._end = end
        #: What is to be written before the next byte of the file.
        self._head = b""
        self._begin_part()
        self._block = BLOCK_MIN
        self._next: IDelayedCall | None = None
        self._due = 0.0
        self._paused = False
        self._may_send = True
        #: What sends the rest; None where that is read and written too.
        self._sender: FileSender | None = None

    def _begin_part(self) -> None:
        """Go on with the next part; where that was the last one, nothing is `_left`."""
        part = next(self._parts, None)
        if part is None:
            self._head, self._left = self._end, 0
        else:
            self._at, self._left, self._head = part.start, part.stop - part.start, part.head

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
        block = self._take_head() + data
        self._count(len(data))
        if self._left:
            if self._may_send:
                self._may_send = False
                transport = cast(ITransport, self._request.channel.transport)
                self._sender = make_file_sender(self._clock, transport, self._send, self._abort)
            self.resumeProducing()
        else:
            block += self._take_head()
        # This may pause us.
        self._request.write(block)
        # While a client doesn't take the last block, it is still being sent something.
        if not self._left and not self._paused:
            self._finish()

    def _send(self) -> None:
        """Have the kernel send the next block, or as much of it as the socket takes."""
        assert self._sender is not None
        if self._head:
            # The transport's to send; then the socket is ours again.
            self._request.write(self._take_head())
            return
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
            if self._head:
                self._request.write(self._take_head())
            self._finish()
        elif wait:
            self._sender.pause()
            self.resumeProducing()

    def _count(self, sent: int) -> float:
        """Count bytes that are on their way; returns the seconds to wait before more."""
        self._at += sent
        self._left -= sent
        if not self._left:
            self._begin_part()
        wait = self._upload.sent(sent)
        self._block = BLOCK_MIN if wait else min(2 * self._block, BLOCK_MAX)
        self._due = self._clock.seconds() + wait
        return wait

    def _take_head(self) -> bytes:
        head, self._head = self._head, b""
        return head

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
        if os.fstat(self._file.fileno()).st_size < self._file_size:
            raise OSError(errno.EIO, "it was truncated")


def _send(
    clock: IReactorTime,
    request: Request,
    content: ContentSlice,
    parts: Sequence[Part],
    end: bytes = b"",
) -> int:
    """Send the parts and what follows them; the upload ends with the request."""
    length = sum(len(part.head) + part.stop - part.start for part in parts) + len(end)
    request.setHeader(b"content-length", b"%d" % length)
    request.notifyFinish().addBoth(lambda _: content.upload.end())
    _Producer(clock, request, content, parts, end).start()
    return NOT_DONE_YET


def _close(content: ContentSlice) -> bytes:
    """Close the file and end the upload, of which nothing is sent; returns an empty body."""
    content.file.close()
    content.upload.end()
    return b""


def _partial(request: Request, start: int, stop: int, size: int) -> None:
    """Make the answer a 206 with the bytes from `start` to `stop` of `size`."""
    request.setResponseCode(HTTPStatus.PARTIAL_CONTENT)
    request.setHeader(b"content-range", content_range(start, stop, size))


def _ranges(request: Request, size: int, tag: str) -> list[tuple[int, int]] | None:
    """
    Return the ranges to send, each its first byte and the one after its last; none: answer 416.

    None, for all bytes, where no range is asked for, where there are too many or one that isn't
    valid, and where they are meant for another version (RFC 9110, sections 13.1.5 and 14.2).
    """
    headers = request.requestHeaders.getRawHeaders(b"range", ())
    if len(headers) != 1 or request.method == b"HEAD" or not is_range_of(request, tag):
        return None
    return parse_ranges(headers[0].decode("latin-1"), size)
