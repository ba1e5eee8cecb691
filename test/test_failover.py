"""A supernode dies: searches at the other one still end, and its nodes move there."""

import time

from .cases import SystemTestCase
from .daemons import Daemon, at, id_of, promised

#: Seconds within which every node is at the other supernode.
MOVED_WITHIN = 15.0

#: Files of a node whose registration may take so long that nobody should wait for its end.
MANY = 10_000

#: Seconds until these are hashed and registered.
HASHED_WITHIN = 60.0

#: Seconds that a search may take, whoever is dead.
LATEST = 1.0


class FailoverTests(SystemTestCase):
    """Two supernodes, one of which is killed."""

    def test_failover(self) -> None:
        """Nodes move to the next that they were given, or to one that they find by multicast."""
        first, second = self.start_supernode(), self.start_supernode()
        both = (*at(first), *at(second))
        nodes = [
            self.start_node("given-both", {"a.txt": b"a"}, *both),
            self.start_node("given-one", {"b.txt": b"b"}, *at(first)),
            self.start_node("stays", {"c.txt": b"c"}, *at(second)),
        ]
        for supernode, name, content in (
            (first, "given-both", b"a"),
            (first, "given-one", b"b"),
            (second, "stays", b"c"),
        ):
            self.wait_until_held(supernode, name, id_of(content))
        self.assertTrue(second.get(f"/api/supernode/search/{id_of(b'a')}").data)

        first.kill()
        killed = time.monotonic()
        self.assertEqual(self.search(second, b"nobody's"), {})
        self.assertTrue(self.search(second, b"c"))

        everyone = {node.location for node in nodes}
        promised(
            killed + MOVED_WITHIN - time.monotonic(),
            "every node is at the other supernode",
            lambda: {n["location"] for n in second.get("/api/supernode/alive").data} == everyone,
        )
        for name, content in (("given-both", b"a"), ("given-one", b"b"), ("stays", b"c")):
            self.wait_until_held(second, name, id_of(content), within=1)

    def test_silent_while_told(self) -> None:
        """A supernode that falls silent as a long list is sent to it is given up as soon."""
        first, second = self.start_supernode(), self.start_supernode()
        files = {f"{number}.txt": str(number).encode() for number in range(MANY)}
        self.start_node("long", files, *at(first), *at(second))
        last = id_of(str(MANY - 1).encode())
        self.wait_until_held(first, "long", last, within=HASHED_WITHIN)
        first.freeze()
        self.addCleanup(first.thaw)
        silent = time.monotonic()
        (self.shared("long") / "new.txt").write_bytes(b"new")
        within = silent + MOVED_WITHIN - time.monotonic()
        self.wait_until_held(second, "long", last, id_of(b"new"), within=within)

    def search(self, supernode: Daemon, content: bytes) -> object:
        """What is found; fails where it takes too long."""
        began = time.monotonic()
        found: object = supernode.get(f"/api/supernode/search/{id_of(content)}").data
        self.assertLess(time.monotonic() - began, LATEST)
        return found
