"""
When a download looks its holders up at the supernode: at the start, then ever more rarely, for
neighbors name each other; and soon where it has no neighbor that gives anything.
"""

from collections.abc import Callable

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from p2ptwisted.errors import Unavailable
from p2ptwisted.transfer.swarm import CHOSEN_MAX, Swarm

#: Seconds until the first look-up everywhere, and then the next; doubled each time, up to the
#: second figure, or the third where there are as many neighbors as there may be.
LOOKUP_FIRST, LOOKUP_MAX, LOOKUP_MAX_FULL = 2.0, 8.0, 32.0

#: The same where nobody gives anything.
ALONE_FIRST, ALONE_MAX = 0.5, 2.0

#: Seconds between two looks whether somebody does.
LOOK = 0.25

_log = Logger()


class Lookups:
    """Looks the holders of one swarm up, again and again."""

    def __init__(self, clock: IReactorTime, swarm: Swarm, is_alone: Callable[[], bool]) -> None:
        """`is_alone` returns whether there is no neighbor that gives anything."""
        self._clock = clock
        self._swarm = swarm
        self._is_alone = is_alone
        self._pause = LOOKUP_FIRST
        self._alone_pause = ALONE_FIRST

    async def run(self) -> None:
        """Look up everywhere, until it is cancelled; not at once, for somebody is known already."""
        while True:
            await self._wait()
            try:
                await self._swarm.look_up()
            except CancelledError:
                raise
            except Unavailable:
                pass  # The holders that are known will do; the next look-up comes.
            except Exception:
                _log.failure("Looking up the holders failed")

    async def _wait(self) -> None:
        """Wait until it is time for the next look-up."""
        since = self._clock.seconds()
        while (waited := self._clock.seconds() - since) < self._pause:
            if not self._is_alone():
                self._alone_pause = ALONE_FIRST
            elif waited >= self._alone_pause:
                self._alone_pause = min(2 * self._alone_pause, ALONE_MAX)
                return
            await deferLater(self._clock, LOOK)
        is_full = len(self._swarm.neighbors) >= CHOSEN_MAX
        self._pause = min(2 * self._pause, LOOKUP_MAX_FULL if is_full else LOOKUP_MAX)
