"""
SQLite databases in a `--state` folder. What they hold is soft state: a file
that is damaged is set aside, and one begun anew.
"""

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
    deleted. Raises StartError where the folder can't be used.
    """
    if state is None:
        return _connect(":memory:", schema)
    path = state / f"{name}.sqlite"
    try:
        state.mkdir(parents=True, exist_ok=True)
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
    except (OSError, sqlite3.Error) as error:
        raise StartError(f"--state {state}: can't keep anything there: {error}") from error


def _connect(path: str, schema: str) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
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
