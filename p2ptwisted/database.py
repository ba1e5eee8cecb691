"""
SQLite databases in a `--state` folder. What they hold is soft state: a file
that is damaged is set aside, and one begun anew.
"""

import fcntl
import os
import sqlite3
import zlib
from pathlib import Path

from twisted.logger import Logger

from p2ptwisted.errors import StartError

_log = Logger()


def open_database(state: Path | None, name: str, schema: str) -> sqlite3.Connection:
    """
    The database `name` in the folder `state`, or in memory, with the tables of `schema`.

    It commits by itself and leaves syncing to the system. A file that SQLite
    can't read, or with the tables of another schema, is renamed, never
    deleted. Raises StartError where the folder can't be used, or another
    process has the database open.
    """
    if state is None:
        return _connect(":memory:", schema)
    path = state / f"{name}.sqlite"
    try:
        state.mkdir(parents=True, exist_ok=True)
        lock = _lock(state / f"{name}.lock")
    except BlockingIOError as error:
        raise StartError(
            f"--state {state}: another daemon keeps its {name} there: name another folder"
        ) from error
    except OSError as error:
        raise _unusable(state, error) from error
    try:
        database = _connect_anew(path, schema)
    except (OSError, sqlite3.Error) as error:
        os.close(lock)
        raise _unusable(state, error) from error
    database.lock = lock
    return database


class _Owned(sqlite3.Connection):
    """A connection that lets go of its lock when it is closed."""

    lock = -1

    def close(self) -> None:
        super().close()
        if self.lock >= 0:
            os.close(self.lock)
            self.lock = -1


def _lock(path: Path) -> int:
    """
    The right to write, for one process at a time: two would undo each other's work.

    SQLite's own locks would keep out those who only read. Raises BlockingIOError.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise
    return file


def _unusable(state: Path, error: Exception) -> StartError:
    return StartError(f"--state {state}: can't keep anything there: {error}")


def _connect_anew(path: Path, schema: str) -> _Owned:
    """The database there; a damaged one is set aside."""
    try:
        return _connect(str(path), schema)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        aside = _set_aside(path)
        _log.warn(
            "{path} is damaged ({error}): it is now {aside}, and a new one is begun",
            path=str(path),
            error=error,
            aside=str(aside),
        )
        return _connect(str(path), schema)


def _connect(path: str, schema: str) -> _Owned:
    if path != ":memory:":
        # What SQLite makes beside it gets the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    database = sqlite3.connect(path, isolation_level=None, factory=_Owned)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = OFF")
        # What `IF NOT EXISTS` would leave as it is, and every query then trip over.
        version = zlib.crc32(schema.encode()) >> 1
        (found,) = database.execute("PRAGMA user_version").fetchone()
        (tables,) = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if tables and found != version:
            raise sqlite3.DatabaseError("its tables are those of another version")
        database.executescript(f"PRAGMA user_version = {version}; {schema}")
        (state,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if state != "ok":
            raise sqlite3.DatabaseError(state)
    except sqlite3.Error:
        database.close()
        raise
    return database


def _set_aside(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return aside
