"""Tests of `p2ptwisted.web.node_routes`: the node's routes, asked by a real client, in memory."""

import json

from zope.interface.verify import verifyObject

from p2ptwisted.errors import Unavailable
from p2ptwisted.interfaces import IDownloads, INode
from p2ptwisted.model import ORDERS_MAX, DownloadStatus, HeldFile, Holding, ResourceInfo
from p2ptwisted.test.node_fakes import (
    Answer,
    exchange,
)
from p2ptwisted.test.web.node_case import ALSO, HERE, NOWHERE, THERE, NodeApiCase
from p2ptwisted.web.request_input import HASH_IDS_MAX

#: What some routes have beside GET and HEAD.
MORE_METHODS = {
    f"/node/resources/{HERE}/pieces": ["POST"],
    "/node/fetch": ["POST"],
    f"/node/fetch/{HERE}": ["DELETE"],
}


class NodeApiTests(NodeApiCase):
    """Every route, with /api and without it."""

    def test_providers(self) -> None:
        """The node and the fetches of these tests are what the routes ask for."""
        verifyObject(INode, self.node)
        verifyObject(IDownloads, self.fetches)

    def test_health(self) -> None:
        """A node tells how it is."""
        self.gives(
            "/node/health",
            {"name": "node1", "resources": 2, "scanning": True, "supernode": None},
            "health",
        )

    def test_health_by_caller(self) -> None:
        """Who asks for it is told to the node, which knows what to tell whom."""
        for host in ("127.0.0.1", "10.0.0.2"):
            exchange(self.api().root(), self.clock, "GET", "/node/health", host=host)
        self.assertEqual(self.node.callers, ["127.0.0.1", "10.0.0.2"])

    def test_resources(self) -> None:
        """The list has the id and the name of each resource, and nothing else."""
        self.gives(
            "/node/resources",
            [{"id": HERE, "name": "sub/here"}, {"id": ALSO, "name": "älso"}],
            "resource",
        )

    def test_other_names(self) -> None:
        """One that has other names tells them, in the list and by itself."""
        self.node.here = {HERE: ResourceInfo(HERE, "a", 5, other_names=("b/c", "d"))}
        told = {"id": HERE, "name": "a", "other_names": ["b/c", "d"]}
        self.gives("/node/resources", [told], "resource")
        self.gives(f"/node/resources/{HERE}", told, "resource")
        self.gives(f"/node/resources/find?hash_ids={HERE}", [told], "resource")

    def test_no_resources(self) -> None:
        """A node that shares nothing has an empty list."""
        self.node.here.clear()
        self.gives("/node/resources", [], "resource")

    def test_here(self) -> None:
        """A resource that is here: 200, its id and name."""
        self.gives(f"/node/resources/{HERE}", {"id": HERE, "name": "sub/here"}, "resource")

    def test_upper_case(self) -> None:
        """A SHA-256 in upper case is the same id."""
        self.gives(f"/node/resources/{HERE.upper()}", {"id": HERE, "name": "sub/here"}, "resource")

    def test_elsewhere(self) -> None:
        """A resource of other nodes: 302 to the first of them, and all of them in the body."""
        answer = self.gives(
            f"/node/resources/{THERE}",
            {
                "id": THERE,
                "info": {
                    "location": "10.0.0.3:8000",
                    "locations": ["10.0.0.3:8000", "10.0.0.4:8000"],
                    "name": "there",
                    "size": 7,
                },
            },
            "resource",
            302,
        )
        self.assertEqual(
            answer.told["location"], f"http://10.0.0.3:8000/api/node/resources/{THERE}"
        )

    def test_elsewhere_unnamed(self) -> None:
        """Found by multicast, its name and size are not known and are left out."""
        self.node.elsewhere[THERE] = Holding(THERE, HeldFile("10.0.0.3:8000", ["10.0.0.3:8000"]))
        self.gives(
            f"/node/resources/{THERE}",
            {
                "id": THERE,
                "info": {"location": "10.0.0.3:8000", "locations": ["10.0.0.3:8000"]},
            },
            "resource",
            302,
        )

    def test_nowhere(self) -> None:
        """A resource that nobody has: 404, naming it."""
        self.refuses(f"/node/resources/{NOWHERE}", 404, f"nobody has {NOWHERE}")
        self.refuses(f"/node/resources/{NOWHERE}/content", 404, f"nobody has {NOWHERE}")

    def test_no_supernode(self) -> None:
        """While nobody can be asked: 503, and when to try again."""
        self.node.problem = Unavailable("this node has no supernode just now")
        for path in (THERE, f"{THERE}/content", f"find?hash_ids={THERE}"):
            answer = self.refuses(f"/node/resources/{path}", 503, "no supernode just now")
            self.assertEqual(answer.told["retry-after"], "1")

    def test_find(self) -> None:
        """Of many ids, those found, each in its form, in the order asked for; 200."""
        self.gives(
            f"/node/resources/find?hash_ids={THERE},{NOWHERE},{HERE}",
            [
                {
                    "id": THERE,
                    "info": {
                        "location": "10.0.0.3:8000",
                        "locations": ["10.0.0.3:8000", "10.0.0.4:8000"],
                        "name": "there",
                        "size": 7,
                    },
                },
                {"id": HERE, "name": "sub/here"},
            ],
            "resource",
        )

    def test_find_none(self) -> None:
        """Where none is found, the list is empty; 200."""
        self.gives(f"/node/resources/find?hash_ids={NOWHERE}", [], "resource")

    def test_find_each_once(self) -> None:
        """Ids are asked for once each, in their canonical form."""
        self.ask(f"/node/resources/find?hash_ids={THERE},{THERE.upper()},Token")
        self.assertEqual(self.node.asked[0], [THERE, "Token"])

    def test_find_most(self) -> None:
        """As many ids as are allowed are found, one more is a 400 that says how many."""
        ids = [f"{number:064x}" for number in range(HASH_IDS_MAX)]
        self.gives(f"/node/resources/find?hash_ids={','.join(ids)}", [], "resource")
        self.refuses(
            f"/node/resources/find?hash_ids={','.join([*ids, HERE])}",
            400,
            f"{HASH_IDS_MAX + 1} ids",
            f"{HASH_IDS_MAX} at a time",
        )

    def test_find_nothing(self) -> None:
        """Without ids, with no id, or with the question put twice: a 400 that says so."""
        self.refuses("/node/resources/find", 400, "hash_ids")
        self.refuses("/node/resources/find?hash_ids=", 400, "hash_ids is empty")
        self.refuses(f"/node/resources/find?hash_ids={HERE}&hash_ids={THERE}", 400, "2 times")
        self.refuses("/node/resources/find?hash_ids=%FF", 400, "hash_ids is not UTF-8")
        self.refuses(f"/node/resources/find?hash_ids={HERE},", 400, "is not a resource id")

    def test_bad_id(self) -> None:
        """What can be no id is a 400 that shows it, shortened, wherever it stands."""
        long = "x" * 129
        for bad, shown in [(long, "129 characters"), ("a,b", "a,b")]:
            self.refuses(f"/node/resources/{bad}", 400, "is not a resource id", shown)
            self.refuses(f"/node/resources/{bad}/content", 400, "is not a resource id", shown)
        for bad, shown in [
            (long, "129 characters"),
            ("a%3Bb", "a;b"),
            ("a%20b", "a b"),
            ("%C3%A4", "ä"),
            ("%00", "x00"),
        ]:
            self.refuses(
                f"/node/resources/find?hash_ids={HERE},{bad}", 400, "is not a resource id", shown
            )
            if bad != long:
                self.refuses(f"/node/resources/{bad}", 400, "percent-encoded")
        self.assertEqual(self.node.asked, [])

    def test_paths(self) -> None:
        """A path, however it is written, never gets at a file: it is an id or it is nothing."""
        for path in (
            "..%2F..%2Fetc%2Fpasswd",
            "%2Fetc%2Fpasswd",
            "sub%2Fhere/content",
            "..%2Fhere/content",
        ):
            self.assertIn(self.ask(f"/node/resources/{path}").code, (400, 404), msg=path)
        self.assertEqual(self.node.asked, [])

    def test_not_utf8(self) -> None:
        """A path that is not UTF-8 is a 400."""
        self.refuses("/node/resources/%FF", 400, "percent-encoded")

    def test_unknown_route(self) -> None:
        """A path that leads nowhere is a 404 that names it."""
        for path in ("/", "/node", "/nodes/resources", f"/node/resources/{HERE}/other", "/api"):
            self.refuses(path, 404, "no route")
        self.refuses("/supernode/alive", 404, "/supernode/alive")

    def test_wrong_method(self) -> None:
        """A method that a path does not have is a 405 that tells which it has."""
        for path in (
            "/node/health",
            "/node/resources",
            "/node/resources/find",
            f"/node/resources/{HERE}",
            f"/node/resources/{HERE}/content",
            f"/node/resources/{HERE}/pieces",
            "/node/fetch",
            f"/node/fetch/{HERE}",
        ):
            has = {"GET", "HEAD", *MORE_METHODS.get(path, ())}
            for method in {"POST", "PUT", "DELETE"} - has:
                answer = self.refuses(path, 405, method, method=method)
                allowed = {allow.strip() for allow in answer.told["allow"].split(",")}
                self.assertEqual(allowed - {"OPTIONS"}, has)

    def test_head(self) -> None:
        """HEAD of any route is its GET without the body."""
        for path in ("/node/health", "/node/resources", f"/node/resources/{HERE}"):
            answer = self.ask(path, "HEAD")
            self.assertEqual((answer.code, answer.text_), (200, b""))
            self.assertEqual(answer.told["content-type"], "application/json")

    def test_content(self) -> None:
        """The content of what is here is the file itself."""
        self.file(HERE, b"bytes")
        for method, body in [("GET", b"bytes"), ("HEAD", b"")]:
            answer = self.ask(f"/node/resources/{HERE.upper()}/content", method)
            self.assertEqual((answer.code, answer.text_), (200, body))
            self.assertEqual(answer.told["etag"], f'"{HERE}"')
        self.assertEqual([file.closed for file in self.node.opened], [True] * 4)
        self.assertEqual([upload.ends for upload in self.node.uploads], [1] * 4)
        self.assertEqual(set(self.node.clients), {"127.0.0.1"})

    def test_content_elsewhere(self) -> None:
        """The content of what is elsewhere: 302 to the content there."""
        answer = self.ask(f"/node/resources/{THERE}/content")
        self.assertEqual(answer.code, 302)
        self.assertEqual(
            answer.told["location"], f"http://10.0.0.3:8000/api/node/resources/{THERE}/content"
        )
        self.assertEqual(json.loads(answer.text_)["data"]["info"]["location"], "10.0.0.3:8000")

    def test_content_just_gone(self) -> None:
        """The content of what is still listed and no longer as it was: 404, naming it."""
        self.refuses(f"/node/resources/{HERE}/content", 404, HERE, "changed or gone")

    def test_own_mistake(self) -> None:
        """An unexpected exception is a 500 that tells nothing of its insides; the log does."""
        self.node.problem = RuntimeError("secret")
        answer = self.refuses(f"/node/resources/{THERE}", 500, "its log")
        self.assertNotIn(b"secret", answer.text_)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)


class FetchTests(NodeApiCase):
    """`/node/fetch`."""

    def setUp(self) -> None:
        super().setUp()
        self.running = DownloadStatus(
            HERE,
            "running",
            "here",
            10,
            5,
            2.5,
            2.0,
            {"10.0.0.3:8000": 5},
            {"10.0.0.4:8000": "does not answer"},
        )
        self.shown = {
            "id": HERE,
            "state": "running",
            "name": "here",
            "size": 10,
            "here": 5,
            "rate": 2.5,
            "seconds_left": 2.0,
            "holders": {"10.0.0.3:8000": 5},
            "troubles": {"10.0.0.4:8000": "does not answer"},
            "error": None,
        }

    def order(self, id: str = HERE) -> bytes:
        return json.dumps({"id": id}).encode()

    def call(self, method: str, path: str, host: str, *trusted: str, body: bytes = b"") -> Answer:
        """The answer to a caller at that address."""
        root = self.api(*trusted).root()
        return exchange(root, self.clock, method, path, body=body, host=host)

    def test_started(self) -> None:
        """An order is a 202 with how the fetch is getting on."""
        answer = self.ask("/node/fetch", "POST", self.order(THERE.upper()))
        self.assertEqual(answer.code, 202)
        told = json.loads(answer.text_)
        self.assertEqual(told["entity"], "fetch")
        self.assertEqual((told["data"]["id"], told["data"]["state"]), (THERE, "waiting"))
        self.assertEqual(self.fetches.started, [THERE, THERE])
        self.assertEqual(self.fetches.names, [None, None])

    def test_name(self) -> None:
        """An order can say what the resource is to be called."""
        body = json.dumps({"id": HERE, "name": "a/b"}).encode()
        self.assertEqual(self.ask("/node/fetch", "POST", body).code, 202)
        self.assertEqual(set(self.fetches.names), {"a/b"})
        body = json.dumps({"id": HERE, "name": 5}).encode()
        self.refuses("/node/fetch", 400, "$.name", method="POST", body=body)

    def several(self, *ids: str) -> bytes:
        """An order for several."""
        others = [{"id": id, "name": f"name of {id[0]}"} for id in ids[1:]]
        return json.dumps({"id": ids[0], "others": others}).encode()

    def test_several(self) -> None:
        """One request can order several, each under its name; all their states are answered."""
        answer = self.ask("/node/fetch", "POST", self.several(THERE, ALSO.upper(), NOWHERE))
        self.assertEqual(answer.code, 202)
        told = json.loads(answer.text_)
        self.assertEqual(told["entity"], "fetch")
        self.assertEqual([one["id"] for one in told["data"]], [THERE, ALSO, NOWHERE])
        self.assertEqual(self.fetches.names[:3], [None, "name of D", "name of c"])

    def test_several_of_one(self) -> None:
        """A list of no others is a list of one."""
        answer = self.ask("/node/fetch", "POST", self.several(THERE))
        (told,) = json.loads(answer.text_)["data"]
        self.assertEqual(told["id"], THERE)

    def test_several_too_many(self) -> None:
        """Of too many for the node the first are taken, be that none; more are never sent."""
        for room in (2, 0):
            self.fetches.room = room
            answer = self.ask("/node/fetch", "POST", self.several(THERE, ALSO, NOWHERE))
            self.assertEqual((answer.code, len(json.loads(answer.text_)["data"])), (202, room))
        self.fetches.started.clear()
        body = self.several(*[HERE] * (ORDERS_MAX + 1))
        self.refuses("/node/fetch", 400, "$.others", method="POST", body=body)
        body = self.several(HERE, ALSO, "a;b")
        self.refuses("/node/fetch", 400, "is not a resource id", method="POST", body=body)
        self.assertEqual(self.fetches.started, [])

    def test_some(self) -> None:
        """Those that are asked about, as far as they are known."""
        self.fetches.known = {ALSO: DownloadStatus(ALSO, "done"), HERE: self.running}
        self.gives(f"/node/fetch?hash_ids={THERE},{HERE.upper()}", [self.shown], "fetch")
        self.refuses("/node/fetch?hash_ids=a,", 400, "is not a resource id")

    def test_list(self) -> None:
        """All fetches, or none."""
        self.gives("/node/fetch", [], "fetch")
        self.fetches.known[HERE] = self.running
        self.gives("/node/fetch", [self.shown], "fetch")

    def test_status(self) -> None:
        """One of them, by its id in any case; one that nobody ordered is a 404."""
        self.fetches.known[HERE] = self.running
        self.gives(f"/node/fetch/{HERE}", self.shown, "fetch")
        self.gives(f"/node/fetch/{HERE.upper()}", self.shown, "fetch")
        self.refuses(f"/node/fetch/{THERE}", 404, THERE)
        self.refuses("/node/fetch/a,b", 400, "is not a resource id")

    def test_cancelled(self) -> None:
        """DELETE breaks one off: 204; one that nobody ordered is a 404."""
        self.fetches.known[HERE] = self.running
        answer = self.ask(f"/node/fetch/{HERE.upper()}", "DELETE")
        self.assertEqual((answer.code, answer.text_), (204, b""))
        self.assertEqual(self.fetches.cancelled, [HERE, HERE])
        self.refuses(f"/node/fetch/{THERE}", 404, THERE, method="DELETE")

    def test_bad_orders(self) -> None:
        """An order for nothing, or for what can be no id, is a 400 that says so."""
        for body, word in [
            (b"", "not JSON"),
            (b"{}", "id"),
            (b'{"id": 5}', "id"),
            (self.order("a;b"), "is not a resource id"),
        ]:
            self.refuses("/node/fetch", 400, word, method="POST", body=body)
        self.assertEqual(self.fetches.started, [])

    def test_too_many(self) -> None:
        """Where too many wait: 503, and when to try again."""
        self.fetches.problem = Unavailable("1000 fetches are waiting")
        answer = self.refuses("/node/fetch", 503, "1000", method="POST", body=self.order())
        self.assertEqual(answer.told["retry-after"], "1")

    def test_from_elsewhere(self) -> None:
        """Others may look, and have nothing fetched or broken off: 403, and what would help."""
        self.fetches.known[HERE] = self.running
        for method, path, body in [
            ("POST", "/node/fetch", self.order(THERE)),
            ("DELETE", f"/node/fetch/{HERE}", b""),
            ("POST", "/node/fetch", b"not even JSON"),
            ("DELETE", "/node/fetch/a,b", b""),
        ]:
            answer = self.call(method, path, "10.0.0.2", body=body)
            self.assertEqual(answer.status, 403)
            description = json.loads(answer.body)["description"]
            for word in ("10.0.0.2", "loopback", "with --trusted-network 10.0.0.2/32"):
                self.assertIn(word, description)
        self.assertEqual((self.fetches.started, self.fetches.cancelled), ([], []))
        for path in ("/node/fetch", f"/node/fetch/{HERE}"):
            self.assertEqual(self.call("GET", path, "10.0.0.2").status, 200)

    def test_trusted(self) -> None:
        """From a trusted network it is as from loopback; from beside it, it is not."""
        self.fetches.known[HERE] = self.running
        for host, trusted in [
            ("127.0.0.1", []),
            ("127.9.9.9", []),
            ("10.0.0.2", ["10.0.0.0/24"]),
            ("10.0.0.2", ["192.168.0.0/16", "10.0.0.2/32"]),
        ]:
            answer = self.call("POST", "/node/fetch", host, *trusted, body=self.order())
            self.assertEqual(answer.status, 202)
            answer = self.call("DELETE", f"/node/fetch/{HERE}", host, *trusted)
            self.assertEqual(answer.status, 204)
        answer = self.call("POST", "/node/fetch", "10.0.1.2", "10.0.0.0/24", body=self.order())
        self.assertEqual(answer.status, 403)
