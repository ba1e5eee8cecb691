"""
The files of a `--state` folder: who may write there, one process at a time, and damaged
ones set aside. What is in the files is the business of `sqlite`.
"""

import contextlib
import errno
import fcntl
import os
import stat
from pathlib import Path

from twisted.logger import Logger

from p2ptwisted.errors import StartError
from p2ptwisted.support.escaping import printable
from p2ptwisted.support.safe_open import NotRegular, open_regular

#: The mode of all files: nobody else needs to read them.
SECRET_MODE = 0o600

#: Suffixes of the files that SQLite keeps beside a database: its write-ahead log and its index.
SIDE_SUFFIXES = ("-wal", "-shm")

#: Characters of a folder's name in a message; a path may have 4,096.
SHOWN_MAX = 400

_log = Logger()


def check_folder(state: Path) -> None:
    """
    Raises StartError where others than its owner, root and its group may write in the folder.

    SQLite opens several files by name, and has no defense against them.
    """
    try:
        status = state.stat()
    except FileNotFoundError:
        return  # The disk can't be written, so there is no folder.
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
    """Return why strangers could change a user's files in such a folder; None if they can't."""
    if status.st_uid not in (uid, 0):
        return f"it belongs to another user ({status.st_uid})"
    if status.st_mode & stat.S_IWOTH:
        return f"everybody may write there (mode {stat.S_IMODE(status.st_mode):04o})"
    return None


def lock_file(path: Path) -> int:
    """
    Lock a file, which is made if needed, and return its descriptor; closing that unlocks it.

    It is held by the one daemon whose folder it is: two would undo each other's
    work. (SQLite's own lock doesn't tell another daemon from another program.)
    Raises BlockingIOError where another process holds it, and OSError.
    """
    file = open_regular(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, SECRET_MODE)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise
    return file


def keep_secret(path: Path) -> None:
    """
    Make a database's files readable for their owner only.

    One that was made elsewhere, or copied, may have any mode. Raises OSError
    where one of the files is a link, or not a regular file.
    """
    for file_path in (path, *(path.with_name(path.name + suffix) for suffix in SIDE_SUFFIXES)):
        try:
            file = open_regular(file_path, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError as error:
            if isinstance(error, NotRegular) or error.errno == errno.ELOOP:
                raise
            continue
        status = os.fstat(file)
        # A file system without modes will do too.
        with contextlib.suppress(OSError):
            if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) & ~SECRET_MODE:
                os.fchmod(file, SECRET_MODE)
        os.close(file)


def remove_index(path: Path) -> None:
    """Remove the index of a database's log; the database must be locked against all others."""
    # On a disk that fails SQLite can do without.
    with contextlib.suppress(OSError):
        path.with_name(path.name + SIDE_SUFFIXES[1]).unlink()


def set_aside(path: Path) -> Path:
    """Rename a damaged database; returns its new path. Raises OSError where that can't be done."""
    number = 1
    while os.path.lexists(aside := path.with_name(f"{path.name}.damaged-{number}")):
        number += 1
    path.rename(aside)
    log, index = (path.with_name(path.name + suffix) for suffix in SIDE_SUFFIXES)
    if log.exists() and log.stat().st_size:
        # The latest changes may be only there.
        log.rename(aside.with_name(aside.name + SIDE_SUFFIXES[0]))
    log.unlink(missing_ok=True)
    index.unlink(missing_ok=True)
    return aside
