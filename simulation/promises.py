"""
What a group promises, checked in every history: no answer is wrong, dead nodes are
forgotten in time, and living nodes are known again once the network is whole.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from msgspec import UNSET

from p2ptwisted.model import Holders, Holding, ResourceInfo
from simulation.clock import Time
from simulation.members import NodeMember, SupernodeMember

#: Seconds after which no list and no answer may have a dead node: two sweeps of 5 s, a
#: third if most nodes failed together, and 2 s for each 64 checks that nobody answers.
FORGOTTEN_WITHIN = 20.0

#: Seconds after which no answer may have what a living node gave up. It may be at another
#: supernode by then, which takes a silence of 12 s to notice and the next sweep, and some
#: more in bad weather.
GIVEN_UP_WITHIN = 33.0

#: Seconds after the network is whole again within which every living node is found.
KNOWN_WITHIN = 15.0

#: Seconds that an answer can be on its way: a search's 0.5 s, and the network's.
ON_ITS_WAY = 1.0

#: Ids of given-up resources that every supernode is asked for at a time.
LOST_ASKED = 50


class BrokenPromise(AssertionError):
    """Raised when a promise is not kept."""


@dataclass
class GroundTruth:
    """What each location really holds, and until when it held what it no longer holds."""

    time: Time
    #: All resources that exist or existed, by id.
    resources: dict[str, ResourceInfo] = field(default_factory=dict)
    #: By location, the ids that it holds.
    held: dict[str, frozenset[str]] = field(default_factory=dict)
    #: By location and id, when what is no longer held was given up.
    lost: dict[tuple[str, str], float] = field(default_factory=dict)
    #: By location, when a dead node died.
    died: dict[str, float] = field(default_factory=dict)

    def holds(self, location: str, resources: Iterable[ResourceInfo]) -> None:
        """Note that the living node there holds these from now on, and nothing else."""
        self.died.pop(location, None)
        held = {one.id: one for one in resources}
        for id in sorted(self.held.get(location, frozenset()) - held.keys()):
            self.lost[location, id] = self.time.now
        self.resources |= held
        self.held[location] = frozenset(held)

    def dies(self, location: str) -> None:
        """Note that the node there is dead."""
        self.holds(location, ())
        self.died[location] = self.time.now

    def is_held(self, id: str) -> bool:
        """Whether any living node holds it."""
        return any(id in ids for ids in self.held.values())


class Promises:
    """Checks what members say against the truth; raises BrokenPromise."""

    def __init__(
        self, truth: GroundTruth, supernodes: Sequence[SupernodeMember], random: Random
    ) -> None:
        self._truth = truth
        self._random = random
        self._supernodes = supernodes
        #: The most seconds for which a dead node was still listed.
        self.latest_forgotten = 0.0
        #: The most seconds for which anything that a living node gave up was still in an answer.
        self.latest_given_up = 0.0

    def found(self, holding: Holding) -> None:
        """Check the answer to a search."""
        file = holding.file
        self._is_described(holding.id, file.name, file.size)
        if not file.locations or file.location != file.locations[0]:
            raise BrokenPromise(f"{holding} is not at the first of its locations")
        self._are_holders(holding.id, file.locations)

    def holders(self, holders: Holders) -> None:
        """Check a list of holders; nobody has a part of anything."""
        self._is_described(holders.id, holders.name, holders.size)
        if holders.partial:
            raise BrokenPromise(f"{holders.partial} have no part of {holders.id}")
        self._are_holders(holders.id, holders.locations)

    def _is_described(self, id: str, name: object, size: object) -> None:
        true = self._truth.resources[id]
        if name not in (UNSET, None, true.name) or size not in (UNSET, None, true.size):
            raise BrokenPromise(f"{true} is told to be {name!r} of {size!r} bytes")

    def _are_holders(self, id: str, locations: Sequence[str]) -> None:
        for location in locations:
            if id not in self._truth.held.get(location, ()):
                believing = (
                    supernode.awake_since
                    for supernode in self._supernodes
                    if supernode.is_awake and supernode.believed(location, id, ON_ITS_WAY)
                )
                self._was_holder(location, id, max(believing, default=0.0))

    def given_up(self) -> bool:
        """
        Check that no supernode gives in answers what was given up long ago.

        Returns whether none gives anything that was given up.
        """
        given_up = True
        ids = list(dict.fromkeys(id for _, id in self._truth.lost))
        asked = self._random.sample(ids, min(LOST_ASKED, len(ids)))
        for supernode in self._supernodes:
            if not supernode.is_awake:
                continue
            for holding in supernode.registry.holdings(asked):
                for location in holding.file.locations:
                    if holding.id not in self._truth.held.get(location, ()):
                        self._was_holder(location, holding.id, supernode.awake_since)
                        given_up = False
        return given_up

    def _was_holder(self, location: str, id: str, awake_since: float) -> None:
        """
        Check that the location had it a moment ago.

        A supernode that was frozen, or restarted with its state, has to check its nodes first:
        `awake_since` is since when the supernodes that still believe it are awake.
        """
        now = self._truth.time.now
        lost, died = self._truth.lost.get((location, id)), self._truth.died.get(location)
        if lost is None:
            raise BrokenPromise(f"{location} never held {id}")
        late = now - max(lost, died or 0.0, awake_since)
        if died is None:
            self.latest_given_up = max(self.latest_given_up, late)
        if late > (GIVEN_UP_WITHIN if died is None else FORGOTTEN_WITHIN):
            what = "gave up" if died is None else "died with"
            raise BrokenPromise(f"{location} {what} {id} {now - lost:.1f} s ago")

    def forgotten(self) -> bool:
        """
        Check that no supernode lists a node that has been dead for long.

        Returns whether none lists any dead node.
        """
        forgotten = True
        now = self._truth.time.now
        for supernode in self._supernodes:
            if not supernode.is_awake:
                continue
            for node in supernode.registry.nodes():
                died = self._truth.died.get(node.location)
                if died is None:
                    continue
                forgotten = False
                late = now - max(died, supernode.awake_since)
                self.latest_forgotten = max(self.latest_forgotten, late)
                if late > FORGOTTEN_WITHIN:
                    raise BrokenPromise(
                        f"{supernode.process.location} lists {node.location}, dead for {late:.1f} s"
                    )
        return forgotten

    def unknown(self, nodes: Sequence[NodeMember]) -> list[str]:
        """Returns, in words, what these living nodes have that their supernodes don't know of."""
        at: dict[str, list[NodeMember]] = {
            supernode.process.location: []
            for supernode in self._supernodes
            if not supernode.process.is_dead
        }
        unknown = []
        for node in nodes:
            theirs = at.get(node.membership.supernode or "")
            if theirs is None:
                unknown.append(f"{node.process.location} has no supernode")
            else:
                theirs.append(node)
        for supernode in self._supernodes:
            theirs = at.get(supernode.process.location, [])
            ids = dict.fromkeys(one.id for node in theirs for one in node.resources)
            listed = {
                (holding.id, location)
                for holding in supernode.registry.holdings(list(ids))
                for location in holding.file.locations
            }
            for node in theirs:
                location = node.process.location
                if any((one.id, location) not in listed for one in node.resources):
                    unknown.append(f"{supernode.process.location} misses {location}")
        return unknown
