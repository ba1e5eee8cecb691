"""The node's routes."""

from http import HTTPStatus

from klein import Klein
from msgspec import Struct
from twisted.python.failure import Failure
from twisted.web.resource import Resource as WebResource
from twisted.web.server import Request

from p2ptwisted.errors import InvalidInput, UnknownResource
from p2ptwisted.interfaces import INode
from p2ptwisted.model import HeldFile, Holding, Resource, parse_id
from p2ptwisted.web.content import Content
from p2ptwisted.web.envelope import ApiRoot, error_of, query_ids, success
from p2ptwisted.web.lists import LongList

#: Bytes; no route of a node takes a body.
BODY_MAX = 64 * 1024

ENTITY = "resource"


class Here(Struct):
    """A resource of this node."""

    id: str
    name: str


class Elsewhere(Struct):
    """A resource that other nodes have."""

    id: str
    info: HeldFile


class NodeApi:
    """HTTP to an INode and back."""

    app = Klein()

    def __init__(self, node: INode) -> None:
        self._node = node

    def root(self) -> ApiRoot:
        return ApiRoot(self.app)

    @app.handle_errors(Exception)  # type: ignore[arg-type]  # a Request is all there is
    def on_error(self, request: Request, failure: Failure) -> bytes:
        return error_of(request, failure)

    @app.route("/node/health", methods=["GET"])
    def health(self, request: Request) -> bytes:
        return success(request, self._node.health(), "health")

    @app.route("/node/resources", methods=["GET"])
    def resources(self, request: Request) -> WebResource:
        return LongList(self._node.resources(), ENTITY, _listed)

    @app.route("/node/resources/find", methods=["GET"])
    async def find(self, request: Request) -> bytes:
        ids = query_ids(request)
        if ids is None:
            raise InvalidInput("say what to find: hash_ids, ids separated by commas")
        found = await self._node.find(ids)
        return success(request, [_listed(one) for one in found], ENTITY)

    @app.route("/node/resources/<id>", methods=["GET"])
    async def resource(self, request: Request, id: str) -> bytes:
        found = await self._one(id)
        if isinstance(found, Holding):
            _redirect(request, found, "")
        return success(request, _listed(found), ENTITY)

    @app.route("/node/resources/<id>/content", methods=["GET"])
    async def content(self, request: Request, id: str) -> WebResource | bytes:
        here = self._node.open(parse_id(id))
        if here is not None:
            return Content(*here)
        found = await self._one(id)
        if isinstance(found, Resource):
            raise UnknownResource(f"{found.id} has just changed or gone")
        _redirect(request, found, "/content")
        return success(request, _listed(found), ENTITY)

    async def _one(self, id: str) -> Resource | Holding:
        for found in await self._node.find([parse_id(id)]):
            return found
        raise UnknownResource(f"nobody has {id}")


def _listed(found: Resource | Holding) -> Here | Elsewhere:
    if isinstance(found, Resource):
        return Here(found.id, found.name)
    return Elsewhere(found.id, found.file)


def _redirect(request: Request, found: Holding, rest: str) -> None:
    """Send the client to a holder, with what is known as the body."""
    request.setResponseCode(HTTPStatus.FOUND)
    url = f"http://{found.file.location}/api/node/resources/{found.id}{rest}"
    request.setHeader(b"location", url.encode())
