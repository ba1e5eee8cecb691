"""
The folder that downloads are written into, held open: others may be able to write to
it too, and to change what its path leads to meanwhile.
"""

import errno
import os
import secrets
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from p2ptwisted.support.safe_open import NotRegular, folder_beneath, open_folder, open_regular
from p2ptwisted.transfer.part_names import PART
from p2ptwisted.transfer.shared_folder import SharedFolder

#: The bits of a mode by which others than a file's owner may write to it.
OTHERS_WRITE = 0o022


#: Why nothing can be put where it was to go.
MOVED = "its folder was moved, or something was mounted there or unmounted"


class NotOurs(OSError):
    """A file that others own or may write is where one of ours should be."""


def why_not_ours(status: os.stat_result, made: os.stat_result | None) -> str | None:
    """
    Why a file must not be taken for one of ours; None if it may be.

    `made` is the status of a file that we have just made beside it, if we could:
    some file systems, such as a USB stick's or one over the network, give
    every file an owner and a mode of their own choice.
    """
    uid, others_write = os.geteuid(), 0
    if made is not None:
        uid, others_write = made.st_uid, made.st_mode & OTHERS_WRITE
    if status.st_uid != uid:
        return f"belongs to another user ({status.st_uid})"
    if status.st_mode & OTHERS_WRITE & ~others_write:
        return f"may be written by others (mode {status.st_mode & 0o7777:04o})"
    return None


def is_replaceable(name: str | Path, folder: int | None = None) -> bool:
    """Whether that name is free, or a regular file's, or that of a link to one. Raises OSError."""
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=folder).st_mode)
    except OSError as error:
        # A link that leads nowhere may be to a disk that isn't there now; others lead round in a
        # circle, or to where we may not look.
        if _is_link(name, folder):
            return False
        if isinstance(error, FileNotFoundError):
            return True
        raise


def _is_link(name: str | Path, folder: int | None) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


class TargetFolder:
    """An open folder; all names are of files in it, and no link is followed."""

    def __init__(
        self, path: Path, within: SharedFolder | None = None, modes: Sequence[int] = ()
    ) -> None:
        """
        Open the folder, or make it.

        `within` is a folder that it is in, and that no link on the way there
        may lead out of; `modes` are as for `folder_beneath`. Raises OSError.
        """
        self._path = path
        self._within = within
        if within is None:
            path.mkdir(parents=True, exist_ok=True)
            self._folder = open_folder(path, follow=True)
        else:
            self._folder = self._open_in(within, make=True, modes=modes)

    def _open_in(self, within: SharedFolder, make: bool, modes: Sequence[int] = ()) -> int:
        root = within.open()
        try:
            if not self._path.is_relative_to(within.path):
                raise FileNotFoundError(errno.ENOENT, MOVED, os.fspath(self._path))
            name = self._path.relative_to(within.path).as_posix()
            return folder_beneath(root, name, make, modes, within.check)
        finally:
            os.close(root)

    def check_place(self) -> None:
        """
        Raise OSError where the path leads to another folder by now, or to none.

        What is put into the folder would not be where it is said to be.
        """
        if self._within is None:
            return
        there = self._open_in(self._within, make=False)
        try:
            if not os.path.samestat(os.fstat(there), os.fstat(self._folder)):
                raise FileNotFoundError(errno.ENOENT, MOVED, os.fspath(self._path))
        finally:
            os.close(there)

    def close(self) -> None:
        """Close the folder; closing it again does nothing."""
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    def open(self, name: str, flags: int, mode: int = 0o644) -> int:
        """A descriptor of a regular file. Raises OSError, NotRegular among them."""
        try:
            return open_regular(name, flags | os.O_NOFOLLOW, mode, dir_fd=self._folder)
        except OSError as error:
            error.filename = os.fspath(self._path / name)
            raise

    def open_ours(self, name: str, flags: int) -> int:
        """
        A descriptor of a regular file that is ours. Raises OSError, NotOurs among them.

        Another user's could be changed after it was verified.
        """
        try:
            file = self.open(name, flags)
        except PermissionError as error:
            raise self.not_ours(name, f"may not be written ({error.strerror})") from error
        try:
            status = os.fstat(file)
            if why_not_ours(status, None) and (trouble := why_not_ours(status, self._made_here())):
                raise self.not_ours(name, trouble)
        except OSError:
            os.close(file)
            raise
        return file

    def _made_here(self) -> os.stat_result | None:
        """The status of a file that we make here and remove; None if we can't."""
        name = f".{secrets.token_hex(8)}{PART}"
        try:
            file = self.make(name, os.O_WRONLY)
        except OSError:
            return None
        try:
            self.remove(name)
            return os.fstat(file)
        finally:
            os.close(file)

    def make(self, name: str, flags: int, mode: int = 0o644) -> int:
        """A descriptor of a new file. Raises OSError, FileExistsError among them."""
        return self.open(name, flags | os.O_CREAT | os.O_EXCL, mode)

    def make_again(self, name: str, flags: int) -> int:
        """As `make`, after removing a file of ours that has that name."""
        with suppress(FileNotFoundError):
            os.close(self.open_ours(name, os.O_RDONLY))
            self.remove(name)
        return self.make(name, flags)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there. Raises OSError."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._folder)

    def tidy(self, *names: str) -> None:
        """Remove files that are of no use, but leave what can't be removed."""
        for name in names:
            # Others may have put a folder there.
            with suppress(OSError):
                self.remove(name)

    def replace(self, name: str, new: str) -> None:
        """
        Rename a file, in the place of another that may have that name.

        Only a regular file, or a link to one, is replaced. Raises OSError, NotRegular
        among them.
        """
        if not is_replaceable(new, self._folder):
            raise NotRegular(errno.EINVAL, "is not a regular file", os.fspath(self._path / new))
        os.replace(name, new, src_dir_fd=self._folder, dst_dir_fd=self._folder)

    def put(self, name: str, new: str) -> None:
        """Rename a file. Raises OSError, FileExistsError among them if the new name is taken."""
        try:
            # A rename would replace what has come to stand there meanwhile.
            os.link(
                name,
                new,
                src_dir_fd=self._folder,
                dst_dir_fd=self._folder,
                follow_symlinks=False,
            )
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP):
                raise
            # A file system without links, such as a USB stick's.
            if self._has(new):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new) from error
            os.rename(name, new, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        else:
            os.unlink(name, dir_fd=self._folder)

    def link(self, file: int, name: str) -> None:
        """Link an open file, wherever it is, under a name here. Raises OSError."""
        # Not by its own name: another file may stand there by now.
        os.link(f"/proc/self/fd/{file}", name, dst_dir_fd=self._folder, follow_symlinks=True)

    def status(self, name: str) -> os.stat_result:
        """The status of what has that name. Raises OSError, FileNotFoundError among them."""
        return os.stat(name, dir_fd=self._folder, follow_symlinks=False)

    def _has(self, name: str) -> bool:
        try:
            self.status(name)
        except FileNotFoundError:
            return False
        return True

    def is_at(self, name: str, status: os.stat_result) -> bool:
        """Whether that name is the file with that status. Raises FileNotFoundError if free."""
        return os.path.samestat(self.status(name), status)

    def sync(self) -> None:
        """Write the folder's names to the disk. Raises OSError."""
        os.fsync(self._folder)

    def not_ours(self, name: str, reason: str) -> NotOurs:
        """The error for a file that must not be taken for one of ours, and why."""
        return NotOurs(errno.EPERM, reason, os.fspath(self._path / name))
