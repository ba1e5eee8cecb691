"""Requests to a site in memory, and routes to try the answers with."""

from typing import Any

import msgspec
from klein import Klein
from treq.testing import StubTreq
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import IResource
from twisted.web.server import Request

from p2ptwisted.errors import InvalidInput
from p2ptwisted.model import Presence
from p2ptwisted.web.api_root import ApiRoot
from p2ptwisted.web.error_responses import error_of
from p2ptwisted.web.request_input import decode_body, query, query_ids
from p2ptwisted.web.responses import no_content, success


class Api:
    """Routes that do what they are told to."""

    app = Klein()

    def __init__(self) -> None:
        self.raised: Exception = InvalidInput("nothing")
        #: What the last handler understood.
        self.understood: object = None

    def root(self) -> ApiRoot:
        return ApiRoot(self.app)

    @app.handle_errors(Exception)  # type: ignore[arg-type]  # a Request is all there is
    def on_error(self, request: Request, failure: Failure) -> bytes:
        return error_of(request, failure)

    @app.route("/good", methods=["GET"])
    def good(self, request: Request) -> bytes:
        return success(request, [Presence("10.0.0.1:80"), {"é": None}], "thing")

    @app.route("/done", methods=["POST"])
    def done(self, request: Request) -> bytes:
        return no_content(request)

    @app.route("/bad", methods=["GET"])
    def bad(self, request: Request) -> bytes:
        raise self.raised

    @app.route("/body", methods=["POST"])
    def body(self, request: Request) -> bytes:
        self.understood = decode_body(request, msgspec.json.Decoder(Presence))
        return no_content(request)

    @app.route("/query", methods=["GET"])
    def query(self, request: Request) -> bytes:
        self.understood = query(request, "name")
        return no_content(request)

    @app.route("/ids", methods=["GET"])
    def ids(self, request: Request) -> bytes:
        self.understood = query_ids(request)
        return no_content(request)

    @app.route("/text/<text>", methods=["GET"])
    def text(self, request: Request, text: str) -> bytes:
        self.understood = text
        return no_content(request)


class Answer:
    """A status, headers and a body."""

    def __init__(self, code: int, headers: Any, body: bytes) -> None:
        self.code = code
        self.body = body
        self._headers = headers

    def header(self, name: str) -> str | None:
        values = self._headers.getRawHeaders(name)
        return None if values is None else str(values[0])

    @property
    def allowed(self) -> set[str]:
        """The methods that a 405 names."""
        return set((self.header("allow") or "").split(", "))

    @property
    def description(self) -> str:
        return str(msgspec.json.decode(self.body)["description"])


class WebTestCase(SynchronousTestCase):
    """Requests to a resource, in memory."""

    def use(self, root: IResource) -> None:
        self.treq: Any = StubTreq(root)

    def begun(self, method: str, path: str, **options: Any) -> Deferred[Answer]:
        async def call() -> Answer:
            response = await self.treq.request(
                method, f"http://host{path}", allow_redirects=False, **options
            )
            return Answer(response.code, response.headers, await response.content())

        answer = Deferred.fromCoroutine(call())
        self.treq.flush()
        return answer

    def call(self, method: str, path: str, **options: Any) -> Answer:
        return self.successResultOf(self.begun(method, path, **options))

    def get(self, path: str) -> Answer:
        return self.call("GET", path)

    def assert_error(self, answer: Answer, code: int, name: str, description: str) -> None:
        """The answer is this error to the byte, and JSON."""
        expected = {"code": code, "name": name, "description": description}
        self.assertEqual(answer.body.decode(), msgspec.json.encode(expected).decode())
        self.assertEqual(answer.code, code)
        self.assertEqual(answer.header("content-type"), "application/json")


class ApiTestCase(WebTestCase):
    """The routes above."""

    def setUp(self) -> None:
        self.api = Api()
        self.use(self.api.root())
