"""
The search overlay over IP multicast: sockets, timers and Deferreds around
`searches`, which decides, and `wire`, which knows the format.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail, gatherResults, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IDelayedCall,
    IMulticastTransport,
    IReactorMulticast,
    IReactorTime,
)
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from p2ptwisted.addresses import address_towards
from p2ptwisted.errors import StartError, Unavailable
from p2ptwisted.interfaces import ISearchOverlay
from p2ptwisted.model import SUPERNODE_ID
from p2ptwisted.protocols.links import addresses_up
from p2ptwisted.protocols.searches import Search, Searches
from p2ptwisted.protocols.wire import (
    LOCATIONS_MAX,
    Found,
    Message,
    NotFound,
    Request,
    decode,
    encode,
)

#: Seconds between two looks at the interfaces, each followed by a call to the group.
REFRESH = 20.0

#: Locations of untagged replies that are being asked at once.
CONFIRMATIONS_MAX = 64

_log = Logger()

_Source = tuple[str, int]


class IMulticastReactor(IReactorMulticast, IReactorTime):
    """What the overlay needs of a reactor."""


class Answers(Protocol):
    """What a supernode says when it is asked."""

    def __call__(self, id: str, asker: str) -> Sequence[str]:
        """The locations that hold `id`, as the host `asker` can reach them."""


class Confirms(Protocol):
    """How an untagged reply is checked."""

    def __call__(self, location: str, id: str) -> Deferred[bool]:
        """Whether the node at `location` has `id` itself."""


@dataclass(frozen=True)
class Group:
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

    def __init__(self, received: Callable[[bytes, _Source], None]) -> None:
        self._received = received

    def datagramReceived(self, datagram: bytes, addr: _Source) -> None:
        try:
            self._received(datagram, addr)
        except Exception:
            _log.failure("A datagram from {source} could not be dealt with", source=addr)

    def close(self) -> Deferred[object]:
        return maybeDeferred(self.transport.stopListening)


@implementer(ISearchOverlay)
class MulticastOverlay(Service):
    """
    An ISearchOverlay over an IP multicast group.

    With `answers` it is a supernode's: it listens to the group and answers.
    Without, it only asks, as a node does that looks for a supernode.

    Every interface has a socket of its own on a free port, from which
    requests leave through that interface; replies come back to it. The
    group's own port is heard by one more, bound to the group's address, so
    that other groups' datagrams on that port don't reach it.
    """

    def __init__(
        self,
        reactor: IMulticastReactor,
        group: Group,
        name: str,
        timeout: float,
        answers: Answers | None = None,
        confirms: Confirms | None = None,
        addresses: Callable[[Sequence[str]], list[str]] = addresses_up,
    ) -> None:
        """`name` is what this peer is called in its datagrams; `timeout` is in seconds."""
        self._reactor = reactor
        self._group = group
        self._name = name
        self._own_prefixes = (f"{name};".encode(), f"{name}#".encode())
        self._answers = answers
        self._confirms = confirms
        self._addresses = addresses
        self._searches = Searches(name, timeout)
        self._waiters: dict[Search, list[Deferred[tuple[str, ...]]]] = {}
        self._timers: dict[Search, IDelayedCall] = {}
        self._confirming: set[Deferred[None]] = set()
        self._listener: _Socket | None = None
        self._askers: dict[str, _Socket] = {}
        #: Whether it was told that there is no interface.
        self._told = False
        self._refreshing = LoopingCall(self._refresh)
        self._refreshing.clock = reactor
        #: Datagrams that were dropped because they are not of the format.
        self.malformed = 0

    # -- Service

    def startService(self) -> None:
        """Raises StartError where the group's port can't be listened on."""
        super().startService()
        if self._answers is not None:
            listener = _Socket(self._received)
            try:
                self._reactor.listenMulticast(
                    self._group.port,
                    listener,
                    interface=self._group.address,
                    listenMultiple=True,
                )
            except CannotListenError as error:
                raise StartError(
                    f"--multicast-group {self._group.address}:{self._group.port}: "
                    f"can't listen there: {error.socketError}"
                ) from error
            self._listener = listener
        self._refreshing.start(REFRESH)

    def stopService(self) -> Deferred[list[object]]:
        super().stopService()
        if self._refreshing.running:
            self._refreshing.stop()
        for search in list(self._waiters):
            self._end(search)
        for confirmation in list(self._confirming):
            confirmation.cancel()
        sockets = list(self._askers.values())
        if self._listener is not None:
            sockets.append(self._listener)
        self._askers, self._listener = {}, None
        return gatherResults([socket.close() for socket in sockets])

    def _refresh(self) -> None:
        """Follow the interfaces that came and went; then call the group, so that all know of us."""
        try:
            present = self._addresses(self._group.interfaces)
            for gone in self._askers.keys() - set(present):
                self._close(gone)
            if not present and not self._told:
                _log.warn("No network interface to search through; looking for one on and on")
            self._told = not present
            for address in present:
                if address not in self._askers:
                    self._open(address)
            if self._answers is not None:
                self.search_all(SUPERNODE_ID).addErrback(lambda _: None)
        except Exception:
            # An exception would end the LoopingCall for good.
            _log.failure("Looking at the network interfaces failed; trying again in a while")

    def _close(self, address: str) -> None:
        """Speak no more through this interface."""
        self._askers.pop(address).close()
        if self._listener is not None:
            # Or joining again, when it is back, would fail.
            maybeDeferred(
                self._listener.transport.leaveGroup, self._group.address, address
            ).addErrback(lambda _: None)

    def _open(self, address: str) -> None:
        asker = _Socket(self._received)
        try:
            self._reactor.listenMulticast(0, asker)
        except CannotListenError:
            _log.failure("No socket for multicast through {address}", address=address)
            return
        self._askers[address] = asker
        asker.transport.setTTL(self._group.ttl)

        def unusable(failure: Failure) -> None:
            _log.info(
                "No multicast through {address}: {error}", address=address, error=failure.value
            )

        maybeDeferred(asker.transport.setOutgoingInterface, address).addErrback(unusable)
        if self._listener is not None:
            maybeDeferred(
                self._listener.transport.joinGroup, self._group.address, address
            ).addErrback(unusable)

    # -- ISearchOverlay

    def search(self, id: str) -> Deferred[tuple[str, ...]]:
        return self._ask(id, everyone=False)

    def search_all(self, id: str) -> Deferred[tuple[str, ...]]:
        return self._ask(id, everyone=True)

    def _ask(self, id: str, everyone: bool) -> Deferred[tuple[str, ...]]:
        now = self._reactor.seconds()
        if self._searches.is_known_miss(id, now):
            return succeed(())
        search = self._searches.joined(id, everyone)
        if search is None:
            search = self._searches.begin(id, everyone, now)
            if search is None:
                return fail(Unavailable("too many searches for unknown ids: try again in a second"))
            self._waiters[search] = []
            self._timers[search] = self._reactor.callLater(search.timeout, self._end, search)
            self._send_to_group(encode(Request(self._name, id, search.tag)), self._askers.values())
        waiter: Deferred[tuple[str, ...]] = Deferred(self._waiters[search].remove)
        self._waiters[search].append(waiter)
        return waiter

    def _end(self, search: Search) -> None:
        if not self._searches.end(search, self._reactor.seconds()):
            return
        timer = self._timers.pop(search)
        if timer.active():
            timer.cancel()
        for waiter in self._waiters.pop(search):
            waiter.callback(tuple(search.locations))

    # -- datagrams

    def _received(self, datagram: bytes, source: _Source) -> None:
        if datagram.startswith(self._own_prefixes):
            return
        message = decode(datagram)
        if message is None:
            self.malformed += 1
            return
        self._searches.heard(message, self._reactor.seconds())
        match message:
            case Request():
                self._answer(message, source)
            case Found():
                self._found(message)
            case NotFound():
                self._end_if_over(*self._searches.not_found(message))

    def _answer(self, request: Request, source: _Source) -> None:
        if self._answers is None:
            return
        locations = tuple(self._answers(request.id, source[0]))
        reply: Message
        if request.tag is None:
            # Somebody who knows the three lines only: one location, for all to hear.
            reply = (
                Found(self._name, locations[:1]) if locations else NotFound(self._name, request.id)
            )
            leading = self._askers.get(address_towards(source[0]))
            self._send_to_group(encode(reply), [leading] if leading else self._askers.values())
            return
        reply = (
            Found(self._name, locations[:LOCATIONS_MAX], request.tag)
            if locations
            else NotFound(self._name, request.id, request.tag)
        )
        for asker in self._askers.values():
            # Any will do: a unicast datagram takes the route to its destination.
            _send(asker, encode(reply), source)
            break

    def _found(self, message: Found) -> None:
        search = self._searches.found(message)
        if search is not None:
            self._end_if_over(search)
        elif message.tag is None and self._confirms is not None:
            for id in self._searches.outstanding_ids():
                if len(self._confirming) >= CONFIRMATIONS_MAX:
                    return
                self._confirm(id, message)

    def _confirm(self, id: str, message: Found) -> None:
        """Ask the (first) location of an untagged reply whether it is about `id`."""
        assert self._confirms is not None
        message = Found(message.name, message.locations[:1])

        def confirmed(has_it: bool) -> None:
            if has_it:
                self._end_if_over(*self._searches.confirmed(id, message))

        def done(result: object) -> None:
            self._confirming.discard(confirming)
            # A location that can't be asked is a location that is not believed.

        confirming = self._confirms(message.locations[0], id).addCallback(confirmed)
        self._confirming.add(confirming)
        confirming.addBoth(done)

    def _end_if_over(self, *searches: Search) -> None:
        for search in searches:
            if search.is_over:
                self._end(search)

    def _send_to_group(self, datagram: bytes, askers: Iterable[_Socket]) -> None:
        for asker in askers:
            _send(asker, datagram, (self._group.address, self._group.port))


def _send(socket: _Socket, datagram: bytes, destination: _Source) -> None:
    try:
        socket.transport.write(datagram, destination)
    except OSError as error:
        # An interface that is going down; the others carry the search.
        _log.debug("Nothing sent to {to}: {error}", to=destination, error=error)
