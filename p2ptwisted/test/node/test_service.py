"""Tests of `p2ptwisted.node.service`: the node as a service, with all its parts."""

import hashlib
import json
import os
import platform
import socket
from collections import namedtuple
from pathlib import Path
from typing import Any, cast

import psutil
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.client.transport import CALL_TIMEOUT
from p2ptwisted.config import NodeConfig
from p2ptwisted.errors import StartError
from p2ptwisted.node.folder_checks import LOOK_EVERY
from p2ptwisted.node.service import INodeReactor, make_node
from p2ptwisted.protocols import sockets
from p2ptwisted.protocols.datagrams import FoundReply, SearchRequest, decode, encode
from p2ptwisted.support import address_policy, locations
from p2ptwisted.test.fakes import Host, Network, make_peer
from p2ptwisted.test.node_fakes import (
    Connection,
    FakeWatch,
    Peer,
    ProcessMaker,
    producers_on,
)
from p2ptwisted.web.server.site import LimitedSite

SUPERNODE = "10.0.0.1:5000"
LOOPBACK = "127.0.0.1"
GROUP = ("239.255.1.1", 4321)

Link = namedtuple("Link", "family address netmask")
State = namedtuple("State", "isup")


class MemoryHost(MemoryReactor, ProcessMaker, Host):
    """A reactor with everything that a node needs, in memory."""

    def __init__(self, network: Network) -> None:
        MemoryReactor.__init__(self)
        ProcessMaker.__init__(self)
        Host.__init__(self, network, [LOOPBACK])


class MakeNodeTests(SynchronousTestCase):
    """The composed service, on a host with loopback only."""

    def setUp(self) -> None:
        self.patch(
            psutil, "net_if_addrs", lambda: {"lo": [Link(socket.AF_INET, LOOPBACK, "255.0.0.0")]}
        )
        self.patch(psutil, "net_if_stats", lambda: {"lo": State(True)})
        for module in (address_policy, locations, sockets):
            self.patch(module, "address_towards", lambda host: LOOPBACK)
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir(parents=True)
        self.file = self.folder / "file"
        self.file.write_bytes(b"bytes")
        os.utime(self.file, (1_700_000_000, 1_700_000_000))
        self.known = hashlib.sha256(b"bytes").hexdigest()
        self.network = Network()
        self.host = MemoryHost(self.network)
        self.network.hosts.append(self.host)
        producers_on(self, self.host)
        self.watch = FakeWatch()
        self.peers: list[Peer] = []

    def start(self, **options: Any) -> None:
        config = NodeConfig(
            port="8000",
            resources=str(self.folder),
            multicast_group="{}:{}".format(*GROUP),
            **options,
        )
        self.service = make_node(cast(INodeReactor, self.host), config, self.watch)
        self.service.privilegedStartService()
        self.service.startService()
        self.addCleanup(self.stop)
        self.pass_time(0.01)

    def stop(self) -> None:
        """Stop, with a supernode that takes every goodbye."""
        if self.service.running:
            stopped = self.service.stopService()
            self.pass_time(0.01)
            for peer in self.peers:
                peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")
            self.pass_time(10)
            self.successResultOf(stopped)

    def pass_time(self, seconds: float) -> None:
        """In small steps, so that what follows from something comes after it."""
        for _ in range(20):
            self.network.advance(seconds / 20)
            self.host.turn()

    def supernode(self, address: str, port: int) -> Peer:
        """Be the supernode there, to which the node is just connecting."""
        host, number, factory, _, _ = self.host.tcpClients[-1]
        self.assertEqual((host, number), (address, port))
        protocol = factory.buildProtocol(None)
        assert protocol is not None
        peer = Peer(self.host, protocol)
        self.pass_time(0.01)
        self.peers.append(peer)
        return peer

    def ask(self, path: str) -> Any:
        """The data of the node's own answer."""
        site = cast(LimitedSite, self.host.tcpServers[0][1])
        connection = Connection(site, self.host)
        connection.ask("GET", path)
        data = json.loads(connection.take().body)["data"]
        connection.vanish()
        return data

    def test_registers(self) -> None:
        """A node hashes its folder and registers it at the supernode that was named."""
        self.start(supernode="http://10.0.0.1:5000", name="node one")
        peer = self.supernode("10.0.0.1", 5000)
        asked = peer.asked()
        self.assertEqual(asked.line, "POST /api/supernode/register HTTP/1.1")
        registration = json.loads(asked.body)
        self.assertEqual(
            (registration["location"], registration["name"]), ("127.0.0.1:8000", "node one")
        )
        self.assertIs(self.ask("/node/health")["supernode"], None)
        peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        self.assertEqual(
            self.ask("/node/health"),
            {
                "name": "node one",
                "resources": 1,
                "scanning": False,
                "supernode": "10.0.0.1:5000",
                "folder": str(self.folder),
            },
        )
        self.assertEqual(self.ask("/api/node/resources"), [{"id": self.known, "name": "file"}])

    def test_name(self) -> None:
        """Without a name of its own a node is called like its host."""
        self.start()
        self.assertEqual(self.ask("/node/health")["name"], platform.node())

    def test_location(self) -> None:
        """A location that the user gave is what it registers."""
        self.start(supernode="http://10.0.0.1:5000", location="10.0.0.7:80")
        peer = self.supernode("10.0.0.1", 5000)
        self.assertEqual(json.loads(peer.asked().body)["location"], "10.0.0.7:80")
        peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    def test_finds_a_supernode(self) -> None:
        """With none named it asks the group for one, not as a supernode, and goes there."""
        group = make_peer(self.host, GROUP, LOOPBACK)
        self.start()
        self.network.deliver()
        (heard, source), *_ = group.heard
        request = decode(heard)
        assert isinstance(request, SearchRequest)
        self.assertEqual(request.id, "supernode")
        self.assertTrue(request.name.startswith("node-"))
        group.send(encode(FoundReply("other", ("10.0.0.2:5001",), request.tag)), source)
        self.pass_time(1)
        peer = self.supernode("10.0.0.2", 5001)
        self.assertEqual(peer.asked().line, "POST /api/supernode/register HTTP/1.1")
        peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        self.assertEqual(self.ask("/node/health")["supernode"], "10.0.0.2:5001")

    def test_watched(self) -> None:
        """Its folder is watched, until it stops."""
        self.start()
        self.assertEqual(self.watch.entered, [self.folder])
        self.stop()
        self.assertTrue(self.watch.stopped)

    def test_folder_gone(self) -> None:
        """Within 10 s of its folder's end it has told that, and registered nothing."""
        self.start(supernode="http://10.0.0.1:5000")
        peer = self.supernode("10.0.0.1", 5000)
        registered: list[int] = []

        def listen(seconds: float) -> None:
            for _ in range(int(seconds * 10)):
                asked = peer.asked()
                if asked.line.startswith("POST /api/supernode/register"):
                    registered.append(len(json.loads(asked.body)["resources"]))
                if asked.line:
                    peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")
                self.pass_time(0.1)

        listen(3)
        self.assertEqual(registered[-1], 1)
        self.folder.rename(self.folder.with_name("elsewhere"))
        listen(LOOK_EVERY + 1)
        self.assertEqual(registered[-1], 0)
        health = self.ask("/node/health")
        self.assertEqual(health["resources"], 0)
        self.assertIn("the shared folder is gone", health["folder_problem"])
        self.assertLess(LOOK_EVERY, 10)

    def test_stop(self) -> None:
        """It says goodbye and then stops, and leaves neither a socket nor a delayed call."""
        self.start(supernode="http://10.0.0.1:5000")
        peer = self.supernode("10.0.0.1", 5000)
        peer.asked()
        peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        stopped = self.service.stopService()
        self.pass_time(0.01)
        self.assertEqual(peer.asked().line, "DELETE /api/supernode/alive HTTP/1.1")
        self.assertNoResult(stopped)
        peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        self.pass_time(0.01)
        self.successResultOf(stopped)
        self.assertFalse(peer.is_open)
        self.assertEqual(self.host.sockets, [])
        self.assertEqual(self.host.getDelayedCalls(), [])

    def test_state(self) -> None:
        """With a state folder a restarted node hashes nothing again, and starts no process."""
        state = str(Path(self.mktemp()))
        for processes in (1, 1):
            self.start(state=state)
            self.assertEqual(self.ask("/api/node/resources"), [{"id": self.known, "name": "file"}])
            self.assertEqual(len(self.host.processes), processes)
            self.stop()
            self.host.tcpServers.clear()

    def test_bad_state(self) -> None:
        """A state folder that can't be is told of before anything starts."""
        error = self.assertRaises(StartError, self.start, state=str(self.file))
        self.assertIn(f"--state {self.file}", str(error))

    def test_limits(self) -> None:
        """Of --uploads, one, and --max-upload both are heeded."""
        self.file.write_bytes(bytes(4 * 64 * 1024))
        os.utime(self.file, (1_700_000_000, 1_700_000_000))
        known = hashlib.sha256(self.file.read_bytes()).hexdigest()
        self.start(uploads=1, max_upload=64 * 1024)
        site = cast(LimitedSite, self.host.tcpServers[0][1])
        first, second = (Connection(site, self.host) for _ in range(2))
        first.ask("GET", f"/api/node/resources/{known}/content")
        second.ask("GET", f"/api/node/resources/{known}/content")
        self.assertEqual(second.take().status, 503)
        self.pass_time(2)
        received = len(first.received())
        self.assertGreater(received, 2 * 64 * 1024)
        self.assertLess(received, 4 * 64 * 1024)
        for connection in (first, second):
            connection.vanish()

    def test_fetch(self) -> None:
        """It fetches for whoever may have it do so, and for no other."""
        self.start(trusted_network="10.0.0.0/8")
        site = cast(LimitedSite, self.host.tcpServers[0][1])
        body = json.dumps({"id": "b" * 64}).encode()
        for host, status in [("127.0.0.1", 202), ("10.1.2.3", 202), ("11.0.0.1", 403)]:
            connection = Connection(site, self.host, host)
            connection.ask("POST", "/api/node/fetch", body=body)
            self.assertEqual(connection.take().status, status)
            connection.vanish()
        (status,) = self.ask("/api/node/fetch")
        self.assertEqual(status["id"], "b" * 64)

    def test_stop_while_hashing(self) -> None:
        """Stopped while its files are being hashed, it awaits the end of those who do."""
        self.patch(self.host, "turn", lambda: None)
        self.start()
        (process,) = self.host.processes
        stopped = self.service.stopService()
        self.pass_time(1)
        self.assertNoResult(stopped)
        self.assertTrue(process.killed)
        process.die()
        self.pass_time(1)
        self.successResultOf(stopped)
        self.assertEqual(self.host.getDelayedCalls(), [])

    def test_stop_without_a_supernode(self) -> None:
        """Where it has found none it stops just as well, after a goodbye in vain."""
        self.start(supernode="http://10.0.0.1:5000")
        stopped = self.service.stopService()
        self.pass_time(CALL_TIMEOUT)
        self.successResultOf(stopped)
        self.assertEqual(self.host.sockets, [])
        self.assertEqual(self.host.getDelayedCalls(), [])
