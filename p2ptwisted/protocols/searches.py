"""
All searches of one supernode in the overlay: which are under way, which reply
belongs to which, which peers are known, and what was not found a moment ago.
Pure; time is an argument.

One search is in `search`; the sockets, timers and Deferreds are in `multicast`.
"""

import re
import secrets
from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice

from p2ptwisted.model import SUPERNODE_ID
from p2ptwisted.protocols.datagrams import FoundReply, NotFoundReply, SearchRequest
from p2ptwisted.protocols.search import DENIED_MAX, Search
from p2ptwisted.support.expiring import BoundedDict, ExpiringDict
from p2ptwisted.support.rate_limit import TokenBucket

#: Seconds for which a supernode counts as present after it was last heard.
PEER_MEMORY = 60.0

#: Supernodes remembered at most; only a flood of made-up names gets there.
PEERS_MAX = 1_000

#: Supernodes whose answers a search awaits; if more are known it lasts until its timeout.
AWAITED_MAX = 100

#: Seconds for which a miss is remembered, and how many are.
MISS_MEMORY = 1.0
MISSES_MAX = 10_000

#: Searches under way at once.
SEARCHES_MAX = 4_096

#: Searches a second that may find nothing, and how many at once: a miss wakes
#: every supernode of the group for about 0.1 ms. A search that finds something
#: gives its token back, so only searches for unknown ids are held up.
MISS_RATE, MISS_BURST = 500, 1_000

#: Seconds that a search takes at most if no other supernode has been heard.
NO_PEERS_TIMEOUT = 0.1

#: When a request is sent again, in parts of the search's timeout: on a network that loses one
#: datagram in ten each way, an answer is then missed once in 4,000 times.
REPEATS = (0.1, 0.3, 0.5, 0.7)

#: Seconds after the end of a search in which a reply to it may still come, without a tag;
#: and searches that are remembered for that.
LATE, ENDED_MAX = 1.0, 1_000

#: Bytes of a tag. It is all that a reply proves itself with, so it must not be guessed.
TAG_BYTES = 8

_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE | re.ASCII)


def make_tag() -> str:
    """Returns a new tag that nobody can guess."""
    return secrets.token_hex(TAG_BYTES)


class Searches:
    """All searches of one supernode, the peers it has heard, and its memory of misses."""

    def __init__(
        self, name: str, timeout: float, no_peers_timeout: float = NO_PEERS_TIMEOUT
    ) -> None:
        """
        `name` is this supernode's own; `timeout` (seconds) bounds every search, and
        `no_peers_timeout` every search while no peer is known.
        """
        self._name = name
        self._timeout = timeout
        self._no_peers_timeout = min(timeout, no_peers_timeout)
        self._by_tag: dict[str, Search] = {}
        self._by_question: dict[tuple[str, bool], Search] = {}
        self._peers: ExpiringDict[str, None] = ExpiringDict(PEERS_MAX, PEER_MEMORY)
        self._misses: ExpiringDict[str, None] = ExpiringDict(MISSES_MAX, MISS_MEMORY)
        #: Peers that answer with our tags, so that what they say without is not for us.
        self._tagging: BoundedDict[str, None] = BoundedDict(PEERS_MAX)
        #: By id, who had said no when the last search ended.
        self._ended: ExpiringDict[str, set[str]] = ExpiringDict(ENDED_MAX, LATE)
        #: When untagged replies last came that nobody could look into, by sender, the oldest
        #: first; and the last of those whose senders are forgotten.
        self._unchecked: OrderedDict[str, float] = OrderedDict()
        self._unchecked_others = float("-inf")
        self._bucket = TokenBucket(MISS_RATE, MISS_BURST)

    def __len__(self) -> int:
        return len(self._by_tag)

    def is_for_supernodes(self, message: FoundReply) -> bool:
        """Whether the message answers a search for supernodes, which only its tag can say."""
        search = self._by_tag.get(message.tag or "")
        return search is not None and search.id == SUPERNODE_ID

    def peers(self, now: float) -> list[str]:
        """Returns the names of the supernodes heard within PEER_MEMORY."""
        self._peers.expire(now)
        return list(self._peers)

    # -- asking

    def is_known_miss(self, id: str, now: float) -> bool:
        """Whether a search for `id` found nothing a moment ago (MISS_MEMORY)."""
        self._misses.expire(now)
        return id in self._misses

    def joined(self, id: str, everyone: bool) -> Search | None:
        """Returns the search under way that asks just this, if there is one."""
        return self._by_question.get((id, everyone))

    def begin(self, id: str, everyone: bool, now: float) -> Search | None:
        """Returns a new search; None if too many are under way or find nothing."""
        if len(self._by_tag) >= SEARCHES_MAX or not self._bucket.take(now):
            return None
        peers = self.peers(now)
        timeout = self._timeout if peers else self._no_peers_timeout
        tag = make_tag()
        known = 0 < len(peers) <= AWAITED_MAX
        search = Search(id, tag, everyone, known, set(peers) if known else set(), timeout, now)
        self._by_tag[search.tag] = search
        self._by_question[(id, everyone)] = search
        return search

    def end(self, search: Search, now: float) -> bool:
        """Close a search. Returns False if it had ended already."""
        if self._by_tag.pop(search.tag, None) is None:
            return False
        del self._by_question[(search.id, search.everyone)]
        if search.id != SUPERNODE_ID:
            self._ended.set(search.id, search.denied, now)
        if search.locations:
            self._bucket.give_back()
            self._misses.discard(search.id)
        elif search.id != SUPERNODE_ID and not self.is_in_doubt(search):
            self._misses.set(search.id, None, now)
        return True

    # -- being answered

    def heard(self, message: SearchRequest | FoundReply | NotFoundReply, now: float) -> None:
        """
        Note that the sender is a supernode, if the message shows that.

        Whoever answers or asks is a supernode. The exception is a node that looks for a
        supernode: it asks under a name that is not a UUID.
        """
        # Otherwise each could gather as many made-up names that say no as a search under way.
        self._ended.expire(now)
        if (
            isinstance(message, SearchRequest)
            and message.id == SUPERNODE_ID
            and not _UUID.fullmatch(message.name)
        ):
            return
        self._peers.set(message.name, None, now)

    def found(self, message: FoundReply) -> Search | None:
        """Credit a tagged found reply to the search that it answers, and return that, if any."""
        search = self._by_tag.get(message.tag or "")
        if search is not None:
            self._tags(message.name)
            search.credit(message.locations, message.name)
        return search

    def not_found(self, message: NotFoundReply) -> list[Search]:
        """Credit a not-found reply to the searches that it answers, and return them."""
        if message.tag is not None:
            search = self._by_tag.get(message.tag)
            searches = [search] if search is not None and search.id == message.id else []
            if searches:
                self._tags(message.name)
        else:
            searches = self.of(message.id)
            denied = self._ended.get(message.id, set[str]())
            if len(denied) < DENIED_MAX:
                denied.add(message.name)
        for search in searches:
            search.deny(message.name)
        return searches

    def of(self, id: str) -> list[Search]:
        """Returns the searches under way for an id: none, one or two."""
        both = (self.joined(id, everyone) for everyone in (False, True))
        return [search for search in both if search is not None]

    def _tags(self, name: str) -> None:
        self._tagging[name] = None

    # -- being answered without a tag: a found reply then doesn't say what it is about

    def candidates(self, name: str) -> Iterator[Search]:
        """
        Returns the searches that an untagged found reply of that peer may be about.

        These are the searches for resources, the oldest first, to which it hasn't said no. If
        it has answered with our tags there are none: what it says without them is for others.
        A search for supernodes doesn't count: whoever knows the reserved id knows tags.
        """
        if name in self._tagging:
            return
        for search in self._by_question.values():
            if search.id != SUPERNODE_ID and name not in search.denied:
                yield search

    def only_candidates(self, name: str, now: float) -> list[Search]:
        """
        Returns the searches that an untagged found reply of that peer must be about.

        There are none if it may be about several ids, of which some may be those of searches
        that ended a moment ago.
        """
        # There can be two searches for one id.
        candidates = list(islice(self.candidates(name), 3))
        if len({search.id for search in candidates}) != 1:
            return []
        self._ended.expire(now)
        for id, denied in self._ended.items():
            if id != candidates[0].id and name not in denied:
                return []
        return candidates

    def confirmed(self, id: str, location: str, holds: bool) -> list[Search]:
        """Note whether a location holds `id`, as it said, and return the searches for that."""
        searches = self.of(id)
        for search in searches:
            search.settle(location, holds)
        return searches

    def unchecked(self, name: str, now: float) -> None:
        """Note that an untagged found reply of that peer can't be checked: it may be anything."""
        self._unchecked[name] = now
        self._unchecked.move_to_end(name)
        if len(self._unchecked) > PEERS_MAX:
            _, self._unchecked_others = self._unchecked.popitem(last=False)

    def is_in_doubt(self, search: Search) -> bool:
        """Whether an untagged found reply may be the answer to the search, or have been it."""
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
