"""
A node: what it does when it is asked (Node), and what it is made of
(make_node).
"""

import platform
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import BinaryIO

import msgspec
from twisted.application.service import MultiService
from twisted.internet.interfaces import IReactorCore, IReactorFDSet
from zope.interface import implementer

from p2ptwisted.addresses import OwnLocation, parse_location, resolve
from p2ptwisted.client import Client, IClientReactor, Refused, make_client
from p2ptwisted.config import NodeConfig
from p2ptwisted.errors import Unavailable, UnknownResource
from p2ptwisted.interfaces import IFolderWatch, ILibrary, INode
from p2ptwisted.library import Library
from p2ptwisted.membership import Membership
from p2ptwisted.model import SUPERNODE_ID, Health, Holding, Resource
from p2ptwisted.protocols.multicast import IMulticastReactor, MulticastOverlay
from p2ptwisted.services import Closing, Starting, in_order, make_cooperator
from p2ptwisted.web.node import BODY_MAX, NodeApi
from p2ptwisted.web.site import LimitedSite, WebService

#: Seconds to look for a supernode by multicast.
DISCOVERY_TIMEOUT = 0.5


class INodeReactor(IMulticastReactor, IClientReactor, IReactorCore, IReactorFDSet):
    """What a node needs of a reactor."""


@implementer(INode)
class Node:
    """An INode."""

    def __init__(
        self,
        name: str,
        library: ILibrary,
        membership: Membership,
        client: Client,
        own_location: OwnLocation,
    ) -> None:
        self._name = name
        self._library = library
        self._membership = membership
        self._client = client
        self._own_location = own_location

    def health(self) -> Health:
        return Health(
            self._name,
            len(self._library.resources()),
            self._library.scanning,
            self._membership.supernode,
        )

    def resources(self) -> list[Resource]:
        return self._library.resources()

    def open(self, id: str) -> tuple[Resource, BinaryIO] | None:
        resource = self._library.get(id)
        if resource is None:
            return None
        try:
            return resource, self._library.open(id)
        except UnknownResource:
            return None

    async def find(self, ids: Sequence[str]) -> list[Resource | Holding]:
        found: dict[str, Resource | Holding] = {}
        for id in ids:
            resource = self._library.get(id)
            if resource is not None:
                found[id] = resource
        # Supernodes are found at supernodes; what a client asks a node for is a file.
        missing = [id for id in ids if id not in found and id != SUPERNODE_ID]
        if missing:
            found |= {holding.id: holding for holding in await self._find_elsewhere(missing)}
        return [found[id] for id in ids if id in found]

    async def _find_elsewhere(self, ids: Sequence[str]) -> list[Holding]:
        supernode = self._membership.supernode
        if supernode is None:
            raise Unavailable("this node has no supernode to ask just now: try again in a moment")
        try:
            holdings = await self._client.search(supernode, ids)
        except Refused as refused:
            raise Unavailable(f"supernode {supernode}: {refused}") from None
        # The supernode may not have heard yet that this node no longer has one:
        # sending the client back here would be a circle.
        own = self._own_location.towards(parse_location(supernode).host)
        return [other for holding in holdings if (other := _without(own, holding))]


def _without(location: str, holding: Holding) -> Holding | None:
    """The holding without that holder; None where that leaves none."""
    locations = [other for other in holding.file.locations if other != location]
    if not locations:
        return None
    file = msgspec.structs.replace(holding.file, location=locations[0], locations=locations)
    return msgspec.structs.replace(holding, file=file)


def make_node(
    reactor: INodeReactor, config: NodeConfig, watch: IFolderWatch | None = None
) -> MultiService:
    """
    A node as a service: starting it opens everything, stopping it closes everything.

    `watch` tells of changes in the folder; without one it is looked at every second.
    """
    name = config.name or platform.node()
    client = make_client(reactor)
    library = Library(reactor, make_cooperator(reactor), config.folder, watch)
    # A name that is not a UUID: only supernodes ask under one (docs/protocol.md).
    overlay = MulticastOverlay(reactor, config.group, f"node-{uuid.uuid4()}", DISCOVERY_TIMEOUT)
    # Where the node is, only the web service knows, once it listens.
    own_location = OwnLocation(config.advertised, lambda: web.listening())
    membership = Membership(
        reactor,
        client,
        library,
        name,
        own_location.towards,
        [_resolved(reactor, host, port) for host, port in config.supernodes],
        lambda: overlay.search_all(SUPERNODE_ID),
    )
    node = Node(name, library, membership, client, own_location)
    web = WebService(reactor, config.endpoint, LimitedSite(NodeApi(node).root(), BODY_MAX, reactor))
    return in_order(
        Closing(client.close),
        Starting(lambda: own_location.resolve(reactor)),
        library,
        overlay,
        web,
        membership,
    )


def _resolved(reactor: IReactorCore, host: str, port: int) -> Callable[[], Awaitable[str]]:
    async def resolved() -> str:
        return f"{await resolve(reactor, host)}:{port}"

    return resolved
