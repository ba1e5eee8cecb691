"""Tests of `p2ptwisted.node.torrent_worker`, on real files, with its output in memory."""

import hashlib
import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.node.torrent_worker import BLOCK, NICENESS, main


class WorkerTests(SynchronousTestCase):
    """What the child process writes."""

    def setUp(self) -> None:
        self.nice: list[int] = []
        self.patch(os, "nice", self.nice.append)

    def output(self, content: bytes, length: int) -> bytes:
        path = Path(self.mktemp())
        path.write_bytes(content)
        output = io.BytesIO()
        self.patch(sys, "stdout", SimpleNamespace(buffer=output))
        with path.open("rb") as file:
            self.patch(sys, "stdin", SimpleNamespace(fileno=file.fileno))
            main([str(length)])
            self.assertFalse(file.closed)
        return output.getvalue()

    def expected(self, content: bytes, length: int) -> bytes:
        cut = (content[at : at + length] for at in range(0, len(content), length))
        digests = [hashlib.sha1(piece, usedforsecurity=False).digest() for piece in cut]
        return hashlib.sha256(content).digest() + b"".join(digests)

    def test_pieces(self) -> None:
        """The SHA-256 of all comes first, and the SHA-1 of each piece, the last one shorter."""
        content = bytes(range(256)) * 40 + b"end"
        for length in (1024, 4096, len(content), 1 << 20):
            self.assertEqual(self.output(content, length), self.expected(content, length))
        self.assertEqual(self.output(content[:2048], 1024), self.expected(content[:2048], 1024))
        self.assertEqual(set(self.nice), {NICENESS})

    def test_long_pieces(self) -> None:
        """Pieces may be longer than what is read at once."""
        content = os.urandom(2 * BLOCK + 5)
        self.assertEqual(self.output(content, 2 * BLOCK), self.expected(content, 2 * BLOCK))
