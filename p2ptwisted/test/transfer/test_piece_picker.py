"""Tests of `p2ptwisted.transfer.piece_picker`, rule by rule."""

from random import Random
from time import process_time

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.pieces import MIB, Pieces, every_piece, members
from p2ptwisted.transfer.piece_deadline import SLOWEST
from p2ptwisted.transfer.piece_picker import (
    LATE_SLACK,
    RETRY_FIRST,
    RETRY_MAX,
    STALL_TIMEOUT,
    TRICKLE_TIMEOUT,
    Neighbor,
    PiecePicker,
)

#: Bytes a second; a piece takes a tenth of a second.
RATE = 10 * MIB


class PiecePickerTests(SynchronousTestCase):
    """What a picker asks for."""

    def setUp(self) -> None:
        self.now = 1000.0

    def picker(self, piece_count: int = 8, have: int = 0) -> PiecePicker:
        return PiecePicker(Pieces(piece_count * MIB, b""), have, Random(0))

    def offer(self, picker: PiecePicker, location: str, has: int | None = None) -> Neighbor:
        """A holder, of everything if nothing else is said."""
        return picker.offer(location, every_piece(8) if has is None else has)

    def ask(self, picker: PiecePicker, neighbor: Neighbor) -> list[int]:
        return list(members(picker.wanted(neighbor, self.now)))

    def send(self, picker: PiecePicker, neighbor: Neighbor, *pieces: int, rate: int = RATE) -> None:
        """It sends these, at that rate, and they are right."""
        self.assertTrue(picker.started(neighbor, sum(1 << piece for piece in pieces)))
        for piece in pieces:
            self.now += MIB / rate
            picker.progress(neighbor, MIB, self.now)
            picker.verified(neighbor, piece)

    # -- what is missing

    def test_what_is_missing(self) -> None:
        """A picker counts what is missing, of the last piece only what it has."""
        picker = PiecePicker(Pieces(2 * MIB + 5, b""), 0b001)
        self.assertEqual(picker.bytes_missing, MIB + 5)
        self.assertFalse(picker.done)
        neighbor = picker.offer("a", 0b111)
        picker.wanted(neighbor, 0.0)
        picker.started(neighbor, 0b110)
        picker.verified(neighbor, 1)
        self.assertEqual(picker.bytes_missing, 5)
        picker.verified(neighbor, 2)
        self.assertTrue(picker.done)
        self.assertEqual(neighbor.received, MIB + 5)

    def test_a_huge_resource(self) -> None:
        """Whoever tells of 2 TiB, in 120,000 pieces, keeps nobody busy by that alone."""
        pieces = Pieces(120_000 * 16 * MIB, b"")
        began = process_time()
        for have in (0, 1, 2):
            picker = PiecePicker(pieces, have)
            self.assertGreater(picker.bytes_missing, pieces.size - 17 * MIB)
            for location in ("a", "b"):
                neighbor = picker.offer(location, every_piece(pieces.count))
            self.assertEqual(picker.wanted(neighbor, 0.0).bit_count(), 60_000)
        # It takes 0.1 s; in proportion to the square of the number of pieces it would take 4 s.
        self.assertLess(process_time() - began, 2.0)

    def test_nothing_missing(self) -> None:
        """An empty resource is done at once, and so is one that is here."""
        self.assertTrue(PiecePicker(Pieces(0, b"")).done)
        self.assertTrue(self.picker(have=every_piece(8)).done)

    # -- who is asked for what

    def test_one_source(self) -> None:
        """A single neighbor is asked for all that is missing."""
        picker = self.picker(have=0b101)
        self.assertEqual(self.ask(picker, self.offer(picker, "a")), [1, 3, 4, 5, 6, 7])

    def test_shares(self) -> None:
        """Equal neighbors get their shares, in order and apart."""
        picker = self.picker()
        neighbors = [self.offer(picker, location) for location in "ab"]
        self.assertEqual(self.ask(picker, neighbors[0]), [0, 1, 2, 3])
        self.assertEqual(self.ask(picker, neighbors[1]), [4, 5])

    def test_what_a_source_leaves(self) -> None:
        """What a neighbor was asked for and doesn't send now is free for others."""
        picker = self.picker()
        first = self.offer(picker, "a")
        self.ask(picker, first)
        second = self.offer(picker, "b")
        self.assertEqual(self.ask(picker, second), [])
        self.assertTrue(picker.started(first, 0b1))
        self.assertEqual(self.ask(picker, second), [1, 2, 3, 4])

    def test_only_what_it_has(self) -> None:
        """A neighbor is asked for nothing that it lacks, and for more when it has more."""
        picker = self.picker()
        neighbor = self.offer(picker, "a", 0b11)
        self.assertEqual(self.ask(picker, neighbor), [0, 1])
        self.send(picker, neighbor, 0, 1)
        self.assertEqual(self.ask(picker, neighbor), [])
        self.assertIs(self.offer(picker, "a", 0b111), neighbor)
        self.assertEqual(self.ask(picker, neighbor), [2])

    def test_rarest_first(self) -> None:
        """What fewest neighbors have is asked for first."""
        picker = self.picker()
        whole = self.offer(picker, "whole")
        self.offer(picker, "b", 0b00001111)
        self.offer(picker, "c", 0b00111100)
        self.assertEqual(self.ask(picker, whole), [6, 7])
        self.send(picker, whole, 6, 7)
        asked = self.ask(picker, whole)
        self.assertEqual(len(asked), 2)
        self.assertTrue(set(asked) < {0, 1, 4, 5})

    def test_distrusted_do_not_count(self) -> None:
        """What only a distrusted neighbor has beside it makes no piece less rare."""
        picker = self.picker()
        whole = self.offer(picker, "whole")
        picker.distrust(self.offer(picker, "liar"), "it lied")
        self.assertEqual(self.ask(picker, whole), list(range(8)))

    # -- who is not asked

    def test_liar(self) -> None:
        """A neighbor that is distrusted is asked no more; what it had in hand is free."""
        picker = self.picker()
        liar = self.offer(picker, "liar")
        self.ask(picker, liar)
        picker.distrust(liar, "it sent a wrong piece")
        self.assertEqual(liar.distrusted, "it sent a wrong piece")
        self.assertEqual(picker.wanted(liar, self.now + 1e6), 0)
        self.assertIs(self.offer(picker, "liar"), liar)
        self.assertEqual(picker.wanted(liar, self.now + 1e6), 0)
        self.assertEqual(self.ask(picker, self.offer(picker, "b")), list(range(8)))

    def test_failed(self) -> None:
        """A neighbor that failed is left alone, each time for twice as long, up to a bound."""
        picker = self.picker()
        neighbor = self.offer(picker, "a")
        pause = RETRY_FIRST
        for _ in range(2000):
            self.assertTrue(picker.wanted(neighbor, self.now))
            picker.failed(neighbor, self.now)
            self.assertEqual(picker.wanted(neighbor, self.now + pause * 0.99), 0)
            self.now += pause
            pause = min(pause * 2, RETRY_MAX)

    def test_answered_again(self) -> None:
        """Once it has begun to answer, its failures are forgotten."""
        picker = self.picker()
        neighbor = self.offer(picker, "a")
        for _ in range(5):
            picker.failed(neighbor, self.now)
        self.now += RETRY_MAX
        self.ask(picker, neighbor)
        self.send(picker, neighbor, 0)
        picker.failed(neighbor, self.now)
        self.assertTrue(picker.wanted(neighbor, self.now + RETRY_FIRST))

    def test_trickles(self) -> None:
        """One that begins to answer, and then sends next to nothing, is left alone for longer."""
        picker = self.picker()
        neighbor = self.offer(picker, "a")
        pause = RETRY_FIRST
        for _ in range(4):
            self.ask(picker, neighbor)
            self.assertTrue(picker.started(neighbor, 0b1))
            for _ in range(int(TRICKLE_TIMEOUT)):
                picker.progress(neighbor, 1, self.now)
                self.assertFalse(picker.trickles(neighbor, self.now))
                self.now += 1.0
            picker.progress(neighbor, 1, self.now)
            self.now += 0.1
            self.assertTrue(picker.trickles(neighbor, self.now))
            picker.failed(neighbor, self.now)
            self.assertEqual(picker.wanted(neighbor, self.now + pause * 0.99), 0)
            self.now += pause
            pause = min(pause * 2, RETRY_MAX)

    def test_slow_link(self) -> None:
        """Several that share the slowest link that will do don't trickle."""
        picker = self.picker()
        neighbors = [self.offer(picker, location) for location in "abcd"]
        for neighbor in neighbors:
            asked = self.ask(picker, neighbor)
            picker.started(neighbor, 1 << asked[0])
        for _ in range(400):
            self.now += 1.0
            for neighbor in neighbors:
                picker.progress(neighbor, SLOWEST // 4, self.now)
                self.assertFalse(picker.trickles(neighbor, self.now))

    def test_failed_frees(self) -> None:
        """What a neighbor that failed had in hand is free at once."""
        picker = self.picker()
        first, second = self.offer(picker, "a"), self.offer(picker, "b", 0b11)
        self.ask(picker, first)
        picker.started(first, 0b11)
        self.ask(picker, second)
        picker.failed(first, self.now)
        self.assertEqual(self.ask(picker, second), [0])

    # -- answers

    def test_answers_that_were_not_asked_for(self) -> None:
        """A neighbor may send what it was asked for, once, and nothing else."""
        picker = self.picker()
        neighbor = self.offer(picker, "a", 0b1111)
        self.assertFalse(picker.started(neighbor, 0b1))
        self.ask(picker, neighbor)
        self.assertFalse(picker.started(neighbor, 0b10000))
        self.assertFalse(picker.started(neighbor, 0b11000))
        self.assertFalse(picker.started(neighbor, 0))
        self.assertTrue(picker.started(neighbor, 0b0011))
        self.assertFalse(picker.started(neighbor, 0b0100))

    def test_needless(self) -> None:
        """An answer is needless when all that is yet to come of it has come from others."""
        picker = self.picker(2)
        slow, fast = self.offer(picker, "slow", 0b11), self.offer(picker, "fast", 0b11)
        picker.wanted(slow, self.now)
        picker.started(slow, 0b1)
        self.assertFalse(picker.is_needless(slow))
        self.ask(picker, fast)
        self.send(picker, fast, 1)
        self.assertFalse(picker.is_needless(slow))
        self.now += 10.0
        self.assertEqual(self.ask(picker, fast), [0])
        self.send(picker, fast, 0)
        self.assertTrue(picker.is_needless(slow))

    # -- what is late

    def late(
        self, picker: PiecePicker, *, rate: int, sends: int = 0b1111
    ) -> tuple[Neighbor, Neighbor]:
        """One neighbor sends, at that rate; another with the usual rate is idle."""
        other, idle = self.offer(picker, "other"), self.offer(picker, "idle")
        self.ask(picker, idle)
        self.send(picker, idle, 0)
        picker.released(idle)
        picker.distrust(idle, "so that the other is asked for everything")
        self.ask(picker, other)
        self.send(picker, other, 1, rate=rate)
        picker.released(other)
        picker.wanted(other, self.now)
        self.assertTrue(picker.started(other, sends << 2 & picker.missing))
        idle.distrusted = None
        picker.missing = sends << 2 & picker.missing
        return other, idle

    def test_on_time(self) -> None:
        """A piece that comes about as fast as another could send it is left alone."""
        picker = self.picker()
        _, idle = self.late(picker, rate=RATE, sends=0b11)
        self.assertEqual(self.ask(picker, idle), [])

    def test_slow(self) -> None:
        """Of a slow neighbor's run, a faster one that is idle gets the last piece."""
        picker = self.picker()
        _, idle = self.late(picker, rate=RATE // 10)
        self.assertEqual(self.ask(picker, idle), [5])

    def test_slower_idle(self) -> None:
        """An idle neighbor that would take longer itself is not asked."""
        picker = self.picker()
        _, idle = self.late(picker, rate=RATE // 10)
        idle.rate.begin(self.now - 100.0)
        idle.rate.add(1000, self.now)
        self.assertEqual(self.ask(picker, idle), [])

    def test_overdue(self) -> None:
        """A piece that is overdue by the time it takes to stall is late, however fast it began."""
        picker = self.picker()
        other, idle = self.late(picker, rate=RATE, sends=0b1)
        self.now += 0.05
        picker.progress(other, MIB - 5, self.now)
        self.now = other.due + STALL_TIMEOUT - 0.01
        picker.progress(other, 1, self.now)
        self.assertEqual(self.ask(picker, idle), [])
        self.now += 0.02
        picker.progress(other, 1, self.now)
        self.assertEqual(self.ask(picker, idle), [2])

    def test_no_answer(self) -> None:
        """A neighbor that has not begun to answer is late soon."""
        picker = self.picker(4)
        silent, idle = self.offer(picker, "silent", 0b1000), self.offer(picker, "idle", 0b1111)
        self.ask(picker, silent)
        self.ask(picker, idle)
        self.send(picker, idle, 0, 1, 2)
        picker.released(idle)
        self.assertEqual(self.ask(picker, idle), [])
        self.now += 2 * MIB / RATE + LATE_SLACK
        self.assertEqual(self.ask(picker, idle), [3])

    def test_only_once(self) -> None:
        """What somebody faster has taken over is not asked of a third."""
        picker = self.picker()
        _, idle = self.late(picker, rate=RATE // 100, sends=0b1)
        third = self.offer(picker, "third")
        self.assertEqual(self.ask(picker, idle), [2])
        self.assertEqual(self.ask(picker, third), [])

    def test_late_twice(self) -> None:
        """When whoever took a piece over is late itself, a third is asked."""
        picker = self.picker()
        _, idle = self.late(picker, rate=RATE // 100, sends=0b1)
        third = self.offer(picker, "third")
        self.assertEqual(self.ask(picker, idle), [2])
        self.now += STALL_TIMEOUT + 0.01
        self.assertEqual(self.ask(picker, third), [2])
