"""Tests for `p2ptwisted.web.supernode_routes`."""

import json
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPullProducer
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import IResource
from twisted.web.server import NOT_DONE_YET
from twisted.web.test.requesthelper import DummyRequest
from zope.interface.verify import verifyClass, verifyObject

from p2ptwisted.errors import InvalidInput, NotAllowed, Unavailable, UnknownNode
from p2ptwisted.interfaces import ISupernode
from p2ptwisted.model import (
    FOUND_MAX,
    RESOURCES_MAX,
    FoundPart,
    GoneNode,
    HeldFile,
    Holders,
    Holding,
    NodeInfo,
    Registration,
    ResourceInfo,
)
from p2ptwisted.test.fakes import FakeSupernode
from p2ptwisted.test.node_fakes import Answer as HttpAnswer
from p2ptwisted.test.node_fakes import Connection
from p2ptwisted.test.test_model import SHA256
from p2ptwisted.test.web.cases import Answer, WebTestCase
from p2ptwisted.web.json_stream import JsonStream
from p2ptwisted.web.server.site import LimitedSite
from p2ptwisted.web.supernode_routes import BODY_MAX, SupernodeApi

#: The address that requests come from here.
CALLER = "127.0.0.1"

NODE, OTHER = "10.0.0.1:8000", "10.0.0.2:8000"


class SupernodeApiTestCase(WebTestCase):
    """The routes, in front of a supernode that keeps what it is asked."""

    def setUp(self) -> None:
        self.supernode = FakeSupernode()
        self.use(SupernodeApi(self.supernode).root())

    def both(self, method: str, path: str, body: bytes | None = None) -> Answer:
        """The answer, which is the same under /api and without it."""
        options = {} if body is None else {"data": body}
        calls = self.supernode.calls
        before = len(calls)
        answer = self.call(method, path, **options)
        between = len(calls)
        other = self.call(method, f"/api{path}", **options)
        self.assertEqual((other.code, other.body), (answer.code, answer.body))
        self.assertEqual(calls[before:between], calls[between:])
        del calls[between:]
        return answer

    def assert_data(self, answer: Answer, body: str) -> None:
        self.assertEqual(answer.body.decode(), body)
        self.assertEqual(answer.code, 200)
        self.assertEqual(answer.header("content-type"), "application/json")

    def assert_done(self, answer: Answer) -> None:
        self.assertEqual((answer.code, answer.body), (204, b""))


class FakesTests(SupernodeApiTestCase):
    """The seams."""

    def test_provided(self) -> None:
        """The stand-in is an ISupernode, and what the routes make is a resource."""
        verifyClass(ISupernode, FakeSupernode)
        verifyObject(IResource, SupernodeApi(self.supernode).root())
        verifyObject(IResource, JsonStream([], "x"))


class RegisterTests(SupernodeApiTestCase):
    """`POST /supernode/register`."""

    def register(self, body: bytes) -> Answer:
        return self.both("POST", "/supernode/register", body)

    def assert_refused(self, body: bytes, description: str) -> None:
        self.assert_error(self.register(body), 400, "Bad Request", description)
        self.assertEqual(self.supernode.calls, [])

    def test_registered(self) -> None:
        """What is in the body reaches the supernode, with the address that it came from."""
        self.assert_done(
            self.register(
                b'{"name": "rack-1", "location": ":8000", "resources":'
                b' [{"id": "a", "name": "a.bin", "size": 5}, {"id": "b", "name": "b"}]}'
            )
        )
        registration = Registration(
            ":8000", [ResourceInfo("a", "a.bin", 5), ResourceInfo("b", "b")], "rack-1"
        )
        self.assertEqual(self.supernode.calls, [("register", registration, CALLER)])

    def test_other_names(self) -> None:
        """A resource can have other names, which are names like the first."""
        self.assert_done(
            self.register(
                b'{"location": ":8000", "resources":'
                b' [{"id": "a", "name": "a.bin", "other_names": ["b", "c"]}]}'
            )
        )
        several = ResourceInfo("a", "a.bin", other_names=("b", "c"))
        self.assertEqual(
            self.supernode.calls, [("register", Registration(":8000", [several]), CALLER)]
        )
        self.supernode.calls.clear()
        for name, told in (
            (b'""', "Expected `str` of length >= 1"),
            (b"5", "Expected `str`, got `int`"),
            (b"null", "Expected `str`, got `null`"),
        ):
            self.assert_refused(
                b'{"location": ":8000", "resources":'
                b' [{"id": "a", "name": "a", "other_names": [%s]}]}' % name,
                f"{told} - at `$.resources[0].other_names[0]`",
            )

    def test_part(self) -> None:
        """What a node has only a part of says so."""
        self.assert_done(
            self.register(
                b'{"location": ":8000", "resources":'
                b' [{"id": "a", "name": "a.bin", "size": 5, "partial": true}]}'
            )
        )
        part = ResourceInfo("a", "a.bin", 5, partial=True)
        self.assertEqual(
            self.supernode.calls, [("register", Registration(":8000", [part]), CALLER)]
        )

    def test_least(self) -> None:
        """The node's name and the sizes may be left out, and the list may be empty."""
        self.assert_done(self.register(b'{"location": ":8000", "resources": []}'))
        self.assertEqual(
            self.supernode.calls, [("register", Registration(":8000", [], ""), CALLER)]
        )

    def test_not_json(self) -> None:
        """A body that isn't JSON."""
        answer = self.register(b"location=:8000")
        self.assertEqual(answer.code, 400)
        self.assertIn("the body is not JSON", answer.description)
        self.assertEqual(self.supernode.calls, [])

    def test_not_an_object(self) -> None:
        """A body that isn't an object."""
        self.assert_refused(b"[]", "Expected `object`, got `array`")
        self.assert_refused(b'"x"', "Expected `object`, got `str`")

    def test_missing_keys(self) -> None:
        """A body that lacks a key, which is named."""
        self.assert_refused(b'{"resources": []}', "Object missing required field `location`")
        self.assert_refused(b'{"location": ":1"}', "Object missing required field `resources`")
        self.assert_refused(
            b'{"location": ":1", "resources": [{"id": "a", "name": "a"}, {"id": "b"}]}',
            "Object missing required field `name` - at `$.resources[1]`",
        )
        self.assert_refused(
            b'{"location": ":1", "resources": [{"name": "a"}]}',
            "Object missing required field `id` - at `$.resources[0]`",
        )

    def test_wrong_types(self) -> None:
        """A value of a wrong type or out of bounds, which is named."""
        for body, description in [
            (b'{"location": 1, "resources": []}', "Expected `str`, got `int` - at `$.location`"),
            (
                b'{"location": ":1", "resources": {}}',
                "Expected `array`, got `object` - at `$.resources`",
            ),
            (
                b'{"location": ":1", "resources": ["a"]}',
                "Expected `object`, got `str` - at `$.resources[0]`",
            ),
            (
                b'{"location": ":1", "resources": [], "name": null}',
                "Expected `str`, got `null` - at `$.name`",
            ),
            (
                b'{"location": ":1", "resources": [{"id": 1, "name": "a"}]}',
                "Expected `str`, got `int` - at `$.resources[0].id`",
            ),
            (
                b'{"location": ":1", "resources": [{"id": "a", "name": ""}]}',
                "Expected `str` of length >= 1 - at `$.resources[0].name`",
            ),
            (
                b'{"location": ":1", "resources": [{"id": "a", "name": "a", "size": -1}]}',
                "Expected `int` >= 0 - at `$.resources[0].size`",
            ),
            (
                b'{"location": ":1", "resources": [{"id": "a", "name": "a", "size": "5"}]}',
                "Expected `int | null`, got `str` - at `$.resources[0].size`",
            ),
            (
                b'{"location": ":1", "resources": [], "name": "%s"}' % (b"x" * 4097),
                "Expected `str` of length <= 4096 - at `$.name`",
            ),
        ]:
            self.assert_refused(body, description)

    def test_too_many(self) -> None:
        """A list longer than a registration may be."""
        resource = b'{"id":"a","name":"a"}'
        resources = b",".join([resource] * (RESOURCES_MAX + 1))
        answer = self.call(
            "POST", "/supernode/register", data=b'{"location":":1","resources":[%s]}' % resources
        )
        self.assert_error(
            answer,
            400,
            "Bad Request",
            "Expected `array` of length <= 100000 - at `$.resources`",
        )

    def test_gone(self) -> None:
        """Those that have gone lately are told in a list of their own."""
        self.supernode.results["gone"] = [GoneNode("rack-1", NODE, 40.0, "lost")]
        self.assert_data(
            self.both("GET", "/supernode/gone"),
            '{"data":[{"name":"rack-1","location":"10.0.0.1:8000","seconds":40.0,"how":"lost"}],'
            '"entity":"gone_node"}',
        )

    def test_errors_of_the_supernode(self) -> None:
        """What the supernode says is passed on."""
        for error, code, name in [
            (InvalidInput("no port"), 400, "Bad Request"),
            (NotAllowed("not yours"), 403, "Forbidden"),
            (Unavailable("too many nodes"), 503, "Service Unavailable"),
        ]:
            self.supernode.results["register"] = error
            answer = self.register(b'{"location": ":8000", "resources": []}')
            self.assert_error(answer, code, name, str(error))


class SearchOneTests(SupernodeApiTestCase):
    """`GET /supernode/search/<id>`."""

    def search(self, id: str) -> Answer:
        return self.both("GET", f"/supernode/search/{id}")

    def test_found(self) -> None:
        """A resource that is held here, with all that is known."""
        self.supernode.results["search"] = Holding("a", HeldFile(NODE, [NODE, OTHER], "a.bin", 5))
        self.assert_data(
            self.search("a"),
            '{"data":{"id":"a","file":{"location":"10.0.0.1:8000",'
            '"locations":["10.0.0.1:8000","10.0.0.2:8000"],"name":"a.bin","size":5}},'
            '"entity":"node_resource_location"}',
        )
        self.assertEqual(self.supernode.calls, [("search", "a", CALLER)])

    def test_found_elsewhere(self) -> None:
        """One that only another supernode knows has no name."""
        self.supernode.results["search"] = Holding("a", HeldFile(NODE, [NODE]))
        self.assert_data(
            self.search("a"),
            '{"data":{"id":"a","file":{"location":"10.0.0.1:8000","locations":["10.0.0.1:8000"]}},'
            '"entity":"node_resource_location"}',
        )

    def test_not_found(self) -> None:
        """What nobody has is no error: the data is empty."""
        self.assert_data(self.search("a"), '{"data":{},"entity":"node_resource_location"}')

    def test_canonical(self) -> None:
        """64 hex digits are searched for in lower case, another id as it is."""
        self.search(SHA256.upper())
        self.assertEqual(self.supernode.calls, [("search", SHA256, CALLER)])
        self.supernode.calls.clear()
        self.search("A%3Ab")
        self.assertEqual(self.supernode.calls, [("search", "A:b", CALLER)])

    def test_bad_id(self) -> None:
        """What isn't an id is not searched for."""
        for id in ["x" * 129, "a,b"]:
            answer = self.search(id)
            self.assertEqual(answer.code, 400)
            self.assertIn("is not a resource id", answer.description)
        for id in ["a%20b", "a;b", "%00", "%C3%A4"]:
            answer = self.search(id)
            self.assertEqual(answer.code, 400)
            self.assertIn("the path ", answer.description)
        self.assertEqual(self.supernode.calls, [])

    def test_unavailable(self) -> None:
        """Too many searches: try again in a second."""
        self.supernode.results["search"] = Unavailable("too many searches")
        answer = self.search("a")
        self.assert_error(answer, 503, "Service Unavailable", "too many searches")
        self.assertEqual(answer.header("retry-after"), "1")


class SearchManyTests(SupernodeApiTestCase):
    """`GET /supernode/search`."""

    def search(self, query: str) -> Answer:
        return self.both("GET", f"/supernode/search{query}")

    def test_ids(self) -> None:
        """A list of those that were found."""
        self.supernode.results["find"] = [
            Holding("a", HeldFile(NODE, [NODE], "a.bin", 5)),
            Holding("b", HeldFile(OTHER, [OTHER])),
        ]
        self.assert_data(
            self.search(f"?hash_ids=b,a,{SHA256.upper()},a"),
            '{"data":[{"id":"a","file":{"location":"10.0.0.1:8000","locations":["10.0.0.1:8000"],'
            '"name":"a.bin","size":5}},'
            '{"id":"b","file":{"location":"10.0.0.2:8000","locations":["10.0.0.2:8000"]}}],'
            '"entity":"node_resource_location"}',
        )
        self.assertEqual(self.supernode.calls, [("find", CALLER, None, None, ["b", "a", SHA256])])

    def test_none_found(self) -> None:
        """Where none was found the list is empty."""
        self.assert_data(
            self.search("?hash_ids=a"), '{"data":[],"entity":"node_resource_location"}'
        )

    def test_names(self) -> None:
        """Part of a file's name, a node's name, and all together."""
        for query, call in [
            ("?file_name=a%20b", ("a b", None, None)),
            ("?node_name=rack-1", (None, "rack-1", None)),
            ("?file_name=a&node_name=b&hash_ids=c,d", ("a", "b", ["c", "d"])),
        ]:
            self.search(query)
            self.assertEqual(self.supernode.calls, [("find", CALLER, *call)])
            self.supernode.calls.clear()

    def test_parts(self) -> None:
        """With `after` it is the next part, and what the one after that begins with."""
        found = [Holding("b", HeldFile(NODE, [NODE], "b.bin", 5))]
        self.supernode.results["find_part"] = FoundPart(found, "b")
        self.assert_data(
            self.search("?file_name=a&after="),
            '{"data":[{"id":"b","file":{"location":"10.0.0.1:8000","locations":["10.0.0.1:8000"],'
            '"name":"b.bin","size":5}}],"entity":"node_resource_location","more":true,"next":"b"}',
        )
        self.supernode.results["find_part"] = FoundPart([], None)
        self.assert_data(
            self.search(f"?node_name=n&after={SHA256.upper()}"),
            '{"data":[],"entity":"node_resource_location","more":false,"next":null}',
        )
        self.assertEqual(
            self.supernode.calls,
            [("find_part", CALLER, "a", None, ""), ("find_part", CALLER, None, "n", SHA256)],
        )

    def test_first_digits(self) -> None:
        """An id is found by its first digits, of which there are enough."""
        self.supernode.results["find_beginning"] = [Holding(SHA256, HeldFile(NODE, [NODE]))]
        body = json.loads(self.search(f"?id_prefix={SHA256[:8]}").body)
        self.assertEqual([one["id"] for one in body["data"]], [SHA256])
        self.assertIs(body["more"], False)
        self.assertEqual(self.supernode.calls, [("find_beginning", SHA256[:8], CALLER)])
        for wrong in ("", SHA256[:7], SHA256, "01234567g"):
            answer = self.search(f"?id_prefix={wrong}")
            self.assertEqual(answer.code, 400)
            self.assertIn("the first 8 to 63 hex digits", answer.description)

    def test_cut(self) -> None:
        """Where a list of what is found by name is cut, it says so."""
        many = [Holding(str(number), HeldFile(NODE, [NODE])) for number in range(FOUND_MAX)]
        self.supernode.results["find"] = many
        for query, is_cut in (("file_name=a", True), ("file_name=a&hash_ids=a", False)):
            body = json.loads(self.search(f"?{query}").body)
            self.assertEqual(body.get("more"), is_cut or None)
        self.supernode.results["find"] = many[1:]
        self.assertNotIn("more", json.loads(self.search("?file_name=a").body))

    def test_nothing_asked(self) -> None:
        """A search for nothing is told what it can search for."""
        for query in ["", "?", "?other=1", "?file_name=", "?file_name=&node_name="]:
            self.assert_error(
                self.search(query),
                400,
                "Bad Request",
                "say what to search for: hash_ids, file_name or node_name",
            )
        self.assertEqual(self.supernode.calls, [])

    def test_bad_queries(self) -> None:
        """Each parameter is checked before anything is searched for."""
        for query, description in [
            ("?hash_ids=", "hash_ids is empty"),
            ("?hash_ids=a,,b", "'' (0 characters) is not a resource id"),
            ("?hash_ids=" + ",".join(["a"] * 201), "hash_ids has 201 ids"),
            ("?hash_ids=a&hash_ids=b", "hash_ids is given 2 times"),
            ("?file_name=a&file_name=b", "file_name is given 2 times"),
            ("?node_name=%ff", "node_name is not UTF-8"),
            ("?file_name=a&after=%20", "' ' (1 characters) is not a resource id"),
            ("?file_name=a&after=&hash_ids=a", "leave out hash_ids, or after"),
        ]:
            answer = self.search(query)
            self.assertEqual(answer.code, 400)
            self.assertIn(description, answer.description)
        self.assertEqual(self.supernode.calls, [])

    def test_unavailable(self) -> None:
        """Too many searches: try again in a second."""
        self.supernode.results["find"] = Unavailable("too many searches")
        self.assert_error(
            self.search("?hash_ids=a"), 503, "Service Unavailable", "too many searches"
        )


class HoldersTests(SupernodeApiTestCase):
    """`GET /supernode/holders/<id>`."""

    def holders(self, rest: str) -> Answer:
        return self.both("GET", f"/supernode/holders/{rest}")

    def test_found(self) -> None:
        """Who has all of it and who a part, with its name and size."""
        self.supernode.results["holders"] = Holders("a", [NODE], [OTHER], "a.bin", 5)
        self.assert_data(
            self.holders("a"),
            '{"data":{"id":"a","locations":["10.0.0.1:8000"],"partial":["10.0.0.2:8000"],'
            '"name":"a.bin","size":5},"entity":"holders"}',
        )
        self.assertEqual(self.supernode.calls, [("holders", "a", CALLER, True)])

    def test_nobody(self) -> None:
        """What nobody has is no error: the lists are empty."""
        self.assert_data(
            self.holders("a"),
            '{"data":{"id":"a","locations":[],"partial":[],"name":null,"size":null},'
            '"entity":"holders"}',
        )

    def test_here(self) -> None:
        """`here` asks for those registered here only."""
        for query in ("?here=1", "?here="):
            self.assertEqual(self.holders(f"a{query}").code, 200)
            self.assertEqual(self.supernode.calls, [("holders", "a", CALLER, False)])
            self.supernode.calls.clear()

    def test_canonical(self) -> None:
        """64 hex digits are looked for in lower case."""
        self.holders(SHA256.upper())
        self.assertEqual(self.supernode.calls, [("holders", SHA256, CALLER, True)])

    def test_bad_requests(self) -> None:
        """What isn't an id, or a question put twice, is a 400."""
        for rest in ("x" * 129, "a;b", "a?here=1&here=1"):
            self.assertEqual(self.holders(rest).code, 400)
        self.assertEqual(self.supernode.calls, [])

    def test_unavailable(self) -> None:
        """Too many searches: try again in a second."""
        self.supernode.results["holders"] = Unavailable("too many searches")
        answer = self.holders("a")
        self.assert_error(answer, 503, "Service Unavailable", "too many searches")
        self.assertEqual(answer.header("retry-after"), "1")


class AliveTests(SupernodeApiTestCase):
    """`/supernode/alive`."""

    def test_nodes(self) -> None:
        """All nodes, with name and location."""
        self.supernode.results["nodes"] = [NodeInfo("rack-1", NODE), NodeInfo("", OTHER)]
        self.assert_data(
            self.both("GET", "/supernode/alive"),
            '{"data":[{"name":"rack-1","location":"10.0.0.1:8000"},'
            '{"name":"","location":"10.0.0.2:8000"}],"entity":"node"}',
        )

    def test_nobody(self) -> None:
        """No nodes are an empty list."""
        self.assert_data(self.both("GET", "/supernode/alive"), '{"data":[],"entity":"node"}')

    def test_head(self) -> None:
        """HEAD has the same headers and no body."""
        self.supernode.results["nodes"] = [NodeInfo("", NODE)]
        answer = self.both("HEAD", "/supernode/alive")
        self.assertEqual((answer.code, answer.body), (200, b""))
        self.assertEqual(answer.header("content-type"), "application/json")

    def test_heartbeat(self) -> None:
        """A heartbeat is of a location and may say more."""
        answer = self.both("POST", "/supernode/alive", b'{"location": ":8000", "load": 0.5}')
        self.assert_done(answer)
        self.assertEqual(self.supernode.calls, [("heartbeat", ":8000", CALLER)])

    def test_unreachable(self) -> None:
        """A node that can't be reached is told in a header; the answer is the same otherwise."""
        answer = self.both("POST", "/supernode/alive", b'{"location": ":8000"}')
        self.assertIsNone(answer.header("node-unreachable"))
        self.supernode.results["heartbeat"] = "10.0.0.1:8000"
        answer = self.both("POST", "/supernode/alive", b'{"location": ":8000"}')
        self.assert_done(answer)
        self.assertEqual(answer.header("node-unreachable"), "10.0.0.1:8000")

    def test_goodbye(self) -> None:
        """A node that leaves says so."""
        answer = self.both("DELETE", "/supernode/alive", b'{"location": ":8000"}')
        self.assert_done(answer)
        self.assertEqual(self.supernode.calls, [("goodbye", ":8000", CALLER)])

    def test_errors_of_the_supernode(self) -> None:
        """What the supernode says is passed on; 404 is the node's sign to register again."""
        for method, does in [("POST", "heartbeat"), ("DELETE", "goodbye")]:
            for error, code, name in [
                (UnknownNode("register again"), 404, "Not Found"),
                (NotAllowed("not yours"), 403, "Forbidden"),
                (InvalidInput("no port"), 400, "Bad Request"),
            ]:
                self.supernode.results[does] = error
                answer = self.both(method, "/supernode/alive", b'{"location": ":8000"}')
                self.assert_error(answer, code, name, str(error))

    def test_bad_bodies(self) -> None:
        """Heartbeats and goodbyes are checked like registrations."""
        for method in ["POST", "DELETE"]:
            for body, description in [
                (b"", "the body is not JSON"),
                (b"[]", "Expected `object`, got `array`"),
                (b"{}", "Object missing required field `location`"),
                (b'{"location": []}', "Expected `str`, got `array` - at `$.location`"),
            ]:
                answer = self.both(method, "/supernode/alive", body)
                self.assertEqual(answer.code, 400)
                self.assertIn(description, answer.description)
        self.assertEqual(self.supernode.calls, [])


class PatientRequest(DummyRequest):
    """A request whose client takes a slice when it is told to."""

    producer: Any = None

    def registerProducer(self, producer: object, streaming: bool) -> None:
        verifyObject(IPullProducer, producer)
        assert not streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None


class LongListTests(SynchronousTestCase):
    """Lists too long to be encoded at once."""

    def request(self, method: bytes = b"GET") -> Any:
        request = PatientRequest([])
        request.method = method
        return request

    def rendered(self, items: list[NodeInfo]) -> Any:
        """The request when all of a list is written."""
        request = self.request()
        body = JsonStream(items, "node").render(request)
        if isinstance(body, bytes):
            request.write(body)
            request.finish()
        while request.producer is not None:
            request.producer.resumeProducing()
        return request

    def test_same_json(self) -> None:
        """Written in slices or at once, a list is the same JSON."""
        for count in [0, 1, JsonStream.SLICE, JsonStream.SLICE + 1, 2 * JsonStream.SLICE, 2500]:
            nodes = [NodeInfo(f"é{number}", NODE) for number in range(count)]
            request = self.rendered(nodes)
            self.assertEqual(request.finished, 1)
            self.assertEqual(
                b"".join(request.written), msgspec.json.encode({"data": nodes, "entity": "node"})
            )
            content_type = request.responseHeaders.getRawHeaders("content-type")
            self.assertEqual(set(content_type), {"application/json"})

    def test_slices(self) -> None:
        """Each slice waits until the connection can take it."""
        request = self.request()
        page = JsonStream([NodeInfo("", NODE)] * 2500, "node")
        self.assertEqual(page.render(request), NOT_DONE_YET)
        sizes = []
        for _ in range(3):
            request.producer.resumeProducing()
            sizes.append(request.written[-1].count(b"location"))
        self.assertEqual(sizes, [1000, 1000, 500])

    def test_shown(self) -> None:
        """What is encoded of an item can be something else than the item."""
        for count in [2, 1500]:
            request = self.request()
            body = JsonStream(range(count), "number", lambda number: {"n": number}).render(request)
            while request.producer is not None:
                request.producer.resumeProducing()
            written = body if isinstance(body, bytes) else b"".join(request.written)
            data = msgspec.json.decode(written)["data"]
            self.assertEqual(data, [{"n": number} for number in range(count)])

    def test_client_gone(self) -> None:
        """When the client leaves, the rest is not encoded."""
        request = self.request()
        JsonStream([NodeInfo("", NODE)] * 2500, "node").render(request)
        producer = request.producer
        producer.resumeProducing()
        producer.stopProducing()
        producer.resumeProducing()
        self.assertEqual(len(request.written), 1)

    def test_head(self) -> None:
        """HEAD has no body, however long the list."""
        request = self.request(b"HEAD")
        self.assertEqual(JsonStream([NodeInfo("", NODE)] * 2500, "node").render(request), b"")
        self.assertIsNone(request.producer)


class SweepTests(SupernodeApiTestCase):
    """`GET /supernode/xxx`."""

    def test_waits(self) -> None:
        """The answer comes when the sweep is through."""
        swept: Deferred[None] = Deferred()
        self.supernode.results["sweep"] = swept
        answer = self.begun("GET", "/supernode/xxx")
        self.assertNoResult(answer)
        swept.callback(None)
        self.treq.flush()
        self.assert_done(self.successResultOf(answer))

    def test_both_roots(self) -> None:
        """It is there under /api too."""
        self.assert_done(self.both("GET", "/supernode/xxx"))
        self.assertEqual(self.supernode.calls, [("sweep",)])


class OtherTests(SupernodeApiTestCase):
    """What is not there, and what goes wrong."""

    def test_unknown_routes(self) -> None:
        """A route that isn't there is a 404 in JSON."""
        for path in ["/", "/supernode", "/supernode/register/x", "/node/resources", "/favicon.ico"]:
            self.assert_error(
                self.get(path),
                404,
                "Not Found",
                f"there is no route {path}; docs/http-api.md lists them all",
            )

    def test_wrong_methods(self) -> None:
        """A method that a route hasn't is a 405 in JSON, with those that it has."""
        for method, path, allowed in [
            ("GET", "/supernode/register", "POST"),
            ("POST", "/supernode/search/a", "GET HEAD"),
            ("POST", "/supernode/holders/a", "GET HEAD"),
            ("PUT", "/supernode/alive", "DELETE GET HEAD POST"),
            ("DELETE", "/supernode/xxx", "GET HEAD"),
        ]:
            answer = self.call(method, path)
            self.assert_error(answer, 405, "Method Not Allowed", f"{path} has no method {method}")
            self.assertEqual(answer.allowed, set(allowed.split()))
        self.assertEqual(self.supernode.calls, [])

    def test_own_mistake(self) -> None:
        """A mistake of ours is a 500 in JSON, the log has it, and the next request is served."""
        self.supernode.results["search"] = RuntimeError("a mistake")
        answer = self.get("/supernode/search/a")
        self.assertEqual(answer.code, 500)
        self.assertNotIn("mistake)", answer.description)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.supernode.results.clear()
        self.assertEqual(self.get("/supernode/search/a").code, 200)


class RawTests(SynchronousTestCase):
    """Requests to the byte, over a connection in memory."""

    def answer(self, request: bytes) -> HttpAnswer:
        clock = Clock()
        site = LimitedSite(SupernodeApi(FakeSupernode()).root(), BODY_MAX, clock)
        connection = Connection(site, clock)
        self.addCleanup(connection.vanish)
        connection.send(request)
        return connection.take()

    def test_no_host(self) -> None:
        """A Host header that can be no host's is refused, and is no mistake of the daemon's."""
        bad = (b"", b"\xf4", b"a b", b"a/b", b"a..b", b"x" * 64, b"x." * 150, b"*", b"u@h", b"h:p")
        for host in (*bad, "\N{SNOWMAN}".encode()):
            answer = self.answer(b"GET /api/supernode/alive HTTP/1.1\r\nHost: %b\r\n\r\n" % host)
            self.assertEqual(answer.status, 400, host)
            self.assertIn(b"Host", answer.body)

    def test_hosts(self) -> None:
        """Whatever can be one is taken."""
        for host in (b"a", b"a.b.", b"h:", b"A.b-c_d:80", b"10.0.0.1:5000", b"[::1]:80"):
            answer = self.answer(b"GET /api/supernode/alive HTTP/1.1\r\nHost: %b\r\n\r\n" % host)
            self.assertEqual(answer.status, 200, host)

    def test_whole_url(self) -> None:
        """A request may name the whole URL, as one for a proxy does."""
        for url in (b"http://h/api/supernode/alive", b"HTTPS://h:5000/supernode/alive"):
            answer = self.answer(b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n" % url)
            self.assertEqual(answer.status, 200, url)
        for url, status in ((b"http://h", 404), (b"/http://h/api/supernode/alive", 400)):
            answer = self.answer(b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n" % url)
            self.assertEqual(answer.status, status, url)

    def test_length(self) -> None:
        """An error tells its length, for HTTP/1.0 has no other way to keep a connection."""
        answer = self.answer(b"GET /api/nothing HTTP/1.0\r\nHost: h\r\n\r\n")
        self.assertEqual(answer.status, 404)
        self.assertEqual(answer.headers["content-length"], str(len(answer.body)))
