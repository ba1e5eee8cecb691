"""
The HTTP client of both APIs: a method a route, and what is made of its answer, be it
one of the older program's, which has fewer routes and shorter answers.
"""

from collections.abc import Sequence
from typing import TypeVar
from urllib.parse import quote

import msgspec
from msgspec import UNSET
from twisted.web.iweb import IResponse
from werkzeug.http import parse_content_range_header

from p2ptwisted.client.body_receiver import BodyReceiver, ContentSink
from p2ptwisted.client.transport import (
    BUSY_STATUSES,
    HttpTransport,
    IClientReactor,
    Refused,
    drop,
    make_agent,
)
from p2ptwisted.errors import InvalidInput, Nonsense, OlderProgram, Unavailable
from p2ptwisted.model import (
    SUPERNODE_ID,
    UNREADABLE,
    FetchOrder,
    FetchStatus,
    Health,
    HeldFile,
    Holders,
    Holding,
    Manifest,
    Name,
    NodeInfo,
    Presence,
    Registration,
    Size,
    Wanted,
)
from p2ptwisted.pieces import Pieces, decode_set, encode_set, every_piece
from p2ptwisted.security.group_key import GroupKey
from p2ptwisted.security.http_signatures import HttpSignatures
from p2ptwisted.security.tls import TrustedAuthority
from p2ptwisted.support.address_policy import believed
from p2ptwisted.support.escaping import shown
from p2ptwisted.support.locations import parse_location
from p2ptwisted.support.round_robin import in_turns

#: Seconds for a registration, and for each of its resources: 30 s for 100,000 of
#: them, which are 14 MB, and take 2.25 s to store on an idle machine.
REGISTER_TIMEOUT = 5.0
REGISTER_TIMEOUT_EACH = 0.25e-3

#: Bytes read of an answer: a search's, and the digests of the pieces of a resource of 1 TiB.
ANSWER_MAX = 4 * 1024 * 1024
MANIFEST_MAX = 8 * 1024 * 1024

#: Locations of one resource that are taken of one supernode's answer; ours tells no more.
LOCATIONS_MAX = 1_000

#: Locations that are looked at for that, resources of an answer to a search, locations of all
#: of these together, and nodes. Each takes 10 us, and an answer has room for 200,000.
LOOKED_AT, FOUND_MAX, FOUND_LOCATIONS_MAX, NODES_MAX = 2_000, 1_000, 10_000, 10_000

_T = TypeVar("_T")


class _Data(msgspec.Struct):
    """The envelope of an answer; what `data` is depends on the route."""

    data: msgspec.Raw = msgspec.Raw(b"{}")


class _Id(msgspec.Struct):
    id: str = ""


class _Membership(msgspec.Struct):
    """What a node's health tells of its supernode; other programs' nodes tell nothing."""

    supernode: str | None = None


class _File(msgspec.Struct):
    """
    Where a resource is, as any supernode says it: the older program's has no `locations`,
    and a `name` only where a node of its own has it. Nothing at all: nobody has it.
    """

    location: str | None = None
    locations: list[str] | None = None
    name: Name | None = None
    size: Size | None = None

    @property
    def all(self) -> list[str]:
        if self.locations is None:
            return [] if self.location is None else [self.location]
        return self.locations


class _Found(msgspec.Struct):
    id: str
    file: _File


class _FoundOne(msgspec.Struct):
    """The answer for one id; empty where nobody has it."""

    id: str = ""
    file: _File = msgspec.field(default_factory=_File)


class Client(HttpTransport):
    """Calls supernodes (by `host:port`) and nodes (by location)."""

    # -- a node's

    async def is_well(self, location: str) -> bool:
        """Whether the node there answers its health check. Never raises."""
        try:
            await self._call("GET", f"http://{location}/api/node/health")
        except (Refused, Unavailable):
            return False
        return True

    async def has_supernode(self, location: str) -> bool:
        """Whether the node there says that it is registered somewhere. Never raises."""
        try:
            body = await self._call("GET", f"http://{location}/api/node/health")
            return _decode(body, _Membership).supernode is not None
        except (Refused, Unavailable):
            return False

    async def holds(self, location: str, id: str) -> bool:
        """Whether the node there has that resource itself. Never raises."""
        try:
            return await self.confirms(location, id)
        except Unavailable:
            return False

    async def confirms(self, location: str, id: str) -> bool:
        """The same; raises Unavailable where it doesn't say, which is not a no."""
        url = f"http://{location}/api/node/resources/{id}"
        try:
            body = await self._call("GET", url)
        except Refused as refused:
            if refused.status in BUSY_STATUSES or refused.status >= 500:
                raise Unavailable(f"{url}: {refused}") from None
            return False
        try:
            return _decode(body, _Id).id == id
        except Unavailable:
            return False

    async def pieces(self, location: str, id: str) -> tuple[Pieces, int]:
        """How that resource is cut, and the set of pieces that the node there has."""
        url = f"http://{location}/api/node/resources/{id}/pieces"
        try:
            answer = await self._call("GET", url, limit=MANIFEST_MAX)
        except Refused as refused:
            if refused.status == 404 and await self._is_older(location):
                raise OlderProgram(
                    "a node of the older program, which gives no content "
                    "(it has no /pieces and no /content)"
                ) from None
            raise
        manifest = _decode(answer, Manifest)
        try:
            pieces = Pieces(manifest.size, bytes.fromhex("".join(manifest.digests)))
            pieces.check()
            if manifest.have is None:
                return pieces, every_piece(pieces.count)
            return pieces, decode_set(manifest.have, pieces.count)
        except ValueError as error:
            raise Nonsense(f"pieces that make no sense: {error}") from None

    async def stream(
        self, location: str, id: str, wanted: int, stream: ContentSink, silence: float
    ) -> None:
        """
        Have the node there send some of these pieces, the ones it chooses.

        Ends when all that it chose has come, or `stream` wants no more. Fails
        after `silence` seconds without a byte. Raises Refused and Unavailable.
        """
        url = f"http://{location}/api/node/resources/{id}/pieces"
        body = msgspec.json.encode(Wanted(encode_set(wanted)))
        response = await self._in_time(self._send("POST", url, body), silence, f"POST {url}")
        span = _content_range(response)
        if response.code == 206 and (span is None or not stream.began(*span)):
            drop(response)
            raise Unavailable("it sends a range that was not asked for")
        if response.code != 206 or span is None:
            raise await self._refusal(response, silence, f"POST {url}")
        receiver = BodyReceiver(self._clock, stream, span[1] - span[0], silence)
        response.deliverBody(receiver)
        await receiver.complete

    async def health(self, location: str) -> Health:
        """
        How the node there is; raises OlderProgram where it is well and doesn't say.

        Raises Refused and Unavailable, as do the others from here on.
        """
        url = f"http://{location}/api/node/health"
        answer = await self._call("GET", url)
        if not answer:
            raise OlderProgram("a node of the older program, which tells nothing of itself")
        health = _decode(answer, Health)
        if health.supernode is not None and not _valid([health.supernode]):
            raise Unavailable(f"{location} names no supernode but {health.supernode[:80]!r}")
        return health

    async def order(self, location: str, id: str) -> FetchStatus:
        """Have the node there fetch it, or learn that it does or has."""
        url = f"http://{location}/api/node/fetch"
        try:
            answer = await self._call("POST", url, msgspec.json.encode(FetchOrder(id)))
        except Refused as refused:
            if refused.status == 404 and await self._is_older(location):
                raise OlderProgram("a node of the older program, which fetches nothing") from None
            raise
        return _decode(answer, FetchStatus)

    async def fetch_status(self, location: str, id: str) -> FetchStatus:
        """How a fetch of the node there is getting on."""
        url = f"http://{location}/api/node/fetch/{id}"
        return _decode(await self._call("GET", url, limit=ANSWER_MAX), FetchStatus)

    async def fetches(self, location: str) -> list[FetchStatus]:
        """All fetches that the node there remembers."""
        url = f"http://{location}/api/node/fetch"
        return _decode(await self._call("GET", url, limit=ANSWER_MAX), list[FetchStatus])

    async def _is_older(self, location: str) -> bool:
        """Whether the node there is the older program's: it is well, and says nothing of it."""
        try:
            return not await self._call("GET", f"http://{location}/api/node/health")
        except (Refused, Unavailable):
            return False

    # -- a supernode's; all raise Refused or Unavailable

    async def register(self, supernode: str, registration: Registration) -> None:
        await self._call(
            "POST",
            f"http://{supernode}/api/supernode/register",
            msgspec.json.encode(registration),
            within=REGISTER_TIMEOUT + len(registration.resources) * REGISTER_TIMEOUT_EACH,
        )

    async def heartbeat(self, supernode: str, location: str) -> bool:
        """False where the supernode does not know the node."""
        return await self._presence("POST", supernode, location)

    async def goodbye(self, supernode: str, location: str) -> bool:
        """False where the supernode did not know the node."""
        return await self._presence("DELETE", supernode, location)

    async def search(self, supernode: str, ids: Sequence[str]) -> list[Holding]:
        """Who holds these resources, anywhere in the group."""
        url = f"http://{supernode}/api/supernode/search?hash_ids={','.join(ids)}"
        return await self._holdings(supernode, url)

    async def search_names(self, supernode: str, part: str) -> list[Holding]:
        """What this very supernode's nodes have with that in its name."""
        url = f"http://{supernode}/api/supernode/search?file_name={quote(part, safe='')}"
        return await self._holdings(supernode, url)

    async def search_node(self, supernode: str, node_name: str, id: str) -> list[Holding]:
        """Whether the supernode's node of that name has it: a list of one, or of none."""
        name = quote(node_name, safe="")
        url = f"http://{supernode}/api/supernode/search?node_name={name}&hash_ids={id}"
        return await self._holdings(supernode, url)

    async def _holdings(self, supernode: str, url: str) -> list[Holding]:
        """What is found, with nothing but locations that may be called."""
        found = []
        told = _decode(await self._call("GET", url, limit=ANSWER_MAX), list[_Found])[:FOUND_MAX]
        share = FOUND_LOCATIONS_MAX // max(1, len(told))
        for one in told:
            locations = _told(supernode, one.file.all[:share])
            if locations:
                name = UNSET if one.file.name is None else one.file.name
                size = UNSET if one.file.size is None else one.file.size
                found.append(Holding(one.id, HeldFile(locations[0], locations, name, size)))
        return found

    async def other_supernodes(self, supernode: str) -> list[str]:
        """
        Those that the supernode there knows.

        The older program's asks its group for that, and may wait without end for answers.
        """
        url = f"http://{supernode}/api/supernode/search?hash_ids={SUPERNODE_ID}"
        others: list[str] = []
        for one in _decode(await self._call("GET", url, limit=ANSWER_MAX), list[_Found]):
            # With `locations` it is one of ours, and the first of them is itself.
            others += one.file.all[1:] if one.file.locations is not None else one.file.all
        return _told(supernode, others)

    async def finds_names(self, supernode: str) -> bool:
        """Whether the supernode there can search by name; the older program's finds by id alone."""
        try:
            await self._call(
                "GET", f"http://{supernode}/api/supernode/holders/{SUPERNODE_ID}?here=1"
            )
        except Refused as refused:
            return refused.status != 404
        return True

    async def nodes(self, supernode: str) -> list[NodeInfo]:
        """The nodes that are registered there."""
        url = f"http://{supernode}/api/supernode/alive"
        nodes = _decode(await self._call("GET", url, limit=ANSWER_MAX), list[NodeInfo])
        return [node for node in nodes[:NODES_MAX] if _valid([node.location])]

    async def holders(self, supernode: str, id: str, here: bool = False) -> Holders:
        """Everybody who has it or a part of it; `here`: only who is registered at this one."""
        url = f"http://{supernode}/api/supernode/holders/{id}{'?here=1' if here else ''}"
        try:
            answer = await self._call("GET", url, limit=ANSWER_MAX)
        except Refused as refused:
            if refused.status != 404:
                raise
            # Not that nobody has it: the older program's supernode has no such route.
            return await self._holders_by_search(supernode, id, here)
        found = _decode(answer, Holders)
        return msgspec.structs.replace(
            found,
            locations=_told(supernode, found.locations),
            partial=_told(supernode, found.partial),
        )

    async def _holders_by_search(self, supernode: str, id: str, here: bool) -> Holders:
        if id == SUPERNODE_ID:
            return Holders(id, [], [])  # That it answers is all there is to know of it.
        url = f"http://{supernode}/api/supernode/search/{id}"
        file = _decode(await self._call("GET", url, limit=ANSWER_MAX), _FoundOne).file
        # Without a name it came from its group, and not from a node of its own.
        locations = [] if here and file.name is None else file.all
        return Holders(id, _told(supernode, locations), [], file.name, file.size)

    async def _presence(self, method: str, supernode: str, location: str) -> bool:
        body = msgspec.json.encode(Presence(location))
        try:
            await self._call(method, f"http://{supernode}/api/supernode/alive", body)
        except Refused as refused:
            if refused.status == 404:
                return False
            raise
        return True


def make_client(
    reactor: IClientReactor,
    key: GroupKey | None = None,
    authority: TrustedAuthority | None = None,
) -> Client:
    """
    A Client with a connection pool of its own, on real connections.

    With a `key` it proves to be a member of that closed group; with an
    `authority` it speaks TLS, and only with those that have its certificate.
    """
    agent, pool = make_agent(reactor, authority)
    signatures = None if key is None else HttpSignatures(key.http)
    return Client(reactor, agent, pool, signatures)


def _told(supernode: str, locations: Sequence[str]) -> list[str]:
    """
    Those of the locations that a supernode tells which may be called, address by address.

    Of too many only the first are looked at.
    """
    valid = _valid(locations[:LOOKED_AT])
    return in_turns(believed(valid, parse_location(supernode).host), LOCATIONS_MAX)


def _valid(locations: Sequence[str]) -> list[str]:
    """Those that are locations of one host."""
    valid = []
    for location in locations:
        try:
            valid.append(str(parse_location(location)))
        except InvalidInput:
            continue
    return valid


def _decode(answer: bytes, kind: type[_T]) -> _T:
    """The data of an answer; raises Nonsense where it is not of that kind."""
    try:
        return msgspec.json.decode(msgspec.json.decode(answer, type=_Data).data, type=kind)
    except UNREADABLE as error:
        raise Nonsense(f"an answer that can't be understood: {shown(str(error))}") from None


def _content_range(response: IResponse) -> tuple[int, int] | None:
    """The first byte that an answer brings and the one after the last, where it says so."""
    values = response.headers.getRawHeaders(b"content-range") or [b""]
    parsed = parse_content_range_header(values[0].decode("latin-1"))
    if parsed is None or parsed.units != "bytes" or parsed.start is None or parsed.stop is None:
        return None
    return parsed.start, parsed.stop
