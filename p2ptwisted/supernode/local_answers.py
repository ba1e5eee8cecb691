"""
What a supernode knows by itself: the answers from its registry, with locations
that the asker can reach.
"""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from p2ptwisted.interfaces import IRegistry
from p2ptwisted.model import SUPERNODE_ID, Holding
from p2ptwisted.protocols import datagrams
from p2ptwisted.support.address_policy import is_loopback, reachable_from
from p2ptwisted.support.locations import OwnLocation

#: Holders looked up for the answer to a datagram, which can't name more: those that registered
#: last, the most recently seen of them first.
DATAGRAM_HOLDERS = datagrams.LOCATIONS_MAX


class LocalAnswers:
    """Answers searches from a registry, without asking anybody."""

    def __init__(self, registry: IRegistry, own_location: OwnLocation) -> None:
        self._registry = registry
        self._own_location = own_location

    def locations(self, id: str, asker: str) -> Sequence[str]:
        """
        Returns up to DATAGRAM_HOLDERS locations that hold `id`, as the host `asker` can reach them.

        For the reserved id, which stands for supernodes, that is this supernode's own location.
        """
        if id == SUPERNODE_ID:
            return [self._own_location.towards(asker)]
        found = self._registry.holdings([id], DATAGRAM_HOLDERS)
        return [
            location
            for holding in self._seen_by(asker, found)
            for location in holding.file.locations
        ]

    def holdings(self, ids: Sequence[str], asker: str) -> list[Holding]:
        """Returns the holdings of those of `ids` that are here, as `asker` can reach them."""
        return self._seen_by(asker, self._registry.holdings(ids))

    def _seen_by(self, asker: str, found: list[Holding]) -> list[Holding]:
        if is_loopback(asker):
            return found
        return [as_seen_by(asker, holding) for holding in found]


def towards(asker: str, locations: Sequence[str]) -> list[str]:
    """Returns `locations` as the host `asker` can reach them."""
    return [reachable_from(location, asker) for location in locations]


def as_seen_by(asker: str, holding: Holding) -> Holding:
    """Returns the holding with locations that the host `asker` can reach."""
    file = holding.file
    partial = file.partial
    if not any(map(is_loopback, [*file.locations, *(partial or ())])):
        return holding
    locations = towards(asker, file.locations)
    if partial is not UNSET:
        partial = towards(asker, partial)
    file = msgspec.structs.replace(
        file, location=locations[0], locations=locations, partial=partial
    )
    return msgspec.structs.replace(holding, file=file)
