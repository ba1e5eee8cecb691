"""
The piece picker of a download: which pieces to ask of which neighbor, what is late, and
whom not to trust any more. Pure; time is an argument, in seconds.

A neighbor is asked for a set of pieces and picks itself which of them it sends
now (docs/http-api.md), for it alone knows which ones it has spread least. So
what one neighbor has been asked for is kept from the others until it has
answered, and what it is sending until it has sent it or is late.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from p2ptwisted.pieces import Pieces, every_piece, members, set_of
from p2ptwisted.transfer.piece_deadline import PieceDeadline
from p2ptwisted.transfer.rate_meter import RateMeter

#: Seconds after which a neighbor whose answer or piece should be there has stalled.
STALL_TIMEOUT = 0.75

#: A piece is late when its neighbor needs this many times as long for the rest
#: as another would for all of it, and this many seconds more.
LATE_FACTOR, LATE_SLACK = 2.0, 0.25

#: Seconds in which a piece on its way must come faster than `piece_deadline.SLOWEST` would
#: bring it: a neighbor that is slower trickles, and is cut off like one that is silent.
TRICKLE_TIMEOUT = 10.0

#: Seconds before a neighbor that failed is tried again: doubled each time, up to a bound.
RETRY_FIRST, RETRY_MAX = 0.5, 8.0

#: How rarely pieces can be told apart; what more neighbors have is simply common.
RARITY_LEVELS = 8


@dataclass(eq=False, slots=True)
class Neighbor:
    """A holder that a download asks for pieces, and what is under way with it."""

    location: str
    #: The set of pieces that it has.
    has: int
    #: Pieces it has been asked for; it has not said which it sends.
    asked: int = 0
    #: Pieces that it is sending and that are not complete.
    sending: int = 0
    #: Bytes of the first of these that have come.
    partial: int = 0
    #: When its answer should be there, or the piece that it is sending, at its usual rate.
    due: float = 0.0
    rate: RateMeter = field(default_factory=RateMeter)
    #: For the piece that it is sending.
    deadline: PieceDeadline = field(default_factory=lambda: PieceDeadline(TRICKLE_TIMEOUT))
    #: Bytes of good pieces that came from it.
    received: int = 0
    failures: int = 0
    retry_at: float = -math.inf
    #: What it did to lose our trust, if anything.
    distrusted: str | None = None


class PiecePicker:
    """What is missing of one resource, and which neighbor to ask for what."""

    def __init__(self, pieces: Pieces, have: int = 0, random: Random | None = None) -> None:
        """`have` is the set of pieces that are here already."""
        self._pieces = pieces
        self._random = random or Random()  # nosec B311  # it spreads load, and keeps no secret
        self._neighbors: dict[str, Neighbor] = {}
        #: The set of pieces that are not here.
        self.missing = every_piece(pieces.count) & ~have

    @property
    def done(self) -> bool:
        """Whether every piece is here."""
        return not self.missing

    @property
    def bytes_missing(self) -> int:
        """Bytes of the pieces that are not here."""
        pieces, last = self._pieces, self._pieces.count - 1
        missing = self.missing.bit_count() * pieces.length
        if self.missing >> max(0, last) & 1:
            missing -= (last + 1) * pieces.length - pieces.size  # The last piece is shorter.
        return missing

    @property
    def bytes_coming(self) -> int:
        """Bytes that are here of incomplete pieces."""
        return sum(neighbor.partial for neighbor in self._neighbors.values())

    @property
    def neighbors(self) -> Iterable[Neighbor]:
        """All neighbors that were ever offered."""
        return self._neighbors.values()

    # -- neighbors

    def offer(self, location: str, has: int) -> Neighbor:
        """Add a neighbor that has these pieces, or update one that is known; returns it."""
        neighbor = self._neighbors.get(location)
        if neighbor is None:
            neighbor = self._neighbors[location] = Neighbor(location, has)
        neighbor.has = has
        return neighbor

    def distrust(self, neighbor: Neighbor, reason: str) -> None:
        """Ask it for nothing any more."""
        neighbor.distrusted = reason
        self.released(neighbor)

    def failed(self, neighbor: Neighbor, now: float) -> None:
        """Leave it alone for a while: it could not be reached, or broke off."""
        self.released(neighbor)
        neighbor.failures += 1
        delay = RETRY_FIRST * 2 ** min(neighbor.failures - 1, 10)
        neighbor.retry_at = now + min(delay, RETRY_MAX)

    def released(self, neighbor: Neighbor) -> None:
        """Expect nothing more of what it was asked for."""
        neighbor.asked = neighbor.sending = neighbor.partial = 0

    # -- asking

    def wanted(self, neighbor: Neighbor, now: float) -> int:
        """The set of pieces to ask this neighbor for now; empty if others have them in hand."""
        if neighbor.distrusted or now < neighbor.retry_at:
            return 0
        in_hand = 0
        for other in self._neighbors.values():
            in_hand |= other.asked | other.sending
        useful = self.missing & neighbor.has
        fresh = useful & ~in_hand
        neighbor.asked = self._share(fresh) if fresh else self._late(neighbor, useful, now)
        if neighbor.asked:
            neighbor.due = now
            neighbor.rate.begin(now)
            neighbor.deadline.restart(now)
        return neighbor.asked

    def _share(self, fresh: int) -> int:
        """One neighbor's share of the rarest of these pieces."""
        trusted = [neighbor for neighbor in self._neighbors.values() if not neighbor.distrusted]
        holders, rarest = _rarest(fresh, [neighbor.has for neighbor in trusted])
        if holders == 1:
            return rarest
        # Others may ask for these in the same moment: leave them theirs.
        choice = list(members(rarest))
        count = -(-len(choice) // holders)
        everything = every_piece(self._pieces.count)
        if all(neighbor.has == everything for neighbor in trusted):
            first = 0  # In order, so that it can be hashed as it comes.
        else:
            first = self._random.randrange(len(choice))
        own = (choice[(first + n) % len(choice)] for n in range(count))
        return set_of(own, self._pieces.count)

    def _late(self, neighbor: Neighbor, useful: int, now: float) -> int:
        """Of what others have in hand, the piece that would be here sooner from this neighbor."""
        own = neighbor.rate.value() or self._usual_rate()
        allowed = LATE_FACTOR * (self._pieces.length / own if own else 0.0) + LATE_SLACK
        soon, late = 0, []
        for other in self._neighbors.values():
            in_hand = other.asked | other.sending
            left = self._seconds_left(other, now)
            if left > allowed:
                late.append((left, in_hand))
            else:
                soon |= in_hand
        for _, in_hand in sorted(late, reverse=True):
            candidates = in_hand & useful & ~soon
            if candidates:
                # The last of those it sends: the one that it comes to last.
                return 1 << (candidates.bit_length() - 1)
        return 0

    def _seconds_left(self, neighbor: Neighbor, now: float) -> float:
        """Seconds until this neighbor has sent all that it has in hand."""
        if not (neighbor.asked or neighbor.sending):
            return 0.0
        overdue = now - neighbor.due
        rate = neighbor.rate.value()
        if overdue > STALL_TIMEOUT:
            return math.inf
        if not neighbor.sending or not rate:
            return overdue
        return (neighbor.sending.bit_count() * self._pieces.length - neighbor.partial) / rate

    def _usual_rate(self) -> float | None:
        neighbors = self._neighbors.values()
        rates = sorted(rate for neighbor in neighbors if (rate := neighbor.rate.value()))
        return rates[len(rates) // 2] if rates else None

    # -- being answered

    def started(self, neighbor: Neighbor, pieces: int) -> bool:
        """Note that it sends these, in order; False if it was not asked for them."""
        if not pieces or pieces & ~neighbor.asked:
            return False
        neighbor.asked, neighbor.sending, neighbor.partial = 0, pieces, 0
        return True

    def progress(self, neighbor: Neighbor, count: int, now: float) -> None:
        """Note that so many bytes have come from it."""
        neighbor.rate.add(count, now)
        if not neighbor.partial:
            neighbor.deadline.restart(now)
            neighbor.due = now + self._pieces.length / (neighbor.rate.value() or math.inf)
        neighbor.partial += count

    def trickles(self, neighbor: Neighbor, now: float) -> bool:
        """Whether what it is sending comes so slowly that it must be left alone for a while."""
        if neighbor.deadline.seconds_left(now, neighbor.partial) > 0:
            return False
        # They may share the slowest link that will do.
        sending = sum(1 for other in self._neighbors.values() if other.sending)
        return neighbor.deadline.seconds_left(now, neighbor.partial * sending) <= 0

    def verified(self, neighbor: Neighbor, piece: int) -> None:
        """Note that a piece has come from it and is right."""
        start, stop = self._pieces.span(piece)
        neighbor.received += stop - start
        neighbor.failures = 0
        neighbor.sending &= ~(1 << piece)
        neighbor.partial = 0
        self.missing &= ~(1 << piece)

    def is_needless(self, neighbor: Neighbor) -> bool:
        """Whether all that it has yet to send has come from others meanwhile."""
        return not neighbor.sending & self.missing


def _rarest(pieces: int, holdings: Iterable[int]) -> tuple[int, int]:
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
