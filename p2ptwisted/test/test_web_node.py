"""Tests of `p2ptwisted.web.node`: the node's routes, asked by a real client, in memory."""

import json
from pathlib import Path
from typing import Any

from treq.testing import StubTreq
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2ptwisted.errors import Unavailable
from p2ptwisted.interfaces import INode
from p2ptwisted.model import HeldFile, Holding, Resource
from p2ptwisted.test.node_fakes import FakeNode, producers_on, work
from p2ptwisted.web.envelope import HASH_IDS_MAX
from p2ptwisted.web.node import NodeApi

HERE = "a" * 64
ALSO = "d" * 64
THERE = "b" * 64
NOWHERE = "c" * 64


class NodeApiTests(SynchronousTestCase):
    """Every route, with /api and without it."""

    def setUp(self) -> None:
        self.clock = Clock()
        producers_on(self, self.clock)
        self.node = FakeNode()
        self.node.here[HERE] = Resource(HERE, "sub/here", 5)
        self.node.here[ALSO] = Resource(ALSO, "älso", 6)
        self.node.elsewhere[THERE] = Holding(
            THERE,
            HeldFile("10.0.0.3:8000", ["10.0.0.3:8000", "10.0.0.4:8000"], "there", 7),
        )
        # Its methods are made while it is, so mypy knows none of them.
        self.stub: Any = StubTreq(NodeApi(self.node).root())

    def ask(self, path: str, method: str = "GET") -> Any:
        """An answer, which is the same with /api before the path and without."""
        answers = []
        for prefix in ("/api", ""):
            asked = self.stub.request(
                method, f"http://10.0.0.9:8000{prefix}{path}", allow_redirects=False
            )
            work(self.clock, 20)
            self.stub.flush()
            response = self.successResultOf(asked)
            response.text_ = self.successResultOf(self.stub.content(response))
            response.told = {
                name.lower().decode(): values[0].decode()
                for name, values in response.headers.getAllRawHeaders()
                if name.lower() not in (b"date", b"server")
            }
            answers.append(response)
        with_api, without = answers
        self.assertEqual(
            (with_api.code, with_api.told, with_api.text_.replace(b"/api/", b"/")),
            (without.code, without.told, without.text_),
        )
        return without

    def gives(self, path: str, data: object, entity: str, status: int = 200) -> Any:
        """The path is answered with just this."""
        answer = self.ask(path)
        self.assertEqual(json.loads(answer.text_), {"data": data, "entity": entity})
        self.assertEqual(answer.code, status)
        self.assertEqual(answer.told["content-type"], "application/json")
        return answer

    def refuses(self, path: str, status: int, *words: str, method: str = "GET") -> Any:
        """The path is answered with an error of this status that says these words."""
        answer = self.ask(path, method)
        error = json.loads(answer.text_)
        self.assertEqual(set(error), {"code", "name", "description"})
        self.assertEqual((answer.code, error["code"]), (status, status))
        self.assertEqual(answer.told["content-type"], "application/json")
        for word in words:
            self.assertIn(word, error["description"])
        return answer

    def test_provider(self) -> None:
        """The node these tests ask is what the routes ask for."""
        verifyObject(INode, self.node)

    def test_health(self) -> None:
        """A node tells how it is."""
        self.gives(
            "/node/health",
            {"name": "node1", "resources": 2, "scanning": True, "supernode": None},
            "health",
        )

    def test_resources(self) -> None:
        """The list has the id and the name of each resource, and nothing else."""
        self.gives(
            "/node/resources",
            [{"id": HERE, "name": "sub/here"}, {"id": ALSO, "name": "älso"}],
            "resource",
        )

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
        for bad, shown in [
            (long, "129 characters"),
            ("a;b", "a;b"),
            ("a%20b", "a b"),
            ("%C3%A4", "ä"),
            ("%00", "x00"),
        ]:
            self.refuses(f"/node/resources/{bad}", 400, "is not a resource id", shown)
            self.refuses(f"/node/resources/{bad}/content", 400, "is not a resource id", shown)
            self.refuses(f"/node/resources/find?hash_ids={HERE},{bad.replace(';', '%3B')}", 400)
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
        self.refuses("/node/resources/%FF", 400, "the path is not UTF-8")

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
        ):
            for method in ("POST", "PUT", "DELETE"):
                answer = self.refuses(path, 405, method, method=method)
                allowed = {allow.strip() for allow in answer.told["allow"].split(",")}
                self.assertLessEqual({"GET", "HEAD"}, allowed)
                self.assertNotIn(method, allowed)

    def test_head(self) -> None:
        """HEAD of any route is its GET without the body."""
        for path in ("/node/health", "/node/resources", f"/node/resources/{HERE}"):
            answer = self.ask(path, "HEAD")
            self.assertEqual((answer.code, answer.text_), (200, b""))
            self.assertEqual(answer.told["content-type"], "application/json")

    def test_content(self) -> None:
        """The content of what is here is the file itself."""
        path = Path(self.mktemp())
        path.write_bytes(b"bytes")
        self.node.files[HERE] = path
        for method, body in [("GET", b"bytes"), ("HEAD", b"")]:
            answer = self.ask(f"/node/resources/{HERE.upper()}/content", method)
            self.assertEqual((answer.code, answer.text_), (200, body))
            self.assertEqual(answer.told["etag"], f'"{HERE}"')
        self.assertEqual([file.closed for file in self.node.opened], [True] * 4)

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
