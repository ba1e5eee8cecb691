"""
What is promised of a group, and watched in every history: no wrong answer,
the dead forgotten in time, the living known again once the network is whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.sim.clock import Time
from bench.sim.members import NodeMember, SupernodeMember
from p2ptwisted.model import Holding

#: Seconds after which no answer and no list may have what has ended: two sweeps of
#: 5 s, a third where most failed together, and 2 s for each 64 checks that nobody answers.
FORGOTTEN_WITHIN = 30.0

#: Seconds after the network is whole again until every living node is found.
KNOWN_WITHIN = 16.0


class Broken(AssertionError):
    """A promise was not kept."""


@dataclass
class Memory:
    """What is true, and until when what is true no longer was: of what each location holds."""

    time: Time
    #: By location, the ids that it holds.
    held: dict[str, set[str]] = field(default_factory=dict)
    #: When what it holds no longer was given up.
    lost: dict[tuple[str, str], float] = field(default_factory=dict)
    #: When those that are dead died, by location.
    died: dict[str, float] = field(default_factory=dict)

    def holds(self, location: str, ids: Sequence[str]) -> None:
        """The living node there holds these from now on, and nothing else."""
        self.died.pop(location, None)
        for id in self.held.get(location, set()) - set(ids):
            self.lost[location, id] = self.time.now
        self.held[location] = set(ids)

    def dies(self, location: str) -> None:
        self.holds(location, ())
        self.died[location] = self.time.now


class Promises:
    """Checks what members say against what is true; raises Broken."""

    def __init__(self, memory: Memory, supernodes: Sequence[SupernodeMember]) -> None:
        self._memory = memory
        self._supernodes = supernodes
        #: The most seconds that anything dead was still listed.
        self.latest_forgotten = 0.0
        self.answers = 0

    def answer(self, holding: Holding) -> None:
        """An answer to a search is right: each location has it, or had it a moment ago."""
        now = self._memory.time.now
        self.answers += 1
        # Whoever stood still, or was down and begins with what it knew, has to look first.
        slack = max(supernode.awake_since for supernode in self._supernodes)
        for location in holding.file.locations:
            if holding.id in self._memory.held.get(location, ()):
                continue
            lost = self._memory.lost.get((location, holding.id))
            if lost is None:
                raise Broken(f"{location} never held {holding.id}")
            if now - max(lost, slack) > FORGOTTEN_WITHIN:
                raise Broken(f"{location} gave up {holding.id} {now - lost:.1f} s ago")

    def forgotten(self) -> None:
        """No supernode lists a node that has been dead for long."""
        now = self._memory.time.now
        for supernode in self._supernodes:
            if not supernode.is_awake:
                continue
            for node in supernode.registry.nodes():
                died = self._memory.died.get(node.location)
                if died is None:
                    continue
                late = now - max(died, supernode.awake_since)
                self.latest_forgotten = max(self.latest_forgotten, late)
                if late > FORGOTTEN_WITHIN:
                    raise Broken(
                        f"{supernode.process.location} lists {node.location}, dead for {late:.1f} s"
                    )

    def unknown(self, nodes: Sequence[NodeMember]) -> list[str]:
        """What the living have and their supernodes don't know of."""
        at = {
            supernode.process.location: supernode
            for supernode in self._supernodes
            if not supernode.process.is_dead
        }
        unknown = []
        for node in nodes:
            location = node.process.location
            if node.process.is_dead:
                continue
            supernode = at.get(node.membership.supernode or "")
            if supernode is None:
                unknown.append(f"{location} has no supernode")
                continue
            for resource in node.resources:
                if location not in supernode.registry.holders(resource.id).locations:
                    unknown.append(f"{supernode.process.location} misses {location}")
                    break
        return unknown
