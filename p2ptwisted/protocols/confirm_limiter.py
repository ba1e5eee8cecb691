"""
What the locations of untagged replies are asked: whether they have what is being
searched for. Anybody can send such replies, so it is bounded how often and how
many at once. Pure; time is an argument.
"""

from collections import OrderedDict
from collections.abc import Callable

from p2ptwisted.support.rate_limit import TokenBucket

#: Questions a second, and at once, that may come to nothing; each is a call over HTTP. One
#: that is answered with yes gives its token back: whoever has what is searched for is a
#: member of the group, and no third party.
CONFIRM_RATE, CONFIRM_BURST = 100, 200

#: Questions that are being asked at once.
CONFIRMATIONS_MAX = 64

#: Seconds for which an answer counts, and in which the same is not asked again.
ASK_AGAIN = 1.0

#: Seconds that a question waits which is not the likeliest: a peer answers in the order in
#: which it is asked, so by then it has mostly said no to the others, and a node of the
#: older program asks its whole group for what it doesn't have.
HOLD = 0.05

#: Questions that wait.
WAITING_MAX = 1_000

#: Answers remembered.
TOLD_MAX = 10_000

#: A location, and the id that it may have.
Question = tuple[str, str]


class ConfirmLimiter:
    """The questions that wait, those that are being asked, and what was answered of late."""

    def __init__(self) -> None:
        self._bucket = TokenBucket(CONFIRM_RATE, CONFIRM_BURST)
        #: Those to be asked as soon as there is room, the oldest first.
        self._due: OrderedDict[Question, None] = OrderedDict()
        #: When those are due that wait a moment first, the oldest first.
        self._held: OrderedDict[Question, float] = OrderedDict()
        self._asking: set[Question] = set()
        #: When each was answered, and what: None where there was no answer. The oldest first.
        self._told: OrderedDict[Question, tuple[float, bool | None]] = OrderedDict()

    def told(self, question: Question, now: float) -> bool | None:
        """What was answered within the last second; None where that is not known."""
        at, holds = self._told.get(question, (0.0, None))
        return holds if now < at + ASK_AGAIN else None

    def want(self, question: Question, now: float, hold: bool = False) -> bool:
        """
        Have it asked, after a moment where `hold`; False where too many wait.

        One that was asked in vain just now isn't asked again yet.
        """
        if self.is_asking(question) or question in self._due or self._was_in_vain(question, now):
            return True
        if question in self._held:
            if not hold:
                del self._held[question]
                self._due[question] = None
            return True
        if len(self._due) + len(self._held) >= WAITING_MAX:
            return False
        if hold:
            self._held[question] = now + HOLD
        else:
            self._due[question] = None
        return True

    def next(self, now: float, is_wanted: Callable[[Question], bool]) -> Question | None:
        """The one to be asked now, if any; those that nobody wants any more are dropped."""
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
        """Seconds until the next can be asked; None where that is not a matter of time."""
        if self.is_full:
            return None
        if self._due:
            return 1 / CONFIRM_RATE
        if self._held:
            return max(0.0, next(iter(self._held.values())) - now)
        return None

    def answered(self, question: Question, holds: bool | None, now: float) -> None:
        """What came of one that was asked; None where there was no answer."""
        self._asking.discard(question)
        if holds:
            self._bucket.give_back()
        self._told[question] = now, holds
        self._told.move_to_end(question)
        if len(self._told) > TOLD_MAX:
            self._told.popitem(last=False)

    @property
    def is_full(self) -> bool:
        """Whether none can be asked before another was answered, or is given up."""
        return len(self._asking) >= CONFIRMATIONS_MAX

    def is_asking(self, question: Question) -> bool:
        """Whether it is being asked."""
        return question in self._asking

    def is_open(self, question: Question) -> bool:
        """Whether it waits, or is being asked."""
        return question in self._asking or question in self._due or question in self._held

    def _was_in_vain(self, question: Question, now: float) -> bool:
        at, holds = self._told.get(question, (now - ASK_AGAIN, True))
        return holds is None and now < at + ASK_AGAIN
