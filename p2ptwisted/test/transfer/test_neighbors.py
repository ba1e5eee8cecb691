"""Tests of `p2ptwisted.transfer.download`: with which holders it talks, and about what."""

from pathlib import Path

from twisted.internet.defer import CancelledError, Deferred

from p2ptwisted.client.transport import Refused
from p2ptwisted.errors import Unavailable
from p2ptwisted.model import Holders
from p2ptwisted.test.transfer.download_case import CONTENT, ID, STEP, DownloadCase
from p2ptwisted.test.transfer_fakes import LENGTH, PAUSE, FakeHolder, busy, cut, id_of
from p2ptwisted.transfer.attempt import (
    ALONE_AFTER,
    EXCHANGE_EVERY,
    LOOK_INTERVAL,
    REQUESTS_MAX,
    TEND_INTERVAL,
)
from p2ptwisted.transfer.lookups import LOOK, LOOKUP_FIRST
from p2ptwisted.transfer.neighbor_news import (
    ASKED_MAX,
    ASKED_TIME,
    IDLE_BELOW,
    NEWS_PAUSE_MIN,
    NEWS_PIECES,
)
from p2ptwisted.transfer.piece_picker import PLACE_TIME
from p2ptwisted.transfer.swarm import ANSWER_PATIENCE, CAME_MAX, CHOSEN_MAX

#: A resource with more pieces than there are neighbors.
LARGE = bytes(range(200)) * 2 * LENGTH


class LargeCase(DownloadCase):
    """A resource of many pieces."""

    def large(self, count: int, pause: float = PAUSE) -> Deferred[Path]:
        """So many have a large resource, and it is being fetched."""
        for number in range(count):
            self.add(f"a{number}:1", FakeHolder(LARGE)).pause = pause
        self.download = self.make(id=id_of(LARGE))
        return Deferred.fromCoroutine(self.download.run())

    def cancel(self, running: Deferred[Path]) -> None:
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.nothing_left()


class NewsTests(LargeCase):
    """Neighbors that get pieces while they are asked."""

    def test_at_once(self) -> None:
        """Who has nothing that is missing is asked at once when it has, and not polled before."""
        holder = self.add("a:1")
        holder.has = 0b1
        running = self.start()
        self.clock.pump([STEP] * 400)
        self.assertNoResult(running)
        self.assertLessEqual(holder.polled, 3)
        holder.has = 0b11111111
        self.assertLess(self.go_on(running), 0.5)
        self.successResultOf(running)

    def test_piece_by_piece(self) -> None:
        """The same with each piece that it gets."""
        holder = self.add("a:1")
        holder.has = 0b1
        running = self.start()
        for count in range(2, 9):
            self.clock.pump([STEP] * 120)
            self.assertEqual(len(holder.wanted), count - 1)
            holder.has = (1 << count) - 1
        self.go_on(running)
        self.successResultOf(running)

    def test_all_at_once(self) -> None:
        """While hardly a piece comes, all that have nothing are asked at once, and soon again."""
        holders = [self.add(f"a{number}:1") for number in range(10)]
        for holder in holders:
            holder.has = 0b1
        running = self.start()
        self.clock.pump([STEP] * round((LOOK_INTERVAL + 5 * STEP) / STEP))
        self.assertEqual(self.swarm.open, len(holders))
        asked_before = holders[0].polled
        for count in range(100):
            self.clock.advance(STEP)
            holders[0].has = 0b1 if count % 2 else 0
        each = NEWS_PAUSE_MIN + PAUSE
        self.assertApproximates(holders[0].polled - asked_before, 100 * STEP / each, 8)
        holders[9].has = 0b11111111
        self.assertLess(self.go_on(running), 0.5)
        self.successResultOf(running)

    def test_some_at_a_time(self) -> None:
        """While pieces come, of those that have nothing few are asked at once; later it is all."""
        # So many pieces come, and not all at once, that it is never idle.
        running = self.large(3 * IDLE_BELOW)
        for number, holder in enumerate(self.swarm.peers.values()):
            holder.pause = 0.1 + number * STEP
        self.clock.pump([STEP] * 50)
        holders = [FakeHolder(LARGE) for _ in range(8)]
        for number, holder in enumerate(holders):
            holder.has = 0b1
            self.swarm.peers[f"b{number}:1"] = holder
            self.download.meet(f"b{number}:1")
        questions = 0
        for _ in range(30):
            self.clock.advance(STEP)
            questions = max(questions, self.news_of(holders))
        self.assertEqual(questions, ASKED_MAX)
        self.clock.pump([STEP] * round((2 * ASKED_TIME + 2 * LOOK_INTERVAL) / STEP))
        self.assertEqual(self.news_of(holders), len(holders))
        self.cancel(running)

    def news_of(self, holders: list[FakeHolder]) -> int:
        """How many of them are asked for their news."""
        return sum(holder.waiting for holder in holders)

    def test_how_often(self) -> None:
        """While pieces come, who has news all the time is asked once in the time of some."""
        holder = self.add("b:1", FakeHolder(LARGE))
        holder.has = 0b1
        running = self.large(IDLE_BELOW, pause=0.2)
        self.clock.pump([STEP] * 300)
        asked_before = holder.polled
        for count in range(2, 202):
            self.clock.advance(STEP)
            # Of what is here already.
            holder.has = (1 << min(count, 30)) - 1 if count % 2 else 0b1
        rate = self.download.rate.value()
        assert rate is not None
        each = NEWS_PIECES * LENGTH / rate + PAUSE
        self.assertApproximates(holder.polled - asked_before, 200 * STEP / each, 2)
        self.cancel(running)

    def test_less_than_it_said(self) -> None:
        """Who has not got what it said is asked again what it has, and gives that."""
        holder = self.add("a:1")
        running = self.start()
        self.clock.advance(PAUSE)
        holder.refusal = Refused(404, "none of the pieces that you want is here")
        self.clock.pump([STEP] * 2)
        holder.refusal = None
        self.assertLess(self.go_on(running), 4.0)
        self.successResultOf(running)
        self.assertGreater(holder.polled, 1)

    def test_two_deep(self) -> None:
        """The next request is under way before the answer to the one before it is complete."""
        self.add("a:1").trickles = STEP
        running = self.start()
        most = 0
        while not running.called:
            self.clock.advance(STEP)
            most = max(most, self.swarm.open)
        self.assertEqual(most, 2)
        self.successResultOf(running)
        self.nothing_left()


class ExchangeTests(LargeCase):
    """Which holders are its neighbors."""

    def polled(self) -> list[str]:
        """Those that were asked what they have."""
        return [location for location, holder in self.swarm.peers.items() if holder.polled]

    def test_most(self) -> None:
        """It talks to a bounded number of them, however many there are."""
        running = self.large(3 * CHOSEN_MAX, pause=1.0)
        for _ in range(200):
            self.clock.advance(STEP)
            self.assertLessEqual(len(self.download.neighbors), CHOSEN_MAX)
        self.assertEqual(len(self.polled()), CHOSEN_MAX)
        self.cancel(running)

    def test_exchange(self) -> None:
        """Now and then the one that has given least is exchanged for another."""
        running = self.large(CHOSEN_MAX, pause=0.5)
        self.clock.pump([STEP] * 5)
        slow = self.swarm.peers["a3:1"]
        slow.pause = 100.0
        self.add("other:1", FakeHolder(LARGE)).pause = 0.5
        self.clock.pump([STEP] * round(EXCHANGE_EVERY * TEND_INTERVAL / STEP + 20))
        self.assertIn("other:1", self.download.neighbors)
        self.assertNotIn("a3:1", self.download.neighbors)
        self.assertEqual(len(self.download.neighbors), CHOSEN_MAX)
        self.cancel(running)

    def test_no_exchange(self) -> None:
        """Where no other waits, all stay."""
        running = self.large(CHOSEN_MAX, pause=1.0)
        self.clock.pump([STEP] * round(3 * EXCHANGE_EVERY * TEND_INTERVAL / STEP))
        self.assertEqual({holder.polled for holder in self.swarm.peers.values()}, {1})
        self.assertEqual(len(self.download.neighbors), CHOSEN_MAX)
        self.cancel(running)

    def test_fails(self) -> None:
        """Who fails again and again makes place for another soon."""
        running = self.large(CHOSEN_MAX + 1, pause=0.5)
        self.clock.pump([STEP] * 20)
        (other,) = set(self.swarm.peers) - set(self.polled())
        self.swarm.peers[self.polled()[0]].refusal = Unavailable("broken")
        self.clock.pump([STEP] * 400)
        self.assertIn(other, self.download.neighbors)
        self.cancel(running)

    def test_busy(self) -> None:
        """Who has too many to serve makes place for another at once, and not only now and then."""
        running = self.large(CHOSEN_MAX + 1, pause=0.2)
        self.clock.pump([STEP] * 5)
        (other,) = set(self.swarm.peers) - set(self.polled())
        first = self.polled()[0]
        self.swarm.peers[first].refusal = busy()
        self.clock.pump([STEP] * round(0.6 * TEND_INTERVAL / STEP))
        self.assertIn(other, self.download.neighbors)
        self.assertNotIn(first, self.download.neighbors)
        self.cancel(running)

    def test_all_busy(self) -> None:
        """Where no other waits it stays, and is asked again."""
        running = self.large(3, pause=0.05)
        self.clock.pump([STEP] * 5)
        for holder in self.swarm.peers.values():
            holder.refusal = busy()
        self.clock.pump([STEP] * 20)
        self.assertEqual(len(self.download.neighbors), 3)
        for holder in self.swarm.peers.values():
            holder.refusal = None
        self.assertLess(self.go_on(running), 30.0)
        self.successResultOf(running)

    def test_all_fail(self) -> None:
        """Those that fail for a while are asked again when they can be."""
        running = self.large(3, pause=0.05)
        self.clock.pump([STEP] * 50)
        for holder in self.swarm.peers.values():
            holder.refusal = Unavailable("broken")
        self.clock.pump([STEP] * 1_000)
        self.assertNoResult(running)
        for holder in self.swarm.peers.values():
            holder.refusal = None
        self.go_on(running)
        self.successResultOf(running)

    def test_liars(self) -> None:
        """Those that send wrong pieces make place at once, however many they are."""
        for number in range(2 * CHOSEN_MAX):
            self.add(f"liar{number}:1", FakeHolder(bytes(len(CONTENT)), cut(CONTENT)))
        self.add("a:1")
        self.assertLess(self.succeeds(), 3.0)

    def test_silent(self) -> None:
        """Those that never say what they have don't keep it from asking others, from the start."""
        for number in range(2 * CHOSEN_MAX):
            self.add(f"silent{number}:1").has = 0
        self.add("a:1")
        self.assertLess(self.succeeds(), 4 * ANSWER_PATIENCE)

    def test_dead(self) -> None:
        """The same with those that can't be reached."""
        for number in range(3 * CHOSEN_MAX):
            self.listed.locations.append(f"dead{number}:1")
        self.add("a:1")
        self.assertLess(self.succeeds(), 4 * ANSWER_PATIENCE)

    def test_silent_near(self) -> None:
        """A silent one that the own supernode knows doesn't keep it from looking further."""
        self.add("silent:1").has = 0
        self.near, self.listed = self.listed, Holders(ID, [], [], "file")
        self.add("a:1")
        self.assertLess(self.succeeds(), 2 * ANSWER_PATIENCE)

    def test_named(self) -> None:
        """Who is named by a neighbor gives something too."""
        self.add("a:1").neighbors = ["b:1"]
        self.swarm.peers["a:1"].pause = 0.2
        self.swarm.peers["b:1"] = FakeHolder(CONTENT)
        self.succeeds()
        assert self.download.picker is not None
        received = {one.location: one.received for one in self.download.picker.neighbors}
        self.assertGreater(received["b:1"], 0)


class RequestsTests(LargeCase):
    """How many neighbors are asked for pieces at once."""

    def begin(self, pause: float, trickles: float | None = None) -> Deferred[Path]:
        """There are as many neighbors as there may be, and all have been asked what they have."""
        running = self.large(CHOSEN_MAX, pause)
        for number in range(CAME_MAX):
            self.swarm.peers[f"b{number}:1"] = FakeHolder(LARGE)
            self.swarm.peers[f"b{number}:1"].pause = pause
            self.download.meet(f"b{number}:1")
        for holder in self.swarm.peers.values():
            holder.trickles = trickles
        self.clock.pump([STEP] * 5)
        self.assertEqual(len(self.download.neighbors), CHOSEN_MAX + CAME_MAX)
        return running

    @property
    def wanted(self) -> int:
        """How many requests for pieces there were."""
        return sum(len(holder.wanted) for holder in self.swarm.peers.values())

    def test_most(self) -> None:
        """No more than so many are, until they have answered."""
        running = self.begin(pause=0.5)
        self.clock.pump([STEP] * 40)
        self.assertEqual(self.wanted, REQUESTS_MAX)
        self.clock.pump([STEP] * 20)
        self.assertEqual(self.wanted, 2 * REQUESTS_MAX)
        self.cancel(running)

    def test_ending(self) -> None:
        """Others are asked as soon as those answers are about to end."""
        running = self.begin(pause=STEP, trickles=STEP)
        self.assertEqual(self.wanted, REQUESTS_MAX)
        self.clock.pump([STEP] * 10)
        self.assertIsNotNone(self.download.part)
        self.assertEqual(self.starts, 0, "none of them is complete")
        self.assertGreater(self.wanted, REQUESTS_MAX)
        self.cancel(running)

    def test_slow(self) -> None:
        """Those that give nothing keep the others from being asked for a second, and no longer."""
        running = self.begin(pause=100.0)
        self.clock.pump([STEP] * round((PLACE_TIME + 2 * LOOK_INTERVAL) / STEP))
        self.assertEqual(self.wanted, CHOSEN_MAX + CAME_MAX)
        self.cancel(running)


class FirstSecondsTests(DownloadCase):
    """What a download does not do yet when it has just begun."""

    def setUp(self) -> None:
        super().setUp()
        #: Of each look-up, whether it was only at the own supernode.
        self.looked_up: list[bool] = []

    async def find(self, here: bool) -> Holders:
        self.looked_up.append(here)
        return await super().find(here)

    def test_look_ups(self) -> None:
        """Where a near holder has answered it is not looked up everywhere, for seconds."""
        self.add("a:1").pause = 0.3
        running = self.start()
        self.clock.pump([STEP] * round((LOOKUP_FIRST - LOOK) / STEP))
        self.assertNoResult(running)
        self.assertEqual(self.looked_up, [True])
        self.clock.pump([STEP] * round(2 * LOOK / STEP))
        self.assertNoResult(running)
        self.assertEqual(self.looked_up, [True, False])
        self.go_on(running)
        self.successResultOf(running)

    def test_none_near(self) -> None:
        """Where there is none, it is at once."""
        self.near = Holders(ID, [], [])
        self.add("a:1")
        running = self.start()
        self.clock.pump([STEP] * 2)
        self.assertEqual(self.looked_up, [True, False])
        self.go_on(running)
        self.successResultOf(running)

    def test_alone(self) -> None:
        """Not until a second has passed does it take it that nobody else fetches."""
        self.add("a:1").pause = 0.5
        running = self.start()
        self.clock.pump([STEP] * round(ALONE_AFTER / STEP))
        assert self.download.picker is not None
        self.assertTrue(self.download.picker.is_shared)
        self.clock.pump([STEP] * round(2 * TEND_INTERVAL / STEP))
        self.assertNoResult(running)
        self.assertFalse(self.download.picker.is_shared)
        self.go_on(running)
        self.successResultOf(running)

    def test_not_alone(self) -> None:
        """Nor later, where somebody comes that does."""
        self.add("a:1").pause = 0.5
        running = self.start()
        self.clock.pump([STEP] * round((ALONE_AFTER + 2 * TEND_INTERVAL) / STEP))
        self.swarm.peers["b:1"] = FakeHolder(CONTENT)
        self.download.meet("b:1")
        self.clock.pump([STEP] * 5)
        assert self.download.picker is not None
        self.assertTrue(self.download.picker.is_shared)
        self.go_on(running)
        self.successResultOf(running)


class OthersTests(DownloadCase):
    """Other nodes that fetch the same from here."""

    def news(self, since: int, seconds: float = 10.0) -> Deferred[None]:
        return Deferred.fromCoroutine(self.download.news(since, seconds))

    def test_meet(self) -> None:
        """Who asks for what has come here is asked too."""
        self.add("a:1").pause = 0.2
        running = self.start()
        self.clock.pump([STEP] * 10)
        self.swarm.peers["b:1"] = FakeHolder(CONTENT)
        self.download.meet("b:1")
        self.go_on(running)
        self.successResultOf(running)
        self.assertGreater(len(self.swarm.peers["b:1"].wanted), 0)

    def test_met_at_the_end(self) -> None:
        """Nobody is asked any more when it has ended."""
        self.add("a:1").pause = 0.2
        running = self.start()
        self.clock.pump([STEP] * 10)
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.download.meet("b:1")
        self.nothing_left()

    def test_news(self) -> None:
        """Who waits for news hears of the next piece when it has come, or after a while."""
        holder = self.add("a:1")
        holder.pause = 1.0
        running = self.start()
        none = self.news(0, 0.5)
        first = self.news(0)
        self.clock.pump([STEP] * 60)
        self.successResultOf(none)
        self.assertNoResult(first)
        self.clock.pump([STEP] * 60)
        self.successResultOf(first)
        self.successResultOf(self.news(0))
        self.assertNoResult(second := self.news(1))
        self.go_on(running)
        self.successResultOf(running)
        self.successResultOf(second)

    def test_manifest(self) -> None:
        """Who has no manifest waits for that alone, and not for the first piece."""
        self.add("a:1").silent = True
        asking = Deferred.fromCoroutine(self.download.news(0, 10.0, has_manifest=False))
        running = self.start()
        self.assertNoResult(asking)
        self.clock.pump([STEP] * 10)
        self.successResultOf(asking)
        assert self.download.part is not None
        self.assertFalse(self.download.part.have)
        self.successResultOf(Deferred.fromCoroutine(self.download.news(0, 10.0, False)))
        running.cancel()
        self.failureResultOf(running, CancelledError)

    def test_news_at_the_end(self) -> None:
        """When it is cancelled or fails there will be none: nobody waits any longer."""
        self.add("a:1").silent = True
        running = self.start()
        self.clock.pump([STEP] * 10)
        waiting = self.news(0)
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.clock.advance(0)
        self.successResultOf(waiting)
        self.successResultOf(self.news(0))
        self.nothing_left()

    def test_news_given_up(self) -> None:
        """Who waits no longer leaves nothing."""
        waiting = self.news(0)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.nothing_left()
