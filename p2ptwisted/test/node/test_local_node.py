"""Tests of `p2ptwisted.node.local_node`: what a node does when it is asked."""

import hashlib
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2ptwisted.errors import InvalidInput, TooMuch, Unavailable, UnknownResource
from p2ptwisted.interfaces import ILibrary, INode
from p2ptwisted.model import Health, HeldFile, Holders, Holding, ResourceInfo
from p2ptwisted.node import local_node
from p2ptwisted.node.local_node import LocalNode
from p2ptwisted.node.membership import Membership
from p2ptwisted.node.uploads import Upload, Uploads
from p2ptwisted.pieces import MIB, Pieces
from p2ptwisted.support.locations import Location, OwnLocation
from p2ptwisted.support.rate_limit import RateLimit
from p2ptwisted.test.node_fakes import (
    FakeClient,
    FakeLibrary,
)
from p2ptwisted.transfer.part_file import PartFile

SUPERNODE = "10.0.0.1:5000"
OWN = "10.0.0.9:8000"
#: Two who ask.
CALLER, OTHER = "10.0.0.5", "10.0.0.6"
HERE = ResourceInfo("a" * 64, "here", 5)
THERE = "b" * 64
NOWHERE = "c" * 64


def held(id: str, *locations: str) -> Holding:
    return Holding(id, HeldFile(locations[0], list(locations), "there", 7))


class NodeCase(SynchronousTestCase):
    """A node with a library of one resource, whose supernode knows of another."""

    def setUp(self) -> None:
        clock = self.clock = Clock()
        self.client = FakeClient(clock)
        self.client.up.add(SUPERNODE)
        self.client.holdings[THERE] = held(THERE, "10.0.0.3:8000", "10.0.0.4:8000")
        self.library = FakeLibrary(HERE)
        self.library.contents[HERE.id] = b"bytes"
        own = OwnLocation(("10.0.0.9", 8000), lambda: Location("0.0.0.0", 8000))
        # Not started: where it is registered is all that the node asks of it.
        self.membership = Membership(
            clock, self.client, self.library.resources, "node1", own.towards, [], lambda: Deferred()
        )
        self.membership.supernode = SUPERNODE
        self.uploads = Uploads(clock, 2, RateLimit(None))
        #: What is being fetched.
        self.parts: dict[str, PartFile] = {}
        self.node = LocalNode(
            clock,
            "node1",
            self.library,
            self.membership,
            self.client,
            own,
            self.uploads,
            self.parts.get,
        )

    def find(self, *ids: str) -> list[ResourceInfo | Holding]:
        return self.successResultOf(Deferred.fromCoroutine(self.find_coroutine(*ids)))

    async def find_coroutine(self, *ids: str) -> list[ResourceInfo | Holding]:
        return await self.find_for(CALLER, *ids)

    async def find_for(self, caller: str, *ids: str) -> list[ResourceInfo | Holding]:
        return await self.node.find(ids, caller)

    def free_uploads(self) -> int:
        """How many more answers with content there may be."""
        begun: list[Upload] = []
        while True:
            try:
                begun.append(self.uploads.begin(f"10.0.0.{len(begun) + 100}"))
            except Unavailable:
                break
        for upload in begun:
            upload.end()
        return len(begun)


class NodeTests(NodeCase):
    """What is asked of a node."""

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
        also = ResourceInfo("d" * 64, "also here", 1)
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

    def test_unknown_ids(self) -> None:
        """What nobody has is asked of the supernode so often for one address, and no more."""
        burst, rate = local_node.FORWARD_BURST, local_node.FORWARD_RATE
        for _ in range(burst // 200):
            self.assertEqual(self.find(*(f"{number}" for number in range(200))), [])
        asked = len(self.client.calls)
        failure = self.failureResultOf(
            Deferred.fromCoroutine(self.find_coroutine(NOWHERE)), TooMuch
        )
        self.assertIn(CALLER, str(failure.value))
        self.assertEqual(len(self.client.calls), asked)
        self.assertEqual(self.find(HERE.id), [HERE])
        others = Deferred.fromCoroutine(self.find_for(OTHER, THERE))
        self.assertEqual(len(self.successResultOf(others)), 1)
        self.clock.advance(1 / rate)
        self.assertEqual(self.find(NOWHERE), [])

    def test_known_ids(self) -> None:
        """What is found may be asked for without end."""
        for _ in range(local_node.FORWARD_BURST + 10):
            self.assertEqual(len(self.find(THERE)), 1)

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
        """What is here and as it was comes with its content, all of it, and takes a place."""
        giving = self.node.open(HERE.id, "10.0.0.2")
        assert giving is not None
        self.assertEqual((giving.resource, giving.file.read()), (HERE, b"bytes"))
        self.assertEqual((giving.start, giving.stop), (0, 5))
        self.assertEqual(self.free_uploads(), 1)
        giving.upload.end()
        self.assertEqual(self.free_uploads(), 2)

    def test_open_elsewhere(self) -> None:
        """What is elsewhere, or here and no longer as it was, can't be opened, and takes none."""
        self.assertIs(self.node.open(THERE, "10.0.0.2"), None)
        self.library.contents.clear()
        self.assertIs(self.node.open(HERE.id, "10.0.0.2"), None)
        self.assertEqual(self.free_uploads(), 2)

    def test_open_too_many(self) -> None:
        """Where too much is sent, in all or to one, it is Unavailable; what is not here is not."""
        for client in ("10.0.0.2", "10.0.0.3"):
            self.node.open(HERE.id, client)
            self.assertRaises(Unavailable, self.node.open, HERE.id, client)
        self.assertRaises(Unavailable, self.node.open, HERE.id, "10.0.0.4")
        self.assertIs(self.node.open(THERE, "10.0.0.2"), None)

    def test_health(self) -> None:
        """Its health is its name, how much it shares, whether it scans, and its supernode."""
        self.assertEqual(self.node.health("10.0.0.2"), Health("node1", 1, False, SUPERNODE))
        self.membership.supernode = None
        self.library.scanning = True
        self.library.change()
        self.assertEqual(self.node.health("10.0.0.2"), Health("node1", 0, True, None))

    def test_folder(self) -> None:
        """Only somebody on the same machine is told which folder it shares."""
        for caller in ("127.0.0.1", "127.3.2.1"):
            health = self.node.health(caller)
            self.assertEqual(health, Health("node1", 1, False, SUPERNODE, "/shared"))
        for caller in ("10.0.0.9", "128.0.0.1", "1.127.0.0"):
            self.assertEqual(self.node.health(caller), Health("node1", 1, False, SUPERNODE))


class HoldersTests(NodeCase):
    """Whom a fetch may ask."""

    def holders(self) -> Deferred[Holders]:
        return Deferred.fromCoroutine(self.node.holders(THERE))

    def test_others(self) -> None:
        """All that the supernode knows, wherever in the group, without this node itself."""
        self.client.held[SUPERNODE, THERE] = Holders(
            THERE, ["10.0.0.3:8000", OWN], ["10.0.0.4:8000", "10.0.0.9:8001"], "there", 7
        )
        self.assertEqual(
            self.successResultOf(self.holders()),
            Holders(THERE, ["10.0.0.3:8000"], ["10.0.0.4:8000", "10.0.0.9:8001"], "there", 7),
        )
        self.assertEqual(self.client.called("holders"), [(0, SUPERNODE)])

    def test_registered_here(self) -> None:
        """Those at its own supernode alone, where that is all that is asked."""
        self.client.held[SUPERNODE, THERE] = Holders(THERE, ["10.0.0.3:8000", OWN], [])
        here = Deferred.fromCoroutine(self.node.holders(THERE, True))
        self.assertEqual(self.successResultOf(here).locations, ["10.0.0.3:8000"])
        self.assertEqual(self.client.called("holders here"), [(0, SUPERNODE)])
        self.assertEqual(self.client.called("holders"), [])

    def test_itself_a_part(self) -> None:
        """A node that has a part does not fetch from itself."""
        self.client.held[SUPERNODE, THERE] = Holders(THERE, [], [OWN])
        self.assertEqual(self.successResultOf(self.holders()), Holders(THERE, [], []))

    def test_unavailable(self) -> None:
        """Without a supernode that answers well it is Unavailable, which names it."""
        self.client.refusing.add(SUPERNODE)
        failure = self.failureResultOf(self.holders(), Unavailable)
        self.assertIn(SUPERNODE, str(failure.value))
        self.client.up.clear()
        self.failureResultOf(self.holders(), Unavailable)
        self.membership.supernode = None
        failure = self.failureResultOf(self.holders(), Unavailable)
        self.assertIn("no supernode", str(failure.value))


class GiveTests(NodeCase):
    """Pieces, of what is here and of what is coming."""

    content = b"".join(bytes([number]) * MIB for number in range(5)) + b"end"

    def setUp(self) -> None:
        super().setUp()
        parts = (self.content[start : start + MIB] for start in range(0, 6 * MIB, MIB))
        digests = b"".join(hashlib.sha256(part).digest() for part in parts)
        self.cut = Pieces(len(self.content), digests)
        self.library.change(ResourceInfo(HERE.id, "here", len(self.content)))
        self.library.contents[HERE.id] = self.content
        self.library.cut[HERE.id] = self.cut

    def fetching(self, *pieces: int) -> PartFile:
        """Another resource is being fetched, and has these pieces."""
        folder = Path(self.mktemp())
        folder.mkdir()
        part = self.parts[THERE] = PartFile(folder / "there", THERE, self.cut)
        self.addCleanup(part.close)
        for piece in pieces:
            start, stop = self.cut.span(piece)
            part.write(start, self.content[start:stop])
            part.verified(piece)
        return part

    def give(self, id: str, wanted: int, client: str = "10.0.0.2") -> tuple[int, int]:
        """Which bytes the client is given, which they are, and no more than is allowed at once."""
        giving = self.node.give(id, f"{wanted:x}", client)
        with giving.file:
            giving.file.seek(giving.start)
            given = giving.file.read(giving.stop - giving.start)
        self.assertEqual(given, self.content[giving.start : giving.stop])
        self.assertEqual((giving.resource.id, giving.resource.size), (id, len(self.content)))
        self.assertEqual(self.free_uploads(), 1)
        giving.upload.end()
        return giving.start, giving.stop

    def test_pieces(self) -> None:
        """How a resource is cut, and that all of it is here, or what has come."""
        self.assertEqual(self.node.pieces(HERE.id), (self.cut, 0b111111))
        self.fetching(0, 2)
        self.assertEqual(self.node.pieces(THERE), (self.cut, 0b101))
        self.assertRaises(UnknownResource, self.node.pieces, NOWHERE)

    def test_here(self) -> None:
        """A piece of a resource, the last one as short as it is."""
        self.assertEqual(self.give(HERE.id, 0b000010), (MIB, 2 * MIB))
        self.assertEqual(self.give(HERE.id, 0b100000), (5 * MIB, 5 * MIB + 3))

    def test_runs(self) -> None:
        """A client that is alone gets more each time, as far as it wants what follows."""
        self.assertEqual(self.give(HERE.id, 0b111111), (0, MIB))
        self.assertEqual(self.give(HERE.id, 0b111110), (MIB, 3 * MIB))
        self.assertEqual(self.give(HERE.id, 0b111000), (3 * MIB, 5 * MIB + 3))

    def test_spread(self) -> None:
        """Two clients that want everything get what the other has not got."""
        first = self.node.give(HERE.id, "3f", "10.0.0.2")
        second = self.node.give(HERE.id, "3f", "10.0.0.3")
        self.assertEqual((first.start, second.start), (0, MIB))

    def test_coming(self) -> None:
        """Of what is being fetched, only what has come."""
        self.fetching(1, 2, 4)
        self.assertEqual(self.give(THERE, 0b001111), (MIB, 2 * MIB))
        self.assertEqual(self.give(THERE, 0b011000), (4 * MIB, 5 * MIB))
        self.assertRaises(UnknownResource, self.node.give, THERE, "1", "10.0.0.2")

    def test_none_here(self) -> None:
        """What is not here at all, or of which nothing is wanted, is an UnknownResource."""
        self.assertRaises(UnknownResource, self.node.give, NOWHERE, "1", "10.0.0.2")
        self.assertRaises(UnknownResource, self.node.give, HERE.id, "0", "10.0.0.2")
        self.assertEqual(self.free_uploads(), 2)

    def test_bad_sets(self) -> None:
        """What is no set, or names pieces that there are not, is InvalidInput."""
        for wanted in ("", "x", "-1", "0x1", "40", "1" * 50):
            self.assertRaises(InvalidInput, self.node.give, HERE.id, wanted, "10.0.0.2")
        self.assertEqual(self.free_uploads(), 2)

    def test_too_many(self) -> None:
        """Where too much is being sent it is Unavailable."""
        for client in ("10.0.0.2", "10.0.0.3"):
            self.node.give(HERE.id, "3f", client)
        self.assertRaises(Unavailable, self.node.give, HERE.id, "3f", "10.0.0.4")

    def test_just_gone(self) -> None:
        """What has just changed or gone is an UnknownResource, and takes nobody's place."""
        self.library.contents.clear()
        self.assertRaises(UnknownResource, self.node.give, HERE.id, "1", "10.0.0.2")
        part = self.fetching(0)
        part.path.unlink()
        self.assertRaises(UnknownResource, self.node.give, THERE, "1", "10.0.0.2")
        self.assertEqual(self.free_uploads(), 2)

    def test_just_come(self) -> None:
        """What was a part and is in its place by now is given from there."""
        self.fetching(0)
        self.library.change(ResourceInfo(THERE, "there", len(self.content)))
        self.library.contents[THERE] = self.content
        self.library.cut[THERE] = self.cut
        self.assertEqual(self.node.pieces(THERE), (self.cut, 0b111111))
        self.assertEqual(self.give(THERE, 0b100000), (5 * MIB, 5 * MIB + 3))
