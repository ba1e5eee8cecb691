"""Tests of `p2ptwisted.transfer.piece_picker`, rule by rule."""

from random import Random
from time import process_time

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.pieces import MIB, Pieces, every_piece, members
from p2ptwisted.transfer.patience import SLOWEST
from p2ptwisted.transfer.piece_picker import (
    LATE_SLACK,
    RETRY_FIRST,
    RETRY_MAX,
    STALL,
    TRICKLE,
    Neighbor,
    PiecePicker,
    RateMeter,
)

#: Bytes a second; a piece takes a tenth of a second.
RATE = 10 * MIB


class RateTests(SynchronousTestCase):
    """How a rate is averaged."""

    def test_unknown(self) -> None:
        """Before anything has come, nothing is known."""
        rate = RateMeter()
        self.assertIsNone(rate.value())
        rate.begin(5.0)
        rate.add(100, 5.0)
        self.assertIsNone(rate.value())

    def test_steady(self) -> None:
        """A steady rate is what it is, whatever the pauses between requests."""
        rate = RateMeter()
        now = 100.0
        for _ in range(50):
            rate.begin(now)
            for _ in range(4):
                now += 0.1
                rate.add(100, now)
            now += 10.0
        self.assertAlmostEqual(rate.value() or 0.0, 1000.0)

    def test_change(self) -> None:
        """Some seconds after a change, the rate is the new one."""
        rate = RateMeter()
        rate.begin(0.0)
        for tenth in range(1, 100):
            rate.add(1000 if tenth < 20 else 10, tenth / 10)
        self.assertTrue(100 < (rate.value() or 0.0) < 500)


class PlanTests(SynchronousTestCase):
    """What a plan asks for."""

    def setUp(self) -> None:
        self.now = 1000.0

    def plan(self, piece_count: int = 8, have: int = 0) -> PiecePicker:
        return PiecePicker(Pieces(piece_count * MIB, b""), have, Random(0))

    def offer(self, plan: PiecePicker, location: str, has: int | None = None) -> Neighbor:
        """A holder, of everything if nothing else is said."""
        return plan.offer(location, every_piece(8) if has is None else has)

    def ask(self, plan: PiecePicker, source: Neighbor) -> list[int]:
        return list(members(plan.wanted(source, self.now)))

    def send(self, plan: PiecePicker, source: Neighbor, *pieces: int, rate: int = RATE) -> None:
        """It sends these, at that rate, and they are right."""
        self.assertTrue(plan.started(source, sum(1 << piece for piece in pieces)))
        for piece in pieces:
            self.now += MIB / rate
            plan.progress(source, MIB, self.now)
            plan.verified(source, piece)

    # -- what is missing

    def test_what_is_missing(self) -> None:
        """A plan counts what is missing, of the last piece only what it has."""
        plan = PiecePicker(Pieces(2 * MIB + 5, b""), 0b001)
        self.assertEqual(plan.bytes_missing, MIB + 5)
        self.assertFalse(plan.done)
        source = plan.offer("a", 0b111)
        plan.wanted(source, 0.0)
        plan.started(source, 0b110)
        plan.verified(source, 1)
        self.assertEqual(plan.bytes_missing, 5)
        plan.verified(source, 2)
        self.assertTrue(plan.done)
        self.assertEqual(source.received, MIB + 5)

    def test_a_huge_resource(self) -> None:
        """Whoever tells of 2 TiB, in 120,000 pieces, keeps nobody busy by that alone."""
        pieces = Pieces(120_000 * 16 * MIB, b"")
        began = process_time()
        for have in (0, 1, 2):
            plan = PiecePicker(pieces, have)
            self.assertGreater(plan.bytes_missing, pieces.size - 17 * MIB)
            for location in ("a", "b"):
                source = plan.offer(location, every_piece(pieces.count))
            self.assertEqual(plan.wanted(source, 0.0).bit_count(), 60_000)
        # With time in proportion to the square of the pieces it is 4 s, and else 0.1 s.
        self.assertLess(process_time() - began, 2.0)

    def test_nothing_missing(self) -> None:
        """An empty resource is done at once, and so is one that is here."""
        self.assertTrue(PiecePicker(Pieces(0, b"")).done)
        self.assertTrue(self.plan(have=every_piece(8)).done)

    # -- who is asked for what

    def test_one_source(self) -> None:
        """A single source is asked for all that is missing."""
        plan = self.plan(have=0b101)
        self.assertEqual(self.ask(plan, self.offer(plan, "a")), [1, 3, 4, 5, 6, 7])

    def test_shares(self) -> None:
        """Equal sources get their shares, in order and apart."""
        plan = self.plan()
        sources = [self.offer(plan, location) for location in "ab"]
        self.assertEqual(self.ask(plan, sources[0]), [0, 1, 2, 3])
        self.assertEqual(self.ask(plan, sources[1]), [4, 5])

    def test_what_a_source_leaves(self) -> None:
        """What a source was asked for and doesn't send now is free for others."""
        plan = self.plan()
        first = self.offer(plan, "a")
        self.ask(plan, first)
        second = self.offer(plan, "b")
        self.assertEqual(self.ask(plan, second), [])
        self.assertTrue(plan.started(first, 0b1))
        self.assertEqual(self.ask(plan, second), [1, 2, 3, 4])

    def test_only_what_it_has(self) -> None:
        """A source is asked for nothing that it lacks, and for more when it has more."""
        plan = self.plan()
        source = self.offer(plan, "a", 0b11)
        self.assertEqual(self.ask(plan, source), [0, 1])
        self.send(plan, source, 0, 1)
        self.assertEqual(self.ask(plan, source), [])
        self.assertIs(self.offer(plan, "a", 0b111), source)
        self.assertEqual(self.ask(plan, source), [2])

    def test_rarest_first(self) -> None:
        """What fewest sources have is asked for first."""
        plan = self.plan()
        whole = self.offer(plan, "whole")
        self.offer(plan, "b", 0b00001111)
        self.offer(plan, "c", 0b00111100)
        self.assertEqual(self.ask(plan, whole), [6, 7])
        self.send(plan, whole, 6, 7)
        asked = self.ask(plan, whole)
        self.assertEqual(len(asked), 2)
        self.assertTrue(set(asked) < {0, 1, 4, 5})

    def test_distrusted_do_not_count(self) -> None:
        """What only a distrusted source has beside it makes no piece less rare."""
        plan = self.plan()
        whole = self.offer(plan, "whole")
        plan.distrust(self.offer(plan, "liar"), "it lied")
        self.assertEqual(self.ask(plan, whole), list(range(8)))

    # -- who is not asked

    def test_liar(self) -> None:
        """A source that is distrusted is asked no more; what it had in hand is free."""
        plan = self.plan()
        liar = self.offer(plan, "liar")
        self.ask(plan, liar)
        plan.distrust(liar, "it sent a wrong piece")
        self.assertEqual(liar.distrusted, "it sent a wrong piece")
        self.assertEqual(plan.wanted(liar, self.now + 1e6), 0)
        self.assertIs(self.offer(plan, "liar"), liar)
        self.assertEqual(plan.wanted(liar, self.now + 1e6), 0)
        self.assertEqual(self.ask(plan, self.offer(plan, "b")), list(range(8)))

    def test_failed(self) -> None:
        """A source that failed is left alone, each time for twice as long, up to a bound."""
        plan = self.plan()
        source = self.offer(plan, "a")
        pause = RETRY_FIRST
        for _ in range(2000):
            self.assertTrue(plan.wanted(source, self.now))
            plan.failed(source, self.now)
            self.assertEqual(plan.wanted(source, self.now + pause * 0.99), 0)
            self.now += pause
            pause = min(pause * 2, RETRY_MAX)

    def test_answered_again(self) -> None:
        """Once it has begun to answer, its failures are forgotten."""
        plan = self.plan()
        source = self.offer(plan, "a")
        for _ in range(5):
            plan.failed(source, self.now)
        self.now += RETRY_MAX
        self.ask(plan, source)
        self.send(plan, source, 0)
        plan.failed(source, self.now)
        self.assertTrue(plan.wanted(source, self.now + RETRY_FIRST))

    def test_trickles(self) -> None:
        """One that begins to answer, and then sends next to nothing, is left alone for longer."""
        plan = self.plan()
        source = self.offer(plan, "a")
        pause = RETRY_FIRST
        for _ in range(4):
            self.ask(plan, source)
            self.assertTrue(plan.started(source, 0b1))
            for _ in range(int(TRICKLE)):
                plan.progress(source, 1, self.now)
                self.assertFalse(plan.trickles(source, self.now))
                self.now += 1.0
            plan.progress(source, 1, self.now)
            self.now += 0.1
            self.assertTrue(plan.trickles(source, self.now))
            plan.failed(source, self.now)
            self.assertEqual(plan.wanted(source, self.now + pause * 0.99), 0)
            self.now += pause
            pause = min(pause * 2, RETRY_MAX)

    def test_slow_link(self) -> None:
        """Several that share the slowest link that will do don't trickle."""
        plan = self.plan()
        sources = [self.offer(plan, location) for location in "abcd"]
        for source in sources:
            asked = self.ask(plan, source)
            plan.started(source, 1 << asked[0])
        for _ in range(400):
            self.now += 1.0
            for source in sources:
                plan.progress(source, SLOWEST // 4, self.now)
                self.assertFalse(plan.trickles(source, self.now))

    def test_failed_frees(self) -> None:
        """What a source that failed had in hand is free at once."""
        plan = self.plan()
        first, second = self.offer(plan, "a"), self.offer(plan, "b", 0b11)
        self.ask(plan, first)
        plan.started(first, 0b11)
        self.ask(plan, second)
        plan.failed(first, self.now)
        self.assertEqual(self.ask(plan, second), [0])

    # -- answers

    def test_answers_that_were_not_asked_for(self) -> None:
        """A source may send what it was asked for, once, and nothing else."""
        plan = self.plan()
        source = self.offer(plan, "a", 0b1111)
        self.assertFalse(plan.started(source, 0b1))
        self.ask(plan, source)
        self.assertFalse(plan.started(source, 0b10000))
        self.assertFalse(plan.started(source, 0b11000))
        self.assertFalse(plan.started(source, 0))
        self.assertTrue(plan.started(source, 0b0011))
        self.assertFalse(plan.started(source, 0b0100))

    def test_needless(self) -> None:
        """An answer is needless when all that is yet to come of it has come from others."""
        plan = self.plan(2)
        slow, fast = self.offer(plan, "slow", 0b11), self.offer(plan, "fast", 0b11)
        plan.wanted(slow, self.now)
        plan.started(slow, 0b1)
        self.assertFalse(plan.is_needless(slow))
        self.ask(plan, fast)
        self.send(plan, fast, 1)
        self.assertFalse(plan.is_needless(slow))
        self.now += 10.0
        self.assertEqual(self.ask(plan, fast), [0])
        self.send(plan, fast, 0)
        self.assertTrue(plan.is_needless(slow))

    # -- what is late

    def late(
        self, plan: PiecePicker, *, rate: int, sends: int = 0b1111
    ) -> tuple[Neighbor, Neighbor]:
        """One source sends, at that rate; another with the usual rate is idle."""
        other, idle = self.offer(plan, "other"), self.offer(plan, "idle")
        self.ask(plan, idle)
        self.send(plan, idle, 0)
        plan.released(idle)
        plan.distrust(idle, "so that the other is asked for everything")
        self.ask(plan, other)
        self.send(plan, other, 1, rate=rate)
        plan.released(other)
        plan.wanted(other, self.now)
        self.assertTrue(plan.started(other, sends << 2 & plan.missing))
        idle.distrusted = None
        plan.missing = sends << 2 & plan.missing
        return other, idle

    def test_on_time(self) -> None:
        """A piece that comes about as fast as another could send it is left alone."""
        plan = self.plan()
        _, idle = self.late(plan, rate=RATE, sends=0b11)
        self.assertEqual(self.ask(plan, idle), [])

    def test_slow(self) -> None:
        """Of a slow source's run, a faster one that is idle gets the last piece."""
        plan = self.plan()
        _, idle = self.late(plan, rate=RATE // 10)
        self.assertEqual(self.ask(plan, idle), [5])

    def test_slower_idle(self) -> None:
        """An idle source that would take longer itself is not asked."""
        plan = self.plan()
        _, idle = self.late(plan, rate=RATE // 10)
        idle.rate.begin(self.now - 100.0)
        idle.rate.add(1000, self.now)
        self.assertEqual(self.ask(plan, idle), [])

    def test_overdue(self) -> None:
        """A piece that is overdue by the time it takes to stall is late, however fast it began."""
        plan = self.plan()
        other, idle = self.late(plan, rate=RATE, sends=0b1)
        self.now += 0.05
        plan.progress(other, MIB - 5, self.now)
        self.now = other.due + STALL - 0.01
        plan.progress(other, 1, self.now)
        self.assertEqual(self.ask(plan, idle), [])
        self.now += 0.02
        plan.progress(other, 1, self.now)
        self.assertEqual(self.ask(plan, idle), [2])

    def test_no_answer(self) -> None:
        """A source that has not begun to answer is late soon."""
        plan = self.plan(4)
        silent, idle = self.offer(plan, "silent", 0b1000), self.offer(plan, "idle", 0b1111)
        self.ask(plan, silent)
        self.ask(plan, idle)
        self.send(plan, idle, 0, 1, 2)
        plan.released(idle)
        self.assertEqual(self.ask(plan, idle), [])
        self.now += 2 * MIB / RATE + LATE_SLACK
        self.assertEqual(self.ask(plan, idle), [3])

    def test_only_once(self) -> None:
        """What somebody faster has taken over is not asked of a third."""
        plan = self.plan()
        _, idle = self.late(plan, rate=RATE // 100, sends=0b1)
        third = self.offer(plan, "third")
        self.assertEqual(self.ask(plan, idle), [2])
        self.assertEqual(self.ask(plan, third), [])

    def test_late_twice(self) -> None:
        """When whoever took a piece over is late itself, a third is asked."""
        plan = self.plan()
        _, idle = self.late(plan, rate=RATE // 100, sends=0b1)
        third = self.offer(plan, "third")
        self.assertEqual(self.ask(plan, idle), [2])
        self.now += STALL + 0.01
        self.assertEqual(self.ask(plan, third), [2])
