"""Tests of `p2ptwisted.node.hash_worker`, on real files, with its input and output in memory."""

import errno
import hashlib
import io
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.model import FileStamp
from p2ptwisted.node import hash_worker
from p2ptwisted.node.hash_worker import (
    BLOCK,
    NICENESS,
    UNTOLD_SETTLE,
    Job,
    Result,
    hash_file,
    main,
)
from p2ptwisted.pieces import DIGEST, MIB, Digests, Pieces
from p2ptwisted.test.node_fakes import open_descriptors


class HashingCase(SynchronousTestCase):
    """A file."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).resolve()
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def put(self, content: bytes) -> FileStamp:
        self.path.write_bytes(content)
        return FileStamp.of(self.path.stat())

    def hash(self, content: bytes) -> Digests:
        return hash_file(self.path.parent, self.path.name, self.put(content))


class HashFileTests(HashingCase):
    """The digests of files."""

    def test_empty(self) -> None:
        """An empty file has the well-known SHA-256 of nothing, and no pieces."""
        empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        self.assertEqual(self.hash(b""), Digests(empty, b""))

    def test_known_value(self) -> None:
        """The id is SHA-256 in lower-case hex digits: the standard's own example."""
        digests = self.hash(b"abc")
        known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        self.assertEqual(digests, Digests(known, bytes.fromhex(known)))

    def test_pieces(self) -> None:
        """Beside the id of the whole comes the digest of each piece, the last one shorter."""
        for size in (MIB - 1, MIB, MIB + 1, 3 * MIB, 3 * MIB + 12_345):
            content = os.urandom(size)
            digests = self.hash(content)
            self.assertEqual(digests.id, hashlib.sha256(content).hexdigest())
            pieces = Pieces(size, digests.pieces)
            pieces.check()
            for piece in range(pieces.count):
                start, stop = pieces.span(piece)
                self.assertEqual(pieces.digest(piece), hashlib.sha256(content[start:stop]).digest())

    def test_larger_pieces(self) -> None:
        """Pieces of more than one block are hashed as one."""
        self.patch(hash_worker, "BLOCK", 100)
        content = os.urandom(1_000)
        self.patch(hash_worker, "piece_size", lambda size: 256)
        digests = self.hash(content)
        self.assertEqual(digests.id, hashlib.sha256(content).hexdigest())
        parts = (content[start : start + 256] for start in range(0, 1_000, 256))
        self.assertEqual(digests.pieces, b"".join(hashlib.sha256(part).digest() for part in parts))

    def test_another_file(self) -> None:
        """A file that is no longer the one it was, or gone, is a FileNotFoundError."""
        stamp = self.put(b"as it was")
        self.put(b"as it is now")
        before = open_descriptors()
        self.assertRaises(FileNotFoundError, hash_file, self.path.parent, self.path.name, stamp)
        self.path.unlink()
        self.assertRaises(FileNotFoundError, hash_file, self.path.parent, self.path.name, stamp)
        self.assertEqual(open_descriptors(), before)

    def test_link_out_of_the_folder(self) -> None:
        """Nothing outside of the folder is hashed, though it is just what was to be hashed."""
        stamp = self.put(b"a secret of the node's")
        shared = self.path.with_name("shared")
        shared.mkdir()
        (shared / "link").symlink_to(self.path)
        self.assertRaises(FileNotFoundError, hash_file, shared, "link", stamp)

    def test_changed_while_hashed(self) -> None:
        """A file that changes while it is hashed has no digest at all."""
        stamp = self.put(bytes(BLOCK + 5))

        def changed(file: io.FileIO, stamp: FileStamp) -> bool:
            with self.path.open("ab") as other:
                other.write(b"more")
            return FileStamp.of(os.fstat(file.fileno())) == stamp

        self.patch(hash_worker, "is_unchanged", changed)
        error = self.assertRaises(
            FileNotFoundError, hash_file, self.path.parent, self.path.name, stamp
        )
        self.assertEqual(error.errno, errno.ENOENT)

    def test_being_written(self) -> None:
        """A file that is open for writing, before or after it was read, has no digest."""
        stamp = self.put(b"half of it")
        for answers in ([True], [False, True]):
            self.patch(hash_worker, "has_writers", lambda file, left=list(answers): left.pop(0))
            error = self.assertRaises(OSError, hash_file, self.path.parent, self.path.name, stamp)
            self.assertEqual(error.errno, errno.EBUSY)

    def test_really_being_written(self) -> None:
        """It is the system that is asked who has the file open."""
        stamp = self.put(b"half of it")
        with self.path.open("r+b"):
            error = self.assertRaises(OSError, hash_file, self.path.parent, self.path.name, stamp)
        self.assertEqual(error.errno, errno.EBUSY)
        hash_file(self.path.parent, self.path.name, stamp)

    def test_untold(self) -> None:
        """Where the system doesn't say, only a file that was left alone for a while has one."""
        self.patch(hash_worker, "has_writers", lambda file: None)
        stamp = self.put(b"1")
        error = self.assertRaises(OSError, hash_file, self.path.parent, self.path.name, stamp)
        self.assertEqual(error.errno, errno.EBUSY)
        for age in (UNTOLD_SETTLE + 1, -3_600):
            written = time.time() - age
            os.utime(self.path, (written, written))
            hash_file(self.path.parent, self.path.name, FileStamp.of(self.path.stat()))

    def test_removed_while_hashed(self) -> None:
        """A file that is removed is not read to its end, however large it is: others wait."""
        stamp = self.put(b"a" * 5 * BLOCK)
        read: list[int] = []

        class Removing(io.FileIO):
            def read(one, size: int | None = -1) -> bytes:
                self.path.unlink(missing_ok=True)
                read.append(1)
                return super().read(size)

        def open_it(folder: Path, name: str, stamp: FileStamp) -> io.FileIO:
            return Removing(folder / name)

        self.patch(hash_worker, "open_unchanged", open_it)
        self.assertRaises(FileNotFoundError, hash_file, self.path.parent, self.path.name, stamp)
        self.assertEqual(len(read), 1)

    def test_not_readable(self) -> None:
        """A folder, say, in the file's place is an OSError."""
        stamp = self.put(b"")
        self.path.unlink()
        self.path.mkdir()
        self.assertRaises(OSError, hash_file, self.path.parent, self.path.name, stamp)
        self.assertRaises(
            OSError, hash_file, self.path.parent, self.path.name, FileStamp.of(self.path.stat())
        )


class ChildTests(HashingCase):
    """What a child process does."""

    def setUp(self) -> None:
        super().setUp()
        self.nice: list[int] = []
        self.patch(os, "nice", self.nice.append)

    def run_with(self, lines: bytes) -> list[Result]:
        """The answers to this input."""
        written = io.BytesIO()
        self.patch(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(lines)))
        self.patch(sys, "stdout", SimpleNamespace(buffer=written))
        main([])
        return [msgspec.json.decode(line, type=Result) for line in written.getvalue().splitlines()]

    def job(self, path: Path, stamp: FileStamp) -> Job:
        return Job(os.fsencode(path.parent), os.fsencode(path.name), stamp)

    def test_jobs(self) -> None:
        """Each job is answered by a line, in their order, whatever a name is made of."""
        jobs, expected = b"", []
        for name in ("plain", "with space", "line\nend", "größe 😀", "not UTF-8 \udcff"):
            path = self.path.with_name(name)
            path.write_bytes(os.fsencode(name))
            job = self.job(path, FileStamp.of(path.stat()))
            jobs += msgspec.json.encode(job) + b"\n"
            digest = hashlib.sha256(os.fsencode(name)).hexdigest()
            expected.append(Result(digest, digest))
        self.assertEqual(self.run_with(jobs), expected)
        self.assertEqual(self.nice, [NICENESS])

    def test_problems(self) -> None:
        """What can't be hashed is answered with the reason, and the next job is done."""
        gone = self.job(self.path, self.put(b"old"))
        self.path.unlink()
        there = self.job(self.path, self.put(b"new"))
        lines = b"".join(msgspec.json.encode(job) + b"\n" for job in (gone, there))
        problem, result = self.run_with(lines)
        self.assertEqual(problem, Result("", "", errno.ENOENT))
        self.assertEqual((result.error, len(result.pieces)), (0, 2 * DIGEST))

    def test_nothing(self) -> None:
        """When its input ends at once, so does it."""
        self.assertEqual(self.run_with(b""), [])
