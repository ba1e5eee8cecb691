"""Files that somebody is writing, which are looked at again later."""

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Seconds until a file that is being written is looked at again, if nothing is heard of it before.
BUSY_RETRY = 5.0


class BusyFiles:
    """The names of files that somebody is writing."""

    def __init__(self, clock: IReactorTime, look: Callable[[str], None]) -> None:
        """`look` is called with the name of a file that is to be looked at again."""
        self._clock = clock
        self._look = look
        self._names: set[str] = set()
        self._next_try: IDelayedCall | None = None

    def add(self, name: str) -> None:
        """Have a file looked at again, and again until it is discarded."""
        self._names.add(name)
        # When the writer closes it, the watch tells of it. It doesn't see everything.
        if self._next_try is None:
            self._next_try = self._clock.callLater(BUSY_RETRY, self._try)

    def discard(self, name: str) -> None:
        """Note that a file is not being written, or not there."""
        self._names.discard(name)

    def stop(self) -> None:
        """Have nothing looked at any more."""
        if self._next_try is not None and self._next_try.active():
            self._next_try.cancel()

    def _try(self) -> None:
        self._next_try = None
        for name in self._names:
            self._look(name)
