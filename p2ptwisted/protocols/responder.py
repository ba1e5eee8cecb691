"""
What a supernode answers to the search requests of others, and how many it
answers. Pure; time is an argument.
"""

from collections.abc import Sequence
from typing import Protocol

from p2ptwisted.protocols.datagrams import LOCATIONS_MAX, FoundReply, NotFoundReply, SearchRequest
from p2ptwisted.support.rate_limit import TokenBucket, TokenBuckets

#: Replies a second to untagged requests, and how many at once, for all addresses together: all
#: of the group hear each one.
UNTAGGED_TOTAL_RATE, UNTAGGED_TOTAL_BURST = 1_000, 2_000

#: The same for one address: half of them, which leaves room for others.
UNTAGGED_RATE, UNTAGGED_BURST = UNTAGGED_TOTAL_RATE // 2, UNTAGGED_TOTAL_BURST // 2

#: Replies a second to tagged requests from one address, and how many at once. A supernode that
#: asks for each of the 6,000 searches a second that it can answer is below that, and so are a few
#: on one host that ask for 500 misses a second each, four times again. Whoever forges an address
#: has no more sent there.
TAGGED_RATE, TAGGED_BURST = 10_000, 10_000

#: The same for all addresses together. Each reply takes about 50 us: the rest is for HTTP.
TAGGED_TOTAL_RATE, TAGGED_TOTAL_BURST = 15_000, 15_000

#: Addresses whose token buckets are remembered.
ADDRESSES_MAX = 10_000


class Answers(Protocol):
    """Looks up what a supernode answers."""

    def __call__(self, id: str, asker: str) -> Sequence[str]:
        """Returns the locations that hold `id`, as the host `asker` can reach them."""


class Responder:
    """Makes the replies to requests, within limits for each address and in all."""

    def __init__(self, name: str, answers: Answers) -> None:
        """`name` is this supernode's name in its datagrams."""
        self._name = name
        self._answers = answers
        self._untagged = TokenBuckets(UNTAGGED_RATE, UNTAGGED_BURST, ADDRESSES_MAX)
        self._untagged_total = TokenBucket(UNTAGGED_TOTAL_RATE, UNTAGGED_TOTAL_BURST)
        self._tagged = TokenBuckets(TAGGED_RATE, TAGGED_BURST, ADDRESSES_MAX)
        self._tagged_total = TokenBucket(TAGGED_TOTAL_RATE, TAGGED_TOTAL_BURST)

    def reply(
        self, request: SearchRequest, source: str, now: float
    ) -> FoundReply | NotFoundReply | None:
        """
        Returns the reply to a request from the address `source`; None if there are too many.

        A reply with a tag is for the asker alone, a reply without one for the group.
        """
        if not self._has_room(request, source, now):
            return None
        locations = tuple(self._answers(request.id, source))
        if not locations:
            return NotFoundReply(self._name, request.id, request.tag)
        # Whoever sends no tag knows the plain three lines only: one location.
        most = 1 if request.tag is None else LOCATIONS_MAX
        return FoundReply(self._name, locations[:most], request.tag)

    def _has_room(self, request: SearchRequest, source: str, now: float) -> bool:
        if request.tag is None:
            return self._untagged.of(source).take(now) and self._untagged_total.take(now)
        return self._tagged.of(source).take(now) and self._tagged_total.take(now)
