"""The client's calls to a node: a method for each route of its HTTP API."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from urllib.parse import urlencode

import msgspec
from twisted.internet.interfaces import IReactorTime
from twisted.web.client import HTTPConnectionPool
from twisted.web.iweb import IAgent

from p2ptwisted.client.answers import decode_answer, valid_locations
from p2ptwisted.client.body_receiver import BodyReceiver, ContentSink
from p2ptwisted.client.content_pool import ContentPool
from p2ptwisted.client.order_client import OrderClient
from p2ptwisted.client.transport import (
    BUSY_STATUSES,
    CALL_TIMEOUT,
    Refused,
    drop,
)
from p2ptwisted.errors import Busy, Interrupted, InvalidInput, Nonsense, OlderProgram, Unavailable
from p2ptwisted.model import (
    COMPACT_TYPE,
    HAS_ALL,
    HAVE_HEADER,
    NEIGHBORS_HEADER,
    NEIGHBORS_TOLD_MAX,
    UNREADABLE,
    CompactManifest,
    Health,
    Manifest,
    Wanted,
)
from p2ptwisted.pieces import (
    HolderState,
    Pieces,
    decode_set,
    encode_set,
    every_piece,
    pieces_of,
    unpack_set,
)
from p2ptwisted.security.http_signatures import HttpSignatures
from p2ptwisted.support.address_policy import believed
from p2ptwisted.support.escaping import shown
from p2ptwisted.support.expiring import ExpiringDict
from p2ptwisted.support.round_robin import host_of

#: Bytes read of a manifest: those of a resource of 1 TiB, with the digest of each piece.
MANIFEST_MAX = 8 * 1024 * 1024

_CONTENT_RANGE = re.compile(rb"bytes ([0-9]{1,18})-([0-9]{1,18})/(?:[0-9]{1,18}|\*)")


#: Hosts for which the own location is remembered, and seconds: an address may change.
OWN_LOCATIONS_MAX, OWN_LOCATION_LIFETIME = 1_000, 10.0


class _Id(msgspec.Struct):
    id: str = ""


class _Membership(msgspec.Struct):
    """The supernode in a node's health; nodes of other programs don't report one."""

    supernode: str | None = None


class NodeClient(OrderClient):
    """Calls nodes, by location; also those of the older program, which have fewer routes."""

    def __init__(
        self,
        clock: IReactorTime,
        agent: IAgent,
        pool: HTTPConnectionPool | None = None,
        signatures: HttpSignatures | None = None,
        connections: ContentPool | None = None,
        own_location: Callable[[str], str | None] = lambda host: None,
    ) -> None:
        """
        `own_location` returns the location of the node that calls, for the host that it calls:
        others may fetch from it what it fetches from them. None: it is no node.
        """
        super().__init__(clock, agent, pool, signatures, connections)
        self._find_own_location = own_location
        #: What it was by host, as it is told with each request for pieces.
        self._own_locations: ExpiringDict[str, str | None] = ExpiringDict(
            OWN_LOCATIONS_MAX, OWN_LOCATION_LIFETIME
        )

    def _own_location(self, host: str) -> str | None:
        now = self._clock.seconds()
        self._own_locations.expire(now)
        if host not in self._own_locations:
            self._own_locations.set(host, self._find_own_location(host), now)
        return self._own_locations.get(host)

    async def is_well(self, location: str) -> bool | None:
        """
        Whether the node there answers its health check; None where no answer comes.

        Never raises.
        """
        try:
            await self._call("GET", f"http://{location}/api/node/health")
        except Refused:
            return False
        except Unavailable:
            return None
        return True

    async def has_supernode(self, location: str) -> bool:
        """Whether the node there reports that it is registered at a supernode. Never raises."""
        try:
            body = await self._call("GET", f"http://{location}/api/node/health")
            return decode_answer(body, _Membership).supernode is not None
        except (Refused, Unavailable):
            return False

    async def holds(self, location: str, id: str) -> bool:
        """Whether the node there has that resource itself. Never raises."""
        try:
            return await self.confirms(location, id)
        except Unavailable:
            return False

    async def confirms(self, location: str, id: str) -> bool:
        """Whether it does; raises Unavailable where it doesn't answer, which is not a no."""
        url = f"http://{location}/api/node/resources/{id}"
        try:
            body = await self._call("GET", url)
        except Refused as refused:
            if refused.status in BUSY_STATUSES or refused.status >= 500:
                raise Unavailable(f"{location}: {refused}") from None
            return False
        try:
            return decode_answer(body, _Id).id == id
        except Unavailable:
            return False

    async def pieces(
        self,
        location: str,
        id: str,
        known: Collection[Pieces] = (),
        since: int = 0,
        wait: float = 0.0,
    ) -> HolderState:
        """
        Return how a resource is cut into pieces, and the set of those that the node there has.

        A manifest that is among the `known` ones is not sent again. The node may `wait` so many
        seconds until it has another number of pieces than `since`. Raises OlderProgram, Busy where
        others are to be asked for the manifest, and Refused and Unavailable.
        """
        query = {}
        if wait:
            query = {"since": str(since), "wait": f"{wait:g}"}
        own = self._own_location(host_of(location))
        if own is not None:
            query["location"] = own
        url = f"http://{location}/api/node/resources/{id}/pieces"
        if query:
            url += f"?{urlencode(query, safe=':')}"
        headers = {"accept": f"{COMPACT_TYPE}, application/json"}
        by_tag = {f'"{pieces.tag}"': pieces for pieces in known}
        if by_tag:
            headers["if-none-match"] = ", ".join(by_tag)
        try:
            reply = await self._answered(
                lambda: self._reply_of_holder(url, headers, MANIFEST_MAX),
                CALL_TIMEOUT + wait,
                "",  # Messages about it name the holder.
                same=bool(by_tag),
            )
        except Refused as refused:
            if refused.status == 404 and await self.is_older(location):
                raise OlderProgram(
                    "a node of the older program, which gives no content "
                    "(it has no /pieces and no /content)"
                ) from None
            others = self._neighbors(location, refused.headers)
            if refused.status == HTTPStatus.SERVICE_UNAVAILABLE and others:
                raise Busy(str(refused), others) from None
            raise
        if reply.status == HTTPStatus.NOT_MODIFIED:
            said = by_tag.get(reply.headers.get(b"etag", b"").decode("latin-1"))
            if said is None:
                raise Nonsense("it says that nothing has changed of what it was not asked for")
            return self._state(location, reply.headers, said)
        if reply.headers.get(b"content-type") == COMPACT_TYPE.encode():
            return self._state(location, reply.headers, _compact(reply.body))
        return _manifest(reply.body)

    async def stream(
        self,
        location: str,
        id: str,
        pieces: Pieces,
        wanted: int,
        most: int,
        sink: ContentSink,
        silence: float,
    ) -> None:
        """
        Receive some of the `wanted` pieces, `most` at the most, that the node there chooses.

        Returns when all that it chose has arrived, or `sink` wants no more.
        Fails after `silence` seconds without a byte. Raises Refused and Unavailable; that is
        Interrupted where this process stood still meanwhile, so that it may be its own fault.
        """
        with self._interruptions():
            url = f"http://{location}/api/node/resources/{id}/pieces"
            own = self._own_location(host_of(location))
            body = msgspec.json.encode(Wanted(encode_set(wanted), most, own))
            response = await self._in_time(self._ask_holder("POST", url, body), silence, "")
            span = _parse_range(response.headers.get(b"content-range", b""))
            if response.code == 206 and span is not None and HAVE_HEADER in response.headers:
                try:
                    sink.told(self._state(location, response.headers, pieces))
                except Nonsense:
                    drop(response)
                    raise
            if response.code == 206 and (span is None or not sink.began(*span)):
                drop(response)
                raise Unavailable("it sends a range that was not asked for")
            if response.code != 206 or span is None:
                raise await self._refusal(response, silence, "")
            receiver = BodyReceiver(self._clock, sink, span[1] - span[0], silence)
            response.deliverBody(receiver)
            await receiver.complete

    @contextmanager
    def _interruptions(self) -> Iterator[None]:
        """Have Unavailable be Interrupted where this process stood still meanwhile."""
        began = self._clock.seconds()
        try:
            yield
        except Nonsense:
            raise
        except Unavailable as error:
            if self.stood_still_since(began):
                raise Interrupted(str(error)) from error
            raise

    def _state(self, location: str, headers: Mapping[bytes, bytes], pieces: Pieces) -> HolderState:
        """What the head of an answer says of the pieces that a node has. Raises Nonsense."""
        have = headers.get(HAVE_HEADER, b"").decode("latin-1")
        neighbors = self._neighbors(location, headers)
        if have == HAS_ALL:
            return HolderState(pieces, every_piece(pieces.count), neighbors)
        try:
            return HolderState(pieces, unpack_set(have, pieces.count), neighbors)
        except InvalidInput as error:
            raise Nonsense(f"pieces that make no sense: {error}") from None

    def _neighbors(self, location: str, headers: Mapping[bytes, bytes]) -> list[str]:
        """The other nodes that the head of an answer from that location names."""
        host = host_of(location)
        named = headers.get(NEIGHBORS_HEADER, b"").decode("latin-1").split(",", NEIGHBORS_TOLD_MAX)
        valid = valid_locations([name.strip() for name in named[:NEIGHBORS_TOLD_MAX]])
        own = self._own_location(host)
        return [other for other in believed(valid, host) if other != own]

    async def health(self, location: str) -> Health:
        """
        Return the state of the node there; raises OlderProgram where it is well and has none.

        Raises Refused and Unavailable.
        """
        url = f"http://{location}/api/node/health"
        answer = await self._call("GET", url)
        if not answer:
            raise OlderProgram("a node of the older program, which says nothing about itself")
        health = decode_answer(answer, Health)
        if health.supernode is not None and not valid_locations([health.supernode]):
            raise Unavailable(f"{location} names no supernode but {health.supernode[:80]!r}")
        return health


def _manifest(answer: bytes) -> HolderState:
    """The pieces of a manifest in JSON, as any node sends it. Raises Nonsense."""
    manifest = decode_answer(answer, Manifest)
    try:
        pieces = pieces_of(manifest.size, bytes.fromhex("".join(manifest.digests)))
        pieces.check()
        if manifest.have is None:
            return HolderState(pieces, every_piece(pieces.count))
        return HolderState(pieces, decode_set(manifest.have, pieces.count))
    except ValueError as error:
        raise Nonsense(f"pieces that make no sense: {error}") from None


def _compact(answer: bytes) -> Pieces:
    """The pieces of a compact manifest. Raises Nonsense."""
    try:
        manifest = msgspec.msgpack.decode(answer, type=CompactManifest)
        pieces = pieces_of(manifest.size, manifest.digests, manifest.prefixes)
        pieces.check()
    except (InvalidInput, *UNREADABLE) as error:
        raise Nonsense(f"pieces that make no sense: {shown(str(error))}") from None
    return pieces


def _parse_range(content_range: bytes) -> tuple[int, int] | None:
    """Return the first byte of a Content-Range and the one after the last; None if unreadable."""
    parsed = _CONTENT_RANGE.fullmatch(content_range)
    if parsed is None:
        return None
    start, last = int(parsed[1]), int(parsed[2])
    return (start, last + 1) if start <= last else None
