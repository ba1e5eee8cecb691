"""
The journal of a part: a first line of JSON with how its resource is cut, and then a line
with the number of each piece that is there. Pure, but for reading it.
"""

from typing import NamedTuple

import msgspec

from p2ptwisted.model import UNREADABLE
from p2ptwisted.pieces import Pieces, is_cut_by_rule


class _Head(msgspec.Struct):
    """The first line."""

    id: str
    pieces: Pieces


class Journal(NamedTuple):
    """What a journal says."""

    pieces: Pieces
    #: The set of pieces that are there.
    have: int
    #: Bytes of the journal that are good.
    length: int


def is_cut_otherwise(before: Pieces, now: Pieces) -> bool:
    """
    Whether a journal is of a version that cut by another rule, so that what it has is of use.

    What is wrong of it is found when the file is complete, as with any journal.
    """
    by_rule = is_cut_by_rule(now.size, now.digests)
    return before.size == now.size and before.count != now.count and by_rule


def head_of(id: str, pieces: Pieces) -> bytes:
    """The first line of a journal: without the prefixes, which every holder says again."""
    return msgspec.json.encode(_Head(id, Pieces(pieces.size, pieces.digests))) + b"\n"


def line_of(piece: int) -> bytes:
    """The line for a piece."""
    return b"%d\n" % piece


def read_journal(file: int, id: str) -> Journal | None:
    """Read an open journal; None if it is not one of that resource. Raises OSError."""
    with open(file, "rb", closefd=False) as opened:
        journal = opened.read()
    head, *lines = journal.split(b"\n")
    try:
        first = msgspec.json.decode(head, type=_Head)
    except UNREADABLE:
        return None
    if not lines or first.id != id:
        return None
    have = 0
    # What follows the last line end was cut off in mid-write.
    digits = len(str(first.pieces.count))
    for line in lines[:-1]:
        # Of more than 4,300 digits Python makes no number.
        if line.isdigit() and len(line) <= digits and int(line) < first.pieces.count:
            have |= 1 << int(line)
    return Journal(first.pieces, have, journal.rfind(b"\n") + 1)
