"""Hosts on shaped links with a node on each, and a supernode that they all know."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.daemons import Daemon, System
from bench.files import check, make
from bench.network import Host, Network
from bench.processes import eventually, get, order

#: Seconds that all of a measurement may take.
WITHIN = 900.0

#: Seconds between two looks whether all is there.
POLL = 0.005


@dataclass(frozen=True)
class Member:
    """A host, its node there, the folder that this shares, and one for others' use."""

    host: Host
    node: Daemon
    shared: Path
    other: Path


class Swarm:
    """A network with nodes on it."""

    def __init__(self, stack: ExitStack, system: System, memory: Path) -> None:
        """Everything goes with the stack; `memory` is a folder for what is sent."""
        self.system = system
        self._stack = stack
        self._memory = memory
        self._network = Network(stack)
        self._middle = self._network.host(None)
        with self._middle.entered():
            self._supernode = stack.enter_context(system.supernode("supernode-shaped"))
        self._daemons = [self._supernode]

    def member(self, name: str, mbit: int) -> Member:
        """One more host with a node, on a link with so many Mbit/s each way."""
        host = self._network.host(mbit)
        shared, other = self._memory / name / "shared", self._memory / name / "other"
        shared.mkdir(parents=True)
        other.mkdir()
        node = self.system.node(name, shared, self._supernode, self._middle.address)
        with host.entered():
            member = Member(host, self._stack.enter_context(node), shared, other)
        self._daemons.append(member.node)
        return member

    def processor_seconds(self) -> float:
        """What all nodes and the supernode have taken so far."""
        return sum(daemon.processor_seconds() for daemon in self._daemons)

    @contextmanager
    def sharing(self, holders: Sequence[Member], size: int) -> Iterator[tuple[Path, str]]:
        """A new file that these have and nobody else; gives the first one's and its id."""
        first, *others = (holder.shared / "large.bin" for holder in holders)
        id = make(first, size)
        for other in others:
            other.hardlink_to(first)
        with self._middle.entered():
            wait_for_holders(self._supernode, id, len(holders))
        try:
            yield first, id
        finally:
            for file in (first, *others):
                file.unlink()

    def fetch(self, id: str, name: str, nodes: Sequence[Member]) -> float:
        """
        Seconds from the first order to the last node's having the file, verified.

        The copies are compared and removed.
        """
        began = time.monotonic()
        for member in nodes:
            with member.host.entered():
                order(member.node.port, id)
        copies = [member.shared / name for member in nodes]
        eventually(
            f"{len(nodes)} nodes have {name}",
            lambda: all(copy.exists() for copy in copies),
            WITHIN,
            POLL,
        )
        taken = time.monotonic() - began
        for copy in copies:
            check(copy, id)
            copy.unlink()
        return taken


def wait_for_holders(supernode: Daemon, id: str, count: int) -> None:
    """Return when so many nodes are known there to have all of a resource."""

    def known() -> bool:
        body = get(supernode.port, f"/api/supernode/holders/{id}").body
        return len(json.loads(body)["data"]["locations"]) == count

    eventually(f"{count} nodes hold {id}", known, WITHIN)
