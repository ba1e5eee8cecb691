"""Tests of `p2ptwisted.transfer.piece_picker`, rule by rule."""

from time import process_time

from p2ptwisted.pieces import MIB, PIECE_MAX, PIECES_MAX, Pieces, every_piece
from p2ptwisted.test.transfer.picker_case import RATE, PickerCase, cut
from p2ptwisted.transfer.piece_deadline import SLOWEST
from p2ptwisted.transfer.piece_picker import (
    ALONE_TIME,
    ASK_AHEAD,
    PLACE_TIME,
    RETRY_FIRST,
    RETRY_MAX,
    RUN_TIME,
    TRICKLE_TIMEOUT,
    Neighbor,
    PiecePicker,
    Request,
)
from p2ptwisted.transfer.piece_selector import RUN_MAX


class MissingTests(PickerCase):
    """What is missing."""

    def test_what_is_missing(self) -> None:
        """A picker counts what is missing, of the last piece only what it has."""
        picker = PiecePicker(cut(2 * MIB + 5), 0b001)
        self.assertEqual(picker.bytes_missing, MIB + 5)
        self.assertFalse(picker.done)
        neighbor = picker.offer("a", 0b111)
        request = self.request(picker, neighbor)
        picker.started(request, 0b110, self.now)
        picker.verified(request, 1)
        self.assertEqual(picker.bytes_missing, 5)
        picker.verified(request, 2)
        self.assertTrue(picker.done)
        self.assertEqual(neighbor.received, MIB + 5)

    def test_a_huge_resource(self) -> None:
        """Whoever tells of as many pieces as there can be keeps nobody busy by that alone."""
        pieces = cut(PIECES_MAX * PIECE_MAX, PIECE_MAX)
        began = process_time()
        for have in (0, 1, 2):
            picker = PiecePicker(pieces, have)
            self.assertGreater(picker.bytes_missing, pieces.size - 17 * MIB)
            for location in ("a", "b"):
                neighbor = picker.offer(location, every_piece(pieces.count))
            self.assertGreater(self.request(picker, neighbor).asked.bit_count(), PIECES_MAX // 3)
        # It takes 0.1 s; in proportion to the square of the number of pieces it would take 4 s.
        self.assertLess(process_time() - began, 2.0)

    def test_nothing_missing(self) -> None:
        """An empty resource is done at once, and so is one that is here."""
        self.assertTrue(PiecePicker(Pieces(0, b"")).done)
        self.assertTrue(self.picker(have=every_piece(8)).done)


class ShareTests(PickerCase):
    """Who is asked for what."""

    def test_one_source(self) -> None:
        """A single neighbor is asked for all that is missing."""
        picker = self.picker(have=0b101)
        self.assertEqual(self.ask(picker, self.offer(picker, "a")), [1, 3, 4, 5, 6, 7])

    def test_shares(self) -> None:
        """Equal neighbors get their shares, in order and apart."""
        picker = self.picker()
        neighbors = [self.offer(picker, location) for location in "ab"]
        self.assertEqual(self.ask(picker, neighbors[0]), [0, 2, 4, 6])
        self.assertEqual(self.ask(picker, neighbors[1]), [1, 3, 5, 7])

    def test_shares_of_many(self) -> None:
        """Where there are many pieces, a share has some in a row that can be sent at once."""
        picker = self.picker(32)
        neighbors = [self.offer(picker, location, every_piece(32)) for location in "ab"]
        shares = [self.ask(picker, neighbor) for neighbor in neighbors]
        self.assertEqual(shares[0], [*range(8), *range(16, 24)])
        self.assertEqual(shares[1], [*range(8, 16), *range(24, 32)])

    def test_what_a_source_leaves(self) -> None:
        """What a neighbor was asked for and doesn't send now is free for others."""
        picker = self.picker()
        first = self.request(picker, self.offer(picker, "a"))
        second = self.offer(picker, "b")
        self.assertEqual(self.ask(picker, second), [])
        self.assertTrue(picker.started(first, 0b1, self.now))
        self.assertEqual(self.ask(picker, second), [2, 4, 6])

    def test_loosely_in_hand(self) -> None:
        """Of much more than it is to send, a neighbor keeps from others what it sends first."""
        picker = self.picker(64)
        everything = every_piece(64)
        first = self.request(picker, self.offer(picker, "a", everything))
        self.assertEqual((first.asked, first.most), (everything, 1))
        likely = []
        for location in "bcd":
            asked = self.ask(picker, self.offer(picker, location, everything))
            self.assertGreater(len(asked), 1)
            likely.append(asked[0])
        self.assertEqual(len({0, *likely}), 4, "two are about to send the same")

    def test_loosely_in_hand_at_last(self) -> None:
        """Such pieces are asked of others only where there is nothing else to ask them for."""
        picker = self.picker(64)
        half = every_piece(32)
        self.request(picker, self.offer(picker, "a", half))
        other = self.offer(picker, "b", every_piece(64))
        self.assertGreaterEqual(min(self.ask(picker, other)), 32)

    def test_only_what_it_has(self) -> None:
        """A neighbor is asked for nothing that it lacks, and for more when it has more."""
        picker = self.picker()
        neighbor = self.offer(picker, "a", 0b11)
        request = self.request(picker, neighbor)
        self.assertEqual(request.asked, 0b11)
        self.send(picker, request, 0, 1)
        self.assertEqual(self.ask(picker, neighbor), [])
        self.assertIs(self.offer(picker, "a", 0b111), neighbor)
        self.assertEqual(self.ask(picker, neighbor), [2])

    def test_rarest_first(self) -> None:
        """What fewest neighbors have is asked for first."""
        picker = self.picker()
        whole = self.offer(picker, "whole")
        self.offer(picker, "b", 0b00001111)
        self.offer(picker, "c", 0b00111100)
        request = self.request(picker, whole)
        self.assertEqual(request.asked, 0b11000000)
        self.send(picker, request, 6, 7)
        asked = self.ask(picker, whole)
        self.assertEqual(len(asked), 2)
        self.assertTrue(set(asked) < {0, 1, 4, 5})

    def test_distrusted_do_not_count(self) -> None:
        """What only a distrusted neighbor has beside it makes no piece less rare."""
        picker = self.picker()
        whole = self.offer(picker, "whole")
        picker.distrust(self.offer(picker, "liar"), "it lied")
        self.assertEqual(self.ask(picker, whole), list(range(8)))

    def test_left_do_not_count(self) -> None:
        """Nor does what somebody has who has left; what he had in hand is free."""
        picker = self.picker()
        whole, other = self.offer(picker, "whole"), self.offer(picker, "other")
        self.request(picker, other)
        picker.leave("other")
        picker.leave("unknown")
        self.assertEqual(list(picker.current), [whole])
        self.assertEqual(list(picker.neighbors), [whole, other])
        self.assertEqual(self.ask(picker, whole), list(range(8)))

    def test_comes_back(self) -> None:
        """Who has left and is offered again is the same as before, with what was counted."""
        picker = self.picker()
        neighbor = self.offer(picker, "a")
        self.send(picker, self.request(picker, neighbor), 0)
        picker.leave("a")
        self.assertIs(self.offer(picker, "a"), neighbor)
        self.assertEqual(neighbor.received, MIB)
        self.assertEqual(self.ask(picker, neighbor), list(range(1, 8)))

    def test_has_nothing(self) -> None:
        """Who has nothing that is missing, and may get it, is one whose news are of interest."""
        picker = self.picker()
        whole = self.offer(picker, "whole")
        part = self.offer(picker, "part", 0b1)
        self.assertTrue(picker.has_nothing(self.offer(picker, "none", 0)))
        self.assertFalse(picker.has_nothing(part))
        request = self.request(picker, part)
        self.assertFalse(picker.has_nothing(part), "it says more when it sends that")
        self.send(picker, request, 0)
        self.assertTrue(picker.has_nothing(part))
        self.request(picker, whole)
        self.assertFalse(picker.has_nothing(whole), "it can't get more")
        picker.distrust(part, "it lied")
        self.assertFalse(picker.has_nothing(part))


class RequestTests(PickerCase):
    """How many pieces a request asks for, and how many requests there are at once."""

    def asked_again(self, picker: PiecePicker, rate: int) -> Request:
        """The second request to a neighbor that has sent a piece at that rate."""
        neighbor = self.offer(picker, "a", picker.missing)
        self.send(picker, self.request(picker, neighbor), 0, rate=rate)
        return self.request(picker, neighbor)

    def test_first(self) -> None:
        """Who has sent nothing yet is asked for one piece."""
        picker = self.picker(100)
        self.assertEqual(self.request(picker, self.offer(picker, "a")).most, 1)

    def test_alone(self) -> None:
        """Where nobody else fetches, a request takes a second at the usual rate."""
        request = self.asked_again(self.picker(1000), RATE + 1000)
        self.assertEqual(request.most, ALONE_TIME * RATE / MIB)

    def test_shared(self) -> None:
        """Where others fetch and wait for what comes here, it is short."""
        picker = self.picker(100)
        picker.is_shared = True
        self.assertEqual(self.asked_again(picker, RATE).most, 1)
        picker = self.picker(100)
        picker.is_shared = True
        request = self.asked_again(picker, 100 * RATE + 1000)
        self.assertEqual(request.most, RUN_TIME * 100 * RATE / MIB)

    def test_part_of_the_file(self) -> None:
        """It is no shorter than a hundredth of the file, divided among the neighbors."""
        for neighbors, most in [(1, 10), (2, 5), (5, 2), (16, 1)]:
            picker = self.picker(1000)
            picker.is_shared = True
            for number in range(1, neighbors):
                picker.offer(f"other {number}", 0)
            self.assertEqual(self.asked_again(picker, RATE).most, most, f"{neighbors} neighbors")

    def test_bound(self) -> None:
        """However fast it is, it is asked for no more than RUN_MAX at once."""
        self.assertEqual(self.asked_again(self.picker(1000), 1000 * RATE).most, RUN_MAX)

    def test_next(self) -> None:
        """The next request is sent when the answer to the first will soon be complete."""
        picker = self.picker(100)
        first = self.asked_again(picker, RATE)
        neighbor = first.neighbor
        self.assertIsNone(picker.wanted(neighbor, self.now), "it has not begun to answer")
        picker.started(first, 0b1111 << 1, self.now)
        for piece in range(1, 4):
            self.assertFalse(picker.is_time_for_next(first))
            self.assertIsNone(picker.wanted(neighbor, self.now))
            self.now += MIB / RATE
            picker.progress(first, MIB, self.now)
            picker.verified(first, piece)
        self.now += MIB / RATE - ASK_AHEAD / 2
        picker.progress(first, MIB - int(RATE * ASK_AHEAD / 2), self.now)
        self.assertTrue(picker.is_time_for_next(first))
        self.assertFalse(picker.is_time_for_next(first), "it says so twice")
        second = self.request(picker, neighbor)
        self.assertFalse(second.asked & 0b11111, "asked for again")
        self.assertIsNone(picker.wanted(neighbor, self.now), "a third")
        picker.ended(first)
        self.assertEqual(neighbor.requests, [second])
        self.assertIsNone(picker.wanted(neighbor, self.now), "it has not begun to answer")

    def test_takes_place(self) -> None:
        """It counts among those under way until it is about to end, or is slow to."""
        picker = self.picker(100)
        request = self.asked_again(picker, RATE)
        self.now += PLACE_TIME
        self.assertTrue(picker.takes_place(request, self.now))
        self.assertFalse(picker.takes_place(request, self.now + 0.01), "it has not begun")
        picker.started(request, 0b110, self.now)
        picker.progress(request, 1, self.now)
        self.assertTrue(picker.takes_place(request, self.now + PLACE_TIME))
        self.assertFalse(picker.takes_place(request, self.now + PLACE_TIME + 0.01))
        picker.progress(request, MIB - 1, self.now)
        picker.verified(request, 1)
        self.now += 1.0
        picker.progress(request, MIB, self.now)
        self.assertTrue(picker.takes_place(request, self.now), "another piece")
        self.assertTrue(picker.is_time_for_next(request))
        self.assertFalse(picker.takes_place(request, self.now))

    def test_coming(self) -> None:
        """What has come of incomplete pieces is counted, of all requests."""
        picker = self.picker()
        requests = []
        for location in "ab":
            requests.append(self.request(picker, self.offer(picker, location)))
            picker.started(requests[-1], requests[-1].asked & -requests[-1].asked, self.now)
            picker.progress(requests[-1], 5, self.now)
        self.assertEqual(picker.bytes_coming, 10)
        picker.ended(requests[0])
        self.assertEqual(picker.bytes_coming, 5)


class OrderTests(PickerCase):
    """Who is asked first."""

    def answer(self, picker: PiecePicker, neighbor: Neighbor, wait: float) -> Request:
        """Its answer begins after so many seconds."""
        request = self.request(picker, neighbor)
        self.now += wait
        self.assertTrue(picker.started(request, request.asked & -request.asked, self.now))
        return request

    def test_quick_first(self) -> None:
        """Those are asked first whose answers usually begin soon."""
        picker = self.picker(100)
        slow, quick, quickest = (picker.offer(location, every_piece(100)) for location in "abc")
        for _ in range(3):
            for neighbor, wait in ((slow, 0.5), (quickest, 0.001), (quick, 0.01)):
                picker.ended(self.answer(picker, neighbor, wait))
        for _ in range(10):
            self.assertEqual(picker.in_order(), [quickest, quick, slow])

    def test_usual(self) -> None:
        """One answer that is late says little; several do, and are forgotten in turn."""
        picker = self.picker(100)
        one, other = (picker.offer(location, every_piece(100)) for location in "ab")
        for _ in range(5):
            picker.ended(self.answer(picker, one, 0.1))
            picker.ended(self.answer(picker, other, 0.2))
        picker.ended(self.answer(picker, one, 0.3))
        self.assertEqual(picker.in_order(), [one, other])
        for _ in range(5):
            picker.ended(self.answer(picker, one, 0.3))
        self.assertEqual(picker.in_order(), [other, one])
        for _ in range(10):
            picker.ended(self.answer(picker, one, 0.1))
        self.assertEqual(picker.in_order(), [one, other])

    def test_equal(self) -> None:
        """Equal ones are asked in ever another order; those that are left, not at all."""
        picker = self.picker()
        for location in "abcd":
            self.offer(picker, location)
        picker.leave("d")
        orders = {"".join(one.location for one in picker.in_order()) for _ in range(100)}
        self.assertEqual(orders, {"abc", "acb", "bac", "bca", "cab", "cba"})

    def test_behind(self) -> None:
        """How long it takes says nothing of a request that was sent behind another."""
        picker = self.picker(100)
        neighbor = picker.offer("a", every_piece(100))
        first = self.answer(picker, neighbor, 0.1)
        self.now += 0.1
        picker.progress(first, MIB, self.now)
        self.assertTrue(picker.is_time_for_next(first))
        wait = neighbor.wait
        self.assertGreater(wait, 0.0)
        second = self.answer(picker, neighbor, 5.0)
        self.assertEqual(neighbor.wait, wait)
        picker.ended(first)
        picker.ended(second)
        self.answer(picker, neighbor, 5.0)
        self.assertGreater(neighbor.wait, wait)


class TroubleTests(PickerCase):
    """Who is not asked."""

    def test_liar(self) -> None:
        """A neighbor that is distrusted is asked no more; what it had in hand is free."""
        picker = self.picker()
        liar = self.offer(picker, "liar")
        self.ask(picker, liar)
        picker.distrust(liar, "it sent a wrong piece")
        self.assertEqual(liar.distrusted, "it sent a wrong piece")
        self.assertIsNone(picker.wanted(liar, self.now + 1e6))
        self.assertIs(self.offer(picker, "liar"), liar)
        self.assertIsNone(picker.wanted(liar, self.now + 1e6))
        self.assertEqual(self.ask(picker, self.offer(picker, "b")), list(range(8)))

    def test_answers_of_a_liar(self) -> None:
        """Nor is what it sends then taken, though it was asked for before."""
        picker = self.picker()
        liar = self.offer(picker, "liar")
        request = self.request(picker, liar)
        picker.distrust(liar, "it sent a wrong piece")
        self.assertFalse(picker.started(request, 0b1, self.now))

    def test_failed(self) -> None:
        """A neighbor that failed is left alone, each time for twice as long, up to a bound."""
        picker = self.picker()
        neighbor = self.offer(picker, "a")
        pause = RETRY_FIRST
        for _ in range(2000):
            request = self.request(picker, neighbor)
            picker.failed(neighbor, self.now)
            picker.ended(request)
            self.assertIsNone(picker.wanted(neighbor, self.now + pause * 0.99))
            self.now += pause
            pause = min(pause * 2, RETRY_MAX)

    def test_answered_again(self) -> None:
        """Once it has sent a piece, its failures are forgotten."""
        picker = self.picker()
        neighbor = self.offer(picker, "a")
        for _ in range(5):
            picker.failed(neighbor, self.now)
        self.now += RETRY_MAX
        self.send(picker, self.request(picker, neighbor), 0)
        picker.failed(neighbor, self.now)
        self.assertIsNotNone(picker.wanted(neighbor, self.now + RETRY_FIRST))

    def test_trickles(self) -> None:
        """One that begins to answer, and then sends next to nothing, is left alone for longer."""
        picker = self.picker()
        neighbor = self.offer(picker, "a")
        pause = RETRY_FIRST
        for _ in range(4):
            request = self.request(picker, neighbor)
            self.assertTrue(picker.started(request, 0b1, self.now))
            for _ in range(int(TRICKLE_TIMEOUT)):
                picker.progress(request, 1, self.now)
                self.assertFalse(picker.trickles(request, self.now))
                self.now += 1.0
            picker.progress(request, 1, self.now)
            self.now += 0.1
            self.assertTrue(picker.trickles(request, self.now))
            picker.failed(neighbor, self.now)
            picker.ended(request)
            self.assertIsNone(picker.wanted(neighbor, self.now + pause * 0.99))
            self.now += pause
            pause = min(pause * 2, RETRY_MAX)

    def test_slow_link(self) -> None:
        """Several that share the slowest link that will do don't trickle."""
        picker = self.picker()
        for location in "abcd":
            self.offer(picker, location)
        requests = [self.request(picker, neighbor) for neighbor in picker.current]
        for request in requests:
            picker.started(request, request.asked & -request.asked, self.now)
        for _ in range(400):
            self.now += 1.0
            for request in requests:
                picker.progress(request, SLOWEST // 4, self.now)
                self.assertFalse(picker.trickles(request, self.now))

    def test_ended_frees(self) -> None:
        """What a request had in hand that has failed is free at once."""
        picker = self.picker()
        first = self.offer(picker, "a")
        request = self.request(picker, first)
        second = self.offer(picker, "b", 0b1)
        picker.started(request, 0b1, self.now)
        self.assertEqual(self.ask(picker, second), [])
        picker.failed(first, self.now)
        picker.ended(request)
        picker.ended(request)
        self.assertEqual(self.ask(picker, second), [0])


class AnswerTests(PickerCase):
    """What is made of answers."""

    def test_answers_that_were_not_asked_for(self) -> None:
        """A neighbor may send what it was asked for, once, and nothing else."""
        picker = self.picker()
        request = self.request(picker, self.offer(picker, "a", 0b1111))
        self.assertFalse(picker.started(request, 0b10000, self.now))
        self.assertFalse(picker.started(request, 0b11000, self.now))
        self.assertFalse(picker.started(request, 0, self.now))
        self.assertTrue(picker.started(request, 0b0011, self.now))
        self.assertFalse(picker.started(request, 0b0100, self.now))

    def test_more_than_was_asked_for(self) -> None:
        """Who doesn't know how many to send at most may send more of what is wanted."""
        picker = self.picker()
        request = self.request(picker, self.offer(picker, "a"))
        self.assertEqual(request.most, 1)
        self.assertTrue(picker.started(request, 0b1111, self.now))

    def test_needless(self) -> None:
        """An answer is needless when all that is yet to come of it has come from others."""
        picker = self.picker(2)
        slow = self.request(picker, self.offer(picker, "slow", 0b11))
        fast = self.offer(picker, "fast", 0b11)
        picker.started(slow, 0b1, self.now)
        self.assertFalse(picker.is_needless(slow))
        self.send(picker, self.request(picker, fast), 1)
        self.assertFalse(picker.is_needless(slow))
        self.now += 10.0
        request = self.request(picker, fast)
        self.assertEqual(request.asked, 0b1)
        self.send(picker, request, 0)
        self.assertTrue(picker.is_needless(slow))
