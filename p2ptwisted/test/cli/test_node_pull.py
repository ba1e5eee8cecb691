"""Tests of `p2ptwisted.cli.node_pull`."""

import io
import sys

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.cli.matches import FoundResource
from p2ptwisted.cli.node_pull import NodePull
from p2ptwisted.cli.pull_job import PullJob
from p2ptwisted.model import DownloadStatus

HOLDER, BACKUP = "10.0.0.1:8000", "10.0.0.2:8000"

#: Bytes of each file.
SIZE = 1000


class NodePullTests(SynchronousTestCase):
    """Three files on their way to one node."""

    def setUp(self) -> None:
        self.told = io.StringIO()
        self.patch(sys, "stderr", self.told)
        self.clock = Clock()
        self.node = self.pull_of(3)

    def pull_of(self, count: int) -> NodePull:
        matches = [FoundResource(f"{one}" * 64, f"{one}.bin", SIZE, [], []) for one in range(count)]
        return NodePull(
            [PullJob(self.clock, one, "nn3", "10.0.0.3:8000", count > 1) for one in matches]
        )

    def take(self, number: int, state: str, **more: object) -> None:
        job = self.node.jobs[number]
        job.take(DownloadStatus(job.order.id, state, None, SIZE, **more))  # type: ignore[arg-type]

    def test_progress(self) -> None:
        """The row has the sums of all files, and says how many are there."""
        row = self.node.row()
        self.assertEqual((row.state, row.here, row.size), ("waiting", 0, 3 * SIZE))
        self.take(0, "running", here=400, rate=100.0)
        self.take(1, "running", here=100, rate=50.0)
        self.take(0, "running", here=500, rate=150.0)
        row = self.node.row()
        self.assertEqual((row.state, row.here, row.rate), ("running", 600, 200.0))
        self.assertEqual((row.seconds_left, row.note), (12.0, "0 of 3 files"))
        self.take(0, "done", here=SIZE, holders={HOLDER: SIZE})
        row = self.node.row()
        self.assertEqual((row.here, row.rate, row.note), (1100, 50.0, "1 of 3 files"))

    def test_no_rate(self) -> None:
        """When nothing comes any more there is no rate, whatever the rates were."""
        for rate in (0.1, 0.2, 0.3):
            self.take(0, "running", here=1, rate=rate)
            self.take(1, "running", here=1, rate=3 * rate)
        self.take(0, "done", here=SIZE, holders={HOLDER: SIZE})
        self.take(1, "done", here=SIZE, holders={HOLDER: SIZE})
        row = self.node.row()
        self.assertEqual((row.state, row.rate, row.seconds_left), ("running", None, None))

    def test_fetched(self) -> None:
        """At the end a line says what came, in what time, and from how many holders."""
        for number, holder in enumerate((HOLDER, BACKUP, HOLDER)):
            self.assertEqual(self.node.row().closing, "")
            self.clock.advance(1)
            self.take(number, "done", here=SIZE, holders={holder: SIZE, "10.0.0.9:8000": 0})
        row = self.node.row()
        self.assertEqual(row.state, "done")
        self.assertEqual(row.closing, "nn3: 3 files, 2.9 KiB in 3.0 s from 2 holders, verified")
        self.assertEqual(self.node.result_line, "nn3  10.0.0.3:8000  3 files  2.9 KiB")

    def test_had_some(self) -> None:
        """What the node had before is counted apart."""
        for number in range(2):
            self.take(number, "done", here=SIZE)
        self.take(2, "done", here=SIZE, holders={HOLDER: SIZE})
        self.assertEqual(
            self.node.row().closing,
            "nn3: 1 file, 1000 B in 0.0 s from 1 holder, verified; it had 2 already",
        )

    def test_had_all(self) -> None:
        """A node that had all of them is present, as a single file is."""
        for number in range(3):
            self.take(number, "done", here=SIZE)
        row = self.node.row()
        self.assertEqual((row.state, row.closing), ("present", "nn3: had all 3 files already"))

    def test_failed(self) -> None:
        """What fails is named at once, and doesn't count in the sums or the result."""
        self.take(0, "running", here=500, rate=150.0)
        self.take(0, "failed", error="no room")
        self.assertIn("nn3 at 10.0.0.3:8000: 0.bin: no room", self.told.getvalue())
        for number in (1, 2):
            self.take(number, "done", here=SIZE, holders={HOLDER: SIZE})
        row = self.node.row()
        self.assertEqual((row.state, row.closing, row.rate), ("failed", "", None))
        self.assertEqual(self.node.result_line, "nn3  10.0.0.3:8000  2 of 3 files  2.0 KiB")
        self.assertEqual(self.node.outcome.missing, ["0.bin"])

    def test_lost(self) -> None:
        """A node that is lost has failed with all that it lacks."""
        for job in self.node.jobs:
            job.lose("it is gone")
        self.assertEqual((self.node.row().state, self.node.good), ("failed", 0))

    def test_one(self) -> None:
        """Of one file it is that file's row, and the result names it."""
        self.node = self.pull_of(1)
        self.take(0, "done", here=SIZE, holders={HOLDER: SIZE})
        self.assertEqual(self.node.row().closing, "nn3: 1000 B in 0.0 s from 1 holder, verified")
        self.assertEqual(self.node.result_line, "nn3  10.0.0.3:8000  0.bin  1000 B")
