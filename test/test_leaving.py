"""Daemons that are told to end, and what they leave behind."""

import os
import time
from http.client import HTTPConnection

from .cases import SystemTestCase
from .daemons import at, eventually, free_port, id_of

#: Far more than fits into the buffers of a connection.
LARGE = os.urandom(1024) * (64 * 1024)


class LeavingTests(SystemTestCase):
    """SIGTERM, and starting again."""

    def test_node_says_goodbye(self) -> None:
        """A node that is told to end is gone from its supernode when it has ended, not later."""
        supernode = self.start_supernode()
        node = self.start_node("node", {"it.txt": b"it"}, *at(supernode))
        self.wait_until_held(supernode, "node", id_of(b"it"))
        node.stop()
        self.assertEqual(supernode.get("/api/supernode/alive").data, [])
        self.assertEqual(supernode.get(f"/api/supernode/search/{id_of(b'it')}").data, {})

    def test_download_finishes(self) -> None:
        """A download that is under way when its node is told to end arrives whole."""
        node = self.start_node("node", {"large.bin": LARGE})
        path = f"/api/node/resources/{id_of(LARGE)}/content"
        eventually(10, "the file is hashed", lambda: node.request("HEAD", path).status == 200)
        connection = HTTPConnection(node.machine.address, node.port, timeout=10)
        self.addCleanup(connection.close)
        connection.request("GET", path)
        response = connection.getresponse()
        beginning = response.read(1000)
        node.terminate()
        eventually(2, "the node takes no new connections", lambda: refuses(node.port))
        self.assertTrue(node.is_running)
        self.assertEqual(id_of(beginning + response.read()), id_of(LARGE))
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
        eventually(1, "the node is gone", lambda: supernode.get(alive).data == [])
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
