"""
Limits how often the locations in untagged replies are asked whether they hold what
is searched for, and how many at once: anybody can send such replies. Pure; time is
an argument.

`untagged_replies` asks the questions that this lets through.
"""

from collections import OrderedDict
from collections.abc import Callable

from p2ptwisted.support.expiring import ExpiringDict
from p2ptwisted.support.rate_limit import TokenBucket

#: Questions a second that may not be answered with yes, and how many at once; each is a call
#: over HTTP. A yes gives its token back: whoever has what is searched for is a member of the
#: group, and no third party.
CONFIRM_RATE, CONFIRM_BURST = 100, 200

#: Questions asked at once.
CONFIRMATIONS_MAX = 64

#: Seconds for which an answer counts, and in which the same question is not asked again.
ANSWER_MEMORY = 1.0

#: Seconds that a question waits if it is not the likeliest. A peer answers in the order in
#: which it is asked, so by then it has mostly said no to the others; and a node of the older
#: program asks its whole group for what it doesn't have.
HOLD_DELAY = 0.05

#: Questions that wait to be asked.
WAITING_MAX = 1_000

#: Answers remembered.
ANSWERS_MAX = 10_000

#: A location, and the id that it may hold.
Question = tuple[str, str]


class ConfirmLimiter:
    """Keeps the questions that wait, those being asked, and the latest answers."""

    def __init__(self) -> None:
        self._bucket = TokenBucket(CONFIRM_RATE, CONFIRM_BURST)
        #: Questions to be asked as soon as there is room, the oldest first.
        self._due: OrderedDict[Question, None] = OrderedDict()
        #: Questions that wait for HOLD_DELAY, with when they are due; the oldest first.
        self._held: OrderedDict[Question, float] = OrderedDict()
        self._asking: set[Question] = set()
        #: How each question was answered: None for no answer.
        self._answers: ExpiringDict[Question, bool | None] = ExpiringDict(
            ANSWERS_MAX, ANSWER_MEMORY
        )

    def answer(self, question: Question, now: float) -> bool | None:
        """Returns what was answered within ANSWER_MEMORY; None if that is not known."""
        self._answers.expire(now)
        return self._answers.get(question)

    def want(self, question: Question, now: float, hold: bool = False) -> bool:
        """
        Put a question in the queue; with `hold`, it is due only after HOLD_DELAY.

        Returns False if too many wait. A question that had no answer just now isn't asked
        again yet.
        """
        if self.is_asking(question) or question in self._due or self._had_no_answer(question, now):
            return True
        if question in self._held:
            if not hold:
                del self._held[question]
                self._due[question] = None
            return True
        if len(self._due) + len(self._held) >= WAITING_MAX:
            return False
        if hold:
            self._held[question] = now + HOLD_DELAY
        else:
            self._due[question] = None
        return True

    def next(self, now: float, is_wanted: Callable[[Question], bool]) -> Question | None:
        """Returns the question to ask now, if any; those not wanted any more are dropped."""
        while self._held and next(iter(self._held.values())) <= now:
            question, _ = self._held.popitem(last=False)
            self._due[question] = None
        while self._due and not self.is_full:
            question = next(iter(self._due))
            if is_wanted(question):
                if not self._bucket.take(now):
                    return None
                self._asking.add(question)
            del self._due[question]
            if question in self._asking:
                return question
        return None

    def wait(self, now: float) -> float | None:
        """Returns the seconds until `next` has one; None if that is not a matter of time."""
        if self.is_full:
            return None
        if self._due:
            return 1 / CONFIRM_RATE
        if self._held:
            return max(0.0, next(iter(self._held.values())) - now)
        return None

    def answered(self, question: Question, holds: bool | None, now: float) -> None:
        """Note the answer to a question that was asked; None if there was none."""
        self._asking.discard(question)
        if holds:
            self._bucket.give_back()
        self._answers.set(question, holds, now)

    @property
    def is_full(self) -> bool:
        """Whether no question can be asked before another is answered or canceled."""
        return len(self._asking) >= CONFIRMATIONS_MAX

    def is_asking(self, question: Question) -> bool:
        """Whether the question is being asked."""
        return question in self._asking

    def is_open(self, question: Question) -> bool:
        """Whether the question waits or is being asked."""
        return question in self._asking or question in self._due or question in self._held

    def _had_no_answer(self, question: Question, now: float) -> bool:
        self._answers.expire(now)
        return self._answers.get(question, True) is None
