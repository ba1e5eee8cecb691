"""
What a piece picker reckons with sets of pieces: how rare they are, and whose share they are.
Pure.

With 4,096 pieces an operation on a set takes some 0.1 us, and going through its members some
hundreds: so nothing here goes through members.
"""

from collections.abc import Iterable
from functools import lru_cache

from p2ptwisted.pieces import every_piece

#: How rarely pieces can be told apart; what more neighbors have is simply common.
RARITY_LEVELS = 8

#: Pieces in a row that are in one stripe, so that a neighbor can send some at once.
STRIPE = 8

#: Sets of stripes that are kept: RARITY_LEVELS of resources that are cut differently.
STRIPES_KEPT = 1_024


def rarest(pieces: int, holdings: Iterable[int]) -> tuple[int, int]:
    """How many have the rarest of these pieces, and the set of those pieces."""
    # at_least[n]: the pieces that n + 1 holders or more have.
    at_least = [0] * RARITY_LEVELS
    for has in holdings:
        for level in range(RARITY_LEVELS - 1, 0, -1):
            at_least[level] |= at_least[level - 1] & has
        at_least[0] |= has
    for level in range(1, RARITY_LEVELS):
        rare = pieces & ~at_least[level]
        if rare:
            return level, rare
    return RARITY_LEVELS, pieces


@lru_cache(maxsize=STRIPES_KEPT)
def stripe(count: int, among: int, number: int) -> int:
    """Of `count` pieces the stripe with that number, where `among` holders have one each."""
    width = STRIPE if count > STRIPE * among else 1
    block = every_piece(width) << number * width
    pieces, period = 0, among * width
    for first in range(0, count, period):
        pieces |= block << first
    return pieces & every_piece(count)
