"""The supernode's routes: each decodes a request, calls ISupernode, and encodes the answer."""

import msgspec
from klein import Klein
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Request

from p2ptwisted.errors import InvalidInput
from p2ptwisted.interfaces import ISupernode
from p2ptwisted.model import (
    FOUND_MAX,
    PREFIX_FOUND_MAX,
    REGISTRATION_BYTES_MAX,
    UNREACHABLE_HEADER,
    Presence,
    Registration,
    is_id_prefix,
    parse_id,
)
from p2ptwisted.web.api_root import ApiRoot
from p2ptwisted.web.authentication import Authenticator
from p2ptwisted.web.error_responses import error_of
from p2ptwisted.web.json_stream import JsonStream
from p2ptwisted.web.orders import order
from p2ptwisted.web.request_input import caller, decode_body, query, query_ids
from p2ptwisted.web.responses import no_content, success

#: Bytes of a request's body; a registration of model.RESOURCES_MAX resources has about 14 MB.
BODY_MAX = REGISTRATION_BYTES_MAX

FOUND = "node_resource_location"

_registration = msgspec.json.Decoder(Registration)
_presence = msgspec.json.Decoder(Presence)


class SupernodeApi:
    """The routes of an ISupernode."""

    app = Klein()

    def __init__(self, supernode: ISupernode) -> None:
        self._supernode = supernode

    def root(self, authenticator: Authenticator | None = None) -> ApiRoot:
        """Return the root of a site; `authenticator` is as for ApiRoot."""
        return ApiRoot(self.app, authenticator)

    @app.handle_errors(Exception)  # type: ignore[arg-type]  # a Request is all there is
    def on_error(self, request: Request, failure: Failure) -> bytes:
        return error_of(request, failure)

    @app.route("/supernode/register", methods=["POST"])
    async def register(self, request: Request) -> bytes:
        registration = decode_body(request, _registration)
        await self._supernode.register(registration, caller(request))
        return no_content(request)

    @app.route("/supernode/search/<id>", methods=["GET"])
    async def search(self, request: Request, id: str) -> bytes:
        found = await self._supernode.search(parse_id(id), caller(request))
        return success(request, {} if found is None else found, FOUND)

    @app.route("/supernode/search", methods=["GET"])
    async def search_many(self, request: Request) -> bytes:
        if (prefix := query(request, "id_prefix")) is not None:
            return self._find_beginning(request, prefix)
        ids = query_ids(request)
        file_name, node_name = query(request, "file_name"), query(request, "node_name")
        if not (ids or file_name or node_name):
            raise InvalidInput("say what to search for: hash_ids, file_name or node_name")
        after = query(request, "after")
        if after is not None and (file_name or node_name):
            return await self._find_part(request, file_name, node_name, after, ids)
        found = await self._supernode.find(caller(request), file_name, node_name, ids)
        if (file_name or node_name) and ids is None and len(found) >= FOUND_MAX:
            return success(request, found, FOUND, more=True)
        return success(request, found, FOUND)

    def _find_beginning(self, request: Request, prefix: str) -> bytes:
        if not is_id_prefix(prefix):
            raise InvalidInput(
                f"id_prefix is {prefix[:80]!r}: give the first 8 to 63 hex digits of an id"
            )
        found = self._supernode.find_beginning(prefix, caller(request))
        return success(request, found, FOUND, more=len(found) >= PREFIX_FOUND_MAX)

    async def _find_part(
        self,
        request: Request,
        file_name: str | None,
        node_name: str | None,
        after: str,
        ids: list[str] | None,
    ) -> bytes:
        if ids is not None:
            raise InvalidInput("after is for searches by name: leave out hash_ids, or after")
        after = parse_id(after) if after else ""
        part = await self._supernode.find_part(
            caller(request), file_name or None, node_name or None, after
        )
        return success(request, part.holdings, FOUND, more=part.next is not None, next=part.next)

    @app.route("/supernode/holders/<id>", methods=["GET"])
    async def holders(self, request: Request, id: str) -> bytes:
        everywhere = query(request, "here") is None
        found = await self._supernode.holders(parse_id(id), caller(request), everywhere)
        return success(request, found, "holders")

    @app.route("/supernode/alive", methods=["GET"])
    def alive(self, request: Request) -> Resource:
        return JsonStream(self._supernode.nodes(), "node")

    @app.route("/supernode/alive", methods=["POST"])
    def heartbeat(self, request: Request) -> bytes:
        location = decode_body(request, _presence).location
        if unreachable := self._supernode.heartbeat(location, caller(request)):
            request.setHeader(UNREACHABLE_HEADER, unreachable.encode())
        return no_content(request)

    @app.route("/supernode/alive", methods=["DELETE"])
    def goodbye(self, request: Request) -> bytes:
        self._supernode.goodbye(decode_body(request, _presence).location, caller(request))
        return no_content(request)

    @app.route("/supernode/gone", methods=["GET"])
    def gone(self, request: Request) -> Resource:
        return JsonStream(self._supernode.gone(), "gone_node")

    @app.route("/supernode/xxx", methods=["GET"])
    @order
    async def sweep(self, request: Request) -> bytes:
        await self._supernode.sweep()
        return no_content(request)
