"""
Walking a shared folder: which files are in it, and what tells that one has changed.

Left out: hidden files and folders, parts of transfers, what is not a regular file, what can't be
named in UTF-8, and whatever a symbolic link leads to outside the folder.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from p2ptwisted.model import NAME_MAX

#: What is still on its way, by us or by others.
UNFINISHED = (".part", ".part.journal")


class Signature(NamedTuple):
    """What changes when a file does."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Signature":
        return cls(
            status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
        )


class Entry(NamedTuple):
    """A file of the folder; its name is the path relative to the folder, with `/`."""

    name: str
    signature: Signature


def walk(folder: Path, entered: Callable[[Path], None]) -> Iterator[Entry | None]:
    """
    All files, folder by folder; None for what is left out, so that every step is short.

    `entered` is called with each folder before it is listed: a change that
    comes after that call must be noticed by the caller himself. Raises
    OSError where `folder` itself can't be listed; others are passed over.
    """
    folders = [folder]
    while folders:
        current = folders.pop()
        entered(current)
        try:
            listing = os.scandir(current)
        except OSError:
            if current == folder:
                raise
            continue  # It went, or is not for us to read.
        with listing:
            for entry in listing:
                if entry.name.startswith("."):
                    yield None
                    continue
                try:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(Path(entry.path))
                        yield None
                    elif entry.name.endswith(UNFINISHED):
                        yield None
                    else:
                        yield _file(folder, Path(entry.path))
                except (OSError, RuntimeError):
                    yield None  # It went while we looked, or is a link that leads to itself.


def _file(folder: Path, path: Path) -> Entry | None:
    if path.is_symlink() and not path.resolve(strict=True).is_relative_to(folder):
        return None
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        return None
    name = path.relative_to(folder).as_posix()
    try:
        name.encode()
    except UnicodeEncodeError:
        return None
    if len(name) > NAME_MAX:
        return None
    return Entry(name, Signature.of(status))


def open_unchanged(path: Path, signature: Signature) -> BinaryIO:
    """
    The file, opened, where it is still the one with that signature.

    Raises OSError, FileNotFoundError among them where it is another one now.
    """
    # Something else may stand at that name by now: a pipe, say, must not hold us up.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if Signature.of(os.fstat(descriptor)) != signature:
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, "has changed", os.fspath(path))
    return open(descriptor, "rb", buffering=0)


def is_unchanged(file: BinaryIO, signature: Signature) -> bool:
    return Signature.of(os.fstat(file.fileno())) == signature
