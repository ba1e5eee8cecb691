"""Tests of downloads in a process that stands still: none of that time is anybody's silence."""

from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from p2ptwisted.errors import Interrupted, Unavailable
from p2ptwisted.model import Holders
from p2ptwisted.test.stoppable_clock import StoppableClock
from p2ptwisted.test.transfer.download_case import CONTENT, DownloadCase
from p2ptwisted.transfer.attempt import PIECE_TIMEOUT, SILENCE_TIMEOUT
from p2ptwisted.transfer.download import NO_PIECE_TIMEOUT

#: Seconds, longer than any limit of a download's.
STOPPED = NO_PIECE_TIMEOUT + 60

ONE, TWO = "10.0.0.1:80", "10.0.0.2:80"


class StandstillTests(DownloadCase):
    """A process that stands still in the middle, and goes on."""

    clock: StoppableClock

    def make_clock(self) -> StoppableClock:
        return StoppableClock()

    def stop_once(self, after: float) -> Deferred[Path]:
        """Start it, and let it stand still after so many seconds."""
        running = self.start()
        self.pass_time(after)
        self.assertNoResult(running)
        self.clock.stand_still(STOPPED)
        return running

    def pass_time(self, seconds: float) -> None:
        self.clock.pump([0.01] * round(seconds / 0.01))

    def comes(self, running: Deferred[Path]) -> float:
        """It comes, and nobody is blamed; the seconds that it takes."""
        seconds = self.go_on(running)
        self.assertEqual(self.successResultOf(running).read_bytes(), CONTENT)
        self.assertEqual(self.download.troubles, {})
        return seconds

    def test_anywhere(self) -> None:
        """At whatever moment it stands still, the download goes on as if it hadn't."""
        undisturbed = self.undisturbed()
        for tenth in range(10):
            self.setUp()
            self.add(ONE)
            running = self.stop_once(undisturbed * tenth / 10)
            self.comes(running)

    def undisturbed(self) -> float:
        """Seconds that it takes else."""
        self.add(ONE)
        return self.succeeds()

    def test_again_and_again(self) -> None:
        """So it does where it stands still all the time, but for moments."""
        self.add(ONE).pause = 0.3
        running = self.start()
        for _ in range(100):
            self.clock.stand_still(STOPPED)
            self.pass_time(0.1)
        self.comes(running)

    def test_slow_holder(self) -> None:
        """Nor is a holder that sends byte by byte taken for one that sends next to nothing."""
        self.add(ONE).trickles = 0.05
        self.comes(self.stop_once(0.4))

    def test_rate(self) -> None:
        """The rate, and so the time that is left, doesn't sink by it."""
        self.add(ONE).pause = 0.2
        running = self.start()
        self.pass_time(1)
        before = self.download.rate.value()
        assert before is not None
        self.clock.stand_still(STOPPED)
        self.clock.wake()
        self.download.rate.add(0, self.clock.seconds())
        after = self.download.rate.value()
        assert after is not None
        self.assertGreater(after, before / 2)
        self.comes(running)

    def test_silent_all_the_same(self) -> None:
        """A holder that is silent for its time while the process is awake fails as ever."""
        self.add(ONE).silent = True
        running = self.stop_once(1)
        self.assertGreater(self.go_on(running), PIECE_TIMEOUT - SILENCE_TIMEOUT)
        self.failureResultOf(running, Unavailable)

    def test_connections_died(self) -> None:
        """Where their connections died meanwhile, all are asked again at once, and none blamed."""
        holders = [self.add(ONE), self.add(TWO)]
        for holder in holders:
            holder.pause = 0.2
        running = self.stop_once(0.5)
        asked = [len(holder.wanted) for holder in holders]
        for holder in holders:
            holder.refusal = Interrupted("it broke off in the middle")
        self.pass_time(0.25)
        for holder in holders:
            holder.refusal = None
        self.pass_time(0.1)
        for holder, before in zip(holders, asked, strict=True):
            self.assertGreater(len(holder.wanted), before)
        self.assertEqual(self.download.troubles, {})
        self.comes(running)

    def test_looking_up(self) -> None:
        """While its holders are looked up it can stand still, too."""
        self.add(ONE)

        async def find(here: bool) -> Holders:
            await deferLater(self.clock, 1)
            return self.listed

        self.find = find  # type: ignore[method-assign]
        self.download = self.make()
        self.comes(self.stop_once(0.5))
