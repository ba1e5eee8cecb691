"""
Decoding the answers of other members: the JSON envelope, and the locations in it.

Other programs' members answer too, so nothing is taken to be of the form that it should have.
"""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from p2ptwisted.errors import InvalidInput, Nonsense
from p2ptwisted.model import UNREADABLE
from p2ptwisted.support.escaping import shown
from p2ptwisted.support.locations import parse_location

#: Bytes read of an answer that is a list, such as a search's.
ANSWER_MAX = 4 * 1024 * 1024

_T = TypeVar("_T")


class _Data(msgspec.Struct):
    """The envelope of every answer; the type of `data` depends on the route."""

    data: msgspec.Raw = msgspec.Raw(b"{}")


def decode_answer(answer: bytes, kind: type[_T]) -> _T:
    """Return the data of an answer; raises Nonsense where it is not of that type."""
    return decode_body(decode_body(answer, _Data).data, kind)


def decode_body(answer: bytes | msgspec.Raw, kind: type[_T]) -> _T:
    """Return all of an answer, with what stands beside its data; raises Nonsense likewise."""
    try:
        return msgspec.json.decode(answer, type=kind)
    except UNREADABLE as error:
        raise Nonsense(f"an answer that can't be understood: {shown(str(error))}") from None


def valid_locations(locations: Sequence[str]) -> list[str]:
    """Return those that are locations of one host, in their normal form."""
    valid = []
    for location in locations:
        try:
            valid.append(str(parse_location(location)))
        except InvalidInput:
            continue
    return valid
