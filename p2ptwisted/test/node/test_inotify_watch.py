"""Tests of `p2ptwisted.node.inotify_watch`: the kernel's inotify, read when the test says."""

import errno
import mmap
import os
import shutil
from pathlib import Path

from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2ptwisted.interfaces import IFolderWatch
from p2ptwisted.node import inotify_watch
from p2ptwisted.node.inotify_watch import InotifyWatch
from p2ptwisted.support import inotify
from p2ptwisted.support.inotify import Inotify
from p2ptwisted.test.node_fakes import DescriptorReactor, log_lines, open_descriptors


class InotifyWatchTests(SynchronousTestCase):
    """Hints of changes in a folder."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        (self.folder / "sub").mkdir(parents=True)
        self.reactor = DescriptorReactor()
        self.before = open_descriptors()
        self.watch = InotifyWatch(self.reactor)
        #: Calls without a path, and the paths of what has changed, with a slash after a folder.
        self.hints = 0
        self.changes: list[str] = []
        self.written: list[Path] = []
        self.addCleanup(self.end)

    def end(self) -> None:
        self.watch.stop()
        self.reactor.read()
        self.assertEqual(open_descriptors(), self.before)
        self.assertEqual(self.reactor.readers, [])

    def hint(self) -> None:
        self.hints += 1

    def changed(self, path: str, is_folder: bool) -> None:
        self.changes.append(os.path.relpath(path, self.folder) + "/" * is_folder)

    def begin(self) -> None:
        self.watch.begin(self.hint, self.written.append, self.changed)

    def walk(self) -> None:
        """What a library's scan does: tell of all folders there are."""
        self.begin()
        for folder, _, _ in os.walk(self.folder):
            self.watch.enter(Path(folder))

    def hinted(self) -> bool:
        """Whether anything was told since this was asked last."""
        self.reactor.read()
        hints, self.hints = self.hints, 0
        changes, self.changes = self.changes, []
        return hints > 0 or bool(changes)

    def told(self) -> list[str]:
        """What was told to have changed since this was asked last, each once, and no hint."""
        self.reactor.read()
        self.assertEqual(self.hints, 0)
        changes, self.changes = self.changes, []
        return sorted(set(changes))

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
        path = self.folder / "sub" / "größe \udcff"
        path.write_bytes(b"1")
        self.walk()
        with path.open("r+b") as file:
            mapped = mmap.mmap(file.fileno(), 0)
        path.chmod(0o600)
        path.read_bytes()
        self.assertTrue(self.hinted())
        self.assertEqual(self.written, [])
        mapped.close()
        self.assertTrue(self.hinted())
        self.assertEqual(self.written, [path])

    def test_again_and_again(self) -> None:
        """Every scan tells of all folders again; one change is still told once."""
        for _ in range(3):
            self.walk()
        (self.folder / "sub" / "folder").mkdir()
        self.reactor.read()
        self.assertEqual((self.changes, self.hints), (["sub/folder/"], 0))

    def test_latest_walk(self) -> None:
        """It is the latest walk that is told."""
        self.walk()
        called: list[bool] = []
        self.watch.begin(self.hint, changed=lambda path, is_folder: called.append(is_folder))
        (self.folder / "folder").mkdir()
        self.reactor.read()
        self.assertEqual((called, self.changes, self.hints), ([True], [], 0))

    def test_only_what_changed(self) -> None:
        """What came, went or changed is told by its path, folders as such; nothing else is."""
        path = self.folder / "sub" / "größe \udcff"
        (self.folder / "other").touch()
        self.walk()
        path.write_bytes(b"1")
        self.assertEqual(self.told(), ["sub/größe \udcff"])
        path.chmod(0o600)
        self.assertEqual(self.told(), ["sub/größe \udcff"])
        path.rename(self.folder / "a")
        self.assertEqual(self.told(), ["a", "sub/größe \udcff"])
        (self.folder / "sub").rename(self.folder / "b")
        self.assertEqual(self.told(), ["b/", "sub/"])
        (self.folder / "b").rmdir()
        self.assertEqual(self.told(), ["b/"])
        (self.folder / "a").unlink()
        self.assertEqual(self.told(), ["a"])

    def test_folder_touched(self) -> None:
        """A folder of which only the time or the mode changes tells nothing, nor does the root."""
        self.walk()
        for folder in (self.folder / "sub", self.folder):
            os.utime(folder)
            folder.chmod(0o750)
            self.assertEqual(self.told(), [], msg=folder)

    def test_folder_unreadable(self) -> None:
        """A folder that can't be read any more, or again, tells it; the root by a hint."""
        self.walk()
        readable = inotify_watch._is_readable
        for folder, told in ((self.folder / "sub", ["sub/"]), (self.folder, [])):
            self.patch(inotify_watch, "_is_readable", lambda path: False)
            folder.chmod(0o700)
            self.reactor.read()
            self.patch(inotify_watch, "_is_readable", readable)
            folder.chmod(0o755)
            self.reactor.read()
            self.assertEqual((self.changes, self.hints), (told * 2, 0 if told else 2))
            self.hinted()
            self.walk()
            folder.chmod(0o700)
            self.assertEqual(self.told(), [])

    def test_others_go_on(self) -> None:
        """When a folder goes or moves, the others are watched as before, without a walk."""
        for name in ("goes", "moves", "stays"):
            (self.folder / name).mkdir()
        self.walk()
        (self.folder / "goes").rmdir()
        (self.folder / "moves").rename(self.folder / "moved")
        self.assertEqual(self.told(), ["goes/", "moved/", "moves/"])
        (self.folder / "stays" / "file").touch()
        self.assertEqual(self.told(), ["stays/file"])

    def test_moved_and_entered(self) -> None:
        """A folder that a walk has found under its new name before it is told of stays watched."""
        (self.folder / "sub" / "inner").mkdir()
        self.walk()
        (self.folder / "sub").rename(self.folder / "new")
        self.walk()
        self.assertIn("new/", self.told())
        for name in ("new/file", "new/inner/file"):
            (self.folder / name).touch()
            self.assertEqual(self.told(), [name])

    def test_exchanged(self) -> None:
        """A folder that takes the name of another is watched when it has been looked at."""
        (self.folder / "other").mkdir()
        self.walk()
        (self.folder / "sub").rename(self.folder.with_name("away"))
        (self.folder / "other").rename(self.folder / "sub")
        self.assertEqual(self.told(), ["other/", "sub/"])
        self.watch.enter(self.folder / "sub")
        (self.folder / "sub" / "file").touch()
        (self.folder.with_name("away") / "file").touch()
        self.assertEqual(self.told(), ["sub/file"])

    def test_nothing_kept(self) -> None:
        """What is known of folders that came and went is forgotten."""
        self.walk()
        for number in range(10):
            folder = self.folder / f"{number}"
            folder.mkdir()
            self.watch.enter(folder)
            folder.rmdir()
            self.hinted()
        self.assertEqual(len(self.watch._folders), 2)
        self.assertEqual(len(self.watch._watches), 2)

    def test_link(self) -> None:
        """A link to a folder is not watched, as it is not walked."""
        (self.folder / "link").symlink_to("sub")
        self.walk()
        self.watch.enter(self.folder / "link")
        (self.folder / "sub" / "file").touch()
        self.assertEqual(self.told(), ["sub/file"])

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
            self.begin()
            self.watch.enter(self.folder / "gone")
            self.walk()
        self.assertTrue(self.watch.complete)
        self.assertEqual(lines, [])

    def test_another_folder(self) -> None:
        """Stopped and begun where another folder is shared, it tells when that one goes."""
        self.walk()
        self.watch.stop()
        self.folder = self.folder.with_name("other")
        self.folder.mkdir()
        self.walk()
        self.folder.rename(self.folder.with_name("away"))
        self.reactor.read()
        self.assertEqual(self.hints, 1)


class UnmountingTests(SynchronousTestCase):
    """A file system that is unmounted; without a mount, by what the kernel would tell."""

    def test_begun_anew(self) -> None:
        """What is mounted at the same path again is watched, too; no more of what went."""
        reactor = DescriptorReactor()
        hints: list[bool] = []
        added: list[bytes] = []
        removed: list[int] = []

        def add(it: Inotify, path: bytes, mask: int) -> int:
            added.append(path)
            return len(added)

        self.patch(Inotify, "add", add)
        self.patch(Inotify, "remove", lambda it, watch: removed.append(watch))
        watch = InotifyWatch(reactor)
        self.addCleanup(watch.stop)

        def walk() -> None:
            watch.begin(lambda: hints.append(True))
            watch.enter(Path("/mounted"))
            watch.enter(Path("/mounted/sub"))

        walk()
        (reader,) = reactor.readers
        assert isinstance(reader, Inotify)
        reader._received(1, inotify.UNMOUNT, b"")
        reader._received(1, inotify.IGNORED, b"")
        self.assertEqual(hints, [True])
        self.assertEqual(sorted(removed), [1, 2])
        walk()
        self.assertEqual(added, [b"/mounted", b"/mounted/sub"] * 2)
        reader._received(3, inotify.UNMOUNT, b"")
        self.assertEqual(hints, [True, True])


class LimitTests(SynchronousTestCase):
    """What the system's limits do."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir(parents=True)
        self.reactor = DescriptorReactor()
        self.watch = InotifyWatch(self.reactor)
        self.hints = 0
        self.addCleanup(self.reactor.read)
        self.addCleanup(self.watch.stop)

    def hint(self) -> None:
        self.hints += 1

    def refuse(self, method: str, reason: int) -> None:
        """Have the system refuse something."""

        def refused(*arguments: object) -> None:
            raise OSError(reason, os.strerror(reason))

        self.patch(Inotify, method, refused)

    def walk(self) -> list[str]:
        """Walk three times, and return the warnings."""
        with log_lines(LogLevel.warn) as lines:
            for _ in range(3):
                self.watch.begin(self.hint)
                self.watch.enter(self.folder)
        return lines

    def test_no_more_watches(self) -> None:
        """Without a watch for each folder it is not complete; it says so once, and what to set."""
        self.refuse("add", errno.ENOSPC)
        (line,) = self.walk()
        self.assertFalse(self.watch.complete)
        self.assertIn("No space left on device", line)
        self.assertIn("fs.inotify.max_user_watches", line)

    def test_more_watches_again(self) -> None:
        """When the limit is raised, it is complete after the next walk."""
        add = Inotify.add
        self.refuse("add", errno.ENOSPC)
        self.walk()
        self.patch(Inotify, "add", add)
        self.assertEqual(self.walk(), [])
        self.assertTrue(self.watch.complete)

    def test_another_reason(self) -> None:
        """For another reason it is not complete either, and doesn't blame a limit."""
        self.refuse("add", errno.EPERM)
        (line,) = self.walk()
        self.assertFalse(self.watch.complete)
        self.assertIn("Operation not permitted", line)
        self.assertNotIn("sysctl", line)

    def test_unreadable(self) -> None:
        """A folder that isn't for us to read can't be walked: it needs no watch, nor a line."""
        self.refuse("add", errno.EACCES)
        self.assertEqual(self.walk(), [])
        self.assertTrue(self.watch.complete)

    def test_no_inotify(self) -> None:
        """Without any inotify it is not complete, says so once, and folders are nothing to it."""
        self.refuse("__init__", errno.EMFILE)
        (line,) = self.walk()
        self.assertFalse(self.watch.complete)
        self.assertIn("fs.inotify.max_user_instances", line)

    def test_no_inotify_any_more(self) -> None:
        """Where it has to begin anew and can't, it no longer says that it is complete."""
        self.walk()
        self.assertTrue(self.watch.complete)
        self.watch.stop()
        self.refuse("__init__", errno.EMFILE)
        self.assertEqual(len(self.walk()), 1)
        self.assertFalse(self.watch.complete)

    def test_too_much_at_once(self) -> None:
        """Where the system has dropped events, it hints at it, and says so once."""
        self.walk()
        (most,) = map(int, Path("/proc/sys/fs/inotify/max_queued_events").read_text().split())
        files = [self.folder / name for name in "ab"]
        with log_lines(LogLevel.warn) as lines:
            for _ in range(2):
                for _ in range(most // 2 + 100):
                    for file in files:
                        file.touch()
                self.hints = 0
                for _ in range(most):
                    self.reactor.read()
                self.assertEqual(self.hints, 1)
        (line,) = lines
        self.assertIn("fs.inotify.max_queued_events", line)
        self.assertTrue(self.watch.complete)
