"""Tests of `p2ptwisted.transfer.lookups`."""

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.errors import Unavailable
from p2ptwisted.model import Holders
from p2ptwisted.test.transfer_fakes import FakeHolder, SwarmClient, id_of
from p2ptwisted.transfer.lookups import (
    ALONE_FIRST,
    ALONE_MAX,
    LOOK,
    LOOKUP_FIRST,
    LOOKUP_MAX,
    LOOKUP_MAX_FULL,
    Lookups,
)
from p2ptwisted.transfer.swarm import CHOSEN_MAX, Swarm

CONTENT = b"content"


class LookupsTests(SynchronousTestCase):
    """When the holders are looked up."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.client = SwarmClient(self.clock)
        self.listed = Holders(id_of(CONTENT), [], [])
        self.problem: Exception | None = None
        self.is_alone = False
        #: When it was looked up.
        self.times: list[float] = []
        self.swarm = Swarm(self.clock, self.client, id_of(CONTENT), self.find, lambda: None)
        lookups = Lookups(self.clock, self.swarm, lambda: self.is_alone)
        self.running = Deferred.fromCoroutine(lookups.run())
        self.addCleanup(self.stop)

    async def find(self, here: bool) -> Holders:
        self.assertFalse(here)
        self.times.append(self.clock.seconds())
        if self.problem is not None:
            raise self.problem
        return self.listed

    def stop(self) -> None:
        """Nothing is left when it is cancelled."""
        self.running.cancel()
        self.failureResultOf(self.running, CancelledError)
        self.swarm.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def pauses(self, seconds: float) -> list[float]:
        """The times between the look-ups within so many seconds, from the last one on."""
        self.times = self.times[-1:] or [0.0]  # It was just begun.
        self.clock.pump([LOOK / 5] * round(5 * seconds / LOOK))
        return [after - before for before, after in zip(self.times, self.times[1:], strict=False)]

    def assert_about(self, pauses: list[float], expected: list[float]) -> None:
        """They are these, but for the time until the next look."""
        self.assertEqual(len(pauses), len(expected), f"{pauses}")
        for pause, exactly in zip(pauses, expected, strict=True):
            self.assertTrue(exactly <= pause + 1e-6 and pause <= exactly + 2 * LOOK, f"{pauses}")

    def test_rarely(self) -> None:
        """Not at once, for somebody is known; then ever more rarely, up to a bound."""
        expected = [LOOKUP_FIRST, 2 * LOOKUP_FIRST, LOOKUP_MAX, LOOKUP_MAX]
        self.assert_about(self.pauses(sum(expected) + 3.0), expected)

    def test_full(self) -> None:
        """More rarely still where there are as many neighbors as there may be."""
        for number in range(CHOSEN_MAX):
            self.client.peers[f"a{number}:1"] = FakeHolder(CONTENT)
            self.listed.locations.append(f"a{number}:1")
        expected = [2.0, 4.0, 8.0, 16.0, LOOKUP_MAX_FULL, LOOKUP_MAX_FULL]
        self.assert_about(self.pauses(sum(expected) + 4.0), expected)
        self.assertEqual(len(self.swarm.neighbors), CHOSEN_MAX)

    def test_alone(self) -> None:
        """Soon, though no more often than so, as long as nobody gives anything."""
        self.is_alone = True
        expected = [ALONE_FIRST, 2 * ALONE_FIRST, ALONE_MAX, ALONE_MAX, ALONE_MAX]
        self.assert_about(self.pauses(sum(expected) + 1.5), expected)

    def test_alone_later(self) -> None:
        """The same where that begins later, in the middle of a long pause."""
        self.pauses(40.0)
        self.is_alone = True
        self.assertGreaterEqual(len(self.pauses(3.0)), 2)

    def test_alone_again(self) -> None:
        """Once somebody has given something, it is soon again the next time."""
        self.is_alone = True
        self.pauses(20.0)
        self.is_alone = False
        self.pauses(25.0)
        self.is_alone = True
        self.assertEqual(len(self.pauses(2 * LOOK)), 1, "not at once")
        self.assertEqual(len(self.pauses(2 * ALONE_FIRST + LOOK)), 1)

    def test_fails(self) -> None:
        """A look-up that fails is followed by the next; only a mistake of ours is in the log."""
        self.problem = Unavailable("no supernode")
        self.assertEqual(len(self.pauses(LOOKUP_FIRST + 1.0)), 1)
        self.problem = ZeroDivisionError()
        self.assertEqual(len(self.pauses(2 * LOOKUP_FIRST)), 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.problem = None
        self.assertEqual(len(self.pauses(LOOKUP_MAX + 1.0)), 1)

    def test_cancelled(self) -> None:
        """Cancelled during a look-up, that is given up too."""
        hung: Deferred[Holders] = Deferred()
        lookups = Lookups(
            self.clock,
            Swarm(self.clock, self.client, "id", lambda here: hung, lambda: None),
            lambda: False,
        )
        running = Deferred.fromCoroutine(lookups.run())
        self.clock.pump([LOOK] * round(2 * LOOKUP_FIRST / LOOK))
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.assertTrue(hung.called)
