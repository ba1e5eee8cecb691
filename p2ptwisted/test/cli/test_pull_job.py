"""Tests of `p2ptwisted.cli.pull_job`."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.cli.matches import FoundResource
from p2ptwisted.cli.pull_job import PullJob
from p2ptwisted.model import DownloadStatus

ID = "a" * 64

#: Two nodes that have it.
HOLDER, BACKUP = "10.0.0.1:8000", "10.0.0.2:8000"


class PullJobTests(SynchronousTestCase):
    """One resource on its way to one node."""

    def setUp(self) -> None:
        match = FoundResource(ID, "asked-for.bin", 7, [HOLDER], [])
        self.job = PullJob(Clock(), match, "nn3", "10.0.0.3:8000")

    def take(self, state: str, name: str | None = None, **more: object) -> None:
        self.job.take(DownloadStatus(ID, state, name, 7, **more))  # type: ignore[arg-type]

    def test_name(self) -> None:
        """Its name is the one that was asked for in each state; the node's own is another key."""
        for state, name in (("waiting", None), ("running", "data/it"), ("done", "data/it")):
            self.take(state, name)
            self.assertEqual(self.job.result.name, "asked-for.bin")
        self.assertEqual(self.job.result.stored_as, "data/it")

    def test_states(self) -> None:
        """A row has the state of the fetch; one that took nothing from anybody was there."""
        self.assertEqual(self.job.row().state, "waiting")
        self.take("running", here=3, holders={HOLDER: 3})
        self.assertEqual(self.job.row().state, "running")
        self.take("done", here=7, holders={HOLDER: 7, BACKUP: 0})
        row = self.job.row()
        self.assertEqual(row.state, "done")
        self.assertEqual(row.closing, "nn3: 7 B in 0.0 s from 1 holder, verified")
        self.take("done", here=7)
        row = self.job.row()
        self.assertEqual((row.state, row.closing), ("present", "nn3: had it already"))
        # For a program it is done in both cases.
        self.assertEqual(self.job.result.state, "done")
        self.take("failed")
        self.assertEqual((self.job.row().state, self.job.row().closing), ("failed", ""))

    def test_holders(self) -> None:
        """Those beside a bar are the ones that give something now."""
        self.take("running", here=3, holders={HOLDER: 3, BACKUP: 0}, troubles={BACKUP: "no answer"})
        self.assertEqual(self.job.row().note, "1 holder")
