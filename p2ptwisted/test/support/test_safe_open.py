"""Tests of `p2ptwisted.support.safe_open`, on real folders."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.model import FileStamp
from p2ptwisted.support import safe_open
from p2ptwisted.support.safe_open import (
    LeadsOut,
    NotRegular,
    folder_beneath,
    is_unchanged,
    open_beneath,
    open_folder,
    open_regular,
    open_unchanged,
)
from p2ptwisted.test.node_fakes import at_once, open_descriptors


class BeneathCase(SynchronousTestCase):
    """A folder with a file, and a secret outside of it."""

    def setUp(self) -> None:
        self.outside = Path(self.mktemp()).resolve()
        self.folder = self.outside / "shared"
        (self.folder / "sub").mkdir(parents=True)
        (self.folder / "sub" / "file").write_bytes(b"content")
        (self.outside / "private").mkdir()
        (self.outside / "private" / "file").write_bytes(b"secret")
        self.root = open_folder(self.folder)
        self.addCleanup(os.close, self.root)
        before = open_descriptors()
        self.addCleanup(lambda: self.assertEqual(open_descriptors(), before))

    def link(self, name: str, target: str | Path) -> None:
        (self.folder / name).symlink_to(target)

    def read(self, name: str) -> bytes:
        with open(open_beneath(self.root, name), "rb") as file:
            return file.read()


class OpenBeneathTests(BeneathCase):
    """Files beneath a folder."""

    def test_file(self) -> None:
        """A file is opened by its name below the folder."""
        self.assertEqual(self.read("sub/file"), b"content")
        self.assertRaises(FileNotFoundError, self.read, "sub/none")
        self.assertRaises(NotADirectoryError, self.read, "sub/file/none")

    def test_links_inside(self) -> None:
        """A link is followed, however it gets to a place inside."""
        (self.outside / "alias").symlink_to(self.folder)
        self.link("relative", "sub/file")
        self.link("chain", "relative")
        self.link("absolute", self.folder / "sub" / "file")
        self.link("by another name", self.outside / "alias" / "sub" / "file")
        self.link("out and in", "../shared/sub/file")
        self.link("folder", "sub")
        names = ["relative", "chain", "absolute", "by another name", "out and in", "folder/file"]
        for name in names:
            self.assertEqual(self.read(name), b"content", name)

    def test_links_outside(self) -> None:
        """One that leads out is not, be it the file itself or a folder on the way."""
        (self.outside / "shared too").mkdir()
        (self.outside / "shared too" / "file").touch()
        self.link("file", "../private/file")
        self.link("absolute", self.outside / "private" / "file")
        self.link("chain", "file")
        self.link("folder", "../private")
        self.link("like it", "../shared too/file")
        self.link("device", "/dev/null")
        for name in ("file", "absolute", "chain", "folder/file", "like it", "device"):
            self.assertRaises(LeadsOut, self.read, name)
        self.assertRaises(LeadsOut, self.read, "../private/file")
        self.assertRaises(LeadsOut, self.read, "sub/../../private/file")

    def test_links_to_what_is_hidden(self) -> None:
        """A link to a hidden file is followed if the file's owner, our user or root made it."""
        (self.folder / ".hidden").mkdir()
        (self.folder / ".hidden" / "file").write_bytes(b"hidden")
        self.link("link", ".hidden/file")
        self.link("folder", ".hidden")
        owner, ours, stranger = self.outside.stat().st_uid, 65533, 65534
        self.patch(os, "geteuid", lambda: ours)
        stat, makers = os.stat, [stranger]

        def of_link(path: Any, dir_fd: int | None = None, follow_symlinks: bool = True) -> Any:
            if dir_fd is None:
                return stat(path, follow_symlinks=follow_symlinks)
            return SimpleNamespace(st_uid=makers[-1])

        self.patch(os, "stat", of_link)
        self.assertRaises(FileNotFoundError, self.read, "link")
        self.assertRaises(FileNotFoundError, self.read, "folder/file")
        for maker in (owner, ours, 0):
            makers.append(maker)
            self.assertEqual(self.read("link"), b"hidden")
            self.assertEqual(self.read("folder/file"), b"hidden")

    def test_swapped_while_it_is_judged(self) -> None:
        """What is opened is what was judged, though the link leads elsewhere a moment later."""
        self.link("link", "sub/file")
        readlink = os.readlink

        def swap(path: str) -> str:
            place = readlink(path)
            (self.folder / "link").unlink()
            self.link("link", "../private/file")
            return place

        self.patch(os, "readlink", swap)
        self.assertEqual(self.read("link"), b"content")

    def test_folder_swapped_on_the_way(self) -> None:
        """Nor does a folder lead out that is a link by the time when its file is opened."""
        opened = safe_open.open_regular

        def swap(name: str, *flags: int, dir_fd: int) -> int:
            (self.folder / "sub").rename(self.folder / "moved")
            self.link("sub", "../private")
            return opened(name, *flags, dir_fd=dir_fd)

        patched = self.patch(safe_open, "open_regular", swap)
        self.assertEqual(self.read("sub/file"), b"content")
        patched.restore()
        self.assertRaises(LeadsOut, self.read, "sub/file")

    def test_where_links_cannot_be_judged(self) -> None:
        """On a system that doesn't tell where a link has led, none is followed."""
        self.link("link", "sub/file")
        self.patch(safe_open, "_PATH_ONLY", None)
        self.assertRaises(LeadsOut, self.read, "link")
        self.assertEqual(self.read("sub/file"), b"content")

    def test_not_regular(self) -> None:
        """A pipe or a folder is refused at once, behind a link as well."""
        os.mkfifo(self.folder / "pipe")
        self.link("link", "pipe")
        self.link("to a folder", "sub")
        for name in ("pipe", "link", "sub", "to a folder"):
            with at_once():
                self.assertRaises(NotRegular, self.read, name)

    def test_links_in_a_circle(self) -> None:
        """Links that lead to each other, or nowhere, are errors like any."""
        self.link("ping", "pong")
        self.link("pong", "ping")
        self.link("dangling", "none")
        for name in ("ping", "dangling"):
            self.assertRaises(OSError, self.read, name)


class OpenRegularTests(BeneathCase):
    """Files by any path."""

    def test_pipe(self) -> None:
        """A pipe that nobody writes to, or reads, is refused at once."""
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        for flags in (os.O_RDONLY, os.O_RDWR):
            with at_once():
                error = self.assertRaises(NotRegular, open_regular, pipe, flags)
            self.assertEqual(error.filename, str(pipe))

    def test_link(self) -> None:
        """A link is followed unless the caller forbids it."""
        self.link("link", "sub/file")
        os.close(open_regular(self.folder / "link"))
        self.assertRaises(OSError, open_regular, self.folder / "link", os.O_NOFOLLOW)


class FolderBeneathTests(BeneathCase):
    """Folders beneath a folder."""

    def test_made(self) -> None:
        """Those that are missing are made, where that is asked for."""
        self.assertRaises(FileNotFoundError, folder_beneath, self.root, "new/deeper")
        os.close(folder_beneath(self.root, "new/deeper", make=True, modes=(0o700, 0o710)))
        self.assertEqual((self.folder / "new").stat().st_mode & 0o777, 0o700)
        self.assertTrue((self.folder / "new" / "deeper").is_dir())

    def test_not_outside(self) -> None:
        """None is made or opened where a link leads out, nor in the place of a file."""
        self.link("link", "../private")
        self.assertRaises(LeadsOut, folder_beneath, self.root, "link/new", make=True)
        self.assertEqual([path.name for path in (self.outside / "private").iterdir()], ["file"])
        self.assertRaises(OSError, folder_beneath, self.root, "sub/file", make=True)

    def test_root(self) -> None:
        """The shared folder itself may not be a link, unless its user says so."""
        (self.outside / "link").symlink_to(self.folder)
        self.assertRaises(OSError, open_folder, self.outside / "link")
        os.close(open_folder(self.outside / "link", follow=True))


class OpenUnchangedTests(SynchronousTestCase):
    """Opening a file only as the one that was seen."""

    def setUp(self) -> None:
        self.outside = Path(self.mktemp()).resolve()
        self.folder = self.outside / "shared"
        self.folder.mkdir(parents=True)
        self.path = self.folder / "a"
        self.path.write_bytes(b"as it was")
        self.stamp = FileStamp.of(self.path.stat())
        self.before = open_descriptors()

    def assert_refused(self) -> None:
        """It can't be opened, and nothing stays open from trying."""
        self.assertRaises(OSError, open_unchanged, self.folder, "a", self.stamp)
        self.assertEqual(open_descriptors(), self.before)

    def test_unchanged(self) -> None:
        """The file is opened for reading, from its beginning."""
        with open_unchanged(self.folder, "a", self.stamp) as file:
            self.assertEqual(file.read(), b"as it was")

    def test_written(self) -> None:
        """A file that was written to is not the same any more."""
        self.path.write_bytes(b"as it is now")
        self.assert_refused()

    def test_any_ctime(self) -> None:
        """Where its ctime is no matter, one with another mode is the same; a written one is not."""
        self.path.chmod(0o600)
        self.assert_refused()
        with open_unchanged(self.folder, "a", self.stamp, any_ctime=True) as file:
            self.assertEqual(file.read(), b"as it was")
        self.path.write_bytes(b"as it is now")
        self.assertRaises(OSError, open_unchanged, self.folder, "a", self.stamp, any_ctime=True)
        self.assertEqual(open_descriptors(), self.before)

    def test_same_size_and_time(self) -> None:
        """Neither the size nor a time set back hides that a file was replaced."""
        other = self.folder / "b"
        other.write_bytes(b"AS IT WAS")
        os.utime(other, ns=(self.stamp.mtime_ns, self.stamp.mtime_ns))
        other.rename(self.path)
        self.assert_refused()

    def test_same_inode_size_and_time(self) -> None:
        """A file that was overwritten in place, its time set back, still shows it by its ctime."""
        self.path.write_bytes(b"AS IT WAS")
        os.utime(self.path, ns=(self.stamp.mtime_ns, self.stamp.mtime_ns))
        self.assert_refused()

    def test_gone(self) -> None:
        """A file that is gone can't be opened."""
        self.path.unlink()
        self.assert_refused()

    def test_link_outside(self) -> None:
        """A link that took the file's place leads nowhere."""
        secret = self.outside / "secret"
        secret.write_bytes(b"as it was")
        self.path.unlink()
        self.path.symlink_to(secret)
        self.assert_refused()

    def test_seen_outside(self) -> None:
        """Nor is it opened where what was seen is what the link leads to."""
        secret = self.outside / "secret"
        secret.write_bytes(b"secret")
        self.path.unlink()
        self.path.symlink_to(secret)
        self.stamp = FileStamp.of(secret.stat())
        self.assert_refused()

    def test_folder_above_is_a_link(self) -> None:
        """Nor one beneath a folder that a link has taken the place of."""
        secret = self.outside / "private" / "a"
        secret.parent.mkdir()
        secret.write_bytes(b"secret")
        (self.folder / "sub").symlink_to(secret.parent)
        self.assertRaises(
            OSError, open_unchanged, self.folder, "sub/a", FileStamp.of(secret.stat())
        )

    def test_link_inside(self) -> None:
        """A link that leads to a file of the folder is opened as that file."""
        (self.folder / "link").symlink_to("a")
        with open_unchanged(self.folder, "link", self.stamp) as file:
            self.assertEqual(file.read(), b"as it was")

    def test_pipe(self) -> None:
        """A pipe that took the file's place is refused at once, without waiting for a writer."""
        self.path.unlink()
        os.mkfifo(self.path)
        self.assert_refused()

    def test_folder(self) -> None:
        """A folder that took the file's place is refused, and not left open."""
        self.path.unlink()
        self.path.mkdir()
        self.assert_refused()

    def test_changed_while_open(self) -> None:
        """A change after the opening can be told from the open file."""
        with open_unchanged(self.folder, "a", self.stamp) as file:
            self.assertTrue(is_unchanged(file, self.stamp))
            with self.path.open("ab") as writer:
                writer.write(b" and more")
            self.assertFalse(is_unchanged(file, self.stamp))
