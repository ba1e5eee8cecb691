"""
The service of a node: what it is made of, and how the parts are connected.

What it does when it is asked is in `local_node`.
"""

import platform
import uuid
from pathlib import Path

from twisted.application.service import MultiService
from twisted.internet.interfaces import IReactorCore, IReactorFDSet

from p2ptwisted.client.api import make_client
from p2ptwisted.client.transport import IClientReactor
from p2ptwisted.config import NodeConfig
from p2ptwisted.interfaces import IFolderWatch
from p2ptwisted.model import SUPERNODE_ID
from p2ptwisted.node.digest_cache import make_cache
from p2ptwisted.node.downloads import Downloads
from p2ptwisted.node.folder_checks import FolderChecks
from p2ptwisted.node.hash_pool import HashPool, IPoolReactor
from p2ptwisted.node.library import Library
from p2ptwisted.node.local_node import LocalNode
from p2ptwisted.node.membership import Membership
from p2ptwisted.node.torrents import Torrents
from p2ptwisted.node.uploads import Uploads
from p2ptwisted.protocols.datagram_auth import DatagramAuth
from p2ptwisted.protocols.multicast import DISCOVERY_TIMEOUT, MulticastOverlay
from p2ptwisted.protocols.sockets import IMulticastReactor
from p2ptwisted.support.awake_clock import AwakeClock
from p2ptwisted.support.lifecycle import (
    Closing,
    Opening,
    Starting,
    in_order,
    make_cooperator,
    together,
)
from p2ptwisted.support.locations import OwnLocation, location_resolver
from p2ptwisted.support.rate_limit import RateLimit
from p2ptwisted.transfer.file_sync import file_sync
from p2ptwisted.transfer.shared_folder import Change, SharedFolder
from p2ptwisted.web.authentication import make_authenticator
from p2ptwisted.web.node_routes import BODY_MAX, NodeApi
from p2ptwisted.web.server.listener import WebService
from p2ptwisted.web.server.site import LimitedSite


class INodeReactor(IMulticastReactor, IClientReactor, IPoolReactor, IReactorCore, IReactorFDSet):
    """What a node needs of a reactor."""


def make_node(
    reactor: INodeReactor,
    config: NodeConfig,
    watch: IFolderWatch | None = None,
    awake: AwakeClock | None = None,
) -> MultiService:
    """
    A node as a service: starting it opens everything, stopping it closes everything.

    `watch` reports changes in the folder; without it the folder is scanned every second.
    `awake` is the clock that the reactor goes by, if it stands still when the process does.
    Starting raises StartError where the port or the state folder can't be used.
    """
    name = config.name or platform.node()
    key = config.group_key
    trusted = config.trusted_networks
    # Only the web service knows where the node is, once it listens. Only the
    # downloads know what is being downloaded, and they need the node to find holders.
    own_location = OwnLocation(config.advertised, lambda: web.listening())
    client = make_client(reactor, key, config.authority, own_location.towards, awake)
    hasher = HashPool(reactor)
    cache = make_cache(config.state_folder)
    folder = SharedFolder(Path(config.resources))
    library = Library(reactor, make_cooperator(reactor), folder, hasher, cache, watch)
    # A name that is not a UUID: only supernodes ask under one (docs/protocol.md).
    overlay = MulticastOverlay(
        reactor,
        config.group,
        f"node-{uuid.uuid4()}",
        DISCOVERY_TIMEOUT,
        auth=None if key is None else DatagramAuth(key),
        trusted=trusted,
    )
    membership = Membership(
        reactor,
        client,
        lambda: [*library.resources(), *downloads.resources()],
        name,
        own_location.towards,
        [location_resolver(reactor, host, port) for host, port in config.supernodes],
        lambda: overlay.search_all(SUPERNODE_ID),
    )
    library.watch(membership.changed)
    if awake is not None:
        awake.call_when_woken(membership.woken)

    def folder_changed(change: Change) -> None:
        if change in (Change.GONE, Change.OTHER):
            membership.changed(at_once=True)

    folder.watch(folder_changed)
    uploads = Uploads(reactor, config.uploads, RateLimit(config.max_upload))
    torrents = Torrents(reactor, library.open)
    node = LocalNode(
        reactor,
        name,
        library,
        membership,
        client,
        own_location,
        uploads,
        lambda id: downloads.running_one(id),
        torrents.pieces,
        trusted,
    )
    cooperator = make_cooperator(reactor)
    downloads = Downloads(
        reactor,
        client,
        cooperator,
        file_sync(reactor),
        library,
        node.holders,
        RateLimit(config.max_download),
        membership.changed,
    )
    api = NodeApi(reactor, node, downloads, trusted)
    authenticator = make_authenticator(reactor, key, config.private, own_location.towards)
    root = api.root(authenticator)
    web = WebService(
        reactor, config.endpoint, LimitedSite(root, BODY_MAX, reactor, config.server_settings)
    )
    cached = [] if cache is None else [Opening(cache.open, cache.close)]
    return in_order(
        *cached,
        Closing(client.close),
        Starting(lambda: own_location.resolve(reactor)),
        hasher,
        library,
        FolderChecks(reactor, folder.look),
        overlay,
        Closing(cooperator.stop),
        # No new work from the first moment on, and a goodbye, while the old work ends.
        together(web, downloads, torrents, membership),
    )
