"""
The UDP sockets for a multicast group, on every interface, as interfaces come and go.

Every interface has a socket of its own on a free port, from which datagrams
leave through that interface; replies come back to it. One more socket listens on
the group's port; it is bound to the group's address, so that datagrams to other
groups on that port don't reach it.
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
#: interfaces (multicast.REFRESH), so after a minute at most: a switch that has forgotten
#: who is in the group (nobody asks where there is no IGMP querier) learns it again.
REJOIN_INTERVAL = 50.0

#: Bytes read from one socket in a turn of the reactor. That is about a hundred datagrams,
#: which take some milliseconds: a flood holds up nothing else for longer.
READ_A_TURN = 8 * 1024

_log = Logger()

UdpAddress = tuple[str, int]


class IMulticastReactor(IReactorMulticast, IReactorTime):
    """What the overlay needs of a reactor."""


@dataclass(frozen=True)
class MulticastGroup:
    """A multicast group, and the interfaces through which it is reached."""

    address: str
    port: int
    #: Names or addresses of interfaces; empty for all that are up.
    interfaces: Sequence[str] = ()
    ttl: int = 20


class _Socket(DatagramProtocol):
    """A UDP socket that passes on what it receives."""

    noisy = False
    transport: IMulticastTransport

    def __init__(self, received: Callable[[bytes, UdpAddress], None]) -> None:
        self._received = received

    def startProtocol(self) -> None:
        # Twisted's default lets thousands be handled before anything else.
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
    """All sockets with which a peer sends to a group and listens to it."""

    def __init__(
        self,
        reactor: IMulticastReactor,
        group: MulticastGroup,
        received: Callable[[bytes, UdpAddress], None],
        addresses: Callable[[Sequence[str]], list[str]],
    ) -> None:
        """
        `received` is called with every datagram and where it came from.

        `addresses` returns the addresses of the interfaces that are up, of all or of those
        selected by name or address.
        """
        self._reactor = reactor
        self._group = group
        self._received = received
        self._addresses = addresses
        self._listener: _Socket | None = None
        #: By an interface's address, its socket, and when the group was joined through it.
        self._senders: dict[str, _Socket] = {}
        self._joined: dict[str, float] = {}
        #: Whether it was logged that there is no interface.
        self._has_warned = False

    def listen(self) -> None:
        """Listen to the group. Raises StartError if its port can't be listened on."""
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
        for gone in self._senders.keys() - set(present):
            self._senders.pop(gone).close()
            # Otherwise joining again would fail when the interface is back.
            self._leave(gone)
        if not present and not self._has_warned:
            _log.warn("No network interface to search through; still looking for one")
        self._has_warned = not present
        for address in present:
            if address not in self._senders:
                self._open(address)
            else:
                # An interface recreated with its old address is another one to the kernel.
                self._leave_through(address).addErrback(lambda _: None)
                self._rejoin(address)

    def close(self) -> Deferred[list[object]]:
        """Close all sockets; fires when they are closed."""
        sockets = list(self._senders.values())
        if self._listener is not None:
            sockets.append(self._listener)
        self._senders, self._listener = {}, None
        return gatherResults([socket.close() for socket in sockets])

    # -- sending

    def send(self, datagram: bytes, destination: UdpAddress) -> None:
        """Send to one host, from any socket: the route decides the interface."""
        for sender in self._senders.values():
            sender.write(datagram, destination)
            break

    def send_to_group(self, datagram: bytes, towards: str | None = None) -> None:
        """Send to the group through every interface, or through the one `towards` a host."""
        leading = self._senders.get(address_towards(towards)) if towards is not None else None
        for sender in [leading] if leading else self._senders.values():
            sender.write(datagram, (self._group.address, self._group.port))

    # -- interfaces

    def _open(self, address: str) -> None:
        sender = _Socket(self._received)
        try:
            self._reactor.listenMulticast(0, sender)
        except CannotListenError:
            _log.failure("No socket for multicast through {address}", address=address)
            return
        self._senders[address] = sender
        sender.transport.setTTL(self._group.ttl)
        self._leave_through(address).addErrback(self._log_unusable, address)
        self._join(address)

    def _leave_through(self, address: str) -> Deferred[object]:
        """Make the datagrams of an interface's socket leave through that interface."""
        return maybeDeferred(self._senders[address].transport.setOutgoingInterface, address)

    def _join(self, address: str) -> None:
        if self._listener is not None:
            self._joined[address] = self._reactor.seconds()
            maybeDeferred(
                self._listener.transport.joinGroup, self._group.address, address
            ).addErrback(self._log_unusable, address)

    def _leave(self, address: str) -> Deferred[None]:
        if self._listener is None:
            return succeed(None)
        return maybeDeferred(
            self._listener.transport.leaveGroup, self._group.address, address
        ).addErrback(lambda _: None)

    def _rejoin(self, address: str) -> None:
        if self._listener is None:
            return
        if self._reactor.seconds() - self._joined[address] >= REJOIN_INTERVAL:
            self._leave(address).addCallback(lambda _: self._join(address))

    def _log_unusable(self, failure: Failure, address: str) -> None:
        _log.info("No multicast through {address}: {error}", address=address, error=failure.value)
