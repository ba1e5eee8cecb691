"""What the tests of the node's routes have in common."""

import json
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from treq.testing import StubTreq
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.model import HeldFile, Holding, ResourceInfo
from p2ptwisted.test.node_fakes import FakeDownloads, FakeNode, producers_on, work
from p2ptwisted.web.node_routes import NodeApi

HERE = "a" * 64
ALSO = "d" * 64
THERE = "b" * 64
NOWHERE = "c" * 64


class NodeApiCase(SynchronousTestCase):
    """A node with two resources that knows of a third, and its routes."""

    def setUp(self) -> None:
        self.clock = Clock()
        producers_on(self, self.clock)
        self.node = FakeNode()
        self.fetches = FakeDownloads()
        self.node.here[HERE] = ResourceInfo(HERE, "sub/here", 5)
        self.node.here[ALSO] = ResourceInfo(ALSO, "älso", 6)
        self.node.elsewhere[THERE] = Holding(
            THERE,
            HeldFile("10.0.0.3:8000", ["10.0.0.3:8000", "10.0.0.4:8000"], "there", 7),
        )
        # Its methods are made while it is, so mypy knows none of them.
        self.stub: Any = StubTreq(self.api().root())

    def api(self, *trusted: str) -> NodeApi:
        networks = [IPv4Network(network) for network in trusted]
        return NodeApi(self.clock, self.node, self.fetches, networks)

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """An answer, which is the same with /api before the path and without."""
        answers = []
        for prefix in ("/api", ""):
            asked = self.stub.request(
                method,
                f"http://10.0.0.9:8000{prefix}{path}",
                headers=headers,
                data=body,
                allow_redirects=False,
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
            (without.code, without.told, without.text_.replace(b"/api/", b"/")),
        )
        return without

    def gives(self, path: str, data: object, entity: str, status: int = 200) -> Any:
        """The path is answered with just this."""
        answer = self.ask(path)
        self.assertEqual(json.loads(answer.text_), {"data": data, "entity": entity})
        self.assertEqual(answer.code, status)
        self.assertEqual(answer.told["content-type"], "application/json")
        return answer

    def refuses(
        self,
        path: str,
        status: int,
        *words: str,
        method: str = "GET",
        body: bytes | None = None,
    ) -> Any:
        """The path is answered with an error of this status that says these words."""
        answer = self.ask(path, method, body)
        error = json.loads(answer.text_)
        self.assertEqual(set(error), {"code", "name", "description"})
        self.assertEqual((answer.code, error["code"]), (status, status))
        self.assertEqual(answer.told["content-type"], "application/json")
        for word in words:
            self.assertIn(word, error["description"])
        return answer

    def file(self, id: str, content: bytes) -> None:
        """This is the content of that resource."""
        path = Path(self.mktemp())
        path.write_bytes(content)
        self.node.files[id] = path
