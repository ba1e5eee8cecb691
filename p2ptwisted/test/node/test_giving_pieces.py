"""Tests of `p2ptwisted.node.local_node`: pieces that it gives, and what it says of them."""

import hashlib
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from p2ptwisted.errors import InvalidInput, Unavailable, UnknownResource
from p2ptwisted.interfaces import Asker, ContentSlice
from p2ptwisted.model import ResourceInfo, Wanted
from p2ptwisted.node import uploads
from p2ptwisted.pieces import DIGEST, MIB, HolderState, Pieces
from p2ptwisted.support import address_policy
from p2ptwisted.test.node.node_case import CALLER, HERE, NOWHERE, OWN, THERE, FakeDownload, NodeCase
from p2ptwisted.transfer.part_file import PartFile

#: Two nodes that fetch.
A, B = "10.0.0.5:8000", "10.0.0.6:8000"


class PiecesCase(NodeCase):
    """A resource that is here, and one that is coming."""

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
        download = self.downloads[THERE] = FakeDownload()
        part = download.part = PartFile(folder / "there", THERE, self.cut)
        self.addCleanup(part.close)
        for piece in pieces:
            start, stop = self.cut.span(piece)
            part.write(start, self.content[start:stop])
            part.verified(piece)
        return part

    def start(
        self, id: str, wanted: int | str, client: str = CALLER, **more: Any
    ) -> Deferred[ContentSlice]:
        """The client asks for these pieces."""
        want = wanted if isinstance(wanted, str) else f"{wanted:x}"
        asker = Asker(client, more.get("location"))
        return Deferred.fromCoroutine(self.node.give(id, Wanted(want, **more), asker))

    def begin(self, id: str, wanted: int | str, client: str = CALLER, **more: Any) -> ContentSlice:
        """What the client is given at once."""
        return self.successResultOf(self.start(id, wanted, client, **more))

    def refused(
        self, error: type[Exception], id: str, wanted: int | str, client: str = CALLER, **more: Any
    ) -> None:
        """The client is refused, for that reason."""
        self.failureResultOf(self.start(id, wanted, client, **more), error)

    def give(self, id: str, wanted: int, client: str = CALLER, **more: Any) -> tuple[int, int]:
        """Which bytes the client is given, which they are, and no more than is allowed at once."""
        giving = self.begin(id, wanted, client, **more)
        with giving.file:
            giving.file.seek(giving.start)
            given = giving.file.read(giving.stop - giving.start)
        self.assertEqual(given, self.content[giving.start : giving.stop])
        self.assertEqual((giving.resource.id, giving.resource.size), (id, len(self.content)))
        self.assertEqual(self.free_uploads(), 1)
        giving.upload.end()
        return giving.start, giving.stop

    def pieces(self, id: str, address: str = CALLER, location: str | None = None) -> HolderState:
        """What is said of a resource's pieces."""
        return self.node.pieces(id, Asker(address, location))


class GiveTests(PiecesCase):
    """Pieces, of what is here and of what is coming."""

    def test_pieces(self) -> None:
        """How a resource is cut, and that all of it is here, or what has come."""
        self.assertEqual(self.pieces(HERE.id), (self.cut, 0b111111, []))
        self.fetching(0, 2)
        self.assertEqual(self.pieces(THERE), (self.cut, 0b101, []))
        self.assertRaises(UnknownResource, self.pieces, NOWHERE)

    def test_nothing_yet(self) -> None:
        """Of what is being fetched its manifest is passed on before the first piece."""
        self.downloads[THERE] = FakeDownload()
        self.assertRaises(UnknownResource, self.pieces, THERE)
        self.fetching()
        self.assertEqual(self.pieces(THERE), (self.cut, 0, []))
        self.refused(UnknownResource, THERE, 1)

    def test_state(self) -> None:
        """What is given comes with what is here of it, and who else fetches it."""
        self.fetching(1, 2)
        self.downloads[THERE].neighbors = [A]
        giving = self.begin(THERE, 0b111111)
        self.assertEqual(giving.state, HolderState(self.cut, 0b110, [A]))

    def test_most(self) -> None:
        """A client that says how many it takes gets no more, though it is alone."""
        self.assertEqual(self.give(HERE.id, 0b111111, most=2), (0, 2 * MIB))
        self.assertEqual(self.give(HERE.id, 0b111100, most=9), (2 * MIB, 5 * MIB + 3))

    def test_news(self) -> None:
        """News are of what is being fetched; of all else there will be none."""
        self.fetching(1)
        for id in (THERE, HERE.id, NOWHERE):
            self.successResultOf(Deferred.fromCoroutine(self.node.news(id, 1, 5.0, True)))
        self.assertEqual(self.downloads[THERE].waits, [(1, 5.0, True)])

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
        first = self.begin(HERE.id, "3f", "10.0.0.2")
        second = self.begin(HERE.id, "3f", "10.0.0.3")
        self.assertEqual((first.start, second.start), (0, MIB))

    def test_coming(self) -> None:
        """Of what is being fetched, only what has come."""
        self.fetching(1, 2, 4)
        self.assertEqual(self.give(THERE, 0b001111), (MIB, 2 * MIB))
        self.assertEqual(self.give(THERE, 0b011000), (4 * MIB, 5 * MIB))
        self.refused(UnknownResource, THERE, "1", "10.0.0.2")

    def test_turn(self) -> None:
        """Where many are being sent a client waits for its turn, and gets what is here by then."""
        self.patch(uploads, "SENDING_AT_ONCE", 1)
        part = self.fetching(0)
        first = self.begin(THERE, 0b111111)
        waiting = self.start(THERE, 0b000011, "10.0.0.3")
        self.assertNoResult(waiting)
        part.verified(1)
        first.upload.end()
        second = self.successResultOf(waiting)
        self.assertEqual((second.start, second.stop), (MIB, 2 * MIB))
        self.assertEqual(second.state, HolderState(self.cut, 0b11, []))
        second.upload.end()
        self.assertEqual(self.free_uploads(), 2)

    def test_given_up(self) -> None:
        """Who gives up while it waits keeps nobody's place."""
        self.patch(uploads, "SENDING_AT_ONCE", 1)
        first = self.begin(HERE.id, 1)
        waiting = self.start(HERE.id, 1, "10.0.0.3")
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        first.upload.end()
        self.begin(HERE.id, 1).upload.end()
        self.assertEqual(self.free_uploads(), 2)

    def test_cut_otherwise(self) -> None:
        """What is cut otherwise by then, for another version leads, is not what it asked for."""
        self.patch(uploads, "SENDING_AT_ONCE", 1)
        self.fetching(0, 1)
        first = self.begin(THERE, 1)
        waiting = self.start(THERE, 1, "10.0.0.3")
        self.cut = Pieces(2 * MIB, self.cut.digests[: 2 * DIGEST])
        self.fetching(0)
        first.upload.end()
        self.failureResultOf(waiting, UnknownResource)
        self.assertEqual(self.free_uploads(), 2)

    def test_none_here(self) -> None:
        """What is not here at all, or of which nothing is wanted, is an UnknownResource."""
        self.refused(UnknownResource, NOWHERE, "1", "10.0.0.2")
        self.refused(UnknownResource, HERE.id, "0", "10.0.0.2")
        self.assertEqual(self.free_uploads(), 2)

    def test_bad_sets(self) -> None:
        """What is no set, or names pieces that there are not, is InvalidInput."""
        for wanted in ("", "x", "-1", "0x1", "40", "1" * 50):
            self.refused(InvalidInput, HERE.id, wanted)
        self.assertEqual(self.free_uploads(), 2)

    def test_too_many(self) -> None:
        """Where too much is being sent it is Unavailable."""
        for client in ("10.0.0.2", "10.0.0.3"):
            self.begin(HERE.id, "3f", client)
        self.refused(Unavailable, HERE.id, "3f", "10.0.0.4")

    def test_just_gone(self) -> None:
        """What has just changed or gone is an UnknownResource, and takes nobody's place."""
        self.library.contents.clear()
        self.refused(UnknownResource, HERE.id, "1", "10.0.0.2")
        part = self.fetching(0)
        part.path.unlink()
        self.refused(UnknownResource, THERE, "1", "10.0.0.2")
        self.assertEqual(self.free_uploads(), 2)

    def test_just_come(self) -> None:
        """What was a part and is in its place by now is given from there."""
        self.fetching(0)
        self.library.change(ResourceInfo(THERE, "there", len(self.content)))
        self.library.contents[THERE] = self.content
        self.library.cut[THERE] = self.cut
        self.assertEqual(self.pieces(THERE), (self.cut, 0b111111, []))
        self.assertEqual(self.give(THERE, 0b100000), (5 * MIB, 5 * MIB + 3))


class NeighborsTests(PiecesCase):
    """Nodes that fetch the same, told of each other."""

    trusted = ("10.1.0.0/16",)

    def test_told(self) -> None:
        """Who says where it is is told of to the others that ask, and not to itself."""
        self.assertEqual(self.pieces(HERE.id, "10.0.0.5", A).neighbors, [])
        self.assertEqual(self.pieces(HERE.id, "10.0.0.5", A).neighbors, [])
        self.assertEqual(self.pieces(HERE.id, "10.0.0.6", B).neighbors, [A])
        self.assertEqual(self.pieces(HERE.id, "10.0.0.5", A).neighbors, [B])
        self.assertEqual(sorted(self.pieces(HERE.id, "10.0.0.7").neighbors), [A, B])

    def test_told_when_given(self) -> None:
        """The same when it asks for pieces."""
        self.begin(HERE.id, 1, "10.0.0.5", location=A).upload.end()
        giving = self.begin(HERE.id, 1, "10.0.0.6", location=B)
        assert giving.state is not None
        self.assertEqual(giving.state.neighbors, [A])

    def test_met(self) -> None:
        """A download of this node's own hears of it too, and its neighbors are told of."""
        self.fetching(0)
        self.downloads[THERE].neighbors = [B]
        self.assertEqual(self.pieces(THERE, "10.0.0.5", A).neighbors, [B])
        self.assertEqual(self.downloads[THERE].met, [A])

    def test_by_resource(self) -> None:
        """Who fetches one resource is no matter for those that fetch another."""
        self.fetching(0)
        self.pieces(HERE.id, "10.0.0.5", A)
        self.assertEqual(self.pieces(THERE, "10.0.0.6", B).neighbors, [])
        self.assertEqual(self.downloads[THERE].met, [B])

    def test_stranger(self) -> None:
        """Nobody can have the others call somebody else, or have this node do so."""
        self.fetching(0)
        for id in (HERE.id, THERE):
            self.pieces(id, "10.0.0.66", A)
            self.assertEqual(self.pieces(id, "10.0.0.6", B).neighbors, [])
        self.assertEqual(self.downloads[THERE].met, [B])

    def test_trusted(self) -> None:
        """Those that are trusted can, and those on this machine."""
        for address in ("10.1.2.3", "127.0.0.1"):
            self.pieces(HERE.id, address, f"10.7.7.7:{len(address)}")
        told = self.pieces(HERE.id, "10.0.0.6", B).neighbors
        self.assertEqual(sorted(told), ["10.7.7.7:8", "10.7.7.7:9"])

    def test_one_spelling(self) -> None:
        """However it writes its location, it is one."""
        for location in ("10.0.0.5:08000", "10.0.0.5:8000", "10.0.0.5:8000"):
            self.assertEqual(self.pieces(HERE.id, "10.0.0.5", location).neighbors, [])
        self.assertEqual(self.pieces(HERE.id, "10.0.0.6", B).neighbors, [A])

    def test_bad_locations(self) -> None:
        """What is no location of one host is InvalidInput, and takes nobody's place."""
        for location in ("", "x", "10.0.0.5", "10.0.0.5:0", "10.0.0.5:1, x", "169.254.1.1:80"):
            self.assertRaises(InvalidInput, self.pieces, HERE.id, "10.0.0.5", location)
            self.refused(InvalidInput, HERE.id, 1, "10.0.0.5", location=location)
        self.assertEqual(self.free_uploads(), 2)

    def test_itself(self) -> None:
        """This node is no neighbor of its own, whoever says so."""
        self.fetching(0)
        self.pieces(THERE, "127.0.0.1", OWN)
        self.assertEqual(self.downloads[THERE].met, [])
        self.assertEqual(self.pieces(THERE, "10.0.0.6", B).neighbors, [])

    def test_loopback(self) -> None:
        """A node on loopback is told of as the asker can reach it."""
        self.patch(address_policy, "address_towards", lambda host: "10.0.0.9")
        self.pieces(HERE.id, "127.0.0.1", "127.0.0.1:9000")
        self.assertEqual(self.pieces(HERE.id, "10.0.0.6", B).neighbors, ["10.0.0.9:9000"])
        self.assertIn("127.0.0.1:9000", self.pieces(HERE.id, "127.0.0.1").neighbors)
