"""
Many nodes in one process, as far as a supernode can tell, and their searches:

    python -m test.load PORT NODES RESOURCES SEARCHES CHANGES SUPERNODE...

Each node is a real membership with so many resources, at an address of its own
on loopback, and is well. It is given the first supernode and one of the others,
where there are others; of those (of the first, where there are none) SEARCHES a
second are asked for what any node has. CHANGES lists a second change, of one node
after the other: a file comes or goes that no search is for. On SIGTERM it prints, as JSON, what its
`Outcome` was.
"""

import hashlib
import itertools
import random
import sys
import time
from dataclasses import asdict, dataclass, field
from functools import partial
from ipaddress import IPv4Address
from typing import Any

import msgspec
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import LoopingCall
from twisted.web.http import Request
from twisted.web.resource import Resource as WebResource
from twisted.web.server import Site

from p2ptwisted.client.api import Client
from p2ptwisted.client.transport import NumericEndpoints, Refused, make_agent
from p2ptwisted.errors import Unavailable
from p2ptwisted.model import Health, Registration, ResourceInfo
from p2ptwisted.node.membership import Membership

reactor: Any = _reactor

#: The address of the first node; the others have those after it.
FIRST = IPv4Address("127.0.2.1")


@dataclass
class Outcome:
    """Times are those of the system's monotonic clock, in seconds."""

    #: When a search began that found nothing, or failed.
    misses: list[float] = field(default_factory=list)
    #: How long those took that found what they looked for, by when they began.
    hits: list[tuple[float, float]] = field(default_factory=list)
    #: Answers that named another than the one who has it.
    wrong: int = 0
    #: Registrations that were answered "not now".
    put_off: int = 0
    #: Registrations that were taken.
    registered: int = 0


class CountingClient(Client):
    """A client that counts the registrations that are to be tried again."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(reactor, *make_agent(reactor, NumericEndpoints(reactor)))
        self._outcome = outcome

    async def register(self, supernode: str, registration: Registration) -> None:
        try:
            await super().register(supernode, registration)
            self._outcome.registered += 1
        except Refused as refused:
            self._outcome.put_off += refused.status == 503
            raise


class Healths(WebResource):
    """Every node's health, whichever address it is asked at."""

    isLeaf = True

    def __init__(self, memberships: dict[str, Membership]) -> None:
        super().__init__()
        self._memberships = memberships

    def render_GET(self, request: Request) -> bytes:
        address = request.getHost().host
        membership = self._memberships.get(address)
        supernode = None if membership is None else membership.supernode
        health = Health(address, 0, False, supernode)
        return msgspec.json.encode({"data": health, "entity": "health"})


class Load:
    """The nodes, and their searches."""

    def __init__(self, port: int, nodes: int, resources: int, supernodes: list[str]) -> None:
        self.outcome = Outcome()
        self._supernodes = supernodes
        self._asked = supernodes[1:] or supernodes
        self._client = CountingClient(self.outcome)
        #: By id, who has it.
        self._holders: dict[str, str] = {}
        self._memberships: dict[str, Membership] = {}
        #: By address, what comes and goes.
        self._changing: dict[str, list[ResourceInfo]] = {}
        for node in range(nodes):
            self._add(location_of(node, port), resources)
        reactor.listenTCP(port, Site(Healths(self._memberships)), interface="0.0.0.0")

    def _add(self, location: str, resources: int) -> None:
        address, _, _ = location.partition(":")
        held = [resource_of(location, number) for number in range(resources)]
        self._holders |= dict.fromkeys((resource.id for resource in held), location)
        changing = self._changing[address] = []
        other = self._supernodes[1:] and [random.choice(self._supernodes[1:])]
        self._memberships[address] = Membership(
            reactor,
            self._client,
            lambda: [*held, *changing],
            address,
            lambda _: location,
            [partial(succeed, supernode) for supernode in (self._supernodes[0], *other)],
            lambda: succeed([]),
        )

    def start(self, searches: float, changes: float) -> None:
        for membership in self._memberships.values():
            membership.startService()
        ids = list(self._holders)

        def ask() -> None:
            Deferred.fromCoroutine(self._search(random.choice(self._asked), random.choice(ids)))

        LoopingCall(ask).start(1 / searches)
        turns = itertools.cycle(self._memberships.items())

        def change() -> None:
            address, membership = next(turns)
            changing = self._changing[address]
            if changing:
                changing.clear()
            else:
                changing.append(resource_of(address, 0))
            membership.changed()

        if changes:
            LoopingCall(change).start(1 / changes)

    async def _search(self, supernode: str, id: str) -> None:
        began = time.monotonic()
        try:
            found = await self._client.search(supernode, [id])
        except (Refused, Unavailable):
            found = []
        if not found:
            self.outcome.misses.append(began)
            return
        self.outcome.hits.append((began, time.monotonic() - began))
        self.outcome.wrong += found[0].file.locations != [self._holders[id]]


def location_of(node: int, port: int) -> str:
    return f"{FIRST + node}:{port}"


def resource_of(location: str, number: int) -> ResourceInfo:
    """What the node there has, by number."""
    name = f"{location}-{number}"
    return ResourceInfo(hashlib.sha256(name.encode()).hexdigest(), name, number)


def main(
    port: int,
    nodes: int,
    resources: int,
    searches: float,
    changes: float,
    supernodes: list[str],
) -> None:
    load = Load(port, nodes, resources, supernodes)
    reactor.callWhenRunning(load.start, searches, changes)
    reactor.run()
    sys.stdout.buffer.write(msgspec.json.encode(asdict(load.outcome)))


if __name__ == "__main__":
    port, nodes, resources = map(int, sys.argv[1:4])
    main(port, nodes, resources, float(sys.argv[4]), float(sys.argv[5]), sys.argv[6:])
