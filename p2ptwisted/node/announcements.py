"""Telling others that a list has changed, but not at every change."""

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Seconds between two announcements of a list that keeps changing.
ANNOUNCE_EVERY = 0.5


class Announcements:
    """Tells who watches of changes: at once, and then at most every ANNOUNCE_EVERY."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._watchers: list[Callable[[], None]] = []
        self._due: IDelayedCall | None = None
        self._announced_at: float | None = None
        self._stopped = False

    def watch(self, changed: Callable[[], None]) -> None:
        """Call `changed` at every announcement."""
        self._watchers.append(changed)

    def soon(self) -> None:
        """Announce as soon as it may be."""
        if self._due is None and not self._stopped:
            now = self._clock.seconds()
            due = now if self._announced_at is None else self._announced_at + ANNOUNCE_EVERY
            self._due = self._clock.callLater(max(0, due - now), self.now)

    def now(self) -> None:
        """Announce, whenever that was done last."""
        self._cancel()
        self._announced_at = self._clock.seconds()
        for changed in self._watchers:
            changed()

    def stop(self) -> None:
        """Announce nothing any more by itself."""
        self._stopped = True
        self._cancel()

    def _cancel(self) -> None:
        if self._due is not None and self._due.active():
            self._due.cancel()
        self._due = None
