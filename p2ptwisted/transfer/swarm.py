"""
The swarm of one resource: its holders looked up and met, asked what they say of the pieces, and
kept apart where they disagree about the pieces' digests.

A download talks to a bounded number of holders, its neighbors, however many there are; each
answer names others. Whoever likes can say that he has it. So what counts are addresses and not
their ports, and how much of what they say is kept is bounded.
"""

import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from random import Random

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2ptwisted.client.api import Client
from p2ptwisted.client.transport import Refused
from p2ptwisted.errors import Busy, Nonsense, Unavailable
from p2ptwisted.model import Holders
from p2ptwisted.pieces import HolderState, Pieces
from p2ptwisted.support.lifecycle import Wakeup
from p2ptwisted.support.round_robin import host_of, in_turns
from p2ptwisted.transfer.candidates import Candidates

#: Holders that are talked to at once, so that what it costs to hear their news doesn't grow with
#: the swarm: those that were chosen, and those that came themselves. Who comes is asked in return,
#: or else those that begin late would be asked by nobody. While holders disagree about the pieces
#: so many more are asked, for it counts how many say what; and so many are taken of one look-up.
CHOSEN_MAX, CAME_MAX, DISPUTED_MAX = 12, 12, 64

#: Holders of one address that are asked at once: an answer has up to 8 MiB.
ASKING_AT_ONCE = 16

#: Seconds for which a holder may hold back its answer until it has news. One that has not answered
#: for ANSWER_PATIENCE keeps no place from others.
NEWS_WAIT, ANSWER_PATIENCE = 10.0, 1.0

#: Holders that are asked for the manifest at once while none is known, and seconds until all others
#: are asked, too: those that many nodes ask first would else send it a dozen times to each.
#: (Simulated, 256 MiB to 200 nodes: 10 manifests came to each, most from the same dozen.)
MANIFESTS_AT_ONCE, MANIFEST_PATIENCE = 2, 0.25

#: Seconds until a holder is asked again that named others instead of sending the manifest: each
#: time, unless it has come from them; then that holder has failed.
BUSY_PAUSES = (0.25, 0.5, 1.0, 2.0, 4.0)

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
        """The addresses that vouch for it: those that have a piece that is as it says."""
        return {host_of(location) for location, pieces in self.has.items() if pieces}


class Swarm:
    """The holders that can be asked for one resource."""

    def __init__(
        self,
        clock: IReactorTime,
        client: Client,
        id: str,
        find: Callable[[bool], Awaitable[Holders]],
        changed: Callable[[], None],
        random: Random | None = None,
    ) -> None:
        """`find` is Download's. `changed` is called after every answer."""
        self._clock = clock
        self._client = client
        self._id = id
        self._find = find
        self._changed = changed
        self._candidates = Candidates(random)
        self._groups: list[HolderGroup] = []
        #: Who has yet to answer, since when it has been asked.
        self._asking: dict[str, tuple[float, Deferred[None]]] = {}
        #: How many have been asked for the manifest and not answered; fires when one has.
        self._manifests_asked = 0
        self._manifest_answered = Wakeup(clock)
        #: By address, what bounds the questions to it.
        self._semaphores: dict[str, DeferredSemaphore] = {}
        self.name: str | None = None
        #: Whether other nodes fetch it too, as far as is known.
        self.is_shared = False
        #: Why a holder is not asked, by location.
        self.troubles: dict[str, str] = {}
        self._distrusted: set[str] = set()
        #: By location, the tag of what it said last of the pieces, and how often it has said
        #: something else than before, or nonsense.
        self._said: dict[str, str] = {}
        self._changes: Counter[str] = Counter()
        self._is_stopped = False
        #: Of the neighbors, those that came themselves.
        self._came: set[str] = set()

    # -- meeting holders

    async def look_up(self, here: bool = False) -> bool:
        """
        Look the holders up and ask some that are new; False if there are none.

        `here`: only those that are registered at the own supernode. Raises Unavailable.
        """
        holders = await self._find(here)
        self.name = self.name or holders.name
        self.is_shared |= bool(holders.partial)
        for location in in_turns([*holders.locations, *holders.partial], DISPUTED_MAX):
            self._candidates.add(location)
        self.fill()
        return bool(holders.locations or holders.partial)

    def meet(self, locations: Iterable[str], source: str) -> None:
        """Hear of other nodes that fetch it, from the address `source`."""
        for location in locations:
            self.is_shared = True
            self._candidates.add(location, source)
        self.fill()

    def came(self, location: str, source: str) -> None:
        """Hear of a node that asks for what has come here, from the address `source`."""
        self.is_shared = True
        self._candidates.add(location, source)
        if self._is_stopped:
            return
        came = sum(1 for one in (*self.neighbors, *self._asking) if one in self._came)
        # Anybody can come, and takes no place of those that are chosen.
        if came < CAME_MAX and self._candidates.take_this(location, self._clock.seconds()):
            self._came.add(location)
            self._ask(location)
        self.fill()

    def fill(self) -> None:
        """Ask others as long as there are fewer neighbors than there may be."""
        if self._is_stopped:
            return
        for _ in range(min(self._places(), DISPUTED_MAX - len(self._asking))):
            location = self._candidates.take(self._clock.seconds())
            if location is None:
                return
            self._came.discard(location)  # It is chosen now, whatever became of it before.
            self._ask(location)

    def _places(self) -> int:
        """How many more may be chosen."""
        patient = self._clock.seconds() - ANSWER_PATIENCE
        asking = [at for at, (since, _) in self._asking.items() if since > patient]
        taken = [*self.neighbors, *asking]
        if len(self.ranked()) > 1:
            return DISPUTED_MAX - len(taken)
        chosen = sum(1 for location in taken if location not in self._came)
        return CHOSEN_MAX - chosen

    @property
    def neighbors(self) -> list[str]:
        """The locations of all that have said what they have."""
        return [location for group in self._groups for location in group.has]

    @property
    def others_wait(self) -> bool:
        """Whether there are holders that are no neighbors and could be."""
        return self._candidates.are_waiting(self._clock.seconds())

    def leave(self, group: HolderGroup, location: str, failed: bool = False) -> None:
        """Talk to a neighbor no more, because it `failed` or so that another can come."""
        self._came.discard(location)
        if group.has.pop(location, None) is not None:
            self._candidates.left(location, self._clock.seconds(), failed)

    async def news(self, group: HolderGroup, location: str) -> None:
        """Wait until a neighbor has got more, or for NEWS_WAIT. Raises Refused and Unavailable."""
        since = group.has.get(location, 0).bit_count()
        try:
            state = await self._client.pieces(location, self._id, [group.pieces], since, NEWS_WAIT)
        except Nonsense as error:
            self._change(location, str(error))
            raise
        self._take(location, state)
        self._changed()

    def told(self, group: HolderGroup, location: str, state: HolderState) -> None:
        """Take what a neighbor says beside the pieces that it sends."""
        if location in group.has:
            group.has[location] = state.have
        self.meet(state.neighbors, host_of(location))

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
        self._candidates.reject(location)
        self.troubles[location] = reason
        for group in self._groups:
            group.has.pop(location, None)

    def stop(self) -> None:
        """Cancel all questions, and ask nobody any more."""
        self._is_stopped = True
        for _, asking in list(self._asking.values()):
            asking.cancel()

    # -- asking

    def _ask(self, location: str) -> None:
        def done(result: object) -> None:
            del self._asking[location]
            if isinstance(result, Failure) and not result.check(CancelledError):
                _log.failure("Asking {location} failed", failure=result, location=location)
            self._changed()

        asking = Deferred.fromCoroutine(self._ask_pieces(location))
        self._asking[location] = self._clock.seconds(), asking
        asking.addBoth(done)

    async def _ask_pieces(self, location: str) -> None:
        for pause in (0.0, *BUSY_PAUSES):
            await self._wait(pause, lambda: False)
            await self._wait(MANIFEST_PATIENCE, lambda: self._manifests_asked < MANIFESTS_AT_ONCE)
            try:
                await self._ask_once(location)
            except Busy as error:
                busy = error
                self.meet(busy.neighbors, host_of(location))
            else:
                return
        self._failed(location, busy)

    async def _ask_once(self, location: str) -> None:
        """Ask a holder what it has. Raises Busy where others are to be asked for the manifest."""
        host = host_of(location)
        semaphore = self._semaphores.setdefault(host, DeferredSemaphore(ASKING_AT_ONCE))
        await semaphore.acquire()
        known = [group.pieces for group in self._groups]
        self._manifests_asked += not known
        try:
            # A node that has just begun answers when it has something.
            state = await self._client.pieces(location, self._id, known, 0, NEWS_WAIT)
        except Busy:
            raise
        except (Refused, Unavailable) as error:
            self._failed(location, error)
        else:
            self._take(location, state)
        finally:
            semaphore.release()
            self._manifests_asked -= not known
            self._manifest_answered.fire()

    def _failed(self, location: str, error: Refused | Unavailable) -> None:
        """Note that a holder didn't say what it has."""
        self._candidates.left(location, self._clock.seconds(), failed=True)
        # Why a holder is distrusted stays.
        if location not in self._distrusted:
            self.troubles[location] = str(error)
            if isinstance(error, Nonsense):
                self._change(location, str(error))

    async def _wait(self, seconds: float, may_ask: Callable[[], bool]) -> None:
        """Wait until a manifest is known, or another may be asked for, or for so many seconds."""
        until = self._clock.seconds() + seconds
        while not self._groups and not may_ask() and (left := until - self._clock.seconds()) > 0:
            await self._manifest_answered.wait(left)

    def _take(self, location: str, state: HolderState) -> None:
        """Take what a holder says."""
        if location not in self._distrusted:
            self._candidates.answered(location)
            self._answered(location, state.pieces, state.have)
        if location not in self._distrusted:
            self.meet(state.neighbors, host_of(location))

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
        said = pieces.tag
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
        # It may be megabytes each time: don't ask for them again and again for ever.
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
            self._candidates.left(location, self._clock.seconds(), failed=True)
            self.troubles[location] = "holders say too many different things of the pieces"
