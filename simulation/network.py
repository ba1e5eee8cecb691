"""
A virtual network of hosts with one address each. It loses, delays, repeats and
reorders what they send each other, and can be partitioned.

Datagrams are carried as they are. A call (an HTTP request and its answer) is never
lost, because TCP repeats what is lost: there a loss is a delay.
"""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError, TimeoutError
from twisted.internet.interfaces import IMulticastTransport
from twisted.internet.protocol import DatagramProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from p2ptwisted.client.transport import CONNECT_TIMEOUT
from p2ptwisted.protocols.sockets import IMulticastReactor
from simulation.clock import ProcessClock, Time

Address = tuple[str, int]

#: An answer to a call: a status of HTTP and a body.
Reply = tuple[int, bytes]

#: A function that answers calls: method, path, body, and the address of the caller.
Serve = Callable[[str, str, bytes | None, str], Coroutine[Deferred[Any], Any, Reply]]

#: The lowest port that a host gives when any port will do.
FIRST_FREE_PORT = 40_000

#: Seconds until TCP sends again what was lost; the least on Linux.
RETRANSMIT_DELAY = 0.2


@dataclass(frozen=True)
class Weather:
    """How the network treats what it carries; in parts of 1, and seconds."""

    loss: float = 0.0
    duplicated: float = 0.0
    #: A delivery takes any time between these, so that what was sent later can arrive sooner.
    soonest: float = 0.0001
    latest: float = 0.001


#: A network partition: by address, the part of the network that the host is in.
Cut = Mapping[str, int]


class Network:
    """All processes, the weather between them, and the cuts."""

    def __init__(self, time: Time, random: Random) -> None:
        #: The usual weather, and spells of worse weather, of which the latest counts.
        self.usual = Weather()
        self.bad: list[Weather] = []
        #: Hosts in different parts of any cut don't reach each other.
        self.cuts: list[Cut] = []
        #: By address, the process that runs there, or ran last; none if the machine is off.
        self.processes: dict[str, Process] = {}
        #: How many datagrams arrived, and how many calls were made.
        self.datagrams = self.calls = 0
        self._random = random
        #: The clock of what neither freezes nor dies: the cables, and the hosts' kernels.
        self._cables = ProcessClock(time)
        #: By group, the sockets in the order in which they joined, so that a seed always
        #: gives the same history.
        self._members: dict[Address, dict[Socket, None]] = {}

    @property
    def weather(self) -> Weather:
        return self.bad[-1] if self.bad else self.usual

    def mend(self) -> None:
        """End all cuts and all weather."""
        self.usual = Weather()
        self.bad.clear()
        self.cuts.clear()

    def reaches(self, one: str, other: str) -> bool:
        """Whether no cut is between two addresses."""
        return all(cut.get(one) == cut.get(other) for cut in self.cuts)

    def _delay(self) -> float:
        weather = self.weather
        return self._random.uniform(weather.soonest, weather.latest)

    # -- datagrams

    def join(self, group: Address, socket: "Socket") -> None:
        self._members.setdefault(group, {})[socket] = None

    def leave(self, group: Address, socket: "Socket") -> None:
        self._members.get(group, {}).pop(socket, None)

    def carry(self, sender: "Process", port: int, payload: bytes, to: Address) -> None:
        """Deliver a datagram to all who hear it but its sender, who would only drop it."""
        group = self._members.get(to)
        weather, chance, source = self.weather, self._random.random, (sender.address, port)
        soonest, span = weather.soonest, weather.latest - weather.soonest
        for socket in self._bound(to) if group is None else list(group):
            process = socket.process
            if process is sender:
                continue
            if self.cuts and not self.reaches(sender.address, process.address):
                continue
            if chance() < weather.loss:
                continue
            for _ in range(1 + (chance() < weather.duplicated)):
                self.datagrams += 1
                process.call_fixed(soonest + span * chance(), socket.hear, payload, source)

    def _bound(self, to: Address) -> "list[Socket]":
        process = self.processes.get(to[0])
        socket = None if process is None else process.sockets.get(to[1])
        return [] if socket is None else [socket]

    # -- calls

    def call(
        self, caller: "Process", to: Address, method: str, path: str, body: bytes | None
    ) -> Deferred[Reply]:
        """Fires with the answer of the process there; fails if none listens or is reachable."""
        answered: Deferred[Reply] = Deferred()
        self.calls += 1

        def arrived() -> None:
            process = self.processes.get(to[0])
            if process is None:
                return
            if process.is_dead or process.port != to[1] or process.serve is None:
                send_back(fail(ConnectionRefusedError()))
                return
            # The kernel accepts a frozen process's connections; the process sees them later.
            process.call_fixed(0, begin, process.serve)

        def begin(serve: Serve) -> None:
            send_back(Deferred.fromCoroutine(serve(method, path, body, caller.address)))

        def send_back(result: Deferred[Reply]) -> None:
            result.addBoth(sent)

        def sent(result: Any) -> None:
            if self.reaches(caller.address, to[0]):
                caller.call_fixed(self._call_delay(), came_back, result)

        def came_back(result: Any) -> None:
            if not answered.called:
                answered.callback(result)

        if self.reaches(caller.address, to[0]) and to[0] in self.processes:
            self._cables.call_fixed(self._call_delay(), arrived)
        else:
            caller.call_fixed(CONNECT_TIMEOUT, came_back, Failure(TimeoutError()))
        return answered

    def _call_delay(self) -> float:
        """Returns the seconds that a message takes over TCP."""
        seconds, wait, loss = self._delay(), RETRANSMIT_DELAY, self.weather.loss
        while self._random.random() < loss:
            seconds += wait
            wait *= 2
        return seconds


@implementer(IMulticastReactor)
class Process(ProcessClock):
    """A process on a host of its own: a reactor with a clock, datagrams and calls."""

    def __init__(self, time: Time, network: Network, address: str, port: int) -> None:
        """It accepts calls on `port` as soon as `serve` is set."""
        super().__init__(time)
        self.network = network
        self.address = address
        self.port = port
        self.serve: Serve | None = None
        #: Its sockets for datagrams, by port.
        self.sockets: dict[int, Socket] = {}
        self._free_port = FIRST_FREE_PORT
        network.processes[address] = self

    @property
    def location(self) -> str:
        return f"{self.address}:{self.port}"

    def kill(self, with_host: bool = False) -> None:
        """End it at once; `with_host`: its machine is off then, and doesn't refuse calls either."""
        super().kill()
        for socket in list(self.sockets.values()):
            socket.close()
        if with_host:
            del self.network.processes[self.address]

    def listenMulticast(
        self,
        port: int,
        protocol: DatagramProtocol,
        interface: str = "",
        maxPacketSize: int = 8192,
        listenMultiple: bool = False,
    ) -> "Socket":
        if port == 0:
            port = self._free_port
            self._free_port += 1
        socket = self.sockets[port] = Socket(self, protocol, port)
        protocol.makeConnection(socket)
        return socket


@implementer(IMulticastTransport)
class Socket:
    """A UDP socket of a process."""

    def __init__(self, process: Process, protocol: DatagramProtocol, port: int) -> None:
        self.process = process
        self._protocol = protocol
        self._port = port
        self._joined: set[Address] = set()

    def hear(self, datagram: bytes, source: Address) -> None:
        self._protocol.datagramReceived(datagram, source)

    def write(self, packet: bytes, addr: Address | None) -> None:
        assert addr is not None
        self.process.network.carry(self.process, self._port, packet, addr)

    def close(self) -> None:
        del self.process.sockets[self._port]
        for group in self._joined:
            self.process.network.leave(group, self)

    def stopListening(self) -> Deferred[None]:
        self.close()
        return succeed(None)

    def joinGroup(self, addr: str, interface: str = "") -> Deferred[None]:
        self._joined.add((addr, self._port))
        self.process.network.join((addr, self._port), self)
        return succeed(None)

    def leaveGroup(self, addr: str, interface: str = "") -> Deferred[None]:
        self._joined.discard((addr, self._port))
        self.process.network.leave((addr, self._port), self)
        return succeed(None)

    def setOutgoingInterface(self, addr: str | int) -> Deferred[int]:
        return succeed(1)

    def getOutgoingInterface(self) -> str | int:
        return self.process.address

    def setTTL(self, ttl: int) -> None:
        """All hosts are on one segment."""

    def getTTL(self) -> int:
        return 1

    def setLoopbackMode(self, mode: bool) -> None:
        """No process hears itself here."""

    def getLoopbackMode(self) -> bool:
        return False

    def setBroadcastAllowed(self, enabled: bool) -> None:
        raise NotImplementedError("no daemon broadcasts")

    def getBroadcastAllowed(self) -> bool:
        return False

    def connect(self, host: str, port: int) -> None:
        raise NotImplementedError("no daemon connects such a socket")

    def getHost(self) -> IPv4Address:
        return IPv4Address("UDP", self.process.address, self._port)
