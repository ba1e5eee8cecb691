"""Daemons that are told to end, and what they leave behind."""

import os
import signal
import time
from http.client import HTTPConnection, HTTPResponse, IncompleteRead

import psutil

from .cases import SystemTestCase
from .daemons import Daemon, at, eventually, free_port, id_of, promised

#: Far more than fits into the buffers of a connection.
LARGE = os.urandom(1024) * (64 * 1024)

#: Seconds that what is under way gets, and some for a busy machine.
GRACE, ENDED_WITHIN = 5.0, 7.0

#: Bytes a second with which it is through in that time, and with which it isn't.
FAST, SLOW = len(LARGE) // 3, len(LARGE) // 12


class LeavingTests(SystemTestCase):
    """Signals that end a daemon, and starting again."""

    def test_node_says_goodbye(self) -> None:
        """A node that is told to end is gone from its supernode when it has ended, not later."""
        supernode = self.start_supernode()
        for number in (signal.SIGTERM, signal.SIGHUP):
            node = self.start_node(f"node-{number}", {"it.txt": b"it"}, *at(supernode))
            self.wait_until_held(supernode, f"node-{number}", id_of(b"it"))
            node.stop(number)
            self.assertEqual(supernode.get("/api/supernode/alive").data, [])
            self.assertEqual(supernode.get(f"/api/supernode/search/{id_of(b'it')}").data, {})
        supernode.stop(signal.SIGHUP)

    def download(self, node: Daemon) -> HTTPResponse:
        """A download of the large file that is under way."""
        path = f"/api/node/resources/{id_of(LARGE)}/content"
        eventually(10, "the file is hashed", lambda: node.request("HEAD", path).status == 200)
        connection = HTTPConnection(node.machine.address, node.port, timeout=10)
        self.addCleanup(connection.close)
        connection.request("GET", path)
        return connection.getresponse()

    def test_download_finishes(self) -> None:
        """A download that takes 3 s more when its node is told to end arrives whole."""
        node = self.start_node("node", {"large.bin": LARGE}, "--max-upload", str(FAST))
        response = self.download(node)
        beginning = response.read(1000)
        began = time.monotonic()
        node.terminate()
        eventually(0.5, "the node takes no new connections", lambda: refuses(node.port))
        self.assertTrue(node.is_running)
        self.assertEqual(id_of(beginning + response.read()), id_of(LARGE))
        self.assertEqual(node.ended(), 0)
        self.assertGreater(time.monotonic() - began, 2)

    def test_download_is_cut_off(self) -> None:
        """One that takes 12 s more gets 5, and can't be taken for whole."""
        node = self.start_node("node", {"large.bin": LARGE}, "--max-upload", str(SLOW))
        response = self.download(node)
        response.read(1000)
        began = time.monotonic()
        node.terminate()
        with self.assertRaises((IncompleteRead, ConnectionError)):
            response.read()
        took = time.monotonic() - began
        self.assertTrue(GRACE - 0.5 < took < ENDED_WITHIN, took)
        self.assertEqual(node.ended(), 0)
        self.assertLess(time.monotonic() - began, ENDED_WITHIN)

    def test_silent_supernode(self) -> None:
        """New work is refused at once, though the supernode doesn't hear the goodbye."""
        supernode = self.start_supernode()
        node = self.start_node("node", {"large.bin": LARGE}, *at(supernode))
        self.wait_until_held(supernode, "node", id_of(LARGE))
        supernode.freeze()
        began = time.monotonic()
        node.terminate()
        eventually(0.5, "the node takes no new connections", lambda: refuses(node.port))
        self.assertEqual(node.ended(), 0)
        self.assertLess(time.monotonic() - began, ENDED_WITHIN)
        supernode.thaw()

    def fetching(self, rate: int) -> Daemon:
        """A node that has begun to fetch the large file."""
        supernode = self.start_supernode()
        holder = self.start_node(
            "holder", {"large.bin": LARGE}, *at(supernode), "--max-upload", str(rate)
        )
        self.wait_until_held(supernode, "holder", id_of(LARGE))
        fetcher = self.start_node("fetcher", {}, *at(supernode))
        ordered = {"id": id_of(LARGE)}
        eventually(
            10, "it is ordered", lambda: fetcher.post("/api/node/fetch", ordered).status == 202
        )
        path = f"/api/node/fetch/{id_of(LARGE)}"
        eventually(10, "some has come", lambda: fetcher.get(path).data.get("here"))
        self.assertTrue(holder.is_running)
        return fetcher

    def test_fetch_finishes(self) -> None:
        """A fetch that takes 3 s more comes to its end."""
        fetcher = self.fetching(FAST)
        fetcher.terminate()
        self.assertEqual(fetcher.ended(), 0)
        self.assertEqual((self.shared("fetcher") / "large.bin").read_bytes(), LARGE)

    def test_fetch_is_broken_off(self) -> None:
        """One that takes longer gets 5 s, and what has come is kept."""
        fetcher = self.fetching(SLOW)
        began = time.monotonic()
        fetcher.terminate()
        self.assertEqual(fetcher.ended(), 0)
        self.assertTrue(GRACE - 0.5 < time.monotonic() - began < ENDED_WITHIN)
        folder = self.shared("fetcher")
        self.assertFalse((folder / "large.bin").exists())
        self.assertGreater(len((folder / "large.bin.part.journal").read_text().split()), 3)

    def test_digests(self) -> None:
        """A node with --state that is started again hashes nothing that it has hashed."""
        state = ("--state", str(self.folder / "state"))
        supernode = self.start_supernode()
        for files in ({"large.bin": LARGE}, {}):
            node = self.start_node("node", files, *at(supernode), *state)
            self.wait_until_held(supernode, "node", id_of(LARGE))
            # The child that hashes stays for a while.
            self.assertEqual(bool(psutil.Process(node.pid).children()), bool(files))
            node.stop()

    def test_gone_at_once(self) -> None:
        """A node told to end is gone from its supernode within 1 s, while a download goes on."""
        supernode = self.start_supernode()
        node = self.start_node("node", {"large.bin": LARGE}, *at(supernode))
        self.wait_until_held(supernode, "node", id_of(LARGE))
        connection = HTTPConnection(node.machine.address, node.port, timeout=10)
        self.addCleanup(connection.close)
        connection.request("GET", f"/api/node/resources/{id_of(LARGE)}/content")
        response = connection.getresponse()
        beginning = response.read(1000)
        node.terminate()
        alive = "/api/supernode/alive"
        promised(1, "the node is gone", lambda: supernode.get(alive).data == [])
        self.assertTrue(node.is_running)
        time.sleep(2)
        self.assertEqual(id_of(beginning + response.read()), id_of(LARGE))
        self.assertEqual(node.ended(), 0)

    def test_stuck_download_ends(self) -> None:
        """A download that nobody reads does not keep a node that is told to end."""
        node = self.start_node("node", {"large.bin": LARGE})
        path = f"/api/node/resources/{id_of(LARGE)}/content"
        eventually(10, "the file is hashed", lambda: node.request("HEAD", path).status == 200)
        connection = HTTPConnection(node.machine.address, node.port, timeout=10)
        self.addCleanup(connection.close)
        connection.request("GET", path)
        connection.getresponse()
        node.stop()

    def test_state(self) -> None:
        """A supernode with --state answers for the nodes it knew from its first moment on."""
        port, state = free_port(), ("--state", str(self.folder / "state"))
        supernode = self.start_supernode(*state, port=port)
        node = self.start_node("node", {"it.txt": b"it"}, *at(supernode))
        self.wait_until_held(supernode, "node", id_of(b"it"))
        # Frozen, the node can't be what tells the new supernode.
        node.freeze()
        supernode.stop()
        supernode = self.start_supernode(*state, port=port)
        alive = supernode.get("/api/supernode/alive").data
        found = supernode.get(f"/api/supernode/search/{id_of(b'it')}").data
        node.thaw()
        self.assertEqual(alive, [{"name": "node", "location": node.location}])
        self.assertEqual(found["file"]["location"], node.location)
        self.assertEqual(found["file"]["name"], "it.txt")

    def test_no_state(self) -> None:
        """A supernode that lost all hears of its nodes again from their next heartbeat on."""
        port = free_port()
        supernode = self.start_supernode(port=port)
        node = self.start_node("node", {"it.txt": b"it"}, *at(supernode))
        self.wait_until_held(supernode, "node", id_of(b"it"))
        supernode.kill()
        supernode = self.start_supernode(port=port)
        self.wait_until_held(supernode, "node", id_of(b"it"), within=15)
        self.assertTrue(node.is_running)


def refuses(port: int) -> bool:
    """Whether nobody takes connections there any more."""
    connection = HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.connect()
    except ConnectionRefusedError:
        return True
    finally:
        connection.close()
    return False
