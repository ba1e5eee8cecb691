"""
Requests that depend on the version that a client has (RFC 9110, section 13).

A version is known by its tag alone. Conditions with dates are ignored, as HTTP wants it where an
answer has no `Last-Modified`.
"""

import re
from http import HTTPStatus

from twisted.web.server import Request

#: A tag in a list of tags; what is weak of it says that the content is alike, not the same.
_TAG = re.compile(r'(?P<weak>[Ww]/)?"(?P<tag>[!#-~\x80-\xff]*)"')


def unmet_condition(request: Request, tag: str) -> HTTPStatus | None:
    """
    Return the status to answer with in place of what is asked for; None where that is wanted.

    412 where `If-Match` names other versions than `tag`, 304 where `If-None-Match` names it. Sets
    the answer's ETag.
    """
    request.setHeader(b"etag", f'"{tag}"'.encode())
    wanted, known = _values(request, b"if-match"), _values(request, b"if-none-match")
    if wanted is not None and not _names(wanted, tag, weakly=False):
        return HTTPStatus.PRECONDITION_FAILED
    if known is not None and _names(known, tag, weakly=True):
        return HTTPStatus.NOT_MODIFIED
    return None


def is_range_of(request: Request, tag: str) -> bool:
    """Whether a range is meant for the version with this tag, as far as `If-Range` says so."""
    value = _values(request, b"if-range")
    # A date never matches: without Last-Modified it can't be the one that the client was given.
    return value is None or value == f'"{tag}"'


def _values(request: Request, name: bytes) -> str | None:
    """Return the list in a header, which may go on in further lines; None without the header."""
    lines = request.requestHeaders.getRawHeaders(name)
    return None if lines is None else b", ".join(lines).decode("latin-1").strip(" \t")


def _names(tags: str, tag: str, *, weakly: bool) -> bool:
    """Whether a list of tags has this one; `*` stands for any."""
    if tags == "*":
        return True
    return any(
        found["tag"] == tag and (weakly or not found["weak"]) for found in _TAG.finditer(tags)
    )
