"""Tests of `p2ptwisted.transfer.destination`: two downloads of one resource to one place."""

from pathlib import Path

from twisted.internet.defer import CancelledError, Deferred

from p2ptwisted.test.transfer.download_case import CONTENT, STEP, DownloadCase
from p2ptwisted.test.transfer_fakes import LENGTH, FakeHolder, id_of
from p2ptwisted.transfer.destination import OTHER_RETRY
from p2ptwisted.transfer.download import Download

OTHER = bytes(reversed(CONTENT))


class SamePlaceTests(DownloadCase):
    """One of them fetches; the other waits for it."""

    def setUp(self) -> None:
        super().setUp()
        self.holder = self.add("a:1")
        self.holder.pause = 0.5

    def begin(self, download: Download) -> Deferred[Path]:
        """Start one, and let it get to where it asks for pieces, or waits."""
        running = Deferred.fromCoroutine(download.run())
        self.clock.pump([STEP] * 20)
        return running

    def both(self, overwrite: bool = False) -> Download:
        """Two, of which the second waits and ends with the file."""
        first = self.begin(self.make(overwrite=overwrite))
        download = self.make(overwrite=overwrite)
        second = self.begin(download)
        self.assertTrue(download.is_waiting)
        while not first.called:
            self.clock.advance(STEP)
        self.go_on(second)
        self.assertEqual(self.successResultOf(first), self.successResultOf(second))
        self.assertEqual((self.folder / "file").read_bytes(), CONTENT)
        self.assertEqual([one.name for one in self.folder.iterdir()], ["file"])
        return download

    def fetched(self) -> int:
        """How often a piece was fetched."""
        return len(self.holder.wanted)

    def test_waits(self) -> None:
        """The second ends when the first has it, says once that it waits, and asks for no piece."""
        download = self.both()
        self.assertTrue(download.was_there)
        self.assertIs(download.part, None)
        self.assertEqual(self.waits, 1)
        self.assertEqual(self.fetched(), len(CONTENT) // LENGTH)

    def test_forced(self) -> None:
        """So it is where both may replace a file that stands there."""
        self.folder.mkdir()
        (self.folder / "file").write_bytes(b"old")
        self.assertTrue(self.both(overwrite=True).was_there)
        self.assertEqual(self.fetched(), len(CONTENT) // LENGTH)

    def test_goes_on(self) -> None:
        """Where the first is given up, the second goes on with what has come."""
        first = self.begin(self.make())
        second = self.begin(self.make())
        while not self.starts:
            self.clock.advance(STEP)
        had = self.fetched()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.clock.pump([STEP] * round(OTHER_RETRY / STEP))
        self.go_on(second)
        self.assertEqual(self.successResultOf(second).read_bytes(), CONTENT)
        self.assertLess(self.fetched() - had, len(CONTENT) // LENGTH)

    def test_cancelled(self) -> None:
        """The one that waits can be given up; the other goes on."""
        first = self.begin(self.make())
        second = self.begin(self.make())
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.go_on(first)
        self.successResultOf(first)

    def test_another_resource(self) -> None:
        """For another resource of the same name there is nothing to wait for."""
        first = self.begin(self.make())
        self.listed.locations.clear()
        self.add("b:1", FakeHolder(OTHER))
        self.download = self.make(id=id_of(OTHER))
        second = self.begin(self.download)
        self.clock.pump([STEP] * 100)
        self.assertIn("is being fetched already", str(self.failureResultOf(second).value))
        self.assertEqual(self.waits, 0)
        first.cancel()
        self.failureResultOf(first, CancelledError)

    def test_there(self) -> None:
        """What is there by the time that it is known where it goes, is not asked for."""
        self.folder.mkdir()
        (self.folder / "file").write_bytes(CONTENT)
        running = self.start()
        self.go_on(running)
        self.assertEqual(self.successResultOf(running).read_bytes(), CONTENT)
        self.assertTrue(self.download.was_there)
        self.assertEqual(self.holder.wanted, [])

    def test_same_size(self) -> None:
        """Another file of the same size is another file."""
        self.folder.mkdir()
        (self.folder / "file").write_bytes(OTHER)
        self.assertIn("is another file", self.fails())
        self.assertEqual((self.folder / "file").read_bytes(), OTHER)
