"""
The target of a request in its one form, which all go by: who may call, what is run, and
what an error names. Pure.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from p2ptwisted.errors import InvalidInput

#: What a Host header may name; Klein can't deal with anything else.
_HOST = re.compile(
    rb"(?=.{1,261}\Z)(?:(?:[A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?|\[[0-9A-Fa-f:.]{2,45}\])"
    rb"(?::[0-9]{0,5})?"
)

#: A whole URL, as a proxy is sent it, must be taken by every server (RFC 9112, 3.2.2).
_WHOLE = re.compile(rb"https?://([^/?]*)", re.IGNORECASE)

#: Parts of the characters that a URL's path has as they are, and `:` in its other spelling,
#: for it is the one character of an id that functions for quoting change.
_PATH = re.compile(rb"(?:/(?!\.{1,2}(?:/|\Z))(?:[A-Za-z0-9._~!$&'()*+,=:@-]|%3A)+)*/?")

#: What a query has; its values may be percent-encoded.
_QUERY = re.compile(rb"[!-~]*")


class Target(NamedTuple):
    """Whom a request is for, and what."""

    #: The host, with a port where one is named.
    host: bytes
    #: Begins with a slash; nothing in it is percent-encoded.
    path: bytes
    #: Path and query as they were sent, which is what a signature covers.
    sent: bytes


def parse_target(sent: bytes, hosts: Sequence[bytes]) -> Target:
    """
    Read what stands between a request's method and its version.

    `hosts` are the values of its Host headers. Raises InvalidInput: what could be read in
    two ways, or written in two, is no target.
    """
    if len(hosts) != 1:
        raise InvalidInput(
            f"a request has one Host header, and this one has {len(hosts) or 'none'}"
        )
    host = hosts[0]
    _check_host(host)
    if b"#" in sent:
        raise InvalidInput("the target has a fragment, which no server is sent: leave out the #")
    whole = _WHOLE.match(sent)
    if whole is not None:
        # Of the two it is the one that counts.
        host = whole[1]
        _check_host(host)
        sent = sent[whole.end() :]
        sent = sent if sent.startswith(b"/") else b"/" + sent
    path, _, query = sent.partition(b"?")
    if not path.startswith(b"/"):
        raise InvalidInput("the target is no path: it begins with a slash")
    if not _PATH.fullmatch(path):
        raise InvalidInput(_wrong_with(path))
    if not _QUERY.fullmatch(query):
        raise InvalidInput("the query has what no URL has: percent-encode it")
    return Target(host, path.replace(b"%3A", b":"), sent)


def _check_host(host: bytes) -> None:
    if not _HOST.fullmatch(host):
        raise InvalidInput("the Host header names no host")


def _wrong_with(path: bytes) -> str:
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
