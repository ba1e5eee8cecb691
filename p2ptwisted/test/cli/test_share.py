"""Tests of `p2ptwisted.cli.share`."""

from pathlib import Path
from typing import cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

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
