"""
Resources that were found by a name, and which of them somebody really has: any host can
register any name, at a place where nobody listens.
"""

from collections import Counter
from collections.abc import Sequence

from msgspec import Struct
from twisted.internet.defer import Deferred

from p2ptwisted.client.api import Client
from p2ptwisted.client.supernode_client import LOCATIONS_MAX
from p2ptwisted.support.lifecycle import all_of
from p2ptwisted.support.round_robin import host_of, in_turns

#: Resources that are looked at, and holders that are asked of each: all at once, for
#: `transport.CALL_TIMEOUT` at the most, so there must not be too many.
CANDIDATES_MAX, HOLDERS_MAX = 32, 4


class Match(Struct):
    """A resource that was found: who has all of it, and who a part."""

    id: str
    name: str | None
    size: int | None
    locations: list[str]
    partial: list[str]

    @property
    def addresses(self) -> set[str]:
        """Where it is said to be, each host once."""
        return {host_of(one) for one in self.locations}


async def held(client: Client, matches: Sequence[Match]) -> list[Match]:
    """Those of the first CANDIDATES_MAX of these of which a holder says that it has them."""
    asked = [Deferred.fromCoroutine(_is_held(client, one)) for one in matches[:CANDIDATES_MAX]]
    answers = await all_of(asked)
    return [one for one, is_held in zip(matches, answers, strict=False) if is_held]


def going_round(matches: Sequence[Match]) -> list[Match]:
    """
    These, so that each host's first comes before anybody's second.

    So however much one host registers, it keeps nobody else from being looked at.
    """
    seen: Counter[str] = Counter()
    ranks = []
    for one in matches:
        ranks.append(min((seen[address] for address in one.addresses), default=0))
        seen.update(one.addresses)
    return [one for _, one in sorted(zip(ranks, matches, strict=True), key=lambda pair: pair[0])]


async def _is_held(client: Client, match: Match) -> bool:
    asked = in_turns(match.locations, LOCATIONS_MAX)[:HOLDERS_MAX]
    calls = [Deferred.fromCoroutine(client.holds(location, match.id)) for location in asked]
    answers: list[bool] = await all_of(calls)
    return any(answers)
