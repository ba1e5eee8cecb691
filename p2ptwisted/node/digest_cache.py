"""
The digests of a node's files by their stamps, kept in a state folder so that a
restart hashes only what has changed. It may be lost at any time.
"""

import zlib
from pathlib import Path

from p2ptwisted.model import FileStamp
from p2ptwisted.pieces import Digests
from p2ptwisted.support.sqlite import Database

#: Files remembered; the least recently added go first. About 150 bytes each,
#: and 32 for every MiB.
FILES_MAX = 1_000_000

#: Files that are forgotten at once when there are too many.
TRIM = 1_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS digests (
    device INTEGER, inode INTEGER, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER,
    id BLOB NOT NULL,
    pieces BLOB NOT NULL,
    sum INTEGER NOT NULL,   -- of the row: SQLite itself notices no bit that has changed
    PRIMARY KEY (device, inode, size, mtime_ns, ctime_ns)
)
"""

_LOOK_UP = """
SELECT id, pieces, sum FROM digests
WHERE device = ? AND inode = ? AND size = ? AND mtime_ns = ? AND ctime_ns = ?
"""

_TRIM = "DELETE FROM digests WHERE rowid IN (SELECT rowid FROM digests ORDER BY rowid LIMIT ?)"


class DigestCache:
    """Digests by file stamp, in a database."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._count = 0

    def open(self) -> None:
        """Raises StartError."""
        self._db.open()
        ((self._count,),) = self._db.rows("SELECT count(*) FROM digests")

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def get(self, stamp: FileStamp) -> Digests | None:
        """The digests of the file with that stamp, if they are known."""
        key = _key(stamp)
        for id, pieces, checksum in self._db.rows(_LOOK_UP, key):
            are_bytes = isinstance(id, bytes) and isinstance(pieces, bytes)
            if are_bytes and _sum(key, id, pieces) == checksum:
                return Digests(id.hex(), pieces)
        return None

    def put(self, stamp: FileStamp, digests: Digests) -> None:
        """Remember them, in the place of what the inode had before."""
        key = _key(stamp)
        # An inode has one content at a time: what it had before is no use.
        same = "DELETE FROM digests WHERE device = ? AND inode = ?"
        self._count -= self._db.change(same, key[:2])
        id = bytes.fromhex(digests.id)
        self._db.change(
            "INSERT INTO digests VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*key, id, digests.pieces, _sum(key, id, digests.pieces)),
        )
        self._count += 1
        if self._count > FILES_MAX:
            self._count -= self._db.change(_TRIM, (TRIM,))


def _key(stamp: FileStamp) -> list[int]:
    """The stamp as SQLite can hold it: some file systems use all 64 bits of an inode number."""
    return [number - 2**64 if number >= 2**63 else number for number in stamp]


def _sum(key: list[int], id: bytes, pieces: bytes) -> int:
    return zlib.crc32(pieces, zlib.crc32(id, zlib.crc32(repr(key).encode())))


def make_cache(state: Path | None) -> DigestCache | None:
    """The cache in a state folder, to be opened; None without a folder."""
    return None if state is None else DigestCache(Database(state, "digests", _SCHEMA))
