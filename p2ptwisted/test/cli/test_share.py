"""Tests of `p2ptwisted.cli.share`."""

import errno
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.cli import share as share_module
from p2ptwisted.cli.exit_status import CommandError, ExitStatus
from p2ptwisted.cli.session import ICommandReactor, Session, Settings
from p2ptwisted.cli.share import share
from p2ptwisted.cli.source_file import SourceFile
from p2ptwisted.client.api import Client
from p2ptwisted.model import Health, HeldFile, Holding
from p2ptwisted.node import folder_walk


class ShareTests(SynchronousTestCase):
    """Where shared files are put."""

    def test_folder_of_another_machine(self) -> None:
        """What a node elsewhere calls its folder is not believed: it may be any of ours."""
        folder, file = Path(self.mktemp()), Path(self.mktemp())
        folder.mkdir()
        file.write_bytes(b"content")

        class Far:
            async def health(self, location: str) -> Health:
                return Health("far", 0, False, None, str(folder))

        session = Session(
            cast(ICommandReactor, None), cast(Client, Far()), Settings(progress="none")
        )
        sharing = share(
            cast(ICommandReactor, None),
            session,
            (str(file),),
            "http://192.0.2.99:8000",
            None,
            False,
        )
        problem = self.failureResultOf(Deferred.fromCoroutine(sharing), CommandError).value
        self.assertIs(problem.status, ExitStatus.USAGE)
        self.assertIn("--folder", str(problem))
        self.assertEqual(list(folder.iterdir()), [])

    def test_unfinished(self) -> None:
        """A file that a node would take for unfinished is refused, with the end of its name."""
        folder = Path(self.mktemp()).resolve()
        folder.mkdir(parents=True)
        for end in (".part", ".aria2", "~"):
            file = folder / f"file{end}"
            file.write_bytes(b"content")
            sharing = share(
                cast(ICommandReactor, None),
                cast(Session, None),
                (str(file),),
                "http://127.0.0.1:8000",
                None,
                False,
            )
            problem = self.failureResultOf(Deferred.fromCoroutine(sharing), CommandError).value
            self.assertIn(f"{file}: a node shares nothing whose name ends with {end}", str(problem))

    def test_there_already(self) -> None:
        """What can't be opened, or has another size, is another file, and is not read."""
        folder, file = Path(self.mktemp()), Path(self.mktemp())
        folder.mkdir()

        class Near:
            async def health(self, location: str) -> Health:
                return Health("near", 0, False, None, str(folder))

        reactor = cast(ICommandReactor, Clock())
        session = Session(reactor, cast(Client, Near()), Settings(progress="none"))
        read: list[object] = []

        def hash_slices(file: object, digest: object) -> Iterator[None]:
            read.append(file)
            yield

        self.patch(share_module, "hash_slices", hash_slices)
        there = folder / file.name
        for content, put in (
            (b"", lambda: os.mkfifo(there)),
            (b"content", lambda: there.write_bytes(b"longer content")),
        ):
            file.write_bytes(content)
            put()
            sharing = Deferred.fromCoroutine(
                share(reactor, session, (str(file),), "http://127.0.0.1:8000", None, False)
            )
            cast(Clock, reactor).pump([0.1] * 10)
            problem = self.failureResultOf(sharing, CommandError).value
            self.assertIn("exists and is another file", str(problem))
            self.assertEqual(read, [])
            there.unlink()

    def test_folder_not_told(self) -> None:
        """Where a node tells no folder, what is said is to name it."""

        class Near:
            async def health(self, location: str) -> Health:
                return Health("near", 0, False, None)

        session = Session(
            cast(ICommandReactor, None), cast(Client, Near()), Settings(progress="none")
        )
        self.patch(share_module, "is_own", lambda host: True)
        sharing = share(
            cast(ICommandReactor, None), session, (), "http://192.0.2.1:8000", None, False
        )
        problem = self.failureResultOf(Deferred.fromCoroutine(sharing), CommandError).value
        self.assertIn("with --folder", str(problem))

    def test_folder_gone(self) -> None:
        """Nothing is put where the node's folder was."""
        folder = Path(self.mktemp())
        folder.mkdir()

        class Near:
            async def health(self, location: str) -> Health:
                return Health("near", 0, False, None, str(folder), folder_problem="it is gone")

        session = Session(
            cast(ICommandReactor, None), cast(Client, Near()), Settings(progress="none")
        )
        sharing = share(
            cast(ICommandReactor, None), session, (__file__,), "http://127.0.0.1:8000", None, False
        )
        problem = self.failureResultOf(Deferred.fromCoroutine(sharing), CommandError).value
        self.assertIn("it is gone", str(problem))
        self.assertEqual(list(folder.iterdir()), [])


class NearNode:
    """A node of this machine that lists all that is in its folder at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        #: Names that are not listed yet.
        self.unlisted: set[str] = set()

    async def health(self, location: str) -> Health:
        return Health("near", 0, False, "127.0.0.1:1", str(self.folder))

    async def search_node(self, location: str, name: str, id: str) -> list[Holding]:
        listed = [path for path in self.folder.rglob("*") if path.is_file()]
        names = [
            path.relative_to(self.folder).as_posix()
            for path in listed
            if sha256(path.read_bytes()).hexdigest() == id
        ]
        names = sorted(set(names) - self.unlisted)
        file = HeldFile("127.0.0.1:8000", ["127.0.0.1:8000"], names[0], 1, names[1:])
        return [Holding(id, file)]


class WhatIsSharedTests(SynchronousTestCase):
    """What comes into the node's folder, and what is said of the rest."""

    def setUp(self) -> None:
        self.folder, self.here = Path(self.mktemp()), Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.here.mkdir()
        self.node = NearNode(self.folder)
        self.told: list[str] = []
        self.patch(share_module, "print_message", self.told.append)
        self.patch(share_module, "print_lines", lambda *lines: None)
        mask = os.umask(0o022)
        self.addCleanup(os.umask, mask)

    def put(self, name: str, mode: int = 0o644) -> Path:
        """Make a file, and the folders above it."""
        path = self.here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        path.chmod(mode)
        return path

    def share(self, *names: str, seconds: int = 10) -> Deferred[ExitStatus]:
        """Share these, and let so much time pass."""
        clock = self.clock = Clock()
        session = Session(
            cast(ICommandReactor, clock), cast(Client, self.node), Settings(progress="none")
        )
        paths = tuple(str(self.here / name) for name in names)
        sharing = Deferred.fromCoroutine(
            share(
                cast(ICommandReactor, clock), session, paths, "http://127.0.0.1:8000", None, False
            )
        )
        clock.pump([0.1] * 10 * seconds)
        return sharing

    def there(self) -> list[str]:
        """The files in the node's folder."""
        found = self.folder.rglob("*")
        return sorted(path.relative_to(self.folder).as_posix() for path in found if path.is_file())

    def mode(self, name: str) -> int:
        return (self.folder / name).stat().st_mode & 0o7777

    def refused(self, words: str, *names: str) -> None:
        """It is refused at once, in these words, and nothing is copied."""
        problem = self.failureResultOf(self.share(*names), CommandError).value
        self.assertIn(words, str(problem))
        self.assertIn(str(self.here / names[-1]), str(problem))
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_modes(self) -> None:
        """A copy may be read, written and run by whom the file may; it gives nobody more."""
        modes = {"a": 0o600, "b": 0o755, "c": 0o444, "d": 0o640, "e": 0o666, "f": 0o6755}
        for name, mode in modes.items():
            self.put(name, mode)
        self.assertIs(self.successResultOf(self.share(*modes)), ExitStatus.OK)
        kept = modes | {"f": 0o755}
        self.assertEqual({name: self.mode(name) for name in modes}, kept)

    def test_second_name(self) -> None:
        """What is listed by another name already is waited for until it is by this one too."""
        for name in ("a", "b"):
            self.put(name).write_bytes(b"same")
        self.successResultOf(self.share("a"))
        self.node.unlisted = {"b"}
        sharing = self.share("b", seconds=3)
        self.assertNoResult(sharing)
        self.node.unlisted.clear()
        self.clock.pump([0.1] * 5)
        self.assertIs(self.successResultOf(sharing), ExitStatus.OK)

    def test_name_that_is_not_listed(self) -> None:
        """It is not waited for without end: of very many names some are listed, and not all."""
        for name in ("a", "b"):
            self.put(name).write_bytes(b"same")
        self.node.unlisted = {"b"}
        sharing = self.share("a", "b", seconds=4)
        self.assertNoResult(sharing)
        self.clock.pump([0.1] * 20)
        self.assertIs(self.successResultOf(sharing), ExitStatus.OK)

    def test_never_readable(self) -> None:
        """Nor can it be opened by others before it has its mode, be it ever so short."""
        seen: list[int] = []
        chmod = os.fchmod

        def watch(file: int, mode: int) -> None:
            seen.append(os.fstat(file).st_mode & 0o777)
            chmod(file, mode)

        self.patch(os, "fchmod", watch)
        self.put("a", 0o600)
        self.successResultOf(self.share("a"))
        self.assertEqual(seen, [0o600])

    def test_no_modes(self) -> None:
        """A file system that knows no modes takes the copy all the same."""

        def refuse(file: int, mode: int) -> None:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

        self.put("a", 0o600)
        self.patch(os, "fchmod", refuse)
        self.assertIs(self.successResultOf(self.share("a")), ExitStatus.OK)
        self.assertEqual(self.there(), ["a"])

    def test_modes_of_folders(self) -> None:
        """Folders are made as private as they are; those that are there stay as they are."""
        self.put("tree/a/b/file")
        self.put("tree/old/file")
        for name, mode in (("tree", 0o750), ("tree/a", 0o1777), ("tree/a/b", 0o500)):
            (self.here / name).chmod(mode)
        (self.folder / "tree" / "old").mkdir(parents=True)
        (self.folder / "tree").chmod(0o711)
        self.assertIs(self.successResultOf(self.share("tree")), ExitStatus.OK)
        modes = [self.mode(name) for name in ("tree", "tree/old", "tree/a", "tree/a/b")]
        self.assertEqual(modes, [0o711, 0o755, 0o755, 0o700])

    def test_modes_of_the_first_folder(self) -> None:
        """The folder that was named is no exception."""
        self.put("tree/file")
        (self.here / "tree").chmod(0o700)
        self.successResultOf(self.share("tree"))
        self.assertEqual(self.mode("tree"), 0o700)

    def test_unreadable(self) -> None:
        """What can't be read of a folder is named, the rest is shared, and the status says it."""
        for name in ("a", "b", "c"):
            self.put(f"tree/{name}")
        opened = SourceFile.open

        def refuse(source: SourceFile) -> object:
            if source.path.name == "b":
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return opened(source)

        self.patch(SourceFile, "open", refuse)
        with open(os.fsencode(self.here) + b"/tree/latin-\xe4", "wb"):
            pass
        self.assertIs(self.successResultOf(self.share("tree")), ExitStatus.FAILED)
        self.assertEqual(self.there(), ["tree/a", "tree/c"])
        first, second = self.told
        self.assertIn("is left out: its name is not UTF-8", first)
        self.assertEqual(second, f"{self.here}/tree/b is left out: Permission denied")

    def test_too_long(self) -> None:
        """A file that only has too long a name with the folder's is named too."""
        self.patch(folder_walk, "NAME_MAX", 9)
        for name in ("tree/1234", "tree/12345", "tree/123456789", "tree/1234567890"):
            self.put(name)
        self.assertIs(self.successResultOf(self.share("tree")), ExitStatus.FAILED)
        self.assertEqual(self.there(), ["tree/1234"])
        self.assertEqual(len(self.told), 3)
        for line in self.told:
            self.assertIn("is left out: ", line)

    def test_names_that_are_not_shared(self) -> None:
        """A name that no node shares is refused before anything is copied, with the reason."""
        for name in ("x.part", "x.part.journal", ".hidden", ".folder/file", "good"):
            self.put(name)
        self.refused("unfinished", "good", "x.part")
        self.refused("unfinished", "x.part.journal")
        self.refused("nothing hidden", ".hidden")
        self.refused("nothing hidden", ".folder")

    def test_nothing_in_it(self) -> None:
        """A folder with nothing that a node shares is refused, be it empty or not."""
        for name in ("parts/x.part", "hidden/.a", "hidden/.b/c", "good"):
            self.put(name)
        (self.here / "empty" / "too").mkdir(parents=True)
        for name in ("empty", "parts", "hidden"):
            self.refused("there is nothing to share in it", "good", name)

    def test_root(self) -> None:
        """The root folder, which has no name to be shared under, is refused."""
        problem = self.failureResultOf(self.share("/"), CommandError).value
        self.assertIn("no name", str(problem))
