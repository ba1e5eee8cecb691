"""
Opening files and folders in places where others can write.

Whoever may write to a folder can put a symbolic link, a pipe or another user's
file at any name in it, even between a check and an open. So no name is trusted:
a file is opened once, in a way that can't block, and the open descriptor is
checked.
"""

import errno
import os
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from p2ptwisted.model import FileStamp

#: For each open: a pipe without a writer must not block, no terminal become our
#: controlling terminal, and no child process inherit the descriptor.
_CAREFUL = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | _CAREFUL

#: To hold a link's target without opening it: Linux only. Elsewhere no link can
#: be checked, and so none is followed.
_PATH_ONLY: int | None = getattr(os, "O_PATH", None)


class NotRegular(OSError):
    """There is a pipe, a device, a socket or a folder where a regular file should be."""


class LeadsOut(FileNotFoundError):
    """A symbolic link leads out of the folder that must contain it."""


def open_regular(
    name: str | Path, flags: int = os.O_RDONLY, mode: int = 0o644, *, dir_fd: int | None = None
) -> int:
    """
    Open a regular file, and return its descriptor.

    Arguments are those of `os.open`. With O_NOFOLLOW a link is refused (ELOOP).
    Raises OSError; NotRegular if it is not a regular file.
    """
    file = os.open(name, flags | _CAREFUL, mode, dir_fd=dir_fd)
    try:
        _check_regular(file, name)
    except OSError:
        os.close(file)
        raise
    return file


def open_folder(path: Path, follow: bool = False) -> int:
    """Open a folder, and return its descriptor; a link is refused unless `follow`."""
    return os.open(path, _FOLDER | (0 if follow else os.O_NOFOLLOW))


def folder_beneath(
    root: int,
    name: str,
    make: bool = False,
    modes: Sequence[int] = (),
    check: Callable[[int, str], None] = lambda folder, part: None,
) -> int:
    """
    Open a folder beneath the open folder `root`, and return its descriptor.

    `name`: a path relative to `root`. `make`: create missing folders. `modes`:
    one for each part of `name`, which the umask is taken from; without, 0o777
    for all. `check` is called with an open folder on the way and the part that is
    to be made in it, and with the last one and "", and may raise OSError. Links
    are followed only to folders beneath `root`. Raises OSError; LeadsOut for a link
    that leads elsewhere.
    """
    folder = os.dup(root)
    for number, part in enumerate(name.split("/")):
        if part in ("", "."):
            continue
        try:
            try:
                inner = _folder_in(root, folder, part)
            except FileNotFoundError:
                if not make:
                    raise
                check(folder, part)
                with suppress(FileExistsError):
                    os.mkdir(part, modes[number] if modes else 0o777, dir_fd=folder)
                inner = _folder_in(root, folder, part)
        finally:
            os.close(folder)
        folder = inner
    try:
        check(folder, "")
    except OSError:
        os.close(folder)
        raise
    return folder


def _folder_in(root: int, folder: int, name: str) -> int:
    if name == "..":
        raise LeadsOut(errno.ENOENT, "a link leads out of the folder", name)
    try:
        return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
    except OSError as error:
        # For a link Linux says ENOTDIR.
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
    target = _through_link(root, folder, name)
    try:
        return os.open(_proc_path(target), _FOLDER)
    finally:
        os.close(target)


def open_beneath(root: int, name: str) -> int:
    """
    Open a regular file beneath the open folder `root` for reading; returns its descriptor.

    `name`: a path relative to `root`. Links are followed only to files beneath
    `root`. Raises OSError; NotRegular if it is not a regular file, LeadsOut
    for a link that leads elsewhere.
    """
    above, _, base = name.rpartition("/")
    folder = folder_beneath(root, above)
    try:
        return _open_in(root, folder, base)
    finally:
        os.close(folder)


def _open_in(root: int, folder: int, name: str) -> int:
    try:
        return open_regular(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
    target = _through_link(root, folder, name)
    try:
        _check_regular(target, name)
        return open_regular(_proc_path(target))
    finally:
        os.close(target)


def link_status(root: int, folder: int, name: str) -> os.stat_result:
    """
    Return the status of the target of a link in the open `folder`.

    Raises OSError; LeadsOut if the target is not beneath `root`.
    """
    target = _through_link(root, folder, name)
    try:
        return os.fstat(target)
    finally:
        os.close(target)


def _through_link(root: int, folder: int, name: str) -> int:
    """
    Return a descriptor that holds the target of a link without opening it (O_PATH).

    The kernel follows the link, once, and says where that led: whatever
    happens to the link or to its path meanwhile, the target that is checked is
    the one that is held. Raises OSError; LeadsOut if it is not beneath `root`.
    """
    if _PATH_ONLY is None:
        raise LeadsOut(errno.ENOENT, "where a link leads can't be told here", name)
    target = os.open(name, _PATH_ONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        root_path = os.readlink(_proc_path(root)).rstrip("/")
        target_path = os.readlink(_proc_path(target))
        if not f"{target_path}/".startswith(f"{root_path}/"):
            raise LeadsOut(errno.ENOENT, "a link leads out of the folder", name)
        if "/." in target_path[len(root_path) :]:
            _check_link_owner(target, folder, name)
    except OSError:
        os.close(target)
        raise
    return target


def _check_link_owner(target: int, folder: int, name: str) -> None:
    """
    Raise FileNotFoundError where somebody else made a link to a hidden target.

    The owner of a hidden file may link to it, as git-annex does, and so may this
    user and root. Others who may write to the folder may not even be able to read
    the file.
    """
    link_owner = os.stat(name, dir_fd=folder, follow_symlinks=False).st_uid
    if link_owner not in (0, os.geteuid(), os.fstat(target).st_uid):
        raise FileNotFoundError(errno.ENOENT, "another user's link leads to a hidden file", name)


def _proc_path(descriptor: int) -> str:
    """Return a path that leads to what a descriptor of ours holds, whatever its names are now."""
    return f"/proc/self/fd/{descriptor}"


def _check_regular(file: int, name: str | Path) -> None:
    if not stat.S_ISREG(os.fstat(file).st_mode):
        raise NotRegular(errno.EINVAL, "is not a regular file", os.fspath(name))


def open_unchanged(
    folder: Path, name: str, stamp: FileStamp, *, any_ctime: bool = False
) -> BinaryIO:
    """
    Open the file of that name beneath a folder for reading, if it still has that stamp.

    With `any_ctime` it may have another ctime. Raises OSError; FileNotFoundError if it has
    another stamp.
    """
    root = open_folder(folder)
    try:
        file = open_beneath(root, name)
    finally:
        os.close(root)
    now = FileStamp.of(os.fstat(file))
    if now != stamp and not (any_ctime and now.but_ctime == stamp.but_ctime):
        os.close(file)
        raise FileNotFoundError(errno.ENOENT, "has changed", name)
    return open(file, "rb", buffering=0)


def is_unchanged(file: BinaryIO, stamp: FileStamp) -> bool:
    """Whether an open file still has that stamp."""
    return FileStamp.of(os.fstat(file.fileno())) == stamp
