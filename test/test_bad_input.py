"""Bad requests to real daemons: each gets the right error, and leaves nothing behind."""

import json
import os
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPException

from .answers import Answer, parse_answer
from .cases import SystemTestCase
from .daemons import Daemon, at, id_of
from .hosts import Switch
from .older_peer import OlderPeer

REGISTER, ALIVE = "/api/supernode/register", "/api/supernode/alive"
SEARCH, RESOURCES = "/api/supernode/search", "/api/node/resources"
HELD, STRAY = id_of(b"held"), id_of(b"must not be stored")
LONG_ID = "a" * 129
MANY = ",".join([STRAY] * 10_000)
LARGE = 20 * 1024 * 1024
PASSWD = "%2e%2e%2f%2e%2e%2fetc%2fpasswd"


@dataclass(frozen=True)
class Case:
    """A request, and what its error must be: a status, and words that name what is wrong."""

    status: int
    words: str
    method: str
    path: str
    body: bytes | Iterable[bytes] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def registration(**changes: object) -> bytes:
    """A good one, but for the changes; None leaves a key out."""
    good = {"name": "bad", "location": "127.0.0.1:9", "resources": [{"id": STRAY, "name": "n"}]}
    return json.dumps({k: v for k, v in {**good, **changes}.items() if v is not None}).encode()


def of(**changes: object) -> bytes:
    """A registration of one resource that is good, but for the changes."""
    good = {"id": STRAY, "name": "n"}
    resource = {k: v for k, v in {**good, **changes}.items() if v is not None}
    return registration(resources=[{"id": id_of(b"good"), "name": "good"}, resource])


def chunks() -> Iterator[bytes]:
    """A large body that doesn't tell its length."""
    for _ in range(LARGE // 65536):
        yield b" " * 65536


# A body, and words for what is wrong with it.
PRESENCES = [
    (b"", "not JSON"),
    (b"{", "not JSON"),
    (b"location=127.0.0.1:9", "not JSON"),
    (b'{"location": "\xff"}', "not JSON"),
    (b"[]", "object"),
    (b"null", "object"),
    (registration(location=None), "`location`"),
    (registration(location=9), "`$.location`"),
    (registration(location=""), "location '' has no port"),
    (registration(location="127.0.0.1"), "location '127.0.0.1' has no port"),
    (registration(location="127.0.0.1:"), "a number from 1 to 65535"),
    (registration(location="127.0.0.1:0"), "a number from 1 to 65535"),
    (registration(location="127.0.0.1:70000"), "a number from 1 to 65535"),
    (registration(location="127.0.0.1:-1"), "a number from 1 to 65535"),
    (registration(location="localhost:9"), "'localhost' is not a numeric IPv4 address"),
    (registration(location="256.0.0.1:9"), "'256.0.0.1' is not a numeric IPv4 address"),
    (registration(location="127.0.0.1:9/../x:9"), "is not a numeric IPv4 address"),
    (registration(location="0.0.0.0:9"), "not the address of one host"),
    (registration(location="230.0.0.0:9"), "not the address of one host"),
]

REGISTRATIONS = [
    *PRESENCES,
    (registration(resources=None), "`resources`"),
    (registration(resources={}), "`$.resources`"),
    (registration(resources=[STRAY]), "`$.resources[0]`"),
    (registration(name=5), "`$.name`"),
    (of(id=None), "`id`"),
    (of(id=5), "`$.resources[1].id`"),
    (of(id=""), "not a resource id"),
    (of(id=LONG_ID), "129 characters"),
    (of(id="a b"), "'a b'"),
    (of(id="supernode"), "reserved"),
    (of(name=None), "`name`"),
    (of(name=""), "`$.resources[1].name`"),
    (of(name="n" * 5000), "`$.resources[1].name`"),
    (of(size="large"), "`$.resources[1].size`"),
    (of(size=-1), "`$.resources[1].size`"),
]

AT_A_SUPERNODE = [
    *(Case(400, words, "POST", REGISTER, body) for body, words in REGISTRATIONS),
    *(Case(400, words, "POST", ALIVE, body) for body, words in PRESENCES),
    *(Case(400, words, "DELETE", ALIVE, body) for body, words in PRESENCES),
    Case(404, "register again", "POST", ALIVE, registration()),
    Case(404, "127.0.0.1:9", "DELETE", ALIVE, registration()),
    Case(413, "16777216 bytes", "POST", REGISTER, b" " * LARGE),
    Case(413, "16777216 bytes", "POST", REGISTER, chunks()),
    Case(400, "say what to search for", "GET", SEARCH),
    Case(400, "hash_ids is empty", "GET", f"{SEARCH}?hash_ids="),
    Case(400, "some at a time", "GET", f"{SEARCH}?hash_ids={MANY}"),
    Case(400, "hash_ids has 1000 ids", "GET", f"{SEARCH}?hash_ids={'a,' * 999}a"),
    Case(400, "129 characters", "GET", f"{SEARCH}?hash_ids={HELD},{LONG_ID}"),
    Case(400, "not a resource id", "GET", f"{SEARCH}?hash_ids={HELD},"),
    Case(400, "hash_ids is given 2 times", "GET", f"{SEARCH}?hash_ids=a&hash_ids=b"),
    Case(400, "hash_ids is not UTF-8", "GET", f"{SEARCH}?hash_ids=%ff"),
    Case(400, "file_name is not UTF-8", "GET", f"{SEARCH}?file_name=%ff"),
    Case(400, "129 characters", "GET", f"{SEARCH}/{LONG_ID}"),
    Case(400, "percent-encoded", "GET", f"{SEARCH}/a%00b"),
    Case(400, "percent-encoded", "GET", f"{SEARCH}/a%20b"),
    Case(400, "percent-encoded", "GET", f"{SEARCH}/%ff"),
    Case(404, "there is no route", "GET", f"{SEARCH}/a/b"),
    Case(404, "there is no route /api/supernode/nothing", "GET", "/api/supernode/nothing"),
    Case(404, "there is no route", "GET", "/"),
    Case(404, "there is no route", "GET", f"{RESOURCES}"),
    Case(405, "no method GET", "GET", REGISTER),
    Case(405, "no method PUT", "PUT", ALIVE, registration()),
    Case(405, "no method POST", "POST", SEARCH, registration()),
]

AT_A_NODE = [
    Case(416, "4 bytes", "GET", f"{RESOURCES}/{HELD}/content", None, {"Range": "bytes=4-"}),
    Case(416, "4 bytes", "GET", f"{RESOURCES}/{HELD}/content", None, {"Range": "bytes=99-100"}),
    Case(400, "129 characters", "GET", f"{RESOURCES}/{LONG_ID}"),
    Case(400, "129 characters", "GET", f"{RESOURCES}/{LONG_ID}/content"),
    Case(400, "percent-encoded", "GET", f"{RESOURCES}/a%00b"),
    Case(400, "percent-encoded", "GET", f"{RESOURCES}/%ff"),
    Case(404, "nobody has", "GET", f"{RESOURCES}/{STRAY}"),
    Case(404, "nobody has", "GET", f"{RESOURCES}/{STRAY}/content"),
    Case(404, "nobody has", "GET", f"{RESOURCES}/held.txt/content"),
    Case(400, "percent-encoded", "GET", f"{RESOURCES}/%2e%2e/content"),
    Case(400, "say what to find", "GET", f"{RESOURCES}/find"),
    Case(400, "hash_ids is empty", "GET", f"{RESOURCES}/find?hash_ids="),
    Case(400, "some at a time", "GET", f"{RESOURCES}/find?hash_ids={MANY}"),
    Case(400, "hash_ids has 1000 ids", "GET", f"{RESOURCES}/find?hash_ids={'a,' * 999}a"),
    Case(400, "129 characters", "GET", f"{RESOURCES}/find?hash_ids={HELD},{LONG_ID}"),
    Case(404, "there is no route", "GET", "/api/node/nothing"),
    Case(404, "there is no route", "GET", "/held.txt"),
    Case(404, "there is no route", "GET", f"{SEARCH}/{HELD}"),
    Case(405, "no method POST", "POST", RESOURCES, b"{}"),
    Case(405, "no method DELETE", "DELETE", f"{RESOURCES}/{HELD}"),
    Case(405, "no method PUT", "PUT", f"{RESOURCES}/{HELD}/content", b"other"),
    Case(413, "65536 bytes", "POST", RESOURCES, b" " * LARGE),
]


class BadInputTests(SystemTestCase):
    """A supernode and a node, which must be the same after each case as before."""

    def setUp(self) -> None:
        super().setUp()
        self.supernode = self.start_supernode()
        self.node = self.start_node("good", {"held.txt": b"held"}, *at(self.supernode))
        self.wait_until_held(self.supernode, "good", HELD)

    def test_at_a_supernode(self) -> None:
        """Bodies, queries, paths and methods that are wrong at a supernode."""
        self.check_all(self.supernode, AT_A_SUPERNODE)

    def test_at_a_node(self) -> None:
        """Ranges, queries, paths, methods and bodies that are wrong at a node."""
        self.check_all(self.node, AT_A_NODE)

    def test_no_path_leads_out(self) -> None:
        """No way of writing a path in a request gets at a file that is not in the library."""
        secret = self.folder / "secret.txt"
        secret.write_bytes(b"a secret")
        (self.shared("good") / ".hidden.txt").write_bytes(b"a secret")
        for path in ("../secret.txt", ".hidden.txt", "/etc/passwd", str(secret)):
            once = path.replace("/", "%2f")
            for written in (path, once, once.replace(".", "%2e"), once.replace("%", "%25")):
                for asked in (f"{RESOURCES}/{written}/content", f"{RESOURCES}/{written}"):
                    answer = self.node.get(asked)
                    self.assertIn(answer.status, (400, 404), asked)
                    self.assertNotIn(b"a secret", answer.body)
                    self.assertNotIn(b"root:", answer.body)

    def test_not_http(self) -> None:
        """What isn't HTTP at all is told so, in the same envelope."""
        for daemon in (self.supernode, self.node):
            with socket.create_connection((daemon.machine.address, daemon.port)) as connection:
                connection.sendall(os.urandom(16).hex().encode() + b"\r\n\r\n")
                answer = parse_answer(connection.makefile("rb").read())
            self.assertEqual(wrong_with(answer, 400, "not a valid HTTP request"), "")
        self.assertNothingChanged("what isn't HTTP")

    def test_bad_datagrams(self) -> None:
        """Whatever the group hears, the supernode goes on and answers what is well said."""
        peer = OlderPeer(self, self.group)
        bad = ["", ";;", "20", "20;" * 50, "20;a b", f"20;{LONG_ID}", "21;", "21;127.0.0.1"]
        bad += ["21;127.0.0.1:0", "21;127.0.0.1:70000", "22;", "23;a", "\N{SNOWMAN};\0", "x" * 2000]
        for rest in bad:
            peer.say(rest)
        peer.say(f"20;{HELD}")
        self.assertEqual(peer.hear("21")[2], self.node.location)
        self.assertNothingChanged("bad datagrams")

    def check_all(self, daemon: Daemon, cases: Sequence[Case]) -> None:
        problems = []
        for case in cases:
            shown = f"{case.method} {case.path[:60]} {case.body!r:.100} {case.headers}"
            try:
                answer = daemon.request(case.method, case.path, case.body, case.headers)
                wrong = wrong_with(answer, case.status, case.words)
            except (OSError, HTTPException) as error:
                wrong = repr(error)
            if wrong:
                problems.append(f"{shown}: {wrong}")
            self.assertNothingChanged(shown)
        self.assertEqual(problems, [], "\n".join(["", *problems]))

    def assertNothingChanged(self, after: str) -> None:
        """Both daemons are well, and know what they knew."""
        self.assertTrue(self.supernode.is_running and self.node.is_running, after)
        alive = self.supernode.get(ALIVE).data
        self.assertEqual(alive, [{"name": "good", "location": self.node.location}], after)
        self.assertEqual(self.supernode.get(f"{SEARCH}?file_name=n").data, [], after)
        listed = self.node.get(RESOURCES).data
        self.assertEqual(listed, [{"id": HELD, "name": "held.txt"}], after)


class OthersAddressesTests(SystemTestCase):
    """Three hosts, of which one speaks for another."""

    def test_not_the_callers(self) -> None:
        """Nobody may register a location that isn't his, keep it alive, or sign it off."""
        switch = Switch(self)
        ten, eleven, twelve = (switch.host(f"10.35.7.{number}") for number in (10, 11, 12))
        supernode = self.start("p2p-supernode", 5000, machine=ten)
        own = registration(name="own", location="10.35.7.12:8000")
        self.assertEqual(twelve.request("POST", supernode.url + REGISTER, own).status, 204)
        held = supernode.get(ALIVE).data

        for location in ("10.35.7.12:8000", "10.35.7.12:9", "10.35.7.10:5000", "127.0.0.1:9"):
            body = registration(location=location)
            for method, path in (("POST", REGISTER), ("POST", ALIVE), ("DELETE", ALIVE)):
                answer = eleven.request(method, supernode.url + path, body)
                wrong = wrong_with(answer, 403, f"location {location} is not yours")
                self.assertEqual(wrong, "", f"{method} {path} {location}")
                self.assertEqual(supernode.get(ALIVE).data, held)

        # Its own address, which it needn't name.
        for location in ("10.35.7.11:9", ":9"):
            body = registration(location=location)
            self.assertEqual(eleven.request("POST", supernode.url + REGISTER, body).status, 204)
        self.assertIn({"name": "bad", "location": "10.35.7.11:9"}, supernode.get(ALIVE).data)


def wrong_with(answer: Answer, status: int, words: str) -> str:
    """What makes this another answer than an error of that status with these words; or nothing."""
    if answer.status != status:
        return f"status {answer.status}: {answer.body!r:.200}"
    if answer.headers.get_content_type() != "application/json":
        return f"content type {answer.headers['Content-Type']}"
    if set(answer.json) != {"code", "name", "description"}:
        return f"not an error's envelope: {answer.json}"
    if (answer.json["code"], answer.json["name"]) != (status, HTTPStatus(status).phrase):
        return f"envelope of another status: {answer.json}"
    if words not in answer.json["description"]:
        return f"doesn't say {words!r}: {answer.json['description']}"
    return ""
