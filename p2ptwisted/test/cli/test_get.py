"""Tests of `p2ptwisted.cli.get`: where fetched files go."""

import io
import os
import stat
import sys
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.cli import get as get_module
from p2ptwisted.cli.exit_status import CommandError, ExitStatus
from p2ptwisted.cli.get import GetJob, target_paths
from p2ptwisted.cli.matches import FoundResource
from p2ptwisted.cli.session import ICommandReactor, Session
from p2ptwisted.cli.transfer_tally import Row
from p2ptwisted.pieces import Pieces
from p2ptwisted.support.rate_limit import RateLimit
from p2ptwisted.test.fakes import Slices
from p2ptwisted.transfer.download import Download
from p2ptwisted.transfer.piece_picker import PiecePicker

ID, OTHER = "a" * 64, "b" * 64


def match(name: str | None, id: str = ID) -> FoundResource:
    return FoundResource(id, name, 7, ["10.0.0.1:8000"], [])


class TargetPathsTests(SynchronousTestCase):
    """Where fetched files go."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def test_folder(self) -> None:
        """Into a folder, that is there or that ends in a slash, they go by their own names."""
        for output in (str(self.folder), f"{self.folder}/new/"):
            found = target_paths([match("data/a"), match("b", OTHER)], output)
            self.assertEqual(found, [Path(output, "a"), Path(output, "b")])

    def test_here(self) -> None:
        """Without a word they go to this folder."""
        self.assertEqual(target_paths([match("data/a")], None), [Path("a")])

    def test_file(self) -> None:
        """One can be given a name; several can't."""
        as_file = str(self.folder / "as")
        self.assertEqual(target_paths([match("a")], as_file), [Path(as_file)])
        error = self.assertRaises(
            CommandError, target_paths, [match("a"), match("b", OTHER)], as_file
        )
        self.assertEqual(error.status, ExitStatus.USAGE)
        self.assertRaises(CommandError, target_paths, [match("a")], as_file, more=True)
        self.assertEqual(target_paths([], as_file, more=True), [])

    def test_nameless(self) -> None:
        """One without a name is called by its id."""
        self.assertEqual(target_paths([match(None)], None), [Path(ID)])

    def test_hostile(self) -> None:
        """No name leads out of the folder."""
        for name in ("../../etc/passwd", "/etc/passwd", "..", "a/../..", ".hidden"):
            (place,) = target_paths([match(name)], str(self.folder))
            self.assertEqual(place.parent, self.folder)
            self.assertFalse(place.name.startswith("."))

    def test_same_name(self) -> None:
        """Two that would go to one place are refused."""
        self.assertRaises(CommandError, target_paths, [match("x/a"), match("y/a", OTHER)], None)


class GetJobTests(SynchronousTestCase):
    """What is fetched to one file."""

    def test_a_lying_size(self) -> None:
        """What is here already is, whatever size a stranger says that it has."""
        path = Path(self.mktemp())
        path.write_bytes(b"content")
        slices = Slices()
        getting = GetJob(FoundResource(sha256(b"content").hexdigest(), "file", 99, [], []), path)
        reactor = cast(ICommandReactor, Clock())
        run = getting.run(reactor, cast(Session, None), slices.cooperator, False, RateLimit(None))
        got = Deferred.fromCoroutine(run)
        slices.run()
        self.successResultOf(got)
        self.assertEqual((getting.result.state, getting.result.size), ("present", 7))

    def test_by_another_program(self) -> None:
        """What another program brings is here already; that it was waited for is told."""
        path, rows = Path(self.mktemp()), []
        bring = partial(path.write_bytes, b"content")

        class Waiting:
            """A download that another program has the part of."""

            part = picker = None
            troubles: dict[str, str] = {}
            was_there = is_waiting = False

            def __init__(self, *_: object, waits: Callable[[], None], **options: object) -> None:
                self.waits = waits

            async def run(self) -> None:
                self.is_waiting = True
                self.waits()
                rows.append(getting.row().note)
                bring()
                self.was_there = True

        written = io.StringIO()
        self.patch(sys, "stderr", written)
        self.patch(get_module, "Download", Waiting)
        getting = GetJob(match("file"), path)
        session = cast(Session, SimpleNamespace(client=None))
        reactor = cast(ICommandReactor, Clock())
        run = getting.run(reactor, session, Slices().cooperator, False, RateLimit(None))
        self.successResultOf(Deferred.fromCoroutine(run))
        self.assertEqual((getting.result.state, getting.result.size), ("present", 7))
        self.assertIn(f"{path} is being fetched by another program", written.getvalue())
        self.assertEqual(rows, ["another program fetches it"])
        self.assertEqual(getting.row().state, "present")
        self.assertEqual(getting.row().closing, f"{path} is here already")

    def test_holders(self) -> None:
        """The holders beside a bar are those that give something: no liars, and none that died."""
        pieces = Pieces(7, bytes(32))
        picker = PiecePicker(pieces)
        _, silent, liar, _ = (picker.offer(f"{host}:1", 1) for host in "abcd")
        picker.failed(silent, 0.0)
        picker.distrust(liar, "wrong bytes")
        picker.leave("d:1")
        job = GetJob(match("file"), Path(self.mktemp()))
        part = SimpleNamespace(pieces=pieces)
        rate = SimpleNamespace(add=lambda count, now: None, value=lambda: 2.0)
        job.download = cast(Download, SimpleNamespace(picker=picker, part=part, rate=rate))
        job._reactor = cast(ICommandReactor, Clock())
        self.assertEqual(job.row(), Row(0, 7, 2.0, 3.5, "1 holder"))
        self.assertEqual(job.row().state, "running")

    def test_two_names(self) -> None:
        """What is asked for by two names comes to two files, the second copied from the first."""
        folder = Path(self.mktemp())
        folder.mkdir()
        first, second = folder / "first", folder / "second"
        id = sha256(b"content").hexdigest()
        jobs = [GetJob(match("x", id), path) for path in (first, second)]
        jobs[1].source = jobs[0]
        first.write_bytes(b"content")
        first.chmod(0o640)
        for job in jobs:
            self.run_job(job)
        self.assertEqual([job.result.state for job in jobs], ["present", "done"])
        self.assertEqual(second.read_bytes(), b"content")
        self.assertEqual(stat.S_IMODE(second.stat().st_mode), 0o640)
        self.assertEqual(sorted(os.listdir(folder)), ["first", "second"])
        self.assertEqual(jobs[1].result.size, 7)
        self.assertIn(f"{second}: has the same content as {first}", jobs[1].row().closing)

    def test_two_names_and_another_file(self) -> None:
        """Another file that has the second name stays, unless it is to be replaced."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "first").write_bytes(b"content")
        (folder / "second").write_bytes(b"another")
        source = GetJob(match("x", sha256(b"content").hexdigest()), folder / "first")
        for force, state in ((False, "failed"), (True, "done")):
            job = GetJob(match("x", sha256(b"content").hexdigest()), folder / "second")
            job.source = source
            self.run_job(job, force)
            self.assertEqual(job.result.state, state, job.result.error)
        self.assertEqual((folder / "second").read_bytes(), b"content")

    def test_nothing_to_copy(self) -> None:
        """Where the first is not fetched, or is no longer what it was, the second fails, too."""
        folder = Path(self.mktemp())
        folder.mkdir()
        source = GetJob(match("x"), folder / "first")
        (folder / "first").write_bytes(b"changed")
        for status, told in ((ExitStatus.NOT_FOUND, "was not fetched"), (ExitStatus.OK, "changed")):
            source.status = status
            job = GetJob(match("x"), folder / "second")
            job.source = source
            self.run_job(job)
            self.assertIn(told, str(job.result.error))
            self.assertIs(job.status, status or ExitStatus.FAILED)
            self.assertEqual(os.listdir(folder), ["first"])

    def run_job(self, job: GetJob, force: bool = False) -> None:
        slices, reactor = Slices(), cast(ICommandReactor, Clock())
        run = job.run(reactor, cast(Session, None), slices.cooperator, force, RateLimit(None))
        done = Deferred.fromCoroutine(run)
        slices.run()
        self.successResultOf(done)

    def test_no_file(self) -> None:
        """What is not a regular file is refused before anything is fetched, even by force."""
        folder = Path(self.mktemp())
        folder.mkdir()
        os.mkfifo(folder / "pipe")
        (folder / "link").symlink_to("nothing")
        os.mknod(folder / "socket", stat.S_IFSOCK | 0o600)
        written = io.StringIO()
        self.patch(sys, "stderr", written)
        for path in folder.iterdir():
            getting = GetJob(match("file"), path)
            reactor = cast(ICommandReactor, Clock())
            run = getting.run(
                reactor, cast(Session, None), Slices().cooperator, True, RateLimit(None)
            )
            self.successResultOf(Deferred.fromCoroutine(run))
            self.assertIn("is not a regular file", str(getting.result.error))
            self.assertNotIn("--force", str(getting.result.error))
            self.assertIs(getting.status, ExitStatus.FAILED)
