"""Supernodes that multicast doesn't join, and that ask each other by HTTP."""

import shutil
import socket
import time
from unittest import SkipTest

from .cases import GROUP, SystemTestCase
from .daemons import Daemon, at, eventually, free_port, id_of, supernode_of
from .hosts import Host, Switch

NAMES = ("one", "two", "three")

#: Seconds that a search for what nobody has takes, where a peer is silent: 1 s for that one
#: before it is left alone for 5 s, and some for a busy machine.
HELD_UP, NOT_HELD_UP = 2.0, 0.9


class NoMulticastTests(SystemTestCase):
    """Three hosts with a supernode and a node each, on a network that carries no multicast."""

    def setUp(self) -> None:
        super().setUp()
        switch = Switch(self)
        hosts = [switch.host(f"10.9.4.{number}") for number in (1, 2, 3)]
        urls = [f"http://{host.address}:5000" for host in hosts]
        self.supernodes, self.nodes = [], []
        for host, name in zip(hosts, NAMES, strict=True):
            self.no_multicast(host)
            others = [url for url in urls if host.address not in url]
            named = [option for url in others for option in ("--peer", url)]
            self.supernodes.append(self.start("p2p-supernode", 5000, *named, machine=host))
            (self.shared(name) / name).write_text(name)
            sharing = ("--name", name, "--resources", str(self.shared(name)))
            at_own = at(self.supernodes[-1])
            self.nodes.append(self.start("p2p-node", 8000, *sharing, *at_own, machine=host))
        for supernode, name in zip(self.supernodes, NAMES, strict=True):
            self.wait_until_held(supernode, name, id_of(name.encode()))

    def no_multicast(self, host: Host) -> None:
        if shutil.which("nft") is None:
            raise SkipTest("there is no nft: install nftables")
        chain = "type filter hook output priority 0; ip daddr 224.0.0.0/4 drop;"
        host.run("nft", f"table ip none {{\nchain output {{ {chain} }}\n}}\n")

    def test_found(self) -> None:
        """Each finds what any other has, and its nodes get it; each knows all supernodes."""
        everybody = {supernode.location for supernode in self.supernodes}
        for supernode, node in zip(self.supernodes, self.nodes, strict=True):
            listed = supernode.get("/api/supernode/search/supernode").data["file"]["locations"]
            self.assertEqual(set(listed), everybody)
            self.assertEqual(supernode_of(node), supernode.location)
            for holder, name in zip(self.nodes, NAMES, strict=True):
                id = id_of(name.encode())
                found = supernode.get(f"/api/supernode/search/{id}").data
                self.assertEqual(found["file"]["locations"], [holder.location])
                path = f"{node.url}/api/node/resources/{id}/content"
                assert isinstance(node.machine, Host)
                self.assertEqual(node.machine.curl("--location", path), name.encode())
            self.assertEqual(supernode.get("/api/supernode/search/unknown").data, {})


class PeersTests(SystemTestCase):
    """Supernodes in groups that don't hear each other."""

    def apart(self, *options: str) -> Daemon:
        """A supernode in a group of its own."""
        self.group = f"{GROUP}:{free_port(socket.SOCK_DGRAM)}"
        return self.start_supernode(*options)

    def test_as_well(self) -> None:
        """A named one is asked beside those that multicast reaches, and both are believed."""
        first = self.apart()
        holder = self.start_node("holder", {"file": b"far"}, *at(first))
        self.wait_until_held(first, "holder", id_of(b"far"))
        second = self.apart("--peer", first.url)
        third = self.start_supernode()
        other = self.start_node("other", {"file": b"near"}, *at(third))
        self.wait_until_held(third, "other", id_of(b"near"))
        for content, node in ((b"far", holder), (b"near", other)):
            found = second.get(f"/api/supernode/search/{id_of(content)}").data
            self.assertEqual(found["file"]["locations"], [node.location])
        listed = second.get("/api/supernode/search/supernode").data["file"]["locations"]
        self.assertEqual(set(listed), {one.location for one in (first, second, third)})

    def test_gone(self) -> None:
        """One that is gone, or silent, is told once and holds up one search for a moment."""
        silent = self.apart()
        silent.freeze()
        for gone in (f"http://127.0.0.1:{free_port()}", silent.url):
            supernode = self.apart("--peer", gone)
            took = []
            for number in range(5):
                began = time.monotonic()
                self.assertEqual(supernode.get(f"/api/supernode/search/unknown{number}").data, {})
                took.append(time.monotonic() - began)
            self.assertLess(took[0], HELD_UP)
            self.assertLess(max(took[1:]), NOT_HELD_UP)
            self.assertEqual(supernode.log.read_text().count("--peer can't be asked"), 1)

    def test_back(self) -> None:
        """One that comes back is asked again within 5 s, and a moment."""
        port = free_port()
        supernode = self.apart("--peer", f"http://127.0.0.1:{port}")
        self.assertEqual(supernode.get("/api/supernode/search/unknown").data, {})
        self.group = f"{GROUP}:{free_port(socket.SOCK_DGRAM)}"
        peer = self.start_supernode(port=port)
        holder = self.start_node("holder", {"file": b"it"}, *at(peer))
        self.wait_until_held(peer, "holder", id_of(b"it"))
        search = f"/api/supernode/search/{id_of(b'it')}"
        eventually(7, "it is asked again", lambda: supernode.get(search).data)
        self.assertTrue(holder.is_running)
