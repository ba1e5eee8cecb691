"""
The search overlay over IP multicast: timers and Deferreds around `searches`,
which decides, `wire`, which knows the format, and `sockets`.
"""

import time
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network
from itertools import islice
from typing import Protocol

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import (
    IDelayedCall,
)
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from p2ptwisted.errors import Unavailable
from p2ptwisted.interfaces import ISearchOverlay
from p2ptwisted.model import SUPERNODE_ID
from p2ptwisted.protocols.confirm_limiter import IDS_MAX, ConfirmLimiter, Question
from p2ptwisted.protocols.datagram_auth import DatagramAuth
from p2ptwisted.protocols.datagrams import (
    LOCATIONS_MAX,
    FoundReply,
    Message,
    NotFoundReply,
    SearchRequest,
    decode,
    encode,
)
from p2ptwisted.protocols.network_interfaces import addresses_up
from p2ptwisted.protocols.searches import (
    LONELY_TIMEOUT,
    PEER_MEMORY,
    REPEATS,
    Search,
    Searches,
    make_tag,
)
from p2ptwisted.protocols.sockets import GroupSockets, IMulticastReactor, MulticastGroup, UdpAddress
from p2ptwisted.support.address_policy import believed, believed_of_supernodes
from p2ptwisted.support.rate_limit import TokenBucket, TokenBuckets

#: Seconds between two looks at the interfaces, each followed by a call to the group: so
#: soon all know each other again after a cut, and no search ends without asking somebody.
REFRESH = 10.0

#: Answers a second to untagged requests, and at once: all of the group hear each of them.
ALOUD_RATE, ALOUD_BURST = 1_000, 2_000

#: Of these, those to one address, which leave others room.
ALOUD_RATE_OF_ONE, ALOUD_BURST_OF_ONE = ALOUD_RATE // 2, ALOUD_BURST // 2

#: Answers a second to tagged requests from one address, and at once: a supernode that asks
#: for each of the 6,000 searches a second that it can answer is below that, and so are a few
#: on one host that ask for 500 misses a second each, four times again. Who forges an address
#: has no more sent there.
TAGGED_RATE, TAGGED_BURST = 10_000, 10_000

#: The same to all addresses together. Each takes about 50 us: the rest is for HTTP.
TAGGED_RATE_IN_ALL, TAGGED_BURST_IN_ALL = 15_000, 15_000

#: Addresses whose rates are remembered.
ADDRESSES_MAX = 10_000

_log = Logger()


class Answers(Protocol):
    """What a supernode says when it is asked."""

    def __call__(self, id: str, asker: str) -> Sequence[str]:
        """The locations that hold `id`, as the host `asker` can reach them."""


class Confirms(Protocol):
    """How an untagged reply is checked."""

    def __call__(self, location: str, id: str) -> Deferred[bool]:
        """Whether the node at `location` has `id` itself; fails where it doesn't say."""


@implementer(ISearchOverlay)
class MulticastOverlay(Service):
    """
    An ISearchOverlay over an IP multicast group.

    With `answers` it is a supernode's: it listens to the group and answers.
    Without, it only asks, as a node does that looks for a supernode.
    """

    def __init__(
        self,
        reactor: IMulticastReactor,
        group: MulticastGroup,
        name: str,
        timeout: float,
        answers: Answers | None = None,
        confirms: Confirms | None = None,
        seal: DatagramAuth | None = None,
        trusted: Sequence[IPv4Network] = (),
        addresses: Callable[[Sequence[str]], list[str]] = addresses_up,
        wall_time: Callable[[], float] = time.time,
    ) -> None:
        """
        `name` is what this peer is called in its datagrams; `timeout` is in seconds.

        `seal` is a closed group's; its times are told by `wall_time`, in seconds since 1970.

        `trusted`: networks whose hosts may tell of supernodes other than themselves.
        """
        self._reactor = reactor
        self._sockets = GroupSockets(reactor, group, self._received, addresses)
        self._name = name
        self._own_prefixes = (f"{name};".encode(), f"{name}#".encode())
        self._answers = answers
        self._confirms = confirms
        self._seal = seal
        self._trusted = trusted
        self._wall_time = wall_time
        # Who only asks has never heard of anybody, and nevertheless expects an answer.
        lonely_timeout = timeout if answers is None else LONELY_TIMEOUT
        self._searches = Searches(name, timeout, lonely_timeout)
        self._waiters: dict[Search, list[Deferred[tuple[str, ...]]]] = {}
        self._timers: dict[Search, list[IDelayedCall]] = {}
        self._asked: dict[Question, Deferred[bool]] = {}
        self._confirming = ConfirmLimiter()
        #: When the next location can be asked, where that is a matter of time.
        self._asking: IDelayedCall | None = None
        self._aloud = TokenBuckets(ALOUD_RATE_OF_ONE, ALOUD_BURST_OF_ONE, ADDRESSES_MAX)
        self._aloud_in_all = TokenBucket(ALOUD_RATE, ALOUD_BURST)
        self._tagged = TokenBuckets(TAGGED_RATE, TAGGED_BURST, ADDRESSES_MAX)
        self._tagged_in_all = TokenBucket(TAGGED_RATE_IN_ALL, TAGGED_BURST_IN_ALL)
        self._refreshing = LoopingCall(self._refresh)
        self._refreshing.clock = reactor
        #: Whether the group was called since the start.
        self._called = False
        #: Whether others were heard of late; None until any was.
        self._heard: bool | None = None
        #: Datagrams that were dropped because they are not of the format.
        self.malformed = 0
        #: Datagrams that were dropped because nothing proved that a member sent them.
        self.unproved = 0
        #: Requests that were dropped because there were too many.
        self.excess = 0
        #: How many of each had been dropped when that was last told.
        self._dropped_told: dict[str, int] = {}

    # -- Service

    def startService(self) -> None:
        """Raises StartError where the group's port can't be listened on."""
        super().startService()
        if self._answers is not None:
            self._sockets.listen()
        self._refreshing.start(REFRESH)

    def stopService(self) -> Deferred[list[object]]:
        super().stopService()
        if self._refreshing.running:
            self._refreshing.stop()
        for search in list(self._waiters):
            self._end(search)
        if self._asking is not None and self._asking.active():
            self._asking.cancel()
        for asked in list(self._asked.values()):
            asked.cancel()
        return self._sockets.close()

    def _refresh(self) -> None:
        """Follow the interfaces that came and went; then call the group, so that all know of us."""
        try:
            self._sockets.refresh()
            self._notice_silence()
            self._tell_dropped()
            if self._answers is not None:
                self._call_group()
        except Exception:
            # An exception would end the LoopingCall for good.
            _log.failure("Looking at the network interfaces failed; trying again in a while")

    def _call_group(self) -> None:
        """So that those who are there stay known: at the start to all, and then to most."""
        if self._called:
            # Once, for it comes again; a search would be repeated for whoever is gone.
            self._send_request(SUPERNODE_ID, make_tag())
        else:
            self._called = True
            self.search_all(SUPERNODE_ID).addErrback(lambda _: None)

    def _notice_silence(self) -> None:
        """Tell once when a group that was heard is heard no more, and when it is back."""
        heard = bool(self._searches.peers(self._reactor.seconds()))
        if self._heard and not heard:
            _log.warn(
                "No other supernode has been heard for {seconds:.0f} s: they are gone, or "
                "multicast no longer crosses the network (--peer asks one by HTTP)",
                seconds=PEER_MEMORY,
            )
        elif heard and self._heard is False:
            _log.info("Other supernodes are heard")
        self._heard = heard if heard or self._heard is not None else None

    def _tell_dropped(self) -> None:
        """Tell how many datagrams were dropped, each time that these have doubled."""
        for why, count in (
            ("they are malformed", self.malformed),
            (
                "no member has sealed them of late: another key, or a clock that is off",
                self.unproved,
            ),
            ("they ask for more answers than may be had in a second", self.excess),
        ):
            if count > 2 * self._dropped_told.get(why, 0):
                self._dropped_told[why] = count
                _log.info("{count} datagrams were dropped: {why}", count=count, why=why)

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
        self._sockets.send_to_group(self._sealed(SearchRequest(self._name, id, tag)))

    def _repeat(self, search: Search) -> None:
        if search.is_to_be_repeated:
            search.repeated()
            self._send_request(search.id, search.tag)
        elif self._answers is None:
            # Enough for a node, and soon: whoever is slower than that has much to do.
            self._end(search)

    def _time_passed(self, search: Search) -> None:
        # Timers come first where a process was late; what has arrived meanwhile is read now.
        self._timers[search].append(self._reactor.callLater(0, self._time_is_up, search))

    def _time_is_up(self, search: Search) -> None:
        self._settle(search)
        search.is_late = True
        self._end_if_over(search)

    def _end_if_over(self, *searches: Search) -> None:
        for search in searches:
            if search.is_over and (search.locations or not self._is_being_settled(search)):
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
        self._make_room()

    # -- datagrams

    def _received(self, datagram: bytes, source: UdpAddress) -> None:
        if datagram.startswith(self._own_prefixes):
            return
        if self._seal is not None:
            opened = self._seal.open(datagram, self._wall_time())
            if opened is None:
                self.unproved += 1
                return
            datagram = opened
        message = decode(datagram)
        if message is None:
            self.malformed += 1
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
                    self._found_untagged(found.name, found.locations)
            case NotFoundReply():
                denied = self._searches.not_found(message)
                self._end_if_over(*denied)
                if denied:
                    self._make_room()

    def _answer(self, request: SearchRequest, source: UdpAddress) -> None:
        if self._answers is None:
            return
        if not self._has_room(request, source[0]):
            self.excess += 1
            return
        locations = tuple(self._answers(request.id, source[0]))
        reply: Message
        if request.tag is None:
            # Somebody who knows the three lines only: one location, for all to hear.
            reply = (
                FoundReply(self._name, locations[:1])
                if locations
                else NotFoundReply(self._name, request.id)
            )
            self._sockets.send_to_group(self._sealed(reply), towards=source[0])
            return
        reply = (
            FoundReply(self._name, locations[:LOCATIONS_MAX], request.tag)
            if locations
            else NotFoundReply(self._name, request.id, request.tag)
        )
        self._sockets.send(self._sealed(reply), source)

    def _has_room(self, request: SearchRequest, source: str) -> bool:
        """Whether another request from there is to be answered now."""
        now = self._reactor.seconds()
        if request.tag is None:
            return self._aloud.of(source).take(now) and self._aloud_in_all.take(now)
        return self._tagged.of(source).take(now) and self._tagged_in_all.take(now)

    def _believed(self, message: FoundReply, source: str) -> FoundReply:
        """The message with those locations that its sender may tell, perhaps with none."""
        if self._searches.is_for_supernodes(message):
            locations = believed_of_supernodes(message.locations, source, self._trusted)
        else:
            locations = believed(message.locations, source)
        return FoundReply(message.name, locations, message.tag)

    # -- replies without a tag

    def _found_untagged(self, name: str, locations: Sequence[str]) -> None:
        now = self._reactor.seconds()
        only = self._searches.only_candidates(name, now)
        if only:
            for search in only:
                search.credit(locations, name)
            self._end_if_over(*only)
            return
        candidates = list(islice(self._searches.candidates(name), IDS_MAX + 1))
        if candidates[IDS_MAX:] or (candidates and self._confirms is None):
            self._searches.unchecked(name, now)
        location, found, unknown = locations[0], [], []
        for search in candidates[:IDS_MAX] if self._confirms is not None else ():
            holds = self._confirming.told((location, search.id), now)
            if holds:
                search.credit([location], name)
                found.append(search)
            elif holds is None and not search.is_late:
                unknown.append(search)
        # Of what isn't known that which was asked for first is the likeliest.
        is_explained = bool(found)
        for search in unknown:
            question = location, search.id
            if not search.doubt(location, name) or not self._confirming.want(
                question, now, hold=is_explained
            ):
                self._searches.unchecked(name, now)
            is_explained = True
        self._end_if_over(*found)
        self._ask_locations()

    def _settle(self, search: Search) -> None:
        """Have those asked at once who may have it."""
        now = self._reactor.seconds()
        for location, name in search.doubts:
            if not self._confirming.want((location, search.id), now):
                self._searches.unchecked(name, now)
        self._ask_locations()

    def _is_being_settled(self, search: Search) -> bool:
        """Whether somebody is about to say whether he has it."""
        if not search.is_late:
            self._settle(search)
        is_open = self._confirming.is_asking if search.is_late else self._confirming.is_open
        return any(is_open((location, search.id)) for location, _ in search.doubts)

    def _doubtful(self, question: Question) -> list[Search]:
        """The searches to which a location's answer to that makes a difference."""
        location, id = question
        return [
            search
            for search in self._searches.of(id)
            if any(location == doubted for doubted, _ in search.doubts)
        ]

    def _is_wanted(self, question: Question) -> bool:
        return any(not search.is_late for search in self._doubtful(question))

    def _ask_locations(self) -> None:
        """Ask as many as may be asked now, and the others when they may be."""
        if self._asking is not None and self._asking.active():
            self._asking.cancel()
        self._asking = None
        while question := self._confirming.next(self._reactor.seconds(), self._is_wanted):
            self._ask_location(question)
        wait = self._confirming.wait(self._reactor.seconds())
        if wait is not None and self.running:
            if self._asking is not None and self._asking.active():
                self._asking.cancel()
            self._asking = self._reactor.callLater(wait, self._ask_locations)

    def _make_room(self) -> None:
        """Give up those whose answers make no difference any more, where others have to wait."""
        if self._confirming.is_full:
            # A node of the older program can take long for what it doesn't have.
            for asked in [self._asked[one] for one in self._asked if not self._doubtful(one)]:
                asked.cancel()

    def _ask_location(self, question: Question) -> None:
        assert self._confirms is not None

        def answered(result: bool | Failure) -> None:
            self._asked.pop(question, None)
            holds = None
            if not isinstance(result, Failure):
                holds = result
            elif not result.check(Unavailable, CancelledError):
                _log.failure("Asking {location} failed", result, location=question[0])
            self._answered(question, holds)

        asked = self._confirms(*question)
        self._asked[question] = asked
        asked.addBoth(answered)

    def _answered(self, question: Question, holds: bool | None) -> None:
        location, id = question
        self._confirming.answered(question, holds, self._reactor.seconds())
        if holds is None:
            # Whoever doesn't answer has not said no.
            self._end_if_over(*self._searches.of(id))
        else:
            self._end_if_over(*self._searches.confirmed(id, location, holds))
        self._ask_locations()

    def _sealed(self, message: Message) -> bytes:
        datagram = encode(message)
        return datagram if self._seal is None else self._seal.close(datagram, self._wall_time())
