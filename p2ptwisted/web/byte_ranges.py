"""The ranges of bytes that a request names, and an answer with several (RFC 9110, 14). Pure."""

import re
from collections.abc import Sequence
from typing import NamedTuple

#: Ranges in one request; with more it is answered with everything.
RANGES_MAX = 16

_HEADER = re.compile(r"bytes=(.*)", re.IGNORECASE)

#: From a byte to another or to the end; or the last so many. Python reads up to 4,300 digits.
_RANGE = re.compile(r"(?P<first>[0-9]{1,4000})-(?P<last>[0-9]{0,4000})|-(?P<suffix>[0-9]{1,4000})")

#: What may stand around a range, but for the commas.
_SPACES = " \t"


class Part(NamedTuple):
    """The bytes of a file from `start` to `stop`, and what is sent before them."""

    start: int
    stop: int
    head: bytes = b""


def parse_ranges(header: str, size: int) -> list[tuple[int, int]] | None:
    """
    Return the ranges that have some of `size` bytes: the first byte, and the one after the last.

    They are in the order of the header; no range is left where all are outside. None where the
    header is to be ignored: it isn't valid, it has too many ranges, or they have more bytes than
    there are.
    """
    named = _HEADER.fullmatch(header.strip(_SPACES))
    if named is None:
        return None
    # A list may have empty elements.
    texts = [text for part in named[1].split(",") if (text := part.strip(_SPACES))]
    if not 0 < len(texts) <= RANGES_MAX:
        return None
    ranges = []
    for text in texts:
        found = _RANGE.fullmatch(text)
        if found is None:
            return None
        first, last, suffix = found.groups()
        start = int(first) if suffix is None else max(0, size - int(suffix))
        if last and int(last) < start:
            return None
        stop = min(int(last) + 1, size) if last else size
        if start < stop:
            ranges.append((start, stop))
    return ranges if sum(stop - start for start, stop in ranges) <= size else None


def multipart(
    ranges: Sequence[tuple[int, int]], size: int, content_type: bytes, boundary: bytes
) -> tuple[list[Part], bytes]:
    """Return the parts of a body of type `multipart/byteranges`, and what follows the last."""
    parts = [
        Part(
            start,
            stop,
            b"\r\n--%b\r\nContent-Type: %b\r\nContent-Range: %b\r\n\r\n"
            % (boundary, content_type, content_range(start, stop, size)),
        )
        for start, stop in ranges
    ]
    return parts, b"\r\n--%b--\r\n" % boundary


def content_range(start: int, stop: int, size: int) -> bytes:
    """Return the value of a Content-Range header."""
    return b"bytes %d-%d/%d" % (start, stop - 1, size)
