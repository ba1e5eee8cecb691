"""Tests of `p2ptwisted.node.local_node`: what it says of a resource to clients by HTTP alone."""

from collections.abc import Sequence

from twisted.internet.defer import Deferred

from p2ptwisted.errors import UnknownResource
from p2ptwisted.interfaces import Sha1Pieces, Sources
from p2ptwisted.model import Holders, ResourceInfo
from p2ptwisted.node.mirrors import SIZE_MIN
from p2ptwisted.pieces import DIGEST, PIECE_MIN, Pieces
from p2ptwisted.test.node.node_case import CALLER, HERE, OWN, SUPERNODE, THERE, NodeCase

OTHER = "10.0.0.3:8000"


class SourcesTests(NodeCase):
    """A large resource that another node has too."""

    def setUp(self) -> None:
        super().setUp()
        self.list("folder/large: one", SIZE_MIN)
        self.client.held[SUPERNODE, HERE.id] = Holders(HERE.id, [OWN, OTHER], [])

    def list(self, name: str, size: int) -> None:
        """That is the resource that is here."""
        self.library.change(ResourceInfo(HERE.id, name, size))
        self.library.cut[HERE.id] = Pieces(size, bytes(DIGEST * (size // PIECE_MIN)))

    def mirrors(self, id: str = HERE.id, caller: str = CALLER) -> Sequence[str]:
        return self.successResultOf(Deferred.fromCoroutine(self.node.mirrors(id, caller)))

    def sources(self, id: str = HERE.id, caller: str = CALLER) -> Sources | None:
        return self.successResultOf(Deferred.fromCoroutine(self.node.sources(id, caller)))

    def test_mirrors(self) -> None:
        """The others at its supernode are named, but not the node itself."""
        self.assertEqual(self.mirrors(), [OTHER])
        self.assertEqual([call.what for call in self.client.calls], ["holders here"])

    def test_small(self) -> None:
        """Nobody is asked about what is small (no client fetches it in parts) or not here."""
        self.list("small", SIZE_MIN - 1)
        self.assertFalse(self.mirrors())
        self.assertFalse(self.mirrors(THERE))
        self.assertEqual(self.client.calls, [])

    def test_loopback(self) -> None:
        """A holder on this host is named as the client reaches it."""
        self.client.held[SUPERNODE, HERE.id] = Holders(HERE.id, ["127.0.0.1:8001"], [])
        self.assertEqual(self.mirrors(caller="127.0.0.1"), ["127.0.0.1:8001"])
        (other,) = self.mirrors()
        self.assertTrue(other.endswith(":8001"))

    def test_sources(self) -> None:
        """It is here first, and at others of all supernodes, by a name for any file system."""
        pieces = self.library.cut[HERE.id]
        expected = Sources(HERE.id, "large_ one", pieces, [OWN, OTHER])
        self.assertEqual(self.sources(), expected)
        self.assertEqual([call.what for call in self.client.calls], ["holders"])

    def test_no_supernode(self) -> None:
        """Without a supernode it is here."""
        self.membership.supernode = None
        self.assertFalse(self.mirrors())
        sources = self.sources()
        assert sources is not None
        self.assertEqual(sources.locations, [OWN])

    def test_elsewhere(self) -> None:
        """Of what isn't here it knows nothing, and asks nobody."""
        self.assertIs(self.sources(THERE), None)
        self.assertEqual(self.client.calls, [])

    def test_sha1_pieces(self) -> None:
        """The SHA-1s of its pieces are had computed for who asks."""
        sources = self.sources()
        assert sources is not None
        asked = Deferred.fromCoroutine(self.node.sha1_pieces(sources, CALLER))
        self.assertEqual(self.successResultOf(asked), Sha1Pieces(PIECE_MIN, b"1" * 20))
        self.assertEqual(self.torrents, [(HERE.id, SIZE_MIN, CALLER)])

    def test_empty(self) -> None:
        """An empty resource has none: there is no torrent of it."""
        self.list("empty", 0)
        sources = self.sources()
        assert sources is not None
        asked = Deferred.fromCoroutine(self.node.sha1_pieces(sources, CALLER))
        self.failureResultOf(asked, UnknownResource)
