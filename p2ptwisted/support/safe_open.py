"""
Opening files by names that somebody else could have made.

Whoever may write to a folder can put a link, a pipe or another's file at any
name in it, between a look and an opening too. So no name is trusted: a file is
opened once, in a way that can't hold us up, and what was opened is looked at.
"""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

#: For each opening: a pipe without a writer must not hold us up, no terminal
#: become ours, and no child process inherit it.
_CAREFUL = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | _CAREFUL

#: To look at what a link leads to without opening it: Linux only. Elsewhere
#: no link can be judged, and so none is followed.
_LOOK: int | None = getattr(os, "O_PATH", None)


class NotRegular(OSError):
    """A pipe, a device, a socket or a folder stands where a file should be."""


class LeadsOut(FileNotFoundError):
    """A link leads out of the folder that it is in."""


def open_regular(
    name: str | Path, flags: int = os.O_RDONLY, mode: int = 0o644, *, dir_fd: int | None = None
) -> int:
    """
    A descriptor of the regular file at that name.

    With O_NOFOLLOW among the flags a link is refused (ELOOP). Raises OSError,
    NotRegular among them.
    """
    file = os.open(name, flags | _CAREFUL, mode, dir_fd=dir_fd)
    try:
        _check_regular(file, name)
    except OSError:
        os.close(file)
        raise
    return file


def open_folder(path: Path, follow: bool = False) -> int:
    """A descriptor of the folder at that path, which may be a link only where `follow` says so."""
    return os.open(path, _FOLDER | (0 if follow else os.O_NOFOLLOW))


def folder_beneath(root: int, name: str, make: bool = False) -> int:
    """
    A descriptor of the folder of that name beneath an open one; `make` those that are missing.

    A link is followed where it leads to a folder beneath `root` too. Raises
    OSError, LeadsOut among them.
    """
    folder = os.dup(root)
    for part in name.split("/"):
        if part in ("", "."):
            continue
        try:
            inner = _folder_in(root, folder, part, make)
        finally:
            os.close(folder)
        folder = inner
    return folder


def _folder_in(root: int, folder: int, name: str, make: bool) -> int:
    if name == "..":
        raise LeadsOut(errno.ENOENT, "a link leads out of the folder", name)
    if make:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=folder)
    try:
        return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
    except OSError as error:
        # Of a link Linux says that it is no folder.
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
    looked = _through_link(root, folder, name)
    try:
        return os.open(_itself(looked), _FOLDER)
    finally:
        os.close(looked)


def open_beneath(root: int, name: str) -> int:
    """
    A descriptor, to be read, of the regular file of that name beneath an open folder.

    A link is followed where it leads to a file beneath `root` too. Raises
    OSError, NotRegular and LeadsOut among them.
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
    looked = _through_link(root, folder, name)
    try:
        _check_regular(looked, name)
        return open_regular(_itself(looked))
    finally:
        os.close(looked)


def link_status(root: int, folder: int, name: str) -> os.stat_result:
    """
    The status of what a link in the open `folder` leads to, beneath `root`.

    Raises OSError, LeadsOut among them.
    """
    looked = _through_link(root, folder, name)
    try:
        return os.fstat(looked)
    finally:
        os.close(looked)


def _through_link(root: int, folder: int, name: str) -> int:
    """
    What a link leads to, held but not opened. Raises OSError, LeadsOut among them.

    The system follows the link, once, and tells where that has led: whatever
    happens to the link or on the way to its end meanwhile, what is judged is
    what is held.
    """
    if _LOOK is None:
        raise LeadsOut(errno.ENOENT, "where a link leads can't be told here", name)
    looked = os.open(name, _LOOK | os.O_CLOEXEC, dir_fd=folder)
    try:
        home, place = os.readlink(_itself(root)).rstrip("/"), os.readlink(_itself(looked))
        if not f"{place}/".startswith(f"{home}/"):
            raise LeadsOut(errno.ENOENT, "a link leads out of the folder", name)
        if "/." in place[len(home) :]:
            _check_owner(looked, folder, name)
    except OSError:
        os.close(looked)
        raise
    return looked


def _check_owner(looked: int, folder: int, name: str) -> None:
    """
    Raises FileNotFoundError where a link to what is hidden was made by somebody else.

    What its owner has hidden he may link to, as git-annex does. Others who may write to the folder
    may not even be able to read it.
    """
    maker = os.stat(name, dir_fd=folder, follow_symlinks=False).st_uid
    if maker not in (0, os.geteuid(), os.fstat(looked).st_uid):
        raise FileNotFoundError(errno.ENOENT, "another user's link leads to what is hidden", name)


def _itself(descriptor: int) -> str:
    """A path that leads to what a descriptor of ours is of, whatever its names are by now."""
    return f"/proc/self/fd/{descriptor}"


def _check_regular(file: int, name: str | Path) -> None:
    if not stat.S_ISREG(os.fstat(file).st_mode):
        raise NotRegular(errno.EINVAL, "is no regular file", os.fspath(name))
