"""
The sockets of a multicast group: on every interface, as they come and go.

Every interface has a socket of its own on a free port, from which datagrams
leave through that interface; replies come back to it. The group's own port is
heard by one more, bound to the group's address, so that other groups'
datagrams on that port don't reach it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IMulticastTransport, IReactorMulticast, IReactorTime
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2ptwisted.errors import StartError
from p2ptwisted.support.locations import address_towards
from p2ptwisted.support.twisted_internals.reactor import set_read_limit

#: Seconds after which the group is left and joined again, at the next look at the
#: interfaces (multicast.REFRESH), so a minute at the most: a switch that has forgotten
#: who is in it (nobody asks where there is no querier) hears it anew.
RENEW = 50.0

#: Bytes that are read of one socket in a turn of the reactor, about a hundred datagrams,
#: which take some milliseconds: a flood holds up nothing else for longer.
READ_A_TURN = 8 * 1024

_log = Logger()

UdpAddress = tuple[str, int]


class IMulticastReactor(IReactorMulticast, IReactorTime):
    """What the overlay needs of a reactor."""


@dataclass(frozen=True)
class MulticastGroup:
    """Where the supernodes meet, and through what they speak to it."""

    address: str
    port: int
    #: Names or addresses; none for every one that is up.
    interfaces: Sequence[str] = ()
    ttl: int = 20


class _Socket(DatagramProtocol):
    """A socket that hands on what it hears."""

    noisy = False
    transport: IMulticastTransport

    def __init__(self, received: Callable[[bytes, UdpAddress], None]) -> None:
        self._received = received

    def startProtocol(self) -> None:
        # Twisted's own figure lets thousands be dealt with before anything else.
        set_read_limit(self.transport, READ_A_TURN)

    def datagramReceived(self, datagram: bytes, addr: UdpAddress) -> None:
        try:
            self._received(datagram, addr)
        except Exception:
            _log.failure("A datagram from {source} could not be dealt with", source=addr)

    def write(self, datagram: bytes, destination: UdpAddress) -> None:
        try:
            self.transport.write(datagram, destination)
        except OSError as error:
            # An interface that is going down; the others carry the search.
            _log.debug("Nothing sent to {to}: {error}", to=destination, error=error)

    def close(self) -> Deferred[object]:
        return maybeDeferred(self.transport.stopListening)


class GroupSockets:
    """All sockets with which one peer speaks to a group, and hears it."""

    def __init__(
        self,
        reactor: IMulticastReactor,
        group: MulticastGroup,
        received: Callable[[bytes, UdpAddress], None],
        addresses: Callable[[Sequence[str]], list[str]],
    ) -> None:
        """`addresses` gives those of the interfaces that are up, of all or of the selected."""
        self._reactor = reactor
        self._group = group
        self._received = received
        self._addresses = addresses
        self._listener: _Socket | None = None
        #: By an interface's address, the socket, and when the group was joined through it.
        self._askers: dict[str, _Socket] = {}
        self._joined: dict[str, float] = {}
        #: Whether it was told that there is no interface.
        self._told = False

    def listen(self) -> None:
        """Hear the group. Raises StartError where its port can't be listened on."""
        listener = _Socket(self._received)
        try:
            self._reactor.listenMulticast(
                self._group.port, listener, interface=self._group.address, listenMultiple=True
            )
        except CannotListenError as error:
            raise StartError(
                f"--multicast-group {self._group.address}:{self._group.port}: "
                f"can't listen there: {error.socketError}"
            ) from error
        self._listener = listener

    def refresh(self) -> None:
        """Follow the interfaces that came and went, and renew the memberships."""
        present = self._addresses(self._group.interfaces)
        for gone in self._askers.keys() - set(present):
            self._askers.pop(gone).close()
            # Or joining again, when it is back, would fail.
            self._leave(gone)
        if not present and not self._told:
            _log.warn("No network interface to search through; looking for one on and on")
        self._told = not present
        for address in present:
            if address not in self._askers:
                self._open(address)
            else:
                # One that was made anew with its old address is another to the kernel.
                self._leave_through(address).addErrback(lambda _: None)
                self._renew(address)

    def close(self) -> Deferred[list[object]]:
        sockets = list(self._askers.values())
        if self._listener is not None:
            sockets.append(self._listener)
        self._askers, self._listener = {}, None
        return gatherResults([socket.close() for socket in sockets])

    # -- sending

    def send(self, datagram: bytes, destination: UdpAddress) -> None:
        """To one host; any socket will do, for the route to it decides."""
        for asker in self._askers.values():
            asker.write(datagram, destination)
            break

    def send_to_group(self, datagram: bytes, towards: str | None = None) -> None:
        """Through every interface, or through the one that leads `towards` a host."""
        leading = self._askers.get(address_towards(towards)) if towards is not None else None
        for asker in [leading] if leading else self._askers.values():
            asker.write(datagram, (self._group.address, self._group.port))

    # -- interfaces

    def _open(self, address: str) -> None:
        asker = _Socket(self._received)
        try:
            self._reactor.listenMulticast(0, asker)
        except CannotListenError:
            _log.failure("No socket for multicast through {address}", address=address)
            return
        self._askers[address] = asker
        asker.transport.setTTL(self._group.ttl)
        self._leave_through(address).addErrback(self._unusable, address)
        self._join(address)

    def _leave_through(self, address: str) -> Deferred[object]:
        """Have the datagrams of that interface's socket leave through it."""
        return maybeDeferred(self._askers[address].transport.setOutgoingInterface, address)

    def _join(self, address: str) -> None:
        if self._listener is not None:
            self._joined[address] = self._reactor.seconds()
            maybeDeferred(
                self._listener.transport.joinGroup, self._group.address, address
            ).addErrback(self._unusable, address)

    def _leave(self, address: str) -> Deferred[None]:
        if self._listener is None:
            return succeed(None)
        return maybeDeferred(
            self._listener.transport.leaveGroup, self._group.address, address
        ).addErrback(lambda _: None)

    def _renew(self, address: str) -> None:
        if self._listener is None:
            return
        if self._reactor.seconds() - self._joined[address] >= RENEW:
            self._leave(address).addCallback(lambda _: self._join(address))

    def _unusable(self, failure: Failure, address: str) -> None:
        _log.info("No multicast through {address}: {error}", address=address, error=failure.value)
