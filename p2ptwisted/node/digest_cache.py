"""
The digests of a node's files by their stamps: kept in a state folder, so that a restart hashes
only what has changed, and in memory while files are out of reach. They may be lost at any time.
"""

import zlib
from functools import reduce
from pathlib import Path

from p2ptwisted.model import FileStamp
from p2ptwisted.pieces import Digests
from p2ptwisted.support.sqlite import Database

#: Files remembered; the least recently added go first. About 150 bytes each,
#: and 64 for each piece.
FILES_MAX = 1_000_000

#: Files that are forgotten at once when there are too many.
TRIM = 1_000

#: All there was in the versions that made no digests of prefixes.
_SCHEMA_BEFORE = """
CREATE TABLE IF NOT EXISTS digests (
    device INTEGER, inode INTEGER, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER,
    id BLOB NOT NULL,
    pieces BLOB NOT NULL,
    sum INTEGER NOT NULL,   -- of the row: SQLite itself notices no bit that has changed
    PRIMARY KEY (device, inode, size, mtime_ns, ctime_ns)
);
"""

_PREFIXES = """
CREATE TABLE IF NOT EXISTS prefixes (
    file INTEGER PRIMARY KEY,   -- the rowid in digests
    digests BLOB NOT NULL
);
CREATE TRIGGER IF NOT EXISTS forgotten AFTER DELETE ON digests BEGIN
    DELETE FROM prefixes WHERE file = old.rowid;
END;
"""

_SCHEMA = _SCHEMA_BEFORE + _PREFIXES

#: Files out of reach that are remembered; the first that went are forgotten first.
KEPT_MAX = 100_000

_LOOK_UP = """
SELECT id, pieces, coalesce(prefixes.digests, x''), sum
FROM digests LEFT JOIN prefixes ON file = digests.rowid
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
        for *blobs, checksum in self._db.rows(_LOOK_UP, key):
            if all(isinstance(blob, bytes) for blob in blobs) and _sum(key, *blobs) == checksum:
                id, pieces, prefixes = blobs
                return Digests(id.hex(), pieces, prefixes)
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
            (*key, id, digests.pieces, _sum(key, id, digests.pieces, digests.prefixes)),
        )
        if digests.prefixes:
            self._db.change(
                "INSERT OR REPLACE INTO prefixes VALUES (last_insert_rowid(), ?)",
                (digests.prefixes,),
            )
        self._count += 1
        if self._count > FILES_MAX:
            self._count -= self._db.change(_TRIM, (TRIM,))


class KeptDigests:
    """Digests by file stamp of files that are out of reach, such as on a disk that is unmounted."""

    def __init__(self) -> None:
        self._kept: dict[FileStamp, Digests] = {}

    def keep(self, stamp: FileStamp, digests: Digests) -> None:
        """Remember them until the file is there again."""
        self._kept[stamp] = digests
        if len(self._kept) > KEPT_MAX:
            del self._kept[next(iter(self._kept))]

    def take(self, stamp: FileStamp) -> Digests | None:
        """Return the digests of the file with that stamp, if they are kept, and forget them."""
        return self._kept.pop(stamp, None)


def _key(stamp: FileStamp) -> list[int]:
    """The stamp as SQLite can hold it: some file systems use all 64 bits of an inode number."""
    return [number - 2**64 if number >= 2**63 else number for number in stamp]


def _sum(key: list[int], *blobs: bytes) -> int:
    # Without prefixes it is that of earlier versions.
    return reduce(lambda sum, blob: zlib.crc32(blob, sum), blobs, zlib.crc32(repr(key).encode()))


def make_cache(state: Path | None) -> DigestCache | None:
    """The cache in a state folder, to be opened; None without a folder."""
    if state is None:
        return None
    return DigestCache(Database(state, "digests", _SCHEMA, earlier=_SCHEMA_BEFORE))
