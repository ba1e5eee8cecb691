"""
What a supernode does when it is asked: it takes registrations, and searches its
own registry and the other supernodes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Network

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from p2ptwisted.client.api import Client
from p2ptwisted.client.transport import Refused
from p2ptwisted.errors import NotAllowed, TooMuch, Unavailable, UnknownNode
from p2ptwisted.interfaces import IRegistry, ISearchOverlay, ISupernode
from p2ptwisted.model import (
    SUPERNODE_ID,
    FoundPart,
    GoneNode,
    HeldFile,
    Holders,
    Holding,
    NodeInfo,
    Registration,
)
from p2ptwisted.supernode.departures import GOODBYE, Departures
from p2ptwisted.supernode.local_answers import LocalAnswers, as_seen_by, towards
from p2ptwisted.supernode.quota import Quota
from p2ptwisted.supernode.registry.registry import FINDS_MAX, LOCATIONS_MAX
from p2ptwisted.supernode.registry.told_names import told_names
from p2ptwisted.supernode.sweep import Sweep
from p2ptwisted.support.address_policy import may_name, reachable_from
from p2ptwisted.support.lifecycle import all_of
from p2ptwisted.support.locations import parse_location
from p2ptwisted.support.rate_limit import TokenBuckets
from p2ptwisted.support.round_robin import alternating, in_turns

#: Other supernodes asked for the holders of one resource.
PEERS_ASKED = 32

#: Registrations a second from one address, and how many at once; many nodes may be behind one.
REGISTER_RATE, REGISTER_BURST = 100, 1_000

#: Resources, and other names of them, in the registrations that are being stored or wait to be;
#: beyond that no more registrations are taken. They take 3 s at 60 us each; a node waits 5 s for
#: its own (`supernode_client.REGISTER_TIMEOUT`), and the work for a node that gives up was in vain.
STORING_MAX = 50_000

#: The share of these for one address that isn't trusted, so that others always find room.
STORING_SHARE = STORING_MAX // 2

#: Lists written at once, in turns; the others wait. So each is done soon, where the lists of
#: many nodes written all at once would all be done too late.
WRITING_MAX = 8

#: Searches by name under way for one address that isn't trusted: half of all, so that an address
#: that keeps searching leaves room for others.
FINDS_SHARE = FINDS_MAX // 2

#: Searches a second from one address that find nothing, and how many at once. They wake
#: every supernode; a search that finds something gives its token back.
MISS_RATE, MISS_BURST = 250, 500

#: Searches a second from one address for all holders everywhere, and how many at once: each
#: asks the group and up to PEERS_ASKED supernodes. A download makes one every 0.5 to 2 s.
HOLDERS_RATE, HOLDERS_BURST = 100, 1_000

#: Addresses whose token buckets are remembered.
ADDRESSES_MAX = 10_000


@implementer(ISupernode)
class LocalSupernode:
    """An ISupernode on a registry and an overlay."""

    def __init__(
        self,
        clock: IReactorTime,
        registry: IRegistry,
        local_answers: LocalAnswers,
        sweep: Sweep,
        overlay: ISearchOverlay,
        client: Client,
        trusted: Sequence[IPv4Network] = (),
        departures: Departures | None = None,
    ) -> None:
        """
        `trusted`: networks from which callers may name any location; loopback always may.

        `departures` remembers which nodes have gone.
        """
        self._clock = clock
        self._registry = registry
        self._local_answers = local_answers
        self._sweep = sweep
        self._overlay = overlay
        self._client = client
        self._trusted = trusted
        self._departures = Departures() if departures is None else departures
        self._registrations = TokenBuckets(REGISTER_RATE, REGISTER_BURST, ADDRESSES_MAX)
        self._misses = TokenBuckets(MISS_RATE, MISS_BURST, ADDRESSES_MAX)
        self._everywhere = TokenBuckets(HOLDERS_RATE, HOLDERS_BURST, ADDRESSES_MAX)
        #: Counts the names in the registrations that are being stored, by address.
        self._storing = Quota(STORING_MAX, STORING_SHARE)
        self._writing = DeferredSemaphore(WRITING_MAX)
        #: Counts the searches by name that are under way, by address.
        self._finding = Quota(FINDS_MAX, FINDS_SHARE)

    async def register(self, registration: Registration, caller: str) -> None:
        location = self._own(registration.location, caller)
        self._sweep.seen(location)
        if not self._registrations.of(caller).take(self._clock.seconds()):
            raise TooMuch(f"too many registrations from {caller}: at most {REGISTER_RATE} a second")
        node, count = NodeInfo(registration.name, location), registration.names
        bounded = not may_name(caller, "", self._trusted)
        if not self._storing.begin(caller, count, bounded):
            raise Unavailable("many nodes register just now: try again in a moment")
        try:
            await self._writing.run(self._registry.register, node, registration.resources, bounded)
        finally:
            self._storing.end(caller, count, bounded)
        self._departures.back(location)
        self._sweep.seen(location)

    def heartbeat(self, location: str, caller: str) -> str | None:
        location = self._own(location, caller)
        if not self._sweep.seen(location):
            raise UnknownNode(f"no node is registered at {location}: register again")
        return None if self._registry.is_reachable(location) else location

    def goodbye(self, location: str, caller: str) -> None:
        location = self._own(location, caller)
        name = self._registry.name_of(location)
        if not self._registry.remove(location):
            raise UnknownNode(f"no node is registered at {location}")
        if name is not None:
            self._departures.gone(name, location, GOODBYE, self._clock.seconds())

    def _own(self, location: str, caller: str) -> str:
        """
        Returns the canonical form of `location`, if the host `caller` may speak for it.

        Raises InvalidInput, and NotAllowed where it may not.
        """
        parsed = parse_location(location, default_host=caller)
        if not may_name(caller, parsed.host, self._trusted):
            raise NotAllowed(
                f"location {parsed} is not yours: you call from {caller}, so name that address, "
                "or none (':port'), or be in one of the supernode's --trusted-network"
            )
        return str(parsed)

    async def search(self, id: str, caller: str) -> Holding | None:
        for found in self._local_answers.holdings([id], caller):
            return found
        return await self._search_elsewhere(id, caller)

    async def find(
        self,
        caller: str,
        file_name: str | None = None,
        node_name: str | None = None,
        ids: Sequence[str] | None = None,
    ) -> list[Holding]:
        if file_name or node_name or ids is None:
            return await self._find(caller, file_name, node_name, ids)
        local = self._local_answers.holdings(ids, caller)
        if len(local) == len(ids):
            return local
        found_by_id = {holding.id: holding for holding in local}
        missing = [id for id in ids if id not in found_by_id]
        if missing:
            searches = [
                Deferred.fromCoroutine(self._search_elsewhere(id, caller)) for id in missing
            ]
            elsewhere = await all_of(searches)
            found_by_id |= {holding.id: holding for holding in elsewhere if holding is not None}
        return [found_by_id[id] for id in ids if id in found_by_id]

    async def _find(
        self, caller: str, file_name: str | None, node_name: str | None, ids: Sequence[str] | None
    ) -> list[Holding]:
        """Search the registry by name. Raises Unavailable if too many searches are under way."""
        with self._finding_for(caller):
            found = await self._registry.find(file_name, node_name, ids)
        return [as_seen_by(caller, holding) for holding in found]

    def find_beginning(self, prefix: str, caller: str) -> list[Holding]:
        return self._local_answers.holdings(self._registry.ids_beginning(prefix), caller)

    async def find_part(
        self, caller: str, file_name: str | None, node_name: str | None, after: str
    ) -> FoundPart:
        with self._finding_for(caller):
            found = await self._registry.find_part(file_name, node_name, after)
        return FoundPart([as_seen_by(caller, one) for one in found.holdings], found.next)

    @contextmanager
    def _finding_for(self, caller: str) -> Iterator[None]:
        """Count a search by name while it is under way. Raises Unavailable if there are many."""
        bounded = not may_name(caller, "", self._trusted)
        if not self._finding.begin(caller, 1, bounded):
            raise Unavailable("many searches by name are under way: try again in a moment")
        try:
            yield
        finally:
            self._finding.end(caller, 1, bounded)

    async def _search_elsewhere(self, id: str, caller: str) -> Holding | None:
        """Search at the other supernodes. Raises TooMuch and Unavailable."""
        bucket = self._misses.of(caller)
        if not bucket.take(self._clock.seconds()):
            raise TooMuch(f"too many searches for unknown ids from {caller}: {MISS_RATE} a second")
        if id == SUPERNODE_ID:
            own = self._local_answers.locations(id, caller)
            locations = [*own, *await self._overlay.search_all(id)]
        else:
            locations = list(await self._overlay.search(id))
        locations = in_turns((reachable_from(one, caller) for one in locations), LOCATIONS_MAX)
        if not locations:
            return None
        bucket.give_back()
        return Holding(id, HeldFile(locations[0], locations))

    async def holders(self, id: str, caller: str, everywhere: bool) -> Holders:
        if everywhere and not self._everywhere.of(caller).take(self._clock.seconds()):
            raise TooMuch(f"too many searches for holders from {caller}: {HOLDERS_RATE} a second")
        answers = [self._registry.holders(id)]
        if everywhere:
            # By HTTP: the three datagrams can't name a node that has only a part.
            answers += await self._holders_elsewhere(id)
        locations = alternating(holders.locations for holders in answers)
        partial = alternating(holders.partial for holders in answers)
        if everywhere and not locations and not partial:
            # Other programs' supernodes can only be searched.
            locations = list(await self._overlay.search_all(id))
        complete = dict.fromkeys(locations)
        name, other_names = told_names(name for holders in answers for name in holders.names)
        return Holders(
            id,
            towards(caller, in_turns(locations, LOCATIONS_MAX)),
            towards(caller, in_turns([at for at in partial if at not in complete], LOCATIONS_MAX)),
            name,
            next((holders.size for holders in answers if holders.size is not None), None),
            other_names,
        )

    async def _holders_elsewhere(self, id: str) -> list[Holders]:
        """Ask the other supernodes over HTTP for the holders at their own nodes."""
        others = await self._overlay.search_all(SUPERNODE_ID)
        asked = [
            Deferred.fromCoroutine(self._holders_at(supernode, id))
            for supernode in in_turns(others, PEERS_ASKED)
        ]
        return [holders for holders in await all_of(asked) if holders is not None]

    async def _holders_at(self, supernode: str, id: str) -> Holders | None:
        """Ask the supernode at that location; None if it doesn't answer."""
        try:
            return await self._client.holders(supernode, id, here=True)
        except (Refused, Unavailable):
            return None

    def nodes(self) -> list[NodeInfo]:
        return self._registry.nodes()

    def gone(self) -> list[GoneNode]:
        return self._departures.nodes(self._clock.seconds())

    def sweep(self) -> Deferred[None]:
        return self._sweep.run()
