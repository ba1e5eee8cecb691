"""Targets that are HTTP: whole requests and parts of them, and answers to our own."""

import functools
import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self, cast
from urllib.parse import quote

import msgspec
from hypothesis import strategies as st
from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.web.iweb import IAgent
from twisted.web.resource import IResource

from fuzz.damage import any_of, text_of
from fuzz.formats import ID
from fuzz.target import Target
from p2ptwisted.client.api import Client
from p2ptwisted.client.transport import Refused, Reply
from p2ptwisted.errors import Unavailable
from p2ptwisted.model import (
    COMPACT_TYPE,
    NAMES_MAX,
    CompactManifest,
    Holders,
    Holding,
    Order,
    ResourceInfo,
    parse_id,
)
from p2ptwisted.pieces import HolderState, Pieces
from p2ptwisted.supernode.local_answers import LocalAnswers
from p2ptwisted.supernode.local_supernode import LocalSupernode
from p2ptwisted.supernode.sweep import Sweep
from p2ptwisted.support.file_names import normal_form
from p2ptwisted.support.locations import Location, OwnLocation, parse_location
from p2ptwisted.test.fakes import FakeOverlay, open_registry
from p2ptwisted.test.node_fakes import (
    Answer,
    Connection,
    FakeClient,
    FakeDownloads,
    FakeNode,
    one_by_one,
    read_answer,
    work,
)
from p2ptwisted.web.byte_ranges import RANGES_MAX
from p2ptwisted.web.node_routes import BODY_MAX as NODE_BODY_MAX
from p2ptwisted.web.node_routes import NodeApi
from p2ptwisted.web.server.site import LimitedSite
from p2ptwisted.web.supernode_routes import BODY_MAX, SupernodeApi

CONTENT = b"0123456789" * 10

REGISTRATION = {
    "name": "n",
    "location": ":8000",
    "resources": [
        {"id": ID, "name": "a/b.bin", "size": 7},
        {"id": "x", "name": "y", "other_names": ["c.bin", "z/y"]},
    ],
}
BODY = json.dumps(REGISTRATION).encode()


class Served:
    """A role's routes on a connection in memory."""

    def __init__(self, clock: Clock, root: IResource, body_max: int) -> None:
        # Twisted's pull producers run on the reactor's time otherwise.
        task._theCooperator = one_by_one(clock)
        self._clock = clock
        self._site = LimitedSite(root, body_max, clock)

    def answers(self, data: bytes) -> Answer | None:
        """The first answer to what a client sends before it goes; None where there is none."""
        connection = Connection(self._site, self._clock)
        try:
            connection.send(data)
            work(self._clock, 30)
            received = connection.received()
        finally:
            if connection.is_open:
                connection.vanish()
            # Whatever waits for something gives up, and what may be asked in a second is full.
            self._clock.advance(100)
        if not received:
            return None
        method = data.lstrip(b"\r\n").split(b" ")[0].decode("latin-1")
        answer, _ = read_answer(received, method)
        _check_answer(answer, method)
        return answer

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        named = (f"{name}: {value}" for name, value in headers.items())
        answer = self.answers(_request(f"{method} {path} HTTP/1.1", *named, body=body))
        assert answer is not None, (method, path)
        return answer


def _check_answer(answer: Answer, method: str) -> None:
    """An error is one that the caller can do something about, and says so in the envelope."""
    assert answer.status != HTTPStatus.INTERNAL_SERVER_ERROR, answer
    if answer.status >= 400 and method != "HEAD":
        envelope = json.loads(answer.body)
        assert envelope["code"] == answer.status, answer
        assert envelope["description"], answer


# -- a supernode


class SupernodeInMemory:
    """A supernode, for real, with its registry in memory, and nobody else in the group."""

    def __init__(self) -> None:
        clock = Clock()
        self.registry = open_registry(one_by_one(clock), None)

        async def is_well(location: str) -> bool:
            return True

        sweep = Sweep(clock, self.registry, is_well, is_well, 5.0)
        known = LocalAnswers(self.registry, OwnLocation(None, lambda: Location("0.0.0.0", 5000)))
        client = FakeClient(clock)
        supernode = LocalSupernode(clock, self.registry, known, sweep, FakeOverlay(), client)
        self.served = Served(clock, SupernodeApi(supernode).root(), BODY_MAX)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        """It forgets all nodes, so that each example begins alike."""
        for node in self.registry.nodes():
            self.registry.remove(node.location)


@functools.cache
def _supernode() -> SupernodeInMemory:
    return SupernodeInMemory()


def _request(line: str, *headers: str, body: bytes = b"") -> bytes:
    """A good request; `body` with its length, where it has one."""
    lines = [line, "Host: h", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


SUPERNODE_REQUESTS = [
    _request("POST /api/supernode/register HTTP/1.1", body=BODY),
    _request("POST /supernode/alive HTTP/1.1", body=b'{"location": ":8000"}'),
    _request("DELETE /supernode/alive HTTP/1.1", "Transfer-Encoding: chunked")
    + b'15\r\n{"location": ":8000"}\r\n0\r\n\r\n',
    _request(f"GET /api/supernode/search/{ID} HTTP/1.1"),
    _request(f"GET /api/supernode/search?hash_ids={ID},x&file_name=b HTTP/1.1"),
    _request(f"GET /supernode/holders/{ID}?here=1 HTTP/1.0", "Connection: keep-alive"),
    _request("GET /api/supernode/alive HTTP/1.1", "Accept: */*"),
    _request("GET http://h/api/supernode/xxx HTTP/1.1"),
    _request("HEAD /api/supernode/alive HTTP/1.1"),
]


def check_supernode(data: bytes) -> None:
    """Whatever is sent to a supernode, it answers well, and goes on."""
    with _supernode() as supernode:
        supernode.served.answers(data)


def check_registration(body: bytes) -> None:
    """What is taken is stored as it is, from the caller's address; what isn't is not."""
    with _supernode() as supernode:
        answer = supernode.served.ask("POST", "/supernode/register", body)
        nodes = supernode.registry.nodes()
        if answer.status != 204:
            assert answer.status in (400, 403), answer
            assert not nodes, nodes
            return
        # Of a key that is there twice the last counts, here as there; bytes that are no text
        # can only be in a key that nobody knows.
        told = json.loads(body.decode("utf-8", "replace"))
        held = {parse_id(one["id"]) for one in told["resources"] if not one.get("partial")}
        found = {holding.id for holding in supernode.registry.holdings(sorted(held))}
        assert found == held, (found, held)
        names = defaultdict[str, set[str]](set)
        for one in told["resources"]:
            names[parse_id(one["id"])] |= {one["name"], *one.get("other_names", ())}
        parts = {parse_id(one["id"]) for one in told["resources"] if one.get("partial")}
        for id in held - parts:
            if len(names[id]) <= NAMES_MAX:
                assert set(supernode.registry.holders(id).names) == names[id], id
        (node,) = nodes
        assert str(parse_location(node.location)) == node.location
        assert node.name == told.get("name", ""), node


def check_search(given: tuple[str, str, str]) -> None:
    """A search by anything finds what there is, or says what is wrong with it."""
    ids, part, node = given
    query = "&".join(
        f"{key}={quote(value.encode('utf-8', 'surrogateescape'))}"
        for key, value in (("hash_ids", ids), ("file_name", part), ("node_name", node))
        if value
    )
    for one in _searched(f"GET /supernode/search?{query}"[:16_000].encode() + b" HTTP/1.1"):
        assert not node or node == "n", one
        names = ("a/b.bin", "y", "c.bin", "z/y")
        wanted = normal_form(part).casefold()
        assert not part or any(wanted in name for name in names), one
        assert not part or wanted in one["file"]["name"], one


def check_query(query: bytes) -> None:
    """So does one whose query is as no program would write it."""
    # A blank or a line end would make it another request, which is the supernode's target.
    query = re.sub(rb"[ \r\n]", b"", query)
    _searched(b"GET /supernode/search?" + query[:15_000] + b" HTTP/1.1")


def _searched(line: bytes) -> list[Any]:
    """What is found, of what is registered; nothing where the search is refused."""
    with _supernode() as supernode:
        supernode.served.ask("POST", "/supernode/register", BODY)
        answer = supernode.served.answers(line + b"\r\nHost: h\r\n\r\n")
    assert answer is not None, line
    if answer.status != 200:
        assert answer.status in (400, 414), answer
        return []
    found = json.loads(answer.body)["data"]
    for one in found:
        assert one["id"] in (ID, "x"), one
    return list(found)


# -- a node


class NodeInMemory:
    """A node's routes, with one file."""

    def __init__(self) -> None:
        clock = Clock()
        node = FakeNode()
        self.file = Path(tempfile.mkdtemp()) / "file"
        self.file.write_bytes(CONTENT)
        node.here[ID] = ResourceInfo(ID, "a/b.bin", len(CONTENT))
        node.files[ID] = self.file
        node.cut[ID] = (Pieces(len(CONTENT), b"\1" * 32), 1)
        node.run = (0, len(CONTENT))
        self.served = Served(clock, NodeApi(clock, node, FakeDownloads()).root(), NODE_BODY_MAX)


@functools.cache
def _node() -> NodeInMemory:
    return NodeInMemory()


NODE_REQUESTS = [
    _request(f"GET /api/node/resources/{ID}/content HTTP/1.1", "Range: bytes=3-7"),
    _request(f"HEAD /node/resources/{ID}/content HTTP/1.1"),
    _request(f"GET /api/node/resources/{ID}/pieces HTTP/1.1"),
    _request(f"GET /node/resources/{ID}/pieces?since=1&wait=5&location=10.0.0.2:1 HTTP/1.1"),
    _request(
        f"GET /api/node/resources/{ID}/pieces HTTP/1.1",
        "Accept: application/msgpack, application/json",
        'If-None-Match: "x", "y"',
    ),
    _request(f"POST /api/node/resources/{ID}/pieces HTTP/1.1", body=b'{"want": "1"}'),
    _request(
        f"POST /api/node/resources/{ID}/pieces HTTP/1.1",
        body=b'{"want": "1", "most": 2, "location": "10.0.0.2:1"}',
    ),
    _request(f"GET /node/resources/find?hash_ids={ID},x HTTP/1.1"),
    _request("GET /api/node/resources HTTP/1.1"),
    _request("GET /api/node/health HTTP/1.1"),
    _request("POST /api/node/fetch HTTP/1.1", body=b'{"id": "x", "name": "y"}'),
    _request("DELETE /api/node/fetch/x HTTP/1.1"),
]


def check_node(data: bytes) -> None:
    """Whatever is sent to a node, it answers well, and goes on."""
    _node().served.answers(data)


_ONE_RANGE = re.compile(r"bytes=(\d{1,20})?-(\d{1,20})?", re.ASCII)


def _check_part(told: str, body: bytes) -> int:
    """Check a part of an answer, by its Content-Range; returns how many bytes it has."""
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", told)
    assert found is not None, told
    start, last, whole = map(int, found.groups())
    assert whole == len(CONTENT) and body == CONTENT[start : last + 1], (told, body)
    return len(body)


def _check_parts(content_type: str, body: bytes) -> None:
    """Check an answer with several ranges."""
    boundary = content_type.partition("boundary=")[2].encode()
    before, *parts, end = body.split(b"\r\n--" + boundary)
    assert (before, end) == (b"", b"--\r\n") and 1 < len(parts) <= RANGES_MAX, body
    total = 0
    for part in parts:
        head, _, content = part.partition(b"\r\n\r\n")
        total += _check_part(head.decode().rpartition("Content-Range: ")[2], content)
    assert total <= len(CONTENT), body


def check_range(header: str) -> None:
    """Ranges give just those bytes; what are none give the whole, or are told so."""
    header = re.sub(r"[\r\n\0]", "", header).encode("utf-8", "replace").decode()
    answer = _node().served.ask("GET", f"/node/resources/{ID}/content", Range=header)
    size = len(CONTENT)
    if answer.status == 206 and "content-range" in answer.headers:
        _check_part(answer.headers["content-range"], answer.body)
    elif answer.status == 206:
        _check_parts(answer.headers["content-type"], answer.body)
    elif answer.status == 200:
        assert answer.body == CONTENT, answer
    else:
        assert answer.status in (400, 416), answer
    asked = _ONE_RANGE.fullmatch(header)
    if asked and (asked[1] or asked[2]):
        if asked[1]:
            start, stop = int(asked[1]), min(int(asked[2] or size) + 1, size)
            is_none = asked[2] is not None and int(asked[2]) < start
        else:
            start, stop, is_none = max(0, size - int(asked[2])), size, False
        if is_none:
            assert answer.status == 200, answer
        elif start >= stop:
            assert answer.status == 416, answer
        else:
            assert answer.body == CONTENT[start:stop], answer


# -- answers


class Answering(Client):
    """A client whose every call gets the same answer."""

    def __init__(
        self, status: int, body: bytes, headers: Mapping[bytes, bytes] = MappingProxyType({})
    ) -> None:
        super().__init__(Clock(), cast(IAgent, None))
        self._reply = Reply(status, body, headers)

    async def _request(self, method: str, url: str, body: bytes | None, limit: int) -> Reply:
        return self._reply

    async def _reply_of_holder(self, url: str, headers: Mapping[str, str], limit: int) -> Reply:
        return self._reply


MANIFEST = {
    "data": {"id": ID, "size": 7, "piece_size": 1048576, "digests": ["ab" * 32], "have": "1"}
}
#: Of three pieces, one of them missing; and of none.
MANIFESTS = [
    MANIFEST,
    {"data": {"id": ID, "size": 2_100_000, "digests": ["ab" * 32, "cd" * 32, "ef" * 32]}},
    {"data": {"id": ID, "size": 2_100_000, "digests": ["ab" * 96], "have": "5"}},
    {"data": {"id": ID, "size": 0, "digests": [], "have": "0"}},
]

ANSWERS = [
    {"data": {"id": ID, "locations": ["10.0.0.1:8000"], "partial": ["10.0.0.2:1"], "size": 3}},
    {"data": {"id": ID, "locations": [], "partial": [], "name": "a", "other_names": ["b", "c"]}},
    {"data": [{"id": ID, "file": {"location": "10.0.0.1:1", "locations": ["10.0.0.1:1"]}}]},
    {"data": [{"id": ID, "file": {"location": "10.0.0.1:1", "name": "a", "other_names": ["b"]}}]},
    MANIFEST,
    {"data": [{"name": "n", "location": "10.0.0.1:8000"}]},
    {"data": {"name": "n", "resources": 1, "scanning": False, "supernode": "10.0.0.1:5000"}},
    {"data": {"id": ID, "state": "running", "size": 5, "here": 3, "holders": {"10.0.0.1:1": 3}}},
    {"data": [{"id": ID, "state": "waiting", "size": 5}, {"id": ID, "state": "done"}]},
    {"code": 404, "name": "Not Found", "description": "nobody has it"},
]

CALLS: list[Callable[[Client], Any]] = [
    lambda client: client.pieces("10.0.0.1:1", ID),
    lambda client: client.holders("10.0.0.1:1", ID),
    lambda client: client.search("10.0.0.1:1", [ID]),
    lambda client: client.search_names("10.0.0.1:1", "b"),
    lambda client: client.nodes("10.0.0.1:1"),
    lambda client: client.health("10.0.0.1:1"),
    lambda client: client.fetch_status("10.0.0.1:1", ID),
    lambda client: client.fetches("10.0.0.1:1", [ID]),
    lambda client: client.order_all("10.0.0.1:1", [Order(ID), Order(ID, "a")]),
    lambda client: client.is_well("10.0.0.1:1"),
    lambda client: client.has_supernode("10.0.0.1:1"),
    lambda client: client.holds("10.0.0.1:1", ID),
    lambda client: client.other_supernodes("10.0.0.1:1"),
]


def _locations(result: object) -> list[str]:
    """All locations in a result."""
    match result:
        case Holders(locations=locations, partial=partial):
            return [*locations, *partial]
        case Holding(file=file):
            return [file.location, *file.locations]
        case list():
            return [location for one in result for location in _locations(one)]
        case str():
            return [result]
    return [result.location] if hasattr(result, "location") else []


def check_answer(given: tuple[int, bytes, Callable[[Client], Any]]) -> None:
    """An answer is of use as a whole, or the other side is as good as gone."""
    status, body, call = given
    results: list[Any] = []
    called = Deferred.fromCoroutine(call(Answering(status, body)))
    called.addBoth(results.append)
    (result,) = results
    if isinstance(getattr(result, "value", None), Refused | Unavailable):
        assert str(result.value).isprintable(), result.value
        return
    assert not hasattr(result, "raiseException"), result
    for location in _locations(result):
        assert str(parse_location(location)) == location
    if isinstance(result, HolderState):
        _check_state(result)


def _check_state(state: HolderState) -> None:
    state.pieces.check()
    assert 0 <= state.have < 1 << state.pieces.count
    for location in state.neighbors:
        assert str(parse_location(location)) == location


def check_manifest(body: bytes) -> None:
    """What a holder says of the pieces is good as a whole, or of no use."""
    check_answer((200, body, CALLS[0]))


PIECES = Pieces(700_000, bytes(range(96)))
COMPACTS = [
    msgspec.msgpack.encode(CompactManifest(PIECES.size, PIECES.length, PIECES.digests, prefixes))
    for prefixes in (b"", bytes(96))
]


def check_compact(given: tuple[int, bytes, str, str, str]) -> None:
    """So it is of what a node says of them compactly, and in its answer's head."""
    status, body, have, neighbors, tag = given
    told = {"pieces-have": have, "pieces-neighbors": neighbors, "etag": tag}
    headers = {b"content-type": COMPACT_TYPE.encode()}
    for name, text in told.items():
        # What else is in a line can't come in it.
        line = re.sub("[\r\n]", "", text).encode("latin-1", "replace")
        headers[name.encode()] = line.strip()
    results: list[Any] = []
    asked = Answering(status, body, headers).pieces("10.0.0.1:1", ID, [PIECES])
    Deferred.fromCoroutine(asked).addBoth(results.append)
    (result,) = results
    if isinstance(getattr(result, "value", None), Refused | Unavailable):
        assert str(result.value).isprintable(), result.value
        return
    assert isinstance(result, HolderState), result
    _check_state(result)


QUERIES = [
    f"hash_ids={ID},x".encode(),
    b"file_name=b&node_name=n",
    b"file_name=%62.bin;hash_ids=x&&=&hash_ids=",
    f"hash_ids={ID}&hash_ids=x&file_name=%E2%98%83+".encode(),
]

TARGETS = [
    Target("supernode", any_of(*SUPERNODE_REQUESTS), check_supernode),
    Target("registration", any_of(BODY), check_registration),
    Target(
        "search",
        st.tuples(text_of(ID, f"{ID},x", ""), text_of("b.bin", "y", ""), text_of("n", "", "")),
        check_search,
    ),
    Target("queries", any_of(*QUERIES), check_query),
    Target("node", any_of(*NODE_REQUESTS), check_node),
    Target("ranges", text_of("bytes=3-7", "bytes=90-", "bytes=-5", "bytes=1-2,4-5"), check_range),
    Target("manifests", any_of(*map(msgspec.json.encode, MANIFESTS)), check_manifest),
    Target(
        "compact manifests",
        st.tuples(
            st.sampled_from([200, 200, 304]),
            any_of(*COMPACTS),
            text_of("all", "BQ==", ""),
            text_of("10.0.0.2:1, 10.0.0.3:08000,127.0.0.1:1", ""),
            text_of(f'"{PIECES.tag}"', ""),
        ),
        check_compact,
    ),
    Target(
        "answers",
        st.tuples(
            st.sampled_from([200, 200, 200, 404, 503]),
            any_of(*map(msgspec.json.encode, ANSWERS)),
            st.sampled_from(CALLS),
        ),
        check_answer,
    ),
]
