"""
A supernode: what it does when it is asked (Supernode), and what it is made of
(make_supernode).
"""

import uuid
from collections.abc import Sequence
from ipaddress import IPv4Network

import msgspec
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorCore, IReactorTime
from zope.interface import implementer

from p2ptwisted.client.api import Client, make_client
from p2ptwisted.client.transport import IClientReactor, Refused
from p2ptwisted.config import SupernodeConfig
from p2ptwisted.errors import NotAllowed, TooMuch, Unavailable, UnknownNode
from p2ptwisted.interfaces import IRegistry, ISearchOverlay, ISupernode
from p2ptwisted.model import SUPERNODE_ID, HeldFile, Holders, Holding, NodeInfo, Registration
from p2ptwisted.protocols import datagrams as wire
from p2ptwisted.protocols.datagram_auth import DatagramAuth
from p2ptwisted.protocols.http_peers import NamedSupernode, WithNamedSupernodes
from p2ptwisted.protocols.multicast import MulticastOverlay
from p2ptwisted.protocols.sockets import IMulticastReactor
from p2ptwisted.supernode.failure_detector import Sweep
from p2ptwisted.supernode.quota import Quota
from p2ptwisted.supernode.registry.registry import FINDS_MAX, LOCATIONS_MAX, make_registry
from p2ptwisted.support.lifecycle import (
    Closing,
    Opening,
    Starting,
    all_of,
    in_order,
    make_cooperator,
)
from p2ptwisted.support.locations import (
    OwnLocation,
    is_loopback,
    may_name,
    parse_location,
    reachable_from,
    resolver,
)
from p2ptwisted.support.rate_limit import TokenBuckets
from p2ptwisted.support.round_robin import alternating, in_turns
from p2ptwisted.web.authentication import make_authenticator
from p2ptwisted.web.server.listener import WebService
from p2ptwisted.web.server.site import LimitedSite
from p2ptwisted.web.supernode_routes import BODY_MAX, SupernodeApi

#: Other supernodes that are asked for the holders of one resource.
PEERS_ASKED = 32

#: Registrations a second from one address, and at once; many nodes may be behind one.
REGISTER_RATE, REGISTER_BURST = 100, 1_000

#: Resources in the registrations that are being stored, or wait for that, beyond which no
#: more are taken. They take 3 s at 60 us each; a node waits 5 s for its own
#: (client.REGISTER_TIMEOUT), and what is given up then was done in vain.
STORING_MAX = 50_000

#: Of these, those from one address that isn't trusted, so that others always find room.
STORING_SHARE = STORING_MAX // 2

#: Lists that are written at once, in turns, the others after them: each is soon through,
#: where all of many nodes' lists at once would all be through too late.
WRITING_MAX = 8

#: Searches by name that are under way for one address that isn't trusted: half of all, so that
#: one that keeps on searching leaves others room.
FINDS_SHARE = FINDS_MAX // 2

#: Searches a second from one address that find nothing, and at once. They wake
#: every supernode; those that find something give their token back.
MISS_RATE, MISS_BURST = 250, 500

#: Searches a second from one address for all holders everywhere, and at once: each asks
#: the group and up to PEERS_ASKED supernodes. A fetch makes one every 0.5 to 2 s.
HOLDERS_RATE, HOLDERS_BURST = 100, 1_000

#: Holders that are looked at for a datagram, which names no more: those that came last, the
#: most recently seen of them first.
LOOKED_AT = wire.LOCATIONS_MAX

#: Addresses whose rates are remembered.
ADDRESSES_MAX = 10_000


class ISupernodeReactor(IMulticastReactor, IClientReactor, IReactorCore):
    """What a supernode needs of a reactor."""


class LocalAnswers:
    """What a supernode can say without asking anybody, as an asker can use it."""

    def __init__(self, registry: IRegistry, own_location: OwnLocation) -> None:
        self._registry = registry
        self._own_location = own_location

    def locations(self, id: str, asker: str) -> Sequence[str]:
        """Up to LOOKED_AT locations that have `id`; of supernodes, this one's."""
        if id == SUPERNODE_ID:
            return [self._own_location.towards(asker)]
        found = self._registry.holdings([id], LOOKED_AT)
        return [at for one in self._seen_by(asker, found) for at in one.file.locations]

    def holdings(self, ids: Sequence[str], asker: str) -> list[Holding]:
        return self._seen_by(asker, self._registry.holdings(ids))

    def _seen_by(self, asker: str, found: list[Holding]) -> list[Holding]:
        if is_loopback(asker):
            return found
        return [_as_seen_by(asker, holding) for holding in found]


@implementer(ISupernode)
class LocalSupernode:
    """An ISupernode."""

    def __init__(
        self,
        clock: IReactorTime,
        registry: IRegistry,
        known: LocalAnswers,
        sweep: Sweep,
        overlay: ISearchOverlay,
        client: Client,
        trusted: Sequence[IPv4Network] = (),
    ) -> None:
        """`trusted`: networks whose callers may name any location; loopback always may."""
        self._clock = clock
        self._registry = registry
        self._known = known
        self._sweep = sweep
        self._overlay = overlay
        self._client = client
        self._trusted = trusted
        self._registrations = TokenBuckets(REGISTER_RATE, REGISTER_BURST, ADDRESSES_MAX)
        self._misses = TokenBuckets(MISS_RATE, MISS_BURST, ADDRESSES_MAX)
        self._everywhere = TokenBuckets(HOLDERS_RATE, HOLDERS_BURST, ADDRESSES_MAX)
        #: Resources in the registrations that are being stored.
        self._storing = Quota(STORING_MAX, STORING_SHARE)
        self._writing = DeferredSemaphore(WRITING_MAX)
        #: Searches by name that are under way.
        self._finding = Quota(FINDS_MAX, FINDS_SHARE)

    async def register(self, registration: Registration, caller: str) -> None:
        location = self._own(registration.location, caller)
        self._sweep.seen(location)
        if not self._registrations.of(caller).take(self._clock.seconds()):
            raise TooMuch(f"too many registrations from {caller}: at most {REGISTER_RATE} a second")
        node, count = NodeInfo(registration.name, location), len(registration.resources)
        bounded = not may_name(caller, "", self._trusted)
        if not self._storing.begin(caller, count, bounded):
            raise Unavailable("many nodes register just now: try again in a moment")
        try:
            await self._writing.run(self._registry.register, node, registration.resources, bounded)
        finally:
            self._storing.end(caller, count, bounded)
        self._sweep.seen(location)

    def heartbeat(self, location: str, caller: str) -> None:
        location = self._own(location, caller)
        if not self._sweep.seen(location):
            raise UnknownNode(f"no node is registered at {location}: register again")

    def goodbye(self, location: str, caller: str) -> None:
        location = self._own(location, caller)
        if not self._registry.remove(location):
            raise UnknownNode(f"no node is registered at {location}")

    def _own(self, location: str, caller: str) -> str:
        """The location, where the caller may speak for it."""
        parsed = parse_location(location, default_host=caller)
        if not may_name(caller, parsed.host, self._trusted):
            raise NotAllowed(
                f"location {parsed} is not yours: you call from {caller}, so name that address, "
                "or none (':port'), or be in one of the supernode's --trusted-network"
            )
        return str(parsed)

    async def search(self, id: str, caller: str) -> Holding | None:
        for found in self._known.holdings([id], caller):
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
        known = self._known.holdings(ids, caller)
        if len(known) == len(ids):
            return known
        here = {holding.id: holding for holding in known}
        missing = [id for id in ids if id not in here]
        if missing:
            searches = [
                Deferred.fromCoroutine(self._search_elsewhere(id, caller)) for id in missing
            ]
            elsewhere = await all_of(searches)
            here |= {holding.id: holding for holding in elsewhere if holding is not None}
        return [here[id] for id in ids if id in here]

    async def _find(
        self, caller: str, file_name: str | None, node_name: str | None, ids: Sequence[str] | None
    ) -> list[Holding]:
        bounded = not may_name(caller, "", self._trusted)
        if not self._finding.begin(caller, 1, bounded):
            raise Unavailable("many searches by name are under way: try again in a moment")
        try:
            found = await self._registry.find(file_name, node_name, ids)
        finally:
            self._finding.end(caller, 1, bounded)
        return [_as_seen_by(caller, holding) for holding in found]

    async def _search_elsewhere(self, id: str, caller: str) -> Holding | None:
        bucket = self._misses.of(caller)
        if not bucket.take(self._clock.seconds()):
            raise TooMuch(f"too many searches for unknown ids from {caller}: {MISS_RATE} a second")
        if id == SUPERNODE_ID:
            own = self._known.locations(id, caller)
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
            # By HTTP, for the three datagrams have no word for a part.
            answers += await self._holders_elsewhere(id)
        locations = alternating(one.locations for one in answers)
        partial = alternating(one.partial for one in answers)
        if everywhere and not locations and not partial:
            # Other programs' supernodes know only how to search.
            locations = list(await self._overlay.search_all(id))
        whole = dict.fromkeys(locations)
        return Holders(
            id,
            _towards(caller, in_turns(locations, LOCATIONS_MAX)),
            _towards(caller, in_turns([at for at in partial if at not in whole], LOCATIONS_MAX)),
            next((one.name for one in answers if one.name), None),
            next((one.size for one in answers if one.size is not None), None),
        )

    async def _holders_elsewhere(self, id: str) -> list[Holders]:
        others = await self._overlay.search_all(SUPERNODE_ID)
        asked = [
            Deferred.fromCoroutine(self._holders_at(supernode, id))
            for supernode in in_turns(others, PEERS_ASKED)
        ]
        return [holders for holders in await all_of(asked) if holders is not None]

    async def _holders_at(self, supernode: str, id: str) -> Holders | None:
        try:
            return await self._client.holders(supernode, id, here=True)
        except (Refused, Unavailable):
            return None

    def nodes(self) -> list[NodeInfo]:
        return self._registry.nodes()

    def sweep(self) -> Deferred[None]:
        return self._sweep.run()


def _towards(asker: str, locations: Sequence[str]) -> list[str]:
    """These locations as the asker can use them."""
    return [reachable_from(location, asker) for location in locations]


def _as_seen_by(asker: str, holding: Holding) -> Holding:
    """The holding with locations that the asker can reach."""
    file = holding.file
    if not any(map(is_loopback, file.locations)):
        return holding
    locations = _towards(asker, file.locations)
    file = msgspec.structs.replace(file, location=locations[0], locations=locations)
    return msgspec.structs.replace(holding, file=file)


def make_supernode(reactor: ISupernodeReactor, config: SupernodeConfig) -> MultiService:
    """
    A supernode as a service: starting it opens everything, stopping it closes everything.

    Starting raises StartError where the port or the state folder can't be used.
    """
    name = str(uuid.uuid4())
    key = config.group_key
    client = make_client(reactor, key, config.authority)
    registry = make_registry(make_cooperator(reactor), config.state_folder)
    # The routes need a supernode that needs the port that the routes are served on.
    own_location = OwnLocation(config.advertised, lambda: web.listening())
    known = LocalAnswers(registry, own_location)
    sweep = Sweep(reactor, registry, client.is_well, client.has_supernode, config.sweep_interval)
    multicast = MulticastOverlay(
        reactor,
        config.group,
        name,
        config.search_timeout,
        answers=known.locations,
        confirms=lambda location, id: Deferred.fromCoroutine(client.confirms(location, id)),
        seal=None if key is None else DatagramAuth(key),
        trusted=config.trusted_networks,
    )
    peers = [
        NamedSupernode(reactor, client, resolver(reactor, host, port))
        for host, port in config.peers
    ]
    overlay = WithNamedSupernodes(multicast, peers) if peers else multicast
    supernode = LocalSupernode(
        reactor, registry, known, sweep, overlay, client, config.trusted_networks
    )
    root = SupernodeApi(supernode).root(make_authenticator(reactor, config, own_location.towards))
    web = WebService(reactor, config.endpoint, LimitedSite(root, BODY_MAX, reactor, config.limits))
    return in_order(
        Closing(client.close),
        Opening(registry.open, registry.close),
        Starting(lambda: own_location.resolve(reactor)),
        sweep,
        multicast,
        web,
    )
