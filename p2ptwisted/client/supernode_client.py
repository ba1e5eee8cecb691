"""The client's calls to a supernode: a method for each route of its HTTP API."""

from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import quote

import msgspec
from msgspec import UNSET, UnsetType

from p2ptwisted.client.answers import ANSWER_MAX, decode_answer, decode_body, valid_locations
from p2ptwisted.client.call_errors import call_name
from p2ptwisted.client.transport import (
    CALL_TIMEOUT,
    SMALL_ANSWER_MAX,
    HttpTransport,
    Refused,
    Reply,
)
from p2ptwisted.errors import Nonsense
from p2ptwisted.model import (
    FOUND_MAX,
    NAMES_MAX,
    SUPERNODE_ID,
    UNREACHABLE_HEADER,
    GoneNode,
    HeartbeatAnswer,
    HeldFile,
    Holders,
    Holding,
    Name,
    NodeInfo,
    Presence,
    Registration,
    Size,
    id_order,
)
from p2ptwisted.support.address_policy import believed
from p2ptwisted.support.locations import parse_location
from p2ptwisted.support.round_robin import in_turns

#: Seconds for a registration, and for each name in it: 30 s for 100,000 resources, which are
#: 14 MB, and take 2.25 s to store on an idle machine.
REGISTER_TIMEOUT = 5.0
REGISTER_TIMEOUT_EACH = 0.25e-3

#: Locations of one resource taken from one supernode's answer; ours sends no more.
LOCATIONS_MAX = 1_000

#: Locations of one resource that are checked for that. Checking one takes 10 us, and an
#: answer has room for 200,000.
LOCATIONS_CHECKED_MAX = 2_000

#: Locations checked of all resources in the answer to a search together.
FOUND_LOCATIONS_MAX = 10_000

#: Seconds for a part of what a search by name finds: a supernode with millions of names reads
#: 100,000 for it, beside 15 other such searches.
PART_TIMEOUT = 10.0

#: Nodes taken from one supernode's answer, and of those that have gone.
NODES_MAX, GONE_MAX = 10_000, 1_000


class _File(msgspec.Struct):
    """
    Where a resource is, in the form of any supernode.

    The older program's has no `locations`, and a `name` only where one of its
    own nodes has the resource. Without `location` and `locations` nobody has it.
    """

    location: str | None = None
    locations: list[str] | None = None
    name: Name | None = None
    size: Size | None = None
    other_names: list[Name] | None = None
    partial: list[str] | None = None

    @property
    def all(self) -> list[str]:
        """All its locations, whichever form the answer has."""
        if self.locations is None:
            return [] if self.location is None else [self.location]
        return self.locations


class _Found(msgspec.Struct):
    id: str
    file: _File


class _FoundPart(msgspec.Struct):
    """A part of what a search finds; supernodes of earlier versions don't say if there is more."""

    data: list[_Found]
    more: bool | UnsetType = UNSET
    next: str | None = None


class NamedPart(NamedTuple):
    """A part of what a search by name finds, in the order of the ids."""

    holdings: list[Holding]
    #: The id after which the next part begins; None if this is the last.
    next: str | None
    #: Whether there may be more that this supernode, of an earlier version, does not tell.
    is_cut: bool = False


class _FoundOne(msgspec.Struct):
    """The answer for one id; empty where nobody has it."""

    id: str = ""
    file: _File = msgspec.field(default_factory=_File)


class SupernodeClient(HttpTransport):
    """
    Calls supernodes, by `host:port`; also those of the older program.

    All methods raise Refused and Unavailable.
    """

    async def register(self, supernode: str, registration: Registration) -> None:
        """Register a node, with all its resources."""
        await self._call(
            "POST",
            f"http://{supernode}/api/supernode/register",
            msgspec.json.encode(registration),
            within=REGISTER_TIMEOUT + registration.names * REGISTER_TIMEOUT_EACH,
        )

    async def heartbeat(self, supernode: str, location: str) -> HeartbeatAnswer:
        """Report a node's presence."""
        reply = await self._presence("POST", supernode, location)
        if reply is None:
            return HeartbeatAnswer(False)
        # Which location that is, the node knows itself.
        return HeartbeatAnswer(True, location if UNREACHABLE_HEADER in reply.headers else None)

    async def goodbye(self, supernode: str, location: str) -> bool:
        """Report a node's leaving; False where the supernode did not know the node."""
        return await self._presence("DELETE", supernode, location) is not None

    async def search(self, supernode: str, ids: Sequence[str]) -> list[Holding]:
        """Search for the holders of these resources in the whole group."""
        url = f"http://{supernode}/api/supernode/search?hash_ids={','.join(ids)}"
        return await self._holdings(supernode, url)

    async def search_names(self, supernode: str, part: str) -> list[Holding]:
        """Search for resources of this supernode's own nodes by a part of the file name."""
        url = f"http://{supernode}/api/supernode/search?file_name={quote(part, safe='')}"
        return await self._holdings(supernode, url)

    async def search_part(self, supernode: str, part: str, after: str) -> "NamedPart":
        """
        Search as `search_names` does, for all that is found: the next part of it after that id.

        The first part comes after an empty one. Supernodes of earlier versions give one part.
        """
        name, url = quote(part, safe=""), f"http://{supernode}/api/supernode/search"
        answer = await self._call(
            "GET",
            f"{url}?file_name={name}&after={quote(after, safe='')}",
            limit=ANSWER_MAX,
            within=PART_TIMEOUT,
        )
        found = decode_body(answer, _FoundPart)
        is_cut = found.more is UNSET and len(found.data) >= FOUND_MAX
        following = found.next
        if following is not None and not id_order(following) > id_order(after):
            raise Nonsense("parts of an answer that don't follow each other")
        holdings = sorted(self._believed(supernode, found.data), key=lambda one: id_order(one.id))
        return NamedPart(holdings, following, is_cut)

    async def search_prefix(self, supernode: str, prefix: str) -> list[Holding]:
        """
        Search for resources of this supernode's own nodes by the first digits of the id.

        Supernodes of earlier versions can't, and find none.
        """
        try:
            return await self._holdings(
                supernode, f"http://{supernode}/api/supernode/search?id_prefix={prefix}"
            )
        except Refused as refused:
            if refused.status == HTTPStatus.BAD_REQUEST:
                return []
            raise

    async def search_node(self, supernode: str, node_name: str, id: str) -> list[Holding]:
        """Search at the supernode's node of that name; returns one holding, or none."""
        name = quote(node_name, safe="")
        url = f"http://{supernode}/api/supernode/search?node_name={name}&hash_ids={id}"
        return await self._holdings(supernode, url)

    async def _holdings(self, supernode: str, url: str) -> list[Holding]:
        """Return a search's results, with only those locations that may be called."""
        answer = await self._call("GET", url, limit=ANSWER_MAX)
        return self._believed(supernode, decode_answer(answer, list[_Found]))

    def _believed(self, supernode: str, found_there: Sequence[_Found]) -> list[Holding]:
        matches = found_there[:FOUND_MAX]
        share = FOUND_LOCATIONS_MAX // max(1, len(matches))
        found = []
        for match in matches:
            locations = _believed_locations(supernode, match.file.all[:share])
            if locations:
                name = UNSET if match.file.name is None else match.file.name
                size = UNSET if match.file.size is None else match.file.size
                others = _some_names(match.file.other_names or UNSET)
                partial = _believed_locations(supernode, (match.file.partial or [])[:share])
                file = HeldFile(locations[0], locations, name, size, others, partial or UNSET)
                found.append(Holding(match.id, file))
        return found

    async def other_supernodes(self, supernode: str) -> list[str]:
        """
        Return the other supernodes that the supernode there knows.

        The older program asks its group for them, and may wait for answers forever.
        """
        url = f"http://{supernode}/api/supernode/search?hash_ids={SUPERNODE_ID}"
        others: list[str] = []
        for match in decode_answer(await self._call("GET", url, limit=ANSWER_MAX), list[_Found]):
            # With `locations` it is one of ours, and the first of them is itself.
            others += match.file.all[1:] if match.file.locations is not None else match.file.all
        return _believed_locations(supernode, others)

    async def finds_names(self, supernode: str) -> bool:
        """Whether the supernode there can search by name; the older program's can't."""
        try:
            await self._call(
                "GET", f"http://{supernode}/api/supernode/holders/{SUPERNODE_ID}?here=1"
            )
        except Refused as refused:
            return refused.status != 404
        return True

    async def nodes(self, supernode: str) -> list[NodeInfo]:
        """Return the nodes that are registered there."""
        url = f"http://{supernode}/api/supernode/alive"
        nodes = decode_answer(await self._call("GET", url, limit=ANSWER_MAX), list[NodeInfo])
        return [node for node in nodes[:NODES_MAX] if valid_locations([node.location])]

    async def gone(self, supernode: str) -> list[GoneNode]:
        """Return the nodes that went from there lately; none where it remembers none."""
        url = f"http://{supernode}/api/supernode/gone"
        try:
            answer = await self._call("GET", url, limit=ANSWER_MAX)
        except Refused as refused:
            if refused.status == 404:
                return []  # It is of an earlier version, or the older program's.
            raise
        gone = decode_answer(answer, list[GoneNode])[:GONE_MAX]
        return [node for node in gone if valid_locations([node.location])]

    async def holders(self, supernode: str, id: str, here: bool = False) -> Holders:
        """
        Return all nodes that have a resource or some of its pieces.

        `here`: only those that are registered at this supernode.
        """
        url = f"http://{supernode}/api/supernode/holders/{id}{'?here=1' if here else ''}"
        try:
            answer = await self._call("GET", url, limit=ANSWER_MAX)
        except Refused as refused:
            if refused.status != 404:
                raise
            # That doesn't mean that nobody has it: the older program has no such route.
            return await self._holders_by_search(supernode, id, here)
        found = decode_answer(answer, Holders)
        return msgspec.structs.replace(
            found,
            locations=_believed_locations(supernode, found.locations),
            partial=_believed_locations(supernode, found.partial),
            other_names=_some_names(found.other_names),
        )

    async def _holders_by_search(self, supernode: str, id: str, here: bool) -> Holders:
        if id == SUPERNODE_ID:
            return Holders(id, [], [])  # That it answers is all that we can learn of it.
        url = f"http://{supernode}/api/supernode/search/{id}"
        file = decode_answer(await self._call("GET", url, limit=ANSWER_MAX), _FoundOne).file
        # Without a name the location came from its group, not from one of its own nodes.
        locations = [] if here and file.name is None else file.all
        return Holders(id, _believed_locations(supernode, locations), [], file.name, file.size)

    async def _presence(self, method: str, supernode: str, location: str) -> Reply | None:
        """The answer; None where the supernode doesn't know the node."""
        url, body = (
            f"http://{supernode}/api/supernode/alive",
            msgspec.json.encode(Presence(location)),
        )
        call = partial(self._request, method, url, body, SMALL_ANSWER_MAX)
        try:
            return await self._answered(call, CALL_TIMEOUT, call_name(method, url))
        except Refused as refused:
            if refused.status == 404:
                return None
            raise


def _some_names(names: Sequence[str] | UnsetType) -> list[str] | UnsetType:
    """Return a resource's other names, of too many the first; unset where there are none."""
    if names is UNSET:
        return UNSET
    return [name for name in names[: NAMES_MAX - 1] if name] or UNSET


def _believed_locations(supernode: str, locations: Sequence[str]) -> list[str]:
    """
    Return those locations in a supernode's answer that may be called, shared among addresses.

    If there are too many, only the first are checked.
    """
    valid = valid_locations(locations[:LOCATIONS_CHECKED_MAX])
    return in_turns(believed(valid, parse_location(supernode).host), LOCATIONS_MAX)
