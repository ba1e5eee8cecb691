"""Supernodes that multicast doesn't join, and ask each other by HTTP."""

import socket

from .cases import GROUP, SystemTestCase
from .daemons import Daemon, at, eventually, free_port, id_of

CONTENT = b"content"


class PeersTests(SystemTestCase):
    """Two supernodes in groups that don't hear each other."""

    def apart(self, *options: str) -> Daemon:
        """A supernode in a group of its own."""
        self.group = f"{GROUP}:{free_port(socket.SOCK_DGRAM)}"
        return self.start_supernode(*options)

    def test_peer(self) -> None:
        """What the named one knows is found, and its nodes are sent to as to others'."""
        first = self.apart()
        holder = self.start_node("holder", {"file": CONTENT}, *at(first))
        self.wait_until_held(first, "holder", id_of(CONTENT))
        second = self.apart("--peer", first.url)
        node = self.start_node("node", {}, *at(second))
        found = second.get(f"/api/supernode/search/{id_of(CONTENT)}").data
        self.assertEqual(found["file"]["locations"], [holder.location])
        self.assertEqual(first.get("/api/supernode/search/unknown").data, {})
        eventually(
            5,
            "its node has joined",
            lambda: node.get("/api/node/health").data["supernode"],
        )
        content = node.get(f"/api/node/resources/{id_of(CONTENT)}/content")
        self.assertEqual(content.status, 302)
        listed = second.get("/api/supernode/search/supernode").data["file"]["locations"]
        self.assertEqual(listed, [second.location, first.location])

    def test_gone(self) -> None:
        """A named one that is gone is told once, and holds up searches for a moment only."""
        gone = f"http://127.0.0.1:{free_port()}"
        supernode = self.apart("--peer", gone)
        for number in range(5):
            self.assertEqual(supernode.get(f"/api/supernode/search/unknown{number}").data, {})
        self.assertEqual(supernode.log.read_text().count("--peer can't be asked"), 1)
