"""
Pieces: how a resource is cut into them, their digests, and sets of them. Pure.

A resource stays what the SHA-256 of its content says; the digests of its
pieces only show early that something is wrong, and who sent it.
"""

import hashlib
import string
from collections.abc import Iterable, Iterator

from msgspec import Struct

from p2ptwisted.errors import InvalidInput

MIB = 1024 * 1024

#: Bytes; the size of a piece is a power of two between these.
PIECE_MIN, PIECE_MAX = 1 * MIB, 16 * MIB

#: Pieces of a resource at the most, unless these would be larger than PIECE_MAX.
PIECES = 1_024

#: Bytes of a SHA-256.
DIGEST = 32

_HEXADECIMAL = frozenset(string.hexdigits)


def piece_size(size: int) -> int:
    """The bytes of each piece but the last of a resource with `size` bytes."""
    length = PIECE_MIN
    while length < PIECE_MAX and length * PIECES < size:
        length *= 2
    return length


class Digests(Struct, frozen=True):
    """What hashing a file gives: its id, and the digests of its pieces, concatenated."""

    id: str
    pieces: bytes


class Pieces(Struct, frozen=True):
    """How a resource is cut, and the digests of its pieces, concatenated."""

    size: int
    digests: bytes

    @property
    def length(self) -> int:
        """Bytes of each piece but the last."""
        return piece_size(self.size)

    @property
    def count(self) -> int:
        """How many pieces there are; an empty resource has none."""
        return -(-self.size // self.length)

    def span(self, piece: int) -> tuple[int, int]:
        """The positions of a piece's first byte and of the one after its last."""
        start = piece * self.length
        return start, min(start + self.length, self.size)

    def digest(self, piece: int) -> bytes:
        """The SHA-256 of that piece."""
        return self.digests[piece * DIGEST : (piece + 1) * DIGEST]

    @property
    def known_id(self) -> str | None:
        """The resource's id if the pieces' digests give it: if there is one piece or none."""
        if self.count > 1:
            return None
        return (self.digests or hashlib.sha256().digest()).hex()

    def check(self) -> None:
        """Raise InvalidInput unless there are as many digests as pieces."""
        if self.size < 0 or len(self.digests) != self.count * DIGEST:
            raise InvalidInput(f"{len(self.digests) // DIGEST} digests for {self.count} pieces")


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
        raise InvalidInput(f"there are only {count} pieces")
    return pieces
