"""Tests of `p2ptwisted.transfer.digest_worker`, on real files."""

import hashlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.test.node_fakes import at_once
from p2ptwisted.transfer.digest_worker import BLOCK, hash_growing, main


class DigestWorkerTests(SynchronousTestCase):
    """The digest of a file while it comes."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).resolve()
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def put(self, content: bytes) -> None:
        self.path.write_bytes(content)

    def identity(self) -> bytes:
        status = self.path.stat()
        return b"%d %d\n" % (status.st_dev, status.st_ino)

    def sizes(self, content: bytes, *sizes: int) -> Iterator[bytes]:
        """Which file it is; then it has so many bytes of its content, one after the other."""
        yield self.identity()
        for size in sizes:
            with self.path.open("r+b") as file:
                file.write(content[:size])
            yield b"%d\n" % size

    def test_grows(self) -> None:
        """Bytes are read when they are there, and the digest is that of all of them."""
        content = os.urandom(3 * BLOCK + 7)
        self.put(bytes(len(content)))
        sizes = self.sizes(content, 0, 10, 10, BLOCK, BLOCK + 1, len(content))
        self.assertEqual(
            hash_growing(self.path, len(content), sizes), hashlib.sha256(content).hexdigest()
        )

    def test_empty(self) -> None:
        """An empty file is complete as soon as it is told so."""
        self.put(b"")
        self.assertEqual(
            hash_growing(self.path, 0, [self.identity(), b"0\n"]), hashlib.sha256(b"").hexdigest()
        )

    def test_ends_before(self) -> None:
        """Where nobody tells of the rest there is no digest."""
        self.put(bytes(10))
        self.assertIs(hash_growing(self.path, 10, [self.identity(), b"5\n"]), None)
        self.assertIs(hash_growing(self.path, 10, []), None)

    def test_replaced(self) -> None:
        """Another file, a link or a pipe in its place is an OSError at once."""
        self.put(b"content")
        lines = [self.identity(), b"7\n"]
        kept = self.path.with_name("kept")
        self.path.rename(kept)
        self.put(b"content")
        self.assertRaises(FileNotFoundError, hash_growing, self.path, 7, lines)
        self.path.unlink()
        self.path.symlink_to(kept)
        self.assertRaises(OSError, hash_growing, self.path, 7, lines)
        self.path.unlink()
        os.mkfifo(self.path)
        with at_once():
            self.assertRaises(OSError, hash_growing, self.path, 7, lines)

    def test_cut_off(self) -> None:
        """A file that is shorter than it was said to be is an OSError."""
        self.put(bytes(5))
        self.assertRaises(OSError, hash_growing, self.path, 10, [self.identity(), b"10\n"])

    def test_main(self) -> None:
        """The child process writes one line, the digest, or none."""
        self.put(b"content")
        identity = self.identity().strip()
        for lines, told in [
            (identity + b"\n3\n7\n", hashlib.sha256(b"content").hexdigest() + "\n"),
            (identity + b"\n3\n", ""),
        ]:
            written = io.StringIO()
            self.patch(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(lines)))
            self.patch(sys, "stdout", written)
            main([str(self.path), "7"])
            self.assertEqual(written.getvalue(), told)
