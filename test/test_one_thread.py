"""A daemon has one thread, however busy it is."""

import itertools
import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from .cases import SystemTestCase
from .daemons import Daemon, at, eventually, free_port, id_of

SMALL, ELSEWHERE, LARGE = b"small", b"elsewhere", os.urandom(1024) * (32 * 1024)

#: Seconds of looking for another thread while the daemons work.
BUSY = 3.0


class OneThreadTests(SystemTestCase):
    """Everything that a daemon does, all at once."""

    def setUp(self) -> None:
        super().setUp()
        # Names are what a thread would come in with, so names are given where they can be.
        port = free_port()
        self.supernode = self.start_supernode("--location", f"localhost:{port}", port=port)
        named = ("--supernode", f"http://localhost:{port}")
        self.node = self.start_node("node", {"small.txt": SMALL, "large.bin": LARGE}, *named)
        self.wait_until_held(self.supernode, "node", id_of(SMALL), id_of(LARGE))

    def test_one_thread(self) -> None:
        """Searching, answering, hashing, serving and resolving names, in a single thread."""
        other = self.start_supernode()
        self.start_node("elsewhere", {"elsewhere.txt": ELSEWHERE}, *at(other))
        self.wait_until_held(other, "elsewhere", id_of(ELSEWHERE))

        until = time.monotonic() + BUSY
        jobs = [self.search, self.ask_as_a_peer, self.download, self.change]
        with ThreadPoolExecutor(len(jobs)) as pool:
            running = [pool.submit(again_and_again, job, until) for job in jobs]
            seen = set()
            while time.monotonic() < until:
                seen |= {(daemon.role, threads(daemon)) for daemon in (self.supernode, self.node)}
                time.sleep(0.01)
            for job in running:
                job.result()
        self.assertEqual(seen, {("p2p-supernode", 1), ("p2p-node", 1)})

    def search(self, number: int) -> None:
        """Searches at both, for what is elsewhere and what is nowhere, and a sweep."""
        for content, status in ((ELSEWHERE, 302), (b"nobody's %d" % number, 404)):
            path = f"/api/node/resources/{id_of(content)}"
            self.assertEqual(self.node.get(path).status, status)
        self.supernode.get(f"/api/supernode/search/{id_of(b'nobody else has %d' % number)}")
        self.supernode.get("/api/supernode/xxx")

    def ask_as_a_peer(self, number: int) -> None:
        """Requests to the group."""
        address, _, port = self.group.partition(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            loopback = socket.inet_aton("127.0.0.1")
            peer.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, loopback)
            peer.sendto(f"peer;20;{id_of(SMALL)}".encode(), (address, int(port)))
        time.sleep(0.01)

    def download(self, number: int) -> None:
        """The large content."""
        body = self.node.get(f"/api/node/resources/{id_of(LARGE)}/content").body
        self.assertEqual(len(body), len(LARGE))

    def change(self, number: int) -> None:
        """A new content to be hashed, until it shows."""
        content = b"%d" % number + LARGE
        (self.shared("node") / "changing.bin").write_bytes(content)
        path = f"/api/node/resources/{id_of(content)}/content"
        eventually(10, "it shows", lambda: self.node.request("HEAD", path).status == 200)


def again_and_again(job: Callable[[int], None], until: float) -> None:
    """Do the job, numbered, for that long."""
    for number in itertools.count():
        if time.monotonic() > until:
            return
        job(number)


def threads(daemon: Daemon) -> int:
    """How many threads its process has."""
    return len(os.listdir(f"/proc/{daemon.pid}/task"))
