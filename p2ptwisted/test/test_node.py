"""Tests of `p2ptwisted.node`: what a node does when it is asked, and the node as a whole."""

import hashlib
import json
import os
import platform
import socket
from collections import namedtuple
from pathlib import Path
from typing import Any, cast

import psutil
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2ptwisted import addresses
from p2ptwisted.addresses import Location, OwnLocation
from p2ptwisted.config import NodeConfig
from p2ptwisted.errors import Unavailable
from p2ptwisted.interfaces import ILibrary, INode
from p2ptwisted.membership import Membership
from p2ptwisted.model import Health, HeldFile, Holding, Resource
from p2ptwisted.node import INodeReactor, Node, make_node
from p2ptwisted.protocols import multicast
from p2ptwisted.protocols.wire import Found, Request, decode, encode
from p2ptwisted.test.fakes import Host, Network, make_peer
from p2ptwisted.test.node_fakes import (
    Connection,
    FakeClient,
    FakeLibrary,
    FakeWatch,
    Peer,
    producers_on,
)
from p2ptwisted.web.site import LimitedSite

SUPERNODE = "10.0.0.1:5000"
OWN = "10.0.0.9:8000"
HERE = Resource("a" * 64, "here", 5)
THERE = "b" * 64
NOWHERE = "c" * 64


def held(id: str, *locations: str) -> Holding:
    return Holding(id, HeldFile(locations[0], list(locations), "there", 7))


class NodeTests(SynchronousTestCase):
    """A node with a library of one resource, whose supernode knows of another."""

    def setUp(self) -> None:
        clock = Clock()
        self.client = FakeClient(clock)
        self.client.up.add(SUPERNODE)
        self.client.holdings[THERE] = held(THERE, "10.0.0.3:8000", "10.0.0.4:8000")
        self.library = FakeLibrary(HERE)
        self.library.contents[HERE.id] = b"bytes"
        own = OwnLocation(("10.0.0.9", 8000), lambda: Location("0.0.0.0", 8000))
        # Not started: where it is registered is all that the node asks of it.
        self.membership = Membership(
            clock, self.client, self.library, "node1", own.towards, [], lambda: Deferred()
        )
        self.membership.supernode = SUPERNODE
        self.node = Node("node1", self.library, self.membership, self.client, own)

    def find(self, *ids: str) -> list[Resource | Holding]:
        return self.successResultOf(Deferred.fromCoroutine(self.find_coroutine(*ids)))

    async def find_coroutine(self, *ids: str) -> list[Resource | Holding]:
        return await self.node.find(ids)

    def test_providers(self) -> None:
        """The node, and the library it is tested with, are what the seams ask for."""
        verifyObject(INode, self.node)
        verifyObject(ILibrary, self.library)

    def test_here(self) -> None:
        """What is here is found without asking anybody."""
        self.assertEqual(self.find(HERE.id), [HERE])
        self.assertEqual(self.client.calls, [])

    def test_elsewhere(self) -> None:
        """What is not here is asked of the supernode, and comes with its holders."""
        self.assertEqual(self.find(THERE), [held(THERE, "10.0.0.3:8000", "10.0.0.4:8000")])

    def test_nowhere(self) -> None:
        """What nobody has is not among what is found, and is no error."""
        self.assertEqual(self.find(NOWHERE), [])
        self.assertEqual(self.find(), [])

    def test_supernodes(self) -> None:
        """The id that stands for supernodes is no file's: nobody is sent to one for it."""
        self.client.holdings["supernode"] = held("supernode", SUPERNODE)
        self.assertEqual(self.find("supernode"), [])
        self.assertEqual(self.find(THERE, "supernode"), [self.client.holdings[THERE]])

    def test_many(self) -> None:
        """Of many, those found come in the order asked for, with one question for the missing."""
        also = Resource("d" * 64, "also here", 1)
        self.library.change(HERE, also)
        found = self.find(THERE, also.id, NOWHERE, HERE.id)
        self.assertEqual(found, [held(THERE, "10.0.0.3:8000", "10.0.0.4:8000"), also, HERE])
        self.assertEqual(self.client.called("search"), [(0, SUPERNODE)])

    def test_own_location(self) -> None:
        """A holding that names this node too is given without it: nobody is sent in a circle."""
        self.client.holdings[THERE] = held(THERE, OWN, "10.0.0.4:8000")
        self.assertEqual(self.find(THERE), [held(THERE, "10.0.0.4:8000")])
        self.client.holdings[THERE] = held(THERE, "10.0.0.3:8000", OWN)
        self.assertEqual(self.find(THERE), [held(THERE, "10.0.0.3:8000")])

    def test_only_own_location(self) -> None:
        """What the supernode believes to be here alone, and is not, nobody has."""
        self.client.holdings[THERE] = held(THERE, OWN)
        self.assertEqual(self.find(THERE), [])

    def test_no_supernode(self) -> None:
        """Without a supernode what is here is found, and for the rest it is Unavailable."""
        self.membership.supernode = None
        self.assertEqual(self.find(HERE.id), [HERE])
        failure = self.failureResultOf(
            Deferred.fromCoroutine(self.find_coroutine(HERE.id, THERE)), Unavailable
        )
        self.assertIn("no supernode", str(failure.value))

    def test_supernode_refuses(self) -> None:
        """A supernode that refuses the search makes it Unavailable, and is named."""
        self.client.refusing.add(SUPERNODE)
        failure = self.failureResultOf(
            Deferred.fromCoroutine(self.find_coroutine(THERE)), Unavailable
        )
        self.assertIn(SUPERNODE, str(failure.value))

    def test_supernode_silent(self) -> None:
        """A supernode that does not answer makes it Unavailable."""
        self.client.up.clear()
        self.failureResultOf(Deferred.fromCoroutine(self.find_coroutine(THERE)), Unavailable)

    def test_resources(self) -> None:
        """The node's list is its library's."""
        self.assertEqual(self.node.resources(), [HERE])

    def test_open(self) -> None:
        """What is here and as it was comes with its content."""
        opened = self.node.open(HERE.id)
        assert opened is not None
        resource, file = opened
        self.assertEqual((resource, file.read()), (HERE, b"bytes"))

    def test_open_elsewhere(self) -> None:
        """What is elsewhere, or here and no longer as it was, can't be opened."""
        self.assertIs(self.node.open(THERE), None)
        self.library.contents.clear()
        self.assertIs(self.node.open(HERE.id), None)

    def test_health(self) -> None:
        """Its health is its name, how much it shares, whether it scans, and its supernode."""
        self.assertEqual(self.node.health(), Health("node1", 1, False, SUPERNODE))
        self.membership.supernode = None
        self.library.scanning = True
        self.library.change()
        self.assertEqual(self.node.health(), Health("node1", 0, True, None))


LOOPBACK = "127.0.0.1"
GROUP = ("239.255.1.1", 4321)

Link = namedtuple("Link", "family address")
State = namedtuple("State", "isup")


class MemoryHost(MemoryReactor, Host):
    """A reactor with everything that a node needs, in memory."""

    def __init__(self, network: Network) -> None:
        MemoryReactor.__init__(self)
        Host.__init__(self, network, [LOOPBACK])


class MakeNodeTests(SynchronousTestCase):
    """The composed service, on a host with loopback only."""

    def setUp(self) -> None:
        self.patch(psutil, "net_if_addrs", lambda: {"lo": [Link(socket.AF_INET, LOOPBACK)]})
        self.patch(psutil, "net_if_stats", lambda: {"lo": State(True)})
        for module in (addresses, multicast):
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
            {"name": "node one", "resources": 1, "scanning": False, "supernode": "10.0.0.1:5000"},
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
        assert isinstance(request, Request)
        self.assertEqual(request.id, "supernode")
        self.assertTrue(request.name.startswith("node-"))
        group.send(encode(Found("other", ("10.0.0.2:5001",), request.tag)), source)
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

    def test_stop_without_a_supernode(self) -> None:
        """Where it has found none it stops just as well."""
        self.start(supernode="http://10.0.0.1:5000")
        stopped = self.service.stopService()
        self.pass_time(0.01)
        self.successResultOf(stopped)
        self.assertEqual(self.host.sockets, [])
        self.assertEqual(self.host.getDelayedCalls(), [])
