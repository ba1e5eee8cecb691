"""
SQLite databases in a `--state` folder, or in memory.

They hold soft state: a damaged file is set aside and a new one started; one
that can't be written any more, or that another program has open at the start,
is left as it is, and the daemon goes on in memory. While a database is open
it is locked against all other programs, so that no statement ever waits. The
files themselves, their modes and locks are in `state_files`.
"""

import contextlib
import errno
import functools
import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from twisted.logger import Logger

from p2ptwisted.errors import StartError
from p2ptwisted.support.escaping import printable
from p2ptwisted.support.safe_open import NotRegular, open_regular
from p2ptwisted.support.state_files import (
    SECRET_MODE,
    SHOWN_MAX,
    check_folder,
    keep_secret,
    lock_file,
    remove_index,
    set_aside,
)

#: Errors that keep a file from being written in a folder that exists. Any other error means
#: that the user named the wrong folder.
_NOT_WRITABLE = {
    errno.EACCES,
    errno.EDQUOT,
    errno.EIO,
    errno.ENOSPC,
    errno.EPERM,
    errno.EROFS,
}

#: Those of them that are not the user's mistake either where a folder can't be made.
_BAD_DISK = _NOT_WRITABLE - {errno.EACCES, errno.EPERM}

#: SQLite's codes for a damaged file. No statement of ours breaks a constraint or is wrong;
#: the text index reports its own damage as a plain error.
_DAMAGED = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_ERROR,
}

#: SQLite's codes for a file that can't be read or written any more.
_FAILED = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
}

_T = TypeVar("_T")
_log = Logger()


class _Unfit(sqlite3.DatabaseError):
    """A database that SQLite can read, but that we can't use."""


class Database:
    """A database in a file for as long as the file can be used, and then in memory."""

    def __init__(
        self, state: Path | None, name: str, schema: str, earlier: str | None = None
    ) -> None:
        """
        `state`: the folder for its file; None: in memory. `name`: of the file, without suffix.

        `schema`: statements that create the tables where they are missing. `earlier`: those of
        an earlier version whose file is taken over, the tables that it lacks being added.
        """
        self._state = state
        self._name = name
        self._schema = schema
        self._known = [schema] if earlier is None else [schema, earlier]
        self._lock = -1
        self._db: sqlite3.Connection
        #: Its file; None for a database in memory.
        self._path: Path | None = None

    def open(self) -> None:
        """
        Open the database; it commits by itself and leaves syncing to the system.

        A file that SQLite can't read, or that has the tables of another
        schema, is renamed, never deleted. Where nothing can be written, the
        database is in memory, with a copy of what is in the file; so it is where
        a program such as `sqlite3` has the file open. Raises StartError where the
        folder can't be made, strangers can write in it, or another daemon has it.
        """
        if self._state is None:
            self._db = _connect(":memory:", self._schema)
            return
        path = self._state / f"{self._name}.sqlite"
        try:
            # For its owner only; a folder that exists keeps the mode that it has.
            self._state.mkdir(parents=True, exist_ok=True, mode=0o700)
        except (OSError, ValueError) as error:
            if not (isinstance(error, OSError) and error.errno in _BAD_DISK):
                raise self._unusable(error) from error
            # What follows fails in the same way.
        try:
            check_folder(self._state)
            self._lock = lock_file(self._state / f"{self._name}.lock")
            self._db = _connect_to_file(path, self._schema, self._known)
            self._path = path
        except BlockingIOError as error:
            raise StartError(
                f"--state {self._state}: another daemon keeps its {self._name} there: "
                "name another folder"
            ) from error
        except (OSError, sqlite3.Error) as error:
            if isinstance(error, OSError) and error.errno not in _NOT_WRITABLE:
                self._unlock()
                raise self._unusable(error) from error
            # Where no other program has it, the files that SQLite wants beside it can't be made.
            how = "" if _is_held(error) else "&immutable=1"
            self._db = _in_memory(path, self._schema, self._known, how)
            _log_unwritable(path, error)

    def close(self) -> None:
        self._db.close()
        self._unlock()

    def rows(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        """Run a query and return all its rows."""
        return self._run(lambda: self._db.execute(query, values).fetchall())

    def change(self, statement: str, values: Sequence[object] = ()) -> int:
        """Run a statement and return how many rows it changed."""
        return self._run(lambda: self._db.execute(statement, values).rowcount)

    def change_many(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        """Run the statement for all of these rows, or for none, in one transaction."""

        def change() -> None:
            self._db.execute("BEGIN")
            try:
                self._db.executemany(statement, rows)
                self._db.execute("COMMIT")
            except BaseException:
                # With a full disk SQLite has rolled back by itself.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

        self._run(change)

    def _run(self, work: Callable[[], _T]) -> _T:
        """Do the work and return its result; where the file fails, do it again in memory."""
        try:
            return work()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            damaged = _is_damage(error)
            if self._path is None or not (damaged or _code(error) in _FAILED):
                raise
            self._leave_file(self._path, error, damaged)
            return work()

    def _leave_file(self, path: Path, error: Exception, damaged: bool) -> None:
        """Go on in memory, with what can still be read from the file."""
        memory = _connect(":memory:", self._schema)
        if not damaged:
            try:
                self._db.backup(memory)
            except sqlite3.Error:
                memory.close()
                memory = _connect(":memory:", self._schema)
        self._db.close()
        self._db, self._path = memory, None
        try:
            if damaged:
                _set_damaged_aside(path, error, "what was in it is forgotten")
                return
        except OSError as problem:
            error = problem
        _log_unwritable(path, error)

    def _unlock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _unusable(self, error: OSError | ValueError) -> StartError:
        reason = error.strerror if isinstance(error, OSError) else error
        if isinstance(error, OSError) and error.errno == errno.ELOOP:
            reason = f"{error.filename} is a link: remove it"
        if isinstance(error, NotRegular):
            reason = f"{error.filename} {error.strerror}: remove it"
        shown = printable(str(self._state)[:SHOWN_MAX])
        return StartError(f"--state {shown}: can't keep anything there: {reason}")


def _code(error: Exception) -> int | None:
    """Return SQLite's primary result code, the lowest byte; None where it is another's error."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _is_held(error: Exception) -> bool:
    """Whether an error means that another program has the file open."""
    return _code(error) == sqlite3.SQLITE_BUSY


def _is_damage(error: Exception) -> bool:
    """Whether an error means that the file is damaged, or useless to us."""
    code = _code(error)
    if code is None:
        # Python's own error: it can't decode the text that SQLite gives it.
        return isinstance(error, _Unfit | sqlite3.OperationalError | UnicodeDecodeError)
    return code in _DAMAGED


def _connect_to_file(path: Path, schema: str, known: Sequence[str]) -> sqlite3.Connection:
    """Connect to the file, which is made if needed; a damaged one is set aside first."""
    # The files that SQLite makes beside it get the same mode.
    os.close(open_regular(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, SECRET_MODE))
    keep_secret(path)
    try:
        # Nothing is written before the file is known to be good: a damaged one is kept as it is.
        with contextlib.closing(_connect_to_read(path)) as database:
            _check(database, known)
        database = _connect(str(path), schema)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        if not _is_damage(error):
            raise
        _set_damaged_aside(path, error, "a new one is begun")
        database = _connect(str(path), schema)
    # Reading it has made one, which nobody uses now.
    remove_index(path)
    return database


def _in_memory(path: Path, schema: str, known: Sequence[str], how: str) -> sqlite3.Connection:
    """
    Return a database in memory, with a copy of what is in the file if that can be read.

    `how`: more parameters of the file's URI.
    """
    memory = _connect(":memory:", schema)
    if not path.is_file():
        return memory  # SQLite would block on a pipe.
    try:
        with contextlib.closing(_connect_to_read(path, how)) as database:
            # One transaction: a copy waits for a program that locks the file meanwhile.
            database.execute("BEGIN")
            _check(database, known)
            if _tables(database):
                database.backup(memory)
                memory.executescript(schema)
    except (sqlite3.Error, UnicodeDecodeError):
        memory.close()
        memory = _connect(":memory:", schema)
    return memory


def _connect_to_read(path: Path, how: str = "") -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=ro{how}"
    return sqlite3.connect(uri, timeout=0, isolation_level=None, uri=True)


def _check(database: sqlite3.Connection, known: Sequence[str]) -> None:
    """Raises sqlite3.Error (_Unfit or another) unless it is intact and of one of these schemas."""
    tables = _tables(database)
    if tables and not any(tables == _tables_of(schema) for schema in known):
        # `IF NOT EXISTS` would keep them, and every query would fail.
        raise _Unfit("its tables are those of another version")
    (state,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if state != "ok":
        raise _Unfit(state)


def _connect(path: str, schema: str) -> sqlite3.Connection:
    """Connect, and lock the file for as long as that lasts. Raises sqlite3.Error at once."""
    database = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        # Before the first access. A lock for each statement would have it wait for others,
        # and all others for us: there is one thread.
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = OFF")
        database.executescript(schema)
    except BaseException:
        database.close()
        raise
    return database


def _tables(database: sqlite3.Connection) -> set[str]:
    """Return the statements that created everything in a database."""
    return {sql for (sql,) in database.execute("SELECT sql FROM sqlite_schema")}


@functools.cache
def _tables_of(schema: str) -> set[str]:
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.executescript(schema)
        return _tables(database)


def _log_unwritable(path: Path, error: Exception) -> None:
    held = "another program has it open: end that one, and restart this daemon"
    _log.warn(
        "{path} can't be written ({error}): it is left as it is, and what comes is kept "
        "in memory, until this daemon ends",
        path=str(path),
        error=held if _is_held(error) else error,
    )


def _set_damaged_aside(path: Path, error: Exception, then: str) -> None:
    """Set the file aside, and log that. Raises OSError where that can't be done."""
    _log.warn(
        "{path} is damaged ({error}): it is now {aside}, and {then}",
        path=str(path),
        error=error,
        aside=str(set_aside(path)),
        then=then,
    )
