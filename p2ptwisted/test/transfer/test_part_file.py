"""Tests for `p2ptwisted.transfer.part_file`, on real files."""

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.errors import Unavailable, UnknownResource
from p2ptwisted.pieces import MIB, PIECE_MIN, Pieces, every_piece, members
from p2ptwisted.test.node_fakes import at_once, open_descriptors
from p2ptwisted.transfer import disk_room
from p2ptwisted.transfer.incoming_pieces import IncomingPiece
from p2ptwisted.transfer.part_file import PartFile
from p2ptwisted.transfer.part_names import JOURNAL, PART
from p2ptwisted.transfer.shared_folder import SharedFolder


def cut(content: bytes) -> Pieces:
    starts = range(0, len(content), MIB)
    digests = (hashlib.sha256(content[start : start + MIB]).digest() for start in starts)
    return Pieces(len(content), b"".join(digests))


#: Pieces that are each another, the last one short; and as long a content that is another.
CONTENT = b"".join(bytes([n]) * MIB for n in range(1, 13)) + b"the end"
OTHER = CONTENT[:-1] + b"!"
PIECES = cut(CONTENT)
ID = hashlib.sha256(CONTENT).hexdigest()


def no_room(*arguments: object, **options: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class PartTestCase(SynchronousTestCase):
    """A folder for each test."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.destination = self.folder / "file"
        self.part_path = self.folder / f"file{PART}"
        self.journal = self.folder / f"file{JOURNAL}"

    def part(self, pieces: Pieces = PIECES, id: str = ID) -> PartFile:
        part = PartFile(self.destination, id, pieces)
        self.addCleanup(part.close)
        for _ in part.reserve():
            pass
        return part

    def receive(self, part: PartFile, *pieces: int, content: bytes = CONTENT) -> list[bool]:
        """These pieces come, some bytes at a time."""
        good = []
        for piece in pieces:
            start, stop = part.pieces.span(piece)
            arriving = IncomingPiece(part, piece)
            for at in range(start, stop, 300_000):
                arriving.write(memoryview(content)[at : min(at + 300_000, stop)])
            self.assertEqual(arriving.left, 0)
            good.append(arriving.finish())
        return good

    def files(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}


class ArrivingTests(PartTestCase):
    """Pieces that come."""

    def test_whole(self) -> None:
        """Pieces come in any order, and the file is in its place when it is finished."""
        part = self.part()
        order = list(range(PIECES.count))
        Random(1).shuffle(order)
        self.assertEqual(self.receive(part, *order), [True] * PIECES.count)
        self.assertTrue(part.is_complete)
        self.assertFalse(self.destination.exists())
        part.finish()
        self.assertEqual(self.destination.read_bytes(), CONTENT)
        self.assertEqual(self.files(), {"file"})

    def test_empty(self) -> None:
        """An empty resource is complete at once."""
        part = self.part(Pieces(0, b""), hashlib.sha256().hexdigest())
        self.assertTrue(part.is_complete)
        part.finish()
        self.assertEqual(self.destination.read_bytes(), b"")

    def test_wrong(self) -> None:
        """A wrong piece doesn't count as here, and may come again."""
        part = self.part()
        last = PIECES.count - 1
        self.assertEqual(self.receive(part, last, content=OTHER), [False])
        self.assertEqual(part.have, 0)
        self.assertEqual(self.receive(part, last), [True])
        self.assertEqual(part.have, 1 << last)

    def test_twice(self) -> None:
        """One piece may come from two at the same time; who is first counts, once."""
        part = self.part()
        first, second = IncomingPiece(part, 2), IncomingPiece(part, 2)
        start, stop = PIECES.span(2)
        for at in range(start, stop, MIB // 4):
            first.write(CONTENT[at : at + MIB // 4])
            second.write(CONTENT[at : at + MIB // 4])
        self.assertTrue(first.finish())
        self.assertTrue(second.finish())
        self.assertEqual(self.journal.read_bytes().count(b"\n2\n"), 1)

    def test_read_while_it_comes(self) -> None:
        """What has come can be read; once it has moved, who asks is told to ask again."""
        part = self.part()
        self.receive(part, 3)
        with part.open() as file:
            file.seek(3 * MIB)
            self.assertEqual(file.read(MIB), CONTENT[3 * MIB : 4 * MIB])
        part.finish()
        self.assertRaises(UnknownResource, part.open)

    def test_folders(self) -> None:
        """Folders on the way are made."""
        self.destination = self.folder / "a" / "b" / "file"
        part = self.part()
        self.receive(part, *range(PIECES.count))
        part.finish()
        self.assertEqual(self.destination.read_bytes(), CONTENT)


class AgainTests(PartTestCase):
    """Going on with what is there."""

    def test_goes_on(self) -> None:
        """A part that is opened again has what it had, and more may come."""
        first = self.part()
        self.receive(first, 1, 10, 4)
        first.close()
        second = self.part()
        self.assertEqual(list(members(second.have)), [1, 4, 10])
        self.receive(second, *members(every_piece(PIECES.count) & ~second.have))
        second.finish()
        self.assertEqual(self.destination.read_bytes(), CONTENT)

    def test_killed(self) -> None:
        """Wherever its journal is cut off, it has no more than had come, and goes on well."""
        part = self.part()
        order = [11, 1, 10, 12, 0, 2]
        self.receive(part, *order)
        part.close()
        journal = self.journal.read_bytes()
        head = journal.index(b"\n") + 1
        for length in [*range(0, head, 50), *range(head - 2, len(journal) + 1)]:
            shutil.copyfile(self.part_path, self.folder / "kept")
            self.journal.write_bytes(journal[:length])
            again = self.part()
            whole_lines = journal[head:length].count(b"\n")
            self.assertEqual(again.have, sum(1 << piece for piece in order[:whole_lines]))
            self.receive(again, 5)
            again.close()
            once_more = self.part()
            self.assertEqual(once_more.have, again.have)
            once_more.close()
            os.replace(self.folder / "kept", self.part_path)

    def test_earlier_version(self) -> None:
        """What came with version 0.2, in pieces of 1 MiB, is there in the smaller ones of today."""
        earlier = self.part()
        self.receive(earlier, 3, 12)
        earlier.close()
        starts = range(0, len(CONTENT), PIECE_MIN)
        blocks = (CONTENT[start : start + PIECE_MIN] for start in starts)
        now = Pieces(len(CONTENT), b"".join(hashlib.sha256(block).digest() for block in blocks))
        part = self.part(now)
        self.assertEqual(list(members(part.have)), [12, 13, 14, 15, 48])
        self.receive(part, *members(every_piece(now.count) & ~part.have))
        part.close()
        again = self.part(now)
        self.assertTrue(again.is_complete)
        again.finish()
        self.assertEqual(self.destination.read_bytes(), CONTENT)

    def test_another_resource(self) -> None:
        """The part of another resource that was to stand there gives way."""
        self.receive(first := self.part(), 1)
        first.close()
        other = self.part(cut(OTHER), hashlib.sha256(OTHER).hexdigest())
        self.assertEqual(other.have, 0)
        self.receive(other, *range(PIECES.count), content=OTHER)
        other.finish()
        self.assertEqual(self.destination.read_bytes(), OTHER)

    def test_other_digests(self) -> None:
        """What came by other piece digests doesn't count."""
        self.receive(first := self.part(), 1)
        first.close()
        self.assertEqual(self.part(cut(OTHER)).have, 0)

    def test_killed_at_the_end(self) -> None:
        """Where it was killed as the file had just come to its place, that file is left alone."""
        for id, pieces in [(ID, PIECES), ("other", cut(OTHER))]:
            part = self.part()
            self.receive(part, *range(PIECES.count))
            part.close()
            os.link(self.part_path, self.destination)
            again = self.part(pieces, id)
            self.assertEqual(again.have, 0)
            again.write(0, b"x" * 100)
            again.close()
            self.assertEqual(self.destination.read_bytes(), CONTENT)
            self.destination.unlink()
            self.part_path.unlink()

    def test_nonsense_in_the_journal(self) -> None:
        """Lines that are no piece's number are passed over."""
        self.receive(first := self.part(), 1)
        first.close()
        with self.journal.open("ab") as journal:
            journal.write(b"x\n-1\n\n99\n4 \n%b\n3\n" % (b"9" * 5_000))
        self.assertEqual(list(members(self.part().have)), [1, 3])

    def test_no_text_in_the_journal(self) -> None:
        """A journal whose head is damaged, even to what is no text, is one of nothing."""
        self.receive(first := self.part(), 1)
        first.close()
        good = self.journal.read_bytes()
        for at in range(0, good.index(b"\n"), 7):
            self.part_path.write_bytes(b"x")
            self.journal.write_bytes(good[:at] + b"\xd9" + good[at + 1 :])
            part = PartFile(self.destination, ID, PIECES)
            part.close()
            self.assertEqual(part.have, 0, at)

    def test_journal_without_part(self) -> None:
        """A journal whose part is gone says nothing."""
        self.receive(first := self.part(), 1)
        first.close()
        self.part_path.unlink()
        self.assertEqual(self.part().have, 0)

    def test_recheck(self) -> None:
        """Looking at every piece again finds what was damaged, and it can come again."""
        part = self.part()
        self.receive(part, *range(PIECES.count))
        part.write(5 * MIB + 7, b"damage")
        slices = 0
        rechecking: Iterator[None] = part.recheck()
        for _ in rechecking:
            slices += 1
        self.assertGreater(slices, PIECES.count)
        self.assertEqual(part.have, every_piece(PIECES.count) & ~(1 << 5))
        part.close()
        again = self.part()
        self.assertEqual(again.have, part.have)
        self.receive(again, 5)
        again.finish()
        self.assertEqual(self.destination.read_bytes(), CONTENT)

    def test_recheck_without_room(self) -> None:
        """A journal that can't be written anew leaves the old one, and the disk is to blame."""
        part = self.part()
        self.receive(part, 0, 1)
        before = self.journal.read_bytes()
        self.patch(os, "replace", no_room)
        self.assertRaises(Unavailable, list, part.recheck())
        self.assertEqual(self.journal.read_bytes(), before)
        self.assertEqual(self.files(), {self.part_path.name, self.journal.name})

    def test_one_at_a_time(self) -> None:
        """A second transfer to one place is refused and disturbs nothing."""
        first = self.part()
        self.receive(first, 1)
        error = self.assertRaises(Unavailable, self.part)
        self.assertIn("already", str(error))
        error = self.assertRaises(Unavailable, self.part, cut(OTHER), "other")
        self.receive(first, *range(PIECES.count))
        first.finish()
        self.assertEqual(self.destination.read_bytes(), CONTENT)

    def test_the_other_finishes_just_then(self) -> None:
        """A part that comes to its place while a second transfer opens it is not written to."""
        first = self.part()
        self.receive(first, *range(PIECES.count))

        def flock(file: int, operation: int) -> None:
            patched.restore()
            first.finish()

        patched = self.patch(fcntl, "flock", flock)
        second = self.part()
        self.assertEqual(second.have, 0)
        second.write(0, b"x" * 100)
        self.assertEqual(self.destination.read_bytes(), CONTENT)


#: A content of which most pieces are nothing but zeros, the last one too, which is as long.
SPARSE = b"".join(bytes([n]) * MIB for n in (0, 1, 0, 0, 2, 0, 0, 0))
HOLES = 0b11101101
#: Bytes that it takes on the disk, and what a file may take besides.
DATA, BESIDES = 2 * MIB, 64 * 1024


class HoleTests(PartTestCase):
    """Pieces that are nothing but zeros."""

    def setUp(self) -> None:
        super().setUp()
        (self.folder / "holes").touch()
        os.truncate(self.folder / "holes", MIB)
        if self.taken("holes"):
            self.skipTest("this file system makes no holes")
        os.remove(self.folder / "holes")
        self.pieces = cut(SPARSE)
        prefixes = (hashlib.sha256(SPARSE[: (n + 1) * MIB]).digest() for n in range(8))
        self.hinted = Pieces(len(SPARSE), self.pieces.digests, b"".join(prefixes))
        self.sparse_id = hashlib.sha256(SPARSE).hexdigest()

    def taken(self, name: str) -> int:
        """Bytes that the file takes on the disk."""
        return (self.folder / name).stat().st_blocks * 512

    def finish(self, part: PartFile) -> None:
        """It is finished, and right, and its holes take no room."""
        self.assertTrue(part.is_complete)
        for _ in part.catch_up():
            pass
        self.assertEqual(part.running.hexdigest(), self.sparse_id)
        part.finish()
        self.assertEqual(self.destination.read_bytes(), SPARSE)
        self.assertLessEqual(self.taken("file"), DATA + BESIDES)

    def test_any_order(self) -> None:
        """They take no room on the disk, neither reserved nor when they have come."""
        for pieces in (self.pieces, self.hinted):
            for seed in range(3):
                order = list(range(8))
                Random(seed).shuffle(order)
                part = self.part(pieces, self.sparse_id)
                self.assertTrue(DATA <= self.taken(self.part_path.name) <= DATA + BESIDES)
                self.assertEqual(self.receive(part, *order, content=SPARSE), [True] * 8)
                self.finish(part)
                self.destination.unlink()

    def test_not_reserved(self) -> None:
        """Where no room was reserved, the file has its length all the same."""
        for order in (range(8), reversed(range(8))):
            part = PartFile(self.destination, self.sparse_id, self.pieces)
            self.addCleanup(part.close)
            self.receive(part, *order, content=SPARSE)
            self.finish(part)
            self.destination.unlink()

    def test_wrong(self) -> None:
        """What isn't zeros there is wrong, hint or none, and leaves nothing behind."""
        lie = b"!" * len(SPARSE)
        for pieces in (self.pieces, self.hinted):
            part = self.part(pieces, self.sparse_id)
            self.assertEqual(self.receive(part, 0, 3, content=lie), [False, False])
            self.assertEqual(part.have, 0)
            self.receive(part, *range(8), content=SPARSE)
            self.finish(part)
            self.destination.unlink()

    def test_from_two(self) -> None:
        """The same one may come from two at the same time."""
        part = self.part(self.pieces, self.sparse_id)
        coming = [IncomingPiece(part, 0), IncomingPiece(part, 0)]
        for one in coming:
            one.write(bytes(MIB))
        self.assertEqual([one.finish() for one in coming], [True, True])
        self.receive(part, *range(1, 8), content=SPARSE)
        self.finish(part)

    def test_something_is_there(self) -> None:
        """What an earlier version has written there of a piece that wasn't right is gone."""
        part = self.part(self.pieces, self.sparse_id)
        for piece in members(HOLES):
            part.write(piece * MIB, b"!" * MIB)
        self.receive(part, *range(8), content=SPARSE)
        self.finish(part)

    def test_no_holes(self) -> None:
        """Where the file system makes none, they take their room, and it is asked for."""
        self.patch(disk_room, "_fallocate", lambda *arguments: -1)
        part = self.part(self.pieces, self.sparse_id)
        self.assertGreaterEqual(self.taken(self.part_path.name), len(SPARSE))
        self.receive(part, *range(8), content=SPARSE)
        part.finish()
        self.assertEqual(self.destination.read_bytes(), SPARSE)
        patched = self.patch(os, "posix_fallocate", no_room)
        self.destination.unlink()
        error = self.assertRaises(Unavailable, self.part, self.pieces, self.sparse_id)
        self.assertIn(f"({len(SPARSE)} bytes)", str(error))
        patched.restore()

    def test_hole_fails(self) -> None:
        """A hole that can't be made all of a sudden is told, and doesn't count as here."""
        part = self.part(self.pieces, self.sparse_id)
        self.patch(disk_room, "_fallocate", None)
        self.assertRaises(Unavailable, self.receive, part, 0, content=SPARSE)
        part.close()
        self.assertEqual(self.part(self.pieces, self.sparse_id).have, 0)

    def test_room(self) -> None:
        """There must be room for the others only; where there isn't, it is told for how much."""
        system = os.statvfs(self.folder)
        for room, is_enough in ((DATA, True), (DATA - system.f_frsize, False)):
            blocks = room // system.f_frsize
            told = os.statvfs_result((*system[:3], blocks, blocks, *system[5:]))
            patched = self.patch(os, "fstatvfs", lambda file, told=told: told)
            if is_enough:
                self.part(self.pieces, self.sparse_id).discard()
            else:
                error = self.assertRaises(Unavailable, self.part, self.pieces, self.sparse_id)
                self.assertIn(f"({DATA} bytes)", str(error))
            patched.restore()

    def test_goes_on(self) -> None:
        """Those that are here are so for the next download, too."""
        part = self.part(self.pieces, self.sparse_id)
        self.receive(part, 7, 0, content=SPARSE)
        part.leave()
        self.assertLessEqual(self.taken(self.part_path.name), BESIDES)
        again = self.part(self.pieces, self.sparse_id)
        self.assertEqual(list(members(again.have)), [0, 7])
        self.receive(again, *range(1, 7), content=SPARSE)
        self.finish(again)


class TroubleTests(PartTestCase):
    """Full disks, and others' files."""

    def test_reserved(self) -> None:
        """All of the room is taken at the beginning."""
        self.part()
        status = self.part_path.stat()
        self.assertEqual(status.st_size, len(CONTENT))
        self.assertGreaterEqual(status.st_blocks * 512, len(CONTENT))

    def test_no_room(self) -> None:
        """Without room there is a clear error, and nothing is left behind."""
        self.patch(os, "posix_fallocate", no_room)
        error = self.assertRaises(Unavailable, self.part)
        self.assertIn("no room", str(error))
        self.assertEqual(self.files(), set())

    def test_no_room_by_far(self) -> None:
        """What is larger than all the room there is is refused before any of it is taken."""
        reserved: list[object] = []
        self.patch(os, "posix_fallocate", lambda *arguments: reserved.append(arguments))
        size = 1 << 60
        lie = Pieces(size, b"")
        error = self.assertRaises(Unavailable, self.part, lie)
        self.assertIn(f"no room for {self.destination} ({size} bytes)", str(error))
        self.assertEqual((reserved, self.files()), ([], set()))

    def test_room_that_is_taken_already(self) -> None:
        """To go on takes the room for the rest only; and who tells of no room is not asked."""
        self.receive(first := self.part(), 1)
        first.close()
        whole = os.statvfs(self.folder)
        for blocks, available in [(whole.f_blocks, 0), (0, 0)]:
            told = os.statvfs_result((*whole[:2], blocks, *whole[3:4], available, *whole[5:]))
            patched = self.patch(os, "fstatvfs", lambda file, told=told: told)
            self.assertEqual(list(members((again := self.part()).have)), [1])
            again.close()
            patched.restore()

    def test_no_room_for_the_rest(self) -> None:
        """Where there is no room to go on, what has come is kept."""
        self.receive(first := self.part(), 1, 2)
        first.close()
        patched = self.patch(os, "posix_fallocate", no_room)
        self.assertRaises(Unavailable, self.part)
        patched.restore()
        self.assertEqual(list(members(self.part().have)), [1, 2])

    def test_no_room_for_a_piece(self) -> None:
        """A write that fails, the part's or the journal's, is told as what it is."""
        part = self.part()
        arriving = IncomingPiece(part, 0)
        patched = self.patch(os, "pwrite", no_room)
        self.assertRaises(Unavailable, arriving.write, b"x")
        patched.restore()
        patched = self.patch(os, "write", no_room)
        self.assertRaises(Unavailable, self.receive, part, 1)
        patched.restore()
        self.patch(os, "write", lambda file, data: len(data) - 1)
        self.assertRaises(Unavailable, self.receive, part, 2)

    def test_existing_file(self) -> None:
        """A file that stands at its place is left alone, and so is the part."""
        part = self.part()
        self.receive(part, *range(PIECES.count))
        self.destination.write_bytes(b"precious")
        error = self.assertRaises(Unavailable, part.finish)
        self.assertIn(str(self.destination), str(error))
        self.assertEqual(self.destination.read_bytes(), b"precious")
        self.assertTrue(self.part().is_complete)

    def no_links(self) -> None:
        def link(*arguments: object, **options: object) -> None:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

        self.patch(os, "link", link)

    def test_no_links(self) -> None:
        """A file system that has no links, such as a USB stick's, gets the file all the same."""
        self.no_links()
        part = self.part()
        self.receive(part, *range(PIECES.count))
        part.finish()
        self.assertEqual(self.destination.read_bytes(), CONTENT)
        self.assertEqual(self.files(), {"file"})

    def test_no_links_and_existing_file(self) -> None:
        """There too what has come to stand in its place is left as it is."""
        self.no_links()
        part = self.part()
        self.receive(part, *range(PIECES.count))
        self.destination.write_bytes(b"mine")
        self.assertRaises(Unavailable, part.finish)
        self.assertEqual(self.destination.read_bytes(), b"mine")
        self.assertTrue(self.part_path.exists())

    def test_overwrite(self) -> None:
        """It is replaced where that is asked for."""
        self.destination.write_bytes(b"old")
        part = self.part()
        self.receive(part, *range(PIECES.count))
        part.finish(overwrite=True)
        self.assertEqual(self.destination.read_bytes(), CONTENT)
        self.assertEqual(self.files(), {"file"})

    def test_others_part(self) -> None:
        """A file that only has a part's name, without a journal, is left alone."""
        self.part_path.write_bytes(b"precious")
        error = self.assertRaises(Unavailable, self.part)
        self.assertIn(str(self.part_path), str(error))
        self.assertEqual(self.part_path.read_bytes(), b"precious")
        self.assertEqual(self.files(), {self.part_path.name})

    def test_links(self) -> None:
        """A link in place of a part or its journal is not followed, wherever it leads."""
        self.receive(first := self.part(), 1)
        first.close()
        outside = Path(self.mktemp())
        outside.mkdir()
        for path in (self.part_path, self.journal, self.folder / f".file{PART}"):
            good = outside / path.name
            if path.exists():
                path.rename(good)
            else:
                good.write_bytes(b"precious")
                self.journal.write_bytes(b"of another resource\n")
            content = good.read_bytes()
            for target in (good, outside / "new"):
                path.symlink_to(target)
                error = self.assertRaises(Unavailable, self.part)
                self.assertIn(f"{path} is a link", str(error))
                self.assertTrue(path.is_symlink())
                path.unlink()
            self.assertEqual(good.read_bytes(), content)
            self.assertFalse((outside / "new").exists())
            good.rename(path)

    def test_link_in_place_of_what_is_read(self) -> None:
        """Nor is one followed that comes to stand there before the part is read."""
        part = self.part()
        self.part_path.rename(self.folder / "elsewhere")
        self.part_path.symlink_to("elsewhere")
        self.assertRaises(UnknownResource, part.open)

    def test_pipes(self) -> None:
        """A pipe in place of a part or its journal is refused at once, and left there."""
        self.receive(first := self.part(), 1)
        first.close()
        good = self.journal.read_bytes()
        for path in (self.part_path, self.journal, self.folder / f".file{PART}"):
            self.journal.write_bytes(b"of another resource\n")
            path.unlink(missing_ok=True)
            os.mkfifo(path)
            with at_once():
                error = self.assertRaises(Unavailable, self.part)
            self.assertIn(f"{path} is not a regular file", str(error))
            self.assertTrue(path.is_fifo())
            path.unlink()
            self.part_path.write_bytes(b"x")
        self.journal.write_bytes(good)
        self.assertEqual(list(members(self.part().have)), [1])

    def test_pipe_in_place_of_what_is_read(self) -> None:
        """Nor is a pipe waited for, or another file given, that has taken the part's place."""
        part = self.part()
        self.part_path.unlink()
        os.mkfifo(self.part_path)
        with at_once():
            self.assertRaises(UnknownResource, part.open)
        self.part_path.unlink()
        self.part_path.write_bytes(b"another")
        self.assertRaises(UnknownResource, part.open)

    def test_another_s_part(self) -> None:
        """A part or journal that others could change is not gone on with, and left as it is."""
        self.receive(first := self.part(), 1)
        first.close()
        for path in (self.part_path, self.journal):
            content = path.read_bytes()
            path.chmod(0o666)
            before = open_descriptors()
            error = self.assertRaises(Unavailable, self.part)
            self.assertIn(f"{path} may be written by others (mode 0666)", str(error))
            self.assertIn("remove it", str(error))
            self.assertEqual(open_descriptors(), before)
            self.assertEqual(path.read_bytes(), content)
            path.chmod(0o644)
        self.assertEqual(list(members(self.part().have)), [1])
        self.assertEqual(self.files(), {self.part_path.name, self.journal.name})

    def test_another_s_journal_without_a_part(self) -> None:
        """Nor is such a journal replaced where there is no part yet."""
        self.journal.write_bytes(b"of another")
        self.journal.chmod(0o666)
        self.assertRaises(Unavailable, self.part)
        self.assertEqual(self.journal.read_bytes(), b"of another")

    def test_left_by_a_crash(self) -> None:
        """A new journal that a crash has left half-made keeps nothing from going on."""
        (self.folder / f".file{PART}").write_bytes(b"half")
        self.part()
        self.assertEqual(self.files(), {self.part_path.name, self.journal.name})

    def test_folder_swapped_for_a_link(self) -> None:
        """What its path leads to meanwhile gets no file of the transfer."""
        outside = Path(self.mktemp())
        outside.mkdir()
        self.folder = self.folder / "sub"
        self.destination = self.folder / "file"
        within = SharedFolder(self.folder.parent.resolve())
        self.destination = within.path / "sub" / "file"
        part = PartFile(self.destination, ID, PIECES, within=within)
        self.addCleanup(part.close)
        self.receive(part, *range(PIECES.count))
        self.folder.rename(self.folder.with_name("moved"))
        self.folder.symlink_to(outside.absolute())
        list(part.recheck())
        for attempt in (
            part.finish,
            lambda: PartFile(self.destination, ID, PIECES, within=within),
        ):
            error = self.assertRaises(Unavailable, attempt)
            self.assertIn("a link leads out of the folder", str(error))
        self.assertEqual(list(outside.iterdir()), [])
        self.assertEqual((self.folder.with_name("moved") / "file.part").read_bytes(), CONTENT)

    def test_replaced_before_it_is_in_its_place(self) -> None:
        """Another file that has taken the part's place never gets the verified one's name."""
        for overwrite in (False, True):
            part = self.part()
            self.receive(part, *range(PIECES.count))
            self.part_path.rename(self.folder / "kept")
            self.part_path.write_bytes(b"another")
            error = self.assertRaises(Unavailable, part.finish, overwrite)
            self.assertIn(f"{self.part_path} was replaced by another file", str(error))
            self.assertFalse(self.destination.exists())
            self.assertEqual(self.part_path.read_bytes(), b"another")
            os.replace(self.folder / "kept", self.part_path)

    def test_replaced_at_the_last_moment(self) -> None:
        """Where that comes in the last moment, it is not told to be the verified one."""
        part = self.part()
        self.receive(part, *range(PIECES.count))
        link = os.link

        def swap(*names: Any, **options: Any) -> None:
            self.part_path.unlink()
            self.part_path.write_bytes(b"another")
            link(*names, **options)

        self.patch(os, "link", swap)
        error = self.assertRaises(Unavailable, part.finish)
        self.assertIn(f"{self.destination} was replaced by another file", str(error))
        self.assertIs(part.placed, None)

    def test_folder_in_place_of_the_journal(self) -> None:
        """What can't be tidied up is left; it neither fails a download nor keeps a file open."""
        before = open_descriptors()
        for end in (PartFile.finish, PartFile.discard):
            part = self.part()
            self.receive(part, *range(PIECES.count))
            self.journal.unlink()
            self.journal.mkdir()
            end(part)
            self.assertEqual(open_descriptors(), before)
            self.assertEqual(self.files() - {"file"}, {self.journal.name})
            self.journal.rmdir()
        self.assertEqual(self.destination.read_bytes(), CONTENT)

    def test_placed(self) -> None:
        """Once it is in its place, it tells its status there."""
        part = self.part()
        self.receive(part, *range(PIECES.count))
        part.finish()
        self.assertEqual(part.placed, self.destination.stat())

    def test_no_way_to_write(self) -> None:
        """Any other error is told in the system's words."""
        self.part_path.mkdir()
        error = self.assertRaises(Unavailable, self.part)
        self.assertIn(os.strerror(errno.EISDIR), str(error))

    def test_no_folder(self) -> None:
        """Where a file stands in place of a folder, that is told."""
        (self.folder / "a").write_bytes(b"")
        self.destination = self.folder / "a" / "file"
        error = self.assertRaises(Unavailable, self.part)
        self.assertIn(str(self.folder / "a"), str(error))

    def test_closed_between_slices(self) -> None:
        """Work in slices ends without an error when the part is closed."""
        for begin in (PartFile.recheck, PartFile.reserve):
            part = self.part()
            self.receive(part, 0)
            work = begin(part)
            next(work)
            part.close()
            self.assertEqual(list(work), [])

    def test_closed_before_the_first_slice(self) -> None:
        """So does work that was begun, and comes to its first step only then."""
        for begin in (PartFile.catch_up, lambda part: part.check(0b1), PartFile.recheck):
            part = self.part()
            self.receive(part, 0)
            work = begin(part)
            part.close()
            self.assertEqual(list(work), [])

    def test_closed(self) -> None:
        """Closing twice does no harm."""
        part = self.part()
        part.close()
        part.close()
