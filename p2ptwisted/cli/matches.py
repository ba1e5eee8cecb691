"""
Resources found by name, and which of them a holder really has: any host can register any name,
at a place where nobody listens.
"""

from collections import Counter
from collections.abc import Sequence

from msgspec import UNSET, Struct
from twisted.internet.defer import Deferred

from p2ptwisted.client.api import Client
from p2ptwisted.client.supernode_client import LOCATIONS_MAX
from p2ptwisted.model import NAMES_MAX, Holding
from p2ptwisted.support.file_names import likeness, normal_form
from p2ptwisted.support.lifecycle import all_of
from p2ptwisted.support.round_robin import host_of, in_turns

#: Resources that are checked, and holders that are asked for each: all at once, for
#: `transport.CALL_TIMEOUT` at the most, so there must not be too many.
CANDIDATES_MAX, HOLDERS_MAX = 32, 4


class FoundResource(Struct):
    """A resource that was found: which locations have all of it, and which a part."""

    id: str
    name: str | None
    size: int | None
    locations: list[str]
    partial: list[str]
    #: What its holders call it besides.
    other_names: list[str] = []

    @property
    def names(self) -> list[str]:
        """All its names that are known."""
        return self.other_names if self.name is None else [self.name, *self.other_names]

    @property
    def addresses(self) -> set[str]:
        """The hosts that are said to have it."""
        return {host_of(one) for one in self.locations}


def merge(known: FoundResource, holding: Holding, part: str) -> None:
    """Add one supernode's answer; of several names, the one most like `part` comes first."""
    file = holding.file
    known.locations = in_turns([*known.locations, *file.locations], LOCATIONS_MAX)
    if file.partial is not UNSET:
        known.partial = in_turns([*known.partial, *file.partial], LOCATIONS_MAX)
    # Stable: of those that are alike the first stays the first.
    names, wanted = dict.fromkeys([*known.names, *file.names]), normal_form(part)
    distinct = sorted(names, key=lambda name: -likeness(normal_form(name), wanted))
    if distinct:
        known.name, *known.other_names = distinct[:NAMES_MAX]
    if known.size is None and file.size is not UNSET:
        known.size = file.size


async def with_holder(client: Client, matches: Sequence[FoundResource]) -> list[FoundResource]:
    """Those of the first CANDIDATES_MAX resources that a holder confirms to have."""
    asked = [Deferred.fromCoroutine(_has_holder(client, one)) for one in matches[:CANDIDATES_MAX]]
    answers = await all_of(asked)
    return [one for one, is_held in zip(matches, answers, strict=False) if is_held]


def interleave_by_host(matches: Sequence[FoundResource]) -> list[FoundResource]:
    """
    Reorder the resources so that each host's first comes before any host's second.

    However much one host registers, the others' resources are checked too.
    """
    seen: Counter[str] = Counter()
    ranks = []
    for one in matches:
        ranks.append(min((seen[address] for address in one.addresses), default=0))
        seen.update(one.addresses)
    return [one for _, one in sorted(zip(ranks, matches, strict=True), key=lambda pair: pair[0])]


async def _has_holder(client: Client, match: FoundResource) -> bool:
    asked = in_turns(match.locations, LOCATIONS_MAX)[:HOLDERS_MAX]
    calls = [Deferred.fromCoroutine(client.holds(location, match.id)) for location in asked]
    answers: list[bool] = await all_of(calls)
    return any(answers)
