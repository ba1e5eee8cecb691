"""Tests for `p2ptwisted.transfer.part_versions`, on real files."""

import hashlib
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.errors import Unavailable
from p2ptwisted.pieces import MIB, Pieces
from p2ptwisted.test.transfer_fakes import left_of
from p2ptwisted.transfer import part_versions as module
from p2ptwisted.transfer.disk_room import STAT_BLOCK
from p2ptwisted.transfer.incoming_pieces import IncomingPiece
from p2ptwisted.transfer.part_file import PartFile
from p2ptwisted.transfer.part_versions import PartVersions
from p2ptwisted.transfer.write_errors import NoRoom

#: Four versions of a resource, of which the first is right.
CONTENTS = [b"".join(bytes([10 * v + n]) * MIB for n in range(8)) for v in range(4)]
ID = hashlib.sha256(CONTENTS[0]).hexdigest()


def cut(content: bytes) -> Pieces:
    digests = (hashlib.sha256(content[at : at + MIB]).digest() for at in range(0, 8 * MIB, MIB))
    return Pieces(len(content), b"".join(digests))


VERSIONS = [cut(content) for content in CONTENTS]


class PartsTests(SynchronousTestCase):
    """Versions of one resource, each with a part of its own."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.parts = self.make()

    def make(self) -> PartVersions:
        parts = PartVersions(self.folder / "file", ID)
        self.addCleanup(parts.close)
        return parts

    def files(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}

    def receive(self, version: int, *pieces: int) -> PartFile:
        """The part of that version, with these pieces of it."""
        part = self.parts.of(VERSIONS[version])
        for piece in pieces:
            arriving = IncomingPiece(part, piece)
            arriving.write(CONTENTS[version][piece * MIB : (piece + 1) * MIB])
            self.assertTrue(arriving.finish())
        return part

    def test_first(self) -> None:
        """The first has the name that a part always had, and the others are hidden."""
        for version in (1, 0):
            self.receive(version, 3)
        self.assertEqual(
            self.files(), {"file.part", "file.part.journal", ".file.1.part", ".file.1.journal"}
        )
        self.assertIs(self.receive(1), self.parts.of(VERSIONS[1]))

    def test_name_at_its_longest(self) -> None:
        """Where a name leaves no more room than for a part's journal, that is enough."""
        longest = PartVersions(self.folder / ("n" * (255 - len(".part.journal"))), ID)
        self.addCleanup(longest.close)
        for version in VERSIONS:
            longest.of(version)

    def test_finished(self) -> None:
        """What is right takes its place, whichever it was, and nothing else is left."""
        for version in (2, 1):
            self.receive(version, 0)
        self.parts.close()
        self.parts = self.make()
        self.receive(1, 1)
        part = self.receive(0, *range(8))
        self.assertNotEqual(part.number, 0)
        self.parts.finish(part, overwrite=False)
        self.assertEqual((self.folder / "file").read_bytes(), CONTENTS[0])
        self.parts.close()
        self.assertEqual(self.files(), {"file"})

    def test_kept(self) -> None:
        """What an earlier fetch has brought stays, whoever comes first now and brings more."""
        self.receive(0, 5)
        self.parts.close()
        self.parts = self.make()
        self.receive(1, *range(7))
        self.parts.close()
        self.parts = self.make()
        self.assertEqual(self.receive(0).have, 1 << 5)
        self.assertEqual(self.receive(1).have, 0b1111111)

    def test_kept_most(self) -> None:
        """Of those beside the first only the largest is left for the next time."""
        self.receive(0, 0)
        for version in (1, 2, 3):
            self.receive(version, *range(version if version < 3 else 1))
        self.parts.close()
        self.assertEqual(
            self.files(), {"file.part", "file.part.journal", ".file.2.part", ".file.2.journal"}
        )

    def test_nothing_of_use(self) -> None:
        """Where no piece has come, or what came is wrong, nothing is left."""
        self.receive(0)
        self.parts.leave(self.receive(1))
        self.parts.discard(self.receive(2, *range(8)))
        self.parts.close()
        self.assertEqual(self.files(), set())

    def test_room(self) -> None:
        """Room that was reserved and isn't needed is given back, wherever the pieces are."""
        for pieces in ((7,), (0, 3), (0, 1, 2, 3, 4, 5, 6, 7)):
            part = self.receive(1, *pieces)
            for _ in part.reserve():
                pass
            before = {piece: CONTENTS[1][piece * MIB : (piece + 1) * MIB] for piece in pieces}
            self.assertGreaterEqual(part.path.stat().st_blocks * STAT_BLOCK, 8 * MIB)
            self.parts.leave(part)
            self.assertLess(part.path.stat().st_blocks * STAT_BLOCK, (len(pieces) + 0.5) * MIB)
            content = part.path.read_bytes()
            for piece, data in before.items():
                self.assertEqual(content[piece * MIB : (piece + 1) * MIB], data)
            again = self.receive(1)
            self.assertEqual(again.have, sum(1 << piece for piece in pieces))
            self.parts.discard(again)

    def test_most(self) -> None:
        """So many are on disk at once and no more."""
        self.patch(module, "PARTS_MAX", 2)
        self.receive(0)
        self.receive(1)
        self.assertRaises(NoRoom, self.parts.of, VERSIONS[2])

    def test_folder_in_place_of_a_journal(self) -> None:
        """One that others have put there keeps nothing from being finished, and stays."""
        for version in (0, 1):
            self.receive(version, 0)
        self.parts.close()
        journal = self.folder / ".file.1.journal"
        journal.unlink()
        journal.mkdir()
        self.parts = self.make()
        self.parts.finish(self.receive(0, *range(8)), overwrite=False)
        self.parts.close()
        self.assertEqual(self.files(), {"file", journal.name})

    def test_in_use(self) -> None:
        """What another program is at is neither taken nor removed."""
        self.receive(1, 1)
        other = self.make()
        self.assertRaises(Unavailable, other.of, VERSIONS[1])
        self.assertRaises(Unavailable, PartVersions(self.folder / "file", "x").of, VERSIONS[2])
        part = other.of(VERSIONS[0])
        other.discard(part)
        self.assertIsNotNone(left_of(self.folder / "file", ID))
        os.truncate(self.receive(1).path, 0)
