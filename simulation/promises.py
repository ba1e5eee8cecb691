"""
What is promised of a group, and watched in every history: no wrong answer,
the dead forgotten in time, the living known again once the network is whole.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from msgspec import UNSET

from p2ptwisted.model import Holders, Holding, ResourceInfo
from simulation.clock import Time
from simulation.members import NodeMember, SupernodeMember

#: Seconds after which no list and no answer may have who has died: two sweeps of 5 s, a
#: third where most failed together, and 2 s for each 64 checks that nobody answers.
FORGOTTEN_WITHIN = 20.0

#: Seconds after which no answer may have what a living node gave up: it may be at another
#: supernode by then, which takes a silence of 12 s to notice, and the next sweep; in bad
#: weather some more.
GIVEN_UP_WITHIN = 33.0

#: Seconds after the network is whole again until every living node is found.
KNOWN_WITHIN = 15.0

#: Seconds that an answer can be on its way: a search's 0.5 s, and the network's.
ON_ITS_WAY = 1.0

#: Ids that somebody gave up, asked of every supernode at a time.
LOST_ASKED = 50


class Broken(AssertionError):
    """A promise was not kept."""


@dataclass
class Memory:
    """What is true, and until when what is true no longer was: of what each location holds."""

    time: Time
    #: What there is or was, by id.
    resources: dict[str, ResourceInfo] = field(default_factory=dict)
    #: By location, the ids that it holds.
    held: dict[str, frozenset[str]] = field(default_factory=dict)
    #: When what it holds no longer was given up.
    lost: dict[tuple[str, str], float] = field(default_factory=dict)
    #: When those that are dead died, by location.
    died: dict[str, float] = field(default_factory=dict)

    def holds(self, location: str, resources: Iterable[ResourceInfo]) -> None:
        """The living node there holds these from now on, and nothing else."""
        self.died.pop(location, None)
        held = {one.id: one for one in resources}
        for id in sorted(self.held.get(location, frozenset()) - held.keys()):
            self.lost[location, id] = self.time.now
        self.resources |= held
        self.held[location] = frozenset(held)

    def dies(self, location: str) -> None:
        self.holds(location, ())
        self.died[location] = self.time.now

    def is_held(self, id: str) -> bool:
        """Whether any living node holds it."""
        return any(id in ids for ids in self.held.values())


class Promises:
    """Checks what members say against what is true; raises Broken."""

    def __init__(
        self, memory: Memory, supernodes: Sequence[SupernodeMember], random: Random
    ) -> None:
        self._memory = memory
        self._random = random
        self._supernodes = supernodes
        #: The most seconds that anything dead was still listed.
        self.latest_forgotten = 0.0
        #: The most seconds that anything that a living node gave up was still answered.
        self.latest_given_up = 0.0

    def found(self, holding: Holding) -> None:
        """An answer of the group's is right."""
        file = holding.file
        self._is_described(holding.id, file.name, file.size)
        if not file.locations or file.location != file.locations[0]:
            raise Broken(f"{holding} is not at the first of its locations")
        self._are_holders(holding.id, file.locations)

    def holders(self, holders: Holders) -> None:
        """So is a list of holders; nobody has a part of anything."""
        self._is_described(holders.id, holders.name, holders.size)
        if holders.partial:
            raise Broken(f"{holders.partial} have no part of {holders.id}")
        self._are_holders(holders.id, holders.locations)

    def _is_described(self, id: str, name: object, size: object) -> None:
        true = self._memory.resources[id]
        if name not in (UNSET, None, true.name) or size not in (UNSET, None, true.size):
            raise Broken(f"{true} is told to be {name!r} of {size!r} bytes")

    def _are_holders(self, id: str, locations: Sequence[str]) -> None:
        for location in locations:
            if id not in self._memory.held.get(location, ()):
                believing = (
                    supernode.awake_since
                    for supernode in self._supernodes
                    if supernode.is_awake and supernode.believed(location, id, ON_ITS_WAY)
                )
                self._was_holder(location, id, max(believing, default=0.0))

    def given_up(self) -> bool:
        """No supernode answers for what was given up long ago; whether none for any of it."""
        given_up = True
        ids = list(dict.fromkeys(id for _, id in self._memory.lost))
        asked = self._random.sample(ids, min(LOST_ASKED, len(ids)))
        for supernode in self._supernodes:
            if not supernode.is_awake:
                continue
            for holding in supernode.registry.holdings(asked):
                for location in holding.file.locations:
                    if holding.id not in self._memory.held.get(location, ()):
                        self._was_holder(location, holding.id, supernode.awake_since)
                        given_up = False
        return given_up

    def _was_holder(self, location: str, id: str, awake_since: float) -> None:
        """
        The location had it a moment ago.

        Whoever stood still, or begins again with what it knew, has to look
        first: `awake_since` is when those began who still believe it.
        """
        now = self._memory.time.now
        lost, died = self._memory.lost.get((location, id)), self._memory.died.get(location)
        if lost is None:
            raise Broken(f"{location} never held {id}")
        late = now - max(lost, died or 0.0, awake_since)
        if died is None:
            self.latest_given_up = max(self.latest_given_up, late)
        if late > (GIVEN_UP_WITHIN if died is None else FORGOTTEN_WITHIN):
            what = "gave up" if died is None else "died with"
            raise Broken(f"{location} {what} {id} {now - lost:.1f} s ago")

    def forgotten(self) -> bool:
        """No supernode lists a node that has been dead for long; whether none any that is dead."""
        forgotten = True
        now = self._memory.time.now
        for supernode in self._supernodes:
            if not supernode.is_awake:
                continue
            for node in supernode.registry.nodes():
                died = self._memory.died.get(node.location)
                if died is None:
                    continue
                forgotten = False
                late = now - max(died, supernode.awake_since)
                self.latest_forgotten = max(self.latest_forgotten, late)
                if late > FORGOTTEN_WITHIN:
                    raise Broken(
                        f"{supernode.process.location} lists {node.location}, dead for {late:.1f} s"
                    )
        return forgotten

    def unknown(self, nodes: Sequence[NodeMember]) -> list[str]:
        """What the living have and their supernodes don't know of."""
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
