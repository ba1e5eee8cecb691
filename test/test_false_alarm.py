"""A supernode throws nobody out for what is not the nodes' fault."""

import time

from .cases import SystemTestCase
from .daemons import at, eventually, id_of

#: Seconds for which the supernode is stopped; its nodes would be gone after 10.
STOPPED = 20.0

NODES = 5

#: Seconds in which just two sweeps fail, of one second's interval and 2 s for a check.
TWO_SWEEPS = 6.5

#: Seconds in which a third and a fourth have failed, too.
FOUR_SWEEPS = 13.0


class FalseAlarmTests(SystemTestCase):
    """SIGSTOP, and what comes after it."""

    def test_stopped(self) -> None:
        """After 20 s of standing still it lists all nodes, at once and two sweeps later."""
        supernode = self.start_supernode("--sweep-interval", "1")
        for number in range(NODES):
            name = f"node{number}"
            self.start_node(name, {"file": name.encode()}, *at(supernode))
            self.wait_until_held(supernode, name, id_of(name.encode()))
        supernode.freeze()
        time.sleep(STOPPED)
        supernode.thaw()
        until = time.monotonic() + 4
        while time.monotonic() < until:
            self.assertEqual(len(supernode.get("/api/supernode/alive").data), NODES)
        self.assertNotIn("is gone", supernode.log.read_text())
        ids = [id_of(f"node{number}".encode()) for number in range(NODES)]
        found = f"/api/supernode/search?hash_ids={','.join(ids)}"
        eventually(5, "all is found", lambda: len(supernode.get(found).data) == NODES)


class TogetherTests(SystemTestCase):
    """Most nodes of one supernode do not answer."""

    def setUp(self) -> None:
        super().setUp()
        self.supernode = self.start_supernode("--sweep-interval", "1")
        self.nodes = []
        for number in range(NODES):
            name = f"node{number}"
            self.nodes.append(self.start_node(name, {"file": b"it"}, *at(self.supernode)))
            self.wait_until_held(self.supernode, name, id_of(b"it"))

    def alive(self) -> int:
        return len(self.supernode.get("/api/supernode/alive").data)

    def test_two_sweeps(self) -> None:
        """Where most fail together one sweep more is waited for; a lone node is gone after two."""
        for node in self.nodes[1:]:
            node.freeze()
            self.addCleanup(node.thaw)
        until = time.monotonic() + TWO_SWEEPS
        while time.monotonic() < until:
            self.assertEqual(self.alive(), NODES)
            time.sleep(0.1)
        for node in self.nodes[1:]:
            node.thaw()
        time.sleep(2)
        self.assertEqual(self.alive(), NODES)
        self.nodes[1].freeze()
        eventually(TWO_SWEEPS + 1, "the lone one is gone", lambda: self.alive() == NODES - 1)

    def test_really_gone(self) -> None:
        """Those that go on failing together are gone, all of them."""
        for node in self.nodes[1:]:
            node.kill()
        eventually(FOUR_SWEEPS, "they are gone", lambda: self.alive() == 1)
