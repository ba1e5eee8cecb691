"""
Walking a shared folder: which files are in it, with their stamps.

Left out: hidden files and folders, what its name or a control file beside it says to be
unfinished, what is not a regular file, what can't be
named in UTF-8, and whatever a symbolic link leads to outside the folder.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from p2ptwisted.model import NAME_MAX, FileStamp
from p2ptwisted.node.changes import Changed, is_in
from p2ptwisted.support.safe_open import (
    LeadsOut,
    folder_beneath,
    link_status,
    open_folder,
)
from p2ptwisted.transfer.part_names import CONTROL, is_of_twistd, unfinished_end

#: Names that are looked at in one step where nothing but the name is.
STEP = 256

#: Errors of what went, or was exchanged, while we looked, and of links that lead nowhere.
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}

#: Why a file whose name can't be told to others is not shared.
_NO_NAME = f"its name is not UTF-8, or has more than {NAME_MAX} characters with its folders"


class Entry(NamedTuple):
    """A file of the folder; its name is the path relative to the folder, with `/`."""

    name: str
    stamp: FileStamp


def walk(
    folder: Path,
    entered: Callable[[Path], None],
    led_out: Callable[[str], None] = lambda name: None,
    unreadable: Callable[[str, str], None] = lambda name, reason: None,
) -> Iterator[Entry | None]:
    """
    All files, folder by folder; None for what is left out, so that every step is short.

    `entered` is called with each folder before it is listed: the caller must
    notice changes after that call itself. `led_out` is called with the name of
    each link that leads out of the folder, `unreadable` with the name of what
    can't be looked at or told to others, and why. Raises OSError if `folder`
    itself can't be listed; others are passed over.
    """
    root = open_folder(folder)
    try:
        folders = [""]
        while folders:
            current = folders.pop()
            entered(folder / current)
            yield from _files_in(root, current, folders, led_out, unreadable)
    finally:
        os.close(root)


def look(
    folder: Path,
    changed: Changed,
    entered: Callable[[Path], None],
    unreadable: Callable[[str, str], None],
) -> Iterator[Entry | None]:
    """
    The files among what has changed, as `walk` has them; nothing for what is not there.

    It enters the folders that are looked at with all that is in them.
    """

    def led_out(name: str) -> None:
        """Whoever walks all of the folder tells of these."""

    root = open_folder(folder)
    try:
        for top in changed.trees:
            folders = [top] if not is_in(top, changed.trees) and _is_folder(root, top) else []
            while folders:
                current = folders.pop()
                entered(folder / current)
                yield from _files_in(root, current, folders, led_out, unreadable)
        for name in changed.listed:
            if not is_in(f"{name}/", changed.trees) and _is_folder(root, name):
                yield from _files_in(root, name, [], led_out, unreadable)
        for name, files in changed.files.items():
            if not is_in(f"{name}/", changed.trees | changed.listed) and _is_folder(root, name):
                yield from _some_files(root, name, files, unreadable)
    finally:
        os.close(root)


def _is_folder(root: int, name: str) -> bool:
    """Whether a walk comes to a folder of that name: through no links."""
    parts = name.split("/") if name else []
    try:
        for number in range(1, len(parts) + 1):
            path = "/".join(parts[:number])
            if not stat.S_ISDIR(os.stat(path, dir_fd=root, follow_symlinks=False).st_mode):
                return False
    except OSError:
        return False
    return True


def _open_inner(root: int, name: str, unreadable: Callable[[str, str], None]) -> int | None:
    """Open a folder beneath the root; None where that can't be."""
    try:
        # By its name, so that however deep it is, few are open at once.
        return folder_beneath(root, name)
    except OSError as error:
        # It went, or is not for us to read.
        if error.errno not in _GONE:
            unreadable(name, error.strerror or str(error))
        return None


def _files_in(
    root: int,
    name: str,
    folders: list[str],
    led_out: Callable[[str], None],
    unreadable: Callable[[str, str], None],
) -> Iterator[Entry | None]:
    """The files in a folder, as `walk` has them; adds the folders in it to `folders`."""
    inner = _open_inner(root, name, unreadable)
    if inner is None:
        return
    try:
        above = f"{name}/" if name else ""
        yield from _list(root, inner, above, folders, led_out, unreadable)
    finally:
        os.close(inner)


def _some_files(
    root: int, folder: str, names: Iterable[str], unreadable: Callable[[str, str], None]
) -> Iterator[Entry | None]:
    """Those of the named files in a folder that are there, as `walk` has them."""
    inner = _open_inner(root, folder, unreadable)
    if inner is None:
        return
    try:
        for name in names:
            found = None
            base = name.rpartition("/")[2]
            if _is_left_out(base) or _is_controlled(inner, base):
                pass
            elif not _can_be_named(name):
                unreadable(name, _NO_NAME)
            else:
                try:
                    found = _named_file(root, inner, name)
                except OSError as error:
                    if error.errno not in _GONE:
                        unreadable(name, error.strerror or str(error))
            yield found
    finally:
        os.close(inner)


def _is_controlled(inner: int, base: str) -> bool:
    """Whether there is a control file beside a file in an open folder."""
    for end in CONTROL:
        with suppress(OSError):
            status = os.stat(base + end, dir_fd=inner, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                return True
    return False


def _named_file(root: int, inner: int, name: str) -> Entry | None:
    """A name in an open folder as a file, as `_file` does it."""
    base = name.rpartition("/")[2]
    status = os.stat(base, dir_fd=inner, follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        status = link_status(root, inner, base)
    return Entry(name, FileStamp.of(status)) if stat.S_ISREG(status.st_mode) else None


def file_meant(name: str) -> str:
    """
    Return the file that a change of the file `name` is about; empty if it concerns nothing shared.

    A control file says whether the file beside it is complete.
    """
    above, slash, base = name.rpartition("/")
    if base.endswith(CONTROL):
        base = base.rpartition(".")[0]
    if not base or _is_left_out(base):
        return ""
    return above + slash + base


def is_walked(folder: str) -> bool:
    """Whether a walk enters a folder of that name, if it comes by."""
    return not _is_hidden(folder.rpartition("/")[2])


def _list(
    root: int,
    inner: int,
    above: str,
    folders: list[str],
    led_out: Callable[[str], None],
    unreadable: Callable[[str, str], None],
) -> Iterator[Entry | None]:
    """The files in an open folder, as `walk` has them; adds the folders in it to `folders`."""
    controlled: set[str] = set()
    with os.scandir(inner) as listing:
        for number, entry in enumerate(listing, 1):
            if entry.name.endswith(CONTROL) and not entry.is_dir(follow_symlinks=False):
                controlled.add(entry.name.rpartition(".")[0])
            if not number % STEP:
                yield None
    with os.scandir(inner) as listing:
        for entry in listing:
            found = None
            name = above + entry.name
            if _is_hidden(entry.name):
                pass
            elif not _can_be_named(name):
                unreadable(name, _NO_NAME)
            else:
                try:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(name)
                    elif entry.name not in controlled and not _is_left_out(entry.name):
                        found = _file(root, inner, name, entry)
                except LeadsOut:
                    led_out(name)
                except OSError as error:
                    if error.errno not in _GONE:
                        unreadable(name, error.strerror or str(error))
            yield found


def why_not_shared(name: str) -> str | None:
    """
    Return why a node doesn't share a file of that name, wherever it is; None if it does.

    `name`: the path relative to the shared folder, with `/`.
    """
    parts = name.split("/")
    if any(map(_is_hidden, parts)):
        return "a node shares nothing hidden: give it another name"
    if not _can_be_named(name):
        return f"a node can't share it: {_NO_NAME}"
    if end := unfinished_end(parts[-1]):
        return (
            f"a node shares nothing whose name ends with {end}, as of what is unfinished: give it "
            "another name"
        )
    if is_of_twistd(parts[-1]):
        return "a node shares no file that is called as twistd's log: give it another name"
    return None


def _is_left_out(base: str) -> bool:
    """Whether no file of that name is shared, in whatever folder."""
    return _is_hidden(base) or bool(unfinished_end(base)) or is_of_twistd(base)


def _is_hidden(base: str) -> bool:
    return base.startswith(".")


def _file(root: int, inner: int, name: str, entry: "os.DirEntry[str]") -> Entry | None:
    """An entry as a file, or what its link leads to; None if that is not a regular file."""
    if entry.is_symlink():
        status = link_status(root, inner, entry.name)
    else:
        status = entry.stat(follow_symlinks=False)
    return Entry(name, FileStamp.of(status)) if stat.S_ISREG(status.st_mode) else None


def _can_be_named(name: str) -> bool:
    """Whether others can be told that name; if not, nothing in such a folder can be named."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return len(name) <= NAME_MAX
