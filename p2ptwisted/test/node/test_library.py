"""Tests of `p2ptwisted.node.library`: a real folder, with time and work in the test's hands."""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from twisted.internet.task import Clock
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2ptwisted.errors import UnknownResource
from p2ptwisted.interfaces import IFolderWatch, IHasher, ILibrary
from p2ptwisted.model import FileStamp, ResourceInfo
from p2ptwisted.node import library
from p2ptwisted.node.announcements import ANNOUNCE_EVERY
from p2ptwisted.node.busy_files import BUSY_RETRY
from p2ptwisted.node.digest_cache import DigestCache, make_cache
from p2ptwisted.node.folder_walk import walk
from p2ptwisted.node.library import Library
from p2ptwisted.node.quiet_times import SETTLE
from p2ptwisted.node.scans import (
    HINT_DELAY,
    HINT_REST,
    RESCAN_UNWATCHED,
    RESCAN_WATCHED,
    SCAN_REST,
)
from p2ptwisted.pieces import PIECE_MIN, Digests, Pieces
from p2ptwisted.test.node_fakes import (
    TICK,
    FakeHasher,
    FakeMounts,
    FakeWatch,
    log_lines,
    one_by_one,
    open_descriptors,
    work,
)
from p2ptwisted.transfer.shared_folder import SharedFolder

#: When the tests begin, by the clock of files' times.
EPOCH = 1_700_000_000.0


def id_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class LibraryCase(SynchronousTestCase):
    """A library that is not yet started."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir(parents=True)
        self.clock = Clock()
        self.hasher = FakeHasher()
        self.mounts = FakeMounts()
        self.watch: FakeWatch | None = FakeWatch()
        self.library = self.make(self.watch)
        self.announced: list[float] = []
        self.library.watch(lambda: self.announced.append(self.clock.seconds()))

    def make(self, watch: FakeWatch | None, cache: DigestCache | None = None) -> Library:
        made = Library(
            self.clock,
            one_by_one(self.clock),
            SharedFolder(self.folder, self.mounts),
            self.hasher,
            cache,
            watch,
            wall_time=lambda: EPOCH + self.clock.seconds(),
        )
        self.addCleanup(self.stop, made)
        return made

    def stop(self, made: Library) -> None:
        if made.running:
            made.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def start(self) -> None:
        """Start, and do all the work that there is."""
        self.library.startService()
        self.work()

    def start_walking(self) -> None:
        """Start, and walk through the folder; nothing is hashed yet."""
        self.library.startService()
        work(self.clock)

    def work(self) -> None:
        """Do all the work that there is: walk, then hash."""
        work(self.clock)
        self.hasher.work()
        self.clock.advance(0)

    def put(self, name: str, content: bytes, age: float = 10.0) -> Path:
        """Write a file as if so many seconds ago."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.age(path, age)
        return path

    def age(self, path: Path, age: float) -> None:
        written = EPOCH + self.clock.seconds() - age
        os.utime(path, (written, written))

    def scan_hinted(self) -> None:
        """Have the watch tell of a change, and all be done that follows."""
        assert self.watch is not None
        self.watch.hint()
        self.clock.advance(HINT_DELAY)
        self.work()

    def listed(self) -> dict[str, str]:
        """The names of what is listed, with what they would be opened as."""
        return {resource.name: resource.id for resource in self.library.resources()}


class ListTests(LibraryCase):
    """What is in the list."""

    def test_providers(self) -> None:
        """The library, and the tests' watch and hasher, are what the seams ask for."""
        verifyObject(ILibrary, self.library)
        verifyObject(IHasher, self.hasher)
        verifyObject(IFolderWatch, self.watch)

    def test_ids_by_content(self) -> None:
        """A resource's id is the SHA-256 of its content; with it come its name and its size."""
        self.put("one", b"content of one")
        self.put("sub/two", b"content of two!")
        self.start()
        self.assertEqual(
            sorted(self.library.resources(), key=lambda resource: resource.name),
            [
                ResourceInfo(id_of(b"content of one"), "one", 14),
                ResourceInfo(id_of(b"content of two!"), "sub/two", 15),
            ],
        )

    def test_sorted(self) -> None:
        """The list is in the order of the names, in whatever order they came and went."""
        for name in ("m", "z", "a", "k", "b/c"):
            self.put(name, name.encode())
        self.start()
        self.put("l", b"l")
        self.put("A", b"A")
        (self.folder / "k").rename(self.folder / "y")
        (self.folder / "a").unlink()
        self.scan_hinted()
        names = [resource.name for resource in self.library.resources()]
        self.assertEqual(names, ["A", "b/c", "l", "m", "y", "z"])

    def test_get(self) -> None:
        """A resource is found by its id, and only by that."""
        self.put("one", b"1")
        self.start()
        self.assertEqual(self.library.get(id_of(b"1")), ResourceInfo(id_of(b"1"), "one", 1))
        self.assertIs(self.library.get("one"), None)

    def test_own_copy(self) -> None:
        """Who is given the list may change it, and changes nothing here."""
        self.put("one", b"1")
        self.start()
        self.library.resources().clear()
        self.assertEqual(self.listed(), {"one": id_of(b"1")})

    def test_empty_file(self) -> None:
        """An empty file is a resource like any other."""
        self.put("empty", b"")
        self.start()
        self.assertEqual(self.library.resources(), [ResourceInfo(id_of(b""), "empty", 0)])

    def test_one_content_two_names(self) -> None:
        """Names with one content, hard links among them, are one resource, which has them all."""
        for name in ("b", "c", "a/z"):
            self.put(name, b"same")
        os.link(self.folder / "c", self.folder / "d")
        self.start()
        resource = ResourceInfo(id_of(b"same"), "a/z", 4, other_names=("b", "c", "d"))
        self.assertEqual(self.library.resources(), [resource])
        self.assertEqual(self.library.get(resource.id), resource)

    def test_name_comes_and_goes(self) -> None:
        """A name more, or one less, is announced, and changes nothing else."""
        self.put("b", b"same")
        self.start()
        told: list[list[ResourceInfo]] = []
        self.library.watch(lambda: told.append(self.library.resources()))
        self.clock.advance(ANNOUNCE_EVERY)
        self.put("c", b"same")
        self.scan_hinted()
        self.clock.advance(ANNOUNCE_EVERY)
        (self.folder / "c").unlink()
        self.scan_hinted()
        self.clock.advance(ANNOUNCE_EVERY)
        one = ResourceInfo(id_of(b"same"), "b", 4)
        two = ResourceInfo(id_of(b"same"), "b", 4, other_names=("c",))
        self.assertEqual(told, [[two], [one]])

    def test_first_name_goes(self) -> None:
        """
        When the first name goes the resource stays, with the next name, until the last goes.

        It is in the list all the while, and nothing is hashed for that.
        """
        for name in ("a", "b"):
            self.put(name, b"same")
        self.start()
        hashed = len(self.hasher.given)
        (self.folder / "a").unlink()
        assert self.watch is not None
        self.watch.hint()
        self.clock.advance(HINT_DELAY)
        names = []
        for _ in range(20):
            work(self.clock, 1)
            names += [one.name for one in self.library.resources()]
        self.assertEqual(len(names), 20)
        self.assertEqual(set(names), {"a", "b"})
        self.assertEqual(self.listed(), {"b": id_of(b"same")})
        self.assertEqual(len(self.hasher.given), hashed)
        (self.folder / "b").unlink()
        self.scan_hinted()
        self.assertEqual(self.listed(), {})

    def test_removed(self) -> None:
        """A file that is removed leaves the list; the others stay."""
        self.put("a", b"1")
        self.put("b", b"2")
        self.start()
        (self.folder / "a").unlink()
        self.scan_hinted()
        self.assertEqual(self.listed(), {"b": id_of(b"2")})
        self.assertIs(self.library.get(id_of(b"1")), None)

    def test_renamed(self) -> None:
        """A file that is renamed keeps its id and is listed under its new name."""
        self.put("a", b"1")
        self.start()
        (self.folder / "a").rename(self.folder / "b")
        self.scan_hinted()
        self.assertEqual(self.listed(), {"b": id_of(b"1")})

    def test_folder_renamed(self) -> None:
        """When a folder is renamed its files are listed under their new names."""
        self.put("old/a", b"1")
        self.start()
        (self.folder / "old").rename(self.folder / "new")
        self.scan_hinted()
        self.assertEqual(self.listed(), {"new/a": id_of(b"1")})

    def test_rewritten(self) -> None:
        """A file with another content is another resource; the earlier one is gone."""
        self.put("a", b"1")
        self.start()
        self.put("a", b"2")
        self.scan_hinted()
        self.assertEqual(self.listed(), {"a": id_of(b"2")})
        self.assertIs(self.library.get(id_of(b"1")), None)

    def test_swapped(self) -> None:
        """Two files that exchange their names keep their ids."""
        self.put("a", b"1")
        self.put("b", b"2")
        self.start()
        (self.folder / "a").rename(self.folder / "c")
        (self.folder / "b").rename(self.folder / "a")
        (self.folder / "c").rename(self.folder / "b")
        self.scan_hinted()
        self.assertEqual(self.listed(), {"a": id_of(b"2"), "b": id_of(b"1")})

    def test_grows_while_waiting(self) -> None:
        """A file that grows while it waits to be hashed is listed as it is in the end."""
        self.put("a", b"small")
        self.start_walking()
        self.put("a", b"no longer small")
        self.scan_hinted()
        self.assertEqual(self.listed(), {"a": id_of(b"no longer small")})


class HalfWrittenTests(LibraryCase):
    """Files that are being written."""

    def test_settles(self) -> None:
        """A file just written is not listed before it has been left alone for a while."""
        self.put("a", b"1", age=0)
        self.start()
        self.assertEqual(self.listed(), {})
        while self.clock.seconds() < SETTLE:
            self.assertEqual(self.listed(), {})
            self.clock.advance(HINT_DELAY / 4)
            self.work()
        self.clock.advance(HINT_DELAY)
        self.work()
        self.assertEqual(self.listed(), {"a": id_of(b"1")})

    def test_still_written(self) -> None:
        """A file that grows and grows is never listed half; in the end it is, soon."""
        content = b""
        self.library.startService()
        for _ in range(20):
            content += b"more"
            self.put("a", content, age=0)
            self.clock.advance(0.1)
            self.work()
            self.assertEqual(self.listed(), {})
        for _ in range(10):
            self.clock.advance(0.1)
            self.work()
        self.assertEqual(self.listed(), {"a": id_of(content)})

    def test_rewriting_unlists(self) -> None:
        """A listed file that is being written again is off the list until that is over."""
        self.put("a", b"1")
        self.start()
        self.put("a", b"2", age=0)
        self.scan_hinted()
        self.assertEqual(self.listed(), {})

    def test_time_ahead(self) -> None:
        """A file whose time is in the future, by a wrong clock, is listed all the same."""
        self.put("a", b"1", age=-3_600)
        self.start()
        self.assertEqual(self.listed(), {"a": id_of(b"1")})

    def test_changed_while_hashed(self) -> None:
        """A file that changes while it is hashed is not listed as what it was or half is."""
        path = self.put("a", b"old")
        self.start_walking()
        self.assertTrue(self.library.scanning)
        path.write_bytes(b"new")
        self.age(path, 5)
        self.hasher.work()
        self.assertEqual(self.listed(), {})
        self.clock.advance(HINT_DELAY)
        self.work()
        self.assertEqual(self.listed(), {"a": id_of(b"new")})
        self.assertFalse(self.library.scanning)

    def test_replaced_while_hashed(self) -> None:
        """A file that is replaced while it is hashed is soon listed as the one that took over."""
        self.put("a", b"old")
        self.start_walking()
        self.put("b", b"new").rename(self.folder / "a")
        self.hasher.work()
        self.clock.advance(HINT_DELAY)
        self.work()
        self.assertEqual(self.listed(), {"a": id_of(b"new")})

    def test_seen_again_while_hashed(self) -> None:
        """A digest that comes when a later scan has seen the file changed is not its digest."""
        self.put("a", b"old")
        self.start_walking()
        known = self.put("b", b"old")
        (self.folder / "a").rename(self.folder / "c")
        self.put("a", b"new")
        assert self.watch is not None
        self.watch.hint()
        self.clock.advance(HINT_DELAY)
        work(self.clock)
        self.assertEqual(sorted(self.hasher.given), ["a", "a", "b", "c"])
        known.unlink()
        self.hasher.work()
        self.assertEqual(self.listed(), {"a": id_of(b"new"), "c": id_of(b"old")})

    def test_removed_while_hashed(self) -> None:
        """A file that is removed while it is hashed is not listed in the end."""
        path = self.put("a", b"1")
        self.start_walking()
        path.unlink()
        self.hasher.work()
        self.clock.advance(HINT_DELAY)
        self.work()
        self.assertEqual(self.listed(), {})
        self.assertFalse(self.library.scanning)

    def test_removed_while_waiting(self) -> None:
        """A file that is seen to be gone before it is hashed is not missed."""
        for name in ("a", "b"):
            self.put(name, name.encode())
        self.start_walking()
        for name in ("a", "b"):
            (self.folder / name).unlink()
        self.scan_hinted()
        self.assertEqual(self.listed(), {})
        self.assertFalse(self.library.scanning)

    def test_moved_while_hashed(self) -> None:
        """A file whose folder is renamed while it is hashed is listed under its new name."""
        self.put("before/a", b"1")
        self.start_walking()
        (self.folder / "before").rename(self.folder / "now")
        self.scan_hinted()
        self.assertEqual(self.listed(), {"now/a": id_of(b"1")})

    def test_moved_out_while_hashed(self) -> None:
        """A file whose folder is moved away while it is hashed is not listed when that is done."""
        self.put("before/a", b"1")
        self.start_walking()
        (self.folder / "before").rename(self.folder.with_name("away"))
        self.scan_hinted()
        self.assertEqual(self.listed(), {})

    def test_written_again_while_waiting(self) -> None:
        """A file that is written again before it is hashed waits until that is over."""
        self.start()
        self.put("a", b"old")
        assert self.watch is not None
        self.watch.hint()
        self.clock.advance(HINT_DELAY)
        work(self.clock)
        self.put("a", b"new", age=0)
        self.scan_hinted()
        self.assertEqual(self.listed(), {})
        for _ in range(5):
            self.clock.advance(HINT_DELAY)
            self.work()
        self.assertEqual(self.listed(), {"a": id_of(b"new")})

    def test_written_while_walking(self) -> None:
        """A file that is written after the walk began and before it comes by must settle too."""
        for number in range(20):
            self.put(f"{number}", b"%d" % number)
        self.start()
        assert self.watch is not None
        self.watch.hint()
        self.clock.advance(HINT_DELAY)
        # The walk has begun, and the clock goes on.
        self.clock.advance(0.01)
        for number in range(20):
            self.put(f"{number}", b"half", age=0)
        self.work()
        self.assertEqual(self.library.get(id_of(b"half")), None)


class RetouchedTests(LibraryCase):
    """Files of which only the ctime has changed: they are hashed again, and given meanwhile."""

    def setUp(self) -> None:
        super().setUp()
        self.path = self.put("a", b"1")
        self.start()
        self.clock.advance(10)
        self.hasher.given.clear()
        self.announced.clear()

    def scan(self) -> None:
        """Look at the folder; nothing is hashed yet."""
        assert self.watch is not None
        self.watch.hint()
        self.clock.advance(HINT_DELAY)
        work(self.clock)

    def check_given(self, name: str = "a") -> None:
        self.assertEqual(self.listed(), {name: id_of(b"1")})
        self.assertEqual(self.library.pieces(id_of(b"1")), Pieces(1, hashlib.sha256(b"1").digest()))
        with self.library.open(id_of(b"1")) as file:
            self.assertEqual(file.read(), b"1")

    def test_mode(self) -> None:
        """One whose mode is changed is given, hashed again once, and nothing is announced."""
        self.path.chmod(0o640)
        self.check_given()
        self.scan()
        self.check_given()
        self.assertEqual(self.hasher.given, ["a"])
        self.scan()
        self.hasher.work()
        self.scan()
        self.check_given()
        self.clock.advance(ANNOUNCE_EVERY)
        self.assertEqual((self.hasher.given, self.announced), (["a"], []))

    def test_mode_while_hashed_again(self) -> None:
        """One whose mode is changed again meanwhile is given all the time, and hashed once more."""
        for mode in (0o640, 0o600):
            self.path.chmod(mode)
            self.scan()
            self.check_given()
        self.hasher.work()
        self.check_given()
        self.path.chmod(0o644)
        self.scan()
        self.path.chmod(0o640)
        self.hasher.work()
        self.check_given()
        self.scan_hinted()
        self.check_given()
        self.assertEqual(self.hasher.given, ["a"] * 4)

    def test_just_written(self) -> None:
        """One that was written a moment ago, and is listed already, stays so too."""
        self.age(self.path, 0)
        digest = hashlib.sha256(b"1")
        self.library.adopt(
            self.path, self.path.stat(), Digests(digest.hexdigest(), digest.digest())
        )
        self.path.chmod(0o640)
        self.scan()
        self.check_given()

    def test_second_name(self) -> None:
        """One that gets a second name is given; so it is by the second, when the first goes."""
        os.link(self.path, self.folder / "b")
        self.scan()
        self.check_given()
        self.path.unlink()
        self.scan()
        self.check_given("b")
        self.hasher.work()
        self.check_given("b")

    def test_renamed(self) -> None:
        """One that is renamed, or whose folder is, is given under its new name at once."""
        self.path.rename(self.folder / "b")
        self.scan()
        self.check_given("b")
        (self.folder / "c").mkdir()
        (self.folder / "b").rename(self.folder / "c" / "b")
        self.scan()
        self.check_given("c/b")
        (self.folder / "c").rename(self.folder / "d")
        self.scan()
        self.check_given("d/b")
        self.hasher.work()
        self.check_given("d/b")

    def test_written_and_dated_back(self) -> None:
        """One that was written to, with its time set back, has its new id when it is hashed."""
        was = self.path.stat()
        self.path.write_bytes(b"2")
        os.utime(self.path, ns=(was.st_atime_ns, was.st_mtime_ns))
        self.scan_hinted()
        self.assertEqual(self.listed(), {"a": id_of(b"2")})
        self.assertIs(self.library.get(id_of(b"1")), None)

    def test_written(self) -> None:
        """One that is written to while it is hashed again is off the list."""
        self.path.chmod(0o640)
        self.scan()
        self.put("a", b"2")
        self.assertRaises(UnknownResource, self.library.open, id_of(b"1"))
        self.scan()
        self.assertEqual(self.listed(), {})
        self.hasher.work()
        self.assertEqual(self.listed(), {"a": id_of(b"2")})

    def test_no_longer_readable(self) -> None:
        """One that can't be read any more is off the list when that is seen, and told of."""
        self.path.chmod(0)
        self.hasher.unreadable.add("a")
        with log_lines(LogLevel.warn) as lines:
            self.scan_hinted()
        self.assertEqual((self.listed(), len(lines)), ({}, 1))

    def test_removed(self) -> None:
        """One that goes while it is hashed again is off the list."""
        self.path.chmod(0o640)
        self.scan()
        self.path.unlink()
        self.scan_hinted()
        self.assertEqual(self.listed(), {})


class BusyTests(LibraryCase):
    """Files that somebody has open for writing, or had."""

    def setUp(self) -> None:
        super().setUp()
        self.path = self.put("a", b"half")
        self.hasher.busy.add("a")

    def test_not_listed(self) -> None:
        """One that is open is not listed, holds up no first scan, and nothing is told of it."""
        self.put("b", b"2")
        with log_lines(LogLevel.warn) as lines:
            self.start()
        self.assertEqual(self.listed(), {"b": id_of(b"2")})
        self.assertFalse(self.library.scanning)
        self.assertEqual(lines, [])

    def test_closed(self) -> None:
        """When it is closed, it is looked at with the next hint, and listed as it is then."""
        self.start()
        was = self.path.stat()
        self.path.write_bytes(b"full")
        os.utime(self.path, ns=(was.st_atime_ns, was.st_mtime_ns))
        self.hasher.busy.clear()
        self.scan_hinted()
        self.assertEqual(self.listed(), {"a": id_of(b"full")})
        given = list(self.hasher.given)
        self.clock.advance(BUSY_RETRY)
        self.work()
        self.assertEqual(self.hasher.given, given)

    def test_again_and_again(self) -> None:
        """Without a hint it is looked at every BUSY_RETRY, and the folder not more than before."""
        self.start()
        assert self.watch is not None
        for count in range(1, 4):
            self.assertEqual(self.hasher.given.count("a"), count)
            self.clock.advance(BUSY_RETRY)
            self.clock.advance(HINT_DELAY)
            self.work()
        self.hasher.busy.clear()
        self.clock.advance(BUSY_RETRY)
        self.clock.advance(HINT_DELAY)
        self.work()
        self.assertEqual(self.listed(), {"a": id_of(b"half")})
        self.assertEqual(self.watch.begun, 1)

    def test_goes(self) -> None:
        """One that is gone, or changed, at the next look is no error."""
        self.start()
        self.path.unlink()
        self.clock.advance(BUSY_RETRY)
        self.work()
        self.clock.advance(HINT_DELAY)
        self.work()
        self.assertEqual(self.listed(), {})
        self.clock.advance(2 * BUSY_RETRY)
        self.work()
        self.assertEqual(self.hasher.given.count("a"), 1)

    def test_retouched(self) -> None:
        """A listed one that is open when it is looked at again is off the list."""
        self.hasher.busy.clear()
        self.start()
        self.hasher.busy.add("a")
        self.path.chmod(0o600)
        self.scan_hinted()
        self.assertEqual(self.listed(), {})

    def test_stopped(self) -> None:
        """Stopped while one is open, or being asked for, it leaves no delayed calls."""
        self.start()
        self.library.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.library = self.make(FakeWatch())
        self.start_walking()
        self.library.stopService()
        self.hasher.work()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def listed_by_two_names(self) -> FakeWatch:
        self.hasher.busy.clear()
        (self.folder / "link").symlink_to("a")
        self.start()
        self.assertEqual(self.listed(), {"a": id_of(b"half")})
        assert self.watch is not None
        return self.watch

    def rewrite(self) -> None:
        """Change the content, and nothing that the system says of it: through a memory map."""
        was = self.path.stat()
        self.path.write_bytes(b"FULL")
        stamp = FileStamp.of(was)
        self.patch(FileStamp, "of", staticmethod(lambda status: stamp))

    def test_rewritten_with_its_times_kept(self) -> None:
        """One that was open for writing is hashed again, whatever its times: by each name."""
        watch = self.listed_by_two_names()
        self.rewrite()
        self.scan_hinted()
        self.assertEqual(self.listed(), {"a": id_of(b"half")})
        watch.written(self.path)
        self.scan_hinted()
        self.assertEqual(self.listed(), {"a": id_of(b"FULL")})
        self.assertIs(self.library.get(id_of(b"half")), None)
        given = list(self.hasher.given)
        self.scan_hinted()
        self.assertEqual(self.hasher.given, given)

    def test_rewritten_while_hashed(self) -> None:
        """One that was open when it was being hashed already is hashed once more."""
        watch = self.listed_by_two_names()
        self.path.chmod(0o600)
        watch.hint()
        self.clock.advance(HINT_DELAY)
        work(self.clock)
        watch.written(self.path)
        self.hasher.work()
        given = self.hasher.given.count("a")
        self.clock.advance(HINT_DELAY)
        self.work()
        self.assertEqual(self.hasher.given.count("a"), given + 1)
        self.scan_hinted()
        self.assertEqual(self.hasher.given.count("a"), given + 1)

    def test_written_and_new(self) -> None:
        """One that is new or changed when it is closed is hashed once, not twice."""
        watch = self.listed_by_two_names()
        self.hasher.given.clear()
        self.put("a", b"another")
        self.put("b", b"new")
        watch.written(self.path)
        watch.written(self.folder / "b")
        for _ in range(3):
            self.scan_hinted()
        self.assertEqual(sorted(self.hasher.given), ["a", "b", "link"])


class UnreadableTests(LibraryCase):
    """What can't be read."""

    def setUp(self) -> None:
        super().setUp()
        self.hasher.unreadable.add("bad")

    def test_told_once(self) -> None:
        """A file that can't be read is told of once, not listed, and keeps nothing else back."""
        self.put("bad", b"1")
        self.put("good", b"2")
        with log_lines(LogLevel.warn) as lines:
            self.start()
            for _ in range(3):
                self.scan_hinted()
        self.assertEqual(self.listed(), {"good": id_of(b"2")})
        self.assertFalse(self.library.scanning)
        (line,) = lines
        self.assertIn("bad", line)
        self.assertIn("Permission denied", line)
        self.assertEqual(self.hasher.given.count("bad"), 1)

    def test_tried_again(self) -> None:
        """Once it has changed, its mode for example, it is tried again."""
        path = self.put("bad", b"1")
        with log_lines(LogLevel.warn):
            self.start()
        self.hasher.unreadable.clear()
        self.age(path, 5)
        self.scan_hinted()
        self.assertEqual(self.listed(), {"bad": id_of(b"1")})

    def test_removed(self) -> None:
        """A file that could not be read may go, and a readable one come in its place."""
        path = self.put("bad", b"1")
        with log_lines(LogLevel.warn):
            self.start()
        path.unlink()
        self.scan_hinted()
        self.hasher.unreadable.clear()
        self.put("bad", b"2")
        self.scan_hinted()
        self.assertEqual(self.listed(), {"bad": id_of(b"2")})


class FirstScanTests(LibraryCase):
    """Whether the first scan is still under way."""

    def test_scanning(self) -> None:
        """It is, until the last file is hashed; what is done by then is listed already."""
        self.put("a", b"1")
        self.put("b", b"2")
        self.assertTrue(self.library.scanning)
        self.start_walking()
        self.hasher.work("a")
        self.assertTrue(self.library.scanning)
        self.assertEqual(self.listed(), {"a": id_of(b"1")})
        self.hasher.work()
        self.assertFalse(self.library.scanning)

    def test_empty_folder(self) -> None:
        """With nothing to hash it is over when the folder has been walked, and announced."""
        with log_lines(LogLevel.info) as lines:
            self.start()
        self.assertFalse(self.library.scanning)
        self.assertEqual(len(self.announced), 1)
        self.assertEqual(lines, [f"{self.folder} is scanned: 0 resources"])

    def test_announced(self) -> None:
        """Its end is announced at once, with everything in the list."""
        for number in range(10):
            self.put(str(number), b"%d" % number)
        counts: list[int] = []
        self.library.watch(lambda: counts.append(len(self.library.resources())))
        self.start()
        self.assertEqual(counts[-1], 10)
        self.assertLess(self.clock.seconds(), ANNOUNCE_EVERY)

    def test_only_once(self) -> None:
        """Later scans are not first scans, whatever they find."""
        self.start()
        assert self.watch is not None
        with log_lines(LogLevel.info) as lines:
            self.put("a", b"1")
            self.watch.hint()
            self.clock.advance(HINT_DELAY)
            for _ in range(100):
                work(self.clock, 1)
                self.assertFalse(self.library.scanning)
            self.hasher.work()
            self.assertFalse(self.library.scanning)
        self.assertEqual(lines, [])
        self.assertEqual(self.listed(), {"a": id_of(b"1")})


class ScanTests(LibraryCase):
    """When the folder is looked at."""

    def scans(self) -> int:
        assert self.watch is not None
        return self.watch.begun

    def test_watched(self) -> None:
        """Where every folder is watched, it is looked at again after RESCAN_WATCHED."""
        self.start()
        self.clock.advance(RESCAN_WATCHED - 1)
        self.work()
        self.assertEqual(self.scans(), 1)
        self.clock.advance(1)
        self.work()
        self.assertEqual(self.scans(), 2)

    def test_not_watched_everywhere(self) -> None:
        """Where not all folders can be watched, it is looked at after RESCAN_UNWATCHED."""
        assert self.watch is not None
        self.watch.complete = False
        self.start()
        for expected in (2, 3, 4):
            self.clock.advance(RESCAN_UNWATCHED)
            self.work()
            self.assertEqual(self.scans(), expected)

    def test_no_watch(self) -> None:
        """Without a watch, a change is found within RESCAN_UNWATCHED."""
        self.library = self.make(None)
        self.start()
        self.put("a", b"1")
        self.clock.advance(RESCAN_UNWATCHED)
        self.work()
        self.assertEqual(self.listed(), {"a": id_of(b"1")})

    def test_hint(self) -> None:
        """A hint brings the next scan forward, and many hints make one scan."""
        self.start()
        assert self.watch is not None
        for _ in range(5):
            self.watch.hint()
            self.clock.advance(HINT_DELAY / 10)
        self.assertEqual(self.scans(), 1)
        self.clock.advance(HINT_DELAY / 2)
        self.work()
        self.assertEqual(self.scans(), 2)
        self.clock.advance(RESCAN_WATCHED / 2)
        self.work()
        self.assertEqual(self.scans(), 2)

    def test_hint_while_scanning(self) -> None:
        """A hint in the middle of a scan makes another one follow it soon."""
        for number in range(10):
            self.put(str(number), b"%d" % number)
        self.library.startService()
        work(self.clock, 5)
        self.put("new", b"new")
        assert self.watch is not None
        self.watch.hint()
        self.work()
        self.assertEqual(self.scans(), 1)
        self.clock.advance(HINT_DELAY)
        self.work()
        self.assertEqual(self.scans(), 2)
        self.assertIn("new", self.listed())

    def test_folders_watched(self) -> None:
        """Each folder is given to the watch at every scan."""
        self.put("sub/a", b"1")
        self.start()
        assert self.watch is not None
        self.assertEqual(self.watch.entered, [self.folder, self.folder / "sub"])
        self.put("new/a", b"1")
        self.scan_hinted()
        self.assertEqual(len(self.watch.entered), 3)

    def test_rest_after_a_long_scan(self) -> None:
        """A scan that took long is not repeated before SCAN_REST times as long has passed."""
        assert self.watch is not None
        self.watch.complete = False
        self.library.startService()
        took = 3 * RESCAN_UNWATCHED
        self.clock.advance(took)
        self.work()
        self.clock.advance(took * SCAN_REST - 1)
        self.work()
        self.assertEqual(self.scans(), 1)
        self.clock.advance(1)
        self.work()
        self.assertEqual(self.scans(), 2)

    def test_hint_after_a_long_scan(self) -> None:
        """Where something has changed since, only HINT_REST times as long has to pass."""
        for number in range(5):
            self.put(f"{number}", b"%d" % number)
        self.library.startService()
        took = 0.5
        self.clock.advance(took)
        assert self.watch is not None
        self.watch.hint()
        work(self.clock)
        self.clock.advance(took * HINT_REST - 0.01)
        work(self.clock)
        self.assertEqual(self.scans(), 1)
        self.clock.advance(0.02)
        work(self.clock)
        self.assertEqual(self.scans(), 2)

    def test_cannot_be_listed(self) -> None:
        """A folder that can't be listed keeps what is known, and is tried again until it can."""
        self.put("a", b"1")
        self.start()

        def refuse(folder: Path, entered: object, unreadable: object) -> Iterator[None]:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
            yield

        with log_lines(LogLevel.warn) as lines:
            self.patch(library, "walk", refuse)
            self.scan_hinted()
            self.scan_hinted()
        self.patch(library, "walk", walk)
        (line,) = lines
        self.assertIn(os.strerror(errno.EIO), line)
        self.assertEqual(self.listed(), {"a": id_of(b"1")})
        self.put("b", b"2")
        self.clock.advance(RESCAN_WATCHED)
        self.work()
        self.assertEqual(self.listed(), {"a": id_of(b"1"), "b": id_of(b"2")})


class FolderTests(LibraryCase):
    """A folder that goes, and comes back or not."""

    def setUp(self) -> None:
        super().setUp()
        self.elsewhere = self.folder.with_name("elsewhere")

    def look(self) -> None:
        """Look whether the folder is there, and do all that follows."""
        self.library.folder.look()
        self.clock.advance(max(HINT_DELAY, RESCAN_UNWATCHED))
        self.work()

    def test_gone(self) -> None:
        """While it is gone nothing is listed or given; back again, all is, and none is hashed."""
        self.put("a", b"1")
        self.put("sub/b", b"2")
        self.start()
        listed, given = self.listed(), list(self.hasher.given)
        self.folder.rename(self.elsewhere)
        with log_lines(LogLevel.info, LogLevel.warn) as lines:
            for _ in range(3):
                self.look()
            self.assertEqual(self.listed(), {})
            for id in listed.values():
                self.assertIs(self.library.get(id), None)
                self.assertIs(self.library.pieces(id), None)
                self.assertRaises(UnknownResource, self.library.open, id)
            self.elsewhere.rename(self.folder)
            self.look()
        self.assertEqual(len(lines), 2, lines)
        self.assertEqual(self.listed(), listed)
        self.assertEqual(self.hasher.given, given)
        self.assertFalse(self.library.scanning)

    def test_gone_announced_at_once(self) -> None:
        """That nothing is there any more is announced at the first look."""
        self.put("a", b"1")
        self.start()
        announced = len(self.announced)
        shutil.rmtree(self.folder)
        self.library.folder.look()
        self.assertEqual(len(self.announced), announced + 1)
        self.assertEqual(self.listed(), {})

    def test_back_at_once(self) -> None:
        """Back again, all is listed before it has been scanned; another one is scanned first."""
        self.put("a", b"1")
        self.start()
        listed = self.listed()
        self.folder.rename(self.elsewhere)
        self.library.folder.look()
        self.elsewhere.rename(self.folder)
        self.library.folder.look()
        self.assertEqual(self.listed(), listed)
        self.look()
        self.folder.rename(self.elsewhere)
        self.folder.mkdir()
        self.library.folder.look()
        self.assertEqual(self.listed(), {})
        self.folder.rmdir()
        self.library.folder.look()
        self.folder.mkdir()
        self.library.folder.look()
        self.assertEqual(self.listed(), {})

    def test_changed_while_it_was_gone(self) -> None:
        """Only what has changed meanwhile is hashed."""
        self.put("a", b"1")
        self.put("b", b"2")
        self.start()
        self.folder.rename(self.elsewhere)
        self.look()
        (self.elsewhere / "a").write_bytes(b"3")
        self.age(self.elsewhere / "a", 5)
        self.hasher.given.clear()
        self.elsewhere.rename(self.folder)
        self.look()
        self.assertEqual(self.listed(), {"a": id_of(b"3"), "b": id_of(b"2")})
        self.assertEqual(self.hasher.given, ["a"])

    def test_goes_in_mid_scan(self) -> None:
        """What a scan didn't find because the folder had gone meanwhile is not forgotten."""
        for number in range(3):
            self.put(f"{number}/file", b"%d" % number)
        self.start()
        given = list(self.hasher.given)
        for steps in range(8):
            assert self.watch is not None
            self.watch.hint()
            self.clock.advance(HINT_DELAY)
            work(self.clock, steps)
            self.mounts.mount(self.folder, self.empty())
            self.look()
            self.assertEqual(self.listed(), {})
            self.mounts.unmount(self.folder)
            self.look()
            self.assertEqual(len(self.listed()), 3, f"after {steps} steps")
            self.assertEqual(self.hasher.given, given)

    def empty(self) -> Path:
        made = Path(self.mktemp()).resolve()
        made.mkdir()
        return made

    def test_another_one(self) -> None:
        """Another folder at its place is scanned; with the first one back none is hashed again."""
        self.put("a", b"1")
        self.start()
        self.folder.rename(self.elsewhere)
        self.put("b", b"2")
        self.library.folder.look()
        self.assertEqual(self.listed(), {})
        self.assertTrue(self.library.scanning)
        self.look()
        self.assertEqual(self.listed(), {"b": id_of(b"2")})
        self.assertFalse(self.library.scanning)
        self.hasher.given.clear()
        shutil.rmtree(self.folder)
        self.elsewhere.rename(self.folder)
        self.look()
        self.assertEqual(self.listed(), {"a": id_of(b"1")})
        self.assertEqual(self.hasher.given, [])

    def test_mounted_in_it(self) -> None:
        """What is mounted over a folder in it takes the place of its files while it is there."""
        self.put("a", b"1")
        self.put("sub/b", b"2")
        self.start()
        listed = self.listed()
        other = self.empty()
        (other / "c").write_bytes(b"3")
        self.age(other / "c", 5)
        self.mounts.mount(self.folder / "sub", other)
        self.look()
        self.assertEqual(self.listed(), {"a": id_of(b"1"), "sub/c": id_of(b"3")})
        self.hasher.given.clear()
        self.mounts.unmount(self.folder / "sub")
        self.look()
        self.assertEqual(self.listed(), listed)
        self.assertEqual(self.hasher.given, [])

    def test_mounted_over_what_is_hashed(self) -> None:
        """So it does with files that are not hashed yet, and all is well when it is gone."""
        self.put("sub/b", b"2")
        self.start_walking()
        self.mounts.mount(self.folder / "sub", self.empty())
        self.look()
        self.assertIn("is mounted over", str(self.library.folder.problem))
        self.mounts.unmount(self.folder / "sub")
        self.look()
        self.assertIs(self.library.folder.problem, None)
        self.assertEqual(self.listed(), {"sub/b": id_of(b"2")})

    def test_watched_from_the_start(self) -> None:
        """A watch knows nothing of mounts: after each it is begun again."""
        self.put("sub/b", b"2")
        self.start()
        assert self.watch is not None
        self.mounts.mount(self.folder / "sub", self.empty())
        self.look()
        self.assertTrue(self.watch.stopped)
        self.assertIn(self.folder / "sub", self.watch.entered)

    def test_unreadable_before(self) -> None:
        """What couldn't be read before it went is tried again when it is back."""
        self.put("a", b"1")
        self.hasher.unreadable.add("a")
        self.start()
        self.folder.rename(self.elsewhere)
        self.look()
        self.hasher.unreadable.clear()
        self.elsewhere.rename(self.folder)
        self.look()
        self.assertEqual(self.listed(), {"a": id_of(b"1")})

    def test_failing_as_it_goes(self) -> None:
        """Files that can't be hashed because the folder has gone are not told of one by one."""
        for name in ("a", "b", "c"):
            self.put(name, name.encode())
        self.start_walking()
        self.hasher.unreadable |= {"a", "b", "c"}
        self.folder.rename(self.elsewhere)
        with log_lines(LogLevel.warn) as lines:
            self.hasher.work()
        self.assertEqual(len(lines), 1, lines)
        self.hasher.unreadable.clear()
        self.elsewhere.rename(self.folder)
        self.look()
        self.assertEqual(len(self.listed()), 3)


class AnnouncementTests(LibraryCase):
    """Telling others that the list has changed."""

    def test_once_for_many(self) -> None:
        """Many changes are announced together, at most every ANNOUNCE_EVERY."""
        self.start()
        self.clock.advance(10)
        self.announced.clear()
        for number in range(40):
            self.put(str(number), b"%d" % number)
            self.scan_hinted()
        self.assertGreater(len(self.announced), 5)
        pauses = [after - before for before, after in pairwise(self.announced)]
        self.assertGreaterEqual(min(pauses), ANNOUNCE_EVERY - TICK)

    def test_at_once(self) -> None:
        """After a quiet time a change is announced without delay."""
        self.start()
        self.clock.advance(10)
        self.announced.clear()
        self.put("a", b"1")
        self.scan_hinted()
        self.assertEqual(len(self.announced), 1)
        self.assertLess(self.announced[0], 10 + HINT_DELAY + 0.01)

    def test_the_last_change(self) -> None:
        """What changes within ANNOUNCE_EVERY of an announcement is announced after it."""
        self.start()
        self.clock.advance(10)
        for name in ("a", "b"):
            self.put(name, name.encode())
            self.scan_hinted()
        self.announced.clear()
        self.clock.advance(ANNOUNCE_EVERY)
        self.assertEqual(len(self.announced), 1)

    def test_nothing_new(self) -> None:
        """A scan that finds everything as it was announces nothing."""
        self.put("a", b"1")
        self.start()
        self.announced.clear()
        self.scan_hinted()
        self.clock.advance(ANNOUNCE_EVERY)
        self.assertEqual(self.announced, [])

    def test_removal(self) -> None:
        """A removal is announced too, with the resource off the list."""
        self.put("a", b"1")
        self.start()
        self.clock.advance(10)
        counts: list[int] = []
        self.library.watch(lambda: counts.append(len(self.library.resources())))
        (self.folder / "a").unlink()
        self.scan_hinted()
        self.assertEqual(counts, [0])


class OpenTests(LibraryCase):
    """Opening a resource."""

    def setUp(self) -> None:
        super().setUp()
        self.path = self.put("a", b"as it was")
        self.start()
        self.known = id_of(b"as it was")

    def test_content(self) -> None:
        """A resource is opened as the bytes that its id is the digest of."""
        with self.library.open(self.known) as file:
            self.assertEqual(file.read(), b"as it was")

    def test_unknown(self) -> None:
        """An id that is not here is an UnknownResource; a name is no id."""
        for id in (id_of(b"other"), "a", "../a", str(self.path)):
            self.assertRaises(UnknownResource, self.library.open, id)

    def test_changed(self) -> None:
        """A file that has changed is not served under its old id, and is looked at again soon."""
        self.put("a", b"As It Was")
        before = open_descriptors()
        self.assertRaises(UnknownResource, self.library.open, self.known)
        self.assertEqual(open_descriptors(), before)
        self.clock.advance(HINT_DELAY)
        self.work()
        self.assertEqual(self.listed(), {"a": id_of(b"As It Was")})

    def test_gone(self) -> None:
        """A file that is gone is an UnknownResource, and soon off the list."""
        self.path.unlink()
        self.assertRaises(UnknownResource, self.library.open, self.known)
        self.clock.advance(HINT_DELAY)
        self.work()
        self.assertEqual(self.listed(), {})

    def test_link_put_in_its_place(self) -> None:
        """A link that leads elsewhere is never opened in the file's place."""
        other = self.folder.with_name("secret")
        other.write_bytes(b"as it was")
        self.path.unlink()
        self.path.symlink_to(other)
        self.assertRaises(UnknownResource, self.library.open, self.known)

    def test_next_name(self) -> None:
        """Where the first of two names has gone, the content is opened by the other."""
        self.put("b", b"as it was")
        self.scan_hinted()
        self.path.unlink()
        with self.library.open(self.known) as file:
            self.assertEqual(file.read(), b"as it was")


class PiecesTests(LibraryCase):
    """How resources are cut."""

    def test_pieces(self) -> None:
        """A resource has the digests of its pieces, the last of them shorter than the others."""
        length = PIECE_MIN
        content = bytes(length) + b"x" * length + b"end"
        self.put("a", content)
        self.start()
        parts = (content[:length], content[length : 2 * length], b"end")
        digests = b"".join(hashlib.sha256(part).digest() for part in parts)
        pieces = self.library.pieces(id_of(content))
        self.assertEqual(pieces, Pieces(len(content), digests))
        assert pieces is not None
        pieces.check()

    def test_empty_file(self) -> None:
        """An empty file has no pieces, and is a resource all the same."""
        self.put("a", b"")
        self.start()
        self.assertEqual(self.library.pieces(id_of(b"")), Pieces(0, b""))

    def test_not_here(self) -> None:
        """What is not here, or no longer, has none."""
        self.put("a", b"1").rename(self.folder / "b")
        self.start()
        self.assertIs(self.library.pieces(id_of(b"2")), None)
        (self.folder / "b").unlink()
        self.scan_hinted()
        self.assertIs(self.library.pieces(id_of(b"1")), None)


class AdoptTests(LibraryCase):
    """Files that come with their digests."""

    def setUp(self) -> None:
        super().setUp()
        self.put("a", b"1")
        self.start()
        self.clock.advance(10)
        self.hasher.given.clear()
        self.announced.clear()

    def adopt(self, name: str, content: bytes) -> Digests:
        digest = hashlib.sha256(content)
        digests = Digests(digest.hexdigest(), digest.digest())
        path = self.put(name, content, age=0)
        self.library.adopt(path, path.stat(), digests)
        return digests

    def test_listed_at_once(self) -> None:
        """It is in the list at once, announced, and open to others, without being hashed."""
        self.adopt("sub/b", b"22")
        self.clock.advance(0)
        self.assertEqual(self.listed(), {"a": id_of(b"1"), "sub/b": id_of(b"22")})
        self.assertEqual(len(self.announced), 1)
        with self.library.open(id_of(b"22")) as file:
            self.assertEqual(file.read(), b"22")
        pieces = self.library.pieces(id_of(b"22"))
        self.assertEqual(pieces, Pieces(2, hashlib.sha256(b"22").digest()))
        self.scan_hinted()
        self.assertEqual(self.hasher.given, [])
        self.assertEqual(self.listed(), {"a": id_of(b"1"), "sub/b": id_of(b"22")})

    def test_link_in_its_place(self) -> None:
        """What another has put in its place at once is neither looked at nor served."""
        path = self.put("b", b"22", age=0)
        status = path.stat()
        secret = self.folder.with_name("secret")
        secret.write_bytes(b"a secret of the node's")
        path.unlink()
        path.symlink_to(secret)
        digest = hashlib.sha256(b"22")
        self.library.adopt(path, status, Digests(digest.hexdigest(), digest.digest()))
        listed = self.library.get(id_of(b"22"))
        assert listed is not None
        self.assertEqual(listed.size, 2)
        self.assertRaises(UnknownResource, self.library.open, id_of(b"22"))
        self.scan_hinted()
        self.assertEqual(self.listed(), {"a": id_of(b"1")})

    def test_in_the_place_of_another(self) -> None:
        """What was there under that name before is gone."""
        self.adopt("a", b"22")
        self.assertEqual(self.listed(), {"a": id_of(b"22")})
        self.assertIs(self.library.get(id_of(b"1")), None)

    def test_while_it_is_hashed(self) -> None:
        """One that a scan had found first is listed once, and stays so when it is hashed too."""
        path = self.put("b", b"22")
        assert self.watch is not None
        self.watch.hint()
        self.clock.advance(HINT_DELAY)
        work(self.clock)
        digest = hashlib.sha256(b"22")
        self.library.adopt(path, path.stat(), Digests(digest.hexdigest(), digest.digest()))
        self.hasher.work()
        self.assertEqual(self.listed(), {"a": id_of(b"1"), "b": id_of(b"22")})

    def test_changed_since(self) -> None:
        """One that is changed after it came is hashed like any other."""
        self.adopt("b", b"22")
        self.put("b", b"333")
        self.scan_hinted()
        self.assertEqual(self.listed(), {"a": id_of(b"1"), "b": id_of(b"333")})


class CacheTests(LibraryCase):
    """A library that remembers what it hashed."""

    def setUp(self) -> None:
        super().setUp()
        self.state = Path(self.mktemp()) / "state"
        self.caches: list[DigestCache] = []

    def restart(self) -> None:
        """A library of the same folder, as after a restart; all that it has to do is done."""
        self.end()
        cache = make_cache(self.state)
        assert cache is not None
        cache.open()
        self.caches.append(cache)
        self.addCleanup(cache.close)
        self.hasher.given.clear()
        self.library = self.make(self.watch, cache)
        self.start()

    def end(self) -> None:
        if self.library.running:
            self.library.stopService()
        for cache in self.caches:
            cache.close()

    def test_restart(self) -> None:
        """After a restart the list and the pieces are as before, and nothing is hashed again."""
        for number in range(20):
            self.put(f"sub/{number}", b"%d" % number)
        self.restart()
        before = self.library.resources()
        self.assertEqual(len(self.hasher.given), 20)
        self.restart()
        self.assertEqual(self.hasher.given, [])
        self.assertEqual(self.library.resources(), before)
        self.assertFalse(self.library.scanning)
        pieces = self.library.pieces(id_of(b"7"))
        self.assertEqual(pieces, Pieces(1, hashlib.sha256(b"7").digest()))

    def test_only_what_changed(self) -> None:
        """What was written, touched or added meanwhile is hashed, and nothing else."""
        for name in ("written", "touched", "same", "renamed"):
            self.put(name, name.encode())
        self.restart()
        self.end()
        self.put("written", b"written again")
        self.age(self.folder / "touched", 5)
        self.put("added", b"added")
        self.restart()
        self.assertEqual(sorted(self.hasher.given), ["added", "touched", "written"])
        self.assertEqual(self.listed()["written"], id_of(b"written again"))

    def test_same_size_and_time(self) -> None:
        """A file with other bytes, and the size and times that it had, is not what it was."""
        path = self.put("a", b"1")
        self.restart()
        self.end()
        was = path.stat()
        path.write_bytes(b"2")
        os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
        self.restart()
        self.assertEqual(self.listed(), {"a": id_of(b"2")})

    def test_adopted(self) -> None:
        """What came with its digests is not hashed after a restart either."""
        self.restart()
        digest = hashlib.sha256(b"1")
        digests = Digests(digest.hexdigest(), digest.digest())
        path = self.put("a", b"1")
        self.library.adopt(path, path.stat(), digests)
        self.restart()
        self.assertEqual(self.hasher.given, [])
        self.assertEqual(self.listed(), {"a": id_of(b"1")})

    def test_rewritten_with_its_times_kept(self) -> None:
        """What was open for writing is hashed, though the cache knows a file with that stamp."""
        path = self.put("a", b"1")
        self.restart()
        stamp = FileStamp.of(path.stat())
        path.write_bytes(b"2")
        self.patch(FileStamp, "of", staticmethod(lambda status: stamp))
        assert self.watch is not None
        self.watch.written(path)
        self.scan_hinted()
        self.assertEqual(self.listed(), {"a": id_of(b"2")})
        self.restart()
        self.assertEqual((self.listed(), self.hasher.given), ({"a": id_of(b"2")}, []))

    def test_rewritten_while_another_writes(self) -> None:
        """So is what another program had open as well when it was to be hashed."""
        path = self.put("a", b"1")
        self.restart()
        stamp = FileStamp.of(path.stat())
        self.patch(FileStamp, "of", staticmethod(lambda status: stamp))
        assert self.watch is not None
        self.hasher.busy.add("a")
        self.watch.written(path)
        self.scan_hinted()
        self.assertEqual(self.listed(), {})
        path.write_bytes(b"2")
        self.hasher.busy.clear()
        self.watch.written(path)
        self.watch.changed(str(path), False)
        self.clock.advance(BUSY_RETRY)
        self.work()
        self.clock.advance(HINT_DELAY)
        self.work()
        self.assertEqual(self.listed(), {"a": id_of(b"2")})

    def test_cut_otherwise(self) -> None:
        """What an earlier version has cut into longer pieces is hashed again."""
        content = bytes(2 * PIECE_MIN)
        path = self.put("a", content)
        self.restart()
        digest = hashlib.sha256(content)
        self.caches[-1].put(FileStamp.of(path.stat()), Digests(digest.hexdigest(), digest.digest()))
        self.restart()
        self.assertEqual(self.hasher.given, ["a"])

    def test_damaged(self) -> None:
        """A damaged cache is set aside as it is, and everything is hashed again, once."""
        for number in range(3):
            self.put(f"{number}", b"%d" % number)
        self.restart()
        self.end()
        path = self.state / "digests.sqlite"
        path.write_bytes(b"nonsense" * 1000)
        with log_lines(LogLevel.warn) as lines:
            self.restart()
        self.assertEqual(len(self.hasher.given), 3)
        self.assertEqual(len(self.listed()), 3)
        aside = self.state / "digests.sqlite.damaged-1"
        self.assertEqual(aside.read_bytes(), b"nonsense" * 1000)
        (line,) = lines
        self.assertIn(str(aside), line)
        self.restart()
        self.assertEqual(self.hasher.given, [])


class StopTests(LibraryCase):
    """Stopping, wherever the work stands."""

    def test_in_mid_scan(self) -> None:
        """Stopped at any step of a first scan, it leaves no delayed calls."""
        for number in range(3):
            self.put(f"{number}/file", b"%d" % number)
        for steps in range(12):
            for hashed in ((), ("file",)):
                watch = FakeWatch()
                stopped = self.make(watch)
                stopped.startService()
                work(self.clock, steps)
                if hashed:
                    self.hasher.work()
                stopped.stopService()
                self.assertEqual(self.clock.getDelayedCalls(), [], msg=f"after {steps} steps")
                self.assertTrue(watch.stopped)

    def test_hashed_after_the_end(self) -> None:
        """What is hashed or found changed only after the end begins nothing any more."""
        for name in ("a", "b"):
            self.put(name, name.encode())
        self.start_walking()
        self.library.stopService()
        (self.folder / "a").unlink()
        self.hasher.work()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_at_rest(self) -> None:
        """Stopped between two scans, with an announcement due, it leaves no delayed calls."""
        self.start()
        self.put("a", b"1")
        self.scan_hinted()
        self.library.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_hint_after_the_end(self) -> None:
        """What is found changed after the end starts no scan any more."""
        self.put("a", b"1")
        self.start()
        self.library.stopService()
        (self.folder / "a").unlink()
        self.assertRaises(UnknownResource, self.library.open, id_of(b"1"))
        assert self.watch is not None
        self.watch.hint()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_folder_gone_in_mid_scan(self) -> None:
        """Stopped while its folder is gone, it leaves nothing behind either."""
        shutil.rmtree(self.folder)
        self.library.startService()
        self.library.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
