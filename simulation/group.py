"""The members of one history, what they share, and the record of that."""

import hashlib
from random import Random

from p2ptwisted.model import ResourceInfo
from simulation.clock import Time
from simulation.members import SUPERNODE_PORT, NodeMember, SupernodeMember
from simulation.network import Network
from simulation.older_peer import OlderPeer
from simulation.promises import GroundTruth

#: The part of all nodes that are given no supernode and have to discover one.
DISCOVERING = 0.02

#: How many resources a node shares; every fourth is one that others have too.
SHARED = range(1, 6)

#: Resources that only a peer of an older program has.
OLDER_RESOURCES = 20


class Group:
    """Supernodes from the beginning, and nodes that join one after the other."""

    def __init__(
        self, time: Time, network: Network, random: Random, supernodes: int, nodes: int
    ) -> None:
        """`nodes`: how many will join."""
        self._time = time
        self._network = network
        self._random = random
        self.truth = GroundTruth(time)
        self.supernodes = [
            SupernodeMember(time, network, _address(1, number), self._fork())
            for number in range(supernodes)
        ]
        self.nodes: list[NodeMember] = []
        self._common = [_resource(f"common-{number}") for number in range(nodes // 10 + 1)]

    def close(self) -> None:
        for supernode in self.supernodes:
            supernode.close()

    # -- members

    def awake(self) -> list[SupernodeMember]:
        """Returns the supernodes that can be asked."""
        return [one for one in self.supernodes if one.is_awake]

    def alive(self) -> list[NodeMember]:
        """Returns the nodes that are alive, frozen ones too."""
        return [one for one in self.nodes if one.is_alive]

    def active(self) -> list[NodeMember]:
        """Returns the nodes that are alive and not frozen."""
        return [one for one in self.nodes if one.is_alive and not one.process.is_frozen]

    # -- changes

    def add_older_peer(self) -> OlderPeer:
        """Add a peer of an older program, with resources that nobody else has."""
        resources = [_resource(f"older-{number}") for number in range(OLDER_RESOURCES)]
        ids = [one.id for one in resources]
        peer = OlderPeer(self._time, self._network, _address(3, 0), ids)
        self.truth.holds(peer.location, resources)
        return peer

    def add_node(self) -> None:
        """Start another node."""
        number = len(self.nodes)
        node = NodeMember(self._time, self._network, _address(2, number), self._fork())
        self.nodes.append(node)
        self._start(node, f"node-{number}")

    def restart(self, node: NodeMember) -> None:
        """Restart a node, with other files and other supernodes in its options."""
        self._start(node, f"again at {self._time.now}")

    def _start(self, node: NodeMember, names: str) -> None:
        node.start(self._some_supernodes(), self._some_resources(names))
        self.truth.holds(node.process.location, node.resources)

    def change(self, node: NodeMember) -> None:
        """Replace what a node shares."""
        node.share(self._some_resources(f"{node.process.location} at {self._time.now}"))
        self.truth.holds(node.process.location, node.resources)

    def kill(self, node: NodeMember, with_host: bool) -> None:
        node.process.kill(with_host)
        self.truth.dies(node.process.location)

    def leave(self, node: NodeMember) -> None:
        """Stop a node with a goodbye."""
        node.leave()
        self.truth.dies(node.process.location)

    # -- random options and resources

    def _some_supernodes(self) -> list[str]:
        """Returns the locations that a node has in its options; for a few there are none."""
        random = self._random
        count = 0 if random.random() < DISCOVERING else random.choice((1, 2, 3))
        given = random.sample(range(len(self.supernodes)), min(count, len(self.supernodes)))
        return [f"{_address(1, one)}:{SUPERNODE_PORT}" for one in given]

    def _some_resources(self, names: str) -> list[ResourceInfo]:
        count = self._random.choice(SHARED)
        own = [_resource(f"{names}-{one}") for one in range(count)]
        return [
            self._random.choice(self._common) if one % 4 == 3 else own[one] for one in range(count)
        ]

    def _fork(self) -> Random:
        """Returns another random generator, so that no part changes the chances of another."""
        return Random(self._random.getrandbits(64))


def _resource(name: str) -> ResourceInfo:
    id = hashlib.sha256(name.encode()).hexdigest()
    return ResourceInfo(id, name, len(name))


def _address(kind: int, number: int) -> str:
    return f"10.{kind}.{number // 250}.{number % 250 + 1}"
