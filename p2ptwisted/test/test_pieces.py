"""Tests for `p2ptwisted.pieces`."""

import hashlib

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.errors import InvalidInput
from p2ptwisted.pieces import (
    DIGEST,
    MIB,
    PIECE_MAX,
    PIECE_MIN,
    PIECES,
    PIECES_MAX,
    Pieces,
    decode_set,
    encode_set,
    every_piece,
    members,
    pack_set,
    piece_size,
    pieces_of,
    recut,
    set_of,
    unpack_set,
    zeros_digest,
)

GIB = 1024 * MIB

sizes = st.integers(0, 64 * GIB)


def cut(size: int, length: int | None = None) -> Pieces:
    """As many digests as there must be, each made of its piece's number."""
    count = -(-size // (length or piece_size(size)))
    return Pieces(size, b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(count)))


def bare(size: int, length: int) -> Pieces:
    """Pieces of that length whose digests are all the same: they are made faster."""
    return Pieces(size, bytes(DIGEST) * -(-size // length))


class SizeTests(SynchronousTestCase):
    """How long a piece is."""

    def test_examples(self) -> None:
        """A piece has 256 KiB up to 1 GiB, then twice that each time; 16 MiB up to 1 TiB."""
        for size, length in [
            (0, 1),
            (1, 1),
            (1 * GIB, 1),
            (1 * GIB + 1, 2),
            (2 * GIB, 2),
            (2 * GIB + 1, 4),
            (4 * GIB + 1, 8),
            (32 * GIB, 32),
            (32 * GIB + 1, 64),
            (64 * GIB + 1, 64),
            (1024 * GIB, 64),
            (1024 * GIB + 1, 128),
        ]:
            self.assertEqual(piece_size(size), length * PIECE_MIN, f"{size} bytes")

    @settings(deadline=None)
    @given(st.integers(0, 8192 * GIB))
    @example(64 * GIB)
    @example(64 * GIB + 1)
    @example(1024 * GIB)
    @example(1024 * GIB + 1)
    def test_any(self, size: int) -> None:
        """It is the smallest power of two that makes at most 4,096; above 16 MiB, 65,536."""
        length = piece_size(size)
        self.assertEqual(length.bit_count(), 1)
        self.assertLessEqual(PIECE_MIN, length)
        self.assertLessEqual(size, PIECES_MAX * length)
        if length > PIECE_MAX:
            self.assertGreater(size, PIECES_MAX * length // 2)
        elif length > PIECE_MIN:
            self.assertGreater(size, PIECES * length // 2)
        if length < PIECE_MAX:
            self.assertLessEqual(size, PIECES * length)


class PiecesTests(SynchronousTestCase):
    """How a resource is cut."""

    @settings(deadline=None, max_examples=50)
    @given(sizes)
    @example(0)
    @example(PIECE_MIN)
    def test_spans(self, size: int) -> None:
        """The pieces follow one another without a gap, all of one length but the last."""
        pieces = bare(size, piece_size(size))
        at = 0
        for piece in range(pieces.count):
            start, stop = pieces.span(piece)
            self.assertEqual(start, at)
            self.assertGreater(stop, start)
            if piece < pieces.count - 1:
                self.assertEqual(stop - start, pieces.length)
            at = stop
        self.assertEqual(at, size)

    @settings(deadline=None)
    @given(sizes, st.integers(0, 6))
    @example(3 * MIB, 2)
    @example(GIB + 1, 3)
    def test_length(self, size: int, doublings: int) -> None:
        """Whatever power of two they were cut by, the number of digests says which."""
        length = PIECE_MIN << doublings
        if size > PIECES_MAX * length:
            return
        pieces = bare(size, length)
        pieces.check()
        if pieces.count > 1:
            self.assertEqual(pieces.length, length)
        if pieces.count:
            self.assertEqual(pieces.span(pieces.count - 1)[1], size)

    def test_earlier_versions(self) -> None:
        """Pieces of 1 MiB, as earlier versions cut, are understood."""
        pieces = cut(3 * MIB + 5, MIB)
        pieces.check()
        self.assertEqual((pieces.count, pieces.length), (4, MIB))
        self.assertEqual([pieces.span(piece)[0] for piece in range(4)], [0, MIB, 2 * MIB, 3 * MIB])

    def test_empty(self) -> None:
        """An empty resource has no pieces."""
        self.assertEqual(Pieces(0, b"").count, 0)

    def test_digest(self) -> None:
        """Each piece has its own digest."""
        pieces = cut(3 * PIECE_MIN)
        for piece in range(3):
            self.assertEqual(pieces.digest(piece), hashlib.sha256(b"%d" % piece).digest())

    def test_whole(self) -> None:
        """The id is known beforehand where there is one piece or none, and only there."""
        self.assertEqual(Pieces(0, b"").known_id, hashlib.sha256(b"").hexdigest())
        self.assertEqual(cut(PIECE_MIN).known_id, hashlib.sha256(b"0").hexdigest())
        self.assertIsNone(cut(PIECE_MIN + 1).known_id)

    def test_tag(self) -> None:
        """The tag tells what was cut otherwise, or has another size, and nothing else."""
        pieces = cut(MIB)
        self.assertEqual(pieces.tag, cut(MIB).tag)
        self.assertRegex(pieces.tag, "^[0-9a-f]{32}$")
        others = [cut(MIB - 1), cut(MIB, MIB), Pieces(MIB, pieces.digests[:-1] + b"x")]
        self.assertEqual(len({pieces.tag, *(other.tag for other in others)}), 4)

    def test_zeros(self) -> None:
        """Pieces of nothing but zeros are told by their digests, and what is between them."""
        zeros = zeros_digest(PIECE_MIN)
        self.assertEqual(zeros, hashlib.sha256(bytes(PIECE_MIN)).digest())
        for where in ((), (0,), (1,), (4,), (0, 1, 4), (2, 3), (0, 1, 2, 3, 4)):
            size = 5 * PIECE_MIN
            digests = [zeros if n in where else b"%032d" % n for n in range(5)]
            pieces = Pieces(size, b"".join(digests))
            self.assertEqual(list(members(pieces.zeros)), list(where))
            left = [
                n for span in pieces.spans_without(pieces.zeros) for n in range(*span, PIECE_MIN)
            ]
            others = [n * PIECE_MIN for n in range(5) if n not in where]
            self.assertEqual(left, others)
        short = Pieces(PIECE_MIN + 9, zeros + b"x" * DIGEST)
        self.assertEqual(list(short.spans_without(short.zeros)), [(PIECE_MIN, PIECE_MIN + 9)])

    def test_no_zeros(self) -> None:
        """A digest that begins in the middle of two is none; nor are made-up sizes looked at."""
        zeros = zeros_digest(PIECE_MIN)
        shifted = Pieces(3 * PIECE_MIN, b"x" * 9 + zeros + b"x" * (2 * DIGEST - 9))
        self.assertEqual(shifted.zeros, 0)
        self.assertEqual(Pieces(1 << 60, b"").zeros, 0)
        self.assertEqual(Pieces(0, b"").zeros, 0)

    def test_kept(self) -> None:
        """Whoever makes the same pieces again gets the same object, without reckoning again."""
        digests = cut(MIB).digests
        self.assertIs(pieces_of(MIB, digests), pieces_of(MIB, bytes(bytearray(digests))))
        self.assertEqual(pieces_of(MIB - 1, digests), Pieces(MIB - 1, digests))

    def test_check(self) -> None:
        """There must be a digest for each piece, and a size that can be."""
        for size in (0, 1, PIECE_MIN, PIECE_MIN + 1, 16 * GIB + 1):
            cut(size).check()
        bare(1024 * GIB, PIECE_MAX).check()
        bare(1024 * GIB + 1, 2 * PIECE_MAX).check()
        for wrong in (
            Pieces(PIECE_MAX + 1, b"x" * DIGEST),
            Pieces(PIECE_MIN, b"x" * (DIGEST - 1)),
            Pieces(PIECE_MIN, b"x" * 2 * DIGEST),
            Pieces(MIB, b""),
            Pieces(5 * MIB, b"x" * 4 * DIGEST),
            Pieces(0, b"x" * DIGEST),
            Pieces(-1, b""),
            Pieces(-1, b"x" * DIGEST),
            Pieces(1 << 70, b""),
            bare(1024 * GIB, 2 * PIECE_MAX),
            Pieces((PIECES_MAX + 1) * PIECE_MIN, bytes(DIGEST) * (PIECES_MAX + 1)),
        ):
            self.assertRaises(InvalidInput, wrong.check)

    @settings(deadline=None)
    @given(st.integers(-5, 1 << 70), st.integers(0, 300))
    def test_any(self, size: int, count: int) -> None:
        """What passes the check has no empty piece, none missing, and none that is too long."""
        pieces = Pieces(size, bytes(DIGEST) * count)
        try:
            pieces.check()
        except InvalidInput:
            return
        spans = [pieces.span(piece) for piece in range(count)]
        self.assertTrue(all(0 < stop - start <= PIECE_MAX for start, stop in spans))
        self.assertEqual(spans[-1][1] if spans else 0, size)


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

    @settings(deadline=None)
    @given(st.integers(0, 3000), st.integers(0))
    @example(0, 0)
    @example(24, every_piece(24))
    @example(25, every_piece(25))
    def test_packed(self, count: int, pieces: int) -> None:
        """Whatever set there can be is unpacked as it was packed."""
        pieces &= every_piece(count)
        self.assertEqual(unpack_set(pack_set(pieces), count), pieces)

    def test_packed_form(self) -> None:
        """The first piece is the lowest bit of the first byte."""
        self.assertEqual(pack_set(0b1), "AQ==")
        self.assertEqual(pack_set(1 << 23), "AACA")
        self.assertEqual(pack_set(0), "")

    def test_largest_packed(self) -> None:
        """A set of as many pieces as there can be fits into a line that Twisted's client reads."""
        self.assertLess(len(pack_set(every_piece(PIECES_MAX))), 16_000)

    def test_not_packed(self) -> None:
        """What is no packed set of so many pieces is refused."""
        for text in ("EA==", "=", "A", "AQ", "\u0663", "AAAAAAAA", "A" * 9999):
            self.assertRaises(InvalidInput, unpack_set, text, 4)

    @settings(deadline=None)
    @given(st.text() | st.text("ABab01-_="), st.integers(0, 100))
    def test_any_packed(self, text: str, count: int) -> None:
        """Any text is unpacked to a set of these pieces, or refused."""
        try:
            pieces = unpack_set(text, count)
        except InvalidInput:
            return
        self.assertEqual(pieces & ~every_piece(count), 0)


class RecutTests(SynchronousTestCase):
    """What is there of a resource that was cut by another rule."""

    @settings(deadline=None)
    @given(st.integers(0, 40 * MIB), st.integers(0), st.sampled_from([1, 2, 4]))
    def test_any(self, size: int, have: int, factor: int) -> None:
        """Of the other cut those pieces are there of which every byte is, whichever is longer."""
        fine = pieces_of(size, bytes(DIGEST * -(-size // PIECE_MIN)))
        coarse = pieces_of(size, bytes(DIGEST * -(-size // (factor * PIECE_MIN))))
        for before, after in [(fine, coarse), (coarse, fine)]:
            there = have & every_piece(before.count)
            known = {at for piece in members(there) for at in _blocks(before, piece)}
            expected = [n for n in range(after.count) if known.issuperset(_blocks(after, n))]
            self.assertEqual(list(members(recut(there, before, after))), expected)


def _blocks(pieces: Pieces, piece: int) -> range:
    """The numbers of the blocks of PIECE_MIN bytes in a piece."""
    start, stop = pieces.span(piece)
    return range(start // PIECE_MIN, -(-stop // PIECE_MIN))
