"""A node's heartbeats at its supernode, which show whether that is still there."""

from collections.abc import Awaitable, Callable

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from p2ptwisted.client.transport import BUSY_STATUSES, Refused
from p2ptwisted.errors import Unavailable
from p2ptwisted.support.lifecycle import Wakeup

#: Seconds between two heartbeats.
HEARTBEAT_INTERVAL = 5.0

#: Seconds from an unanswered heartbeat to the next; a silent supernode takes 2 s to be so.
HEARTBEAT_RETRY = 3.0

#: Unanswered heartbeats in a row after which a supernode is gone.
HEARTBEATS_MISSED_MAX = 2

_log = Logger()


class Heartbeats:
    """Sends heartbeats to one supernode after the other."""

    def __init__(
        self,
        clock: IReactorTime,
        wakeup: Wakeup,
        beat: Callable[[str], Awaitable[bool]],
        beaten: Callable[[bool], Awaitable[bool]],
    ) -> None:
        """
        `beat` sends a heartbeat to a supernode and returns whether that lists this node. It
        raises Refused and Unavailable.

        `beaten` is called with that, and returns whether the next heartbeat must follow at
        once. `wakeup` fires when a supernode has answered, or has not.
        """
        self._clock = clock
        self._wakeup = wakeup
        self._beat = beat
        self._beaten = beaten
        #: Whether the supernode answered the last call.
        self.answers = True
        #: When the last call began that it answered.
        self._answered_at = 0.0

    def answered(self, began: float) -> None:
        """Note that the supernode answered another call, which began then."""
        self._answered_at = max(began, self._answered_at)

    def not_answered(self) -> None:
        """Note that another call had no answer: a heartbeat must show at once if it is there."""
        self.answers = False
        self._wakeup.fire()

    def due_now(self) -> None:
        """Send the next heartbeat at once."""
        self._answered_at = self._clock.seconds() - HEARTBEAT_INTERVAL
        self._wakeup.fire()

    async def keep_up(self, supernode: str) -> None:
        """Send heartbeats until too many in a row had no answer; then raises Unavailable."""
        missed = 0
        began = self._clock.seconds()
        self.answers, self._answered_at = True, began
        while missed < HEARTBEATS_MISSED_MAX:
            if missed:
                # From the beginning of one to that of the next, for an answer can take its time.
                await deferLater(self._clock, max(0, self._seconds_until(began + HEARTBEAT_RETRY)))
            while not missed and self.answers and (rest := self._seconds_until_due()) > 0:
                await self._wakeup.wait_aside(rest)
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
            self._wakeup.fire()
            if known is not None and await self._beaten(known):
                self._answered_at = began - HEARTBEAT_INTERVAL
        raise Unavailable(f"{HEARTBEATS_MISSED_MAX} heartbeats had no answer")

    def _seconds_until(self, when: float) -> float:
        return when - self._clock.seconds()

    def _seconds_until_due(self) -> float:
        return self._seconds_until(self._answered_at + HEARTBEAT_INTERVAL)


def is_busy(error: Exception) -> bool:
    """Whether a supernode refused because it has too much to do, and is well."""
    return isinstance(error, Refused) and error.status in BUSY_STATUSES
