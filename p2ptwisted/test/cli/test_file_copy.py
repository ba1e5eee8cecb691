"""Tests of `p2ptwisted.cli.file_copy`, on real files."""

import hashlib
import os
from pathlib import Path
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.cli.file_copy import BLOCK, copy_slices
from p2ptwisted.transfer.part_file import SLICE

#: Bytes that a file may take besides its blocks.
BESIDES = 16 * 1024


class CopyTests(SynchronousTestCase):
    """A file that is copied."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.file, self.copy = self.folder / "file", self.folder / "copy"

    def put(self, size: int, *blocks: int) -> None:
        """Make a file of holes, with data in these blocks."""
        with self.file.open("wb") as file:
            for block in blocks:
                file.seek(block * BLOCK)
                file.write(Random(block).randbytes(BLOCK))
            file.truncate(size)

    def taken(self, path: Path) -> int:
        return path.stat().st_blocks * 512

    def copied(self) -> int:
        """It is copied, and the copy and the digest are right; the bytes that the copy takes."""
        digest = hashlib.sha256()
        with self.file.open("rb", buffering=0) as file, self.copy.open("wb", buffering=0) as copy:
            for _ in copy_slices(file, copy.fileno(), digest):
                pass
            os.fsync(copy.fileno())
        content = self.file.read_bytes()
        self.assertEqual(self.copy.read_bytes(), content)
        self.assertEqual(digest.digest(), hashlib.sha256(content).digest())
        return self.taken(self.copy)

    def test_plain(self) -> None:
        """A file without holes is copied as it is, its zeros with it."""
        for size in (0, 1, BLOCK, SLICE, 3 * SLICE + 1):
            self.file.write_bytes(Random(size).randbytes(size))
            self.copied()
        self.file.write_bytes(bytes(4 * SLICE))
        self.assertGreaterEqual(self.copied(), 4 * SLICE)

    def test_holes(self) -> None:
        """Holes stay: between data, within a slice, at the beginning and at the end."""
        size = 20 * SLICE
        self.put(size)
        if self.taken(self.file) > BESIDES:
            self.skipTest("this file system makes no holes")
        last = size // BLOCK - 1
        for blocks in ((), (0,), (last,), (1, 2, 70, 72), (0, 100, 129, 131, last), (64, 65, 640)):
            for end in (0, 1, BLOCK - 1):
                self.put(size - end, *(block for block in blocks if block != last or not end))
                self.assertLessEqual(self.copied(), len(blocks) * BLOCK + BESIDES)
