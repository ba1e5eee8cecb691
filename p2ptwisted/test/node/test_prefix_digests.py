"""Tests of the digests of a file's beginnings: made, remembered, and taken for a hint only."""

import hashlib
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.errors import InvalidInput
from p2ptwisted.model import CompactManifest, FileStamp
from p2ptwisted.node import digest_cache
from p2ptwisted.node.digest_cache import DigestCache, make_cache
from p2ptwisted.node.hash_worker import hash_file
from p2ptwisted.pieces import DIGEST, PIECE_MIN, Digests, Pieces

#: What the versions without prefixes made.
EARLIER = """
CREATE TABLE IF NOT EXISTS digests (
    device INTEGER, inode INTEGER, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER,
    id BLOB NOT NULL,
    pieces BLOB NOT NULL,
    sum INTEGER NOT NULL,   -- of the row: SQLite itself notices no bit that has changed
    PRIMARY KEY (device, inode, size, mtime_ns, ctime_ns)
)
"""

CONTENT = bytes(range(256)) * (PIECE_MIN // 256) * 2 + b"the rest"


def sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def hashed(folder: Path, content: bytes) -> Digests:
    path = folder / "file"
    path.write_bytes(content)
    return hash_file(folder, path.name, FileStamp.of(path.stat()))


class PrefixTests(SynchronousTestCase):
    """What they are of."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def test_made(self) -> None:
        """Hashing a file gives the digest of all up to each piece's end; the last is the id."""
        digests = hashed(self.folder, CONTENT)
        pieces = Pieces(len(CONTENT), digests.pieces, digests.prefixes)
        pieces.check()
        for piece in range(3):
            _, stop = pieces.span(piece)
            self.assertEqual(pieces.prefix(piece), sha256(CONTENT[:stop]))
        self.assertEqual(pieces.prefix(2).hex(), digests.id)

    def test_one_piece(self) -> None:
        """The only piece's digest is that of the prefix too; none is kept twice."""
        digests = hashed(self.folder, b"short")
        self.assertEqual(digests.prefixes, b"")
        self.assertEqual(Pieces(5, digests.pieces).prefix(0), sha256(b"short"))

    def test_unknown(self) -> None:
        """Without a hint nothing is said of any prefix but the first."""
        pieces = Pieces(len(CONTENT), hashed(self.folder, CONTENT).pieces)
        self.assertEqual(pieces.prefix(0), pieces.digest(0))
        self.assertEqual([pieces.prefix(1), pieces.prefix(2)], [b"", b""])

    def test_hint(self) -> None:
        """Pieces are the same whatever the hint, with the same tag."""
        pieces = [Pieces(1, bytes(DIGEST), hint) for hint in (b"", bytes(DIGEST), b"1" * DIGEST)]
        self.assertEqual(len(set(pieces)), 1)
        self.assertEqual(len({one.tag for one in pieces}), 1)
        self.assertNotEqual(pieces[0], Pieces(1, b"1" * DIGEST))
        self.assertNotEqual(pieces[0], 1)

    def test_nonsense(self) -> None:
        """A hint of another length than the digests is refused."""
        for length in (1, DIGEST - 1, 2 * DIGEST):
            self.assertRaises(InvalidInput, Pieces(1, bytes(DIGEST), bytes(length)).check)

    def test_manifest_of_earlier_versions(self) -> None:
        """A compact manifest without the hint is understood."""
        sent = msgspec.msgpack.encode({"size": 1, "piece_size": 2, "digests": b"3"})
        manifest = msgspec.msgpack.decode(sent, type=CompactManifest)
        self.assertEqual(manifest, CompactManifest(1, 2, b"3", b""))


class RememberedTests(SynchronousTestCase):
    """In the cache."""

    known = Digests(sha256(b"").hex(), b"1" * 2 * DIGEST, b"2" * 2 * DIGEST)
    bare = Digests(known.id, known.pieces)

    def setUp(self) -> None:
        self.state = Path(self.mktemp())

    def open(self) -> DigestCache:
        cache = make_cache(self.state)
        assert cache is not None
        cache.open()
        self.addCleanup(cache.close)
        return cache

    def count(self) -> int:
        """Of how many files there are prefixes in the closed database."""
        with closing(sqlite3.connect(self.state / "digests.sqlite")) as database:
            ((count,),) = database.execute("SELECT count(*) FROM prefixes")
        return int(count)

    def test_restart(self) -> None:
        """They come back after a restart, beside files that have none."""
        stamps = FileStamp(1, 1, 1, 1, 1), FileStamp(1, 2, 1, 1, 1)
        cache = self.open()
        cache.put(stamps[0], self.known)
        cache.put(stamps[1], self.bare)
        for _ in range(2):
            self.assertEqual(cache.get(stamps[0]), self.known)
            self.assertEqual(cache.get(stamps[1]), self.bare)
            cache.close()
            cache = self.open()

    def test_forgotten(self) -> None:
        """They go with the file: as another content comes, or as there are too many."""
        self.patch(digest_cache, "FILES_MAX", 2)
        self.patch(digest_cache, "TRIM", 1)
        for number in range(5):
            cache = self.open()
            cache.put(FileStamp(1, 1, 1, number, 1), self.known)
            cache.close()
            self.assertEqual(self.count(), 1)
        cache = self.open()
        for inode in range(2, 6):
            cache.put(FileStamp(1, inode, 1, 1, 1), self.known)
        cache.close()
        self.assertEqual(self.count(), 2)

    def test_damaged(self) -> None:
        """Of a file whose prefixes have changed or gone, nothing is believed."""
        stamp = FileStamp(1, 1, 1, 1, 1)
        for damage in ("UPDATE prefixes SET digests = 'x'", "DELETE FROM prefixes"):
            cache = self.open()
            cache.put(stamp, self.known)
            cache.close()
            with closing(sqlite3.connect(self.state / "digests.sqlite")) as database, database:
                database.execute(damage)
            cache = self.open()
            self.assertIs(cache.get(stamp), None)
            cache.close()

    def test_earlier_version(self) -> None:
        """The file of an earlier version is taken over, and added to."""
        stamps = FileStamp(1, 1, 1, 1, 1), FileStamp(1, 2, 1, 1, 1)
        self.state.mkdir(mode=0o700)
        id = bytes.fromhex(self.bare.id)
        key = list(stamps[0])
        checksum = zlib.crc32(self.bare.pieces, zlib.crc32(id, zlib.crc32(repr(key).encode())))
        with closing(sqlite3.connect(self.state / "digests.sqlite")) as database, database:
            database.executescript(EARLIER)
            row = (*key, id, self.bare.pieces, checksum)
            database.execute("INSERT INTO digests VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        cache = self.open()
        self.assertEqual(cache.get(stamps[0]), self.bare)
        cache.put(stamps[1], self.known)
        self.assertEqual(cache.get(stamps[1]), self.known)
        self.assertEqual(
            sorted(path.suffix for path in self.state.glob("digests.*") if "-" not in path.name),
            [".lock", ".sqlite"],
        )
