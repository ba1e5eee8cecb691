"""Clients that ask for more than they take, or never come to an end; and everybody else."""

import contextlib
import json
import socket
import ssl
import subprocess
import sys
import time

from .crowds import SOON, CrowdCase, asking, has_ended, memory
from .daemons import Daemon, command, environment, eventually, free_port

#: Files of the node whose list is asked for, and how often, without taking an answer.
FILES, ASKED = 1_000, 5_000

#: KiB by which such a client may make a node grow.
PIPELINE_GROWTH_MAX = 10_000

#: Bytes of a body without end that a supernode takes, at the most; with what is on the way.
ENDLESS_MAX = 300_000_000

#: KiB by which it may make the supernode grow: a body's limit is 16 MiB; 16,000 were measured.
ENDLESS_GROWTH_MAX = 40_000

REGISTER = b"POST /api/supernode/register HTTP/1.1\r\nHost: a\r\n"


class GreedyClientsTests(CrowdCase):
    """That they get what is theirs, and no more."""

    def test_never_takes(self) -> None:
        """Thousands of requests sent ahead cost a node little, and nobody else."""
        files = {str(number): b"%d" % number for number in range(FILES)}
        node = self.start_node("node", files)
        eventually(30, "all is shared", lambda: len(node.get("/api/node/resources").data) == FILES)
        before = memory(node)
        one = self.connect(node)
        one.settimeout(1)
        requests = asking("/api/node/resources") * ASKED
        try:
            one.sendall(requests)
        except TimeoutError:
            pass  # The node reads no more of them, as it should.
        most = 0
        for _ in range(20):
            self.assertSoon(node, "/api/node/health")
            most = max(most, memory(node) - before)
            time.sleep(0.05)
        self.assertLess(most, PIPELINE_GROWTH_MAX)

    def test_takes_in_the_end(self) -> None:
        """Who takes the answers gets each of them, in order."""
        node = self.start_node("node", {"file": b"x"})
        one = self.connect(node)
        paths = ["/api/node/health", "/api/node/resources", "/api/nothing"] * 200
        last = asking("/api/node/health").replace(b"Host", b"Connection: close\r\nHost")
        one.sendall(b"".join(map(asking, paths)) + last)
        time.sleep(0.5)
        said = b"".join(iter(lambda: one.recv(65536), b""))
        statuses = [int(part[:3]) for part in said.split(b"HTTP/1.1 ")[1:]]
        self.assertEqual(statuses, [*[200, 200, 404] * 200, 200])

    def test_busy_pipeline(self) -> None:
        """While 64 KiB of requests sent ahead are answered others are, too."""
        supernode = self.start_supernode()
        path = "/api/supernode/alive"
        for _ in range(5):
            one = self.connect(supernode)
            one.sendall(asking(path) * (65536 // len(asking(path))))
            self.assertSoon(supernode, path)

    def test_endless_body(self) -> None:
        """A body without end is refused at its limit, and cut when it goes on and on."""
        supernode = self.start_supernode()
        before = memory(supernode)
        chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
        one = self.connect(supernode)
        one.sendall(REGISTER + b"Transfer-Encoding: chunked\r\n\r\n")
        most = self.send_on(supernode, "/api/supernode/alive", one, chunk)
        self.assertLess(most - before, ENDLESS_GROWTH_MAX)
        polite = self.connect(supernode)
        polite.sendall(REGISTER + b"Content-Length: 1000000000\r\n\r\n")
        self.assertIn(b" 413 ", polite.recv(65536))

    def test_endless_headers(self) -> None:
        """Headers without end are refused early, in one line or in many."""
        node = self.start_node("node", {"file": b"x"})
        before = memory(node)
        for header in (b"x", b"X: y\r\n", b"X: y\r\n z\r\n"):
            one = self.connect(node)
            one.sendall(b"GET / HTTP/1.1\r\nX: ")
            some = header * (65536 // len(header))
            most = self.send_on(node, "/api/node/health", one, some)
            self.assertLess(most - before, ENDLESS_GROWTH_MAX)

    def send_on(self, daemon: Daemon, path: str, one: socket.socket, more: bytes) -> int:
        """Send more and more until it is cut, soon enough; the most KiB that the daemon had."""
        sent = most = 0
        looked = time.monotonic()
        while sent < ENDLESS_MAX:
            try:
                sent += one.send(more)
            except ConnectionError:
                return most
            most = max(most, memory(daemon))
            if time.monotonic() - looked > 0.2:
                self.assertSoon(daemon, path)
                looked = time.monotonic()
        raise AssertionError(f"{sent} bytes are taken")


class SecuredTests(CrowdCase):
    """Refusals over TLS."""

    def setUp(self) -> None:
        super().setUp()
        certs = self.folder / "certs"
        subprocess.run(
            [sys.executable, "-m", "p2ptwisted.cli", "certs", "127.0.0.1", "--folder", str(certs)],
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
        )
        self.authority, self.certificate = certs / "ca.pem", certs / "127.0.0.1.pem"
        self.trusting = ssl.create_default_context(cafile=str(self.authority))
        self.port = free_port()
        self.log = self.folder / "log"

    def start_secured(self, *options: str) -> None:
        endpoint = f"ssl:{self.port}:privateKey={self.certificate}:certKey={self.certificate}"
        listening = ("--port", f"{endpoint}:interface=127.0.0.1", "--ca-file", str(self.authority))
        with self.log.open("wb") as output:
            running = subprocess.Popen(
                command("p2p-supernode", *listening, *self._group(), *options),
                cwd=self.folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self.addCleanup(self.assert_clean)
        self.addCleanup(running.wait)
        self.addCleanup(running.terminate)
        eventually(20, "it answers", lambda: b" 200 " in self.said(asking("/supernode/alive"), 16))

    def assert_clean(self) -> None:
        self.assertNotIn("Traceback", self.log.read_text())

    def plain(self) -> socket.socket:
        one = socket.create_connection(("127.0.0.1", self.port), 10)
        self.sockets.append(one)
        return one

    def secured(self) -> ssl.SSLSocket:
        one = self.trusting.wrap_socket(self.plain(), server_hostname="127.0.0.1")
        self.sockets.append(one)
        return one

    def said(self, sent: bytes, most: int = 1_000_000) -> bytes:
        """What comes back to that, as far as it is looked at, until the end."""
        one = self.secured()
        one.sendall(sent)
        said = b""
        while len(said) < most and (some := one.recv(65536)):
            said += some
        return said

    def test_refusals(self) -> None:
        """They arrive whole, in time, and then comes the end."""
        self.start_secured("--header-time", "1", "--body-time", "1")
        for sent, status in (
            (b"nonsense\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nX: ", 408),
            (REGISTER + b"Content-Length: 1000\r\n\r\n", 408),
            (REGISTER + b"Content-Length: 1000000000\r\n\r\n", 413),
        ):
            head, _, body = self.said(sent).partition(b"\r\n\r\n")
            self.assertIn(b" %d " % status, head)
            self.assertEqual(json.loads(body)["code"], status)

    def test_no_room(self) -> None:
        """Where there is no room, who does not even shake hands is cut off."""
        self.start_secured("--connections", "5", "--header-time", "60")
        for _ in range(5):
            self.secured().sendall(b"GET / HTTP/1.1\r\nX: ")
        time.sleep(0.2)
        began = time.monotonic()
        with contextlib.suppress(ConnectionResetError):  # Perhaps before it is connected.
            silent = self.plain()
            eventually(5, "it is cut off", lambda: has_ended(silent))
        self.assertLess(time.monotonic() - began, SOON)
