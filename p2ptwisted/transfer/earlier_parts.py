"""
The parts that lie in a folder, by their numbers: locked, looked into, removed.

What is done with a part that is being downloaded is in `part_file`.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from p2ptwisted.transfer.part_journal import Journal, read_journal
from p2ptwisted.transfer.part_names import part_names
from p2ptwisted.transfer.target_folder import TargetFolder


def open_locked(folder: TargetFolder, name: str) -> int:
    """
    A descriptor of the part of that name, made if missing, locked for one download at a time.

    The lock holds against this process and others. Raises OSError, BlockingIOError among
    them if another download has it.
    """
    while True:
        try:
            file = folder.open_ours(name, os.O_RDWR)
        except FileNotFoundError:
            with suppress(FileExistsError):
                os.close(folder.make(name, os.O_RDWR))
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Between the two the other may have put it in its place.
            with suppress(FileNotFoundError):
                if folder.is_at(name, os.fstat(file)):
                    if os.fstat(file).st_nlink == 1:
                        return file
                    # Killed when it was in its place: that file must not be written to.
                    folder.remove(name)
        except OSError:
            os.close(file)
            raise
        os.close(file)


def read_earlier(folder: TargetFolder, destination: Path, id: str, number: int) -> Journal | None:
    """The journal of that resource's part with that number; None if it has no piece."""
    part, journal_name = part_names(destination, number)
    try:
        if not folder.status(part).st_size:
            return None
        file = folder.open_ours(journal_name, os.O_RDONLY)
        try:
            journal = read_journal(file, id)
        finally:
            os.close(file)
    except OSError:
        return None  # It can't be had; who opens it learns why.
    return journal if journal is not None and journal.have else None


def is_of_another(folder: TargetFolder, destination: Path, id: str, number: int) -> bool:
    """Whether the part with that number is known to be of another resource than that."""
    journal_name = part_names(destination, number)[1]
    try:
        file = folder.open_ours(journal_name, os.O_RDONLY)
    except OSError:
        return False  # Nothing is known of it yet.
    try:
        return read_journal(file, id) is None
    except OSError:
        return False
    finally:
        os.close(file)


def remove_earlier(folder: TargetFolder, destination: Path, number: int) -> None:
    """Remove the part with that number, unless a download is using it or it isn't ours."""
    part, journal = part_names(destination, number)
    try:
        folder.status(part)
        file = open_locked(folder, part)
    except OSError:
        return
    folder.tidy(part, journal)
    os.close(file)
