"""The members of one history, what they share, and the note that is taken of it."""

import hashlib
from random import Random

from p2ptwisted.model import ResourceInfo
from simulation.clock import Time
from simulation.members import SUPERNODE_PORT, NodeMember, SupernodeMember
from simulation.network import Network
from simulation.older import OlderPeer
from simulation.promises import Memory

#: Of all nodes, those that were given no supernode and have to find one.
WITHOUT = 0.02

#: Resources that a node shares; of these every fourth is one that others have too.
SHARED = range(1, 6)

#: Resources that only a peer of another program has.
OLDER = 20


class Group:
    """Supernodes from the beginning; the nodes come one after the other."""

    def __init__(
        self, time: Time, network: Network, random: Random, supernodes: int, nodes: int
    ) -> None:
        """`nodes` are those to come."""
        self._time = time
        self._network = network
        self._random = random
        self.memory = Memory(time)
        self.supernodes = [
            SupernodeMember(time, network, _address(1, number), self._fork())
            for number in range(supernodes)
        ]
        self.nodes: list[NodeMember] = []
        self._common = [_resource(f"common-{number}") for number in range(nodes // 10 + 1)]

    def close(self) -> None:
        for supernode in self.supernodes:
            supernode.close()

    # -- who is there

    def awake(self) -> list[SupernodeMember]:
        """The supernodes that can be asked."""
        return [one for one in self.supernodes if one.is_awake]

    def alive(self) -> list[NodeMember]:
        return [one for one in self.nodes if one.is_alive]

    def active(self) -> list[NodeMember]:
        """Those that are alive and don't stand still."""
        return [one for one in self.nodes if one.is_alive and not one.process.is_frozen]

    # -- what becomes of them

    def add_older_peer(self) -> OlderPeer:
        """A peer of another program, with what nobody else has."""
        resources = [_resource(f"older-{number}") for number in range(OLDER)]
        ids = [one.id for one in resources]
        peer = OlderPeer(self._time, self._network, _address(3, 0), ids)
        self.memory.holds(peer.location, resources)
        return peer

    def add_node(self) -> None:
        number = len(self.nodes)
        node = NodeMember(self._time, self._network, _address(2, number), self._fork())
        self.nodes.append(node)
        self._start(node, f"node-{number}")

    def restart(self, node: NodeMember) -> None:
        """It comes back, with other files and other supernodes in its options."""
        self._start(node, f"again at {self._time.now}")

    def _start(self, node: NodeMember, names: str) -> None:
        node.start(self._some_supernodes(), self._some_resources(names))
        self.memory.holds(node.process.location, node.resources)

    def change(self, node: NodeMember) -> None:
        """What it shares is replaced."""
        node.share(self._some_resources(f"{node.process.location} at {self._time.now}"))
        self.memory.holds(node.process.location, node.resources)

    def kill(self, node: NodeMember, with_host: bool) -> None:
        node.process.kill(with_host)
        self.memory.dies(node.process.location)

    def leave(self, node: NodeMember) -> None:
        """It stops politely."""
        node.leave()
        self.memory.dies(node.process.location)

    # -- what they are given

    def _some_supernodes(self) -> list[str]:
        """The locations of those that a node is given; of none for a few."""
        random = self._random
        count = 0 if random.random() < WITHOUT else random.choice((1, 2, 3))
        given = random.sample(range(len(self.supernodes)), min(count, len(self.supernodes)))
        return [f"{_address(1, one)}:{SUPERNODE_PORT}" for one in given]

    def _some_resources(self, names: str) -> list[ResourceInfo]:
        count = self._random.choice(SHARED)
        own = [_resource(f"{names}-{one}") for one in range(count)]
        return [
            self._random.choice(self._common) if one % 4 == 3 else own[one] for one in range(count)
        ]

    def _fork(self) -> Random:
        """Chances of its own, so that one part's don't change another's."""
        return Random(self._random.getrandbits(64))


def _resource(name: str) -> ResourceInfo:
    id = hashlib.sha256(name.encode()).hexdigest()
    return ResourceInfo(id, name, len(name))


def _address(kind: int, number: int) -> str:
    return f"10.{kind}.{number // 250}.{number % 250 + 1}"
