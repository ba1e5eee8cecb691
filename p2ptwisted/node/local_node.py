"""
What a node does when it is asked: its routes decode a request, call a method here, and encode.

What it is made of is in `service`.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from ipaddress import IPv4Network
from typing import BinaryIO

import msgspec
from msgspec import UNSET
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from p2ptwisted.client.api import Client
from p2ptwisted.client.transport import Refused
from p2ptwisted.errors import TooMuch, Unavailable, UnknownResource
from p2ptwisted.interfaces import Asker, ContentSlice, ILibrary, INode, Sha1Pieces, Sources
from p2ptwisted.model import SUPERNODE_ID, Health, Holders, Holding, ResourceInfo, Wanted
from p2ptwisted.node.fetchers import Fetchers
from p2ptwisted.node.membership import Membership
from p2ptwisted.node.mirrors import SIZE_MIN, Mirrors
from p2ptwisted.node.uploads import Uploads
from p2ptwisted.pieces import HolderState, Pieces, decode_set, every_piece
from p2ptwisted.support.address_policy import is_loopback, may_name, reachable_from
from p2ptwisted.support.locations import OwnLocation, parse_location
from p2ptwisted.support.rate_limit import TokenBuckets
from p2ptwisted.support.round_robin import host_of
from p2ptwisted.transfer.download import Download
from p2ptwisted.transfer.part_file import PartFile
from p2ptwisted.transfer.safe_names import flat_name

#: Ids that nobody has which the supernode is asked for on behalf of one address: a second, and
#: at once. Those that are found give their token back. All come out of this node's own share
#: there (local_supernode.MISS_RATE, MISS_BURST), which no single stranger is to use up.
FORWARD_RATE, FORWARD_BURST = 100, 400

#: Addresses whose rates are remembered.
ADDRESSES_MAX = 10_000


@implementer(INode)
class LocalNode:
    """An INode."""

    def __init__(
        self,
        clock: IReactorTime,
        name: str,
        library: ILibrary,
        membership: Membership,
        client: Client,
        own_location: OwnLocation,
        uploads: Uploads,
        download: Callable[[str], Download | None],
        sha1_pieces: Callable[[str, int, str], Awaitable[Sha1Pieces]],
        trusted_networks: Sequence[IPv4Network] = (),
    ) -> None:
        """
        `download` returns the running download of a resource, by its id; `sha1_pieces` the
        SHA-1s of a resource's pieces, by its id, its size and the address of who asks.

        `trusted_networks`: those whose callers may name other locations than their own.
        """
        self._clock = clock
        self._name = name
        self._library = library
        self._membership = membership
        self._client = client
        self._own_location = own_location
        self._uploads = uploads
        self._download = download
        self._sha1_pieces = sha1_pieces
        self._mirrors = Mirrors(clock, self.holders)
        self._trusted_networks = trusted_networks
        self._fetchers = Fetchers()
        self._forwarded = TokenBuckets(FORWARD_RATE, FORWARD_BURST, ADDRESSES_MAX)

    def health(self, caller: str) -> Health:
        # Looked at now: who asks may be about to write there.
        self._library.folder.look()
        return Health(
            self._name,
            len(self._library.resources()),
            self._library.scanning,
            self._membership.supernode,
            str(self._library.folder.path) if is_loopback(caller) else UNSET,
            self._membership.unreachable_at or UNSET,
            self._library.folder.problem or UNSET,
        )

    def resources(self) -> list[ResourceInfo]:
        return self._library.resources()

    def open(self, id: str, client: str) -> ContentSlice | None:
        resource = self._library.get(id)
        if resource is None or resource.size is None:
            return None
        upload = self._uploads.begin(client)
        try:
            file = self._library.open(id)
        except UnknownResource:
            upload.end()
            return None
        return ContentSlice(resource, file, 0, resource.size, upload)

    async def mirrors(self, id: str, caller: str) -> Sequence[str]:
        resource = self._library.get(id)
        if resource is None or (resource.size or 0) < SIZE_MIN:
            return ()
        return [reachable_from(other, caller) for other in await self._mirrors.near(id)]

    async def sources(self, id: str, caller: str) -> Sources | None:
        resource, pieces = self._library.get(id), self._library.pieces(id)
        if resource is None or pieces is None:
            return None
        others = await self._mirrors.everywhere(id, caller)
        locations = [reachable_from(other, caller) for other in others]
        own = self._own_location.towards(caller)
        return Sources(id, flat_name(resource.name, id), pieces, [own, *locations])

    async def sha1_pieces(self, sources: Sources, caller: str) -> Sha1Pieces:
        size = sources.pieces.size
        if not size:
            raise UnknownResource(f"{sources.id} is empty, and BitTorrent knows no empty files")
        return await self._sha1_pieces(sources.id, size, caller)

    def pieces(self, id: str, asker: Asker) -> HolderState:
        pieces, have = self._holding(id)
        return HolderState(pieces, have, self._neighbors(id, asker))

    async def news(self, id: str, since: int, seconds: float, has_manifest: bool) -> None:
        download = self._download(id)
        if download is not None:
            await download.news(since, seconds, has_manifest)

    def sending_manifest(
        self, id: str, size: int, others: Sequence[str]
    ) -> AbstractContextManager[None]:
        return self._uploads.manifest(id, size, others)

    async def give(self, id: str, wanted: Wanted, asker: Asker) -> ContentSlice:
        pieces, have = self._holding(id)
        want = decode_set(wanted.want, pieces.count)
        neighbors = self._neighbors(id, asker)
        self._check_wanted(id, want & have)
        upload = await self._uploads.begin_pieces(id, asker.address)
        try:
            # There may be more by now, nothing any more, or it may be cut otherwise.
            now, have = self._holding(id)
            self._check_wanted(id, want & have if now == pieces else 0)
            chosen = upload.choose(want & have, wanted.most)
            download = self._download(id)
            if download is not None:
                await download.check(chosen)
            resource, file = self._content(id)
        except BaseException:
            upload.end()
            raise
        start, _ = pieces.span((chosen & -chosen).bit_length() - 1)
        _, stop = pieces.span(chosen.bit_length() - 1)
        state = HolderState(pieces, have, neighbors)
        return ContentSlice(resource, file, start, stop, upload, state)

    def _check_wanted(self, id: str, here: int) -> None:
        """Raise UnknownResource if none of the wanted pieces is here."""
        if not here:
            raise UnknownResource(f"none of the pieces of {id} that you want is here")

    def _holding(self, id: str) -> tuple[Pieces, int]:
        """The pieces of a resource, and the set of those that are here. Raises UnknownResource."""
        pieces = self._library.pieces(id)
        if pieces is not None:
            return pieces, every_piece(pieces.count)
        part = self._part(id)
        if part is None:
            raise UnknownResource(f"{id} is not here")
        return part.pieces, part.have

    def _part(self, id: str) -> PartFile | None:
        """What has come of a resource that is being downloaded: perhaps only its manifest yet."""
        download = self._download(id)
        return None if download is None else download.part

    def _neighbors(self, id: str, asker: Asker) -> list[str]:
        """
        Others to fetch from, for who asks; it is remembered too, if it is a node.

        Raises InvalidInput if what it says is no location.
        """
        now, download = self._clock.seconds(), self._download(id)
        location = None if asker.location is None else str(parse_location(asker.location))
        is_known = location is not None and self._fetchers.knows(id, location)
        if location is not None and (is_known or self._may_name(asker.address, location)):
            self._fetchers.add(id, location, now)
            if download is not None:
                download.meet(location)
        known = () if download is None else download.neighbors
        others = self._fetchers.some(id, known, location, now)
        return [reachable_from(other, asker.address) for other in others]

    def _may_name(self, address: str, location: str) -> bool:
        """Whether who asks may have others call that location, which isn't this very node's."""
        is_other = location != self._own_location.towards(address)
        return is_other and may_name(address, host_of(location), self._trusted_networks)

    def _content(self, id: str) -> tuple[ResourceInfo, BinaryIO]:
        """A resource that is here or coming, and its open file. Raises UnknownResource."""
        resource = self._library.get(id)
        if resource is not None:
            return resource, self._library.open(id)
        part = self._part(id)
        if part is None:
            raise UnknownResource(f"{id} is not here any more")
        return ResourceInfo(id, part.destination.name, part.pieces.size), part.open()

    async def find(self, ids: Sequence[str], caller: str) -> list[ResourceInfo | Holding]:
        found: dict[str, ResourceInfo | Holding] = {}
        for id in ids:
            resource = self._library.get(id)
            if resource is not None:
                found[id] = resource
        # Supernodes are found at supernodes; what a client asks a node for is a file.
        missing = [id for id in ids if id not in found and id != SUPERNODE_ID]
        if missing:
            elsewhere = await self._find_elsewhere(missing, caller)
            found |= {holding.id: holding for holding in elsewhere}
        return [found[id] for id in ids if id in found]

    async def _find_elsewhere(self, ids: Sequence[str], caller: str) -> list[Holding]:
        supernode = self._supernode()
        bucket = self._forwarded.of(caller)
        if not bucket.take(self._clock.seconds(), len(ids)):
            raise TooMuch(
                f"too many searches for unknown ids from {caller}: {FORWARD_RATE} a second"
            )
        try:
            holdings = await self._client.search(supernode, ids)
        except Refused as refused:
            raise Unavailable(f"supernode {supernode}: {refused}") from None
        bucket.give_back(len(holdings))
        # The supernode may not have heard yet that this node no longer has one:
        # sending the client back here would be a circle.
        own = self._own_location.towards(parse_location(supernode).host)
        return [other for holding in holdings if (other := _without(own, holding))]

    async def holders(self, id: str, here: bool = False) -> Holders:
        """
        The other nodes that have a resource or a part of it. Raises Unavailable.

        `here`: only those that are registered at this node's supernode.
        """
        supernode = self._supernode()
        try:
            found = await self._client.holders(supernode, id, here)
        except Refused as refused:
            raise Unavailable(f"supernode {supernode}: {refused}") from None
        own = self._own_location.towards(parse_location(supernode).host)
        return msgspec.structs.replace(
            found,
            locations=[other for other in found.locations if other != own],
            partial=[other for other in found.partial if other != own],
        )

    def _supernode(self) -> str:
        """The location of this node's supernode. Raises Unavailable."""
        if self._membership.supernode is None:
            raise Unavailable("this node has no supernode to ask just now: try again in a moment")
        return self._membership.supernode


def _without(location: str, holding: Holding) -> Holding | None:
    """The holding without that holder; None where that leaves none."""
    locations = [other for other in holding.file.locations if other != location]
    if not locations:
        return None
    file = msgspec.structs.replace(holding.file, location=locations[0], locations=locations)
    return msgspec.structs.replace(holding, file=file)
