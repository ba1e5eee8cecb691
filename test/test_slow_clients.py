"""Clients that are slow, idle, many, or never come to an end; and everybody else meanwhile."""

import itertools
import os
import socket
import time

from .answers import Answer, parse_answer
from .crowds import (
    ADDRESSES,
    SOON,
    CrowdCase,
    asking,
    asking_content,
    has_ended,
    lasting,
    memory,
    take,
    uploads,
)
from .daemons import at, eventually, id_of

#: Connections that do nothing.
IDLE = 2_000

#: KiB by which they may make a daemon grow; 5,000 were measured.
IDLE_GROWTH_MAX = 20_000

#: Clients that send a byte a second, the seconds that they get, and KiB by which they may make a
#: daemon grow; 1,300 were measured.
DRIPPING, DRIPPING_TIME, DRIPPING_GROWTH_MAX = 200, 6, 20_000

#: Downloads of a large file that are read slowly, bytes a second each, and for how long:
#: more than the kernels keep of them, which is some 4 MiB.
DOWNLOADS, RATE, SECONDS = 50, 1024 * 1024, 8

#: Bytes that the kernel of a slow reader keeps for it.
KEPT = 64 * 1024

#: KiB by which they may make a node grow; 53,000 were measured.
DOWNLOADS_GROWTH_MAX = 100_000

#: Downloads that one address tries to have at once, and those that it gets with `--uploads` 64.
TRIED, GIVEN = 70, 32


class SlowClientsTests(CrowdCase):
    """That they cost little, and nobody else."""

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
        one.sendall(asking_content(id))
        eventually(5, "it is there", lambda: uploads(node, one) == 1)
        eventually(20, "it is cut off", lambda: uploads(node, one) == 0)

    def test_half_closed(self) -> None:
        """A client that closes its side behind its requests is sent all, as long as it takes it."""
        content = os.urandom(20_000_000)
        node = self.start_node("node", {"file": content}, "--stall-time", "2")
        path = f"/api/node/resources/{id_of(content)}/content"
        eventually(20, "it is shared", lambda: node.get(path).status == 200)
        taking, idle = (self.connect(node, address, KEPT) for address in ADDRESSES[:2])
        for one in (taking, idle):
            one.sendall(asking("/api/node/health") + asking(path))
            one.shutdown(socket.SHUT_WR)
        self.assertEqual(uploads(node, idle), 1)
        said = b"".join(iter(lambda: taking.recv(65536), b""))
        self.assertEqual(said.count(b"HTTP/1.1 200 OK\r\n"), 2)
        self.assertEqual(id_of(said[-len(content) :]), id_of(content))
        eventually(20, "the other is cut off", lambda: uploads(node, idle) == 0)

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
                one.sendall(asking(path))
                self.assertIn(b" 200 ", one.recv(65536)[:16])
            self.assertSoon(daemon, path)
            self.assertLess(memory(daemon) - before, IDLE_GROWTH_MAX)
            self.assertEqual(sum(map(has_ended, self.sockets)), 0)
            self.close_all()
            self.sockets.clear()

    def test_dripping_crowd(self) -> None:
        """200 that send a byte a second cost little, hold up nobody, and get 408 in time."""
        limit = str(DRIPPING_TIME)
        supernode = self.start_supernode("--header-time", limit, "--body-time", limit)
        before = memory(supernode)
        began = time.monotonic()
        headers = b"GET / HTTP/1.1\r\nX: "
        body = b"POST /api/supernode/register HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n"
        for number in range(DRIPPING):
            one = self.connect(supernode, ADDRESSES[number % len(ADDRESSES)])
            one.sendall(headers if number % 2 else body)
        most = seconds = 0
        while time.monotonic() < began + DRIPPING_TIME - 1.5:
            with lasting(1.0):
                ended = sum(map(has_ended, self.sockets))
                if time.monotonic() < began + DRIPPING_TIME:
                    self.assertEqual(ended, 0)
                    for one in self.sockets:
                        one.sendall(b"x")
                    seconds += 1
                self.assertSoon(supernode, "/api/supernode/alive")
                most = max(most, memory(supernode) - before)
        self.assertGreater(seconds, 1)
        for one in self.sockets:
            self.assertIn(b" 408 ", one.recv(16))
        self.assertLess(most, DRIPPING_GROWTH_MAX)

    def test_slow_downloads(self) -> None:
        """50 slow readers of 1 GiB cost little memory, are all served on, and hold up nobody."""
        content = b"meanwhile" * 1_000_000
        node = self.start_node("node", {"other": content})
        id = self.share_large(node)
        before = memory(node)
        for number in range(DOWNLOADS):
            one = self.connect(node, ADDRESSES[number % len(ADDRESSES)], KEPT)
            one.sendall(asking_content(id))
        most = 0
        for _ in range(SECONDS):
            with lasting(1.0):
                for one in self.sockets:
                    self.assertEqual(take(one, RATE), RATE)
                most = max(most, memory(node) - before)
                self.assertSoon(node, "/api/node/health")
                other = node.get(f"/api/node/resources/{id_of(content)}/content")
                self.assertEqual(other.body, content)
        self.assertLess(most, DOWNLOADS_GROWTH_MAX)

    def test_one_address(self) -> None:
        """Slow readers at one address get half of a node's uploads; another has its download."""
        content = b"whole" * 4_000_000
        node = self.start_node("node", {"other": content})
        id = self.share_large(node)
        statuses = []
        for _ in range(TRIED):
            one = self.connect(node, ADDRESSES[0], KEPT)
            one.sendall(asking_content(id))
            statuses.append(one.recv(12)[-3:])
        self.assertEqual(statuses, [b"200"] * GIVEN + [b"503"] * (TRIED - GIVEN))
        other = self.connect(node, ADDRESSES[1])
        path = f"/api/node/resources/{id_of(content)}/content"
        other.sendall(asking(path).replace(b"Host", b"Connection: close\r\nHost"))
        answer = parse_answer(b"".join(iter(lambda: other.recv(65536), b"")))
        self.assertEqual((answer.status, id_of(answer.body)), (200, id_of(content)))
