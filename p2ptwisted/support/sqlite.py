"""
SQLite databases in a `--state` folder. What they hold is soft state: a file
that is damaged is set aside, and one begun anew; one that can't be written
any more is left as it is, and the daemon goes on in memory.
"""

import contextlib
import errno
import fcntl
import functools
import os
import sqlite3
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from twisted.logger import Logger

from p2ptwisted.errors import StartError
from p2ptwisted.support.escaping import printable
from p2ptwisted.support.safe_open import NotRegular, open_regular

#: Why a file can't be written in a folder that is there; what else keeps it from
#: being opened is a mistake of who named the folder.
_NOT_WRITABLE = {
    errno.EACCES,
    errno.EDQUOT,
    errno.EIO,
    errno.ENOSPC,
    errno.EPERM,
    errno.EROFS,
}

#: Of these, what is no mistake of who named a folder that can't be made, either.
_BAD_DISK = _NOT_WRITABLE - {errno.EACCES, errno.EPERM}

#: What SQLite says of a file that is damaged. No statement of ours breaks a constraint, or
#: is wrong; its text index calls its own damage an error like any.
_DAMAGED = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_ERROR,
}

#: What it says of one that has failed.
_FAILED = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
}

#: The mode of all files: nobody else need read what is here.
SECRET = 0o600

#: What SQLite calls the files beside a database's.
_BESIDE = ("-wal", "-shm")

#: Characters of a folder's name in a message; a path may have 4,096.
SHOWN_MAX = 400

_T = TypeVar("_T")
_log = Logger()


class _Unfit(sqlite3.DatabaseError):
    """A database that SQLite can read, and that is of no use."""


class Database:
    """A database in a file for as long as that can be had, else in memory."""

    def __init__(self, state: Path | None, name: str, schema: str) -> None:
        """Called `name`, in the folder `state` or in memory, with the tables of `schema`."""
        self._state = state
        self._name = name
        self._schema = schema
        self._lock = -1
        self._db: sqlite3.Connection
        #: The file; None once it is all in memory.
        self._path: Path | None = None

    def open(self) -> None:
        """
        Open the file; it commits by itself and leaves syncing to the system.

        A file that SQLite can't read, or with the tables of another schema,
        is renamed, never deleted; where nothing can be written, memory has to
        do, with what is in the file. Raises StartError where the folder can't
        be made, others may do as they like there, or another process has the
        database open.
        """
        if self._state is None:
            self._db = _connect(":memory:", self._schema)
            return
        path = self._state / f"{self._name}.sqlite"
        try:
            # For its owner only; one that is there already is as its owner wants it.
            self._state.mkdir(parents=True, exist_ok=True, mode=0o700)
        except (OSError, ValueError) as error:
            if not (isinstance(error, OSError) and error.errno in _BAD_DISK):
                raise self._unusable(error) from error
            # What follows meets the same.
        try:
            _check_folder(self._state)
            self._lock = _lock(self._state / f"{self._name}.lock")
            self._db = _connect_anew(path, self._schema)
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
            self._db = _in_memory(path, self._schema)
            _tell_forgetful(path, error)

    def close(self) -> None:
        self._db.close()
        self._unlock()

    def rows(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        """All rows that the query gives."""
        return self._done(lambda: self._db.execute(query, values).fetchall())

    def change(self, statement: str, values: Sequence[object] = ()) -> int:
        """How many rows the statement changed."""
        return self._done(lambda: self._db.execute(statement, values).rowcount)

    def change_many(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        """Run the statement for each of these, or for none."""

        def change() -> None:
            self._db.execute("BEGIN")
            try:
                self._db.executemany(statement, rows)
                self._db.execute("COMMIT")
            except BaseException:
                # Of a full disk SQLite takes everything back by itself.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

        self._done(change)

    def _done(self, work: Callable[[], _T]) -> _T:
        """What the work gives; where the file fails it is done again, in memory."""
        try:
            return work()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            damaged = _tells_damage(error)
            if self._path is None or not (damaged or _kind(error) in _FAILED):
                raise
            self._leave_file(self._path, error, damaged)
            return work()

    def _leave_file(self, path: Path, error: Exception, damaged: bool) -> None:
        """Go on in memory, with what can be read of the file."""
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
                _tell_damaged(path, error, "what was in it is forgotten")
                return
        except OSError as problem:
            error = problem
        _tell_forgetful(path, error)

    def _unlock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _unusable(self, error: OSError | ValueError) -> StartError:
        told = error.strerror if isinstance(error, OSError) else error
        if isinstance(error, OSError) and error.errno == errno.ELOOP:
            told = f"{error.filename} is a link: remove it"
        if isinstance(error, NotRegular):
            told = f"{error.filename} {error.strerror}: remove it"
        shown = printable(str(self._state)[:SHOWN_MAX])
        return StartError(f"--state {shown}: can't keep anything there: {told}")


def _kind(error: Exception) -> int | None:
    """SQLite's number for it, where it is SQLite that says it; what is above a byte says more."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _tells_damage(error: Exception) -> bool:
    kind = _kind(error)
    if kind is None:
        # Python can't read the text that SQLite gives it.
        return isinstance(error, _Unfit | sqlite3.OperationalError | UnicodeDecodeError)
    return kind in _DAMAGED


def _check_folder(state: Path) -> None:
    """
    Raises StartError where others than its owner, root and its group may change what is there.

    SQLite opens by name, and more than one file: against them it has no defense.
    """
    try:
        status = state.stat()
    except FileNotFoundError:
        return  # The disk takes no folder.
    trouble = folder_trouble(status, os.geteuid())
    if trouble is not None:
        raise StartError(
            f"--state {printable(str(state)[:SHOWN_MAX])}: {trouble}: make it yours alone "
            "(chown, chmod go-w), or name another folder"
        )
    if status.st_mode & stat.S_IWGRP:
        _log.warn(
            "--state {state}: its group may write there, and is trusted; chmod g-w ends that",
            state=printable(str(state)[:SHOWN_MAX]),
        )


def folder_trouble(status: os.stat_result, uid: int) -> str | None:
    """Why strangers could change what a user has in a folder with that status, if they could."""
    if status.st_uid not in (uid, 0):
        return f"it belongs to another user ({status.st_uid})"
    if status.st_mode & stat.S_IWOTH:
        return f"everybody may write there (mode {stat.S_IMODE(status.st_mode):04o})"
    return None


def _lock(path: Path) -> int:
    """
    The right to write, for one process at a time: two would undo each other's work.

    SQLite's own locks would keep out those who only read. Raises BlockingIOError.
    """
    file = open_regular(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, SECRET)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise
    return file


def _connect_anew(path: Path, schema: str) -> sqlite3.Connection:
    """The database there; a damaged one is set aside."""
    # What SQLite makes beside it gets the same mode.
    os.close(open_regular(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, SECRET))
    _keep_secret(path)
    try:
        # Nothing is written before it is known to be good: a damaged one is kept as it is.
        with contextlib.closing(_connect_to_read(path)) as database:
            _check(database, schema)
        return _connect(str(path), schema)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        if not _tells_damage(error):
            raise
        _tell_damaged(path, error, "a new one is begun")
        return _connect(str(path), schema)


def _in_memory(path: Path, schema: str) -> sqlite3.Connection:
    """A database in memory, with what is in the file there where that can be read."""
    memory = _connect(":memory:", schema)
    if not path.is_file():
        return memory  # SQLite would wait for somebody to write into a pipe.
    try:
        # As if nobody could write it: there is no way to make what SQLite wants beside it.
        with contextlib.closing(_connect_to_read(path, "&immutable=1")) as database:
            _check(database, schema)
            if _tables(database):
                database.backup(memory)
    except (sqlite3.Error, UnicodeDecodeError):
        memory.close()
        memory = _connect(":memory:", schema)
    return memory


def _connect_to_read(path: Path, more: str = "") -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro{more}", uri=True)


def _check(database: sqlite3.Connection, schema: str) -> None:
    """Raises _Unfit, and other of sqlite3's errors, where it is no good database of the schema."""
    tables = _tables(database)
    if tables and tables != _tables_of(schema):
        # `IF NOT EXISTS` would leave them, and every query then trip over them.
        raise _Unfit("its tables are those of another version")
    (state,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if state != "ok":
        raise _Unfit(state)


def _connect(path: str, schema: str) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = OFF")
        database.executescript(schema)
    except BaseException:
        database.close()
        raise
    return database


def _keep_secret(path: Path) -> None:
    """
    Others may have been let read a database that was made elsewhere, or copied.

    Raises OSError where one of its files is a link, or no file.
    """
    for each in (path, *(path.with_name(path.name + suffix) for suffix in _BESIDE)):
        try:
            file = open_regular(each, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError as error:
            if isinstance(error, NotRegular) or error.errno == errno.ELOOP:
                raise
            continue
        status = os.fstat(file)
        # On a file system without modes it can be used all the same.
        with contextlib.suppress(OSError):
            if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) & ~SECRET:
                os.fchmod(file, SECRET)
        os.close(file)


def _tables(database: sqlite3.Connection) -> set[str]:
    """The statements that made all that is in a database."""
    return {sql for (sql,) in database.execute("SELECT sql FROM sqlite_schema")}


@functools.cache
def _tables_of(schema: str) -> set[str]:
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.executescript(schema)
        return _tables(database)


def _tell_forgetful(path: Path, error: Exception) -> None:
    _log.warn(
        "{path} can't be written ({error}): it is left as it is, and what comes is kept "
        "in memory, until this daemon ends",
        path=str(path),
        error=error,
    )


def _tell_damaged(path: Path, error: Exception, then: str) -> None:
    """Set the file aside, and say so. Raises OSError where that can't be."""
    _log.warn(
        "{path} is damaged ({error}): it is now {aside}, and {then}",
        path=str(path),
        error=error,
        aside=str(_set_aside(path)),
        then=then,
    )


def _set_aside(path: Path) -> Path:
    number = 1
    while os.path.lexists(aside := path.with_name(f"{path.name}.damaged-{number}")):
        number += 1
    path.rename(aside)
    log, index = (path.with_name(path.name + suffix) for suffix in _BESIDE)
    if log.exists() and log.stat().st_size:
        # The newest of what was written may be there, and nowhere else.
        log.rename(aside.with_name(aside.name + _BESIDE[0]))
    log.unlink(missing_ok=True)
    index.unlink(missing_ok=True)
    return aside
