"""What tests with many clients need: connections to the byte, and what a daemon has in memory."""

import os
import resource
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .cases import SystemTestCase
from .daemons import Daemon, eventually

#: Addresses of loopback that connections come from.
ADDRESSES = [f"127.0.1.{number}" for number in range(1, 5)]

#: Bytes of a large file.
LARGE = 1 << 30

#: Seconds in which everybody else is answered meanwhile; the machine may be busy.
SOON = 1.0


class CrowdCase(SystemTestCase):
    """A test with many connections, which are closed after it."""

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

    def connect(
        self, daemon: Daemon, source: str = "127.0.0.1", kept: int | None = None
    ) -> socket.socket:
        """`kept`: bytes that the client's kernel takes and keeps, about."""
        one = socket.socket()
        self.sockets.append(one)
        one.settimeout(10)
        if kept is not None:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, kept)
        one.bind((source, 0))
        one.connect(("127.0.0.1", daemon.port))
        return one

    def share_large(self, node: Daemon) -> str:
        """A file of holes, once it is shared; its id."""
        part = self.folder / "large"
        with part.open("wb") as file:
            file.truncate(LARGE)
        os.rename(part, self.shared("node") / "large")
        return eventually(
            60,
            "the large file is shared",
            lambda: next(
                (
                    str(one["id"])
                    for one in node.get("/api/node/resources").data
                    if one["name"] == "large"
                ),
                None,
            ),
        )

    def assertSoon(self, daemon: Daemon, path: str) -> None:
        began = time.monotonic()
        self.assertEqual(daemon.get(path).status, 200)
        self.assertLess(time.monotonic() - began, SOON)


def asking(path: str) -> bytes:
    """A request for that."""
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


def asking_content(id: str) -> bytes:
    return asking(f"/api/node/resources/{id}/content")


def take(one: socket.socket, count: int) -> int:
    """Take so many bytes; how many came before the end."""
    left = count
    while left and (some := one.recv(min(left, 65536))):
        left -= len(some)
    return count - left


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
    # Established, and half-closed by the client.
    return sum(line.split()[2].endswith(port) and line.split()[3] in ("01", "08") for line in lines)


@contextmanager
def lasting(seconds: float) -> Iterator[None]:
    """Take at least so long for what is inside."""
    until = time.monotonic() + seconds
    yield
    time.sleep(max(0.0, until - time.monotonic()))
