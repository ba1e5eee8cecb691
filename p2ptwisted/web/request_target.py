"""
The target of a request, in one form for every use of it. Pure.

Who may call, which route runs, and what an error names all go by this form.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from p2ptwisted.errors import InvalidInput

#: What a Host header may have; Klein fails on anything else.
_HOST = re.compile(
    rb"(?=.{1,261}\Z)(?:(?:[A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?|\[[0-9A-Fa-f:.]{2,45}\])"
    rb"(?::[0-9]{0,5})?"
)

#: An absolute URL, as proxies are sent it; every server must take it (RFC 9112, 3.2.2).
_ABSOLUTE = re.compile(rb"https?://([^/?]*)", re.IGNORECASE)

#: Segments of the characters that a URL's path has unquoted, and `:` percent-encoded too,
#: for it is the one character of an id that functions for quoting change.
#: (Possessive quantifiers: 0.5 us for a search's path, 2.1 us character by character.)
_PATH = re.compile(rb"(?:/(?!\.{1,2}(?:/|\Z))(?:[A-Za-z0-9._~!$&'()*+,=:@-]++|%3A)++)*+/?")

#: The characters of a query; its values may be percent-encoded.
_QUERY = re.compile(rb"[!-~]*")


class Target(NamedTuple):
    """The host, path and query that a request is for."""

    #: The host, with a port where one is named.
    host: bytes
    #: Begins with a slash; nothing in it is percent-encoded.
    path: bytes
    #: Path and query as they were sent, which a signature covers.
    sent: bytes


def parse_target(sent: bytes, hosts: Sequence[bytes]) -> Target:
    """
    Parse what stands between a request's method and its version.

    `hosts` are the values of its Host headers. Raises InvalidInput for what could
    be read in two ways, or written in two ways.
    """
    if len(hosts) != 1:
        raise InvalidInput(
            f"a request has one Host header, and this one has {len(hosts) or 'none'}"
        )
    host = hosts[0]
    _check_host(host)
    if b"#" in sent:
        raise InvalidInput("the target has a fragment, which no server is sent: leave out the #")
    absolute = _ABSOLUTE.match(sent)
    if absolute is not None:
        # It counts, not the Host header.
        host = absolute[1]
        _check_host(host)
        sent = sent[absolute.end() :]
        sent = sent if sent.startswith(b"/") else b"/" + sent
    path, _, query = sent.partition(b"?")
    if not path.startswith(b"/"):
        raise InvalidInput("the target is no path: it begins with a slash")
    if not _PATH.fullmatch(path):
        raise InvalidInput(_wrong_with(path))
    if not _QUERY.fullmatch(query):
        raise InvalidInput("the query has characters that no URL may have: percent-encode them")
    return Target(host, path.replace(b"%3A", b":"), sent)


def _check_host(host: bytes) -> None:
    if not _HOST.fullmatch(host):
        raise InvalidInput("the Host header names no host")


def _wrong_with(path: bytes) -> str:
    """Return what is wrong with a path, for a message."""
    if b"%" in path.replace(b"%3A", b""):
        return (
            "the path is percent-encoded: routes and ids (of A-Z a-z 0-9 . _ : -) are written as "
            "they are, and only : may be %3A"
        )
    parts = path.split(b"/")
    if b"." in parts or b".." in parts:
        return "the path has a part that is . or ..: write it without"
    if b"//" in path:
        return "the path has an empty part: write one slash, not several"
    return "the path has a character that is in no route and in no id (of A-Z a-z 0-9 . _ : -)"
