"""Tests of `p2ptwisted.node.local_node`: what a node does when it is asked."""

from typing import cast

from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from p2ptwisted.errors import TooMuch, Unavailable
from p2ptwisted.interfaces import ILibrary, INode
from p2ptwisted.model import Health, Holders, ResourceInfo
from p2ptwisted.node import local_node
from p2ptwisted.test.node.node_case import (
    CALLER,
    HERE,
    NOWHERE,
    OTHER,
    OWN,
    SUPERNODE,
    THERE,
    NodeCase,
    held,
)
from p2ptwisted.test.node_fakes import FakeFolder


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

    def test_unreachable(self) -> None:
        """Where its supernode can't reach it, that is there, with the location."""
        self.membership.unreachable_at = "10.0.0.9:8000"
        told = Health("node1", 1, False, SUPERNODE, unreachable_at="10.0.0.9:8000")
        self.assertEqual(self.node.health("10.0.0.2"), told)

    def test_folder(self) -> None:
        """Only somebody on the same machine is told which folder it shares."""
        for caller in ("127.0.0.1", "127.3.2.1"):
            health = self.node.health(caller)
            self.assertEqual(health, Health("node1", 1, False, SUPERNODE, "/shared"))
        for caller in ("10.0.0.9", "128.0.0.1", "1.127.0.0"):
            self.assertEqual(self.node.health(caller), Health("node1", 1, False, SUPERNODE))

    def test_folder_problem(self) -> None:
        """What is wrong with that folder is told to everybody, as it is now."""
        folder = cast(FakeFolder, self.library.folder)
        folder.finds = "it is gone"
        health = self.node.health("10.0.0.2")
        self.assertEqual(health.folder_problem, "it is gone")


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
