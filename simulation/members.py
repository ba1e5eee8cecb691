"""
The members of a virtual group: supernodes and nodes made of the real registry,
sweep, overlay, membership and client, on virtual processes.

There is no HTTP between client and routes: a call has the method, path and JSON that
the client makes and understands.
"""

import uuid
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from random import Random
from typing import cast

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Cooperator
from twisted.logger import Logger
from twisted.web.iweb import IAgent

from p2ptwisted.client import transport
from p2ptwisted.client.api import Client
from p2ptwisted.errors import UnknownResource
from p2ptwisted.model import SUPERNODE_ID, Health, Presence, Registration, ResourceInfo
from p2ptwisted.node.membership import Membership
from p2ptwisted.protocols.multicast import DISCOVERY_TIMEOUT, MulticastOverlay
from p2ptwisted.protocols.sockets import MulticastGroup
from p2ptwisted.supernode.local_answers import LocalAnswers
from p2ptwisted.supernode.local_supernode import LocalSupernode
from p2ptwisted.supernode.registry.registry import Registry
from p2ptwisted.supernode.registry.schema import SCHEMA
from p2ptwisted.supernode.sweep import Sweep
from p2ptwisted.support.locations import Location, OwnLocation
from p2ptwisted.support.sqlite import Database
from p2ptwisted.web.error_responses import status_of
from simulation.clock import ProcessClock, Time
from simulation.network import Network, Process, Reply

GROUP = MulticastGroup("239.255.10.1", 4321)

SUPERNODE_PORT, NODE_PORT = 5000, 8000

#: The defaults of a supernode's options (config.py).
SWEEP_INTERVAL, SEARCH_TIMEOUT = 5.0, 0.5


#: The query with which a supernode asks another for the holders in its own registry.
HERE = "?here=1"

_log = Logger()


class VirtualClient(Client):
    """The client, on the virtual network instead of HTTP."""

    def __init__(self, process: Process) -> None:
        super().__init__(process, cast(IAgent, None))
        self._process = process

    async def _request(
        self, method: str, url: str, body: bytes | None, limit: int
    ) -> transport.Reply:
        location, _, path = url.removeprefix("http://").partition("/")
        host, _, port = location.partition(":")
        status, answer = await self._process.network.call(
            self._process, (host, int(port)), method, path, body
        )
        return transport.Reply(status, answer)


class _Disk(Database):
    """A state folder, which outlives the processes that open it."""

    def __init__(self) -> None:
        super().__init__(None, "registry", SCHEMA)
        super().open()

    def open(self) -> None:
        pass


class _Registry(Registry):
    """A registry that records when it removed a node."""

    def __init__(self, process: Process, database: Database) -> None:
        super().__init__(one_step_at_a_time(process), database)
        self._process = process
        self.removed_at: dict[str, float] = {}

    def remove(self, location: str) -> bool:
        self.removed_at[location] = self._process.seconds()
        return super().remove(location)


class SupernodeMember:
    """A supernode, which can be killed and restarted, with or without its state."""

    def __init__(self, time: Time, network: Network, address: str, random: Random) -> None:
        self._time = time
        self._network = network
        self._address = address
        self._random = random
        self._database = _Disk()
        self._begin()

    def _begin(self) -> None:
        process = self.process = Process(self._time, self._network, self._address, SUPERNODE_PORT)
        #: When it started or thawed: what it believed before may be out of date.
        self.awake_since = self._time.now
        self.registry = _Registry(process, self._database)
        self.registry.open()
        client = VirtualClient(process)
        sweep = self._sweep = Sweep(
            process, self.registry, client.is_well, client.has_supernode, SWEEP_INTERVAL
        )
        local_answers = LocalAnswers(self.registry, own_location(process))
        overlay = self._overlay = MulticastOverlay(
            process,
            GROUP,
            _name(self._random),
            SEARCH_TIMEOUT,
            answers=local_answers.locations,
            confirms=lambda location, id: Deferred.fromCoroutine(client.confirms(location, id)),
            addresses=lambda _: [self._address],
        )
        self.supernode = LocalSupernode(
            process, self.registry, local_answers, sweep, overlay, client
        )
        process.serve = self._serve
        sweep.startService()
        overlay.startService()

    @property
    def is_awake(self) -> bool:
        return not (self.process.is_dead or self.process.is_frozen)

    def believed(self, location: str, id: str, within: float) -> bool:
        """Whether it believes, or did less than `within` seconds ago, that the node has `id`."""
        removed_at = self.registry.removed_at.get(location)
        return (removed_at is not None and self._time.now - removed_at < within) or (
            location in self.registry.holders(id).locations
        )

    def thaw(self) -> None:
        """Let it go on, if it is frozen."""
        if self.process.is_frozen:
            self.process.thaw()
            self.awake_since = self._time.now

    def restart(self, with_state: bool) -> None:
        """Start it again after a kill, with its state folder or an empty one."""
        if not with_state:
            self._database.close()
            self._database = _Disk()
        self._begin()

    def close(self) -> None:
        self._database.close()

    async def _serve(self, method: str, path: str, body: bytes | None, caller: str) -> Reply:
        try:
            return answer(await self._do(method, path, body or b"", caller))
        except Exception as error:
            return _refusal(f"{method} {path}", error)

    async def _do(self, method: str, path: str, body: bytes, caller: str) -> object:
        supernode = self.supernode
        match method, path.removeprefix("api/supernode/").split("/"):
            case "POST", ["register"]:
                await supernode.register(msgspec.json.decode(body, type=Registration), caller)
            case "POST", ["alive"]:
                supernode.heartbeat(msgspec.json.decode(body, type=Presence).location, caller)
            case "DELETE", ["alive"]:
                supernode.goodbye(msgspec.json.decode(body, type=Presence).location, caller)
            case "GET", ["holders", asked] if asked.endswith(HERE):
                return await supernode.holders(asked.removesuffix(HERE), caller, everywhere=False)
            case _:
                raise NotImplementedError(f"{method} {path}")
        return {}


class NodeMember:
    """A node that shares a given list of resources."""

    def __init__(self, time: Time, network: Network, address: str, random: Random) -> None:
        self._time = time
        self._network = network
        self._address = address
        self._random = random
        self.resources: list[ResourceInfo] = []
        self._is_leaving = False

    def start(self, given: Sequence[str], resources: Sequence[ResourceInfo]) -> None:
        """Start it, also again after a kill; `given` are the supernodes in its options."""
        self.resources = list(resources)
        process = self.process = Process(self._time, self._network, self._address, NODE_PORT)
        overlay = MulticastOverlay(
            process,
            GROUP,
            f"node-{_name(self._random)}",
            DISCOVERY_TIMEOUT,
            addresses=lambda _: [self._address],
        )
        self.membership = Membership(
            process,
            VirtualClient(process),
            lambda: self.resources,
            self._address,
            own_location(process).towards,
            [resolved(supernode) for supernode in given],
            lambda: overlay.search_all(SUPERNODE_ID),
            self._random,
        )
        process.serve = self._serve
        overlay.startService()
        self.membership.startService()

    @property
    def is_alive(self) -> bool:
        """Whether it is a member of the group: neither dead nor stopping."""
        return not (self.process.is_dead or self._is_leaving)

    def leave(self) -> None:
        """Stop it with a goodbye, for good."""
        self._is_leaving = True
        self.membership.stopService().addCallback(lambda _: self.process.kill())

    def share(self, resources: Sequence[ResourceInfo]) -> None:
        """Replace what it shares."""
        self.resources = list(resources)
        self.membership.changed()

    async def _serve(self, method: str, path: str, body: bytes | None, caller: str) -> Reply:
        try:
            if path.startswith("api/supernode/"):
                raise UnknownResource("this is no supernode")
            if (method, path) != ("GET", "api/node/health"):
                raise NotImplementedError(f"{method} {path}")
            supernode = self.membership.supernode
            return answer(Health(self._address, len(self.resources), False, supernode))
        except Exception as error:
            return _refusal(f"{method} {path}", error)


def answer(data: object) -> Reply:
    """Returns the reply of a success, as the client understands it."""
    return 200, msgspec.json.encode({"data": data})


def _refusal(what: str, error: Exception) -> Reply:
    """Returns the reply that the routes would make of it; an unexpected error is logged, too."""
    status = status_of(error)
    if status is None:
        _log.failure("{what} failed", what=what)
        status = HTTPStatus.INTERNAL_SERVER_ERROR
    return status, msgspec.json.encode({"description": str(error)})


def one_step_at_a_time(process: ProcessClock) -> Cooperator:
    """Returns a Cooperator without the real clock, so that a seed always gives the same history."""
    return Cooperator(
        terminationPredicateFactory=lambda: lambda: True,
        scheduler=lambda step: process.callLater(0, step),
    )


def own_location(process: Process) -> OwnLocation:
    return OwnLocation((process.address, process.port), lambda: Location("0.0.0.0", 0))


def resolved(supernode: str) -> Callable[[], Awaitable[str]]:
    return lambda: succeed(supernode)


def _name(random: Random) -> str:
    return str(uuid.UUID(int=random.getrandbits(128), version=4))
