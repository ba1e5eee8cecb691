"""
The searches that are under way in the overlay: which question each is, who
has yet to answer, and when it has ended. Pure; time is an argument.

The sockets, timers and Deferreds around it are in `multicast`.
"""

import re
import secrets
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from p2ptwisted.model import SUPERNODE_ID
from p2ptwisted.protocols.datagrams import FoundReply, NotFoundReply, SearchRequest
from p2ptwisted.support.rate_limit import TokenBucket
from p2ptwisted.support.round_robin import host_of, share_of

#: Seconds a supernode counts as present after it was last heard.
PEER_MEMORY = 60.0

#: Supernodes remembered; only a flood of made-up names gets there.
PEERS_MAX = 1_000

#: Supernodes whose answers a search awaits; where more are known it takes its whole time.
AWAITED_MAX = 100

#: Seconds a miss is remembered.
MISS_MEMORY = 1.0
MISSES_MAX = 10_000

#: Searches under way at once.
SEARCHES_MAX = 4_096

#: Locations gathered by one search, and those of one address among them: no host pushes
#: the others out with its many ports.
GATHERED_MAX = 1_000
GATHERED_SHARE = share_of(GATHERED_MAX)

#: Requests a second that may find nothing, and how many at once: a miss wakes
#: every supernode of the group for about 0.1 ms. A request that is answered
#: gives its token back, so only unknown ids are held up.
MISS_RATE, MISS_BURST = 500, 1_000

#: Seconds that a supernode waits where no other has been heard of.
LONELY_TIMEOUT = 0.1

#: When a request is sent again, in parts of the search's time: what crosses the
#: network with one datagram in ten lost each way is then missed once in 4,000 times.
REPEATS = (0.1, 0.3, 0.5, 0.7)

#: Seconds after the end of a search in which a reply to it may still come, without a tag;
#: and searches that are remembered for that.
LATE, ENDED_MAX = 1.0, 1_000

#: Untagged replies that may be the answer to one search, and are kept in mind until that
#: is known.
DOUBTS_MAX = 16

#: Peers whose noes one search remembers; only a flood of made-up names gets there.
DENIED_MAX = 1_000

#: Bytes; a tag is a reply's only ticket, so it must not be guessed.
TAG_BYTES = 8

_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE | re.ASCII)


@dataclass(eq=False, slots=True)
class Search:
    """One question to the group, however many ask it."""

    id: str
    tag: str
    #: Whether it waits for every supernode's answer instead of the first.
    everyone: bool
    #: Whether all supernodes can be awaited: where none was known at its start, an
    #: answer can come from anybody until the time is up, and so where too many were.
    peers_known: bool
    #: Those of them that have not answered yet.
    awaited: set[str]
    #: Seconds until it ends whatever comes.
    timeout: float
    #: When it began.
    began: float
    #: A set that keeps its order.
    locations: dict[str, None] = field(default_factory=dict)
    #: How many of them are of each address.
    of_address: dict[str, int] = field(default_factory=dict)
    #: How many there were when the request was last sent.
    located: int = 0
    #: Who has said no.
    denied: set[str] = field(default_factory=set)
    #: Location and sender of untagged replies that may be its answer: a set in order.
    doubts: dict[tuple[str, str], None] = field(default_factory=dict)
    #: Whether its time is up.
    is_late: bool = False

    @property
    def is_over(self) -> bool:
        """Whether nothing more need be waited for, but for what `doubts` come to."""
        if self.is_late or (self.locations and not self.everyone):
            return True
        return self.peers_known and not self.awaited

    def deny(self, name: str) -> None:
        """This peer has said no, so none of its replies was an answer to this."""
        self.awaited.discard(name)
        if len(self.denied) < DENIED_MAX:
            self.denied.add(name)
        for doubt in [doubt for doubt in self.doubts if doubt[1] == name]:
            del self.doubts[doubt]

    def doubt(self, location: str, name: str) -> bool:
        """That untagged reply may be its answer; False where too many are kept in mind."""
        if len(self.doubts) >= DOUBTS_MAX and (location, name) not in self.doubts:
            return False
        self.doubts[location, name] = None
        return True

    def credit(self, locations: Sequence[str], name: str) -> None:
        """That peer has answered with these."""
        self.awaited.discard(name)
        for location in locations:
            self._add(location)

    def settle(self, location: str, holds: bool) -> None:
        """That location has it, or hasn't, so replies that name it are no doubts any more."""
        names = [name for doubted, name in self.doubts if doubted == location]
        for name in names:
            del self.doubts[location, name]
        if holds:
            self.awaited.difference_update(names)
            self._add(location)

    def _add(self, location: str) -> None:
        host = host_of(location)
        count = self.of_address.get(host, 0)
        if (
            location not in self.locations
            and len(self.locations) < GATHERED_MAX
            and count < GATHERED_SHARE
        ):
            self.locations[location] = None
            self.of_address[host] = count + 1

    @property
    def is_to_be_repeated(self) -> bool:
        """
        Whether the request that was sent a while ago is to be sent again.

        It is for those who have not answered; where nobody knows who they are, it
        is for as long as it brings something new: all whom it reaches answer again.
        """
        return self.peers_known or not self.locations or len(self.locations) > self.located

    def repeated(self) -> None:
        """The request is sent again now."""
        self.located = len(self.locations)


def make_tag() -> str:
    """One that nobody guesses, new each time."""
    return secrets.token_hex(TAG_BYTES)


class Searches:
    """All searches of one supernode, the peers it has heard, and its memory of misses."""

    def __init__(self, name: str, timeout: float, lonely_timeout: float = LONELY_TIMEOUT) -> None:
        """
        `name` is this supernode's own; `timeout` (seconds) bounds every search, and
        `lonely_timeout` that of one who has heard of nobody.
        """
        self._name = name
        self._timeout = timeout
        self._lonely_timeout = min(timeout, lonely_timeout)
        self._by_tag: dict[str, Search] = {}
        self._by_question: dict[tuple[str, bool], Search] = {}
        self._peers: OrderedDict[str, float] = OrderedDict()
        self._misses: OrderedDict[str, float] = OrderedDict()
        #: Peers that answer with our tags, so that what they say without is not for us.
        self._tagging: OrderedDict[str, None] = OrderedDict()
        #: By id, when the last search ended and who had said no; the oldest first.
        self._ended: OrderedDict[str, tuple[float, set[str]]] = OrderedDict()
        #: When untagged replies last came that nobody could look into, by sender, the oldest
        #: first; and the last of those whose senders are forgotten.
        self._unchecked: OrderedDict[str, float] = OrderedDict()
        self._unchecked_others = float("-inf")
        self._bucket = TokenBucket(MISS_RATE, MISS_BURST)

    def __len__(self) -> int:
        return len(self._by_tag)

    def is_for_supernodes(self, message: FoundReply) -> bool:
        """Whether it answers a search for supernodes, which only a tag can say."""
        search = self._by_tag.get(message.tag or "")
        return search is not None and search.id == SUPERNODE_ID

    def peers(self, now: float) -> list[str]:
        """The supernodes heard from in the last minute."""
        while self._peers and next(iter(self._peers.values())) <= now - PEER_MEMORY:
            self._peers.popitem(last=False)
        return list(self._peers)

    # -- asking

    def is_known_miss(self, id: str, now: float) -> bool:
        return self._misses.get(id, now) > now

    def joined(self, id: str, everyone: bool) -> Search | None:
        """The search under way that asks just this."""
        return self._by_question.get((id, everyone))

    def begin(self, id: str, everyone: bool, now: float) -> Search | None:
        """A new search; None where too much is being asked already."""
        if len(self._by_tag) >= SEARCHES_MAX or not self._bucket.take(now):
            return None
        peers = self.peers(now)
        timeout = self._timeout if peers else self._lonely_timeout
        tag = make_tag()
        known = 0 < len(peers) <= AWAITED_MAX
        search = Search(id, tag, everyone, known, set(peers) if known else set(), timeout, now)
        self._by_tag[search.tag] = search
        self._by_question[(id, everyone)] = search
        return search

    def end(self, search: Search, now: float) -> bool:
        """Close a search; False where it had ended already."""
        if self._by_tag.pop(search.tag, None) is None:
            return False
        del self._by_question[(search.id, search.everyone)]
        if search.id != SUPERNODE_ID:
            self._ended[search.id] = now, search.denied
            self._ended.move_to_end(search.id)
            if len(self._ended) > ENDED_MAX:
                self._ended.popitem(last=False)
        if search.locations:
            self._bucket.give_back()
            self._misses.pop(search.id, None)
        elif search.id != SUPERNODE_ID and not self.is_in_doubt(search):
            self._misses[search.id] = now + MISS_MEMORY
            self._misses.move_to_end(search.id)
            if len(self._misses) > MISSES_MAX:
                self._misses.popitem(last=False)
        return True

    # -- being answered

    def heard(self, message: SearchRequest | FoundReply | NotFoundReply, now: float) -> None:
        """
        Note that the sender is a supernode, where the message shows it.

        Whoever answers is one, and whoever asks; only a node that looks for
        a supernode asks too, and does so under a name that is not a UUID.
        """
        # Else each could be denied by as many made-up names as a search that is under way.
        self._forget_ended(now)
        if (
            isinstance(message, SearchRequest)
            and message.id == SUPERNODE_ID
            and not _UUID.fullmatch(message.name)
        ):
            return
        self._peers[message.name] = now
        self._peers.move_to_end(message.name)
        if len(self._peers) > PEERS_MAX:
            self._peers.popitem(last=False)

    def found(self, message: FoundReply) -> Search | None:
        """Credit a tagged found reply to the search it answers; returns that, if there is one."""
        search = self._by_tag.get(message.tag or "")
        if search is not None:
            self._tags(message.name)
            search.credit(message.locations, message.name)
        return search

    def not_found(self, message: NotFoundReply) -> list[Search]:
        """Credit a not-found reply to the searches it answers; returns them."""
        if message.tag is not None:
            search = self._by_tag.get(message.tag)
            searches = [search] if search is not None and search.id == message.id else []
            if searches:
                self._tags(message.name)
        else:
            searches = self.of(message.id)
            _, denied = self._ended.get(message.id, (0.0, set[str]()))
            if len(denied) < DENIED_MAX:
                denied.add(message.name)
        for search in searches:
            search.deny(message.name)
        return searches

    def _forget_ended(self, now: float) -> None:
        while self._ended and next(iter(self._ended.values()))[0] <= now - LATE:
            self._ended.popitem(last=False)

    def of(self, id: str) -> list[Search]:
        """All searches for an id."""
        both = (self.joined(id, everyone) for everyone in (False, True))
        return [search for search in both if search is not None]

    def _tags(self, name: str) -> None:
        self._tagging[name] = None
        self._tagging.move_to_end(name)
        if len(self._tagging) > PEERS_MAX:
            self._tagging.popitem(last=False)

    # -- being answered without a tag: a found doesn't say what it is about

    def candidates(self, name: str) -> Iterator[Search]:
        """
        What an untagged found of that peer may be about: the searches for resources, the
        oldest first, to which it hasn't said no. None where it has answered with our tags:
        then what it says without them is for others.

        A search for supernodes doesn't count: whoever knows its id knows tags.
        """
        if name in self._tagging:
            return
        for search in self._by_question.values():
            if search.id != SUPERNODE_ID and name not in search.denied:
                yield search

    def only_candidates(self, name: str, now: float) -> list[Search]:
        """
        The searches for one id that an untagged found of that peer must be about; none where
        it may be about several ids, be they of searches that ended a moment ago.
        """
        # There can be two for one id.
        candidates = list(islice(self.candidates(name), 3))
        if len({search.id for search in candidates}) != 1:
            return []
        self._forget_ended(now)
        for id, (_, denied) in self._ended.items():
            if id != candidates[0].id and name not in denied:
                return []
        return candidates

    def confirmed(self, id: str, location: str, holds: bool) -> list[Search]:
        """A location has said whether it has that; returns the searches for it."""
        searches = self.of(id)
        for search in searches:
            search.settle(location, holds)
        return searches

    def unchecked(self, name: str, now: float) -> None:
        """An untagged found of that peer can't be looked into: who knows what it is about."""
        self._unchecked[name] = now
        self._unchecked.move_to_end(name)
        if len(self._unchecked) > PEERS_MAX:
            _, self._unchecked_others = self._unchecked.popitem(last=False)

    def is_in_doubt(self, search: Search) -> bool:
        """Whether an untagged found may be its answer, or may have been."""
        if search.id == SUPERNODE_ID:
            return False
        if search.doubts or search.began <= self._unchecked_others:
            return True
        for name, at in reversed(self._unchecked.items()):
            if at < search.began:
                return False
            if name not in search.denied:
                return True
        return False
