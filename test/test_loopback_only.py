"""A machine with no network but loopback, and daemons with nothing configured."""

from .cases import SystemTestCase
from .daemons import at, id_of, supernode_of
from .hosts import Host


class LoopbackOnlyTests(SystemTestCase):
    """A namespace with loopback and no route anywhere."""

    def test_found_by_multicast(self) -> None:
        """Nodes find supernodes, and two supernodes each other's resources, by multicast."""
        host = Host(self)
        content = {"one": b"one", "two": b"two"}
        supernodes = {
            "one": self.start("p2p-supernode", 5000, machine=host),
            "two": self.start("p2p-supernode", 5001, "--port", "5001", machine=host),
        }
        nodes = {}
        for name, port in (("one", 8001), ("two", 8002)):
            share = self.shared(name)
            (share / "it.txt").write_bytes(content[name])
            options = ("--port", str(port), "--name", name, "--resources", str(share))
            supernode = supernodes[name]
            nodes[name] = self.start("p2p-node", port, *options, *at(supernode), machine=host)
            self.wait_until_held(supernode, name, id_of(content[name]))
        for asked, holder in (("one", "two"), ("two", "one")):
            id = id_of(content[holder])
            found = supernodes[asked].get(f"/api/supernode/search/{id}").data
            self.assertEqual(found["file"]["locations"], [nodes[holder].location])
            body = host.curl("--location", f"{nodes[asked].url}/api/node/resources/{id}/content")
            self.assertEqual(body, content[holder])

        # With nothing said at all, a node shares ./resources and finds a supernode by itself.
        (self.folder / "resources").mkdir()
        stray = self.start("p2p-node", 8000, machine=host)
        self.assertIn(supernode_of(stray), [each.location for each in supernodes.values()])
