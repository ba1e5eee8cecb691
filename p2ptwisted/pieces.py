"""
Pieces: how a resource is cut into them, their digests, and sets of them. Pure.

A resource stays what the SHA-256 of its content says; the digests of its
pieces only show early that something is wrong, and who sent it.
"""

import hashlib
import re
import string
import struct
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

from msgspec import Struct

from p2ptwisted.errors import InvalidInput

MIB = 1024 * 1024

#: Bytes; the size of a piece is a power of two from the first on, and up to the second as long as
#: there are no more than PIECES_MAX of them.
PIECE_MIN, PIECE_MAX = MIB // 4, 16 * MIB

#: Pieces of a resource at the most, unless these would be larger than PIECE_MAX, and then too.
#: A set of PIECES is half a kilobyte, beside a piece of at least 256 KiB; one of PIECES_MAX must
#: fit into a line of an answer's head, of which Twisted's client reads 16 KiB.
PIECES, PIECES_MAX = 4_096, 65_536

#: Resources whose pieces are kept as objects, with what is reckoned of them.
CUTS_KEPT = 64

#: Bytes of a SHA-256.
DIGEST = 32

_HEXADECIMAL = frozenset(string.hexdigits)


def piece_size(size: int, least: int | None = None, most: int | None = None) -> int:
    """
    The bytes of each piece but the last of a resource with `size` bytes.

    `least` and `most` take the places of PIECE_MIN and PIECES.
    """
    length, count = least or PIECE_MIN, most or PIECES
    while (length < PIECE_MAX and length * count < size) or length * PIECES_MAX < size:
        length *= 2
    return length


class Digests(Struct, frozen=True):
    """What hashing a file gives: its id, and the digests of its pieces, concatenated."""

    id: str
    pieces: bytes
    #: As Pieces has them.
    prefixes: bytes = b""


class Pieces(Struct, frozen=True, dict=True, eq=False, omit_defaults=True):
    """
    How a resource is cut, and the digests of its pieces, concatenated.

    Their number says how long the pieces are: whoever has cut it may have done so by another
    rule than `piece_size`, as earlier versions did.
    """

    size: int
    digests: bytes
    #: A hint, which makes no other pieces of them: for each piece the SHA-256 of all from the
    #: resource's beginning to the piece's end, concatenated. Empty: not known.
    prefixes: bytes = b""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Pieces):
            return NotImplemented
        return self.size == other.size and self.digests == other.digests

    def __hash__(self) -> int:
        return hash((self.size, self.digests))

    @cached_property
    def length(self) -> int:
        """Bytes of each piece but the last."""
        if not self.count:
            return piece_size(self.size)
        length = PIECE_MIN
        while length * self.count < self.size:
            length *= 2
        return length

    @property
    def count(self) -> int:
        """How many pieces there are; an empty resource has none."""
        return len(self.digests) // DIGEST

    @cached_property
    def tag(self) -> str:
        """What tells it from other ways to cut the same resource: 32 hex digits."""
        return hashlib.sha256(b"%d " % self.size + self.digests).hexdigest()[:32]

    def span(self, piece: int) -> tuple[int, int]:
        """The positions of a piece's first byte and of the one after its last."""
        start = piece * self.length
        return start, min(start + self.length, self.size)

    def digest(self, piece: int) -> bytes:
        """The SHA-256 of that piece."""
        return self.digests[piece * DIGEST : (piece + 1) * DIGEST]

    def prefix(self, piece: int) -> bytes:
        """The SHA-256 of all up to that piece's end, as the hint says; empty if it is not known."""
        digests = self.prefixes if piece else self.digests
        return digests[piece * DIGEST : (piece + 1) * DIGEST]

    @cached_property
    def zeros(self) -> int:
        """
        The set of the pieces that are nothing but zeros, as their digests say.

        Neither the last one is known if it is shorter, nor those of more than PIECE_MAX.
        """
        if self.length > PIECE_MAX:
            return 0
        zeros = zeros_digest(self.length)
        if zeros not in self.digests:
            return 0
        digests = struct.iter_unpack(f"{DIGEST}s", self.digests)
        return int("".join(["1" if one == zeros else "0" for (one,) in digests])[::-1], 2)

    def spans_without(self, pieces: int) -> Iterator[tuple[int, int]]:
        """Yields the spans that are left if these pieces are taken out."""
        if not pieces:
            yield 0, self.size
            return
        for run in re.finditer("0+", format(pieces, f"0{self.count}b")[::-1]):
            yield self.span(run.start())[0], self.span(run.end() - 1)[1]

    @property
    def known_id(self) -> str | None:
        """The resource's id if the pieces' digests give it: if there is one piece or none."""
        if self.count > 1:
            return None
        return (self.digests or hashlib.sha256().digest()).hex()

    def check(self) -> None:
        """Raise InvalidInput unless pieces of one length, a power of two, have these digests."""
        count = len(self.digests) // DIGEST
        if self.size < 0 or len(self.digests) % DIGEST or count > PIECES_MAX:
            raise InvalidInput(f"{len(self.digests)} bytes of digests for a size of {self.size}")
        if (self.size and not count) or -(-self.size // self.length) != count:
            raise InvalidInput(f"a wrong number of digests ({count}) for a size of {self.size}")
        if self.prefixes and len(self.prefixes) != len(self.digests):
            raise InvalidInput(f"{len(self.prefixes)} bytes of prefixes' digests for {count}")
        if self.length > max(PIECE_MAX, piece_size(self.size)):
            raise InvalidInput(f"pieces of {self.length} bytes: {PIECE_MAX} at the most")


@lru_cache
def zeros_digest(length: int) -> bytes:
    """The SHA-256 of so many zeros. (Measured: 10 ms for those of PIECE_MAX, once.)"""
    return hashlib.sha256(bytes(length)).digest()


@lru_cache(maxsize=CUTS_KEPT)
def pieces_of(size: int, digests: bytes, prefixes: bytes = b"") -> Pieces:
    """The pieces with these digests: the same object as before for the same ones, if it is kept."""
    return Pieces(size, digests, prefixes)


def is_cut_by_rule(size: int, digests: bytes) -> bool:
    """Whether there are as many digests as of pieces of `piece_size`."""
    return len(digests) == DIGEST * -(-size // piece_size(size))


class HolderState(NamedTuple):
    """What a holder says of a resource's pieces."""

    pieces: Pieces
    #: The set of pieces that it has.
    have: int
    #: Locations of other nodes that have pieces, or are about to.
    neighbors: Sequence[str] = ()


# A set of pieces is an integer: bit n stands for piece n, and Python's
# operators on integers are the operators on sets.


def every_piece(count: int) -> int:
    """The set of all of `count` pieces."""
    return (1 << count) - 1


def members(pieces: int) -> Iterator[int]:
    """The pieces in a set, in ascending order."""
    # Byte by byte: an operation on the whole integer takes time in proportion to its size.
    for at, byte in enumerate(pieces.to_bytes(-(-pieces.bit_length() // 8), "little")):
        while byte:
            lowest = byte & -byte
            yield 8 * at + lowest.bit_length() - 1
            byte ^= lowest


def set_of(numbers: Iterable[int], count: int) -> int:
    """The set of the pieces with these numbers, of `count` pieces."""
    bits = bytearray(count // 8 + 1)
    for number in numbers:
        bits[number // 8] |= 1 << number % 8
    return int.from_bytes(bits, "little")


def recut(have: int, before: Pieces, after: Pieces) -> int:
    """The set of pieces of `after` that are in the pieces `have` of `before`, cut otherwise."""
    if before.length >= after.length:
        ratio = before.length // after.length
        numbers = (piece * ratio + n for piece in members(have) for n in range(ratio))
        return set_of((n for n in numbers if n < after.count), after.count)
    ratio, every = after.length // before.length, every_piece(before.count)
    blocks = (every_piece(ratio) << piece * ratio & every for piece in range(after.count))
    return set_of((n for n, block in enumerate(blocks) if have & block == block), after.count)


def encode_set(pieces: int) -> str:
    """A set as it is sent: hexadecimal."""
    return f"{pieces:x}"


def decode_set(text: str, count: int) -> int:
    """The set that was sent. Raises InvalidInput if it has others than `count` pieces."""
    try:
        if not _HEXADECIMAL.issuperset(text) or len(text) > count // 4 + 1:
            raise ValueError
        pieces = int(text, 16)
    except ValueError:
        raise InvalidInput("not a set of pieces: write bit n for piece n, hexadecimal") from None
    if pieces >> count:
        raise InvalidInput(f"there is no such piece: the number of pieces is {count}")
    return pieces


def pack_set(pieces: int) -> str:
    """A set in an answer's head: base64 of its bits, the first in the first byte's lowest bit."""
    return urlsafe_b64encode(pieces.to_bytes(-(-pieces.bit_length() // 8), "little")).decode()


def unpack_set(text: str, count: int) -> int:
    """The set that was packed. Raises InvalidInput if it has others than `count` pieces."""
    try:
        if len(text) > 4 * (count // 24 + 1):
            raise ValueError
        pieces = int.from_bytes(b64decode(text, b"-_", validate=True), "little")
    except ValueError:
        raise InvalidInput("not a set of pieces: base64 of a bit for each piece") from None
    if pieces >> count:
        raise InvalidInput(f"there is no such piece: the number of pieces is {count}")
    return pieces
