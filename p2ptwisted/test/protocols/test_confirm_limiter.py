"""Tests for `p2ptwisted.protocols.confirm_limiter`."""

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.protocols import confirm_limiter as module
from p2ptwisted.protocols.confirm_limiter import ANSWER_MEMORY, HOLD_DELAY, ConfirmLimiter, Question

HERE, THERE = "10.0.0.1:8000", "10.0.0.2:8000"


class ConfirmingTests(SynchronousTestCase):
    """What the locations of untagged replies are asked, and when."""

    def setUp(self) -> None:
        self.limiter = ConfirmLimiter()
        #: Questions that nobody wants asked any more.
        self.needless: list[Question] = []

    def want(self, location: str, ids: str, now: float, hold: bool = False) -> list[bool]:
        return [self.limiter.want((location, id), now, hold) for id in ids]

    def next(self, now: float) -> list[Question]:
        """All that may be asked now."""
        asked = []
        while question := self.limiter.next(now, lambda one: one not in self.needless):
            asked.append(question)
        return asked

    def ids(self, now: float) -> str:
        return "".join(id for _, id in self.next(now))

    def test_in_order(self) -> None:
        """What is wanted is asked in that order, each once."""
        self.want(HERE, "ba", 0.0)
        self.want(HERE, "a", 0.0)
        self.assertEqual(self.next(0.0), [(HERE, "b"), (HERE, "a")])
        self.want(HERE, "ab", 0.1)
        self.assertEqual(self.next(0.1), [])

    def test_held(self) -> None:
        """What can wait a moment does, unless it becomes urgent, or needless."""
        self.want(HERE, "abc", 0.0, hold=True)
        self.assertEqual(self.limiter.wait(0.0), HOLD_DELAY)
        self.want(HERE, "c", 0.0)
        self.assertEqual(self.ids(0.0), "c")
        self.needless = [(HERE, "a")]
        self.assertEqual(self.ids(HOLD_DELAY - 0.01), "")
        self.assertEqual(self.ids(HOLD_DELAY), "b")
        self.assertIs(self.limiter.wait(HOLD_DELAY), None)

    def test_told(self) -> None:
        """An answer counts for a second, for that location and that id."""
        self.want(HERE, "ab", 0.0)
        self.next(0.0)
        self.limiter.answered((HERE, "a"), True, 0.0)
        self.limiter.answered((HERE, "b"), False, 0.0)
        told = self.limiter.answer
        self.assertEqual((told((HERE, "a"), 0.9), told((HERE, "b"), 0.9)), (True, False))
        self.assertIs(told((THERE, "a"), 0.9), None)
        self.assertEqual((told((HERE, "a"), 1.0), told((HERE, "b"), 1.0)), (None, None))

    def test_in_vain(self) -> None:
        """What had no answer is not known, and is asked again after a second."""
        self.want(HERE, "a", 0.0)
        self.next(0.0)
        self.limiter.answered((HERE, "a"), None, 0.0)
        self.assertIs(self.limiter.answer((HERE, "a"), 0.1), None)
        self.assertEqual(self.want(HERE, "a", ANSWER_MEMORY - 0.1), [True])
        self.assertFalse(self.limiter.is_open((HERE, "a")))
        self.want(HERE, "a", ANSWER_MEMORY)
        self.assertEqual(self.ids(ANSWER_MEMORY), "a")

    def test_rate(self) -> None:
        """A flood has no more asked than the bucket lets through; what is left waits for more."""
        self.patch(module, "CONFIRM_BURST", 3)
        self.limiter = ConfirmLimiter()
        self.want(HERE, "abcde", 0.0)
        self.assertEqual(self.ids(0.0), "abc")
        later = self.limiter.wait(0.0)
        assert later is not None
        self.assertEqual(self.ids(later), "d")

    def test_yes_is_free(self) -> None:
        """Only what is answered with a yes gives its token back."""
        self.patch(module, "CONFIRM_BURST", 1)
        self.limiter = ConfirmLimiter()
        for id, holds, asked in (("a", True, "a"), ("b", False, "b"), ("c", True, "")):
            self.want(HERE, id, 0.0)
            self.assertEqual(self.ids(0.0), asked)
            if asked:
                self.limiter.answered((HERE, id), holds, 0.0)

    def test_needless_is_free(self) -> None:
        """What nobody wants any more takes no token."""
        self.patch(module, "CONFIRM_BURST", 1)
        self.limiter = ConfirmLimiter()
        self.needless = [(HERE, "a")]
        self.want(HERE, "ab", 0.0)
        self.assertEqual(self.ids(0.0), "b")

    def test_at_once(self) -> None:
        """So many are asked at once, and the next when one of them was answered."""
        self.patch(module, "CONFIRMATIONS_MAX", 2)
        self.want(HERE, "abc", 0.0)
        self.assertEqual(self.ids(0.0), "ab")
        self.assertTrue(self.limiter.is_full)
        self.assertIs(self.limiter.wait(0.0), None)
        self.limiter.answered((HERE, "a"), None, 0.1)
        self.assertEqual(self.ids(0.1), "c")

    def test_memory(self) -> None:
        """So many wait, and so many answers are remembered, whatever is said."""
        self.patch(module, "WAITING_MAX", 2)
        self.patch(module, "ANSWERS_MAX", 2)
        self.limiter = ConfirmLimiter()
        self.assertEqual(self.want(HERE, "ab", 0.0, hold=True), [True, True])
        self.assertEqual(self.want(HERE, "cba", 0.0), [False, True, True])
        self.next(0.0)
        self.want(HERE, "c", 0.0)
        self.next(0.0)
        for id in "abc":
            self.limiter.answered((HERE, id), True, 0.0)
        told = [self.limiter.answer((HERE, id), 0.0) for id in "abc"]
        self.assertEqual(told, [None, True, True])
