"""
The search overlay over IP multicast: sends the requests, waits for the replies,
and answers the requests of others.

Here are the timers and Deferreds. `searches` decides which reply belongs to which
search, `untagged_replies` handles those that don't say, `responder` makes our own
replies, `datagrams` has the format, and `sockets` the network.
"""

import time
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network

from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from p2ptwisted.errors import Unavailable
from p2ptwisted.interfaces import ISearchOverlay
from p2ptwisted.model import SUPERNODE_ID
from p2ptwisted.protocols.datagram_auth import DatagramAuth
from p2ptwisted.protocols.datagrams import (
    FoundReply,
    Message,
    NotFoundReply,
    SearchRequest,
    decode,
    encode,
)
from p2ptwisted.protocols.network_interfaces import addresses_up
from p2ptwisted.protocols.overlay_log import OverlayLog
from p2ptwisted.protocols.responder import Answers, Responder
from p2ptwisted.protocols.search import Search
from p2ptwisted.protocols.searches import (
    NO_PEERS_TIMEOUT,
    REPEATS,
    Searches,
    make_tag,
)
from p2ptwisted.protocols.sockets import GroupSockets, IMulticastReactor, MulticastGroup, UdpAddress
from p2ptwisted.protocols.untagged_replies import Confirms, UntaggedReplies
from p2ptwisted.support.address_policy import believed, believed_of_supernodes

#: Seconds between two looks at the interfaces, each followed by a call to the group. After a
#: cut all peers know each other again that soon, and no search ends without asking one of them.
REFRESH = 10.0

#: Seconds for which whoever only asks (a node, `p2p`) looks for supernodes.
DISCOVERY_TIMEOUT = 0.5

_log = Logger()


@implementer(ISearchOverlay)
class MulticastOverlay(Service):
    """
    An ISearchOverlay over an IP multicast group.

    With `answers` it is a supernode's: it listens to the group and answers.
    Without it only asks, as a node does that looks for a supernode.
    """

    def __init__(
        self,
        reactor: IMulticastReactor,
        group: MulticastGroup,
        name: str,
        timeout: float,
        answers: Answers | None = None,
        confirms: Confirms | None = None,
        auth: DatagramAuth | None = None,
        trusted: Sequence[IPv4Network] = (),
        addresses: Callable[[Sequence[str]], list[str]] = addresses_up,
        wall_time: Callable[[], float] = time.time,
    ) -> None:
        """
        `name` is this peer's name in its datagrams; `timeout` is that of a search, in seconds.

        `confirms` asks a node whether it holds a resource. `auth` seals the datagrams of a
        closed group; `wall_time` gives the time for that, in seconds since 1970.

        `trusted`: networks whose hosts may name supernodes other than themselves. `addresses`
        gives the addresses of the interfaces to use, as `network_interfaces.addresses_up`.
        """
        self._reactor = reactor
        self._sockets = GroupSockets(reactor, group, self._received, addresses)
        self._name = name
        self._own_prefixes = (f"{name};".encode(), f"{name}#".encode())
        self._responder = None if answers is None else Responder(name, answers)
        self._auth = auth
        self._trusted = trusted
        self._wall_time = wall_time
        # A peer that only asks has heard of nobody yet, and nevertheless expects an answer.
        no_peers_timeout = timeout if answers is None else NO_PEERS_TIMEOUT
        self._searches = Searches(name, timeout, no_peers_timeout)
        self._untagged = UntaggedReplies(reactor, self._searches, confirms, self._end_if_over)
        self._waiters: dict[Search, list[Deferred[tuple[str, ...]]]] = {}
        self._timers: dict[Search, list[IDelayedCall]] = {}
        self.log = OverlayLog()
        self._refreshing = LoopingCall(self._refresh)
        self._refreshing.clock = reactor
        #: Whether the group was called since the start.
        self._has_called = False

    # -- Service

    def startService(self) -> None:
        """Raises StartError if the group's port can't be listened on."""
        super().startService()
        self._untagged.start()
        if self._responder is not None:
            self._sockets.listen()
        self._refreshing.start(REFRESH)

    def stopService(self) -> Deferred[list[object]]:
        super().stopService()
        if self._refreshing.running:
            self._refreshing.stop()
        for search in list(self._waiters):
            self._end(search)
        self._untagged.stop()
        return self._sockets.close()

    def _refresh(self) -> None:
        """Follow the interfaces that came and went; then call the group, so that all know us."""
        try:
            self._sockets.refresh()
            self.log.look(bool(self._searches.peers(self._reactor.seconds())))
            if self._responder is not None:
                self._call_group()
        except Exception:
            # An exception would end the LoopingCall for good.
            _log.failure("Looking at the network interfaces failed; trying again in a while")

    def _call_group(self) -> None:
        """Make this supernode and the others known to each other."""
        if self._has_called:
            # Sent once, as the next call comes soon; a search would be repeated for peers that
            # are gone.
            self._send_request(SUPERNODE_ID, make_tag())
        else:
            self._has_called = True
            self.search_all(SUPERNODE_ID).addErrback(lambda _: None)

    # -- ISearchOverlay

    def search(self, id: str) -> Deferred[tuple[str, ...]]:
        return self._search(id, everyone=False)

    def search_all(self, id: str) -> Deferred[tuple[str, ...]]:
        return self._search(id, everyone=True)

    def _search(self, id: str, everyone: bool) -> Deferred[tuple[str, ...]]:
        now = self._reactor.seconds()
        if self._searches.is_known_miss(id, now):
            return succeed(())
        search = self._searches.joined(id, everyone)
        if search is None:
            search = self._searches.begin(id, everyone, now)
            if search is None:
                return fail(Unavailable("too many searches for unknown ids: try again in a second"))
            self._waiters[search] = []
            self._timers[search] = [
                self._reactor.callLater(search.timeout, self._time_passed, search),
                *(
                    self._reactor.callLater(search.timeout * part, self._repeat, search)
                    for part in REPEATS
                ),
            ]
            self._send_request(id, search.tag)
        waiter: Deferred[tuple[str, ...]] = Deferred(self._waiters[search].remove)
        self._waiters[search].append(waiter)
        return waiter

    def _send_request(self, id: str, tag: str) -> None:
        self._sockets.send_to_group(self._encoded(SearchRequest(self._name, id, tag)))

    def _repeat(self, search: Search) -> None:
        if search.should_repeat:
            search.mark_repeated()
            self._send_request(search.id, search.tag)
        elif self._responder is None:
            # Enough for a node, and soon: a supernode slower than this one has much to do.
            self._end(search)

    def _time_passed(self, search: Search) -> None:
        # Timers come first if the process stalled; this lets what has arrived be read before.
        self._timers[search].append(self._reactor.callLater(0, self._time_is_up, search))

    def _time_is_up(self, search: Search) -> None:
        self._untagged.settle(search)
        search.is_late = True
        self._end_if_over(search)

    def _end_if_over(self, *searches: Search) -> None:
        for search in searches:
            if search.is_over and (search.locations or not self._untagged.is_settling(search)):
                self._end(search)

    def _end(self, search: Search) -> None:
        in_doubt = self._searches.is_in_doubt(search)
        if not self._searches.end(search, self._reactor.seconds()):
            return
        for timer in self._timers.pop(search):
            if timer.active():
                timer.cancel()
        for waiter in self._waiters.pop(search):
            if in_doubt and not search.locations:
                waiter.errback(Unavailable("somebody may have it, and can't be asked in time"))
            else:
                waiter.callback(tuple(search.locations))
        self._untagged.make_room()

    # -- datagrams

    def _received(self, datagram: bytes, source: UdpAddress) -> None:
        if datagram.startswith(self._own_prefixes):
            return
        if self._auth is not None:
            opened = self._auth.open(datagram, self._wall_time())
            if opened is None:
                self.log.unproved += 1
                return
            datagram = opened
        message = decode(datagram)
        if message is None:
            self.log.malformed += 1
            return
        self._searches.heard(message, self._reactor.seconds())
        match message:
            case SearchRequest():
                self._answer(message, source)
            case FoundReply():
                found = self._believed(message, source[0])
                if message.tag is not None:
                    search = self._searches.found(found)
                    self._end_if_over(*([] if search is None else [search]))
                elif found.locations:
                    self._untagged.found(found.name, found.locations)
            case NotFoundReply():
                denied = self._searches.not_found(message)
                self._end_if_over(*denied)
                if denied:
                    self._untagged.make_room()

    def _answer(self, request: SearchRequest, source: UdpAddress) -> None:
        if self._responder is None:
            return
        reply = self._responder.reply(request, source[0], self._reactor.seconds())
        if reply is None:
            self.log.excess += 1
        elif reply.tag is None:
            self._sockets.send_to_group(self._encoded(reply), towards=source[0])
        else:
            self._sockets.send(self._encoded(reply), source)

    def _believed(self, message: FoundReply, source: str) -> FoundReply:
        """Returns the message with those locations that its sender may name, perhaps none."""
        if self._searches.is_for_supernodes(message):
            locations = believed_of_supernodes(message.locations, source, self._trusted)
        else:
            locations = believed(message.locations, source)
        return FoundReply(message.name, locations, message.tag)

    def _encoded(self, message: Message) -> bytes:
        datagram = encode(message)
        return datagram if self._auth is None else self._auth.seal(datagram, self._wall_time())
