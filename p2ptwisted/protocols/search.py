"""
One search in the overlay: what it asks, who has yet to answer, what was found,
and when it has ended. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from p2ptwisted.support.round_robin import host_of, share_of

#: Locations gathered by one search, and the share of one address among them, so that no host
#: crowds out the others with its many ports.
GATHERED_MAX = 1_000
GATHERED_SHARE = share_of(GATHERED_MAX)

#: Untagged replies that may be the answer to one search, remembered until that is known.
DOUBTS_MAX = 16

#: Peers that one search remembers to have said no; only a flood of made-up names gets there.
DENIED_MAX = 1_000


@dataclass(eq=False, slots=True)
class Search:
    """A question to the group, asked once for all who wait for its answer."""

    id: str
    tag: str
    #: Whether it waits for every supernode's answer instead of the first.
    everyone: bool
    #: Whether all supernodes can be awaited. If none was known at its start, or too many,
    #: an answer can come from anybody until the time is up.
    peers_known: bool
    #: Names of those known supernodes that have not answered yet.
    awaited: set[str]
    #: Seconds until it ends, whatever comes.
    timeout: float
    #: When it began.
    began: float
    #: The locations found: a set that keeps its order.
    locations: dict[str, None] = field(default_factory=dict)
    #: How many of them each address has.
    address_counts: dict[str, int] = field(default_factory=dict)
    #: How many locations there were when the request was last sent.
    located: int = 0
    #: Names of the peers that have said no.
    denied: set[str] = field(default_factory=set)
    #: Location and sender of each untagged reply that may be its answer: a set in order.
    doubts: dict[tuple[str, str], None] = field(default_factory=dict)
    #: Whether its time is up.
    is_late: bool = False

    @property
    def is_over(self) -> bool:
        """Whether no more answers are awaited, other than what the `doubts` turn out to be."""
        if self.is_late or (self.locations and not self.everyone):
            return True
        return self.peers_known and not self.awaited

    def deny(self, name: str) -> None:
        """Note that this peer has said no: none of its replies was an answer to this search."""
        self.awaited.discard(name)
        if len(self.denied) < DENIED_MAX:
            self.denied.add(name)
        for doubt in [doubt for doubt in self.doubts if doubt[1] == name]:
            del self.doubts[doubt]

    def doubt(self, location: str, name: str) -> bool:
        """
        Remember that an untagged reply of that peer may be the answer.

        Returns False if too many are remembered already.
        """
        if len(self.doubts) >= DOUBTS_MAX and (location, name) not in self.doubts:
            return False
        self.doubts[location, name] = None
        return True

    def credit(self, locations: Sequence[str], name: str) -> None:
        """Note that this peer has answered with these locations."""
        self.awaited.discard(name)
        for location in locations:
            self._add(location)

    def settle(self, location: str, holds: bool) -> None:
        """Note that a location holds it, or doesn't: replies that name it are no doubts now."""
        names = [name for doubted, name in self.doubts if doubted == location]
        for name in names:
            del self.doubts[location, name]
        if holds:
            self.awaited.difference_update(names)
            self._add(location)

    def _add(self, location: str) -> None:
        host = host_of(location)
        count = self.address_counts.get(host, 0)
        if (
            location not in self.locations
            and len(self.locations) < GATHERED_MAX
            and count < GATHERED_SHARE
        ):
            self.locations[location] = None
            self.address_counts[host] = count + 1

    @property
    def should_repeat(self) -> bool:
        """
        Whether the request should be sent again now.

        It is repeated for peers that have not answered. If they aren't known, it is repeated
        as long as that brings something new, because all whom it reaches answer again.
        """
        return self.peers_known or not self.locations or len(self.locations) > self.located

    def mark_repeated(self) -> None:
        """Note that the request is sent again now."""
        self.located = len(self.locations)
