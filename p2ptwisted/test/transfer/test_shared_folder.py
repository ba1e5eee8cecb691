"""Tests of `p2ptwisted.transfer.shared_folder`: real folders, with mounts in the test's hands."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.errors import Unavailable
from p2ptwisted.pieces import Pieces
from p2ptwisted.test.node_fakes import FakeMounts, log_lines, open_descriptors
from p2ptwisted.transfer.known_mounts import NAMED_MAX, Displaced
from p2ptwisted.transfer.part_file import PartFile
from p2ptwisted.transfer.shared_folder import Change, SharedFolder
from p2ptwisted.transfer.target_folder import TargetFolder


class SharedFolderCase(SynchronousTestCase):
    """A folder that has been looked at once."""

    def setUp(self) -> None:
        self.top = Path(self.mktemp()).resolve()
        self.path = self.top / "shared"
        self.path.mkdir(parents=True)
        self.mounts = FakeMounts()
        self.known: list[str] = []
        self.folder = self.make(self.path)

    def make(self, path: Path) -> SharedFolder:
        made = SharedFolder(path, self.mounts)
        made.claim(lambda name: any(not name or one.startswith(f"{name}/") for one in self.known))
        self.changes: list[Change] = []
        made.watch(self.changes.append)
        made.look()
        self.assertEqual(self.changes, [])
        return made

    def other(self, name: str = "other") -> Path:
        """A folder that can be mounted elsewhere."""
        made = self.top / name
        made.mkdir(parents=True)
        return made

    def looked(self) -> list[Change]:
        """What two looks tell: the second one finds nothing new."""
        self.changes.clear()
        self.folder.look()
        found = list(self.changes)
        self.folder.look()
        self.assertEqual(self.changes, found)
        return found

    def write(self, name: str) -> None:
        """Write a file into the folder, as downloads do."""
        path = self.folder.path / name
        target = TargetFolder(path.parent, self.folder)
        try:
            os.close(target.make(path.name, os.O_WRONLY))
        finally:
            target.close()

    def files(self) -> set[str]:
        """Everything that is anywhere in this test's folders."""
        return {path.relative_to(self.top).as_posix() for path in self.top.rglob("*")}

    def refused(self, name: str, error: type[OSError]) -> None:
        """Nothing is made where that file was to go, not even a folder."""
        before, descriptors = self.files(), open_descriptors()
        self.assertRaises(error, self.write, name)
        self.assertEqual(self.files(), before)
        self.assertEqual(open_descriptors(), descriptors)


class GoneTests(SharedFolderCase):
    """A folder that isn't there any more."""

    def test_there(self) -> None:
        """While it is there, nothing is told."""
        self.assertEqual(self.looked(), [])
        self.assertIs(self.folder.gone, None)
        self.assertIs(self.folder.problem, None)

    def test_shortage(self) -> None:
        """That no file can be opened says nothing of the folder."""

        def refuse(*arguments: object, **more: object) -> int:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        self.patch(os, "open", refuse)
        self.assertEqual(self.looked(), [])
        self.assertIs(self.folder.gone, None)

    def goes_and_comes(
        self, go: Callable[[], object], come: Callable[[], object], why: str
    ) -> None:
        """Gone and back are told once, in a line each; meanwhile nothing is written."""
        with log_lines(LogLevel.info, LogLevel.warn) as lines:
            go()
            self.assertEqual(self.looked(), [Change.GONE])
        (line,) = lines
        self.assertIn(str(self.path), line)
        self.assertIn(why, line)
        assert self.folder.problem is not None
        self.assertIn(why, self.folder.problem)
        self.assertNotIn(str(self.top), self.folder.problem)
        self.refused("file", FileNotFoundError)
        self.refused("new/file", FileNotFoundError)
        with log_lines(LogLevel.info, LogLevel.warn) as lines:
            come()
            self.assertEqual(self.looked(), [Change.BACK])
        (line,) = lines
        self.assertIn("is back", line)
        self.assertIs(self.folder.problem, None)
        self.write("file")
        self.assertTrue((self.path / "file").exists())

    def test_renamed(self) -> None:
        """One that was renamed is gone, until it is renamed back."""
        elsewhere = self.top / "elsewhere"
        self.goes_and_comes(
            lambda: self.path.rename(elsewhere),
            lambda: elsewhere.rename(self.path),
            "it isn't there",
        )

    def test_file_in_its_place(self) -> None:
        """So is one that has a file, or a link, in its place."""
        elsewhere = self.top / "elsewhere"

        def come() -> None:
            self.path.unlink()
            elsewhere.rename(self.path)

        def file() -> None:
            self.path.rename(elsewhere)
            self.path.touch()

        self.goes_and_comes(file, come, "it is no folder")

    def test_unmounted(self) -> None:
        """What was a mount and isn't now is gone, whatever lies beneath."""
        self.mounts.mount(self.path, self.other())
        self.folder = self.make(self.path)
        self.goes_and_comes(
            lambda: self.mounts.unmount(self.path),
            lambda: self.mounts.mount(self.path, self.top / "other"),
            "what was mounted there isn't any more",
        )

    def test_unmounted_above(self) -> None:
        """So is one in a mount, though there be a folder of its name beneath."""
        self.other("other/shared/deeper")
        (self.path / "shared" / "deeper").mkdir(parents=True)
        self.mounts.mount(self.path, self.top / "other")
        above, self.path = self.path, self.path / "shared" / "deeper"
        self.folder = self.make(self.path)
        self.goes_and_comes(
            lambda: self.mounts.unmount(above),
            lambda: self.mounts.mount(above, self.top / "other"),
            "what was mounted there isn't any more",
        )

    def test_missing_from_the_start(self) -> None:
        """One that isn't there at first is used as soon as it is."""
        self.path.rmdir()
        folder = SharedFolder(self.path, self.mounts)
        changes: list[Change] = []
        folder.watch(changes.append)
        self.assertEqual(folder.look(), "it isn't there")
        self.path.mkdir()
        self.assertIs(folder.look(), None)
        self.assertEqual(changes, [Change.GONE, Change.BACK])

    def test_mount_that_changed_nothing(self) -> None:
        """A folder that was bound to itself is the same without that."""
        self.mounts.bind(self.path)
        self.looked()
        self.mounts.unbind(self.path)
        self.assertEqual(self.looked(), [])
        self.assertIs(self.folder.problem, None)
        self.write("file")


class OtherTests(SharedFolderCase):
    """Another folder at the same place."""

    def test_replaced(self) -> None:
        """A new folder at its place is another one, which is told in a line."""
        self.path.rename(self.top / "elsewhere")
        self.path.mkdir()
        with log_lines(LogLevel.warn) as lines:
            self.assertEqual(self.looked(), [Change.OTHER])
        (line,) = lines
        self.assertIn("another folder now", line)
        self.assertIs(self.folder.problem, None)

    def test_mounted_over(self) -> None:
        """What is mounted over it takes its place; where that hid files, this is a problem."""
        for known in ([], ["file"]):
            self.known = known
            self.mounts.mount(self.path, self.other(f"with {known}"))
            self.assertEqual(self.looked(), [Change.OTHER])
            self.assertEqual(self.folder.problem is not None, bool(known))
            self.write("file")
            self.mounts.unmount(self.path)
            if known:
                # It was for a while only.
                self.assertEqual(self.looked(), [Change.OTHER])
                self.assertIs(self.folder.problem, None)
            else:
                self.assertEqual(self.looked(), [Change.GONE])
            self.folder = self.make(self.path)

    def test_other_disk(self) -> None:
        """Where something was mounted, something else may be."""
        self.mounts.mount(self.path, self.other())
        self.folder = self.make(self.path)
        self.known = ["file"]
        self.mounts.unmount(self.path)
        self.assertEqual(self.looked(), [Change.GONE])
        self.mounts.mount(self.path, self.other("another"))
        self.assertEqual(self.looked(), [Change.OTHER])
        self.assertIs(self.folder.problem, None)


class LinkTests(SharedFolderCase):
    """A folder that is named by a link."""

    def setUp(self) -> None:
        super().setUp()
        self.second = self.other("second")
        self.link = self.top / "link"
        self.link.symlink_to("shared")
        self.folder = self.make(self.link)

    def point_to(self, target: Path | str) -> None:
        new = self.top / "new link"
        new.symlink_to(target)
        new.rename(self.link)

    def test_pointed_elsewhere(self) -> None:
        """A link is followed to where it leads now, which is told in a line."""
        self.assertEqual(self.folder.path, self.path)
        for target, path in ((self.second, self.second), ("./second/../shared", self.path)):
            self.point_to(target)
            with log_lines(LogLevel.info, LogLevel.warn) as lines:
                self.assertEqual(self.looked(), [Change.OTHER])
            (line,) = lines
            self.assertIn(str(path), line)
            self.assertEqual(self.folder.path, path)

    def test_leads_nowhere(self) -> None:
        """One that leads nowhere, or in a circle, is one to a folder that is gone."""
        for target in ("nowhere", "link"):
            self.point_to(target)
            self.assertEqual(self.looked(), [Change.GONE])
            self.point_to("shared")
            self.assertEqual(self.looked(), [Change.BACK])

    def own_by_another(self) -> None:
        """All links are another user's from now on."""
        lstat = os.lstat

        def owned(path: Path) -> os.stat_result:
            status = list(lstat(path))
            status[4] = os.geteuid() + 1
            return os.stat_result(status)

        self.patch(os, "lstat", owned)

    def test_another_users(self) -> None:
        """Who may write above it can't have anything shared by a link in its place."""
        self.own_by_another()
        self.point_to("second")
        self.assertEqual(self.looked(), [Change.GONE])
        self.assertIn("another user's link", self.folder.gone or "")
        self.assertEqual(self.folder.path, self.path)

    def test_whose_it_was(self) -> None:
        """Whoever owned the link at first may point it elsewhere."""
        self.own_by_another()
        self.folder = self.make(self.link)
        self.point_to("second")
        self.assertEqual(self.looked(), [Change.OTHER])

    def test_to_what_is_unmounted(self) -> None:
        """Back at what was a mount before, it leads to nothing where that isn't mounted now."""
        self.mounts.mount(self.path, self.other())
        self.folder = self.make(self.link)
        self.point_to("second")
        self.looked()
        self.mounts.unmount(self.path)
        self.point_to("shared")
        self.assertEqual(self.looked(), [Change.GONE])


class MountTests(SharedFolderCase):
    """Mounts in the folder."""

    def setUp(self) -> None:
        super().setUp()
        (self.path / "sub").mkdir()
        self.sub = self.path / "sub"

    def test_unmounted(self) -> None:
        """Where something was mounted nothing is written until it is again, by whatever name."""
        disk = self.other()
        self.mounts.mount(self.sub, disk)
        self.folder = self.make(self.path)
        (self.path / "link").symlink_to("sub")
        self.write("sub/before")
        self.mounts.unmount(self.sub)
        with log_lines(LogLevel.info, LogLevel.warn) as lines:
            self.assertEqual(self.looked(), [Change.MOUNTS])
        (line,) = lines
        self.assertIn("(sub)", line)
        self.assertIn("(sub)", self.folder.problem or "")
        for name in ("sub/file", "sub/deeper/file", "link/file", "link/deeper/file"):
            self.refused(name, Displaced)
        self.write("file")
        self.write("sub2/file")
        self.mounts.mount(self.sub, disk)
        self.assertEqual(self.looked(), [Change.MOUNTS])
        self.assertIs(self.folder.problem, None)
        self.write("sub/deeper/after")
        self.assertTrue((self.sub / "before").exists())

    def test_exchanged(self) -> None:
        """Another mount in the place of one is noticed, though there was one at each look."""
        self.mounts.mount(self.sub, self.other())
        self.folder = self.make(self.path)
        self.mounts.unmount(self.sub)
        self.mounts.mount(self.sub, self.other("another"))
        self.assertEqual(self.looked(), [Change.MOUNTS])
        self.assertIs(self.folder.problem, None)

    def test_unmounted_and_removed(self) -> None:
        """Its folder isn't made again, nor one above it."""
        (self.sub / "deeper").mkdir()
        self.mounts.mount(self.sub / "deeper", self.other())
        self.folder = self.make(self.path)
        self.mounts.unmount(self.sub / "deeper")
        (self.sub / "deeper").rmdir()
        self.refused("sub/deeper/file", Displaced)
        self.write("sub/file")

    def test_mounted_later(self) -> None:
        """What was mounted while it ran belongs to it as well, and is told of in a line."""
        self.mounts.mount(self.sub, self.other())
        with log_lines(LogLevel.info, LogLevel.warn) as lines:
            self.assertEqual(self.looked(), [Change.MOUNTS])
        self.assertEqual(len(lines), 1)
        self.assertIs(self.folder.problem, None)
        self.write("sub/file")
        self.mounts.unmount(self.sub)
        self.refused("sub/file", Displaced)

    def test_mounted_over_files(self) -> None:
        """Over what was shared nothing is written, and all is as before when that is gone."""
        self.known = ["sub/file"]
        self.mounts.mount(self.sub, self.other())
        self.assertEqual(self.looked(), [Change.MOUNTS])
        self.assertIn("(sub)", self.folder.problem or "")
        self.refused("sub/new", Displaced)
        self.refused("sub/deeper/new", Displaced)
        self.mounts.unmount(self.sub)
        self.assertEqual(self.looked(), [Change.MOUNTS])
        self.assertIs(self.folder.problem, None)
        self.write("sub/new")

    def test_dead(self) -> None:
        """A mount whose server doesn't answer any more is missing too."""
        self.mounts.mount(self.sub, self.other())
        self.folder = self.make(self.path)
        stat = os.stat

        def fail(path: Path) -> os.stat_result:
            if path == self.sub:
                raise OSError("the server is gone")
            return stat(path)

        self.patch(os, "stat", fail)
        self.assertEqual(self.looked(), [Change.MOUNTS])
        self.assertIn("(sub)", self.folder.problem or "")

    def test_hidden(self) -> None:
        """Mounts in hidden folders, such as snapshots, come and go without a word."""
        for name in (".snapshots", "sub/.snapshots"):
            (self.path / name).mkdir()
            self.mounts.mount(self.path / name, self.other(f"at {name[:3]}"))
            self.assertEqual(self.looked(), [])
            self.mounts.unmount(self.path / name)
            self.assertEqual(self.looked(), [])

    def test_elsewhere(self) -> None:
        """So do those that are elsewhere."""
        (self.top / "shared2").mkdir()
        self.mounts.mount(self.top / "shared2", self.other())
        self.assertEqual(self.looked(), [])

    def test_many(self) -> None:
        """Of many only some are named."""
        for number in range(NAMED_MAX + 2):
            (self.path / f"{number}").mkdir()
            self.mounts.mount(self.path / f"{number}", self.other(f"other{number}"))
        self.folder = self.make(self.path)
        for number in range(NAMED_MAX + 2):
            self.mounts.unmount(self.path / f"{number}")
        self.looked()
        self.assertIn("(0, 1, 2, 3, 4 and 2 more)", self.folder.problem or "")


class PlaceTests(SharedFolderCase):
    """A folder in it that is open while its place changes."""

    def setUp(self) -> None:
        super().setUp()
        self.target = TargetFolder(self.path / "sub", self.folder)
        self.addCleanup(self.target.close)

    def test_in_place(self) -> None:
        """It is in its place, and without a shared folder anywhere."""
        self.target.check_place()
        anywhere = TargetFolder(self.top / "anywhere")
        self.addCleanup(anywhere.close)
        (self.top / "anywhere").rmdir()
        anywhere.check_place()

    def test_moved(self) -> None:
        """It isn't when it or the shared folder was moved, though there be another one."""
        for moved in (self.path / "sub", self.path):
            before = len(open_descriptors())
            moved.rename(self.top / "elsewhere")
            self.assertRaises(FileNotFoundError, self.target.check_place)
            (self.path / "sub").mkdir(parents=True)
            self.assertRaises(FileNotFoundError, self.target.check_place)
            self.assertEqual(len(open_descriptors()), before)
            (self.path / "sub").rmdir()
            if moved == self.path:
                self.path.rmdir()
            (self.top / "elsewhere").rename(moved)
            self.target.check_place()

    def test_part(self) -> None:
        """A part that is complete stays a part until it is in its place again."""
        destination = self.path / "sub" / "file"
        part = PartFile(destination, "x" * 64, Pieces(0, b""), within=self.folder)
        self.path.rename(self.top / "elsewhere")
        self.assertRaises(Unavailable, part.finish)
        self.assertEqual(
            {path.name for path in (self.top / "elsewhere" / "sub").iterdir()},
            {"file.part", "file.part.journal"},
        )
        (self.top / "elsewhere").rename(self.path)
        PartFile(destination, "x" * 64, Pieces(0, b""), within=self.folder).finish()
        self.assertTrue(destination.exists())
