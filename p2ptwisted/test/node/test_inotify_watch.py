"""Tests of `p2ptwisted.node.inotify_watch`: the kernel's inotify, read when the test says."""

import mmap
import os
import shutil
from pathlib import Path

from twisted.internet import inotify
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2ptwisted.interfaces import IFolderWatch
from p2ptwisted.node.inotify_watch import InotifyWatch
from p2ptwisted.test.node_fakes import DescriptorReactor, log_lines, open_descriptors


class InotifyWatchTests(SynchronousTestCase):
    """Hints of changes in a folder."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        (self.folder / "sub").mkdir(parents=True)
        self.reactor = DescriptorReactor()
        self.before = open_descriptors()
        self.watch = InotifyWatch(self.reactor)
        self.hints = 0
        self.addCleanup(self.end)

    def end(self) -> None:
        self.watch.stop()
        self.reactor.read()
        self.assertEqual(open_descriptors(), self.before)
        self.assertEqual(self.reactor.readers, [])

    def hint(self) -> None:
        self.hints += 1

    def walk(self) -> None:
        """What a library's scan does: tell of all folders there are."""
        self.watch.begin(self.hint)
        for folder, _, _ in os.walk(self.folder):
            self.watch.enter(Path(folder))

    def hinted(self) -> bool:
        """Whether there was a hint since this was asked last."""
        self.reactor.read()
        hints, self.hints = self.hints, 0
        return hints > 0

    def test_provider(self) -> None:
        """It is what the library asks for."""
        verifyObject(IFolderWatch, self.watch)

    def test_complete(self) -> None:
        """It is complete once it watches every folder that it was told of, not before."""
        self.assertFalse(self.watch.complete)
        self.walk()
        self.assertTrue(self.watch.complete)

    def test_changes(self) -> None:
        """Whatever changes what is shared is hinted at, in sub-folders too."""
        self.walk()
        self.assertFalse(self.hinted())
        for folder in (self.folder, self.folder / "sub"):
            file = folder / "file"
            file.write_bytes(b"1")
            self.assertTrue(self.hinted(), msg="made")
            with file.open("ab") as writer:
                writer.write(b"2")
                writer.flush()
                self.hinted()
            self.assertTrue(self.hinted(), msg="closed")
            file.chmod(0)
            self.assertTrue(self.hinted(), msg="its mode changed")
            file.rename(folder / "other")
            self.assertTrue(self.hinted(), msg="renamed")
            (folder / "other").rename(self.folder.with_name("outside"))
            self.assertTrue(self.hinted(), msg="moved out")
            self.folder.with_name("outside").rename(file)
            self.assertTrue(self.hinted(), msg="moved in")
            file.unlink()
            self.assertTrue(self.hinted(), msg="removed")
            file.symlink_to("nothing")
            self.assertTrue(self.hinted(), msg="linked")

    def test_reading_is_no_change(self) -> None:
        """Neither reading a file nor listing a folder is hinted at: both are our own work."""
        (self.folder / "file").write_bytes(b"1")
        self.walk()
        (self.folder / "file").read_bytes()
        list(self.folder.rglob("*"))
        self.assertFalse(self.hinted())

    def test_written(self) -> None:
        """A file that was open for writing is told of when it is closed, or no longer mapped."""
        written: list[Path] = []
        path = self.folder / "sub" / "größe \udcff"
        path.write_bytes(b"1")
        self.walk()
        self.watch.begin(self.hint, written.append)
        with path.open("r+b") as file:
            mapped = mmap.mmap(file.fileno(), 0)
        path.chmod(0o600)
        path.read_bytes()
        self.assertTrue(self.hinted())
        self.assertEqual(written, [])
        mapped.close()
        self.assertTrue(self.hinted())
        self.assertEqual(written, [path])

    def test_again_and_again(self) -> None:
        """Every scan tells of all folders again; one change is still one hint."""
        for _ in range(3):
            self.walk()
        (self.folder / "sub" / "folder").mkdir()
        self.reactor.read()
        self.assertEqual(self.hints, 1)

    def test_latest_hint(self) -> None:
        """It is the hint of the latest walk that is called."""
        self.walk()
        called: list[None] = []
        self.watch.begin(lambda: called.append(None))
        (self.folder / "folder").mkdir()
        self.reactor.read()
        self.assertEqual((called, self.hints), ([None], 0))

    def test_new_folder(self) -> None:
        """A new folder is hinted at, and watched when the next walk has come to it."""
        self.walk()
        (self.folder / "new").mkdir()
        self.assertTrue(self.hinted())
        self.walk()
        (self.folder / "new" / "file").touch()
        self.assertTrue(self.hinted())

    def test_folder_deleted(self) -> None:
        """After a folder was deleted, the next walk watches everything that is there then."""
        self.walk()
        shutil.rmtree(self.folder / "sub")
        self.assertTrue(self.hinted())
        (self.folder / "sub").mkdir()
        (self.folder / "new").mkdir()
        self.walk()
        self.hinted()
        self.assertTrue(self.watch.complete)
        for name in ("file", "sub/file", "new/file"):
            (self.folder / name).touch()
            self.assertTrue(self.hinted(), msg=name)

    def test_folder_moved(self) -> None:
        """After a folder was renamed, its files are watched under its new name, and one anew."""
        self.walk()
        (self.folder / "sub").rename(self.folder / "renamed")
        self.assertTrue(self.hinted())
        (self.folder / "sub").mkdir()
        self.walk()
        self.hinted()
        for name in ("file", "sub/file", "renamed/file"):
            (self.folder / name).touch()
            self.assertTrue(self.hinted(), msg=name)

    def test_folder_moved_out(self) -> None:
        """What happens in a folder that was moved away is no business of ours any more."""
        self.walk()
        away = self.folder.with_name("away")
        (self.folder / "sub").rename(away)
        self.assertTrue(self.hinted())
        self.walk()
        self.hinted()
        (away / "file").touch()
        self.assertFalse(self.hinted())

    def test_own_folder_deleted(self) -> None:
        """The shared folder itself may go and come again."""
        self.walk()
        shutil.rmtree(self.folder)
        self.assertTrue(self.hinted())
        self.folder.mkdir()
        self.walk()
        self.hinted()
        (self.folder / "file").touch()
        self.assertTrue(self.hinted())

    def test_nothing_left_open(self) -> None:
        """However often it begins anew, one descriptor is open at the most."""
        for number in range(5):
            (self.folder / f"{number}").mkdir()
            self.walk()
            (self.folder / f"{number}").rmdir()
            self.hinted()
        self.walk()
        self.assertEqual(len(open_descriptors() - self.before), 1)

    def test_stopped(self) -> None:
        """Once stopped it hints at nothing more; it may be stopped twice."""
        self.walk()
        self.watch.stop()
        self.watch.stop()
        (self.folder / "file").touch()
        self.assertFalse(self.hinted())

    def test_stopped_before_begun(self) -> None:
        """It can be stopped without having begun."""
        self.watch.stop()
        self.assertFalse(self.watch.complete)

    def test_not_utf8(self) -> None:
        """A folder whose name is no UTF-8 does no harm."""
        os.mkdir(os.fsencode(self.folder) + b"/\xe4")
        self.walk()
        self.assertTrue(self.watch.complete)

    def test_folder_vanished(self) -> None:
        """A folder that goes before it could be watched needs no watch: nothing is amiss."""
        with log_lines(LogLevel.warn) as lines:
            self.watch.begin(self.hint)
            self.watch.enter(self.folder / "gone")
            self.walk()
        self.assertTrue(self.watch.complete)
        self.assertEqual(lines, [])


class LimitTests(SynchronousTestCase):
    """What the system's limits do."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir(parents=True)
        self.reactor = DescriptorReactor()
        self.watch = InotifyWatch(self.reactor)
        self.addCleanup(self.reactor.read)
        self.addCleanup(self.watch.stop)

    def hint(self) -> None:
        """Nobody looks."""

    def no_more(self, *args: object, **kwargs: object) -> None:
        raise inotify.INotifyError("No space left on device")

    def test_no_more_watches(self) -> None:
        """Without a watch for each folder it is not complete; it says so once, and what to set."""
        self.patch(inotify.INotify, "watch", self.no_more)
        with log_lines(LogLevel.warn) as lines:
            for _ in range(3):
                self.watch.begin(self.hint)
                self.watch.enter(self.folder)
        self.assertFalse(self.watch.complete)
        (line,) = lines
        self.assertIn("No space left on device", line)
        self.assertIn("fs.inotify.max_user_watches", line)

    def test_no_inotify(self) -> None:
        """Without any inotify it is not complete, says so once, and folders are nothing to it."""
        self.patch(inotify.INotify, "__init__", self.no_more)
        with log_lines(LogLevel.warn) as lines:
            for _ in range(3):
                self.watch.begin(self.hint)
                self.watch.enter(self.folder)
        self.assertFalse(self.watch.complete)
        self.assertEqual(len(lines), 1)

    def test_no_inotify_any_more(self) -> None:
        """Where it has to begin anew and can't, it no longer says that it is complete."""
        sub = self.folder / "sub"
        sub.mkdir()
        self.watch.begin(self.hint)
        self.watch.enter(self.folder)
        self.watch.enter(sub)
        sub.rmdir()
        self.reactor.read()
        with log_lines(LogLevel.warn) as lines:
            self.patch(inotify.INotify, "__init__", self.no_more)
            self.watch.begin(self.hint)
            self.watch.enter(self.folder)
        self.assertFalse(self.watch.complete)
        self.assertEqual(len(lines), 1)
