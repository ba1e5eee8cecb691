"""Closed groups: a key that every member has, and certificates of one's own."""

import secrets
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path

from p2ptwisted.group_key import load_group_key
from p2ptwisted.signatures import Signatures

from .cases import SystemTestCase
from .daemons import START_WITHIN, Daemon, at, command, environment, eventually, free_port, id_of

CONTENT = b"content of a closed group\n" * 100_000


class ClosedGroupTests(SystemTestCase):
    """A group with a key."""

    def setUp(self) -> None:
        super().setUp()
        self.key = self.make_key("key")

    def make_key(self, name: str) -> str:
        path = self.folder / name
        path.touch(0o600)
        path.write_text(secrets.token_hex(32))
        return str(path)

    def members(self, *options: str) -> tuple[Daemon, Daemon, Daemon, Daemon]:
        """Two supernodes with a node each, the first of which has something."""
        keyed = ("--group-key-file", self.key, *options)
        first, second = self.start_supernode(*keyed), self.start_supernode(*keyed)
        holder = self.start_node("holder", {"file": CONTENT}, *at(first), *keyed)
        other = self.start_node("other", {}, *at(second), *keyed)
        return first, second, holder, other

    def p2p(self, *arguments: str, key: str | None = None) -> subprocess.CompletedProcess[str]:
        keyed = () if key is None else ("--group-key-file", key)
        return subprocess.run(
            [sys.executable, "-m", "p2ptwisted.cli", *arguments, *keyed],
            cwd=self.folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
        )

    def test_members(self) -> None:
        """Members register, search by multicast, fetch and are asked by the command line."""
        first, second, _, other = self.members()
        id = id_of(CONTENT)
        found = f"/api/supernode/search/{id}"
        eventually(START_WITHIN, "it is found", lambda: second.get(found).data)
        pulled = self.p2p(
            "pull", "file", "--node", other.url, "--supernode", first.url, key=self.key
        )
        self.assertEqual(pulled.returncode, 0, pulled)
        self.assertEqual((self.shared("other") / "file").read_bytes(), CONTENT)

    def test_strangers(self) -> None:
        """Without the key, or with another one, nobody writes; a search doesn't cross to them."""
        first, _, _, other = self.members()
        id = id_of(CONTENT)
        eventually(START_WITHIN, "it is held", lambda: first.get(f"/supernode/search/{id}").data)
        for daemon, path in (
            (first, "/api/supernode/register"),
            (first, "/api/supernode/alive"),
            (other, "/api/node/fetch"),
        ):
            answer = daemon.post(path, {"location": ":1", "resources": [], "id": id})
            self.assertEqual(answer.status, 401, answer.body)
            self.assertIn("signed", answer.body.decode())
        stranger = self.start_supernode("--group-key-file", self.make_key("other-key"))
        open_one = self.start_supernode()
        for supernode in (stranger, open_one):
            self.assertEqual(supernode.get(f"/api/supernode/search/{id}").data, {})
        pulled = self.p2p("pull", id, "--node", other.url, "--supernode", first.url)
        self.assertEqual(pulled.returncode, 1, pulled)
        self.assertFalse((self.shared("other") / "file").exists())

    def test_private(self) -> None:
        """In a private group reading takes the key, too; members still do all that they do."""
        first, second, holder, _ = self.members("--private")
        self.assertEqual(first.request("GET", "/api/supernode/alive").status, 401)
        self.assertEqual(holder.request("GET", "/api/node/resources").status, 401)
        id = id_of(CONTENT)

        def got() -> bool:
            return not self.p2p("get", id, "--supernode", second.url, key=self.key).returncode

        eventually(START_WITHIN, "a member has got it", got)
        self.assertEqual((self.folder / "file").read_bytes(), CONTENT)
        self.assertEqual(self.p2p("get", id, "--supernode", second.url).returncode, 4)

    def test_replayed(self) -> None:
        """A signed call that was overheard is worth nothing a second time."""
        first, *_ = self.members()
        url = f"{first.url}/api/supernode/register"
        body = b'{"location": ":1", "resources": []}'
        headers = Signatures(load_group_key(Path(self.key)).http).sign("POST", url, body)
        statuses = [
            first.request("POST", "/api/supernode/register", body, headers).status for _ in range(2)
        ]
        self.assertEqual(statuses, [204, 401])

    def test_no_secret_in_a_log(self) -> None:
        """The key shows in no log."""
        members = self.members()
        secret = Path(self.key).read_text()
        for member in members:
            self.assertNotIn(secret, member.log.read_text())

    def test_readable_by_others(self) -> None:
        """A key file that others can read is refused in one line."""
        Path(self.key).chmod(0o644)
        ran = self.p2p("nodes", "--supernode", "http://127.0.0.1:1", key=self.key)
        self.assertEqual(ran.returncode, 2)
        self.assertIn("chmod 600", ran.stderr)
        self.assertEqual(ran.stderr.count("\n"), 1)


class SecuredTests(SystemTestCase):
    """A group that speaks TLS, with certificates that `p2p certs` has made."""

    def test_all_the_way(self) -> None:
        """Registering, the sweep, multicast search, redirects and fetching, all over TLS."""
        certs = self.folder / "certs"
        subprocess.run(
            [sys.executable, "-m", "p2ptwisted.cli", "certs", "127.0.0.1", "--folder", str(certs)],
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
        )
        authority, certificate = certs / "ca.pem", certs / "127.0.0.1.pem"
        trusting = ssl.create_default_context(cafile=str(authority))

        def secured(role: str, *options: str) -> tuple[str, Path]:
            port = free_port()
            log = self.folder / f"{port}.log"
            endpoint = f"ssl:{port}:privateKey={certificate}:certKey={certificate}"
            listening = ("--port", f"{endpoint}:interface=127.0.0.1", "--ca-file", str(authority))
            with open(log, "wb") as output:
                running = subprocess.Popen(
                    command(role, *listening, *self._group(), *options),
                    cwd=self.folder,
                    env=environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                )
            self.addCleanup(running.wait)
            self.addCleanup(running.terminate)
            return f"https://127.0.0.1:{port}", log

        def get(url: str) -> bytes:
            with urllib.request.urlopen(url, context=trusting, timeout=10) as answer:
                return bytes(answer.read())

        def reached(url: str, part: bytes) -> bool:
            try:
                return part in get(url)
            except OSError:
                return False

        (self.shared("holder") / "file").write_bytes(CONTENT)
        first, _ = secured("p2p-supernode")
        second, _ = secured("p2p-supernode")
        secured(
            *("p2p-node", "--name", "holder", "--supernode", first),
            *("--resources", str(self.shared("holder"))),
        )
        other, log = secured(
            *("p2p-node", "--name", "other", "--supernode", second),
            *("--resources", str(self.shared("other"))),
        )
        id = id_of(CONTENT)
        eventually(
            20,
            "the second supernode finds it at the first, for its node",
            lambda: reached(f"{other}/api/node/resources/{id}", b'"name":"file"'),
        )
        # Follows the redirect to the holder, whose certificate it checks.
        self.assertEqual(get(f"{other}/api/node/resources/{id}/content"), CONTENT)
        request = urllib.request.Request(
            f"{other}/api/node/fetch", data=b'{"id": "%b"}' % id.encode()
        )
        urllib.request.urlopen(request, context=trusting, timeout=10).close()
        eventually(
            20,
            "it has come",
            lambda: reached(f"{other}/api/node/fetch/{id}", b'"done"'),
        )
        self.assertEqual((self.shared("other") / "file").read_bytes(), CONTENT)
        with self.assertRaises(OSError):
            urllib.request.urlopen(f"{other}/api/node/health", timeout=10)
        self.assertNotIn("Traceback", log.read_text())
