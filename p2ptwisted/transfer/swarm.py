"""
The swarm of one resource: its holders looked up, asked which pieces they have, and kept
apart where they disagree about the pieces' digests.

Whoever likes can say that he has it. So what counts are addresses and not their
ports, and how many are asked, and how much of what they say is kept, is bounded.
"""

import math
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2ptwisted.client.api import Client
from p2ptwisted.client.transport import Refused
from p2ptwisted.errors import Nonsense, Unavailable
from p2ptwisted.model import Holders
from p2ptwisted.pieces import Pieces, every_piece
from p2ptwisted.support.round_robin import host_of, in_turns, share_of

#: Holders of one look-up that are asked.
LOOKUP_HOLDERS_MAX = 64

#: Holders asked in all, however long the download is: whom a supernode makes up costs a call
#: each.
ASKED_MAX = 256

#: Holders of one address that are asked at once: an answer has up to 8 MiB, and 2 s.
ASKING_AT_ONCE = 4

#: Versions of the pieces that are remembered at once; each can have 4 MiB of digests.
GROUPS_MAX = 16

#: How often one holder may say something else of the pieces than before, or nonsense: a node that
#: has a part may once have been wrong itself.
CHANGES_MAX = 3

WRONG_DIGESTS = "its piece digests are not this resource's"

_log = Logger()


@dataclass(eq=False)
class HolderGroup:
    """Holders that say the same of the pieces, and the set of pieces that each of them has."""

    pieces: Pieces
    has: dict[str, int] = field(default_factory=dict)
    #: When it may be tried again after it gave nothing.
    rests_until: float = -math.inf

    @property
    def hosts(self) -> set[str]:
        """The addresses that vouch for it."""
        return set(map(host_of, self.has))


class Swarm:
    """The holders that can be asked for one resource."""

    def __init__(
        self,
        client: Client,
        id: str,
        find: Callable[[bool], Awaitable[Holders]],
        changed: Callable[[], None],
    ) -> None:
        """`find` is Download's. `changed` is called after every answer."""
        self._client = client
        self._id = id
        self._find = find
        self._changed = changed
        self._groups: list[HolderGroup] = []
        self._asking: dict[str, Deferred[None]] = {}
        #: By address, what bounds the questions to it.
        self._semaphores: dict[str, DeferredSemaphore] = {}
        self.name: str | None = None
        #: Why a holder is not asked, by location.
        self.troubles: dict[str, str] = {}
        self._distrusted: set[str] = set()
        #: By location, the hash of what it said last of the pieces, and how often it has said
        #: something else than before, or nonsense.
        self._said: dict[str, int] = {}
        self._changes: Counter[str] = Counter()
        #: All that were ever asked, and how many of each address.
        self._asked: set[str] = set()
        self._asked_at: Counter[str] = Counter()

    async def look_up(self, here: bool = False) -> bool:
        """
        Look the holders up and ask those that are new; False if there are none.

        `here`: only those that are registered at the own supernode. Raises Unavailable.
        """
        holders = await self._find(here)
        self.name = self.name or holders.name
        known = self._distrusted.union(*(group.has for group in self._groups))
        for location in in_turns([*holders.locations, *holders.partial], LOOKUP_HOLDERS_MAX):
            if location not in known and self._may_ask(location):
                self._ask(location)
        return bool(holders.locations or holders.partial)

    def _may_ask(self, location: str) -> bool:
        if location not in self._asked:
            host = host_of(location)
            if len(self._asked) >= ASKED_MAX or self._asked_at[host] >= share_of(ASKED_MAX):
                return False
            self._asked.add(location)
            self._asked_at[host] += 1
        return True

    def poll(self, group: HolderGroup) -> None:
        """Ask those who have only a part whether it has grown."""
        every = every_piece(group.pieces.count)
        for location, has in group.has.items():
            if has != every:
                self._ask(location)

    # -- groups

    def ranked(self) -> list[HolderGroup]:
        """
        All groups that somebody vouches for, the one that the most addresses do first.

        An address that vouches for several, of which no more than one can be right, counts in
        parts; ports decide only between equals.
        """
        used = [group for group in self._groups if group.has]
        if len(used) < 2:
            return used
        backed = Counter(host for group in used for host in group.hosts)

        def rank(group: HolderGroup) -> tuple[float, int]:
            return sum(1 / backed[host] for host in group.hosts), len(group.has)

        return sorted(used, key=rank, reverse=True)

    def knows(self, group: HolderGroup) -> bool:
        """Whether that group still exists, even if nobody vouches for it any more."""
        return group in self._groups

    @property
    def asking(self) -> bool:
        """Whether some holders have yet to answer."""
        return bool(self._asking)

    def discard(self, group: HolderGroup, reason: str) -> None:
        """Distrust all of a group, which has lied: keep the reason, and don't ask them again."""
        if group in self._groups:
            self._groups.remove(group)
        for location in group.has:
            self.distrust(location, reason)

    def confirm(self, group: HolderGroup) -> None:
        """Distrust whoever says otherwise than this group, which is right."""
        for other in list(self._groups):
            if other is not group:
                self.discard(other, WRONG_DIGESTS)

    def distrust(self, location: str, reason: str) -> None:
        """Never ask or count a holder again that has lied or sent what is wrong."""
        self._distrusted.add(location)
        self.troubles[location] = reason
        for group in self._groups:
            group.has.pop(location, None)

    def stop(self) -> None:
        """Cancel all questions."""
        for asking in list(self._asking.values()):
            asking.cancel()

    # -- asking

    def _ask(self, location: str) -> None:
        if location in self._asking:
            return

        def done(result: object) -> None:
            del self._asking[location]
            if isinstance(result, Failure) and not result.check(CancelledError):
                _log.failure("Asking {location} failed", failure=result, location=location)
            self._changed()

        asking = self._asking[location] = Deferred.fromCoroutine(self._ask_pieces(location))
        asking.addBoth(done)

    async def _ask_pieces(self, location: str) -> None:
        host = host_of(location)
        semaphore = self._semaphores.setdefault(host, DeferredSemaphore(ASKING_AT_ONCE))
        await semaphore.acquire()
        try:
            pieces, has = await self._client.pieces(location, self._id)
        except (Refused, Unavailable) as error:
            # Why a holder is distrusted stays.
            if location not in self._distrusted:
                self.troubles[location] = str(error)
                if isinstance(error, Nonsense):
                    # It may be megabytes: don't ask for them at each look-up for ever.
                    self._change(location, str(error))
            return
        finally:
            semaphore.release()
        if location not in self._distrusted:
            self._answered(location, pieces, has)

    def _answered(self, location: str, pieces: Pieces, has: int) -> None:
        """Put a holder into the group of those that say the same."""
        if pieces.known_id not in (None, self._id):
            self.distrust(location, WRONG_DIGESTS)
            return
        self.troubles.pop(location, None)
        before = next((group for group in self._groups if location in group.has), None)
        if before is not None and before.pieces == pieces:
            before.has[location] = has
            return
        if before is not None:
            del before.has[location]
        said = hash(pieces)
        if self._said.setdefault(location, said) != said:
            # It counts even if the group of what it said before was forgotten.
            self._said[location] = said
            self._change(location, "it says something else of the pieces each time")
            if location in self._distrusted:
                return
        for group in self._groups:
            if group.pieces == pieces:
                group.has[location] = has
                return
        self._groups.append(HolderGroup(pieces, {location: has}))
        self._keep_to_bound()

    def _change(self, location: str, reason: str) -> None:
        """Count that it said something else, or nonsense; distrust it after a few times."""
        self._changes[location] += 1
        if self._changes[location] > CHANGES_MAX:
            self.distrust(location, reason)

    def _keep_to_bound(self) -> None:
        """Forget the group that the fewest vouch for, where there are too many."""
        if len(self._groups) <= GROUPS_MAX:
            return
        ranked = self.ranked()
        unused = (group for group in self._groups if not group.has)
        last = next(unused, ranked[-1])
        self._groups.remove(last)
        for location in last.has:
            self.troubles[location] = "holders say too many different things of the pieces"
