"""
The piece picker of a download: which pieces to ask of which neighbor, what is late, and
whom not to trust any more. Pure; time is an argument, in seconds.

A neighbor is asked for a set of pieces and picks itself which of them it sends
now (docs/http-api.md), for it alone knows which ones it has spread least. So
what one neighbor has been asked for is kept from the others until it has
answered, and what it is sending until it has sent it or is late.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from random import Random

from p2ptwisted.pieces import Pieces, every_piece
from p2ptwisted.transfer.piece_deadline import PieceDeadline
from p2ptwisted.transfer.piece_selector import RUN_MAX
from p2ptwisted.transfer.piece_sets import rarest, stripe
from p2ptwisted.transfer.rate_meter import RateMeter

#: Seconds after which a neighbor whose answer or piece should be there has stalled; a piece gets
#: this many times what it takes at its usual rate, if that is more.
STALL_TIMEOUT, STALL_FACTOR = 0.25, 1.0

#: A neighbor that was asked for more than this many times as many pieces as it is to send keeps
#: them from others only as long as there is something else to ask them for.
LOOSE_FACTOR = 8

#: How much the latest answer counts of how long a neighbor's answers take to begin.
WAIT_SHARE = 0.3

#: A piece is late when its neighbor needs this many times as long for the rest
#: as another would for all of it, and this many seconds more.
LATE_FACTOR, LATE_SLACK = 2.0, 0.25

#: Seconds in which a piece on its way must come faster than `piece_deadline.SLOWEST` would
#: bring it: a neighbor that is slower trickles, and is cut off like one that is silent.
TRICKLE_TIMEOUT = 10.0

#: Seconds before a neighbor that failed is tried again: doubled each time, up to a bound.
RETRY_FIRST, RETRY_MAX = 0.5, 8.0

#: Seconds that a request should take at its neighbor's usual rate: it asks for as many pieces that
#: follow each other, up to RUN_MAX. Where nobody else fetches, nobody waits for what comes, and it
#: is ALONE_TIME.
RUN_TIME, ALONE_TIME = 0.04, 1.0

#: A request is never for less than such a part of the file, divided among all neighbors: so what
#: the last pieces of all wait for is a hundredth of the whole, whatever the link.
RUN_PARTS = 100

#: Seconds for a piece after which a request no longer counts among those that may be under way:
#: or else a few that never end would keep all others from being asked.
PLACE_TIME = 1.0

#: Requests under way with one neighbor; the second is sent so many seconds before the first one's
#: answer is complete, so that no connection waits for the way there and back.
REQUESTS_DEEP, ASK_AHEAD = 2, 0.1


@dataclass(eq=False, slots=True)
class Request:
    """A request to a neighbor that is under way."""

    neighbor: "Neighbor"
    #: Pieces it was asked for; the neighbor has not said which it sends.
    asked: int
    #: How many of them it is to send at most; who doesn't know that may send more.
    most: int
    #: When its answer should be there, or the piece that it is sending, at its usual rate.
    due: float
    #: Seconds that this piece was expected to take.
    takes: float = 0.0
    #: Pieces that it is sending and that are not complete.
    sending: int = 0
    #: Bytes of the first of these that have come.
    partial: int = 0
    #: Whether it was sent behind another.
    is_behind: bool = False
    #: Whether it is time to send the next request after it.
    is_ending: bool = False
    #: For the piece that it is sending.
    deadline: PieceDeadline = field(default_factory=lambda: PieceDeadline(TRICKLE_TIMEOUT))


@dataclass(eq=False, slots=True)
class Neighbor:
    """A holder that a download asks for pieces, and what is under way with it."""

    location: str
    #: The set of pieces that it has, as it has said.
    has: int
    requests: list[Request] = field(default_factory=list)
    rate: RateMeter = field(default_factory=RateMeter)
    #: Seconds that its answers usually take to begin: it may have many others to serve.
    wait: float = 0.0
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
        self._everything = every_piece(pieces.count)
        self._random = random or Random()  # nosec B311  # it spreads load, and keeps no secret
        #: All that were ever offered, and those that are asked.
        self._known: dict[str, Neighbor] = {}
        self._neighbors: dict[str, Neighbor] = {}
        #: The sets of pieces that are in hand, and of those that loosely are; None where they must
        #: be reckoned again.
        self._hand: tuple[int, int] | None = None
        #: Whether other nodes fetch the resource too.
        self.is_shared = False
        #: The set of pieces that are not here.
        self.missing = self._everything & ~have

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
        return sum(request.partial for request in self._requests())

    @property
    def neighbors(self) -> Iterable[Neighbor]:
        """All neighbors that were ever offered."""
        return self._known.values()

    @property
    def current(self) -> Iterable[Neighbor]:
        """Those that may be asked now."""
        return self._neighbors.values()

    def in_order(self) -> list[Neighbor]:
        """Those that may be asked now, those first that answer soon; equal ones at random."""
        neighbors = list(self._neighbors.values())
        self._random.shuffle(neighbors)
        return sorted(neighbors, key=lambda neighbor: neighbor.wait)

    def _requests(self) -> Iterator[Request]:
        return (request for neighbor in self._neighbors.values() for request in neighbor.requests)

    # -- neighbors

    def offer(self, location: str, has: int) -> Neighbor:
        """Add a neighbor that has these pieces, or update one that is known; returns it."""
        neighbor = self._known.get(location)
        if neighbor is None:
            neighbor = self._known[location] = Neighbor(location, has)
        self._neighbors[location] = neighbor
        neighbor.has = has
        return neighbor

    def leave(self, location: str) -> None:
        """Ask it for nothing more, until it is offered again."""
        neighbor = self._neighbors.pop(location, None)
        if neighbor is not None:
            neighbor.requests.clear()
            self._hand = None

    def distrust(self, neighbor: Neighbor, reason: str) -> None:
        """Ask it for nothing any more."""
        neighbor.distrusted = reason
        neighbor.requests.clear()
        self._hand = None

    def failed(self, neighbor: Neighbor, now: float) -> None:
        """Leave it alone for a while: it could not be reached, or broke off."""
        neighbor.failures += 1
        delay = RETRY_FIRST * 2 ** min(neighbor.failures - 1, 10)
        neighbor.retry_at = now + min(delay, RETRY_MAX)

    def ended(self, request: Request) -> None:
        """Expect nothing more of what was asked for."""
        if request in request.neighbor.requests:
            request.neighbor.requests.remove(request)
            self._hand = None

    def has_nothing(self, neighbor: Neighbor) -> bool:
        """Whether the neighbor has no piece to ask it for now, and may get one."""
        if neighbor.distrusted or neighbor.requests or neighbor.has == self._everything:
            return False
        in_hand, _ = self._in_hand()
        return not self.missing & neighbor.has & ~in_hand

    # -- asking

    def wanted(self, neighbor: Neighbor, now: float, late: bool = True) -> Request | None:
        """
        What to ask this neighbor for now; None if others have everything in hand.

        `late`: it may be what others have in hand and are late with.
        """
        if neighbor.distrusted or now < neighbor.retry_at or self._is_busy(neighbor):
            return None
        useful = self.missing & neighbor.has
        in_hand, loosely = self._in_hand()
        free = useful & ~in_hand
        fresh = free & ~loosely or free
        asked = 0
        if fresh:
            asked = self._share(fresh)
        elif late and useful and not neighbor.requests:
            asked = self._late(neighbor, useful, now)
        if not asked:
            return None
        if not neighbor.requests:
            neighbor.rate.begin(now)
        request = Request(neighbor, asked, self._run(neighbor) if fresh else 1, now)
        request.is_behind = bool(neighbor.requests)
        request.deadline.restart(now)
        neighbor.requests.append(request)
        self._hand = None
        return request

    def _in_hand(self) -> tuple[int, int]:
        if self._hand is None:
            in_hand = loosely = 0
            for neighbor in self._neighbors.values():
                for request in neighbor.requests:
                    in_hand |= request.sending
                    if request.asked.bit_count() > LOOSE_FACTOR * request.most:
                        # Those that it sends, unless it has sent others less often.
                        lowest = request.asked & -request.asked
                        in_hand |= request.asked & (lowest << request.most) - lowest
                        loosely |= request.asked
                    else:
                        in_hand |= request.asked
            self._hand = in_hand, loosely
        return self._hand

    def _is_busy(self, neighbor: Neighbor) -> bool:
        """Whether the next request is better sent later, when more is known."""
        count = len(neighbor.requests)
        return count >= REQUESTS_DEEP or (count > 0 and not neighbor.requests[0].is_ending)

    def is_time_for_next(self, request: Request) -> bool:
        """Whether the answer will soon be complete: true once for each request."""
        rate = request.neighbor.rate.value()
        if request.is_ending or not rate or self._bytes_left(request) > ASK_AHEAD * rate:
            return False
        request.is_ending = True
        return True

    def takes_place(self, request: Request, now: float) -> bool:
        """Whether it counts among those that may be under way: it will go on for some time."""
        return not request.is_ending and now - (request.due - request.takes) <= PLACE_TIME

    def _bytes_left(self, request: Request) -> int:
        return request.sending.bit_count() * self._pieces.length - request.partial

    def _run(self, neighbor: Neighbor) -> int:
        """How many pieces to take at once."""
        rate = neighbor.rate.value() or 0.0
        run = (RUN_TIME if self.is_shared else ALONE_TIME) * rate / self._pieces.length
        least = self._pieces.count / (RUN_PARTS * max(1, len(self._neighbors)))
        return max(1, min(RUN_MAX, int(max(run, least))))

    def _share(self, fresh: int) -> int:
        """One neighbor's share of the rarest of these pieces."""
        holdings = [other.has for other in self._neighbors.values() if not other.distrusted]
        holders, rare = rarest(fresh, holdings)
        if holders == 1:
            return rare
        # Others may ask for these in the same moment: leave them theirs.
        first = 0  # In order, so that it can be hashed as it comes.
        if any(has != self._everything for has in holdings):
            first = self._random.randrange(holders)
        for n in range(holders):
            share = rare & stripe(self._pieces.count, holders, (first + n) % holders)
            if share:
                return share
        return rare

    def _late(self, neighbor: Neighbor, useful: int, now: float) -> int:
        """Of what others have in hand, the piece that would be here sooner from this neighbor."""
        elsewhere = 0
        for other in self._neighbors.values():
            if not other.distrusted and not other.failures:
                elsewhere |= other.has
        in_hand, _ = self._in_hand()
        if self.missing & elsewhere & ~in_hand:
            return 0  # There is something better to do than what others do, slowly or not.
        own = neighbor.rate.value() or self._usual_rate()
        allowed = LATE_FACTOR * (self._pieces.length / own if own else 0.0) + LATE_SLACK
        soon, late = 0, []
        for request in self._requests():
            left = self._seconds_left(request, now)
            if left > allowed:
                late.append((left, request.asked | request.sending))
            else:
                soon |= request.asked | request.sending
        for _, in_hand in sorted(late, reverse=True):
            candidates = in_hand & useful & ~soon
            if candidates:
                # The last of those it sends: the one that it comes to last.
                return 1 << (candidates.bit_length() - 1)
        return 0

    def _seconds_left(self, request: Request, now: float) -> float:
        """Seconds until all is here that this request has in hand."""
        overdue = now - request.due
        rate = request.neighbor.rate.value()
        if overdue > max(STALL_TIMEOUT, STALL_FACTOR * request.takes):
            return math.inf
        if not request.sending or not rate:
            return overdue
        return self._bytes_left(request) / rate

    def _usual_rate(self) -> float | None:
        neighbors = self._neighbors.values()
        rates = sorted(rate for neighbor in neighbors if (rate := neighbor.rate.value()))
        return rates[len(rates) // 2] if rates else None

    # -- being answered

    def started(self, request: Request, pieces: int, now: float) -> bool:
        """Note that it sends these, in order; False if it was not asked for them, or is no more."""
        if not pieces or pieces & ~request.asked or request not in request.neighbor.requests:
            return False
        request.asked, request.sending, request.partial = 0, pieces, 0
        self._hand = None
        if not request.is_behind:
            neighbor = request.neighbor
            neighbor.wait += WAIT_SHARE * (now - request.due - neighbor.wait)
        return True

    def progress(self, request: Request, count: int, now: float) -> None:
        """Note that so many bytes have come."""
        rate = request.neighbor.rate
        rate.add(count, now)
        if not request.partial:
            request.deadline.restart(now)
            request.takes = self._pieces.length / (rate.value() or math.inf)
            request.due = now + request.takes
        request.partial += count

    def trickles(self, request: Request, now: float) -> bool:
        """Whether it comes so slowly that its neighbor must be left alone for a while."""
        if request.deadline.seconds_left(now, request.partial) > 0:
            return False
        # They may share the slowest link that will do.
        sending = sum(1 for other in self._requests() if other.sending)
        return request.deadline.seconds_left(now, request.partial * sending) <= 0

    def verified(self, request: Request, piece: int) -> None:
        """Note that a piece has come and is right."""
        start, stop = self._pieces.span(piece)
        request.neighbor.received += stop - start
        request.neighbor.failures = 0
        request.sending &= ~(1 << piece)
        request.partial = 0
        self.missing &= ~(1 << piece)
        self._hand = None

    def is_needless(self, request: Request) -> bool:
        """Whether all that it has yet to send has come from others meanwhile."""
        return not request.sending & self.missing
