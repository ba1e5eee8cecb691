"""
Waiting for news of neighbors that have nothing of use: a question is answered when its neighbor
has got more. While enough pieces are coming few are asked at once, and none too often; what a
neighbor sends besides has its news too.
"""

import sys
from collections.abc import Awaitable, Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from p2ptwisted.transfer.piece_picker import Neighbor

#: Seconds between two questions to one neighbor that had news: as many as so many pieces take to
#: come here, within bounds. While that isn't known, and where it had none, so many seconds.
NEWS_PIECES, NEWS_PAUSE_MIN, NEWS_PAUSE_MAX = 4, 0.02, 0.5
FIRST_NEWS_PAUSE, NO_NEWS_PAUSE = 0.05, 1.0

#: Neighbors whose news is waited for at once, besides those that have had none for so many seconds.
#: (Simulated, 128 MiB to 32 nodes with 25 Mbit/s: without this bound a node asks for news three
#: times for each piece, most of it of pieces that others have been asked for by then, and the last
#: one takes 1.14 times one copy's time instead of 1.10.)
ASKED_MAX, ASKED_TIME = 4, 1.0

#: With fewer requests for pieces under way a node is idle: it asks every neighbor that has nothing
#: of use, and soon again. (Simulated, 256 MiB to 400 nodes with 1 Gbit/s: after 0.7 s
#: the median node has 15 % of it instead of 3 %.)
IDLE_BELOW = 4


class NeighborNews:
    """The questions for news that one attempt has under way."""

    def __init__(
        self,
        clock: IReactorTime,
        ask: Callable[[Neighbor], Awaitable[bool]],
        piece_time: Callable[[], float | None],
        requests: Callable[[], int],
        ended: Callable[[], None],
        failed: Callable[[Failure], None],
    ) -> None:
        """
        `ask` waits for the news of a neighbor; whether it had any.

        `piece_time`: the seconds that a piece takes to come here; None while that isn't known.
        `requests`: how many requests for pieces are under way.
        `ended` is called when a neighbor may be asked again, `failed` with what `ask` raises.
        """
        self._clock = clock
        self._ask = ask
        self._piece_time = piece_time
        self._requests = requests
        self._ended = ended
        self._failed = failed
        #: Since when whose news is waited for.
        self._questions: dict[Neighbor, tuple[float, Deferred[None]]] = {}

    def room(self) -> int:
        """How many neighbors more may be asked now."""
        if self._is_idle():
            return sys.maxsize
        recently = self._clock.seconds() - ASKED_TIME
        return ASKED_MAX - sum(1 for since, _ in self._questions.values() if since > recently)

    def is_asking(self, neighbor: Neighbor) -> bool:
        """Whether a neighbor is being asked, or was a moment ago."""
        return neighbor in self._questions

    def ask(self, neighbor: Neighbor) -> None:
        """Ask a neighbor that isn't being asked."""
        question = Deferred.fromCoroutine(self._wait(neighbor))
        self._questions[neighbor] = self._clock.seconds(), question.addErrback(self._failed)

    async def _wait(self, neighbor: Neighbor) -> None:
        has_news = await self._ask(neighbor)
        await deferLater(self._clock, self._pause() if has_news else NO_NEWS_PAUSE)
        self._questions.pop(neighbor, None)
        self._ended()

    def _is_idle(self) -> bool:
        return self._requests() < IDLE_BELOW

    def _pause(self) -> float:
        if self._is_idle():
            return NEWS_PAUSE_MIN
        piece_time = self._piece_time()
        if piece_time is None:
            return FIRST_NEWS_PAUSE
        return max(NEWS_PAUSE_MIN, min(NEWS_PIECES * piece_time, NEWS_PAUSE_MAX))

    def leave(self, neighbor: Neighbor) -> None:
        """Wait no more for the news of a neighbor."""
        _, question = self._questions.pop(neighbor, (0.0, None))
        if question is not None:
            question.cancel()

    def stop(self) -> None:
        """Wait for no news any more."""
        for neighbor in list(self._questions):
            self.leave(neighbor)
