"""Clients that are slow, idle, many, or never come to an end; and everybody else meanwhile."""

import itertools
import os
import resource
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .answers import Answer, parse_answer
from .cases import SystemTestCase
from .daemons import Daemon, at, eventually

#: Connections that do nothing, and the loopback addresses that they come from.
IDLE, ADDRESSES = 2_000, [f"127.0.1.{number}" for number in range(1, 5)]

#: KiB by which they may make a daemon grow; 5,000 were measured.
IDLE_GROWTH_MAX = 20_000

#: Downloads of a large file that are read slowly, bytes a second each, and for how long.
DOWNLOADS, SIZE, RATE, SECONDS = 50, 1 << 30, 64 * 1024, 8

#: KiB by which they may make a node grow; 51,000 were measured.
DOWNLOADS_GROWTH_MAX = 100_000

#: Seconds in which everybody else is answered meanwhile; the machine may be busy.
SOON = 1.0


class SlowClientsTests(SystemTestCase):
    """That they cost little, and nobody else."""

    def setUp(self) -> None:
        super().setUp()
        self.sockets: list[socket.socket] = []
        self.addCleanup(self.close_all)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))

    def close_all(self) -> None:
        for one in self.sockets:
            one.close()

    def connect(self, daemon: Daemon, source: str = "127.0.0.1") -> socket.socket:
        one = socket.create_connection(("127.0.0.1", daemon.port), 10, (source, 0))
        self.sockets.append(one)
        return one

    def drip(self, one: socket.socket, data: bytes) -> Answer:
        """Send that a byte at a time, ten a second, until there is an answer."""
        for byte in itertools.cycle(data):
            time.sleep(0.1)
            if has_ended(one):
                break
            one.sendall(bytes([byte]))
        return parse_answer(b"".join(iter(lambda: one.recv(65536), b"")))

    def test_slow_headers(self) -> None:
        """A byte now and then is no request: 408 when the time is up, in JSON as all errors."""
        node = self.start_node("node", {"file": b"content"}, "--header-time", "1")
        one = self.connect(node)
        one.sendall(b"GET / HTTP/1.1\r\nX: ")
        began = time.monotonic()
        answer = self.drip(one, b"x")
        self.assertEqual((answer.status, answer.json["code"]), (408, 408))
        self.assertLess(time.monotonic() - began, 1 + SOON)

    def test_slow_body(self) -> None:
        """Nor is a byte now and then a registration."""
        supernode = self.start_supernode("--body-time", "1")
        one = self.connect(supernode)
        one.sendall(
            b"POST /api/supernode/register HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n"
        )
        self.assertEqual(self.drip(one, b" ").status, 408)
        self.assertEqual(supernode.get("/api/supernode/alive").data, [])

    def test_never_reads(self) -> None:
        """A client that asks for a large file and takes nothing of it is cut off."""
        node = self.start_node("node", {}, "--stall-time", "2")
        id = self.share_large(node)
        one = self.connect(node)
        one.sendall(f"GET /api/node/resources/{id}/content HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        eventually(20, "it is cut off", lambda: uploads(node, one) == 0)

    def test_crowd(self) -> None:
        """Who has too many connections loses the ones it has not used for the longest."""
        node = self.start_node("node", {"file": b"x"}, "--connections-per-address", "20")
        crowd = [self.connect(node, ADDRESSES[0]) for _ in range(30)]
        eventually(5, "ten are closed", lambda: sum(map(has_ended, crowd)) == 10)
        self.assertEqual([has_ended(one) for one in crowd], [True] * 10 + [False] * 20)
        self.assertEqual(node.get("/api/node/health").status, 200)

    def test_idle(self) -> None:
        """2,000 connections that were used once cost little, and everybody else is served."""
        supernode = self.start_supernode()
        node = self.start_node("node", {"file": b"x"}, *at(supernode))
        for daemon, path in ((supernode, "/api/supernode/alive"), (node, "/api/node/health")):
            before = memory(daemon)
            for number in range(IDLE):
                one = self.connect(daemon, ADDRESSES[number % len(ADDRESSES)])
                one.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                self.assertIn(b" 200 ", one.recv(65536)[:16])
            self.assertSoon(daemon, path)
            self.assertLess(memory(daemon) - before, IDLE_GROWTH_MAX)
            self.assertEqual(sum(map(has_ended, self.sockets)), 0)
            self.close_all()
            self.sockets.clear()

    def test_slow_downloads(self) -> None:
        """50 slow readers of 1 GiB cost little memory, are all served on, and hold up nobody."""
        node = self.start_node("node", {})
        id = self.share_large(node)
        before = memory(node)
        for number in range(DOWNLOADS):
            one = self.connect(node, ADDRESSES[number % len(ADDRESSES)])
            request = f"GET /api/node/resources/{id}/content HTTP/1.1\r\nHost: a\r\n\r\n"
            one.sendall(request.encode())
        most = 0
        for _ in range(SECONDS):
            with lasting(1.0):
                for one in self.sockets:
                    self.assertTrue(one.recv(RATE))
                most = max(most, memory(node) - before)
                self.assertSoon(node, "/api/node/health")
        self.assertLess(most, DOWNLOADS_GROWTH_MAX)

    def share_large(self, node: Daemon) -> str:
        """A file of holes, once it is shared; its id."""
        part = self.folder / "large"
        with part.open("wb") as file:
            file.truncate(SIZE)
        os.rename(part, self.shared("node") / "large")
        return str(
            eventually(
                60,
                "the large file is shared",
                lambda: [one["id"] for one in node.get("/api/node/resources").data],
            )[0]
        )

    def assertSoon(self, daemon: Daemon, path: str) -> None:
        began = time.monotonic()
        self.assertEqual(daemon.get(path).status, 200)
        self.assertLess(time.monotonic() - began, SOON)


def memory(daemon: Daemon) -> int:
    """KiB that the daemon's process has in memory."""
    for line in Path(f"/proc/{daemon.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("a process without memory")


def has_ended(one: socket.socket) -> bool:
    """Whether the other side has closed it, or said something."""
    look = select.poll()
    look.register(one, select.POLLIN)
    return bool(look.poll(0))


def uploads(daemon: Daemon, one: socket.socket) -> int:
    """How many ends of that connection the daemon's host still has, as the kernel counts."""
    port = f":{one.getsockname()[1]:04X}"
    lines = Path(f"/proc/{daemon.pid}/net/tcp").read_text().splitlines()[1:]
    return sum(line.split()[2].endswith(port) and line.split()[3] == "01" for line in lines)


@contextmanager
def lasting(seconds: float) -> Iterator[None]:
    """Take at least so long for what is inside."""
    until = time.monotonic() + seconds
    yield
    time.sleep(max(0.0, until - time.monotonic()))
