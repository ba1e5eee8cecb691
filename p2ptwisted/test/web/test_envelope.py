"""Tests for `p2ptwisted.web.envelope`."""

from http import HTTPStatus
from typing import Any

import msgspec
from klein import Klein
from treq.testing import StubTreq
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import IResource
from twisted.web.server import Request
from zope.interface.verify import verifyObject

from p2ptwisted.errors import (
    InvalidInput,
    NotAllowed,
    Unavailable,
    UnknownNode,
    UnknownResource,
)
from p2ptwisted.model import Presence
from p2ptwisted.test.test_model import SHA256
from p2ptwisted.web.envelope import (
    HASH_IDS_MAX,
    ApiRoot,
    ErrorPage,
    decode_body,
    error_of,
    no_content,
    query,
    query_ids,
    success,
)


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


class EnvelopeTestCase(WebTestCase):
    """The routes above."""

    def setUp(self) -> None:
        self.api = Api()
        self.use(self.api.root())


class SuccessTests(EnvelopeTestCase):
    """Answers to what went well."""

    def test_data_and_entity(self) -> None:
        """The data is in an envelope that says what it is."""
        answer = self.get("/good")
        self.assertEqual(answer.code, 200)
        self.assertEqual(answer.header("content-type"), "application/json")
        self.assertEqual(
            answer.body.decode(),
            '{"data":[{"location":"10.0.0.1:80"},{"é":null}],"entity":"thing"}',
        )

    def test_no_content(self) -> None:
        """What has nothing to say has no body."""
        answer = self.call("POST", "/done")
        self.assertEqual((answer.code, answer.body), (204, b""))


class ErrorTests(EnvelopeTestCase):
    """What each exception becomes."""

    def bad(self, error: Exception) -> Answer:
        self.api.raised = error
        return self.get("/bad")

    def test_table(self) -> None:
        """Each has its status and keeps its message."""
        for error, code, name in [
            (InvalidInput("why"), 400, "Bad Request"),
            (msgspec.ValidationError("why"), 400, "Bad Request"),
            (msgspec.DecodeError("why"), 400, "Bad Request"),
            (NotAllowed("why"), 403, "Forbidden"),
            (UnknownNode("why"), 404, "Not Found"),
            (UnknownResource("why"), 404, "Not Found"),
            (Unavailable("why"), 503, "Service Unavailable"),
        ]:
            self.assert_error(self.bad(error), code, name, "why")

    def test_retry_after(self) -> None:
        """What may go well in a moment says when."""
        self.assertEqual(self.bad(Unavailable("busy")).header("retry-after"), "1")
        self.assertIsNone(self.bad(InvalidInput("bad")).header("retry-after"))

    def test_own_mistake(self) -> None:
        """Anything else is ours: the log has all of it, and the client not one detail."""
        for error in [KeyError("secret"), ValueError("secret"), OSError("secret")]:
            self.assert_error(
                self.bad(error),
                500,
                "Internal Server Error",
                "a mistake of the daemon's own, not of the request; its log has the details",
            )
            self.assertEqual(len(self.flushLoggedErrors(type(error))), 1)

    def test_client_gone(self) -> None:
        """A handler that is cancelled, as its client has gone, says nothing and logs nothing."""
        self.assertEqual(self.bad(CancelledError()).body, b"")
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_page(self) -> None:
        """An error can also stand where a resource does."""
        page = ErrorPage(HTTPStatus.GONE, "gone for good")
        verifyObject(IResource, page)
        self.use(page)
        for path in ["/", "/any/path"]:
            self.assert_error(self.get(path), 410, "Gone", "gone for good")


class RoutingTests(EnvelopeTestCase):
    """Paths that lead somewhere and paths that don't."""

    def test_both_roots(self) -> None:
        """Every route is there under /api and without it."""
        self.assertEqual(self.get("/good").body, self.get("/api/good").body)

    def test_api_once(self) -> None:
        """One /api is taken off, and no second one."""
        self.assert_not_found("/api/api/good")

    def test_unknown(self) -> None:
        """A path that leads nowhere is named."""
        for path in ["/", "/api", "/api/", "/goods", "/good/", "/good/more", "/text", "/text/"]:
            self.assert_not_found(path)

    def test_other_spellings(self) -> None:
        """A path that is written in another way than its own is none, wherever it would lead."""
        for path in (
            *("/%67ood", "/text/a%2Fb", "/text/..%2F..%2Fetc%2Fpasswd", "/text/%C3%A9", "/%ff"),
            *("//good", "/api//good", "/text//a", "/good//"),
        ):
            answer = self.get(path)
            self.assertEqual(answer.code, 400, path)
            self.assertIn("the path ", answer.description)
        self.assertIsNone(self.api.understood)

    def assert_not_found(self, path: str) -> None:
        description = f"there is no route {path}; docs/http-api.md lists them all"
        self.assert_error(self.get(path), 404, "Not Found", description)

    def test_long_path(self) -> None:
        """An endless path is not repeated whole."""
        answer = self.get("/" + "x" * 5000)
        self.assertEqual(answer.code, 404)
        self.assertLess(len(answer.description), 300)

    def test_wrong_method(self) -> None:
        """The methods that there are are in the header, as HTTP wants it."""
        answer = self.call("PUT", "/good")
        self.assert_error(answer, 405, "Method Not Allowed", "/good has no method PUT")
        self.assertEqual(answer.allowed, {"GET", "HEAD"})

    def test_colon(self) -> None:
        """The one character of an id that programs quote may be quoted."""
        self.get("/text/a%3Ab:c")
        self.assertEqual(self.api.understood, "a:b:c")


class BodyTests(EnvelopeTestCase):
    """Bodies that should be JSON."""

    def post(self, body: bytes) -> Answer:
        return self.call("POST", "/body", data=body)

    def test_good(self) -> None:
        """A body is decoded; keys that nobody knows are ignored."""
        answer = self.post(b' {"location": "10.0.0.1:80", "new": [1, {"deep": null}]}\n')
        self.assertEqual(answer.code, 204)
        self.assertEqual(self.api.understood, Presence("10.0.0.1:80"))

    def test_not_json(self) -> None:
        """What isn't JSON is called that."""
        for body in [
            b"",
            b" ",
            b"location=1",
            b"{",
            b'{"location": "a"} x',
            b'{"location": "\xff"}',
            b"\xff\xfe{",
            b'{"location": "\\ud800 alone in the world"}',
        ]:
            answer = self.post(body)
            self.assertEqual(answer.code, 400, body)
            self.assertIn("the body is not JSON: ", answer.description)

    def test_wrong_shape(self) -> None:
        """What is JSON of another shape has the field named."""
        for body, description in [
            (b"[]", "Expected `object`, got `array`"),
            (b"null", "Expected `object`, got `null`"),
            (b"{}", "Object missing required field `location`"),
            (b'{"location": 80}', "Expected `str`, got `int` - at `$.location`"),
            (b'{"location": null}', "Expected `str`, got `null` - at `$.location`"),
        ]:
            self.assert_error(self.post(body), 400, "Bad Request", description)

    def test_deeply_nested(self) -> None:
        """A body nested deeper than can be read is the client's mistake too, not ours."""
        for start in [b"[", b'{"a":']:
            answer = self.post(b'{"location": "10.0.0.1:80", "x": ' + start * 100_000)
            self.assertEqual(answer.code, 400)
        self.assertEqual(self.flushLoggedErrors(), [])


class QueryTests(EnvelopeTestCase):
    """What stands behind the question mark."""

    def understood(self, path: str) -> object:
        self.assertEqual(self.get(path).code, 204)
        return self.api.understood

    def test_value(self) -> None:
        """A parameter is decoded, as UTF-8; where it isn't given there is none."""
        self.assertEqual(self.understood("/query?name=a+b%26%C3%A9&other=1"), "a b&é")
        self.assertEqual(self.understood("/query?name="), "")
        self.assertIsNone(self.understood("/query?other=1"))
        self.assertIsNone(self.understood("/query"))

    def test_given_twice(self) -> None:
        """Of two values nobody could know which is meant."""
        self.assert_error(
            self.get("/query?name=a&name=b"),
            400,
            "Bad Request",
            "name is given 2 times: give it once",
        )

    def test_not_utf8(self) -> None:
        """A value that isn't UTF-8 is refused."""
        self.assert_error(self.get("/query?name=%ff"), 400, "Bad Request", "name is not UTF-8")

    def test_ids(self) -> None:
        """Ids are separated by commas, canonical, and each once."""
        self.assertEqual(
            self.understood(f"/ids?hash_ids=b,{SHA256.upper()},a,{SHA256},b"), ["b", SHA256, "a"]
        )
        self.assertIsNone(self.understood("/ids"))

    def test_no_ids(self) -> None:
        """An empty list is a mistake."""
        self.assert_error(
            self.get("/ids?hash_ids="),
            400,
            "Bad Request",
            "hash_ids is empty: give ids separated by commas",
        )

    def test_bad_ids(self) -> None:
        """One id that is none and nothing is searched for."""
        for ids in ["a,", ",a", "a,,b", "a,b%20c", "a%3Bb", "x" * 129]:
            answer = self.get(f"/ids?hash_ids={ids}")
            self.assertEqual(answer.code, 400)
            self.assertIn("is not a resource id", answer.description)
        self.assertIsNone(self.api.understood)

    def test_too_many_ids(self) -> None:
        """So many at a time, and no more."""
        most = [f"x{number}" for number in range(HASH_IDS_MAX)]
        self.assertEqual(self.understood(f"/ids?hash_ids={','.join(most)}"), most)
        self.assert_error(
            self.get(f"/ids?hash_ids={','.join([*most, 'y'])}"),
            400,
            "Bad Request",
            "hash_ids has 201 ids: ask for 200 at a time",
        )
