"""Closed groups: a key that every member has."""

import base64
import datetime
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
from http_message_signatures import HTTPMessageSigner, MappingKeyResolver
from http_message_signatures.algorithms import HMAC_SHA256

from p2ptwisted.protocols.datagram_auth import DatagramAuth
from p2ptwisted.security.group_key import GroupKey, load_group_key
from p2ptwisted.security.http_signatures import COVERED, HttpSignatures, SignedCall

from .answers import Answer
from .cases import SystemTestCase
from .daemons import START_WITHIN, Daemon, at, command, environment, eventually, free_port, id_of
from .hosts import Switch
from .speaker import Answerer, Speaker

CONTENT = b"content of a closed group\n" * 100_000
ID = id_of(CONTENT)

#: Seconds by which a datagram or a signature is too old, or too new.
TOO_FAR = 32

REGISTRATION = b'{"location": ":1", "resources": []}'
REGISTER, ALIVE = "/supernode/register", "/supernode/alive"

#: What changes something: a method, a path and a body.
WRITING_AT_SUPERNODE = [
    ("POST", REGISTER, REGISTRATION),
    ("POST", ALIVE, b'{"location": ":1"}'),
    ("DELETE", ALIVE, b'{"location": ":1"}'),
    ("GET", "/supernode/xxx", b""),
]
WRITING_AT_NODE = [
    ("POST", "/node/fetch", b'{"id": "a"}'),
    ("DELETE", "/node/fetch/a", b""),
]

#: What only reads, and the status that a member gets.
READING_AT_SUPERNODE = [
    ("GET", f"/supernode/search/{ID}", b"", 200),
    ("GET", f"/supernode/search?hash_ids={ID}", b"", 200),
    ("GET", f"/supernode/holders/{ID}", b"", 200),
    ("GET", ALIVE, b"", 200),
]
READING_AT_NODE = [
    ("GET", "/node/health", b"", 200),
    ("GET", "/node/resources", b"", 200),
    ("GET", f"/node/resources/{ID}", b"", 200),
    ("GET", f"/node/resources/find?hash_ids={ID}", b"", 200),
    ("GET", f"/node/resources/{ID}/content", b"", 200),
    ("HEAD", f"/node/resources/{ID}/content", b"", 200),
    ("GET", f"/node/resources/{ID}/pieces", b"", 200),
    ("POST", f"/node/resources/{ID}/pieces", b'{"want": "1"}', 206),
    ("GET", "/node/fetch", b"", 200),
]


class ClosedGroupCase(SystemTestCase):
    """A group with a key."""

    def setUp(self) -> None:
        super().setUp()
        self.key = self.make_key("key")

    def make_key(self, name: str) -> Path:
        path = self.folder / name
        path.touch(0o600)
        path.write_text(secrets.token_hex(32))
        return path

    def keyed(self, *options: str) -> Sequence[str]:
        return ("--group-key-file", str(self.key), *options)

    def members(self, *options: str) -> tuple[Daemon, Daemon, Daemon, Daemon]:
        """Two supernodes with a node each, the first of which has something."""
        keyed = self.keyed(*options)
        first, second = self.start_supernode(*keyed), self.start_supernode(*keyed)
        holder = self.start_node("holder", {"file": CONTENT}, *at(first), *keyed)
        other = self.start_node("other", {}, *at(second), *keyed)
        held = f"/api/supernode/search?node_name=holder&hash_ids={ID}"
        eventually(START_WITHIN, "it is held", lambda: self.call(first, "GET", held).json["data"])
        return first, second, holder, other

    def call(
        self,
        daemon: Daemon,
        method: str,
        path: str,
        body: bytes = b"",
        key: Path | None = None,
        ago: float = 0,
        url: str | None = None,
        sent: bytes | None = None,
    ) -> Answer:
        """
        A call that is signed with the group's key or another one, so many seconds ago.

        It may have been meant for another `url`, and have another body by now (`sent`).
        """
        http = load_group_key(key or self.key).http
        resolver = MappingKeyResolver(public_keys={"group": http}, private_keys={"group": http})
        call = SignedCall(method, url or daemon.url + path)
        HTTPMessageSigner(signature_algorithm=HMAC_SHA256, key_resolver=resolver).sign(
            call,
            key_id="group",
            nonce=secrets.token_hex(16),
            created=datetime.datetime.now() - datetime.timedelta(seconds=ago),
            covered_component_ids=COVERED,
            body=body,
        )
        if url is not None:
            call.headers["Host"] = url.split("/")[2]
        return daemon.request(method, path, body if sent is None else sent, call.headers)

    def p2p(self, *arguments: str, key: Path | None = None) -> "subprocess.CompletedProcess[str]":
        keyed = () if key is None else ("--group-key-file", str(key))
        return subprocess.run(
            [sys.executable, "-m", "p2ptwisted.cli", *arguments, *keyed],
            cwd=self.folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
        )


class ClosedGroupTests(ClosedGroupCase):
    """What members do, and strangers can't."""

    def test_members(self) -> None:
        """Members register, search by multicast, fetch and are asked by the command line."""
        first, second, _, other = self.members()
        found = f"/api/supernode/search/{ID}"
        eventually(START_WITHIN, "it is found", lambda: second.get(found).data)
        pulled = self.p2p(
            "pull", "file", "--node", other.url, "--supernode", first.url, key=self.key
        )
        self.assertEqual(pulled.returncode, 0, pulled)
        self.assertEqual((self.shared("other") / "file").read_bytes(), CONTENT)

    def test_writing(self) -> None:
        """Whatever changes something is refused unsigned, under another key, late or changed."""
        first, second, holder, other = self.members()
        listed = first.get(f"/api{ALIVE}").data
        other_key = self.make_key("other-key")
        for daemon, elsewhere, routes in (
            (first, second, WRITING_AT_SUPERNODE),
            (holder, other, WRITING_AT_NODE),
        ):
            for method, route, body in routes:
                for path in (route, f"/api{route}"):
                    refused = {
                        "unsigned": daemon.request(method, path, body),
                        "key": self.call(daemon, method, path, body, key=other_key),
                        "late": self.call(daemon, method, path, body, ago=TOO_FAR),
                        "early": self.call(daemon, method, path, body, ago=-TOO_FAR),
                        "path": self.call(daemon, method, path, body, url=f"{daemon.url}/api/x"),
                        "body": self.call(daemon, method, path, body, sent=body + b" "),
                        "member": self.call(daemon, method, path, body, url=elsewhere.url + path),
                    }
                    for why, answer in refused.items():
                        self.assertEqual(answer.status, 401, (why, method, path, answer.body))
                        self.assertIn("signed", answer.json["description"])
                        self.assertIn("www-authenticate", answer.headers)
        self.assertEqual(first.get(f"/api{ALIVE}").data, listed)
        self.assertEqual(holder.get("/api/node/fetch").data, [])

    def test_spellings(self) -> None:
        """Nor is anything had unsigned by writing its path in another way."""
        first, _, holder, _ = self.members()
        for daemon, routes in ((first, WRITING_AT_SUPERNODE), (holder, WRITING_AT_NODE)):
            for method, route, body in routes:
                letter = route.replace("/supernode/", "/%73upernode/").replace("/node/", "/%6eode/")
                slash = route.replace("e/", "e%2F")
                for path in (letter, slash, f"/{route}", f"/api/{route}", f"/x/..{route}"):
                    answer = daemon.request(method, path, body)
                    self.assertEqual(answer.status, 400, (method, path, answer.body))
        self.assertEqual(holder.get("/api/node/fetch").data, [])

    def test_reading(self) -> None:
        """Reading takes no key, unless the group is private; then a member reads all the same."""
        for options in ((), ("--private",)):
            first, _, holder, _ = self.members(*options)
            for daemon, routes in ((first, READING_AT_SUPERNODE), (holder, READING_AT_NODE)):
                for method, route, body, status in routes:
                    for path in (route, f"/api{route}"):
                        unsigned = daemon.request(method, path, body)
                        expected = 401 if options else status
                        self.assertEqual(unsigned.status, expected, (method, path))
                        signed = self.call(daemon, method, path, body)
                        self.assertEqual(signed.status, status, (method, path, signed.body[:200]))

    def test_private(self) -> None:
        """In a private group members do all that they do, and nobody else gets anything."""
        _, second, _, _ = self.members("--private")

        def got() -> bool:
            return not self.p2p("get", ID, "--supernode", second.url, key=self.key).returncode

        eventually(START_WITHIN, "a member has got it", got)
        self.assertEqual((self.folder / "file").read_bytes(), CONTENT)
        self.assertEqual(self.p2p("get", ID, "--supernode", second.url).returncode, 4)

    def test_strangers(self) -> None:
        """Without the key, or with another one, nothing is found, and no node is made to fetch."""
        first, _, _, other = self.members()
        stranger = self.start_supernode("--group-key-file", str(self.make_key("other-key")))
        open_one = self.start_supernode()
        for supernode in (stranger, open_one):
            self.assertEqual(supernode.get(f"/api/supernode/search/{ID}").data, {})
        pulled = self.p2p("pull", ID, "--node", other.url, "--supernode", first.url)
        self.assertEqual(pulled.returncode, 1, pulled)
        self.assertFalse((self.shared("other") / "file").exists())

    def test_replayed(self) -> None:
        """A signed call that was overheard is worth nothing a second time."""
        first, *_ = self.members()
        url = f"{first.url}/api{REGISTER}"
        headers = HttpSignatures(load_group_key(self.key).http).sign("POST", url, REGISTRATION)
        statuses = [
            first.request("POST", f"/api{REGISTER}", REGISTRATION, headers).status for _ in range(2)
        ]
        self.assertEqual(statuses, [204, 401])

    def test_for_another(self) -> None:
        """Who has the key speaks for any address; who hasn't not even for its own."""
        switch = Switch(self)
        one, two = switch.host("10.35.9.1"), switch.host("10.35.9.2")
        supernode = self.start("p2p-supernode", 5000, *self.keyed(), machine=one)
        url, alive = supernode.url + REGISTER, supernode.url + ALIVE
        sign = HttpSignatures(load_group_key(self.key).http).sign
        for location in ("10.35.9.2:9", ":9"):
            body = json.dumps({"location": location, "resources": []}).encode()
            self.assertEqual(two.request("POST", url, body).status, 401)
            self.assertEqual(supernode.get(ALIVE).data, [])
        body = b'{"location": "10.35.9.3:9", "resources": []}'
        self.assertEqual(two.request("POST", url, body, sign("POST", url, body)).status, 204)
        self.assertEqual(supernode.get(ALIVE).data, [{"name": "", "location": "10.35.9.3:9"}])
        body = b'{"location": "10.35.9.3:9"}'
        self.assertEqual(two.request("DELETE", alive, body).status, 401)
        self.assertEqual(
            two.request("DELETE", alive, body, sign("DELETE", alive, body)).status, 204
        )

    def test_no_secret_shown(self) -> None:
        """The key shows in no log, no answer and no list of processes, whatever is refused."""
        members = self.members()
        first, _, _, other = members
        told = []
        other_key = self.make_key("other-key")
        for key, ago in ((other_key, 0), (self.key, TOO_FAR)):
            told.append(self.call(first, "POST", REGISTER, REGISTRATION, key=key, ago=ago).body)
            told.append(self.call(other, "POST", "/node/fetch", b'{"id": "a"}', key, ago).body)
        told.append(self.call(first, "POST", REGISTER, b"{").body)
        ran = self.p2p("get", "nothing", "--supernode", first.url, key=self.key)
        told += [ran.stdout.encode(), ran.stderr.encode()]
        group = Speaker(self, self.group)
        group.say(b"x;20;y;1.0")
        group.say(DatagramAuth(load_group_key(other_key)).seal(b"x;20;y", time.time()))
        for member in members:
            process = psutil.Process(member.pid)
            for one in (process, *process.children(recursive=True)):
                told.append(Path(f"/proc/{one.pid}/cmdline").read_bytes())
            told.append(member.log.read_bytes())
        for secret in secrets_of(load_group_key(self.key), self.key):
            for text in told:
                self.assertNotIn(secret, text)

    def test_readable_by_others(self) -> None:
        """A key file that others can read is refused in one line, by daemons and by `p2p`."""
        (self.folder / "resources").mkdir()
        for mode in (0o644, 0o640, 0o620, 0o601):
            self.key.chmod(mode)
            refused = [self.p2p("nodes", "--supernode", "http://127.0.0.1:1", key=self.key)]
            for role in ("p2p-supernode", "p2p-node"):
                ran = subprocess.run(
                    command(role, "--port", str(free_port()), *self.keyed()),
                    cwd=self.folder,
                    env=environment(),
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    timeout=START_WITHIN,
                )
                refused.append(ran)
            self.assertEqual([ran.returncode for ran in refused], [2, 1, 1])
            for ran in refused:
                self.assertIn("chmod 600", ran.stderr)
                self.assertEqual(ran.stderr.count("\n"), 1)


class SealTests(ClosedGroupCase):
    """Datagrams, as they go over the wire."""

    def setUp(self) -> None:
        super().setUp()
        self.supernode = self.start_supernode(*self.keyed())
        self.speaker = Speaker(self, self.group)
        self.auth = DatagramAuth(load_group_key(self.key))
        self.other_auth = DatagramAuth(load_group_key(self.make_key("other-key")))

    def bad(self, datagram: bytes) -> Iterator[bytes]:
        """What nothing proves, or no longer."""
        now = time.time()
        yield datagram
        yield datagram + b";"
        yield self.other_auth.seal(datagram, now)
        for off in (TOO_FAR, -TOO_FAR):
            yield self.auth.seal(datagram, now + off)
        good = self.auth.seal(datagram, now)
        yield good[:-1] + (b"0" if good[-1:] != b"0" else b"1")
        yield good[:-1]
        yield good.replace(b"#", b"#0", 1)
        yield good + b" " * 2_000

    def test_requests(self) -> None:
        """Only what a member has sealed, lately, is answered."""
        for datagram in self.bad(b"stranger#bad;20;supernode"):
            self.speaker.say(datagram)
        self.speaker.say(self.auth.seal(b"member#good;20;supernode", time.time()))
        # All are dealt with in their order, so this would not be the first answer.
        reply = self.auth.open(self.speaker.hear(), time.time()) or b""
        name, code, location = reply.decode().split(";")
        self.assertEqual((name.partition("#")[2], code), ("good", "21"))
        self.assertEqual(location, self.supernode.location)

    def test_answers(self) -> None:
        """Only a sealed answer is believed."""
        asked = []

        def answer(request: bytes) -> Iterator[bytes]:
            opened = (self.auth.open(request, time.time()) or b";20;").decode()
            name, _, id = opened.split(";")
            asked.append(id)
            found = f"member#{name.partition('#')[2]};21;127.0.0.1:9".encode()
            if id == "forged":
                yield from self.bad(found)
            elif id == "found":
                yield self.auth.seal(found, time.time())

        Answerer(self, self.group, answer)
        search = "/api/supernode/search"
        self.assertEqual(self.supernode.get(f"{search}/forged").data, {})
        self.assertEqual(self.supernode.get(f"{search}/found").data["id"], "found")
        self.assertLessEqual({"forged", "found"}, set(asked))


def secrets_of(key: GroupKey, file: Path) -> Iterator[bytes]:
    """All forms in which a key could show itself."""
    yield file.read_bytes()
    for one in (key.datagrams, key.http, bytes.fromhex(file.read_text())):
        yield from (one, one.hex().encode(), base64.b64encode(one), repr(one)[2:-1].encode())
