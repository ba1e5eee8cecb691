"""Tests of `p2ptwisted.node.scans` by the library: what is told to have changed is looked at."""

import errno
import os
import shutil
from pathlib import Path

from twisted.logger import LogLevel

from p2ptwisted.errors import UnknownResource
from p2ptwisted.model import FileStamp
from p2ptwisted.node import changes, folder_walk
from p2ptwisted.node.folder_walk import Entry
from p2ptwisted.node.library import Library
from p2ptwisted.node.quiet_times import SETTLE
from p2ptwisted.node.scans import HINT_DELAY, LOOK_REST, RESCAN_UNWATCHED, RESCAN_WATCHED
from p2ptwisted.support.safe_open import folder_beneath
from p2ptwisted.test.node.test_library import EPOCH, LibraryCase, id_of
from p2ptwisted.test.node_fakes import FakeWatch, log_lines, one_by_one, work
from p2ptwisted.transfer.shared_folder import SharedFolder


class WatchedCase(LibraryCase):
    """A library with a watch that tells what has changed."""

    def setUp(self) -> None:
        super().setUp()
        #: The names of the files that were looked at.
        self.looked: list[str] = []
        consider = Library._consider

        def note(library: Library, entry: Entry) -> None:
            self.looked.append(entry.name)
            consider(library, entry)

        self.patch(Library, "_consider", note)

    def begin(self) -> FakeWatch:
        """Start; and what has been looked at so far doesn't count."""
        self.start()
        self.clock.advance(10)
        self.looked.clear()
        self.announced.clear()
        self.hasher.given.clear()
        assert self.watch is not None
        return self.watch

    def tell(self, *names: str) -> None:
        """Have the watch tell that these have changed: folders with a slash at their end."""
        assert self.watch is not None
        for name in names:
            self.watch.changed(str(self.folder / name), name.endswith("/"))

    def change(self, *names: str) -> None:
        """Have the watch tell of changes, and all be done that follows; not by a walk."""
        self.tell(*names)
        self.clock.advance(HINT_DELAY)
        self.work()
        assert self.watch is not None
        self.assertEqual(self.watch.begun, 1)

    def walk(self) -> None:
        """Have all of the folder walked."""
        self.clock.advance(RESCAN_WATCHED)
        self.work()


class ChangeTests(WatchedCase):
    """What becomes of a change."""

    def test_files(self) -> None:
        """A file that comes, changes or goes is looked at, and no other."""
        for number in range(20):
            self.put(f"d/{number}", b"%d" % number)
        self.begin()
        before = self.listed()
        self.put("d/new", b"new")
        self.change("d/new")
        self.assertEqual(self.listed(), {**before, "d/new": id_of(b"new")})
        self.put("d/new", b"newer")
        self.change("d/new")
        self.assertEqual(self.listed(), {**before, "d/new": id_of(b"newer")})
        (self.folder / "d/new").rename(self.folder / "a")
        self.change("d/new", "a")
        self.assertEqual(self.listed(), {**before, "a": id_of(b"newer")})
        (self.folder / "a").unlink()
        self.change("a")
        self.assertEqual(self.listed(), before)
        self.assertEqual(self.looked, ["d/new", "d/new", "a"])

    def test_nothing_else(self) -> None:
        """What nobody has told of is found by the next walk."""
        self.begin()
        for name in ("a", "b"):
            self.put(name, name.encode())
        self.change("a")
        self.assertEqual(self.listed(), {"a": id_of(b"a")})
        self.walk()
        self.assertEqual(self.listed(), {"a": id_of(b"a"), "b": id_of(b"b")})

    def test_many_at_once(self) -> None:
        """Many changes are looked at once, however often each is told."""
        self.begin()
        for name in ("a", "b"):
            self.put(name, name.encode())
        for _ in range(5):
            self.tell("a", "b")
            self.clock.advance(HINT_DELAY / 10)
        self.assertEqual(self.looked, [])
        self.clock.advance(HINT_DELAY)
        self.work()
        self.assertEqual(sorted(self.looked), ["a", "b"])
        self.clock.advance(RESCAN_WATCHED - 15)
        self.work()
        self.assertEqual(len(self.looked), 2)

    def test_new_tree(self) -> None:
        """Of a tree that is made at once, only the top need be told: all is entered and found."""
        watch = self.begin()
        for name in ("a/f", "a/b/f", "a/b/c/d/e/f"):
            self.put(name, name.encode())
        self.change("a/")
        self.assertEqual(set(self.listed()), {"a/f", "a/b/f", "a/b/c/d/e/f"})
        tops = ("a", "a/b", "a/b/c", "a/b/c/d", "a/b/c/d/e")
        self.assertEqual(watch.entered, [self.folder, *(self.folder / top for top in tops)])

    def test_folder_moved(self) -> None:
        """A folder that is moved out and in takes its files along, and is listed at once."""
        for name in ("d/a", "d/e/b", "dd/c"):
            self.put(name, name.encode())
        self.begin()
        (self.folder / "d").rename(self.folder / "f")
        self.tell("d/", "f/")
        self.clock.advance(HINT_DELAY)
        work(self.clock)
        moved = {"f/a": id_of(b"d/a"), "f/e/b": id_of(b"d/e/b"), "dd/c": id_of(b"dd/c")}
        self.assertEqual(self.listed(), moved)
        self.hasher.work()
        (self.folder / "f").rename(self.folder.with_name("away"))
        self.change("f/")
        self.assertEqual(self.listed(), {"dd/c": id_of(b"dd/c")})
        self.folder.with_name("away").rename(self.folder / "f")
        self.change("f/")
        self.assertEqual(self.listed(), moved)
        self.assertNotIn("dd/c", self.looked)

    def test_folder_removed(self) -> None:
        """A tree that is removed is off the list, whether or not each of its files is told."""
        for name in ("d/a", "d/e/b", "c"):
            self.put(name, name.encode())
        self.begin()
        shutil.rmtree(self.folder / "d")
        self.change("d/e/b", "d/a", "d/")
        self.assertEqual(self.listed(), {"c": id_of(b"c")})

    def test_folder_for_a_file(self) -> None:
        """A folder may take a file's name, and a file a folder's."""
        self.put("d", b"file")
        self.begin()
        (self.folder / "d").unlink()
        self.put("d/e", b"inner")
        self.change("d", "d/")
        self.assertEqual(self.listed(), {"d/e": id_of(b"inner")})
        shutil.rmtree(self.folder / "d")
        self.put("d", b"file")
        self.change("d/", "d")
        self.assertEqual(self.listed(), {"d": id_of(b"file")})

    def test_folder_for_a_link(self) -> None:
        """What a link leads to that has taken a folder's name is not listed, as in a walk."""
        self.put("d/a", b"1")
        self.put("e/a", b"2")
        self.begin()
        shutil.rmtree(self.folder / "d")
        (self.folder / "d").symlink_to("e")
        self.change("d/a", "d/", "d")
        self.assertEqual(self.listed(), {"e/a": id_of(b"2")})

    def test_not_shared(self) -> None:
        """What is never shared makes nobody look."""
        self.begin()
        calls = len(self.clock.getDelayedCalls())
        self.tell(".hidden", "a.part", "d/.hidden", ".git/", "d/.git/", ".x.aria2", "b~")
        self.assertEqual(len(self.clock.getDelayedCalls()), calls)

    def test_control_file(self) -> None:
        """When a control file comes or goes, the file beside it is looked at."""
        self.put("d/big", b"1")
        self.begin()
        control = self.folder / "d/big.aria2"
        control.touch()
        self.change("d/big.aria2")
        self.assertEqual(self.listed(), {})
        self.change("d/big")
        self.assertEqual(self.listed(), {})
        control.unlink()
        self.change("d/big.aria2")
        self.assertEqual(self.listed(), {"d/big": id_of(b"1")})

    def test_other_names(self) -> None:
        """A file that changes or goes is looked at by its other names too."""
        path = self.put("a", b"1")
        os.link(path, self.folder / "b")
        (self.folder / "c").symlink_to("a")
        self.put("copy", b"1")
        self.begin()
        self.put("a", b"2")
        self.change("a")
        self.clock.advance(HINT_DELAY)
        self.work()
        self.assertEqual(self.library.get(id_of(b"2")).name, "a")  # type: ignore[union-attr]
        self.assertEqual(self.library.get(id_of(b"1")).name, "copy")  # type: ignore[union-attr]
        self.assertEqual(sorted(self.looked), ["a", "b", "c"])
        path.unlink()
        self.change("a")
        self.clock.advance(HINT_DELAY)
        self.work()
        self.assertEqual(self.listed(), {"b": id_of(b"2"), "copy": id_of(b"1")})

    def test_opened(self) -> None:
        """A file that is found changed when it is to be given is looked at, and no other."""
        self.put("a", b"1")
        self.put("b", b"2")
        self.begin()
        self.put("a", b"3")
        self.assertRaises(UnknownResource, self.library.open, id_of(b"1"))
        self.clock.advance(HINT_DELAY)
        self.work()
        self.assertEqual(self.listed(), {"a": id_of(b"3"), "b": id_of(b"2")})
        self.assertEqual(self.looked, ["a"])

    def test_settles(self) -> None:
        """A file that was just written is looked at again when it has been left alone."""
        self.put("b", b"2")
        self.begin()
        self.put("a", b"1", age=0)
        self.change("a")
        self.assertEqual(self.listed(), {"b": id_of(b"2")})
        self.clock.advance(SETTLE)
        self.work()
        self.assertEqual(self.listed(), {"a": id_of(b"1"), "b": id_of(b"2")})
        self.assertEqual(self.looked, ["a", "a"])

    def test_unreadable_folder(self) -> None:
        """A folder that can't be read is told once, and the folder walked no more often."""
        self.put("sub/b", b"2")
        self.put("a", b"1")

        def refuse(root: int, name: str) -> int:
            if name == "sub":
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return folder_beneath(root, name)

        self.patch(folder_walk, "folder_beneath", refuse)
        with log_lines(LogLevel.warn) as lines:
            watch = self.begin()
        self.assertEqual(lines, ["sub is not shared: Permission denied"])
        self.patch(folder_walk, "folder_beneath", folder_beneath)
        self.walk()
        self.clock.advance(5)
        self.assertEqual(set(self.listed()), {"a", "sub/b"})
        self.patch(folder_walk, "folder_beneath", refuse)
        with log_lines(LogLevel.warn) as lines:
            self.tell("sub/")
            self.clock.advance(HINT_DELAY)
            self.work()
            self.assertEqual(self.listed(), {"a": id_of(b"1")})
            for count in range(3, 6):
                self.walk()
                self.assertEqual(watch.begun, count)
        self.assertEqual(lines, ["sub is not shared: Permission denied"])
        self.patch(folder_walk, "folder_beneath", folder_beneath)
        self.tell("sub/")
        self.clock.advance(HINT_DELAY)
        self.work()
        self.assertEqual(self.listed(), {"a": id_of(b"1"), "sub/b": id_of(b"2")})


class RestlessTests(WatchedCase):
    """Files that change all the time."""

    def setUp(self) -> None:
        super().setUp()
        for number in range(20):
            self.put(f"{number}", b"%d" % number)
        self.path = self.put("log", b"line\n")
        self.begin()

    def seconds(self, count: int) -> None:
        """Let seconds pass in which everything is done."""
        for _ in range(count * 10):
            self.clock.advance(0.1)
            self.work()

    def test_appended(self) -> None:
        """One that is appended to each second is hashed and announced a few times, not each."""
        content = b"line\n"
        for _ in range(60):
            content += b"line\n"
            self.put("log", content, age=0)
            watch = self.watch
            assert watch is not None
            watch.written(self.path)
            self.tell("log")
            self.seconds(1)
        self.assertLessEqual(len(self.hasher.given), 6)
        self.assertLessEqual(len(self.announced), 12)
        self.assertEqual(len(self.listed()), 20)
        # Walks look at the others, at their own pace.
        self.assertLessEqual(self.looked.count("1"), 60 // RESCAN_WATCHED + 1)
        self.seconds(4)
        self.assertEqual(self.listed()["log"], id_of(content))

    def test_retouched(self) -> None:
        """One whose mode changes each second is listed all the time, and hashed a few times."""
        for number in range(60):
            self.path.chmod(0o600 + number % 2)
            self.tell("log")
            self.seconds(1)
            self.assertEqual(self.listed()["log"], id_of(b"line\n"))
        self.assertLessEqual(len(self.hasher.given), 6)
        self.assertEqual(self.announced, [])

    def test_opened_for_writing(self) -> None:
        """One that is opened for writing each second, and left as it was, is listed likewise."""
        assert self.watch is not None
        for _ in range(60):
            self.watch.written(self.path)
            self.tell("log")
            self.seconds(1)
            self.assertEqual(self.listed()["log"], id_of(b"line\n"))
        self.assertLessEqual(len(self.hasher.given), 6)
        given = len(self.hasher.given)
        self.seconds(5)
        self.assertEqual(len(self.hasher.given), given + 1)

    def test_replaced(self) -> None:
        """One that another is renamed over each second is hashed a few times."""
        for number in range(60):
            self.put("log.part", b"%d" % number, age=100).rename(self.path)
            self.tell("log")
            self.seconds(1)
        self.assertLessEqual(len(self.hasher.given), 6)


class ManyTests(WatchedCase):
    """More changes than are remembered."""

    def test_many_files(self) -> None:
        """Of very many files in one folder that is listed, but not the folders in it."""
        self.patch(changes, "FILES_MAX", 5)
        for number in range(20):
            self.put(f"d/{number}", b"%d" % number)
            self.put(f"d/sub/{number}", b"sub %d" % number)
        self.begin()
        for number in range(10):
            (self.folder / f"d/{number}").unlink()
            self.put(f"d/new {number}", b"new %d" % number)
        self.put("e/a", b"a")
        self.change(*(f"d/{number}" for number in range(10)), "d/new 0", "d/new 9", "e/")
        expected = {f"d/{number}" for number in range(10, 20)}
        expected |= {f"d/new {number}" for number in range(10)}
        expected |= {f"d/sub/{number}" for number in range(20)} | {"e/a"}
        self.assertEqual(set(self.listed()), expected)
        self.assertEqual([name for name in self.looked if name.startswith("d/sub")], [])

    def test_many_folders(self) -> None:
        """Of very many folders all are walked."""
        self.patch(changes, "FOLDERS_MAX", 5)
        watch = self.begin()
        for number in range(10):
            self.put(f"{number}/a", b"%d" % number)
        self.tell(*(f"{number}/" for number in range(10)))
        self.clock.advance(HINT_DELAY)
        self.work()
        self.assertEqual(len(self.listed()), 10)
        self.assertEqual(watch.begun, 2)

    def test_many_unsettled(self) -> None:
        """Of very many files that were just written all are listed when they are left alone."""
        self.patch(changes, "FILES_MAX", 5)
        self.begin()
        for number in range(20):
            self.put(f"d/{number}", b"%d" % number, age=0)
        self.change("d/")
        self.assertEqual(self.listed(), {})
        for _ in range(5):
            self.clock.advance(HINT_DELAY)
            self.work()
        self.assertEqual(len(self.listed()), 20)
        self.assertEqual(self.watch.begun, 1)  # type: ignore[union-attr]


class PaceTests(WatchedCase):
    """When it is looked, and a walk and a look at the same time."""

    def test_rest_after_a_long_look(self) -> None:
        """A look that took long is not followed by another before LOOK_REST times as long."""
        self.begin()
        for name in ("a", "b"):
            self.put(name, name.encode())
        self.tell("a")
        self.clock.advance(HINT_DELAY)
        took = 1.0
        self.clock.advance(took)
        work(self.clock)
        self.tell("b")
        self.clock.advance(took * LOOK_REST - 0.1)
        work(self.clock)
        self.assertEqual(self.looked, ["a"])
        self.clock.advance(0.1)
        work(self.clock)
        self.assertEqual(self.looked, ["a", "b"])

    def test_not_watched_any_more(self) -> None:
        """Where a look comes to a folder that can't be watched, the next walk is due sooner."""
        watch = self.begin()
        self.put("d/a", b"1")
        watch.complete = False
        self.tell("d/")
        self.clock.advance(HINT_DELAY)
        work(self.clock)
        self.assertEqual(watch.begun, 2)

    def test_while_looking(self) -> None:
        """What changes during a look is looked at after it."""
        for number in range(10):
            self.put(f"{number}", b"%d" % number)
        self.begin()
        self.tell(*(f"{number}" for number in range(10)))
        self.clock.advance(HINT_DELAY)
        work(self.clock, 3)
        for number in range(10):
            self.put(f"{number}", b"again %d" % number)
        self.change(*(f"{number}" for number in range(10)))
        self.clock.advance(LOOK_REST * 2 * HINT_DELAY)
        self.work()
        self.assertEqual(set(self.listed().values()), {id_of(b"again %d" % n) for n in range(10)})

    def test_while_walking(self) -> None:
        """A change is looked at though a long walk is under way."""
        for number in range(150):
            self.put(f"{number}", b"same")
        watch = self.begin()
        self.clock.advance(RESCAN_WATCHED)
        work(self.clock, 3)
        self.put("new", b"new")
        self.tell("new")
        self.clock.advance(HINT_DELAY)
        work(self.clock, 10)
        self.hasher.work()
        self.assertLess(len(self.looked), 100)
        self.assertIn("new", self.listed())
        self.assertEqual(watch.begun, 2)

    def test_comes_back_while_walking(self) -> None:
        """A file that a walk didn't find and a look did is there when the walk ends."""
        for number in range(20):
            self.put(f"{number}/a", b"%d" % number)
        self.begin()
        away = self.folder.with_name("away")
        for number in range(20):
            self.looked.clear()
            folder = self.folder / f"{number}"
            folder.rename(away)
            assert self.watch is not None
            self.watch.hint()
            self.clock.advance(HINT_DELAY)
            work(self.clock, 15)
            away.rename(folder)
            self.tell(f"{number}/")
            self.clock.advance(HINT_DELAY)
            self.work()
            self.assertEqual(len(self.listed()), 20)

    def test_stopped(self) -> None:
        """Stopped at any step of a look, or before one, it leaves no delayed calls."""
        for number in range(3):
            self.put(f"{number}", b"%d" % number, age=0)
        for steps in range(6):
            self.library = self.make(FakeWatch())
            self.watch = FakeWatch()
            self.library = self.make(self.watch)
            self.start()
            self.tell("0", "1", "2")
            if steps:
                self.clock.advance(HINT_DELAY)
                work(self.clock, steps - 1)
            self.library.stopService()
            self.tell("0")
            self.assertEqual(self.clock.getDelayedCalls(), [], msg=f"after {steps} steps")

    def test_no_names_left(self) -> None:
        """What is gone is remembered nowhere."""
        self.begin()
        for number in range(5):
            name = f"{number}/a"
            self.put(name, b"%d" % number)
            self.change(f"{number}/")
            self.put(name, b"again %d" % number)
            self.change(name)
            shutil.rmtree(self.folder / f"{number}")
            self.change(f"{number}/")
        self.assertEqual(self.library._tree._inner, {})
        self.assertEqual(self.library._quiet_times._records, {})

    def test_rewritten_with_its_times_kept(self) -> None:
        """One that was open for writing is hashed again, by all its names, though not walked."""
        path = self.put("a", b"half")
        (self.folder / "link").symlink_to("a")
        watch = self.begin()
        was = path.stat()
        path.write_bytes(b"FULL")
        stamp = FileStamp.of(was)
        self.patch(FileStamp, "of", staticmethod(lambda status: stamp))
        watch.written(path)
        self.change("a")
        self.clock.advance(HINT_DELAY)
        self.work()
        self.assertEqual(self.listed(), {"a": id_of(b"FULL")})
        resource = self.library.get(id_of(b"FULL"))
        assert resource is not None
        self.assertEqual(resource.other_names, ("link",))


class DisplacedTests(WatchedCase):
    """Looks at what has changed in a folder that is gone, or in another one."""

    def setUp(self) -> None:
        super().setUp()
        self.away = self.folder.with_name("away")

    def empty(self) -> Path:
        made = Path(self.mktemp()).resolve()
        made.mkdir()
        return made

    def recover(self) -> None:
        """Look whether the folder is there, and do all that follows."""
        self.library.folder.look()
        self.clock.advance(RESCAN_UNWATCHED)
        self.work()

    def test_noticed(self) -> None:
        """A look notices by itself that the folder is gone, tells it once, and forgets nothing."""
        self.put("a", b"1")
        watch = self.begin()
        before = self.listed()
        self.folder.rename(self.away)
        with log_lines(LogLevel.info, LogLevel.warn) as lines:
            self.tell("a")
            self.clock.advance(HINT_DELAY)
            work(self.clock)
            self.assertEqual(self.listed(), {})
            for _ in range(5):
                self.clock.advance(RESCAN_UNWATCHED)
                self.work()
        self.assertEqual(len(lines), 1, lines)
        self.assertEqual(watch.begun, 1)
        self.away.rename(self.folder)
        self.library.folder.look()
        self.assertEqual(self.listed(), before)
        self.recover()
        self.assertEqual(watch.begun, 2)
        self.assertEqual(self.listed(), before)
        self.assertEqual(self.hasher.given, [])

    def test_gone_meanwhile(self) -> None:
        """Wherever a look stands as the folder goes, or is hidden by a mount, all comes back."""
        for number in range(6):
            self.put(f"d/{number}", b"%d" % number)
        self.begin()
        before = self.listed()
        for steps in range(25):
            self.tell(*(f"d/{number}" for number in range(6)), "d/")
            self.clock.advance(HINT_DELAY)
            work(self.clock, steps)
            other = self.empty()
            (other / "d").mkdir()
            (other / "d/0").write_bytes(b"other")
            self.age(other / "d/0", 10)
            if steps % 2:
                self.mounts.mount(self.folder, other)
            else:
                self.folder.rename(self.away)
            work(self.clock, steps % 5)
            self.library.folder.look()
            work(self.clock, 50)
            if steps % 2:
                self.mounts.unmount(self.folder)
            else:
                self.away.rename(self.folder)
            self.recover()
            self.assertEqual(self.listed(), before, f"after {steps} steps")
            self.assertEqual(set(self.hasher.given) - {"0"}, set())

    def test_watch_begun_anew(self) -> None:
        """What the old watch has told is forgotten, and the new one is heard in the new place."""
        self.put("a", b"1")
        link = self.folder.with_name("link")
        link.symlink_to(self.folder)
        self.watch = watch = FakeWatch()
        self.library = Library(
            self.clock,
            one_by_one(self.clock),
            SharedFolder(link, self.mounts),
            self.hasher,
            None,
            watch,
            lambda: EPOCH + self.clock.seconds(),
        )
        self.addCleanup(self.stop, self.library)
        self.start()
        other = self.empty()
        link.unlink()
        link.symlink_to(other)
        self.recover()
        self.assertTrue(watch.stopped)
        self.assertEqual(watch.entered, [other])
        self.assertEqual(self.listed(), {})
        (other / "b").write_bytes(b"2")
        self.age(other / "b", 10)
        self.clock.advance(10)
        watch.changed(str(other / "b"), False)
        self.clock.advance(HINT_DELAY)
        self.work()
        self.assertEqual(self.listed(), {"b": id_of(b"2")})

    def test_after_a_long_walk(self) -> None:
        """Another folder is walked at once, however long the last walk has taken, or takes."""
        self.begin()
        assert self.watch is not None
        for number, is_over in enumerate((True, False)):
            self.watch.hint()
            self.clock.advance(HINT_DELAY)
            self.clock.advance(20)
            if is_over:
                self.work()
            self.folder.rename(self.away.with_name(f"away{number}"))
            self.put(f"{number}", b"2")
            self.library.folder.look()
            work(self.clock)
            self.clock.advance(HINT_DELAY)
            self.work()
            self.assertEqual(self.listed(), {f"{number}": id_of(b"2")})

    def test_partly_hidden(self) -> None:
        """Looks in a folder that is hidden by a mount let nothing of it be hashed again."""
        self.put("sub/a", b"1")
        watch = self.begin()
        before = self.listed()
        other = self.empty()
        (other / "a").write_bytes(b"other")
        self.age(other / "a", 10)
        self.mounts.mount(self.folder / "sub", other)
        self.library.folder.look()
        watch.changed(str(self.folder / "sub/a"), False)
        self.recover()
        self.assertEqual(self.listed(), {"sub/a": id_of(b"other")})
        self.hasher.given.clear()
        self.mounts.unmount(self.folder / "sub")
        self.recover()
        self.assertEqual(self.listed(), before)
        self.assertEqual(self.hasher.given, [])
