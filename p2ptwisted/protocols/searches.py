"""
The searches that are under way in the overlay: which question each is, who
has yet to answer, and when it has ended. Pure; time is an argument.

The sockets, timers and Deferreds around it are in `multicast`.
"""

import re
import secrets
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from p2ptwisted.bucket import TokenBucket
from p2ptwisted.model import SUPERNODE_ID
from p2ptwisted.protocols.wire import Found, NotFound, Request

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

#: Locations gathered by one search.
GATHERED_MAX = 1_000

#: Requests a second that may find nothing, and how many at once: a miss wakes
#: every supernode of the group for about 0.1 ms. A request that is answered
#: gives its token back, so only unknown ids are held up.
MISS_RATE, MISS_BURST = 500, 1_000

#: Seconds that a supernode waits where no other has been heard of.
LONELY_TIMEOUT = 0.1

#: When a request is sent again, in parts of the search's time: what crosses the
#: network with one datagram in ten lost each way is then missed once in 4,000 times.
REPEATS = (0.1, 0.3, 0.5, 0.7)

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
    #: A set that keeps its order.
    locations: dict[str, None] = field(default_factory=dict)
    #: How many there were when the request was last sent.
    located: int = 0

    @property
    def is_over(self) -> bool:
        """Whether nothing more need be waited for."""
        if self.locations and not self.everyone:
            return True
        return self.peers_known and not self.awaited

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
        self._bucket = TokenBucket(MISS_RATE, MISS_BURST)

    def __len__(self) -> int:
        return len(self._by_tag)

    def is_for_supernodes(self, message: Found) -> bool:
        """Whether it answers a search for supernodes, which only a tag can say."""
        search = self._by_tag.get(message.tag or "")
        return search is not None and search.id == SUPERNODE_ID

    def outstanding_ids(self) -> Iterator[str]:
        """The ids of the resources that are being searched for, each once, the oldest first."""
        told = {SUPERNODE_ID}
        for id, _ in self._by_question:
            if id not in told:
                told.add(id)
                yield id

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
        search = Search(id, tag, everyone, known, set(peers) if known else set(), timeout)
        self._by_tag[search.tag] = search
        self._by_question[(id, everyone)] = search
        return search

    def end(self, search: Search, now: float) -> bool:
        """Close a search; False where it had ended already."""
        if self._by_tag.pop(search.tag, None) is None:
            return False
        del self._by_question[(search.id, search.everyone)]
        if search.locations:
            self._bucket.give_back()
        elif search.id != SUPERNODE_ID:
            self._misses[search.id] = now + MISS_MEMORY
            self._misses.move_to_end(search.id)
            if len(self._misses) > MISSES_MAX:
                self._misses.popitem(last=False)
        return True

    # -- being answered

    def heard(self, message: Request | Found | NotFound, now: float) -> None:
        """
        Note that the sender is a supernode, where the message shows it.

        Whoever answers is one, and whoever asks; only a node that looks for
        a supernode asks too, and does so under a name that is not a UUID.
        """
        if (
            isinstance(message, Request)
            and message.id == SUPERNODE_ID
            and not _UUID.fullmatch(message.name)
        ):
            return
        self._peers[message.name] = now
        self._peers.move_to_end(message.name)
        if len(self._peers) > PEERS_MAX:
            self._peers.popitem(last=False)

    def found(self, message: Found) -> Search | None:
        """
        Credit a found reply to the search it answers; returns that search.

        None where it answers none, or where nothing tells which: an untagged
        reply is believed only while there is exactly one search. A search for
        supernodes doesn't count: whoever knows its id knows tags.
        """
        search = self._only_one() if message.tag is None else self._by_tag.get(message.tag)
        if search is not None:
            self._credit(search, message)
        return search

    def confirmed(self, id: str, message: Found) -> list[Search]:
        """Credit an untagged reply to every search for an id that its location has."""
        searches = self._of(id)
        for search in searches:
            self._credit(search, message)
        return searches

    def not_found(self, message: NotFound) -> list[Search]:
        """Credit a not-found reply to the searches it answers; returns them."""
        if message.tag is not None:
            search = self._by_tag.get(message.tag)
            searches = [search] if search is not None and search.id == message.id else []
        else:
            searches = self._of(message.id)
        for search in searches:
            search.awaited.discard(message.name)
        return searches

    def _of(self, id: str) -> list[Search]:
        """All searches for an id."""
        both = (self.joined(id, everyone) for everyone in (False, True))
        return [search for search in both if search is not None]

    def _only_one(self) -> Search | None:
        """The search for a resource, where there is just one."""
        calls = len(self._of(SUPERNODE_ID))
        if len(self._by_tag) - calls != 1:
            return None
        return next(one for one in self._by_tag.values() if one.id != SUPERNODE_ID)

    def _credit(self, search: Search, message: Found) -> None:
        search.awaited.discard(message.name)
        for location in message.locations:
            if len(search.locations) < GATHERED_MAX:
                search.locations[location] = None
