"""Tests for `p2ptwisted.supernode.local_supernode`."""

from collections.abc import Awaitable
from ipaddress import IPv4Network
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass, verifyObject

from p2ptwisted.errors import (
    InvalidInput,
    NotAllowed,
    TooMuch,
    Unavailable,
    UnknownNode,
)
from p2ptwisted.interfaces import ISearchOverlay, ISupernode
from p2ptwisted.model import (
    SUPERNODE_ID,
    GoneNode,
    HeldFile,
    Holders,
    Holding,
    NodeInfo,
    Registration,
    ResourceInfo,
)
from p2ptwisted.supernode import local_supernode as module
from p2ptwisted.supernode.local_answers import LocalAnswers
from p2ptwisted.supernode.local_supernode import FINDS_SHARE, PEERS_ASKED, LocalSupernode
from p2ptwisted.supernode.registry import writer
from p2ptwisted.supernode.registry.registry import LOCATIONS_MAX
from p2ptwisted.supernode.sweep import Sweep
from p2ptwisted.support import address_policy, locations
from p2ptwisted.support.locations import Location, OwnLocation
from p2ptwisted.support.round_robin import share_of
from p2ptwisted.test.fakes import FakeOverlay, Slices, open_registry
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
        for patched in (address_policy, locations):
            self.patch(patched, "address_towards", lambda host: HERE)
        self.slices = Slices()
        self.registry = open_registry(self.slices.cooperator, None)
        self.addCleanup(self.registry.close)
        self.overlay = FakeOverlay()
        self.client = FakeClient(Clock())
        self.well: set[str] = set()
        self.sweep = Sweep(Clock(), self.registry, self.is_well, self.is_well, 5.0)
        own = OwnLocation(None, lambda: Location("0.0.0.0", 5000))
        self.local_answers = LocalAnswers(self.registry, own)
        self.clock = Clock()
        self.supernode = self.make_with()

    def make_with(self, **bounds: int) -> LocalSupernode:
        """A supernode with these of its module's bounds."""
        for name, value in bounds.items():
            self.patch(module, name, value)
        return LocalSupernode(
            self.clock,
            self.registry,
            self.local_answers,
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

    def test_heartbeat_of_the_unreachable(self) -> None:
        """A node that can't be reached hears where that is; as soon as it can, no more."""
        self.register(NODE, X, caller=CALLER)
        self.assertIsNone(self.supernode.heartbeat(":8000", CALLER))
        self.registry.mark_reachable(NODE, False)
        self.assertEqual(self.supernode.heartbeat(":8000", CALLER), NODE)
        self.registry.mark_reachable(NODE, True)
        self.assertIsNone(self.supernode.heartbeat(":8000", CALLER))

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

    def test_gone(self) -> None:
        """A node that said goodbye is remembered with its name, until it is back."""
        self.register(NODE, X, caller=CALLER, name="rack-2")
        self.assertEqual(self.supernode.gone(), [])
        self.supernode.goodbye(NODE, CALLER)
        self.clock.advance(40)
        self.assertEqual(self.supernode.gone(), [GoneNode("rack-2", NODE, 40.0, "goodbye")])
        self.register(NODE, X, caller=CALLER, name="rack-2")
        self.assertEqual(self.supernode.gone(), [])

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
        self.clock.advance(1 / module.MISS_RATE)
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
        self.clock.advance(1 / module.HOLDERS_RATE)
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

    def test_names_count(self) -> None:
        """What takes long to store is the names, however few resources have them."""
        self.supernode = self.make_with(STORING_MAX=9, STORING_SHARE=3)
        many = ResourceInfo("x", "x", other_names=("y", "z"))
        registration = Registration(":1", [many])
        first = Deferred.fromCoroutine(self.supernode.register(registration, CALLER))
        self.failureResultOf(self.storing(":2", CALLER), Unavailable)
        self.slices.run()
        self.successResultOf(first)

    def test_nodes_of_one_address(self) -> None:
        """An address has so many nodes and no more; who is trusted may register any number."""
        self.patch(writer, "ADDRESS_NODES_MAX", 2)
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
        self.patch(writer, "WRITE_SLICE", 1)
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
        for asker, expected in [
            (OTHER, [NODE, f"{HERE}:8000"]),
            (LOOPBACK, [NODE, f"{LOOPBACK}:8000"]),
        ]:
            found = self.done(self.supernode.search("x", asker))
            self.assertEqual(found, Holding("x", HeldFile(NODE, expected, "x.bin", 7)))

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

    def test_names_from_everywhere(self) -> None:
        """The names that it has elsewhere are told besides its name here, each once."""
        several = Holders("x", [ELSEWHERE], [], "y.bin", 7, ["x.bin", "z.bin"])
        self.client.held[self.SECOND, "x"] = several
        found = self.holders()
        self.assertEqual((found.name, found.other_names), ("x.bin", ["y.bin", "z.bin"]))

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
        self.assertEqual(self.local_answers.locations("x", OTHER), [])
