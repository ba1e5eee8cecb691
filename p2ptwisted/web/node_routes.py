"""The node's routes: each decodes a request, calls INode or IDownloads, and encodes the answer."""

from collections.abc import Sequence
from http import HTTPStatus
from ipaddress import IPv4Network

import msgspec
from klein import Klein
from msgspec import Struct
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.resource import Resource as WebResource
from twisted.web.server import Request

from p2ptwisted.errors import InvalidInput, NotAllowed, UnknownResource
from p2ptwisted.interfaces import Asker, IDownloads, INode, Sources
from p2ptwisted.model import (
    DownloadOrder,
    DownloadStatus,
    HeldFile,
    Holding,
    Order,
    ResourceInfo,
    Wanted,
    parse_id,
)
from p2ptwisted.pieces import PIECES_MAX
from p2ptwisted.support.address_policy import may_name
from p2ptwisted.support.trusted_networks import how_to_trust
from p2ptwisted.web.api_root import ApiRoot
from p2ptwisted.web.authentication import Authenticator
from p2ptwisted.web.content import Content, SomePieces
from p2ptwisted.web.error_responses import error_of
from p2ptwisted.web.json_stream import JsonStream
from p2ptwisted.web.manifests import (
    check_readable,
    compact_manifest,
    is_compact_wanted,
    manifest,
    send_manifest,
    tell_state,
)
from p2ptwisted.web.metalink import CONTENT_TYPE as METALINK_TYPE
from p2ptwisted.web.metalink import metalink
from p2ptwisted.web.mirrors import resource_url
from p2ptwisted.web.orders import reading
from p2ptwisted.web.request_input import caller, decode_body, query, query_ids, query_number
from p2ptwisted.web.responses import file, no_content, success
from p2ptwisted.web.torrent import CONTENT_TYPE as TORRENT_TYPE
from p2ptwisted.web.torrent import torrent

#: Bytes of a request's body; the set of pieces wanted of a resource of 1 TiB has 16 KiB.
BODY_MAX = 64 * 1024

#: Seconds for which a question for news is held at the most: less than a client or a proxy
#: usually waits for an answer.
NEWS_WAIT_MAX = 20

ENTITY = "resource"

_wanted = msgspec.json.Decoder(Wanted)
_order = msgspec.json.Decoder(DownloadOrder)


class LocalResource(Struct, omit_defaults=True):
    """A resource of this node, in a list of resources."""

    id: str
    name: str
    other_names: tuple[str, ...] = ()


class RemoteResource(Struct):
    """A resource that other nodes have, in a list of resources."""

    id: str
    info: HeldFile


class NodeApi:
    """The routes of an INode and its IDownloads."""

    app = Klein()

    def __init__(
        self,
        clock: IReactorTime,
        node: INode,
        downloads: IDownloads,
        trusted_networks: Sequence[IPv4Network] = (),
    ) -> None:
        """`trusted_networks`: those whose callers may have this node fetch; loopback always may."""
        self._clock = clock
        self._node = node
        self._downloads = downloads
        self._trusted_networks = trusted_networks

    def root(self, authenticator: Authenticator | None = None) -> ApiRoot:
        """Return the root of a site; `authenticator` is as for ApiRoot."""
        return ApiRoot(self.app, authenticator)

    @app.handle_errors(Exception)  # type: ignore[arg-type]  # a Request is all there is
    def on_error(self, request: Request, failure: Failure) -> bytes:
        return error_of(request, failure)

    @app.route("/node/health", methods=["GET"])
    def health(self, request: Request) -> bytes:
        return success(request, self._node.health(caller(request)), "health")

    @app.route("/node/resources", methods=["GET"])
    def resources(self, request: Request) -> WebResource:
        return JsonStream(self._node.resources(), ENTITY, _listed)

    @app.route("/node/resources/find", methods=["GET"])
    async def find(self, request: Request) -> bytes:
        ids = query_ids(request)
        if ids is None:
            raise InvalidInput("say what to find: hash_ids, ids separated by commas")
        found = await self._node.find(ids, caller(request))
        return success(request, [_listed(resource) for resource in found], ENTITY)

    @app.route("/node/resources/<id>", methods=["GET"])
    async def resource(self, request: Request, id: str) -> bytes:
        found = await self._find_one(request, id)
        if isinstance(found, Holding):
            _redirect(request, found, "")
        return success(request, _listed(found), ENTITY)

    @app.route("/node/resources/<id>/content", methods=["GET"])
    async def content(self, request: Request, id: str) -> WebResource | bytes:
        mirrors = await self._node.mirrors(parse_id(id), caller(request))
        content = self._node.open(parse_id(id), caller(request))
        if content is not None:
            return Content(self._clock, content, mirrors)
        return await self._elsewhere(request, id, "/content")

    # For ids that can be a file's alone: others may end like these.
    @app.route("/node/resources/<string(length=64):id>.meta4", methods=["GET"])
    async def metalink(self, request: Request, id: str) -> bytes:
        sources = await self._node.sources(parse_id(id), caller(request))
        if sources is None:
            return await self._elsewhere(request, id, ".meta4")
        body = metalink(sources, _content_urls(request, sources))
        return file(request, METALINK_TYPE, f"{sources.name}.meta4", body)

    @app.route("/node/resources/<string(length=64):id>.torrent", methods=["GET"])
    async def torrent(self, request: Request, id: str) -> bytes:
        sources = await self._node.sources(parse_id(id), caller(request))
        if sources is None:
            return await self._elsewhere(request, id, ".torrent")
        cut = await self._node.sha1_pieces(sources, caller(request))
        body = torrent(sources, cut, _content_urls(request, sources))
        return file(request, TORRENT_TYPE, f"{sources.name}.torrent", body)

    @app.route("/node/resources/<id>/pieces", methods=["GET"])
    async def pieces(self, request: Request, id: str) -> bytes:
        id, asker = parse_id(id), Asker(caller(request), query(request, "location"))
        seconds = query_number(request, "wait", NEWS_WAIT_MAX)
        if seconds:
            since = query_number(request, "since", PIECES_MAX)
            has_manifest = request.getHeader(b"if-none-match") is not None
            await self._node.news(id, since, seconds, has_manifest)
        state = self._node.pieces(id, asker)
        tell_state(request, state)
        if is_compact_wanted(request):
            body = compact_manifest(request, state.pieces)
            if body:
                with self._node.sending_manifest(id, len(body), state.neighbors):
                    await send_manifest(request, body)
            return b""
        check_readable(request, state.pieces)
        return success(request, manifest(id, state), "pieces")

    # Asked for by POST, as a set of pieces is too long for a URL.
    @app.route("/node/resources/<id>/pieces", methods=["POST"])
    @reading
    async def some_pieces(self, request: Request, id: str) -> WebResource:
        wanted = decode_body(request, _wanted)
        asker = Asker(caller(request), wanted.location)
        return SomePieces(self._clock, await self._node.give(parse_id(id), wanted, asker))

    @app.route("/node/fetch", methods=["POST"])
    def fetch(self, request: Request) -> bytes:
        self._check_trusted(request)
        ordered = decode_body(request, _order)
        orders = [Order(parse_id(one.id), one.name) for one in ordered.all]
        taken: DownloadStatus | list[DownloadStatus]
        if ordered.others is None:
            taken = self._downloads.start(orders[0].id, orders[0].name)
        else:
            taken = self._downloads.start_all(orders)
        request.setResponseCode(HTTPStatus.ACCEPTED)
        return success(request, taken, "fetch")

    @app.route("/node/fetch", methods=["GET"])
    def fetches(self, request: Request) -> WebResource:
        return JsonStream(self._downloads.all(query_ids(request)), "fetch")

    @app.route("/node/fetch/<id>", methods=["GET"])
    def fetch_status(self, request: Request, id: str) -> bytes:
        return success(request, self._downloads.status(parse_id(id)), "fetch")

    @app.route("/node/fetch/<id>", methods=["DELETE"])
    def cancel(self, request: Request, id: str) -> bytes:
        self._check_trusted(request)
        self._downloads.cancel(parse_id(id))
        return no_content(request)

    def _check_trusted(self, request: Request) -> None:
        """Raise NotAllowed where the caller may not have this node fetch."""
        if not may_name(caller(request), "", self._trusted_networks):
            raise NotAllowed(
                f"you call from {caller(request)}: only loopback and the node's --trusted-network "
                f"may have it fetch; {how_to_trust(caller(request))}"
            )

    async def _elsewhere(self, request: Request, id: str, rest: str) -> bytes:
        """Redirect the client to a holder, for what isn't here. Raises UnknownResource."""
        found = await self._find_one(request, id)
        if isinstance(found, ResourceInfo):
            raise UnknownResource(f"{found.id} has just changed or gone")
        _redirect(request, found, rest)
        return success(request, _listed(found), ENTITY)

    async def _find_one(self, request: Request, id: str) -> ResourceInfo | Holding:
        """Find a resource here or at others. Raises UnknownResource where nobody has it."""
        for found in await self._node.find([parse_id(id)], caller(request)):
            return found
        raise UnknownResource(f"nobody has {id}")


def _listed(found: ResourceInfo | Holding) -> LocalResource | RemoteResource:
    """Return the entry of a resource in a list."""
    if isinstance(found, ResourceInfo):
        return LocalResource(found.id, found.name, found.other_names)
    return RemoteResource(found.id, found.file)


def _redirect(request: Request, found: Holding, rest: str) -> None:
    """Redirect the client to a holder; `rest` is what follows the id in the path."""
    request.setResponseCode(HTTPStatus.FOUND)
    url = resource_url(request, found.file.location, found.id, rest)
    request.setHeader(b"location", url.encode())


def _content_urls(request: Request, sources: Sources) -> list[str]:
    """Return the URLs of a resource's content, the best first."""
    return [resource_url(request, one, sources.id, "/content") for one in sources.locations]
