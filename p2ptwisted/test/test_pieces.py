"""Tests for `p2ptwisted.pieces`."""

import hashlib

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.errors import InvalidInput
from p2ptwisted.pieces import (
    DIGEST,
    MIB,
    Pieces,
    decode_set,
    encode_set,
    every_piece,
    members,
    piece_size,
    set_of,
)

GIB = 1024 * MIB

sizes = st.integers(0, 64 * GIB)


def pieces_of(size: int) -> Pieces:
    """As many digests as there must be, each made of its piece's number."""
    count = Pieces(size, b"").count
    return Pieces(size, b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(count)))


class SizeTests(SynchronousTestCase):
    """How long a piece is."""

    def test_examples(self) -> None:
        """A piece has 1 MiB up to 1 GiB, then twice that each time, and 16 MiB from 8 GiB on."""
        for size, length in [
            (0, 1),
            (1, 1),
            (1 * GIB, 1),
            (1 * GIB + 1, 2),
            (2 * GIB, 2),
            (2 * GIB + 1, 4),
            (4 * GIB + 1, 8),
            (8 * GIB, 8),
            (8 * GIB + 1, 16),
            (1024 * GIB, 16),
        ]:
            self.assertEqual(piece_size(size), length * MIB, f"{size} bytes")

    @settings(deadline=None)
    @given(sizes)
    @example(16 * GIB)
    @example(16 * GIB + 1)
    def test_any(self, size: int) -> None:
        """It is the smallest power of two that makes at most 1,024, within its bounds."""
        length = piece_size(size)
        self.assertEqual(length.bit_count(), 1)
        self.assertTrue(MIB <= length <= 16 * MIB)
        if size <= 16 * GIB:
            self.assertLessEqual(size, 1024 * length)
        if length > MIB:
            self.assertGreater(size, 1024 * length // 2)


class PiecesTests(SynchronousTestCase):
    """How a resource is cut."""

    @settings(deadline=None)
    @given(sizes)
    @example(0)
    @example(MIB)
    def test_spans(self, size: int) -> None:
        """The pieces follow one another without a gap, all of one length but the last."""
        pieces = Pieces(size, b"")
        at = 0
        for piece in range(pieces.count):
            start, stop = pieces.span(piece)
            self.assertEqual(start, at)
            self.assertGreater(stop, start)
            if piece < pieces.count - 1:
                self.assertEqual(stop - start, pieces.length)
            at = stop
        self.assertEqual(at, size)

    def test_empty(self) -> None:
        """An empty resource has no pieces."""
        self.assertEqual(Pieces(0, b"").count, 0)

    def test_digest(self) -> None:
        """Each piece has its own digest."""
        pieces = pieces_of(3 * MIB)
        for piece in range(3):
            self.assertEqual(pieces.digest(piece), hashlib.sha256(b"%d" % piece).digest())

    def test_whole(self) -> None:
        """The id is known beforehand where there is one piece or none, and only there."""
        self.assertEqual(Pieces(0, b"").known_id, hashlib.sha256(b"").hexdigest())
        self.assertEqual(pieces_of(MIB).known_id, hashlib.sha256(b"0").hexdigest())
        self.assertIsNone(pieces_of(MIB + 1).known_id)

    def test_check(self) -> None:
        """There must be a digest for each piece, and a size that can be."""
        for size in (0, 1, MIB, MIB + 1):
            pieces_of(size).check()
        for wrong in (
            Pieces(MIB + 1, b"x" * DIGEST),
            Pieces(MIB, b"x" * (DIGEST - 1)),
            Pieces(MIB, b""),
            Pieces(0, b"x" * DIGEST),
            Pieces(-1, b""),
            Pieces(1 << 70, b""),
        ):
            self.assertRaises(InvalidInput, wrong.check)


class SetTests(SynchronousTestCase):
    """Sets of pieces, and how they travel."""

    @settings(deadline=None)
    @given(st.sets(st.integers(0, 2000)))
    def test_members(self, numbers: set[int]) -> None:
        """A set tells its members in ascending order."""
        self.assertEqual(list(members(sum(1 << n for n in numbers))), sorted(numbers))

    @settings(deadline=None)
    @given(st.sets(st.integers(0, 2000)))
    def test_set_of(self, numbers: set[int]) -> None:
        """A set is made of its members, in whatever order they come."""
        self.assertEqual(list(members(set_of(numbers, 2001))), sorted(numbers))

    def test_every_piece(self) -> None:
        """All pieces of a number of them."""
        self.assertEqual(list(members(every_piece(5))), [0, 1, 2, 3, 4])
        self.assertEqual(every_piece(0), 0)

    @settings(deadline=None)
    @given(st.integers(0, 3000), st.integers(0))
    @example(0, 0)
    @example(4, 15)
    def test_round_trip(self, count: int, pieces: int) -> None:
        """Whatever set there can be arrives as it was sent, in either case."""
        pieces &= every_piece(count)
        self.assertEqual(decode_set(encode_set(pieces), count), pieces)
        self.assertEqual(decode_set(encode_set(pieces).upper(), count), pieces)

    def test_refused(self) -> None:
        """What is no set of so many pieces is refused."""
        for text in (
            "",
            "-1",
            "0x1",
            "g",
            " 1",
            "1\n",
            "1_1",
            "\u0663",
            "\uff11",
            "10",
            "f" * 9999,
        ):
            self.assertRaises(InvalidInput, decode_set, text, 4)

    @settings(deadline=None)
    @given(st.text() | st.text("0123456789abcdef"), st.integers(0, 100))
    def test_any_text(self, text: str, count: int) -> None:
        """Any text is a set of these pieces, or refused."""
        try:
            pieces = decode_set(text, count)
        except InvalidInput:
            return
        self.assertEqual(pieces & ~every_piece(count), 0)
