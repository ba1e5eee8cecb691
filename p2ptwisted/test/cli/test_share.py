"""Tests of `p2ptwisted.cli.share`."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.cli import share as share_module
from p2ptwisted.cli.exit_status import CommandError, ExitStatus
from p2ptwisted.cli.session import ICommandReactor, Session, Settings
from p2ptwisted.cli.share import share
from p2ptwisted.client.api import Client
from p2ptwisted.model import Health


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

        session = Session(cast(ICommandReactor, None), cast(Client, Far()), Settings())
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
        session = Session(reactor, cast(Client, Near()), Settings())
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
        """A node of this machine that is called by another address of it tells no folder."""

        class Near:
            async def health(self, location: str) -> Health:
                return Health("near", 0, False, None)

        session = Session(cast(ICommandReactor, None), cast(Client, Near()), Settings())
        self.patch(share_module, "is_own", lambda host: True)
        sharing = share(
            cast(ICommandReactor, None), session, (), "http://192.0.2.1:8000", None, False
        )
        problem = self.failureResultOf(Deferred.fromCoroutine(sharing), CommandError).value
        self.assertIn("call it as 127.0.0.1", str(problem))
