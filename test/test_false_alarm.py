"""A supernode that was stopped itself throws nobody out."""

import time

from .cases import SystemTestCase
from .daemons import at, eventually, id_of

#: Seconds for which the supernode is stopped; its nodes would be gone after 10.
STOPPED = 20.0

NODES = 5


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
