"""
The service of a supernode: what it is made of, and how the parts are connected.

What it does when it is asked is in `local_supernode`.
"""

import uuid

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorCore

from p2ptwisted.client.api import make_client
from p2ptwisted.client.transport import IClientReactor
from p2ptwisted.config import SupernodeConfig
from p2ptwisted.protocols.datagram_auth import DatagramAuth
from p2ptwisted.protocols.http_peers import NamedSupernode, WithNamedSupernodes
from p2ptwisted.protocols.multicast import MulticastOverlay
from p2ptwisted.protocols.sockets import IMulticastReactor
from p2ptwisted.supernode.departures import LOST, Departures
from p2ptwisted.supernode.local_answers import LocalAnswers
from p2ptwisted.supernode.local_supernode import LocalSupernode
from p2ptwisted.supernode.registry.registry import make_registry
from p2ptwisted.supernode.sweep import Sweep
from p2ptwisted.support.awake_clock import AwakeClock
from p2ptwisted.support.lifecycle import Closing, Opening, Starting, in_order, make_cooperator
from p2ptwisted.support.locations import OwnLocation, location_resolver
from p2ptwisted.web.authentication import make_authenticator
from p2ptwisted.web.server.listener import WebService
from p2ptwisted.web.server.site import LimitedSite
from p2ptwisted.web.supernode_routes import BODY_MAX, SupernodeApi


class ISupernodeReactor(IMulticastReactor, IClientReactor, IReactorCore):
    """What a supernode needs of a reactor."""


def make_supernode(
    reactor: ISupernodeReactor, config: SupernodeConfig, awake: AwakeClock | None = None
) -> MultiService:
    """
    Returns a supernode as a service: starting it opens everything, stopping it closes everything.

    `awake` is the clock that the reactor goes by, if it stands still when the process does.
    Starting raises StartError if the port or the state folder can't be used.
    """
    name = str(uuid.uuid4())
    key = config.group_key
    trusted = config.trusted_networks
    client = make_client(reactor, key, config.authority, awake=awake)
    registry = make_registry(make_cooperator(reactor), config.state_folder)
    # A circle: the routes need the supernode, and it needs the port that serves the routes.
    own_location = OwnLocation(config.advertised, lambda: web.listening())
    local_answers = LocalAnswers(registry, own_location)
    departures = Departures()
    sweep = Sweep(
        reactor,
        registry,
        client.is_well,
        client.has_supernode,
        config.sweep_interval,
        lambda node: departures.gone(node.name, node.location, LOST, reactor.seconds()),
    )
    multicast = MulticastOverlay(
        reactor,
        config.group,
        name,
        config.search_timeout,
        answers=local_answers.locations,
        confirms=lambda location, id: Deferred.fromCoroutine(client.confirms(location, id)),
        auth=None if key is None else DatagramAuth(key),
        trusted=trusted,
    )
    peers = [
        NamedSupernode(reactor, client, location_resolver(reactor, host, port))
        for host, port in config.peers
    ]
    overlay = WithNamedSupernodes(multicast, peers) if peers else multicast
    supernode = LocalSupernode(
        reactor,
        registry,
        local_answers,
        sweep,
        overlay,
        client,
        trusted,
        departures,
    )
    authenticator = make_authenticator(reactor, key, config.private, own_location.towards)
    root = SupernodeApi(supernode).root(authenticator)
    web = WebService(
        reactor, config.endpoint, LimitedSite(root, BODY_MAX, reactor, config.server_settings)
    )
    return in_order(
        Closing(client.close),
        Opening(registry.open, registry.close),
        Starting(lambda: own_location.resolve(reactor)),
        sweep,
        multicast,
        web,
    )
