"""
What is promised of a group, and watched in every history: no wrong answer,
the dead forgotten in time, the living known again once the network is whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from bench.sim.clock import Time
from bench.sim.members import NodeMember, SupernodeMember
from p2ptwisted.model import Holding

#: Seconds after which no list may have who has died: two sweeps of 5 s, a third where
#: most failed together, and 2 s for each 64 checks that nobody answers.
FORGOTTEN_WITHIN = 20.0

#: Seconds after which no answer may have what a living node gave up: it may be at another
#: supernode by then, which takes a silence of 12 s to notice, and the next sweep; in bad
#: weather some more.
GIVEN_UP_WITHIN = 35.0

#: Seconds after the network is whole again until every living node is found.
KNOWN_WITHIN = 16.0

#: Ids that somebody gave up, asked of every supernode at a time.
LOST_ASKED = 50


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

    def __init__(
        self, memory: Memory, supernodes: Sequence[SupernodeMember], random: Random
    ) -> None:
        self._memory = memory
        self._random = random
        self._supernodes = supernodes
        #: The most seconds that anything dead was still listed.
        self.latest_forgotten = 0.0
        #: The most seconds that anything given up was still answered.
        self.latest_given_up = 0.0
        self.answers = 0

    def answered(self, holding: Holding) -> None:
        """An answer of the group's is right."""
        self.answers += 1
        self._check(holding, max(supernode.awake_since for supernode in self._supernodes))

    def given_up(self) -> None:
        """No supernode answers for what was given up long ago."""
        ids = list(dict.fromkeys(id for _, id in self._memory.lost))
        asked = self._random.sample(ids, min(LOST_ASKED, len(ids)))
        for supernode in self._supernodes:
            if supernode.is_awake:
                for holding in supernode.registry.holdings(asked):
                    self._check(holding, supernode.awake_since)

    def _check(self, holding: Holding, awake_since: float) -> None:
        """Each location has it, or had it a moment ago."""
        now = self._memory.time.now
        for location in holding.file.locations:
            if holding.id in self._memory.held.get(location, ()):
                continue
            lost = self._memory.lost.get((location, holding.id))
            if lost is None:
                raise Broken(f"{location} never held {holding.id}")
            # Whoever stood still, or begins again with what it knew, has to look first.
            late = now - max(lost, awake_since)
            self.latest_given_up = max(self.latest_given_up, late)
            if late > GIVEN_UP_WITHIN:
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
