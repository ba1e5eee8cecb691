"""Tests of `p2ptwisted.transfer.target_folder`, on real folders."""

import os
import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.support.safe_open import LeadsOut, NotRegular
from p2ptwisted.test.node_fakes import at_once, open_descriptors
from p2ptwisted.transfer.shared_folder import SharedFolder
from p2ptwisted.transfer.target_folder import NotOurs, TargetFolder, why_not_ours


def status(uid: int, mode: int) -> os.stat_result:
    return os.stat_result((0o100000 | mode, 1, 1, 1, uid, 0, 0, 0, 0, 0))


class OwnerTests(SynchronousTestCase):
    """Whose a file is."""

    def test_ours(self) -> None:
        """A file of this user's that nobody else may write to is ours, whoever may read it."""
        for mode in (0o600, 0o644, 0o755):
            self.assertIs(why_not_ours(status(os.geteuid(), mode), None), None)

    def test_another_user(self) -> None:
        """Another user's is not, root's neither."""
        told = why_not_ours(status(os.geteuid() + 1, 0o644), None)
        self.assertEqual(told, f"belongs to another user ({os.geteuid() + 1})")

    def test_writable_by_others(self) -> None:
        """Nor is one that others may write to."""
        for mode in (0o664, 0o646, 0o666):
            told = why_not_ours(status(os.geteuid(), mode), None)
            self.assertEqual(told, f"may be written by others (mode {mode:04o})")

    def test_owners_of_the_file_system(self) -> None:
        """Where every file gets another owner or mode, those of a file just made there count."""
        for made in (status(0, 0o777), status(65534, 0o644)):
            self.assertIs(why_not_ours(made, made), None)
            self.assertIsNot(why_not_ours(status(made.st_uid + 1, 0o644), made), None)
        self.assertIsNot(why_not_ours(status(65534, 0o666), status(65534, 0o644)), None)


class TargetFolderTests(SynchronousTestCase):
    """A folder that files are put into."""

    def setUp(self) -> None:
        self.outside = Path(self.mktemp()).resolve()
        self.shared = self.outside / "shared"
        self.private = self.outside / "private"
        self.shared.mkdir(parents=True)
        self.private.mkdir()

    def folder(self, path: Path, within: Path | None = None) -> TargetFolder:
        folder = TargetFolder(path, None if within is None else SharedFolder(within))
        self.addCleanup(folder.close)
        return folder

    def test_made(self) -> None:
        """It is made with those above it."""
        self.folder(self.outside / "a" / "b")
        self.folder(self.shared / "a" / "b", self.shared)
        for top in (self.outside, self.shared):
            self.assertTrue((top / "a" / "b").is_dir())

    def test_link_that_leads_out(self) -> None:
        """Within another folder, no link leads out of that; without, who named it meant it."""
        (self.shared / "sub").symlink_to(self.private)
        within = SharedFolder(self.shared)
        before = open_descriptors()
        self.assertRaises(LeadsOut, TargetFolder, self.shared / "sub", within)
        self.assertRaises(LeadsOut, TargetFolder, self.shared / "sub" / "new", within)
        self.assertEqual(open_descriptors(), before)
        self.assertEqual(list(self.private.iterdir()), [])
        self.folder(self.shared / "sub")

    def test_swapped_for_a_link(self) -> None:
        """What is done there is done there, though its path leads elsewhere meanwhile."""
        sub = self.shared / "sub"
        folder = self.folder(sub, self.shared)
        sub.rename(self.shared / "moved")
        sub.symlink_to(self.private)
        os.close(folder.make("a", os.O_WRONLY))
        folder.put("a", "b")
        os.close(folder.make_again("b", os.O_WRONLY))
        folder.replace("b", "c")
        self.assertEqual(list(self.private.iterdir()), [])
        self.assertEqual([path.name for path in (self.shared / "moved").iterdir()], ["c"])

    def test_another_s(self) -> None:
        """What others could change is neither opened as ours nor made anew, and stays."""
        folder = self.folder(self.shared)
        path = self.shared / "a"
        path.write_bytes(b"of another")
        path.chmod(0o666)
        for attempt in (folder.open_ours, folder.make_again):
            error = self.assertRaises(NotOurs, attempt, "a", os.O_WRONLY)
            self.assertEqual(error.filename, str(path))
        os.mkfifo(self.shared / "pipe")
        with at_once():
            self.assertRaises(NotRegular, folder.make_again, "pipe", os.O_WRONLY)
        self.assertEqual(path.read_bytes(), b"of another")
        self.assertEqual({path.name for path in self.shared.iterdir()}, {"a", "pipe"})

    def test_never_replaced(self) -> None:
        """What stands at a name already is not replaced unless that is said."""
        folder = self.folder(self.shared)
        for name in "ab":
            (self.shared / name).write_text(name)
        self.assertRaises(FileExistsError, folder.put, "a", "b")
        self.assertRaises(FileExistsError, folder.make, "b", os.O_WRONLY)
        self.assertEqual((self.shared / "b").read_text(), "b")
        folder.replace("a", "b")
        self.assertEqual((self.shared / "b").read_text(), "a")

    def test_no_file(self) -> None:
        """What is not a regular file, nor a link to one, is never replaced, whatever is said."""
        folder = self.folder(self.shared)
        for name in ("new", "file"):
            (self.shared / name).write_text(name)
        os.mkfifo(self.shared / "pipe")
        (self.shared / "to-pipe").symlink_to("pipe")
        (self.shared / "to-nothing").symlink_to("nothing")
        (self.shared / "to-device").symlink_to("/dev/null")
        os.mknod(self.shared / "socket", stat.S_IFSOCK | 0o600)
        (self.shared / "circle").symlink_to("circle")
        others = ("pipe", "to-pipe", "to-nothing", "to-device", "socket", "circle")
        before = [os.lstat(self.shared / name) for name in others]
        for name in others:
            error = self.assertRaises(NotRegular, folder.replace, "new", name)
            self.assertEqual(error.filename, str(self.shared / name))
        self.assertEqual([os.lstat(self.shared / name) for name in others], before)
        (self.shared / "to-file").symlink_to("file")
        folder.replace("new", "to-file")
        self.assertEqual((self.shared / "to-file").read_text(), "new")
        self.assertEqual((self.shared / "file").read_text(), "file")

    def test_link_to_an_open_file(self) -> None:
        """A link is one to the file that is open, whatever stands at its path."""
        source = self.outside / "source"
        source.write_bytes(b"meant")
        with source.open("rb") as file:
            source.rename(self.outside / "moved")
            source.write_bytes(b"another")
            self.folder(self.shared).link(file.fileno(), "a")
        self.assertEqual((self.shared / "a").read_bytes(), b"meant")
