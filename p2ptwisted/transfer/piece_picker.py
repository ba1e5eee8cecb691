"""
The plan of a transfer: which pieces to ask of which source, what is late, and
whom to trust no more. Pure; time is an argument, in seconds.

A source is asked for a set of pieces and picks itself which of them it sends
now (docs/http-api.md), for it alone knows which ones it has spread least. So
what one source has been asked for is kept from the others until it has
answered, and what it is sending until it has sent it or is late.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from p2ptwisted.pieces import Pieces, every_piece, members, set_of
from p2ptwisted.transfer.patience import Patience

#: Seconds after which a source whose answer or piece should be there has stalled.
STALL = 0.75

#: A piece is late when its source needs this many times as long for the rest
#: as another would for the whole, and this many seconds more.
LATE_FACTOR, LATE_SLACK = 2.0, 0.25

#: Seconds in which a piece on its way must come faster than `patience.SLOWEST` would bring it:
#: a source that is slower trickles, and is cut off like one that is silent.
TRICKLE = 10.0

#: Seconds before a source that failed is tried again: doubled each time, up to a bound.
RETRY_FIRST, RETRY_MAX = 0.5, 8.0

#: Seconds over which a source's rate is averaged.
RATE_SPAN = 2.0

#: How rarely pieces can be told apart; what more sources have is simply common.
RARITY_LEVELS = 8


@dataclass(eq=False, slots=True)
class RateMeter:
    """Bytes a second, recent ones counting most."""

    _bytes: float = 0.0
    _seconds: float = 0.0
    _at: float = 0.0

    def begin(self, now: float) -> None:
        """Idle time before this doesn't count."""
        self._at = now

    def add(self, count: int, now: float) -> None:
        passed = max(0.0, now - self._at)
        fading = math.exp(-passed / RATE_SPAN)
        self._bytes = self._bytes * fading + count
        self._seconds = self._seconds * fading + passed
        self._at = now

    def value(self) -> float | None:
        """None while nothing is known."""
        return self._bytes / self._seconds if self._seconds > 0 else None


@dataclass(eq=False, slots=True)
class Neighbor:
    """A holder and what is going on with it."""

    location: str
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
    #: With the piece that it is sending.
    patience: Patience = field(default_factory=lambda: Patience(TRICKLE))
    #: Bytes of good pieces that came from it.
    received: int = 0
    failures: int = 0
    retry_at: float = -math.inf
    #: What it did to lose our trust, if anything.
    distrusted: str | None = None


class PiecePicker:
    """What is missing of one resource, and where to get it."""

    def __init__(self, pieces: Pieces, have: int = 0, random: Random | None = None) -> None:
        """`have` is the set of pieces that are here already."""
        self._pieces = pieces
        self._random = random or Random()  # nosec B311  # it spreads load, and keeps no secret
        self._sources: dict[str, Neighbor] = {}
        self.missing = every_piece(pieces.count) & ~have

    @property
    def done(self) -> bool:
        return not self.missing

    @property
    def bytes_missing(self) -> int:
        pieces, last = self._pieces, self._pieces.count - 1
        missing = self.missing.bit_count() * pieces.length
        if self.missing >> max(0, last) & 1:
            missing -= (last + 1) * pieces.length - pieces.size  # It is shorter.
        return missing

    @property
    def bytes_coming(self) -> int:
        """What is here of pieces that aren't complete."""
        return sum(source.partial for source in self._sources.values())

    @property
    def sources(self) -> Iterable[Neighbor]:
        return self._sources.values()

    # -- sources

    def offer(self, location: str, has: int) -> Neighbor:
        """A holder has these pieces: a new one, or news of one that is known."""
        source = self._sources.get(location)
        if source is None:
            source = self._sources[location] = Neighbor(location, has)
        source.has = has
        return source

    def distrust(self, source: Neighbor, reason: str) -> None:
        """Ask it for nothing any more."""
        source.distrusted = reason
        self.released(source)

    def failed(self, source: Neighbor, now: float) -> None:
        """It could not be reached, or broke off: leave it alone for a while."""
        self.released(source)
        source.failures += 1
        delay = RETRY_FIRST * 2 ** min(source.failures - 1, 10)
        source.retry_at = now + min(delay, RETRY_MAX)

    def released(self, source: Neighbor) -> None:
        """Nothing more comes of what it was asked for."""
        source.asked = source.sending = source.partial = 0

    # -- asking

    def wanted(self, source: Neighbor, now: float) -> int:
        """The pieces to ask this source for now; none where others have them in hand."""
        if source.distrusted or now < source.retry_at:
            return 0
        in_hand = 0
        for other in self._sources.values():
            in_hand |= other.asked | other.sending
        useful = self.missing & source.has
        fresh = useful & ~in_hand
        source.asked = self._share(fresh) if fresh else self._late(source, useful, now)
        if source.asked:
            source.due = now
            source.rate.begin(now)
            source.patience.satisfied(now)
        return source.asked

    def _share(self, fresh: int) -> int:
        """This source's share of the rarest of these pieces."""
        trusted = [source for source in self._sources.values() if not source.distrusted]
        holders, rarest = _rarest(fresh, [source.has for source in trusted])
        if holders == 1:
            return rarest
        # Others may ask for these in the same moment: leave them theirs.
        choice = list(members(rarest))
        count = -(-len(choice) // holders)
        everything = every_piece(self._pieces.count)
        if all(source.has == everything for source in trusted):
            first = 0  # In order, so that it can be hashed as it comes.
        else:
            first = self._random.randrange(len(choice))
        own = (choice[(first + n) % len(choice)] for n in range(count))
        return set_of(own, self._pieces.count)

    def _late(self, source: Neighbor, useful: int, now: float) -> int:
        """Of what others have in hand, the piece that would be here sooner from this source."""
        own = source.rate.value() or self._usual_rate()
        patience = LATE_FACTOR * (self._pieces.length / own if own else 0.0) + LATE_SLACK
        soon, late = 0, []
        for other in self._sources.values():
            in_hand = other.asked | other.sending
            left = self._seconds_left(other, now)
            if left > patience:
                late.append((left, in_hand))
            else:
                soon |= in_hand
        for _, in_hand in sorted(late, reverse=True):
            candidates = in_hand & useful & ~soon
            if candidates:
                # The last of those it sends: the one that it comes to last.
                return 1 << (candidates.bit_length() - 1)
        return 0

    def _seconds_left(self, source: Neighbor, now: float) -> float:
        """Until this source has sent all that it has in hand."""
        if not (source.asked or source.sending):
            return 0.0
        overdue = now - source.due
        rate = source.rate.value()
        if overdue > STALL:
            return math.inf
        if not source.sending or not rate:
            return overdue
        return (source.sending.bit_count() * self._pieces.length - source.partial) / rate

    def _usual_rate(self) -> float | None:
        rates = sorted(rate for one in self._sources.values() if (rate := one.rate.value()))
        return rates[len(rates) // 2] if rates else None

    # -- being answered

    def started(self, source: Neighbor, pieces: int) -> bool:
        """It sends these, one after the other; False where it was not asked for them."""
        if not pieces or pieces & ~source.asked:
            return False
        source.asked, source.sending, source.partial = 0, pieces, 0
        return True

    def progress(self, source: Neighbor, count: int, now: float) -> None:
        """So many bytes have come from it."""
        source.rate.add(count, now)
        if not source.partial:
            source.patience.satisfied(now)
            source.due = now + self._pieces.length / (source.rate.value() or math.inf)
        source.partial += count

    def trickles(self, source: Neighbor, now: float) -> bool:
        """Whether what it is sending comes so slowly that it must be left alone for a while."""
        if source.patience.left(now, source.partial) > 0:
            return False
        # They may share the slowest link that will do.
        sending = sum(1 for one in self._sources.values() if one.sending)
        return source.patience.left(now, source.partial * sending) <= 0

    def verified(self, source: Neighbor, piece: int) -> None:
        """A piece has come and is right."""
        start, stop = self._pieces.span(piece)
        source.received += stop - start
        source.failures = 0
        source.sending &= ~(1 << piece)
        source.partial = 0
        self.missing &= ~(1 << piece)

    def is_needless(self, source: Neighbor) -> bool:
        """Whether all that it has yet to send has come from others meanwhile."""
        return not source.sending & self.missing


def _rarest(pieces: int, holdings: Iterable[int]) -> tuple[int, int]:
    """How many have the rarest of these pieces, and which ones those are."""
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
