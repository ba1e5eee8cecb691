"""Requests to the byte that no client of ours would send, at real daemons."""

import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from .answers import TIMEOUT
from .cases import SystemTestCase
from .daemons import Daemon, at, id_of

HELD = id_of(b"held")
HEALTH = "/api/node/health"
CONTENT = f"/api/node/resources/{HELD}/content"
REGISTER = "/api/supernode/register"
ALIVE = "/api/supernode/alive"


@dataclass(frozen=True)
class Odd:
    """What is sent, and the statuses of the answers that come until the connection is closed."""

    what: str
    sent: bytes
    statuses: Sequence[int]


def request(line: str, *headers: str, body: bytes = b"", host: str = "Host: h") -> bytes:
    """A request, after which the connection is closed."""
    lines = [line, *([host] if host else []), *headers, "Connection: close", "", ""]
    return "\r\n".join(lines).encode() + body


def posted(body: bytes) -> bytes:
    return request(f"POST {REGISTER} HTTP/1.1", f"Content-Length: {len(body)}", body=body)


def registration(resources: str = "[]") -> bytes:
    return posted(b'{"location": ":9", "resources": %b}' % resources.encode())


#: At either role; `{path}` is one of its own.
AT_BOTH = [
    Odd("no Host", request("GET {path} HTTP/1.1", host=""), [400]),
    Odd("two Hosts", request("GET {path} HTTP/1.1", "Host: h"), [400]),
    Odd("an empty Host", request("GET {path} HTTP/1.1", host="Host:"), [400]),
    Odd("a Host that is none", request("GET {path} HTTP/1.1", host="Host: a b"), [400]),
    Odd("HTTP/1.0", b"GET {path} HTTP/1.0\r\nHost: h\r\n\r\n", [200]),
    Odd("HTTP/1.0 without Host", b"GET {path} HTTP/1.0\r\n\r\n", [400]),
    Odd("HTTP/1.0 with two", b"GET {path} HTTP/1.0\r\nHost: h\r\nhost: i\r\n\r\n", [400]),
    Odd("an absolute URI", request("GET http://h{path} HTTP/1.1"), [200]),
    Odd("an absolute URI of another host", request("GET http://i{path} HTTP/1.1"), [200]),
    Odd("an absolute URI without Host", request("GET http://h{path} HTTP/1.1", host=""), [400]),
    Odd("an absolute URI with a user", request("GET http://u@h{path} HTTP/1.1"), [400]),
    Odd("a fragment", request("GET {path}#here HTTP/1.1"), [400]),
    Odd("no slash", request("GET x{path} HTTP/1.1"), [400]),
    Odd("two slashes", request("GET /{path} HTTP/1.1"), [400]),
    Odd("a slash at the end", request("GET {path}/ HTTP/1.1"), [404]),
    Odd("an encoded letter", request("GET /%61pi/node/health HTTP/1.1"), [400]),
    Odd("an encoded slash", request("GET /api%2fnode/health HTTP/1.1"), [400]),
    Odd("a backslash", request("GET \\{path} HTTP/1.1"), [400]),
    Odd("parameters", request("GET {path};a=b HTTP/1.1"), [400]),
    Odd("a dot", request("GET /.{path} HTTP/1.1"), [400]),
    Odd("HTTP/0.9", b"GET {path}\r\n\r\n", [400]),
    Odd("HTTP/2's beginning", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]),
    Odd("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40) + b"\r\n", [400]),
    Odd("another protocol", b"SSH-2.0-OpenSSH_9.2\r\n", [400]),
    Odd("a method of nobody's", request("BREW {path} HTTP/1.1"), [405]),
    Odd("a method that is long", request("A" * 5_000 + " {path} HTTP/1.1"), [405]),
    Odd("an asterisk", request("OPTIONS * HTTP/1.1"), [400]),
    Odd("an asterisk with two Hosts", request("OPTIONS * HTTP/1.1", "Host: h"), [400]),
    Odd("CONNECT", request("CONNECT h:80 HTTP/1.1"), [400]),
    Odd(
        "two lengths",
        request("GET {path} HTTP/1.1", "Content-Length: 1", "Content-Length: 2"),
        [400],
    ),
    Odd("no length", request("GET {path} HTTP/1.1", "Content-Length: -1"), [400]),
    Odd("a length in words", request("GET {path} HTTP/1.1", "Content-Length: ten"), [400]),
    Odd(
        "a length and chunks",
        request(
            "GET {path} HTTP/1.1",
            "Content-Length: 3",
            "Transfer-Encoding: chunked",
            body=b"0\r\n\r\n",
        ),
        [400],
    ),
    Odd(
        "chunks without sizes",
        request("GET {path} HTTP/1.1", "Transfer-Encoding: chunked", body=b"zz\r\n\r\n"),
        [400],
    ),
    Odd(
        "chunks with more than they need",
        request(
            "GET {path} HTTP/1.1",
            "Transfer-Encoding: chunked",
            body=b'1;name="a value";flag\r\nx\r\n0;last\r\nTrailer: said\r\nMore: too\r\n\r\n',
        ),
        [200],
    ),
    Odd(
        "trailers without end",
        request(
            "GET {path} HTTP/1.1",
            "Transfer-Encoding: chunked",
            body=b"0\r\n" + b"X: y\r\n" * 12_000,
        ),
        [400],
    ),
    Odd(
        "chunks over HTTP/1.0",
        b"GET {path} HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        [200],
    ),
    Odd(
        "waiting for leave",
        request("GET {path} HTTP/1.1", "Expect: 100-continue", "Content-Length: 4", body=b"body"),
        [100, 200],
    ),
    Odd(
        "waiting for leave that is refused",
        request("GET {path} HTTP/1.1", "Expect: 100-continue", f"Content-Length: {10**9}"),
        [413],
    ),
    Odd(
        "waiting for something else",
        request("GET {path} HTTP/1.1", "Expect: the-unexpected"),
        [200],
    ),
    Odd("a long length", request("GET {path} HTTP/1.1", f"Content-Length: {'9' * 4_000}"), [413]),
    Odd("a longer length", request("GET {path} HTTP/1.1", f"Content-Length: {'9' * 5_000}"), [400]),
    Odd("an unknown coding", request("GET {path} HTTP/1.1", "Transfer-Encoding: gzip"), [400]),
    Odd("a body on GET", request("GET {path} HTTP/1.1", "Content-Length: 4", body=b"body"), [200]),
    Odd("a header without a name", request("GET {path} HTTP/1.1", ": x"), [400]),
    Odd("a header that goes on", request("GET {path} HTTP/1.1", "X: a", " b"), [200]),
    Odd("a long line", request(f"GET {{path}}?{'x' * 20_000} HTTP/1.1"), [400]),
    Odd("many headers", request("GET {path} HTTP/1.1", *["X: y"] * 10_000), [400]),
    Odd("NUL in the path", request("GET {path}%00 HTTP/1.1"), [400]),
    Odd("dots in the path", request("GET /api/../../etc/passwd HTTP/1.1"), [400]),
    Odd("encoded dots", request("GET /api/%2e%2e/%2e%2e/etc/passwd HTTP/1.1"), [400]),
    Odd("no UTF-8 in the path", request("GET /api/%ff HTTP/1.1"), [400]),
    Odd(
        "three at once",
        b"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n" * 2 + request("GET {path} HTTP/1.1"),
        [200] * 3,
    ),
]

AT_A_SUPERNODE = [
    Odd("an empty registration", registration(), [204]),
    Odd("a mark before the JSON", posted(b"\xef\xbb\xbf{}"), [400]),
    Odd("JSON in UTF-16", posted('{"location": ":9"}'.encode("utf-16")), [400]),
    Odd("more than JSON", posted(b'{"location": ":9", "resources": []} {}'), [400]),
    Odd("no number", registration('[{"id": "a", "name": "n", "size": NaN}]'), [400]),
    Odd("infinity", registration('[{"id": "a", "name": "n", "size": 1e999}]'), [400]),
    Odd("a huge number", registration(f'[{{"id": "a", "name": "n", "size": {"9" * 400}}}]'), [400]),
    Odd("nested deeply", registration("[" * 100_000), [400]),
    Odd("half a character", registration('[{"id": "a", "name": "\\ud800"}]'), [400]),
    Odd("a key twice", posted(b'{"location": "x", "location": ":9", "resources": []}'), [204]),
    Odd(
        "a search with a body of its own",
        request(f"GET /api/supernode/search/{HELD} HTTP/1.1", "Content-Length: 2", body=b"{}"),
        [200],
    ),
    Odd("an id in capitals", request(f"GET /api/supernode/search/{HELD.upper()} HTTP/1.1"), [200]),
]

AT_A_NODE = [
    Odd("a range of nonsense", request(f"GET {CONTENT} HTTP/1.1", "Range: bytes=a-b"), [200]),
    Odd("a range backwards", request(f"GET {CONTENT} HTTP/1.1", "Range: bytes=3-1"), [200]),
    Odd("a huge range", request(f"GET {CONTENT} HTTP/1.1", f"Range: bytes={'9' * 400}-"), [416]),
    Odd(
        "many ranges",
        request(f"GET {CONTENT} HTTP/1.1", "Range: bytes=" + "0-0," * 999 + "1-1"),
        [200],
    ),
    Odd("a slash in an id", request("GET /api/node/resources/a%2fb HTTP/1.1"), [400]),
    Odd(
        "an id in capitals", request(f"HEAD {CONTENT.replace(HELD, HELD.upper())} HTTP/1.1"), [200]
    ),
    Odd(
        "what is no set",
        request(
            f"POST /api/node/resources/{HELD}/pieces HTTP/1.1",
            "Content-Length: 13",
            body=b'{"want":"xy"}',
        ),
        [400],
    ),
]


class OddRequestTests(SystemTestCase):
    """A supernode and a node, which answer each and go on."""

    def setUp(self) -> None:
        super().setUp()
        self.supernode = self.start_supernode()
        self.node = self.start_node("good", {"held.txt": b"held"}, *at(self.supernode))
        self.wait_until_held(self.supernode, "good", HELD)

    def check(self, daemon: Daemon, path: str, odds: Sequence[Odd]) -> None:
        problems = []
        for odd in odds:
            said = exchanged(daemon, odd.sent.replace(b"{path}", path.encode()))
            wrong = wrong_with(said, odd.statuses, odd.sent.startswith(b"HEAD"))
            if wrong:
                problems.append(f"{odd.what}: {wrong}")
            self.assertEqual(daemon.get(path).status, 200, odd.what)
        self.assertEqual(problems, [], "\n".join(["", *problems]))

    def test_at_a_supernode(self) -> None:
        """A supernode answers each as HTTP and its routes want it, and goes on."""
        self.check(self.supernode, ALIVE, [*AT_BOTH, *AT_A_SUPERNODE])

    def test_at_a_node(self) -> None:
        """So does a node."""
        self.check(self.node, HEALTH, [*AT_BOTH, *AT_A_NODE])


def exchanged(daemon: Daemon, sent: bytes) -> bytes:
    """All that comes back until the connection is closed."""
    with socket.create_connection((daemon.machine.address, daemon.port), TIMEOUT) as connection:
        try:
            connection.sendall(sent)
        except ConnectionError:
            pass  # It has been refused before all was sent; the answer is there all the same.
        said = b""
        try:
            while some := connection.recv(65536):
                said += some
        except ConnectionError:
            pass
    return said


def wrong_with(said: bytes, statuses: Sequence[int], is_head: bool) -> str:
    """What makes this other than answers of these statuses, errors enveloped; or nothing."""
    got = []
    while said:
        head, _, rest = said.partition(b"\r\n\r\n")
        line, *headers = head.decode("latin-1").split("\r\n")
        status = int(line.split()[1])
        got.append(status)
        named = dict(header.lower().split(": ", 1) for header in headers)
        length = 0 if is_head else int(named.get("content-length", 0))
        body, said = rest[:length], rest[length:]
        if status >= 400 and not is_head:
            if named.get("content-type") != "application/json":
                return f"no JSON: {head!r}"
            error = json.loads(body)
            if (error["code"], error["name"]) != (status, HTTPStatus(status).phrase):
                return f"envelope of another status: {error}"
    return "" if got == list(statuses) else f"statuses {got}"
