"""A node's heartbeats at its supernode, and whether that is still there."""

from collections.abc import Awaitable, Callable

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from p2ptwisted.client.transport import BUSY_STATUSES, Refused
from p2ptwisted.errors import Unavailable
from p2ptwisted.support.lifecycle import Wakeup

#: Seconds between two heartbeats.
BEAT = 5.0

#: The same after one without an answer; a silent supernode takes 2 s to be so.
BEAT_AGAIN = 3.0

#: Heartbeats without an answer after which a supernode is gone.
BEATS_MISSED = 2

_log = Logger()


class Heartbeats:
    """Heartbeats at one supernode after the other."""

    def __init__(
        self,
        clock: IReactorTime,
        news: Wakeup,
        beat: Callable[[str], Awaitable[bool]],
        beaten: Callable[[bool], Awaitable[bool]],
    ) -> None:
        """
        `beat` is one, at a supernode: whether it lists this node. Raises Refused and Unavailable.

        `beaten` is told that, and tells whether the next one is to follow at
        once. `news` fires when a supernode has answered, or has not.
        """
        self._clock = clock
        self._news = news
        self._beat = beat
        self._beaten = beaten
        #: Whether the supernode answered the last call.
        self.answers = True
        #: When the last call began that it answered.
        self._answered_at = 0.0

    def answered(self, began: float) -> None:
        """It answered another call, which began then."""
        self._answered_at = max(began, self._answered_at)

    def not_answered(self) -> None:
        """Another call had no answer: a heartbeat tells at once whether it is there at all."""
        self.answers = False
        self._news.fire()

    async def keep_up(self, supernode: str) -> None:
        """Until so many in a row had no answer; then raises Unavailable."""
        missed = 0
        began = self._clock.seconds()
        self.answers, self._answered_at = True, began
        while missed < BEATS_MISSED:
            if missed:
                # From the beginning of one to that of the next, for an answer can take its time.
                await deferLater(self._clock, max(0, began + BEAT_AGAIN - self._clock.seconds()))
            while not missed and self.answers and self._clock.seconds() < self._answered_at + BEAT:
                await self._news.wait_aside(self._answered_at + BEAT - self._clock.seconds())
            began = self._clock.seconds()
            try:
                known = await self._beat(supernode)
            except (Refused, Unavailable) as error:
                _log.debug("{supernode}: {error}", supernode=supernode, error=error)
                if not is_busy(error):
                    missed += 1
                    self.answers = False
                    continue
                known = None
            missed = 0
            self.answers, self._answered_at = True, began
            self._news.fire()
            if known is not None and await self._beaten(known):
                self._answered_at = began - BEAT
        raise Unavailable(f"{BEATS_MISSED} heartbeats had no answer")


def is_busy(error: Exception) -> bool:
    """Whether that is what a supernode says that is well, and has too much to do."""
    return isinstance(error, Refused) and error.status in BUSY_STATUSES
