"""Tests for `p2ptwisted.supernode.service`."""

import socket
import uuid
from collections import namedtuple
from pathlib import Path
from typing import Any, cast

import psutil
from treq.testing import StubTreq
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactor, StringTransport
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.config import SupernodeConfig
from p2ptwisted.errors import StartError
from p2ptwisted.protocols import sockets
from p2ptwisted.protocols.datagrams import FoundReply, SearchRequest, decode
from p2ptwisted.supernode.service import ISupernodeReactor, make_supernode
from p2ptwisted.support import address_policy, locations
from p2ptwisted.test.fakes import Host, Network, make_peer

LOOPBACK = "127.0.0.1"

Link = namedtuple("Link", "family address")
State = namedtuple("State", "isup")


class MemoryHost(MemoryReactor, Host):
    """A reactor with everything that a supernode needs, in memory."""

    def __init__(self, network: Network, addresses: list[str]) -> None:
        MemoryReactor.__init__(self)
        Host.__init__(self, network, addresses)


class MakeSupernodeTests(SynchronousTestCase):
    """The composed service: two supernodes on one host, with loopback only."""

    group = ("239.255.1.1", 4321)

    def setUp(self) -> None:
        self.patch(psutil, "net_if_addrs", lambda: {"lo": [Link(socket.AF_INET, LOOPBACK)]})
        self.patch(psutil, "net_if_stats", lambda: {"lo": State(True)})
        for module in (address_policy, locations, sockets):
            self.patch(module, "address_towards", lambda host: LOOPBACK)
        self.network = Network()
        self.host = MemoryHost(self.network, [LOOPBACK])
        self.network.hosts.append(self.host)
        self.services = [self.make(5000), self.make(5001)]
        for service in self.services:
            service.privilegedStartService()
        for service in self.services:
            service.startService()
        self.addCleanup(self.stop)
        self.network.advance(0.5)
        self.first, self.second = (StubTreq(factory.resource) for _, factory, _, _ in self.sites())

    def make(self, port: int, **options: Any) -> Any:
        config = SupernodeConfig(port=port, multicast_group="{}:{}".format(*self.group), **options)
        return make_supernode(cast(ISupernodeReactor, self.host), config)

    def sites(self) -> list[Any]:
        return self.host.tcpServers

    def stop(self) -> None:
        services, self.services = self.services, []
        stopped = [service.stopService() for service in services]
        for _ in range(3):
            self.network.advance(0)
        for one in stopped:
            self.successResultOf(one)

    def call(self, treq: Any, method: str, path: str, **options: Any) -> Deferred[Any]:
        async def call() -> Any:
            response = await treq.request(method, f"http://supernode{path}", **options)
            body = await response.content()
            return await response.json() if body else None

        answer = Deferred.fromCoroutine(call())
        self.network.advance(0)
        treq.flush()
        return answer

    def register(self, treq: Any) -> None:
        body = b'{"location": "127.0.0.1:8000", "resources": [{"id": "x", "name": "x.bin"}]}'
        self.successResultOf(self.call(treq, "POST", "/supernode/register", data=body))

    def alive(self, treq: Any) -> list[Any]:
        answer: dict[str, list[Any]] = self.successResultOf(
            self.call(treq, "GET", "/supernode/alive")
        )
        return answer["data"]

    def test_search_crosses(self) -> None:
        """What is registered at one is found at the other, over the group."""
        self.register(self.first)
        answer = self.successResultOf(self.call(self.second, "GET", "/api/supernode/search/x"))
        file = {"location": "127.0.0.1:8000", "locations": ["127.0.0.1:8000"]}
        self.assertEqual(answer["data"], {"id": "x", "file": file})

    def test_supernodes(self) -> None:
        """Each knows where the other listens, and where it does itself."""
        answer = self.successResultOf(
            self.call(self.second, "GET", "/api/supernode/search/supernode")
        )
        self.assertEqual(answer["data"]["file"]["locations"], ["127.0.0.1:5001", "127.0.0.1:5000"])

    def test_names(self) -> None:
        """Each calls itself by a UUID of its own in its datagrams."""
        messages = [decode(payload) for payload in self.network.to_group(self.group)]
        names = {message.name for message in messages if isinstance(message, SearchRequest)}
        self.assertEqual(len(names), 2)
        for name in names:
            self.assertEqual(str(uuid.UUID(name)), name)

    def pass_time(self, seconds: int) -> None:
        """Let time pass evenly: a clock that leaps is that of a supernode that stood still."""
        for _ in range(seconds * 4):
            self.network.advance(0.25)

    def test_sweep(self) -> None:
        """A node that never answers is asked over TCP, and gone after two sweeps."""
        self.register(self.first)
        self.pass_time(5)
        self.assertEqual([one[:2] for one in self.host.tcpClients], [("127.0.0.1", 8000)])
        self.pass_time(2)
        self.assertEqual(len(self.alive(self.first)), 1)
        self.pass_time(5)
        self.assertEqual(self.alive(self.first), [])

    def test_untagged_replies_are_confirmed(self) -> None:
        """With several searches under way, an untagged reply has its location asked first."""
        peer = make_peer(self.host, self.group, LOOPBACK)
        peer.send(b"rack-7;22;whatever", self.group)
        self.network.deliver()
        for id in ["y", "z"]:
            self.call(self.first, "GET", f"/supernode/search/{id}")
        peer.send(b"rack-7;21;10.0.0.8:8000", self.group)
        self.network.deliver()
        self.assertEqual(self.host.tcpClients[0][:2], ("10.0.0.8", 8000))

    def test_stop(self) -> None:
        """Stopped, it leaves neither a socket nor a delayed call."""
        self.register(self.first)
        self.stop()
        self.assertEqual(self.host.sockets, [])
        self.assertEqual(self.host.getDelayedCalls(), [])

    def test_asked_while_it_stops(self) -> None:
        """While the last requests get their time to finish, datagrams still do no harm."""
        site = self.sites()[0][1]
        channel = site.buildProtocol(IPv4Address("TCP", LOOPBACK, 12345))
        channel.makeConnection(StringTransport())
        stopped = self.services[0].stopService()
        self.assertNoResult(stopped)
        peer = make_peer(self.host, self.group, LOOPBACK)
        peer.send(b"rack-7#tag;20;supernode", self.group)
        self.network.deliver()
        self.flushLoggedErrors()
        raised = self.network.raised
        self.network.advance(5)
        channel.connectionLost()
        self.assertEqual(raised, [])

    def test_given_location(self) -> None:
        """`--location` is what others are told."""
        self.stop()
        self.services = [service := self.make(5002, location="10.3.0.1:80")]
        service.startService()
        peer = make_peer(self.host, self.group, LOOPBACK)
        peer.send(b"rack-7#tag;20;supernode", self.group)
        self.network.deliver()
        (reply,) = [decode(payload) for payload in peer.payloads() if b"#tag;21;" in payload]
        assert isinstance(reply, FoundReply)
        self.assertEqual(reply.locations, ("10.3.0.1:80",))

    def test_state(self) -> None:
        """With a state folder the registry is in a file; a folder that can't be is one line."""
        folder = Path(self.mktemp())
        folder.write_text("not a folder")
        service = self.make(5002, state=str(folder))
        error = self.assertRaises(StartError, service.startService)
        self.assertIn(f"--state {folder}", str(error))
