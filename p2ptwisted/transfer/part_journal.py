"""
The journal of a part: how its resource is cut, in a first line of JSON, and then a line
with a number for each piece that is there. Pure, but for reading it.
"""

from typing import NamedTuple

import msgspec

from p2ptwisted.model import UNREADABLE
from p2ptwisted.pieces import Pieces


class _Head(msgspec.Struct):
    """The first line."""

    id: str
    pieces: Pieces


class Journal(NamedTuple):
    """What a journal says: how the resource is cut, what is there, and in how many bytes."""

    pieces: Pieces
    have: int
    length: int


def head_of(id: str, pieces: Pieces) -> bytes:
    """How a journal begins."""
    return msgspec.json.encode(_Head(id, pieces)) + b"\n"


def line_of(piece: int) -> bytes:
    """What is added to it for a piece."""
    return b"%d\n" % piece


def read_journal(file: int, id: str) -> Journal | None:
    """An open journal; None where it is not one of this very resource. Raises OSError."""
    with open(file, "rb", closefd=False) as opened:
        journal = opened.read()
    head, *lines = journal.split(b"\n")
    try:
        known = msgspec.json.decode(head, type=_Head)
    except UNREADABLE:
        return None
    if not lines or known.id != id:
        return None
    have = 0
    # What follows the last line end was cut off in mid-write.
    digits = len(str(known.pieces.count))
    for line in lines[:-1]:
        # Of more than 4,300 digits Python makes no number.
        if line.isdigit() and len(line) <= digits and int(line) < known.pieces.count:
            have |= 1 << int(line)
    return Journal(known.pieces, have, journal.rfind(b"\n") + 1)
