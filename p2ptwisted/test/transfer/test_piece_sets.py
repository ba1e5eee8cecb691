"""Tests of `p2ptwisted.transfer.piece_sets`."""

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.pieces import every_piece, members
from p2ptwisted.transfer.piece_sets import RARITY_LEVELS, STRIPE, rarest, stripe

COUNT = 24
sets = st.integers(0, every_piece(COUNT))


class RarestTests(SynchronousTestCase):
    """Which pieces the fewest have."""

    def test_examples(self) -> None:
        """The pieces that only one holder has come before those that two have."""
        self.assertEqual(rarest(0b111, [0b111, 0b011]), (1, 0b100))
        self.assertEqual(rarest(0b011, [0b111, 0b011]), (2, 0b011))
        self.assertEqual(rarest(0b011, [0b111, 0b001, 0b001]), (1, 0b010))

    def test_common(self) -> None:
        """What very many have is simply common."""
        holdings = [0b11] * (RARITY_LEVELS + 5) + [0b01] * 5
        self.assertEqual(rarest(0b11, holdings), (RARITY_LEVELS, 0b11))

    @settings(deadline=None)
    @given(sets, st.lists(sets, min_size=1, max_size=12))
    def test_any(self, pieces: int, holdings: list[int]) -> None:
        """It is what counting the holders of each piece gives."""
        # It is asked only about pieces that somebody has.
        everybody = 0
        for has in holdings:
            everybody |= has
        wanted = list(members(pieces & everybody))
        if not wanted:
            return
        counts = {
            piece: min(RARITY_LEVELS, sum(has >> piece & 1 for has in holdings)) for piece in wanted
        }
        fewest = min(counts.values())
        number, rare = rarest(pieces & everybody, holdings)
        self.assertEqual(number, fewest)
        self.assertEqual(list(members(rare)), [n for n in wanted if counts[n] == fewest])


class StripeTests(SynchronousTestCase):
    """One holder's share of all pieces."""

    def test_examples(self) -> None:
        """A stripe has some pieces in a row where there are many, and else every third, say."""
        self.assertEqual(list(members(stripe(7, 3, 0))), [0, 3, 6])
        self.assertEqual(list(members(stripe(7, 3, 2))), [2, 5])
        many = list(members(stripe(5 * STRIPE, 2, 1)))
        self.assertEqual(many, [*range(STRIPE, 2 * STRIPE), *range(3 * STRIPE, 4 * STRIPE)])

    @settings(deadline=None)
    @given(st.integers(0, 600), st.integers(1, RARITY_LEVELS))
    @example(0, 1)
    @example(16, 2)
    @example(17, 2)
    def test_any(self, count: int, among: int) -> None:
        """Each piece is in one stripe and no more, and none is much larger than the others."""
        stripes = [stripe(count, among, number) for number in range(among)]
        self.assertEqual(sum(stripes), every_piece(count))
        union = 0
        for one in stripes:
            self.assertFalse(union & one)
            union |= one
        sizes = [one.bit_count() for one in stripes]
        self.assertLessEqual(max(sizes) - min(sizes), STRIPE)
