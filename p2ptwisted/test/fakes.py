"""
Stand-ins for what the supernode's parts speak to: a network of multicast and
unicast datagrams in memory, an overlay, a supernode, and a Cooperator that is
stepped by hand.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from errno import EADDRINUSE, ENETUNREACH
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError, MulticastJoinError
from twisted.internet.interfaces import IMulticastTransport
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import Clock, Cooperator
from zope.interface import implementer

from p2ptwisted.interfaces import ISearchOverlay, ISupernode
from p2ptwisted.model import FoundPart, GoneNode, Holders, Holding, NodeInfo, Registration
from p2ptwisted.protocols.sockets import IMulticastReactor
from p2ptwisted.supernode.registry.registry import Registry, make_registry

Address = tuple[str, int]

#: The lowest port that the system gives where any will do.
FIRST_FREE_PORT = 40_000


# -- datagrams


@dataclass(frozen=True)
class Datagram:
    """One that was sent, with the interface that it left through."""

    payload: bytes
    source: Address
    destination: Address
    interface: str


class Network:
    """
    Hosts, and the segments that join them: two addresses are on one segment
    when they differ in the last number only. 127.0.0.0/8 is every host's own.

    What is sent waits until `deliver`, as nothing arrives inside a `write`.
    """

    def __init__(self) -> None:
        self.hosts: list[Host] = []
        #: All that was sent, in order.
        self.sent: list[Datagram] = []
        #: What came out of datagramReceived, where nothing may.
        self.raised: list[Exception] = []
        #: How many of the next datagrams are lost.
        self.losing = 0
        self._under_way: deque[tuple[MulticastSocket, Datagram]] = deque()

    def host(self, *addresses: str) -> "Host":
        """A new host with these interfaces and 127.0.0.1."""
        host = Host(self, [*addresses, "127.0.0.1"])
        self.hosts.append(host)
        return host

    def to_group(self, group: Address, since: int = 0) -> list[bytes]:
        """What was sent to a group, from the datagram number `since` on."""
        return [one.payload for one in self.sent[since:] if one.destination == group]

    def carry(self, sender: "Host", datagram: Datagram) -> None:
        """Take a datagram on its way to whoever hears it."""
        self.sent.append(datagram)
        if self.losing:
            self.losing -= 1
            return
        for socket in self._listeners(sender, datagram):
            self._under_way.append((socket, datagram))

    def deliver(self) -> None:
        """Let all that is under way arrive, and what is sent in reply."""
        while self._under_way:
            socket, datagram = self._under_way.popleft()
            if socket.is_open:
                socket.hear(datagram)

    def advance(self, seconds: float) -> None:
        """Let what is under way arrive, and then time go by on every host."""
        self.deliver()
        for host in self.hosts:
            host.advance(seconds)
        self.deliver()

    def _listeners(self, sender: "Host", datagram: Datagram) -> "Iterator[MulticastSocket]":
        to, port = datagram.destination
        for host in [sender] if is_loopback(datagram.interface) else self.hosts:
            near = [address for address in host.up() if same_segment(address, datagram.interface)]
            for socket in host.sockets:
                if socket.port != port or socket.bound not in ("", to):
                    continue
                if to in near or any((to, address) in socket.joined for address in near):
                    yield socket


@implementer(IMulticastReactor)
class Host(Clock):
    """A reactor with a clock and multicast sockets, and nothing else."""

    def __init__(self, network: Network, addresses: list[str]) -> None:
        super().__init__()
        self.network = network
        self.addresses = addresses
        self.sockets: list[MulticastSocket] = []
        #: Addresses whose interface is down.
        self.down: set[str] = set()
        #: Ports on which the next listenMulticast fails, 0 for any free one; then no more.
        self.taken: list[int] = []
        #: Interfaces that can't do multicast.
        self.no_multicast: set[str] = set()
        self._free_port = FIRST_FREE_PORT

    def up(self) -> list[str]:
        return [address for address in self.addresses if address not in self.down]

    def plug(self, address: str) -> None:
        """An interface appears."""
        self.addresses.insert(0, address)

    def unplug(self, address: str) -> None:
        """An interface disappears, and with it the memberships of groups there."""
        self.addresses.remove(address)
        for socket in self.sockets:
            socket.joined = {(group, at) for group, at in socket.joined if at != address}
            socket.lose(address)

    def interfaces(self, selected: Sequence[str] = ()) -> list[str]:
        """What `links.addresses_up` would say here."""
        return [address for address in self.up() if not selected or address in selected]

    def listenMulticast(
        self,
        port: int,
        protocol: DatagramProtocol,
        interface: str = "",
        maxPacketSize: int = 8192,
        listenMultiple: bool = False,
    ) -> "MulticastSocket":
        others = [socket for socket in self.sockets if socket.port == port]
        free = all(listenMultiple and socket.shared for socket in others)
        if port in self.taken or not free:
            if port in self.taken:
                self.taken.remove(port)
            error = OSError(EADDRINUSE, "Address already in use")
            raise CannotListenError(interface, port, error)
        if port == 0:
            port = self._free_port
            self._free_port += 1
        socket = MulticastSocket(self, protocol, interface, port, listenMultiple)
        self.sockets.append(socket)
        protocol.makeConnection(socket)
        return socket


@implementer(IMulticastTransport)
class MulticastSocket:
    """A UDP socket of a Host."""

    def __init__(
        self, host: Host, protocol: DatagramProtocol, bound: str, port: int, shared: bool
    ) -> None:
        self.host = host
        self.bound = bound
        self.port = port
        self.shared = shared
        self.is_open = True
        #: Groups, each with the interface that it is heard on.
        self.joined: set[tuple[str, str]] = set()
        self._protocol = protocol
        self._outgoing = ""
        self._ttl = 1
        self._loopback = True
        self._broadcast = False

    def lose(self, address: str) -> None:
        """The interface is gone for good: another one with its address is another."""
        if self._outgoing == address:
            self._outgoing = ""

    def hear(self, datagram: Datagram) -> None:
        try:
            self._protocol.datagramReceived(datagram.payload, datagram.source)
        except Exception as error:
            # The reactor logs it and goes on.
            self.host.network.raised.append(error)

    def write(self, packet: bytes, addr: Address | None) -> None:
        assert self.is_open, "written to a closed socket"
        assert addr is not None, "connected sockets are not in this fake"
        interface = self._outgoing if is_multicast(addr[0]) else self._towards(addr[0])
        if interface not in self.host.up() or (
            is_multicast(addr[0]) and interface in self.host.no_multicast
        ):
            raise OSError(ENETUNREACH, "Network is unreachable")
        self.host.network.carry(
            self.host, Datagram(packet, (interface, self.port), addr, interface)
        )

    def _towards(self, host: str) -> str:
        near = [address for address in self.host.up() if same_segment(address, host)]
        return near[0] if near else ""

    def stopListening(self) -> Deferred[None]:
        """Closes when the reactor comes round, as a real one."""
        self.is_open = False
        self.host.sockets.remove(self)
        closed: Deferred[None] = Deferred()
        self.host.callLater(0, closed.callback, None)
        return closed

    def joinGroup(self, addr: str, interface: str = "") -> Deferred[None]:
        membership = (addr, interface)
        if interface in self.host.no_multicast or membership in self.joined:
            return fail(MulticastJoinError(addr, interface, "No such device"))
        self.joined.add(membership)
        return succeed(None)

    def leaveGroup(self, addr: str, interface: str = "") -> Deferred[None]:
        self.joined.discard((addr, interface))
        return succeed(None)

    def setOutgoingInterface(self, addr: str | int) -> Deferred[int]:
        self._outgoing = str(addr)
        return succeed(1)

    def getOutgoingInterface(self) -> str | int:
        return self._outgoing

    def setTTL(self, ttl: int) -> None:
        self._ttl = ttl

    def getTTL(self) -> int:
        return self._ttl

    def setLoopbackMode(self, mode: bool) -> None:
        self._loopback = mode

    def getLoopbackMode(self) -> bool:
        return self._loopback

    def setBroadcastAllowed(self, enabled: bool) -> None:
        self._broadcast = enabled

    def getBroadcastAllowed(self) -> bool:
        return self._broadcast

    def connect(self, host: str, port: int) -> None:
        raise NotImplementedError("connected sockets are not in this fake")

    def getHost(self) -> IPv4Address:
        return IPv4Address("UDP", self.bound or "0.0.0.0", self.port)


class Peer(DatagramProtocol):
    """A program that speaks to the group by hand, and keeps what it hears."""

    transport: MulticastSocket

    def __init__(self) -> None:
        self.heard: list[tuple[bytes, Address]] = []

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        self.heard.append((datagram, addr))

    def send(self, payload: bytes, to: Address) -> None:
        self.transport.write(payload, to)

    def payloads(self) -> list[bytes]:
        return [payload for payload, _ in self.heard]


def make_peer(host: Host, group: Address, interface: str) -> Peer:
    """An older peer: one socket on the group's port, which it sends from too."""
    peer = Peer()
    socket = host.listenMulticast(group[1], peer, listenMultiple=True)
    socket.joinGroup(group[0], interface)
    socket.setOutgoingInterface(interface)
    return peer


def is_multicast(address: str) -> bool:
    return 224 <= int(address.partition(".")[0]) < 240


def is_loopback(address: str) -> bool:
    return address.startswith("127.")


def same_segment(one: str, other: str) -> bool:
    return one.rpartition(".")[0] == other.rpartition(".")[0]


# -- slices


class Slices:
    """Work in slices, one of every task at a `step`."""

    def __init__(self) -> None:
        clock = self._clock = Clock()
        self.cooperator = Cooperator(
            terminationPredicateFactory=lambda: lambda: True,
            scheduler=lambda step: clock.callLater(1, step),
        )

    def step(self) -> None:
        """Do one slice."""
        self._clock.advance(1)

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._clock.getDelayedCalls())

    def run(self) -> None:
        """Do all there is to do."""
        while self.busy:
            self.step()


def open_registry(cooperator: Cooperator, state: Path | None) -> Registry:
    """The registry in the folder `state`, or in memory, open. Raises StartError."""
    registry = make_registry(cooperator, state)
    registry.open()
    return registry


# -- the supernode's neighbours


@implementer(ISearchOverlay)
class FakeOverlay:
    """Other supernodes with fixed answers."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[str, ...]] = {}
        self.failure: Exception | None = None
        #: What it was asked: the id, and whether for all answers.
        self.asked: list[tuple[str, bool]] = []

    def search(self, id: str) -> Deferred[tuple[str, ...]]:
        return self._ask(id, everyone=False)

    def search_all(self, id: str) -> Deferred[tuple[str, ...]]:
        return self._ask(id, everyone=True)

    def _ask(self, id: str, everyone: bool) -> Deferred[tuple[str, ...]]:
        self.asked.append((id, everyone))
        if self.failure is not None:
            return fail(self.failure)
        return succeed(self.answers.get(id, ()))


@implementer(ISupernode)
class FakeSupernode:
    """Keeps what it was asked; answers what it is told to, or fails with it."""

    def __init__(self) -> None:
        #: The calls, each a method's name and its arguments.
        self.calls: list[tuple[Any, ...]] = []
        #: The next results, by method; an Exception is raised.
        self.results: dict[str, Any] = {}

    def _call(self, method: str, *arguments: object) -> Any:
        self.calls.append((method, *arguments))
        result = self.results.get(method)
        if isinstance(result, Exception):
            raise result
        return result

    async def register(self, registration: Registration, caller: str) -> None:
        self._call("register", registration, caller)

    def heartbeat(self, location: str, caller: str) -> str | None:
        unreachable: str | None = self._call("heartbeat", location, caller)
        return unreachable

    def goodbye(self, location: str, caller: str) -> None:
        self._call("goodbye", location, caller)

    async def search(self, id: str, caller: str) -> Holding | None:
        found: Holding | None = self._call("search", id, caller)
        return found

    async def find(
        self,
        caller: str,
        file_name: str | None = None,
        node_name: str | None = None,
        ids: Sequence[str] | None = None,
    ) -> list[Holding]:
        return self._call("find", caller, file_name, node_name, ids) or []

    def find_beginning(self, prefix: str, caller: str) -> list[Holding]:
        return self._call("find_beginning", prefix, caller) or []

    async def find_part(
        self, caller: str, file_name: str | None, node_name: str | None, after: str
    ) -> FoundPart:
        part = self._call("find_part", caller, file_name, node_name, after)
        return part or FoundPart([], None)

    async def holders(self, id: str, caller: str, everywhere: bool) -> Holders:
        return self._call("holders", id, caller, everywhere) or Holders(id, [], [])

    def nodes(self) -> list[NodeInfo]:
        return self._call("nodes") or []

    def gone(self) -> list[GoneNode]:
        return self._call("gone") or []

    async def sweep(self) -> None:
        self._call("sweep")
        waited = self.results.get("sweep")
        if isinstance(waited, Deferred):
            await waited
