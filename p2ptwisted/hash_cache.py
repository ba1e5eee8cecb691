"""
What was hashed before: a node's memory of the digests of its files, so that a
restart hashes only what has changed. It may be lost at any time.
"""

import sqlite3
from pathlib import Path

from twisted.logger import Logger

from p2ptwisted.database import open_database
from p2ptwisted.pieces import Digests
from p2ptwisted.scanning import Signature

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
    PRIMARY KEY (device, inode, size, mtime_ns, ctime_ns)
)
"""

_log = Logger()

_WHERE = "device = ? AND inode = ? AND size = ? AND mtime_ns = ? AND ctime_ns = ?"


class HashCache:
    """Digests by signature."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._db = database
        (self._count,) = database.execute("SELECT count(*) FROM digests").fetchone()
        self._told = False

    def get(self, signature: Signature) -> Digests | None:
        try:
            row = self._db.execute(
                f"SELECT id, pieces FROM digests WHERE {_WHERE}", _key(signature)
            ).fetchone()
        except sqlite3.Error as error:
            self._failed(error)
            return None
        return None if row is None else Digests(row[0].hex(), row[1])

    def put(self, signature: Signature, digests: Digests) -> None:
        try:
            self._put(_key(signature), digests)
        except sqlite3.Error as error:
            self._failed(error)

    def _put(self, key: list[int], digests: Digests) -> None:
        # An inode has one content at a time: what it had before is no use.
        forgotten = self._db.execute("DELETE FROM digests WHERE device = ? AND inode = ?", key[:2])
        self._count -= forgotten.rowcount
        self._db.execute(
            "INSERT INTO digests VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*key, bytes.fromhex(digests.id), digests.pieces),
        )
        self._count += 1
        if self._count > FILES_MAX:
            oldest = f"SELECT rowid FROM digests ORDER BY rowid LIMIT {TRIM}"
            forgotten = self._db.execute(f"DELETE FROM digests WHERE rowid IN ({oldest})")
            self._count -= forgotten.rowcount

    def _failed(self, error: sqlite3.Error) -> None:
        """Say it once: a full disk, say, makes the next start slower and nothing else."""
        if not self._told:
            _log.warn("What was hashed can't be remembered: {error}", error=error)
        self._told = True

    def close(self) -> None:
        self._db.close()


def _key(signature: Signature) -> list[int]:
    """What SQLite can hold: some file systems use all 64 bits of an inode's number."""
    return [number - 2**64 if number >= 2**63 else number for number in signature]


def open_cache(state: Path | None) -> HashCache | None:
    """The cache in a state folder; without one, nothing is remembered. Raises StartError."""
    return None if state is None else HashCache(open_database(state, "digests", _SCHEMA))
