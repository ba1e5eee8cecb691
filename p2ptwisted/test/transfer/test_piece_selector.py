"""Tests for `p2ptwisted.transfer.piece_selector`."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.pieces import every_piece, members
from p2ptwisted.transfer.piece_selector import LEVELS, RUN_MAX, PieceSelector


class SpreadTests(SynchronousTestCase):
    """What a holder sends next."""

    def chosen(self, selector: PieceSelector, pieces: int, client: str) -> list[int]:
        """What it sends in an answer that is through at once."""
        return list(members(selector.choose(pieces, client)))

    def test_alone(self) -> None:
        """A client that is alone gets twice as many pieces each time, in order, up to a bound."""
        selector, missing, runs = PieceSelector(), every_piece(400), []
        while missing:
            run = selector.choose(missing, "a")
            self.assertEqual(run & -run, missing & -missing, "not the next ones")
            missing &= ~run
            runs.append(run.bit_count())
        self.assertEqual(runs, [1, 2, 4, 8, 16, 32, 64, RUN_MAX, RUN_MAX, 17])

    def test_several_clients(self) -> None:
        """Clients that take turns get a piece each, and each another one."""
        selector = PieceSelector()
        everything = every_piece(6)
        chosen = [self.chosen(selector, everything, client) for client in "abcabc"]
        self.assertEqual(chosen, [[0], [1], [2], [3], [4], [5]])

    def test_one_that_asks_while_another_is_served(self) -> None:
        """A client that asks again gets one piece as long as an answer is on its way."""
        selector = PieceSelector()
        everything = every_piece(100)
        self.chosen(selector, everything, "a")
        selector.began()
        self.assertEqual(len(self.chosen(selector, everything, "a")), 1)
        selector.ended()
        self.assertEqual(len(self.chosen(selector, everything, "a")), 2)

    def test_most(self) -> None:
        """A client that says how many it takes gets as many at once, up to a bound."""
        selector, everything = PieceSelector(), every_piece(1_000)
        selector.began()
        runs = [selector.choose(everything, "a", most).bit_count() for most in (1, 5, 10_000)]
        self.assertEqual(runs, [1, 5, RUN_MAX])

    def test_most_beside_others(self) -> None:
        """It does not lengthen what those get who don't say how many they take."""
        selector, everything = PieceSelector(), every_piece(1_000)
        self.chosen(selector, everything, "a")
        selector.choose(everything, "a", 100)
        self.assertEqual(len(self.chosen(selector, everything, "a")), 2)

    def test_least_sent_first(self) -> None:
        """What was sent most rarely goes first, whoever asks."""
        selector = PieceSelector()
        self.chosen(selector, 0b0111, "a")
        self.chosen(selector, 0b0110, "b")
        self.assertEqual(self.chosen(selector, 0b0111, "c"), [2])
        self.assertEqual(self.chosen(selector, 0b0111, "d"), [0])

    def test_run_is_of_equals(self) -> None:
        """A run ends before a piece that was sent more often, or is not wanted."""
        selector = PieceSelector()
        self.chosen(selector, 0b100000, "b")
        for _ in range(3):
            self.chosen(selector, 1 << 40, "a")
        self.assertEqual(self.chosen(selector, 0b1111000, "a"), [3, 4])
        self.assertEqual(self.chosen(selector, 0b0110011 << 50, "a"), [50, 51])
        self.assertEqual(list(members(selector.choose(0b110111 << 60, "a", 9))), [60, 61, 62])

    def test_sent_very_often(self) -> None:
        """However often all have been sent, there is an answer."""
        selector = PieceSelector()
        for number in range(3 * LEVELS):
            self.assertEqual(len(self.chosen(selector, 0b11, f"client {number}")), 1)

    @settings(deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.integers(1, every_piece(40)),
                st.sampled_from("ab"),
                st.booleans(),
                st.none() | st.integers(1, 50),
            ),
            max_size=60,
        )
    )
    def test_any(self, questions: list[tuple[int, str, bool, int | None]]) -> None:
        """An answer is some consecutive pieces of those wanted, the first sent least often."""
        selector = PieceSelector()
        sent = [0] * 40
        for pieces, client, is_long, most in questions:
            run = list(members(selector.choose(pieces, client, most)))
            self.assertLessEqual(len(run), most or RUN_MAX)
            self.assertEqual(run, list(range(run[0], run[-1] + 1)))
            self.assertEqual([n for n in run if not pieces >> n & 1], [])
            seldom = min(min(sent[n], LEVELS) for n in members(pieces))
            self.assertEqual({min(sent[n], LEVELS) for n in run}, {seldom})
            for n in run:
                sent[n] += 1
            if is_long:
                selector.began()
