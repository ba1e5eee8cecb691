"""The mishaps of a group: network cuts, bad weather, deaths, freezes and changes."""

from collections.abc import Callable
from random import Random
from typing import TypeVar

from simulation.clock import ProcessClock
from simulation.group import Group
from simulation.members import NodeMember
from simulation.network import Network, Weather

#: Mishaps in one history in addition to those that each has.
MORE = range(4)

#: How many nodes one mishap affects; at most half of them.
AFFECTED = (1, 2, 5, 20, 100)

_T = TypeVar("_T")


class Mishaps:
    """Makes mishaps happen to a group until peace."""

    def __init__(
        self, clock: ProcessClock, network: Network, group: Group, random: Random, peace: float
    ) -> None:
        """`peace`: when the mishaps end, in seconds; no member comes back after that."""
        self._clock = clock
        self._network = network
        self._group = group
        self._random = random
        self._peace = peace

    def plan(self, begin: float, end: float) -> None:
        """Choose which mishaps happen and when; each of the worst happens at least once."""
        random = self._random
        worst = (self._cut, self._bad_weather, self._kill_supernode, self._kill_nodes)
        others = (
            self._freeze_supernode,
            self._freeze_nodes,
            self._change_nodes,
            self._leave_nodes,
        )
        more = random.choices(worst + others, k=random.choice(MORE))
        for mishap in (*worst, *more):
            self._clock.callLater(random.uniform(begin, end) - self._clock.seconds(), mishap)

    def make_peace(self) -> None:
        """Mend what can be mended; the dead stay dead."""
        self._network.mend()
        for supernode in self._group.supernodes:
            supernode.thaw()
        for node in self._group.nodes:
            node.process.thaw()

    # -- of the network

    def _cut(self) -> None:
        """Partition the network into two parts for a while."""
        part = self._random.uniform(0.1, 0.5)
        cut = {address: int(self._random.random() < part) for address in self._network.processes}
        self._for_a_while(self._network.cuts, cut, self._random.uniform(1, 30))

    def _bad_weather(self) -> None:
        random = self._random
        weather = Weather(
            random.uniform(0, 0.2), random.uniform(0, 0.1), 0.0001, random.uniform(0.001, 0.2)
        )
        self._for_a_while(self._network.bad, weather, random.uniform(5, 20))

    def _for_a_while(self, all: list[_T], one: _T, seconds: float) -> None:
        """Add `one` to `all` of its kind for so many seconds, or until peace."""
        all.append(one)

        def ends() -> None:
            if one in all:
                all.remove(one)

        self._clock.callLater(seconds, ends)

    # -- of supernodes

    def _kill_supernode(self) -> None:
        """Kill a supernode, with or without its machine; perhaps it comes back."""
        awake, random = self._group.awake(), self._random
        if len(awake) < 2:
            return
        supernode = random.choice(awake)
        supernode.process.kill(with_host=random.random() < 0.5)
        if random.random() < 0.7:
            self._comes_back(random.uniform(0.5, 20), supernode.restart, random.random() < 0.5)

    def _freeze_supernode(self) -> None:
        supernode = self._random.choice(self._group.supernodes)
        if supernode.is_awake:
            supernode.process.freeze()
            self._clock.callLater(self._random.uniform(2, 20), supernode.thaw)

    # -- of nodes

    def _kill_nodes(self) -> None:
        for node in self._some_nodes():
            self._group.kill(node, with_host=self._random.random() < 0.5)
            if self._random.random() < 0.5:
                self._comes_back(self._random.uniform(0.5, 30), self._group.restart, node)

    def _freeze_nodes(self) -> None:
        for node in self._some_nodes():
            node.process.freeze()
            self._clock.callLater(self._random.uniform(1, 20), node.process.thaw)

    def _change_nodes(self) -> None:
        for node in self._some_nodes():
            self._group.change(node)

    def _leave_nodes(self) -> None:
        for node in self._some_nodes():
            self._group.leave(node)

    def _some_nodes(self) -> list[NodeMember]:
        active = self._group.active()
        return self._random.sample(active, min(self._random.choice(AFFECTED), len(active) // 2))

    # -- bits

    def _comes_back(self, seconds: float, start: Callable[..., None], *args: object) -> None:
        until_peace = self._peace - self._clock.seconds()
        self._clock.callLater(min(seconds, until_peace), start, *args)
