"""
Three hosts on a switch, with the files in etc/ as they are.

    192.168.35.10   supernode1 (port 5000), supernode2 (port 5001)
    192.168.35.11   node1 (port 8000), at supernode1
    192.168.35.12   node2 (port 8000), at supernode1; node3 (port 8001), at supernode2
"""

from .cases import SystemTestCase
from .daemons import CHECKOUT, Daemon, at, eventually, id_of, promised, supernode_of
from .hosts import Host, Switch

#: Seconds within which a node that died is gone.
GONE_WITHIN = 15.0


class ThreeHostsTests(SystemTestCase):
    """What etc/ describes."""

    def setUp(self) -> None:
        super().setUp()
        switch = Switch(self)
        self.ten, self.eleven, self.twelve = (
            switch.host(f"192.168.35.{number}") for number in (10, 11, 12)
        )
        self.supernode1 = self.start_from_etc("supernode1", self.ten, 5000)
        self.supernode2 = self.start_from_etc("supernode2", self.ten, 5001)
        self.node1 = self.start_from_etc("node1", self.eleven, 8000)
        self.node2 = self.start_from_etc("node2", self.twelve, 8000)
        self.node3 = self.start_from_etc("node3", self.twelve, 8001)
        resources = CHECKOUT / "resources"
        self.one = (resources / "node1" / "welcome.txt").read_bytes()
        self.three = (resources / "node3" / "lighthouse.txt").read_bytes()
        self.wait_until_held(self.supernode1, "node1", id_of(self.one))
        self.wait_until_held(self.supernode2, "node3", id_of(self.three))
        eventually(5, "node2 is alive", lambda: "node2" in self.alive(self.supernode1))

    def start_from_etc(self, name: str, host: Host, port: int) -> Daemon:
        role = "p2p-" + name.rstrip("0123456789")
        config = ("--config", f"etc/{name}.toml")
        return self.start(role, port, *config, machine=host, folder=CHECKOUT)

    def alive(self, supernode: Daemon) -> dict[str, str]:
        """The locations of the nodes that are alive there, by name."""
        nodes = supernode.get("/api/supernode/alive").data
        return {node["name"]: node["location"] for node in nodes}

    def test_tour(self) -> None:
        """What a newcomer does: list, ask, be led to another host, and fetch from there."""
        self.assertEqual(
            self.alive(self.supernode1),
            {"node1": "192.168.35.11:8000", "node2": "192.168.35.12:8000"},
        )
        self.assertEqual(self.alive(self.supernode2), {"node3": "192.168.35.12:8001"})

        listed = self.node1.get("/api/node/resources").data
        self.assertIn(id_of(self.one), [resource["id"] for resource in listed])
        own = self.node1.get(f"/api/node/resources/{id_of(self.one)}")
        self.assertEqual((own.status, own.data["id"]), (200, id_of(self.one)))

        # supernode1 doesn't know node3, so this crosses to supernode2 by multicast.
        path = f"/api/node/resources/{id_of(self.three)}"
        elsewhere = self.node2.get(path)
        self.assertEqual(elsewhere.status, 302)
        self.assertEqual(elsewhere.headers["Location"], f"http://192.168.35.12:8001{path}")
        self.assertEqual(elsewhere.data["info"]["location"], "192.168.35.12:8001")

        for host, node in ((self.eleven, self.node1), (self.ten, self.node2)):
            content = host.curl("--fail", "--location", f"{node.url}{path}/content")
            self.assertEqual(content, self.three)

    def test_killed_node(self) -> None:
        """A node that dies without a word is gone from its supernode, with all it had."""
        path = f"/api/supernode/search/{id_of(self.three)}"
        self.assertTrue(self.supernode1.get(path).data)
        self.node3.kill()
        promised(GONE_WITHIN, "node3 is gone", lambda: "node3" not in self.alive(self.supernode2))
        self.assertEqual(self.supernode2.get(path).data, {})
        self.assertEqual(self.supernode1.get(path).data, {})
        self.assertEqual(self.node2.get(f"/api/node/resources/{id_of(self.three)}").status, 404)

    def test_multicast_crosses_the_switch(self) -> None:
        """A search and its answer, and a call for supernodes, pass from host to host."""
        far = self.start("p2p-supernode", 5002, "--port", "5002", machine=self.eleven)
        found = far.get(f"/api/supernode/search/{id_of(self.three)}").data
        self.assertEqual(found["file"]["locations"], ["192.168.35.12:8001"])

        (self.shared("four") / "four.txt").write_bytes(b"four")
        sharing = ("--port", "8004", "--name", "four", "--resources", str(self.shared("four")))
        four = self.start("p2p-node", 8004, *sharing, *at(far), machine=self.eleven)
        self.wait_until_held(far, "four", id_of(b"four"))
        found = self.supernode1.get(f"/api/supernode/search/{id_of(b'four')}").data
        self.assertEqual(found["file"]["locations"], [four.location])

        far.kill()
        (self.shared("five") / "five.txt").write_bytes(b"five")
        sharing = ("--port", "8005", "--name", "five", "--resources", str(self.shared("five")))
        five = self.start("p2p-node", 8005, *sharing, machine=self.eleven)
        self.assertIn(supernode_of(five), ["192.168.35.10:5000", "192.168.35.10:5001"])
