"""Tests of the running digest of a part: in order, out of order, with true hints and false ones."""

import hashlib
from pathlib import Path

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted import pieces
from p2ptwisted.errors import Unavailable, UnknownResource
from p2ptwisted.model import Holders
from p2ptwisted.pieces import Pieces, every_piece
from p2ptwisted.test.node_fakes import one_by_one
from p2ptwisted.test.transfer_fakes import LENGTH, FakeHolder, FakeSync, SwarmClient, cut, id_of
from p2ptwisted.transfer.download import Download
from p2ptwisted.transfer.incoming_pieces import IncomingPiece
from p2ptwisted.transfer.part_file import PartFile

CONTENT = bytes(range(8 * LENGTH - 5))
ID = id_of(CONTENT)
COUNT = 8


def hinted(content: bytes, said_of: bytes) -> Pieces:
    """The pieces of a content, with the hint that is right for another."""
    stops = range(LENGTH, len(said_of) + LENGTH, LENGTH)
    prefixes = b"".join(hashlib.sha256(said_of[:stop]).digest() for stop in stops)
    return Pieces(len(content), cut(content).digests, prefixes)


#: A content whose third piece is wrong, and the hints for it and for what it should be.
WRONG = CONTENT[: 2 * LENGTH] + bytes(LENGTH) + CONTENT[3 * LENGTH :]
TRUE_HINT, FALSE_HINT = hinted(CONTENT, CONTENT), hinted(CONTENT, WRONG)


class Case(SynchronousTestCase):
    """With pieces of a few bytes."""

    def setUp(self) -> None:
        self.patch(pieces, "PIECE_MIN", LENGTH)
        self.folder = Path(self.mktemp())

    def part(self, said: Pieces) -> PartFile:
        part = PartFile(self.folder / "file", ID, said)
        self.addCleanup(part.close)
        return part

    def send(self, part: PartFile, piece: int, content: bytes = CONTENT) -> bool:
        """Whether the piece is taken."""
        start, stop = part.pieces.span(piece)
        incoming = IncomingPiece(part, piece)
        incoming.write(content[start : start + 3])
        incoming.write(content[start + 3 : stop])
        return incoming.finish()


class PartTests(Case):
    """The pieces of a part."""

    def test_in_order(self) -> None:
        """Pieces in order are right by the running digest alone, and it is the id in the end."""
        part = self.part(TRUE_HINT)
        for piece in range(COUNT):
            self.assertTrue(self.send(part, piece))
            self.assertFalse(part.is_behind)
        self.assertEqual(part.running.hexdigest(), ID)
        self.assertEqual(part.running.prefixes, TRUE_HINT.prefixes)
        # The digest of all up to the first piece's end is the piece's own, which is no hint.
        self.assertEqual(part.unchecked | 1, every_piece(COUNT))

    def test_without_hint(self) -> None:
        """Without a hint each piece is right by its own digest, and hashed once for either."""
        part = self.part(cut(CONTENT))
        for piece in range(COUNT):
            self.assertTrue(self.send(part, piece))
            self.assertFalse(part.is_behind)
        self.assertEqual(part.running.hexdigest(), ID)
        self.assertEqual(part.running.prefixes, TRUE_HINT.prefixes)
        self.assertFalse(part.unchecked & ~1)

    def test_out_of_order(self) -> None:
        """What came before its turn is read back when it is its turn."""
        part = self.part(TRUE_HINT)
        for piece in (3, 1, 7, 2, 0):
            self.assertTrue(self.send(part, piece))
        self.assertTrue(part.is_behind)
        for _ in part.catch_up():
            pass
        self.assertEqual(part.running.next, 4)
        for piece in (5, 4, 6):
            self.assertTrue(self.send(part, piece))
            for _ in part.catch_up():
                pass
        self.assertEqual(part.running.hexdigest(), ID)

    def test_wrong_piece(self) -> None:
        """A wrong piece is found out at once, and leaves no trace."""
        part = self.part(TRUE_HINT)
        for piece in range(COUNT):
            if piece == 2:
                self.assertFalse(self.send(part, piece, WRONG))
                self.assertFalse(part.have >> piece & 1)
            self.assertTrue(self.send(part, piece))
        self.assertEqual(part.running.hexdigest(), ID)
        part.finish()
        self.assertEqual(part.destination.read_bytes(), CONTENT)

    def test_false_hint(self) -> None:
        """A piece that is right by its own digest is taken, and the hint believed no more."""
        part = self.part(FALSE_HINT)
        for piece in range(COUNT):
            self.assertTrue(self.send(part, piece))
        self.assertEqual(part.running.hexdigest(), ID)
        # Only what came before the lie.
        self.assertEqual(part.unchecked | 1, 0b11)

    def test_hint_with_pieces_to_match(self) -> None:
        """A wrong piece for which the hint was made up is found when it is to be passed on."""
        part = self.part(FALSE_HINT)
        for piece in range(4):
            self.assertTrue(self.send(part, piece, WRONG))
        self.assertTrue(part.unchecked & 0b100)
        for _ in part.check(part.unchecked):
            pass
        self.assertEqual((part.have, part.unchecked), (0b1011, 0))
        # Nor is the hint believed any more.
        self.assertFalse(self.send(part, 4, bytes(len(CONTENT))))

    def test_after_a_restart(self) -> None:
        """What an earlier process has left counts as unchecked, and is hashed from the part."""
        part = self.part(TRUE_HINT)
        for piece in range(3):
            self.send(part, piece)
        part.leave()
        part = self.part(TRUE_HINT)
        self.assertEqual((part.have, part.unchecked, part.running.next), (0b111, 0b111, 0))
        for _ in part.catch_up():
            pass
        for piece in range(3, COUNT):
            self.assertTrue(self.send(part, piece))
        self.assertEqual(part.running.hexdigest(), ID)

    def test_twice_at_once(self) -> None:
        """A piece that two send at once is never mixed of both, whoever is first and lies."""
        for hint in (TRUE_HINT, cut(CONTENT)):
            for liar in (0, 1):
                for first in (0, 1):
                    part = self.part(hint)
                    both = [IncomingPiece(part, 0), IncomingPiece(part, 0)]
                    data = [CONTENT[:LENGTH], CONTENT[:LENGTH]]
                    data[liar] = bytes(LENGTH)
                    for number in (0, 1):
                        both[number].write(data[number][:7])
                    for number in (first, 1 - first):
                        both[number].write(data[number][7:])
                        # Of the first it is not known any more, if the second was sooner.
                        is_right = number != liar or (number == 0 and first == 1)
                        self.assertEqual(both[number].finish(), is_right)
                    self.assertTrue(part.is_right(0))
                    self.assertEqual((part.have, part.running.next), (1, 1))
                    part.discard()


class DownloadTests(Case):
    """Whole downloads."""

    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        self.client = SwarmClient(self.clock)
        self.download = self.make()

    def make(self) -> Download:
        return Download(
            self.clock,
            self.client,
            one_by_one(self.clock),
            FakeSync(),
            ID,
            self.find,
            lambda name: self.folder / "file",
        )

    async def find(self, here: bool) -> Holders:
        return Holders(ID, list(self.client.peers), [])

    def run_it(self) -> None:
        """The download ends with the right file."""
        running = Deferred.fromCoroutine(self.download.run())
        for _ in range(6_000):
            self.clock.advance(0.01)
            if running.called:
                break
        path = self.successResultOf(running)
        self.assertEqual(path.read_bytes(), CONTENT)

    def test_hints(self) -> None:
        """With a true hint, a false one and none it ends with the file, from one or from many."""
        for holders in (1, 3):
            for said in (TRUE_HINT, FALSE_HINT, cut(CONTENT)):
                self.setUp()
                for number in range(holders):
                    self.client.peers[f"a:{number}"] = FakeHolder(CONTENT, said)
                self.run_it()
                assert self.download.part is not None
                self.assertEqual(self.download.part.running.prefixes, TRUE_HINT.prefixes)
                self.assertEqual(self.download.troubles, {})

    def test_one_group(self) -> None:
        """Holders that give hints, others or none are one group."""
        for number, said in enumerate((cut(CONTENT), TRUE_HINT, FALSE_HINT)):
            self.client.peers[f"a:{number}"] = FakeHolder(CONTENT, said)
        self.run_it()
        self.assertEqual(self.download.troubles, {})

    def test_liar(self) -> None:
        """Who makes up a hint and a piece to match is found out in the end; the rest is kept."""
        self.client.peers["liar:1"] = FakeHolder(WRONG, FALSE_HINT)
        running = Deferred.fromCoroutine(self.download.run())
        while not running.called:
            self.clock.advance(0.01)
        failure = self.failureResultOf(running, Unavailable)
        self.assertIn("liar:1: it sent a wrong piece (2)", str(failure.value))
        del self.client.peers["liar:1"]
        self.client.peers["a:1"] = FakeHolder(CONTENT)
        self.download = self.make()
        self.run_it()

    def test_passed_on(self) -> None:
        """Pieces are checked before they are passed on, and a wrong one is not."""
        self.client.peers["liar:1"] = FakeHolder(WRONG, FALSE_HINT)
        running = Deferred.fromCoroutine(self.download.run())
        while self.download.part is None or not self.download.part.have & 0b100:
            self.clock.advance(0.01)
        right = Deferred.fromCoroutine(self.download.check(0b11))
        wrong = Deferred.fromCoroutine(self.download.check(0b110))
        while not (right.called and wrong.called):
            self.clock.advance(0.001)
        self.assertIs(self.successResultOf(right), None)
        self.failureResultOf(wrong, UnknownResource)
        running.cancel()
        self.failureResultOf(running, CancelledError)
