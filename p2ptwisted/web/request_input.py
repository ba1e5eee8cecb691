"""
What a route reads of a request: the caller's address, the body, query parameters.

The request's target is read before, by `request_target`.
"""

import re
from typing import TypeVar

import msgspec
from twisted.web.server import Request

from p2ptwisted.errors import InvalidInput
from p2ptwisted.model import UNREADABLE, parse_id

#: Ids in one request; 200 of 64 digits fit the 16 KiB that Twisted allows for a request line.
HASH_IDS_MAX = 200

#: The usual case, canonical as it is: checked at once in a third of the time.
_SHA256_LIST = re.compile(r"[0-9a-f]{64}(?:,[0-9a-f]{64})*", re.ASCII)

_T = TypeVar("_T")


def caller(request: Request) -> str:
    """Return the IP address that the request came from."""
    return str(request.getClientAddress().host)


def decode_body(request: Request, decoder: msgspec.json.Decoder[_T]) -> _T:
    """
    Decode the body, which is JSON of the decoder's type.

    Raises InvalidInput where it isn't JSON, and msgspec.ValidationError, which
    names the field, where it is JSON of another type.
    """
    assert request.content is not None
    try:
        return decoder.decode(request.content.read())
    except msgspec.ValidationError:
        raise
    except UNREADABLE as problem:
        raise InvalidInput(f"the body is not JSON: {problem}") from None


def query(request: Request, name: str) -> str | None:
    """
    Return the value of a query parameter, or None where it isn't given.

    Raises InvalidInput where it is given more than once or isn't UTF-8.
    """
    values = request.args.get(name.encode())
    if values is None:
        return None
    if len(values) > 1:
        raise InvalidInput(f"{name} is given {len(values)} times: give it once")
    try:
        return str(values[0].decode())
    except UnicodeDecodeError:
        raise InvalidInput(f"{name} is not UTF-8") from None


def query_number(request: Request, name: str, most: int) -> int:
    """
    Return the value of a query parameter that is a whole number; 0 where it isn't given.

    Raises InvalidInput where it isn't one from 0 to `most`.
    """
    text = query(request, name)
    if text is None:
        return 0
    if not text.isascii() or not text.isdigit() or len(text) > len(str(most)) or int(text) > most:
        raise InvalidInput(f"{name} is {text[:40]!r}: give a whole number from 0 to {most}")
    return int(text)


def query_ids(request: Request) -> list[str] | None:
    """
    Return the ids of the parameter `hash_ids`, canonical, each once; None where it isn't given.

    Raises InvalidInput where one isn't an id, or where there are more than HASH_IDS_MAX.
    """
    text = query(request, "hash_ids")
    if text is None:
        return None
    if not text:
        raise InvalidInput("hash_ids is empty: give ids separated by commas")
    ids = text.split(",")
    if len(ids) > HASH_IDS_MAX:
        raise InvalidInput(f"hash_ids has {len(ids)} ids: ask for {HASH_IDS_MAX} at a time")
    if _SHA256_LIST.fullmatch(text):
        return list(dict.fromkeys(ids))
    return list(dict.fromkeys(map(parse_id, ids)))
