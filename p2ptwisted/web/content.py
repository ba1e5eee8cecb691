"""The content of a resource over HTTP: whole or a range of it, straight from the file."""

import os
from http import HTTPStatus
from typing import BinaryIO
from urllib.parse import quote

from twisted.web.http import CACHED
from twisted.web.resource import Resource as WebResource
from twisted.web.server import NOT_DONE_YET, Request
from twisted.web.static import (
    SingleRangeStaticProducer,
)
from werkzeug.http import parse_range_header

from p2ptwisted.model import Resource
from p2ptwisted.web.envelope import error

#: Bytes read at a time; with Twisted's 64 KiB one curl gets half as much.
BUFFER = 1024 * 1024


class Content(WebResource):
    """An open file of the library, sent and closed."""

    isLeaf = True

    def __init__(self, resource: Resource, file: BinaryIO) -> None:
        super().__init__()
        self._resource = resource
        self._file = file

    def render_GET(self, request: Request) -> bytes | int:
        size = os.fstat(self._file.fileno()).st_size
        etag = f'"{self._resource.id}"'
        request.setHeader(b"accept-ranges", b"bytes")
        # A shared file is data: no browser shall take it for a page of the node's.
        request.setHeader(b"content-type", b"application/octet-stream")
        request.setHeader(b"x-content-type-options", b"nosniff")
        request.setHeader(b"content-disposition", _disposition(self._resource.name))
        if request.setETag(etag.encode()) is CACHED:
            return self._end(b"")
        wanted = _range(request, size, etag)
        if wanted is None:
            request.setHeader(b"content-range", b"bytes */%d" % size)
            return self._end(
                error(
                    request,
                    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
                    f"the range is outside of the resource, which has {size} bytes",
                )
            )
        start, stop = wanted
        request.setHeader(b"content-length", b"%d" % (stop - start))
        if (start, stop) != (0, size):
            request.setResponseCode(HTTPStatus.PARTIAL_CONTENT)
            request.setHeader(b"content-range", b"bytes %d-%d/%d" % (start, stop - 1, size))
        if request.method == b"HEAD":
            return self._end(b"")
        producer = _Producer(request, self._file, start, stop - start)
        producer.start()
        return NOT_DONE_YET

    def _end(self, body: bytes) -> bytes:
        self._file.close()
        return body


class _Producer(SingleRangeStaticProducer):
    """Twisted's, but a file that was cut off meanwhile ends the connection."""

    bufferSize = BUFFER

    def resumeProducing(self) -> None:
        if self.request is None:
            return
        if os.fstat(self.fileObject.fileno()).st_size < self.offset + self.size:
            # The client must not take what there is for the whole, nor wait for the rest.
            self.request.channel.forceAbortClient()
        else:
            super().resumeProducing()


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
