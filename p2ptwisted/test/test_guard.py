"""Tests of `p2ptwisted.web.guard`, through a site's routes."""

from typing import Any

from http_message_signatures import HTTPMessageSigner, MappingKeyResolver
from http_message_signatures.algorithms import HMAC_SHA256
from klein import Klein
from treq.testing import StubTreq
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import Request

from p2ptwisted.signatures import HEADERS_MAX, Call, Signatures
from p2ptwisted.web.envelope import ApiRoot, no_content
from p2ptwisted.web.guard import Guard

HOST, ADVERTISED = "http://10.0.0.1:5000", "10.0.0.1:5000"


class Api:
    """Routes that read and write, and count what gets through to them."""

    app = Klein()

    def __init__(self) -> None:
        self.reached: list[bytes] = []

    @app.route("/thing", methods=["GET"])
    def read(self, request: Request) -> bytes:
        self.reached.append(b"read")
        return no_content(request)

    @app.route("/thing", methods=["POST", "DELETE"])
    def write(self, request: Request) -> bytes:
        assert request.content is not None
        self.reached.append(request.content.read())
        return no_content(request)

    @app.route("/node/resources/<id>/pieces", methods=["POST", "DELETE"])
    @app.route("/node/fetch/<id>", methods=["DELETE"])
    @app.route("/supernode/xxx", methods=["GET"])
    def other(self, request: Request, id: str = "") -> bytes:
        return no_content(request)


class GuardTests(SynchronousTestCase):
    """Who gets through to the routes of a closed group's member."""

    def setUp(self) -> None:
        self.signatures = Signatures(b"k" * 32)
        self.use(private=False)

    def use(self, private: bool) -> None:
        self.api = Api()
        self.clock = Clock()
        guard = Guard(self.clock, Signatures(b"k" * 32), private, lambda asker: ADVERTISED)
        self.treq: Any = StubTreq(ApiRoot(self.api.app, guard))

    def call(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, Any] | None = None
    ) -> int:
        """The status of the answer."""

        async def answered() -> Any:
            response = await self.treq.request(
                method, HOST + path, data=body or None, headers=headers or {}
            )
            await response.content()
            return response.code

        result = Deferred.fromCoroutine(answered())
        self.treq.flush()
        return int(self.successResultOf(result))

    def signed(self, method: str, path: str, body: bytes = b"", key: bytes = b"k" * 32) -> int:
        headers = Signatures(key).sign(method, HOST + path, body or None)
        return self.call(method, path, body, headers)

    def test_writing(self) -> None:
        """What changes something takes a signature; the body comes through whole."""
        for method in ("POST", "DELETE"):
            self.assertEqual(self.call(method, "/thing", b"body"), 401)
            self.assertEqual(self.api.reached, [])
            self.assertEqual(self.signed(method, "/thing", b"body"), 204)
            self.assertEqual(self.api.reached.pop(), b"body")

    def test_under_api(self) -> None:
        """The same holds under /api."""
        self.assertEqual(self.call("POST", "/api/thing"), 401)
        self.assertEqual(self.signed("POST", "/api/thing"), 204)

    def test_other_key(self) -> None:
        """Another key is no key."""
        self.assertEqual(self.signed("POST", "/thing", key=b"K" * 32), 401)

    def test_reading(self) -> None:
        """Reading is open to all, unless the group is private; asking for pieces is reading."""
        reading = (("GET", "/thing"), ("POST", "/node/resources/a/pieces"))
        for method, path in reading:
            self.assertEqual(self.call(method, path), 204)
            self.assertEqual(self.call(method, "/api" + path), 204)
        self.use(private=True)
        for method, path in reading:
            self.assertEqual(self.call(method, path), 401)
            self.assertEqual(self.signed(method, path), 204)

    def test_not_reading(self) -> None:
        """What only looks like it isn't: a sweep by GET, and other things called pieces."""
        for method, path in (
            ("GET", "/supernode/xxx"),
            ("DELETE", "/node/fetch/pieces"),
            ("DELETE", "/node/resources/a/pieces"),
        ):
            for under in ("", "/api"):
                self.assertEqual(self.call(method, under + path), 401, path)
                self.assertEqual(self.signed(method, under + path), 204, path)

    def test_twice(self) -> None:
        """What was recorded on its way can't be sent again, where it changes something."""
        headers = self.signatures.sign("POST", HOST + "/thing", b"body")
        self.assertEqual(self.call("POST", "/thing", b"body", headers), 204)
        self.assertEqual(self.call("POST", "/thing", b"body", headers), 401)
        self.assertEqual(len(self.api.reached), 1)

    def test_another_member(self) -> None:
        """What was signed for another member is worth nothing here."""
        for host in ("10.0.0.2:5000", "10.0.0.1:5001", "10.0.0.1", "node:5000"):
            headers = self.signatures.sign("POST", f"http://{host}/thing", None)
            self.assertEqual(self.call("POST", "/thing", headers={**headers, "host": host}), 401)
        self.assertEqual(self.api.reached, [])

    def test_own_addresses(self) -> None:
        """A member is called where the connection leads, or by what it is told to say."""
        for host in ("127.0.0.1:5000", ADVERTISED):
            headers = self.signatures.sign("POST", f"http://{host}/thing", None)
            self.assertEqual(self.call("POST", "/thing", headers={**headers, "host": host}), 204)

    def test_usual_port(self) -> None:
        """The port that HTTP has by itself needn't be named."""
        guard = Guard(self.clock, Signatures(b"k" * 32), False, lambda asker: "10.0.0.1:80")
        self.treq = StubTreq(ApiRoot(self.api.app, guard))
        headers = self.signatures.sign("POST", "http://10.0.0.1/thing", None)
        self.assertEqual(self.call("POST", "/thing", headers={**headers, "host": "10.0.0.1"}), 204)

    def test_unknown_route(self) -> None:
        """A stranger doesn't even learn which routes there are to write to."""
        self.assertEqual(self.call("POST", "/nothing"), 401)
        self.assertEqual(self.signed("POST", "/nothing"), 404)

    def test_long_headers(self) -> None:
        """Headers that are too long to be a member's are refused before anything reads them."""
        read: list[object] = []
        self.patch(Signatures, "check", lambda *arguments, **_: read.append(arguments))
        for name in ("Signature", "Signature-Input", "Content-Digest"):
            headers: dict[str, Any] = Signatures(b"k" * 32).sign("POST", HOST + "/thing", b"body")
            self.assertEqual(self.call("POST", "/thing", b"body", headers), 204)
            self.assertEqual(len(read), 1)
            read.clear()
            for more in (["x" * HEADERS_MAX], ["x" * (HEADERS_MAX // 8)] * 8):
                long = {**headers, name: [headers[name], *more]}
                self.assertEqual(self.call("POST", "/thing", b"body", long), 401)
                self.assertEqual(read, [])

    def test_other_headers(self) -> None:
        """Of the other headers those count that the signature covers, under whatever name."""
        signer = HTTPMessageSigner(
            signature_algorithm=HMAC_SHA256,
            key_resolver=MappingKeyResolver(private_keys={"group": b"k" * 32}, public_keys={}),
        )
        call = Call("POST", HOST + "/thing", {"X-Other": "1", "content-type": "text/plain"})
        covered = ("@method", "@authority", "@path", "@query", "x-other", "content-type")
        signer.sign(call, key_id="group", nonce="n", covered_component_ids=covered, body=b"")
        self.assertEqual(self.call("POST", "/thing", b"", call.headers | {"X-Other": "2"}), 401)
        self.assertEqual(self.call("POST", "/thing", b"", call.headers | {"More": "3"}), 204)
