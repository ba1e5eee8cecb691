"""The client's calls to a node: a method for each route of its HTTP API."""

import re

import msgspec

from p2ptwisted.client.answers import ANSWER_MAX, decode_answer, valid_locations
from p2ptwisted.client.body_receiver import BodyReceiver, ContentSink
from p2ptwisted.client.transport import BUSY_STATUSES, HttpTransport, Refused, drop
from p2ptwisted.errors import Nonsense, OlderProgram, Unavailable
from p2ptwisted.model import DownloadOrder, DownloadStatus, Health, Manifest, Wanted
from p2ptwisted.pieces import Pieces, decode_set, encode_set, every_piece

#: Bytes read of a manifest: those of a resource of 1 TiB, with the digest of each piece.
MANIFEST_MAX = 8 * 1024 * 1024

_CONTENT_RANGE = re.compile(rb"bytes ([0-9]{1,18})-([0-9]{1,18})/(?:[0-9]{1,18}|\*)")


class _Id(msgspec.Struct):
    id: str = ""


class _Membership(msgspec.Struct):
    """The supernode in a node's health; nodes of other programs don't report one."""

    supernode: str | None = None


class NodeClient(HttpTransport):
    """Calls nodes, by location; also those of the older program, which have fewer routes."""

    async def is_well(self, location: str) -> bool:
        """Whether the node there answers its health check. Never raises."""
        try:
            await self._call("GET", f"http://{location}/api/node/health")
        except (Refused, Unavailable):
            return False
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
                raise Unavailable(f"{url}: {refused}") from None
            return False
        try:
            return decode_answer(body, _Id).id == id
        except Unavailable:
            return False

    async def pieces(self, location: str, id: str) -> tuple[Pieces, int]:
        """
        Return how a resource is cut into pieces, and the set of those that the node there has.

        Raises OlderProgram, and Refused and Unavailable.
        """
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
        manifest = decode_answer(answer, Manifest)
        try:
            pieces = Pieces(manifest.size, bytes.fromhex("".join(manifest.digests)))
            pieces.check()
            if manifest.have is None:
                return pieces, every_piece(pieces.count)
            return pieces, decode_set(manifest.have, pieces.count)
        except ValueError as error:
            raise Nonsense(f"pieces that make no sense: {error}") from None

    async def stream(
        self, location: str, id: str, wanted: int, sink: ContentSink, silence: float
    ) -> None:
        """
        Receive some of the `wanted` pieces, those that the node there chooses.

        Returns when all that it chose has arrived, or `sink` wants no more.
        Fails after `silence` seconds without a byte. Raises Refused and Unavailable.
        """
        url = f"http://{location}/api/node/resources/{id}/pieces"
        body = msgspec.json.encode(Wanted(encode_set(wanted)))
        response = await self._in_time(self._post_for_content(url, body), silence, f"POST {url}")
        span = _parse_range(response.content_range)
        if response.code == 206 and (span is None or not sink.began(*span)):
            drop(response)
            raise Unavailable("it sends a range that was not asked for")
        if response.code != 206 or span is None:
            raise await self._refusal(response, silence, f"POST {url}")
        receiver = BodyReceiver(self._clock, sink, span[1] - span[0], silence)
        response.deliverBody(receiver)
        await receiver.complete

    async def health(self, location: str) -> Health:
        """
        Return the state of the node there; raises OlderProgram where it is well and has none.

        Raises Refused and Unavailable, as do all methods from here on.
        """
        url = f"http://{location}/api/node/health"
        answer = await self._call("GET", url)
        if not answer:
            raise OlderProgram("a node of the older program, which tells nothing of itself")
        health = decode_answer(answer, Health)
        if health.supernode is not None and not valid_locations([health.supernode]):
            raise Unavailable(f"{location} names no supernode but {health.supernode[:80]!r}")
        return health

    async def order(self, location: str, id: str) -> DownloadStatus:
        """Order the node there to fetch a resource; returns how far it is."""
        url = f"http://{location}/api/node/fetch"
        try:
            answer = await self._call("POST", url, msgspec.json.encode(DownloadOrder(id)))
        except Refused as refused:
            if refused.status == 404 and await self._is_older(location):
                raise OlderProgram("a node of the older program, which fetches nothing") from None
            raise
        return decode_answer(answer, DownloadStatus)

    async def fetch_status(self, location: str, id: str) -> DownloadStatus:
        """Return the state of one fetch of the node there."""
        url = f"http://{location}/api/node/fetch/{id}"
        return decode_answer(await self._call("GET", url, limit=ANSWER_MAX), DownloadStatus)

    async def fetches(self, location: str) -> list[DownloadStatus]:
        """Return all fetches that the node there remembers."""
        url = f"http://{location}/api/node/fetch"
        return decode_answer(await self._call("GET", url, limit=ANSWER_MAX), list[DownloadStatus])

    async def _is_older(self, location: str) -> bool:
        """Whether the node there is the older program's: its health check has an empty answer."""
        try:
            return not await self._call("GET", f"http://{location}/api/node/health")
        except (Refused, Unavailable):
            return False


def _parse_range(content_range: bytes) -> tuple[int, int] | None:
    """Return the first byte of a Content-Range and the one after the last; None if unreadable."""
    parsed = _CONTENT_RANGE.fullmatch(content_range)
    if parsed is None:
        return None
    start, last = int(parsed[1]), int(parsed[2])
    return (start, last + 1) if start <= last else None
