"""Tests of `p2ptwisted.web.authentication`, through a site's routes."""

import json
from collections.abc import Iterator
from typing import Any

from http_message_signatures import HTTPMessageSigner, MappingKeyResolver
from http_message_signatures.algorithms import HMAC_SHA256
from hypothesis import example, given, settings
from hypothesis import strategies as st
from klein import Klein
from treq.testing import StubTreq
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import IResource
from twisted.web.server import Request

from p2ptwisted.security.http_signatures import SIGNATURE_HEADERS_MAX, HttpSignatures, SignedCall
from p2ptwisted.test.fakes import FakeSupernode
from p2ptwisted.test.node_fakes import Answer, Connection, FakeDownloads, FakeNode, work
from p2ptwisted.web.api_root import ApiRoot
from p2ptwisted.web.authentication import Authenticator
from p2ptwisted.web.node_routes import NodeApi
from p2ptwisted.web.orders import order, reading
from p2ptwisted.web.responses import no_content
from p2ptwisted.web.server.site import LimitedSite
from p2ptwisted.web.supernode_routes import SupernodeApi

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

    @app.route("/asked/<id>", methods=["POST"])
    @reading
    def asked(self, request: Request, id: str) -> bytes:
        return no_content(request)

    @app.route("/asked/<id>", methods=["DELETE"])
    def removed(self, request: Request, id: str) -> bytes:
        return no_content(request)

    @app.route("/do", methods=["GET"])
    @order
    def do(self, request: Request) -> bytes:
        return no_content(request)


class GuardTests(SynchronousTestCase):
    """Who gets through to the routes of a closed group's member."""

    def setUp(self) -> None:
        self.signatures = HttpSignatures(b"k" * 32)
        self.use(private=False)

    def use(self, private: bool) -> None:
        self.api = Api()
        self.clock = Clock()
        authenticator = Authenticator(
            self.clock, HttpSignatures(b"k" * 32), private, lambda asker: ADVERTISED
        )
        self.treq: Any = StubTreq(ApiRoot(self.api.app, authenticator))

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
        headers = HttpSignatures(key).sign(method, HOST + path, body or None)
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
        """Reading is open to all, unless the group is private; by POST too where it is marked."""
        calls = (("GET", "/thing"), ("POST", "/asked/a"))
        for method, path in calls:
            self.assertEqual(self.call(method, path), 204)
            self.assertEqual(self.call(method, "/api" + path), 204)
        self.use(private=True)
        for method, path in calls:
            self.assertEqual(self.call(method, path), 401)
            self.assertEqual(self.signed(method, path), 204)

    def test_not_reading(self) -> None:
        """What only looks like it isn't: an order by GET, and another method of the same path."""
        for method, path in (("GET", "/do"), ("HEAD", "/do"), ("DELETE", "/asked/a")):
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
        authenticator = Authenticator(
            self.clock, HttpSignatures(b"k" * 32), False, lambda asker: "10.0.0.1:80"
        )
        self.treq = StubTreq(ApiRoot(self.api.app, authenticator))
        headers = self.signatures.sign("POST", "http://10.0.0.1/thing", None)
        self.assertEqual(self.call("POST", "/thing", headers={**headers, "host": "10.0.0.1"}), 204)

    def test_unknown_route(self) -> None:
        """A stranger doesn't even learn which routes there are to write to."""
        self.assertEqual(self.call("POST", "/nothing"), 401)
        self.assertEqual(self.signed("POST", "/nothing"), 404)

    def test_long_headers(self) -> None:
        """Headers that are too long to be a member's are refused before anything reads them."""
        read: list[object] = []
        self.patch(HttpSignatures, "check", lambda *arguments, **_: read.append(arguments))
        for name in ("Signature", "Signature-Input", "Content-Digest"):
            headers: dict[str, Any] = HttpSignatures(b"k" * 32).sign(
                "POST", HOST + "/thing", b"body"
            )
            self.assertEqual(self.call("POST", "/thing", b"body", headers), 204)
            self.assertEqual(len(read), 1)
            read.clear()
            for more in (["x" * SIGNATURE_HEADERS_MAX], ["x" * (SIGNATURE_HEADERS_MAX // 8)] * 8):
                long = {**headers, name: [headers[name], *more]}
                self.assertEqual(self.call("POST", "/thing", b"body", long), 401)
                self.assertEqual(read, [])

    def test_other_headers(self) -> None:
        """Of the other headers those count that the signature covers, under whatever name."""
        signer = HTTPMessageSigner(
            signature_algorithm=HMAC_SHA256,
            key_resolver=MappingKeyResolver(private_keys={"group": b"k" * 32}, public_keys={}),
        )
        call = SignedCall("POST", HOST + "/thing", {"X-Other": "1", "content-type": "text/plain"})
        covered = ("@method", "@authority", "@path", "@query", "x-other", "content-type")
        signer.sign(call, key_id="group", nonce="n", covered_component_ids=covered, body=b"")
        self.assertEqual(self.call("POST", "/thing", b"", call.headers | {"X-Other": "2"}), 401)
        self.assertEqual(self.call("POST", "/thing", b"", call.headers | {"More": "3"}), 204)


#: What gives an order: a method and a path of one of the roles.
ORDERS = [
    ("POST", "/supernode/register"),
    ("POST", "/supernode/alive"),
    ("DELETE", "/supernode/alive"),
    ("GET", "/supernode/xxx"),
    ("HEAD", "/supernode/xxx"),
    ("POST", "/node/fetch"),
    ("DELETE", "/node/fetch/a"),
]

#: Good for every order.
BODY = json.dumps({"location": ":9", "resources": [], "id": "a", "want": "1"}).encode()


class Members:
    """A node and a supernode of a closed group, on connections in memory."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.supernode, self.node, self.fetches = FakeSupernode(), FakeNode(), FakeDownloads()
        self.fetches.start("a")
        self.fetches.started.clear()
        authenticator = Authenticator(
            self.clock, HttpSignatures(b"k" * 32), False, lambda asker: ADVERTISED
        )
        self.roots: dict[str, IResource] = {
            "supernode": SupernodeApi(self.supernode).root(authenticator),
            "node": NodeApi(self.clock, self.node, self.fetches).root(authenticator),
        }

    def answer(self, role: str, line: bytes, *headers: str, body: bytes = BODY) -> Answer:
        """The answer of one of the two to a request, which has no Host but of `headers`."""
        connection = Connection(LimitedSite(self.roots[role], 1_000, self.clock), self.clock)
        head = "".join(f"{header}\r\n" for header in headers)
        length = f"Content-Length: {len(body)}\r\n\r\n"
        connection.send(line + f" HTTP/1.1\r\n{head}{length}".encode() + body)
        work(self.clock, 5)
        answer = connection.take(line.partition(b" ")[0].decode())
        connection.vanish()
        return answer

    def carried_out(self) -> list[str]:
        """The orders that got through so far."""
        writing = ("register", "heartbeat", "goodbye", "sweep")
        done = [name for name, *_ in self.supernode.calls if name in writing]
        return [*done, *self.fetches.started, *self.fetches.cancelled]


@st.composite
def spellings(draw: st.DrawFn) -> tuple[str, bytes, str]:
    """A role, a method with some spelling of an order's target, and a Host."""
    method, path = draw(st.sampled_from(ORDERS))
    role = path.split("/")[1]
    method = draw(st.sampled_from([method, method, method.lower(), "POST", "GET", "PUT", "X"]))
    path = draw(st.sampled_from(["", "", "/api", "/API", "/x/..", "/"])) + path
    slash = st.sampled_from(["//", "/./", "/x/../", "%2F", "%2f", "\\", "/%2e/", "/;/", ";a/"])
    odd = draw(st.sets(st.integers(0, len(path) - 1), max_size=3))
    spelled = "".join(
        one
        if at not in odd
        else draw(slash)
        if one == "/"
        else draw(
            st.sampled_from([f"%{ord(one):02x}", f"%{ord(one):02X}", one.upper(), f"%00{one}"])
        )
        for at, one in enumerate(path)
    )
    before = st.sampled_from(["", "", "http://h", "HTTPS://h:1", "http://u@h", "x", "*", "//h"])
    end = st.sampled_from(
        ["", "", "/", "?", "?/../a", "#", "#/pieces", ";/pieces", "/.", "%20", "%"]
    )
    host = draw(st.sampled_from(["h", "10.0.0.1:5000"]))
    return role, f"{method} {draw(before)}{spelled}{draw(end)}".encode(), f"Host: {host}"


class SpellingTests(SynchronousTestCase):
    """What a stranger may write in a request, at the routes of both roles in a closed group."""

    def test_every_route(self) -> None:
        """Of all routes with all their methods, just the orders are refused unsigned."""
        members = Members()
        refused = [
            (method, path)
            for role, path, methods in routes()
            for method in methods
            if members.answer(role, f"{method} {path}".encode(), "Host: h").status == 401
        ]
        self.assertEqual(sorted(refused), sorted(ORDERS))
        self.assertEqual(members.carried_out(), [])

    @settings(max_examples=300, deadline=None)
    @given(spellings())
    @example(("supernode", b"GET /supernode/%78xx", "Host: h"))
    @example(("supernode", b"GET //supernode/xxx", "Host: h"))
    @example(("supernode", b"GET /api//supernode/xxx", "Host: h"))
    @example(("supernode", b"GET xsupernode/xxx", "Host: h"))
    @example(("supernode", b"GET http://h//supernode/xxx", "Host: h"))
    @example(("supernode", b"GET /%61pi/supernode/xxx", "Host: h"))
    def test_spellings(self, asked: tuple[str, bytes, str]) -> None:
        """However an order's target is spelled, nothing of it is carried out unsigned."""
        role, line, host = asked
        members = Members()
        answer = members.answer(role, line, host)
        self.assertEqual(members.carried_out(), [], asked)
        self.assertIn(answer.status, (200, 400, 401, 404, 405), asked)

    def test_signed_as_sent(self) -> None:
        """A signature is for what was sent, and what is routed is the same."""
        members = Members()
        members.fetches.start("a:b")

        def status(signed: str, sent: str) -> int:
            headers = HttpSignatures(b"k" * 32).sign("DELETE", f"{HOST}/node/fetch/{signed}", None)
            lines = [f"{name}: {value}" for name, value in headers.items()]
            line = f"DELETE /node/fetch/{sent}".encode()
            return members.answer("node", line, f"Host: {ADVERTISED}", *lines, body=b"").status

        self.assertEqual(status("a%3Ab", "a%3Ab"), 204)
        self.assertEqual(status("a:b", "a:b"), 204)
        for signed, sent in (("a:b", "a%3Ab"), ("a:b", "a"), ("a:b", "a:b?x")):
            self.assertEqual(status(signed, sent), 401, (signed, sent))

    def test_whole_url(self) -> None:
        """Where the target names a host, that is whom the call is for, whatever Host says."""
        headers = HttpSignatures(b"k" * 32).sign("GET", f"{HOST}/supernode/xxx", None)
        lines = [f"{name}: {value}" for name, value in headers.items()]
        for named, host, status in (
            ("10.0.0.1:5000", ADVERTISED, 204),
            ("10.0.0.2:5000", ADVERTISED, 401),
            ("10.0.0.1:5000", "10.0.0.2:5000", 204),
        ):
            line = f"GET http://{named}/supernode/xxx".encode()
            answer = Members().answer("supernode", line, f"Host: {host}", *lines, body=b"")
            self.assertEqual(answer.status, status, (named, host))


def routes() -> Iterator[tuple[str, str, list[str]]]:
    """The role, path and methods of every route there is."""
    for role, app in (("supernode", SupernodeApi.app), ("node", NodeApi.app)):
        for rule in app.url_map.iter_rules():
            yield role, rule.rule.replace("<id>", "a"), sorted(rule.methods or ())
