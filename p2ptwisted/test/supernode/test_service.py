"""Tests for `p2ptwisted.supernode.service`."""

import socket
import uuid
from collections import namedtuple
from collections.abc import Awaitable
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, TypeVar, cast

import psutil
from treq.testing import StubTreq
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactor, StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass, verifyObject

from p2ptwisted.config import SupernodeConfig
from p2ptwisted.errors import (
    InvalidInput,
    NotAllowed,
    StartError,
    TooMuch,
    Unavailable,
    UnknownNode,
)
from p2ptwisted.interfaces import ISearchOverlay, ISupernode
from p2ptwisted.model import (
    SUPERNODE_ID,
    HeldFile,
    Holders,
    Holding,
    NodeInfo,
    Registration,
    ResourceInfo,
)
from p2ptwisted.protocols import sockets
from p2ptwisted.protocols.datagrams import FoundReply, SearchRequest, decode
from p2ptwisted.supernode import service as supernode_module
from p2ptwisted.supernode.failure_detector import Sweep
from p2ptwisted.supernode.registry import writer as registry_lists
from p2ptwisted.supernode.registry.registry import LOCATIONS_MAX
from p2ptwisted.supernode.service import (
    FINDS_SHARE,
    LOOKED_AT,
    PEERS_ASKED,
    ISupernodeReactor,
    LocalAnswers,
    LocalSupernode,
    make_supernode,
)
from p2ptwisted.support import locations as addresses
from p2ptwisted.support.locations import Location, OwnLocation
from p2ptwisted.support.round_robin import share_of
from p2ptwisted.test.fakes import FakeOverlay, Host, Network, Slices, make_peer, open_registry
from p2ptwisted.test.node_fakes import FakeClient

_T = TypeVar("_T")

LOOPBACK = "127.0.0.1"
#: This host, as others see it; the node on it, and two other hosts.
HERE, CALLER, OTHER = "10.0.0.1", "10.0.0.2", "10.0.0.3"
NODE = f"{CALLER}:8000"
ELSEWHERE, ELSEWHERE_TOO = "10.0.0.8:8000", "10.0.0.9:8000"

X, Y = ResourceInfo("x", "x.bin", 7), ResourceInfo("y", "y.txt")
PART = ResourceInfo("x", "x.bin", 7, partial=True)


class SupernodeTestCase(SynchronousTestCase):
    """A supernode with a registry in memory and an overlay with fixed answers."""

    trusted: tuple[IPv4Network, ...] = ()

    def setUp(self) -> None:
        self.patch(addresses, "address_towards", lambda host: HERE)
        self.slices = Slices()
        self.registry = open_registry(self.slices.cooperator, None)
        self.addCleanup(self.registry.close)
        self.overlay = FakeOverlay()
        self.client = FakeClient(Clock())
        self.well: set[str] = set()
        self.sweep = Sweep(Clock(), self.registry, self.is_well, self.is_well, 5.0)
        own = OwnLocation(None, lambda: Location("0.0.0.0", 5000))
        self.known = LocalAnswers(self.registry, own)
        self.clock = Clock()
        self.supernode = self.make_with()

    def make_with(self, **bounds: int) -> LocalSupernode:
        """A supernode with these of its module's bounds."""
        for name, value in bounds.items():
            self.patch(supernode_module, name, value)
        return LocalSupernode(
            self.clock,
            self.registry,
            self.known,
            self.sweep,
            self.overlay,
            self.client,
            self.trusted,
        )

    async def is_well(self, location: str) -> bool:
        return location in self.well

    def begun(self, work: Awaitable[_T]) -> Deferred[_T]:
        async def wait() -> _T:
            return await work

        result = Deferred.fromCoroutine(wait())
        self.slices.run()
        return result

    def done(self, work: Awaitable[_T]) -> _T:
        return self.successResultOf(self.begun(work))

    def register(
        self, location: str, *resources: ResourceInfo, caller: str = LOOPBACK, name: str = ""
    ) -> None:
        registration = Registration(location, list(resources), name)
        self.done(self.supernode.register(registration, caller))

    def refusal(self, location: str, caller: str, kind: type[Exception] = NotAllowed) -> str:
        """What is said to a registration; nothing of it may be stored."""
        refused = self.begun(self.supernode.register(Registration(location, [X]), caller))
        error = self.failureResultOf(refused, kind).value
        self.assertEqual(self.supernode.nodes(), [])
        self.assertEqual(self.registry.holdings(["x"]), [])
        return str(error)


class FakesTests(SupernodeTestCase):
    """The seams."""

    def test_provided(self) -> None:
        """A supernode is an ISupernode, and the stand-in for the overlay is an ISearchOverlay."""
        verifyObject(ISupernode, self.supernode)
        verifyClass(ISearchOverlay, FakeOverlay)


class AddressRuleTests(SupernodeTestCase):
    """Who may register, beat and leave for which location."""

    def test_own(self) -> None:
        """A node may register the address that it calls from."""
        self.register(NODE, X, caller=CALLER, name="rack-2")
        self.assertEqual(self.supernode.nodes(), [NodeInfo("rack-2", NODE)])

    def test_without_a_host(self) -> None:
        """Without a host the location is that of the caller."""
        self.register(":8000", X, caller=CALLER)
        self.assertEqual(self.supernode.nodes(), [NodeInfo("", NODE)])

    def test_third_party(self) -> None:
        """Nobody may have a third party called, and the message says what to do."""
        self.assertEqual(
            self.refusal(f"{OTHER}:80", CALLER),
            f"location {OTHER}:80 is not yours: you call from {CALLER}, so name that address, "
            "or none (':port'), or be in one of the supernode's --trusted-network",
        )
        self.refusal(f"{LOOPBACK}:80", CALLER)

    def test_from_loopback(self) -> None:
        """From this machine any location may be registered."""
        self.register(f"{OTHER}:80", X)
        self.assertEqual(self.supernode.nodes(), [NodeInfo("", f"{OTHER}:80")])

    def test_malformed(self) -> None:
        """A location that is none is refused, whoever calls."""
        for location in ["10.0.0.2", "10.0.0.2:0", "10.0.0.2:70000", "rack:80", "230.0.0.0:80"]:
            for caller in [CALLER, LOOPBACK]:
                self.assertIn(repr(location), self.refusal(location, caller, InvalidInput))

    def test_heartbeat_and_goodbye(self) -> None:
        """The rule holds for heartbeats and goodbyes too: nobody can send another's node away."""
        self.register(NODE, X, caller=CALLER)
        for speak in (self.supernode.heartbeat, self.supernode.goodbye):
            self.assertRaises(NotAllowed, speak, NODE, OTHER)
            self.assertRaises(InvalidInput, speak, "rack:80", CALLER)
        self.assertEqual(self.supernode.nodes(), [NodeInfo("", NODE)])


class TrustedTests(SupernodeTestCase):
    """Networks whose callers may register any location."""

    trusted = (IPv4Network("10.0.0.2/31"),)

    def test_inside(self) -> None:
        """From a trusted network any location may be registered."""
        self.register("172.16.0.1:80", X, caller=CALLER)
        self.assertEqual(self.supernode.nodes(), [NodeInfo("", "172.16.0.1:80")])

    def test_outside(self) -> None:
        """From any other it may not, a location inside the trusted one included."""
        self.refusal(f"{CALLER}:80", "10.0.0.4")


class MembershipTests(SupernodeTestCase):
    """Nodes that come, stay and leave."""

    def test_heartbeat(self) -> None:
        """A heartbeat makes a node the most recently seen."""
        self.register(NODE, X, caller=CALLER)
        self.register(f"{OTHER}:8000", X, caller=OTHER)
        self.supernode.heartbeat(":8000", CALLER)
        found = self.done(self.supernode.search("x", OTHER))
        assert found is not None
        self.assertEqual(found.file.locations, [NODE, f"{OTHER}:8000"])

    def test_heartbeat_of_a_stranger(self) -> None:
        """A node that isn't known hears that it should register again."""
        error = self.assertRaises(UnknownNode, self.supernode.heartbeat, NODE, CALLER)
        self.assertEqual(str(error), f"no node is registered at {NODE}: register again")

    def test_goodbye(self) -> None:
        """A node that leaves is gone at once, and what it had with it."""
        self.register(NODE, X, caller=CALLER)
        self.supernode.goodbye(NODE, CALLER)
        self.assertEqual(self.supernode.nodes(), [])
        self.assertIsNone(self.done(self.supernode.search("x", OTHER)))
        error = self.assertRaises(UnknownNode, self.supernode.goodbye, NODE, CALLER)
        self.assertEqual(str(error), f"no node is registered at {NODE}")

    def test_sweep(self) -> None:
        """A node that misses two sweeps is gone; those that answer stay."""
        self.register(NODE, X, caller=CALLER)
        self.register(f"{OTHER}:8000", caller=OTHER)
        self.well = {NODE}
        self.done(self.supernode.sweep())
        self.assertEqual(len(self.supernode.nodes()), 2)
        self.done(self.supernode.sweep())
        self.assertEqual(self.supernode.nodes(), [NodeInfo("", NODE)])

    def test_signs_of_life(self) -> None:
        """A heartbeat or a registration between two sweeps makes the misses begin again."""
        self.register(NODE, X, caller=CALLER)
        self.done(self.supernode.sweep())
        self.supernode.heartbeat(NODE, CALLER)
        self.done(self.supernode.sweep())
        self.register(NODE, X, caller=CALLER)
        self.done(self.supernode.sweep())
        self.assertEqual(self.supernode.nodes(), [NodeInfo("", NODE)])


class RatesTests(SupernodeTestCase):
    """What one address may ask for in a while."""

    def search(self, caller: str, id: str = "unknown") -> object:
        return self.done(self.supernode.search(id, caller))

    def test_unknown_ids(self) -> None:
        """Searches that find nothing are bounded for each address by itself, and in time."""
        self.supernode = self.make_with(MISS_BURST=3)
        for _ in range(3):
            self.search("10.0.0.1")
        begun = self.begun(self.supernode.search("unknown", "10.0.0.1"))
        self.assertIn("10.0.0.1", str(self.failureResultOf(begun, TooMuch).value))
        self.search("10.0.0.2")
        self.clock.advance(1 / supernode_module.MISS_RATE)
        self.search("10.0.0.1")

    def test_found(self) -> None:
        """Searches that find something are not counted, wherever it is."""
        self.supernode = self.make_with(MISS_BURST=1)
        self.register("10.0.0.9:8000", X)
        self.overlay.answers = {"elsewhere": ("10.0.0.8:8000",)}
        for _ in range(5):
            self.assertIsNot(self.search("10.0.0.1", "x"), None)
            self.assertIsNot(self.search("10.0.0.1", "elsewhere"), None)

    def test_registrations(self) -> None:
        """So are registrations; what is too much is not stored."""
        self.supernode = self.make_with(REGISTER_BURST=2)
        for port in (1, 2):
            self.register(f"10.0.0.1:{port}", X, caller="10.0.0.1")
        registration = Registration("10.0.0.1:3", [X])
        begun = self.begun(self.supernode.register(registration, "10.0.0.1"))
        self.failureResultOf(begun, TooMuch)
        self.assertEqual(len(self.supernode.nodes()), 2)
        self.register("10.0.0.2:1", X, caller="10.0.0.2")

    def test_holders_everywhere(self) -> None:
        """So are searches for holders that ask others; what is known here anybody may ask."""
        self.supernode = self.make_with(HOLDERS_BURST=2)
        for _ in range(2):
            self.done(self.supernode.holders("x", CALLER, True))
        asked = len(self.overlay.asked)
        begun = self.begun(self.supernode.holders("x", CALLER, True))
        self.assertIn(CALLER, str(self.failureResultOf(begun, TooMuch).value))
        self.assertEqual(len(self.overlay.asked), asked)
        self.done(self.supernode.holders("x", CALLER, False))
        self.done(self.supernode.holders("x", OTHER, True))
        self.clock.advance(1 / supernode_module.HOLDERS_RATE)
        self.done(self.supernode.holders("x", CALLER, True))


class FindingTests(SupernodeTestCase):
    """Many searches by name at once."""

    def find(self, caller: str) -> Deferred[list[Holding]]:
        return Deferred.fromCoroutine(self.supernode.find(caller, "some"))

    def test_share(self) -> None:
        """However many one address has under way, others find room; and when they end, it does."""
        searches = [self.find(CALLER) for _ in range(FINDS_SHARE)]
        self.failureResultOf(self.find(CALLER), Unavailable)
        searches += [self.find(OTHER), self.find(LOOPBACK)]
        # Nobody waits for this one any more.
        searches[0].cancel()
        self.failureResultOf(searches.pop(0), CancelledError)
        searches.append(self.find(CALLER))
        self.slices.run()
        for search in searches:
            self.successResultOf(search)


class StoringTests(SupernodeTestCase):
    """Many registrations at once."""

    trusted = (IPv4Network("10.0.0.4/32"),)

    def storing(self, location: str, caller: str) -> Deferred[None]:
        """A registration of two resources that is being stored, unless it has failed."""
        return Deferred.fromCoroutine(
            self.supernode.register(Registration(location, [X, Y]), caller)
        )

    def test_share(self) -> None:
        """However long one address's list is, others find room beside it, and it finds none."""
        self.supernode = self.make_with(STORING_MAX=3, STORING_SHARE=1)
        first = self.storing(":1", CALLER)
        self.failureResultOf(self.storing(":2", CALLER), Unavailable)
        second = self.storing(":1", OTHER)
        self.slices.run()
        for stored in (first, second, self.storing(":2", CALLER)):
            self.slices.run()
            self.successResultOf(stored)

    def test_trusted(self) -> None:
        """A trusted caller, who registers for many, has all the room there is."""
        self.supernode = self.make_with(STORING_MAX=3, STORING_SHARE=1)
        stored = [self.storing(f"10.0.0.9:{port}", "10.0.0.4") for port in (1, 2)]
        self.failureResultOf(self.storing("10.0.0.9:3", "10.0.0.4"), Unavailable)
        self.slices.run()
        for one in stored:
            self.successResultOf(one)

    def test_nodes_of_one_address(self) -> None:
        """An address has so many nodes and no more; who is trusted may register any number."""
        self.patch(registry_lists, "ADDRESS_NODES_MAX", 2)
        for port in (1, 2, 1):
            self.register(f":{port}", caller=CALLER)
        begun = self.begun(self.supernode.register(Registration(":3", []), CALLER))
        self.failureResultOf(begun, Unavailable)
        self.register(":1", caller=OTHER)
        for port in (3, 4):
            self.register(f"{CALLER}:{port}", caller="10.0.0.4")
            self.register(f"{LOOPBACK}:{port}", caller=LOOPBACK)

    def test_bounded(self) -> None:
        """While as many resources as may be are being stored, no more lists are taken."""
        self.supernode = self.make_with(STORING_MAX=2)
        first, second = (
            Deferred.fromCoroutine(
                self.supernode.register(Registration(f"10.0.0.9:{port}", [X, Y]), LOOPBACK)
            )
            for port in (1, 2)
        )
        self.assertIn("try again", str(self.failureResultOf(second, Unavailable).value))
        self.slices.run()
        self.successResultOf(first)
        self.register("10.0.0.9:2", X, Y)
        self.assertEqual(len(self.supernode.nodes()), 2)

    def test_in_turn(self) -> None:
        """Of many lists some are written, and the others after them: none waits for all."""
        self.patch(registry_lists, "WRITE_SLICE", 1)
        self.supernode = self.make_with(WRITING_MAX=2)
        lists = [
            Deferred.fromCoroutine(
                self.supernode.register(Registration(f"10.0.0.9:{port}", [X, Y]), LOOPBACK)
            )
            for port in range(1, 7)
        ]
        while self.slices.busy:
            self.slices.step()
            through = sum(one.called for one in lists)
            # No other has so much as begun.
            self.assertLessEqual(len(self.supernode.nodes()), through + 2)
        self.assertEqual(through, len(lists))

    def test_gone_in_the_queue(self) -> None:
        """One whose client has gone before its turn is not stored."""
        self.supernode = self.make_with(WRITING_MAX=1)
        first, second, third = (
            Deferred.fromCoroutine(
                self.supernode.register(Registration(f"10.0.0.9:{port}", [X]), LOOPBACK)
            )
            for port in (1, 2, 3)
        )
        second.cancel()
        self.slices.run()
        self.failureResultOf(second, CancelledError)
        for stored in (first, third):
            self.successResultOf(stored)
        self.assertEqual(
            [node.location for node in self.supernode.nodes()], ["10.0.0.9:1", "10.0.0.9:3"]
        )

    def test_gone_client(self) -> None:
        """A registration whose client has gone makes room for others."""
        self.supernode = self.make_with(STORING_MAX=1)
        begun = Deferred.fromCoroutine(
            self.supernode.register(Registration("10.0.0.9:1", [X]), LOOPBACK)
        )
        begun.cancel()
        self.failureResultOf(begun, CancelledError)
        self.register("10.0.0.9:2", X)


class SearchTests(SupernodeTestCase):
    """One resource."""

    def test_here(self) -> None:
        """What a node of ours has is answered at once, and nobody else is asked."""
        self.register(NODE, X, caller=CALLER)
        self.assertEqual(
            self.done(self.supernode.search("x", OTHER)),
            Holding("x", HeldFile(NODE, [NODE], "x.bin", 7)),
        )
        self.assertEqual(self.overlay.asked, [])

    def test_elsewhere(self) -> None:
        """What is not here is asked of the others, who know no names."""
        self.overlay.answers = {"z": (ELSEWHERE, ELSEWHERE_TOO)}
        self.assertEqual(
            self.done(self.supernode.search("z", OTHER)),
            Holding("z", HeldFile(ELSEWHERE, [ELSEWHERE, ELSEWHERE_TOO])),
        )
        self.assertEqual(self.overlay.asked, [("z", False)])

    def test_nowhere(self) -> None:
        """What nobody has is not found."""
        self.assertIsNone(self.done(self.supernode.search("z", OTHER)))

    def test_unavailable(self) -> None:
        """Where too much is being asked the search fails so."""
        self.overlay.failure = Unavailable("too many")
        self.failureResultOf(self.begun(self.supernode.search("z", OTHER)), Unavailable)

    def test_loopback_nodes(self) -> None:
        """A node that registered as 127.0.0.1 is told to others by this host's address."""
        self.register(f"{LOOPBACK}:8000", X)
        self.register(NODE, X, caller=CALLER)
        for asker, locations in [
            (OTHER, [NODE, f"{HERE}:8000"]),
            (LOOPBACK, [NODE, f"{LOOPBACK}:8000"]),
        ]:
            found = self.done(self.supernode.search("x", asker))
            self.assertEqual(found, Holding("x", HeldFile(NODE, locations, "x.bin", 7)))

    def test_first_location(self) -> None:
        """So is the first location, which stands by itself too."""
        self.register(f"{LOOPBACK}:8000", X)
        found = self.done(self.supernode.search("x", OTHER))
        assert found is not None
        self.assertEqual(found.file.location, f"{HERE}:8000")

    def test_supernodes(self) -> None:
        """A search for the reserved id gives this supernode and then all others."""
        self.overlay.answers = {SUPERNODE_ID: (f"{OTHER}:5000",)}
        self.assertEqual(
            self.done(self.supernode.search(SUPERNODE_ID, CALLER)),
            Holding(SUPERNODE_ID, HeldFile(f"{HERE}:5000", [f"{HERE}:5000", f"{OTHER}:5000"])),
        )
        self.assertEqual(self.overlay.asked, [(SUPERNODE_ID, True)])


class FindTests(SupernodeTestCase):
    """Several resources."""

    def setUp(self) -> None:
        super().setUp()
        self.register(NODE, X, Y, caller=CALLER, name="rack-2")
        self.register(f"{LOOPBACK}:8000", ResourceInfo("z", "x-tra.bin"), name="here")
        self.overlay.answers = {"far": (ELSEWHERE,), "x": (ELSEWHERE_TOO,)}

    def find(self, caller: str = OTHER, **what: Any) -> list[Holding]:
        return self.done(self.supernode.find(caller, **what))

    def test_ids(self) -> None:
        """Ids come from here and from the others, in the order asked for; the rest is left out."""
        found = self.find(ids=["far", "nowhere", "y", "x"])
        self.assertEqual(
            found,
            [
                Holding("far", HeldFile(ELSEWHERE, [ELSEWHERE])),
                Holding("y", HeldFile(NODE, [NODE], "y.txt")),
                Holding("x", HeldFile(NODE, [NODE], "x.bin", 7)),
            ],
        )
        self.assertEqual(self.overlay.asked, [("far", False), ("nowhere", False)])

    def test_all_here(self) -> None:
        """Where all are here nobody else is asked."""
        self.assertEqual([found.id for found in self.find(ids=["y", "x"])], ["y", "x"])
        self.assertEqual(self.overlay.asked, [])

    def test_ids_of_supernodes(self) -> None:
        """The reserved id can be among them."""
        (found, _) = self.find(ids=[SUPERNODE_ID, "x"])
        self.assertEqual(found.file.locations, [f"{HERE}:5000"])

    def test_names(self) -> None:
        """Names are searched for here only."""
        self.assertEqual({found.id for found in self.find(file_name="x-tra")}, {"z"})
        self.assertEqual({found.id for found in self.find(node_name="rack-2")}, {"x", "y"})
        self.assertEqual({found.id for found in self.find(file_name="x", node_name="here")}, {"z"})
        self.assertEqual(self.overlay.asked, [])

    def test_names_narrow_ids(self) -> None:
        """Ids together with a name are searched for here only, too."""
        self.assertEqual([f.id for f in self.find(file_name="x.b", ids=["x", "y", "far"])], ["x"])
        self.assertEqual([f.id for f in self.find(node_name="here", ids=["x", "z"])], ["z"])
        self.assertEqual(self.overlay.asked, [])

    def test_loopback_nodes(self) -> None:
        """Locations are such that the caller can reach them, however they were searched for."""
        searches: list[dict[str, Any]] = [
            {"ids": ["z"]},
            {"file_name": "x-tra"},
            {"node_name": "here"},
        ]
        for what in searches:
            (found,) = self.find(**what)
            self.assertEqual(found.file.location, f"{HERE}:8000")
            (found,) = self.find(caller=LOOPBACK, **what)
            self.assertEqual(found.file.location, f"{LOOPBACK}:8000")

    def test_unavailable(self) -> None:
        """Where too much is being asked the search fails so, whatever was found here."""
        self.overlay.failure = Unavailable("too many")
        self.failureResultOf(
            self.begun(self.supernode.find(OTHER, ids=["x", "far", "nowhere"])), Unavailable
        )


class HoldersTests(SupernodeTestCase):
    """Everybody who has a resource or a part of it."""

    SECOND, THIRD = "10.0.0.6:5000", "10.0.0.7:5000"

    def setUp(self) -> None:
        super().setUp()
        self.register(NODE, X, caller=CALLER)
        self.register(f"{OTHER}:8000", PART, caller=OTHER)
        self.overlay.answers = {SUPERNODE_ID: (self.SECOND, self.THIRD)}
        self.client.up = {self.SECOND, self.THIRD}

    def holders(self, id: str = "x", caller: str = OTHER, everywhere: bool = True) -> Holders:
        return self.done(self.supernode.holders(id, caller, everywhere))

    def test_here(self) -> None:
        """Those registered here, told apart; nobody else is asked where that is all one wants."""
        self.assertEqual(
            self.holders(everywhere=False), Holders("x", [NODE], [f"{OTHER}:8000"], "x.bin", 7)
        )
        self.assertEqual((self.overlay.asked, self.client.calls), ([], []))

    def test_crowded(self) -> None:
        """Neither one address nor one supernode crowds out what the others tell."""
        ports = [f"10.0.0.9:{port}" for port in range(1, 1_001)]
        made_up = [f"10.1.{number // 250}.{number % 250}:1" for number in range(1_000)]
        self.client.held[self.SECOND, "x"] = Holders("x", [*ports, *made_up], made_up)
        self.client.held[self.THIRD, "x"] = Holders("x", [ELSEWHERE], ["10.0.0.7:1"])
        found = self.holders()
        self.assertEqual(found.locations[:3], [NODE, ports[0], ELSEWHERE])
        self.assertLessEqual(sum(one in ports for one in found.locations), share_of(LOCATIONS_MAX))
        self.assertEqual(len(found.locations), LOCATIONS_MAX)
        self.assertIn("10.0.0.7:1", found.partial)

    def test_supernodes_crowded(self) -> None:
        """A thousand made-up supernodes of one address keep no other from being asked."""
        made_up = tuple(f"10.0.0.9:{port}" for port in range(1, 1_001))
        self.overlay.answers = {SUPERNODE_ID: (*made_up, self.SECOND)}
        self.client.held[self.SECOND, "x"] = Holders("x", [ELSEWHERE], [])
        self.assertIn(ELSEWHERE, self.holders().locations)

    def test_everywhere(self) -> None:
        """Those of all other supernodes too, whatever is here, each asked for its own only."""
        self.client.held[self.SECOND, "x"] = Holders("x", [ELSEWHERE], [])
        self.client.held[self.THIRD, "x"] = Holders("x", [], [ELSEWHERE_TOO])
        self.assertEqual(
            self.holders(),
            Holders("x", [NODE, ELSEWHERE], [f"{OTHER}:8000", ELSEWHERE_TOO], "x.bin", 7),
        )
        self.assertEqual(self.client.called("holders here"), [(0, self.SECOND), (0, self.THIRD)])
        self.assertEqual(self.overlay.asked, [(SUPERNODE_ID, True)])

    def test_each_once(self) -> None:
        """Who is known at several supernodes comes once; who has all of it at one has it."""
        self.client.held[self.SECOND, "x"] = Holders("x", [f"{OTHER}:8000", NODE], [ELSEWHERE])
        self.client.held[self.THIRD, "x"] = Holders("x", [], [NODE, ELSEWHERE])
        self.assertEqual(
            self.holders(), Holders("x", [NODE, f"{OTHER}:8000"], [ELSEWHERE], "x.bin", 7)
        )

    def test_name_from_elsewhere(self) -> None:
        """What only others know gets its name and its size from them, be it empty."""
        self.client.held[self.SECOND, "z"] = Holders("z", [ELSEWHERE], [])
        self.client.held[self.THIRD, "z"] = Holders("z", [ELSEWHERE_TOO], [], "z.bin", 0)
        self.assertEqual(
            self.holders("z"), Holders("z", [ELSEWHERE, ELSEWHERE_TOO], [], "z.bin", 0)
        )

    def test_some_do_not_answer(self) -> None:
        """Supernodes that are silent, or know nothing of parts, hold nothing up."""
        self.client.up = {self.THIRD}
        self.client.held[self.THIRD, "x"] = Holders("x", [ELSEWHERE], [])
        self.assertEqual(self.holders().locations, [NODE, ELSEWHERE])
        self.client.up = {self.SECOND, self.THIRD}
        self.client.refusing = {self.SECOND, self.THIRD}
        self.assertEqual(self.holders().locations, [NODE])

    def test_other_programs(self) -> None:
        """What no supernode of our kind knows is searched for in the group."""
        self.overlay.answers["z"] = (ELSEWHERE, ELSEWHERE_TOO)
        self.assertEqual(self.holders("z"), Holders("z", [ELSEWHERE, ELSEWHERE_TOO], []))
        self.assertIn(("z", True), self.overlay.asked)
        self.assertEqual(self.holders("z", everywhere=False), Holders("z", [], []))

    def test_only_parts(self) -> None:
        """Where there are only parts the group is not searched: they are an answer."""
        self.register(NODE, caller=CALLER)
        self.overlay.answers["x"] = (ELSEWHERE,)
        self.assertEqual(self.holders(), Holders("x", [], [f"{OTHER}:8000"], "x.bin", 7))

    def test_bound(self) -> None:
        """So many supernodes are asked and no more."""
        others = [f"10.0.2.{number}:5000" for number in range(PEERS_ASKED + 5)]
        self.overlay.answers[SUPERNODE_ID] = tuple(others)
        self.holders()
        self.assertEqual(len(self.client.called("holders here")), PEERS_ASKED)

    def test_unavailable(self) -> None:
        """Where too much is being asked it fails so; what is here can still be had."""
        self.overlay.failure = Unavailable("too many")
        self.failureResultOf(self.begun(self.supernode.holders("x", OTHER, True)), Unavailable)
        self.assertEqual(self.holders(everywhere=False).locations, [NODE])

    def test_loopback_nodes(self) -> None:
        """Nodes on this host are told to others by its address, whole or part."""
        self.register(f"{LOOPBACK}:8001", X)
        self.register(f"{LOOPBACK}:8002", PART)
        self.assertEqual(
            self.holders(everywhere=False),
            Holders("x", [f"{HERE}:8001", NODE], [f"{HERE}:8002", f"{OTHER}:8000"], "x.bin", 7),
        )
        self.assertEqual(self.holders(caller=LOOPBACK).locations, [f"{LOOPBACK}:8001", NODE])


class PartTests(SupernodeTestCase):
    """A node with only a part of a resource."""

    def test_never_a_holder(self) -> None:
        """No search gives it: not for one, not for many, nor does the group hear of it."""
        self.register(NODE, PART, caller=CALLER)
        self.assertIsNone(self.done(self.supernode.search("x", OTHER)))
        searches: list[dict[str, Any]] = [{"ids": ["x"]}, {"file_name": "x.bin"}]
        for what in searches:
            self.assertEqual(self.done(self.supernode.find(OTHER, **what)), [])
        self.assertEqual(self.known.locations("x", OTHER), [])


class KnownTests(SupernodeTestCase):
    """What other supernodes are answered."""

    def test_locations(self) -> None:
        """All holders, as whoever asks can reach them; of what is not here, none."""
        self.register(NODE, X, caller=CALLER)
        self.register(f"{LOOPBACK}:8000", X)
        self.assertEqual(self.known.locations("x", OTHER), [f"{HERE}:8000", NODE])
        self.assertEqual(self.known.locations("x", LOOPBACK), [f"{LOOPBACK}:8000", NODE])
        self.assertEqual(self.known.locations("y", OTHER), [])

    def test_popular(self) -> None:
        """Of many holders it looks at no more than a datagram can need."""
        self.patch(supernode_module, "LOOKED_AT", 2)
        for number in (1, 2, 3):
            self.register(":8000", X, caller=f"10.0.0.{number}")
        self.assertEqual(self.known.locations("x", OTHER), ["10.0.0.3:8000", "10.0.0.2:8000"])

    def test_crowded(self) -> None:
        """A datagram names those at other addresses, however many ports one has."""
        self.register(":8000", X, caller=OTHER)
        for port in range(1, 101):
            self.register(f":{port}", X, caller=CALLER)
        found = self.known.locations("x", OTHER)
        self.assertIn(f"{OTHER}:8000", found)
        self.assertEqual(len(found), 1 + share_of(LOOKED_AT))

    def test_reserved_id(self) -> None:
        """A search for supernodes is answered with where this one is."""
        self.assertEqual(self.known.locations(SUPERNODE_ID, OTHER), [f"{HERE}:5000"])


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
        for module in (addresses, sockets):
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
