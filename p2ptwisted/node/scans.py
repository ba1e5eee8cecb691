"""
When a shared folder is walked, and when what has changed in it is looked at.

Walking all of it is the only truth, and costs what is there, so it is done rarely. A watch on the
folders tells what has changed; only that is looked at, at once, also while a walk is under way.

While the folder is gone nothing of it is walked, looked at or listed. When it is back, or is
another one, or something was mounted in it, it is walked and watched anew.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import Cooperator
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2ptwisted.interfaces import IFolderWatch
from p2ptwisted.node.changes import Changed, Changes
from p2ptwisted.node.folder_walk import file_meant, is_walked
from p2ptwisted.support.escaping import shown
from p2ptwisted.transfer.shared_folder import Change, SharedFolder

#: Seconds between two scans with a complete watch on the folder, and without.
RESCAN_WATCHED, RESCAN_UNWATCHED = 30.0, 1.0

#: A scan that took long is not repeated before this many times as long has passed.
SCAN_REST = 10

#: The same where it isn't known what may have changed: a change must be seen within 2 s.
HINT_REST = 2

#: The same for looking at what has changed.
LOOK_REST = 4

#: Seconds from a hint or a change to the look, so that many changes make one.
HINT_DELAY = 0.2

_log = Logger()


class _Timer:
    """Calls something once: at the earliest of the times that it is set to, or later."""

    def __init__(self, clock: IReactorTime, call: Callable[[], None]) -> None:
        self._clock = clock
        self._call = call
        self._due: IDelayedCall | None = None
        #: No call before that time.
        self.not_before = 0.0

    def within(self, seconds: float) -> None:
        seconds = max(seconds, self.not_before - self._clock.seconds())
        if self._due is None or not self._due.active():
            self._due = self._clock.callLater(seconds, self._call)
        elif self._due.getTime() > self._clock.seconds() + seconds:
            self._due.reset(seconds)

    def cancel(self) -> None:
        if self._due is not None and self._due.active():
            self._due.cancel()


class Scans:
    """Has a shared folder walked, and what has changed in it looked at, whenever it is time."""

    def __init__(
        self,
        clock: IReactorTime,
        cooperator: Cooperator,
        folder: SharedFolder,
        watch: IFolderWatch | None,
        walk: Callable[[], Iterator[None]],
        look: Callable[[Changed], Iterator[None]],
        walked: Callable[[], None],
        written: Callable[[Path], None],
        displaced: Callable[[Change | None], None],
    ) -> None:
        """
        `walk` does all of the folder and `look` what has changed, in slices; both may raise
        OSError. `walked` is called after each walk. `written` is told what the watch tells.

        `displaced` is called when the folder has changed, and with None when from then on its
        files are `hidden`, or no longer.
        """
        self._clock = clock
        self._cooperator = cooperator
        self._folder = folder
        folder.watch(self._folder_changed)
        self._watch = watch
        self._walk, self._look = walk, look
        self._tell_walked = walked
        self._written = written
        self._tell_displaced = displaced
        self._changes = Changes()
        self._running = False
        self._walking = False
        self._looking = False
        self._hinted = False
        self._failing = False
        #: Whether nothing of the folder is to be listed: it is gone, or is another one that was not
        #: walked yet.
        self.hidden = False
        self._unwalked = False
        #: Whether the folder has changed since the last walk that ended.
        self.displaced = False
        #: When the last walk ended, and how long it took.
        self._ended = self._took = 0.0
        self._next_scan = _Timer(clock, self._scan)
        self._next_look = _Timer(clock, self._begin_look)

    def start(self) -> None:
        """Walk for the first time."""
        self._running = True
        self._scan()

    def stop(self) -> None:
        """Begin nothing any more. What is under way ends with its cooperator."""
        self._running = False
        self._next_scan.cancel()
        self._next_look.cancel()
        if self._watch is not None:
            self._watch.stop()

    # -- walking

    def hint(self) -> None:
        """Walk soon: something may have changed, and it isn't known what."""
        self._hinted = True
        if self._running and not self._walking:
            self._next_scan.within(HINT_DELAY)

    def _scan(self) -> None:
        self._walking = True
        gone = self._folder.look()
        self._walking, self._hinted = gone is None, False
        if gone is not None:
            self._next_scan.within(RESCAN_UNWATCHED)
            return
        if self._watch is not None:
            self._watch.begin(self.hint, self._written, self._changed)
        walking = self._cooperator.cooperate(self._walk()).whenDone()
        walking.addBoth(self._scanned, self._clock.seconds(), self._folder.changes)

    def _scanned(self, result: object, began: float, changes: int) -> None:
        self._walking = False
        if not self._running:
            return
        is_whole = self._folder.changes == changes
        failed = isinstance(result, Failure)
        if isinstance(result, Failure):
            self._report(result)
        self._failing = failed
        if is_whole and not failed:
            self.displaced = self._unwalked = False
            self._hide_or_not()
        if is_whole:
            self._tell_walked()
        now = self._clock.seconds()
        # One that has broken off says nothing of how long they take.
        self._ended, self._took = now, now - began if is_whole else 0.0
        self._next_scan.not_before = now + HINT_REST * self._took
        if self._hinted:
            self._next_scan.within(HINT_DELAY)
        else:
            self._scan_when_due()

    def _report(self, failure: Failure) -> None:
        """Log why a walk failed, unless the folder is gone, or this has been told."""
        if self._folder.look() is None and not self._failing:
            folder = str(self._folder.path)
            # A folder that can't be walked now can be in a while.
            if failure.check(OSError):
                _log.warn(
                    "Can't scan {folder} ({error}); trying again",
                    folder=folder,
                    error=shown(str(failure.value)),
                )
            else:
                _log.failure("Can't scan {folder}", failure, folder=folder)

    def _scan_when_due(self) -> None:
        watched = self._watch is not None and self._watch.complete
        rest = max(RESCAN_WATCHED if watched else RESCAN_UNWATCHED, SCAN_REST * self._took)
        self._next_scan.within(max(0, self._ended + rest - self._clock.seconds()))

    # -- the folder as a whole

    def _folder_changed(self, change: Change) -> None:
        self.displaced = True
        self._unwalked |= change is Change.OTHER
        if self._watch is not None:
            self._watch.stop()  # It watches what was there before.
        self._next_scan.not_before = 0.0
        self._tell_displaced(change)
        self._hide_or_not()
        self.hint()

    def _hide_or_not(self) -> None:
        was_hidden, self.hidden = self.hidden, self._folder.gone is not None or self._unwalked
        if self.hidden != was_hidden:
            self._tell_displaced(None)

    # -- looking at what has changed

    def changed(self, name: str) -> None:
        """Look soon at a file, which may have changed, come or gone."""
        if self._changes.add_file(name):
            self._look_within(HINT_DELAY)
        else:
            self.hint()

    def look_later(self, name: str, seconds: float) -> None:
        """Look at a file after so many seconds, or a little later."""
        seconds = max(seconds, HINT_DELAY)
        if self._changes.add_later(name, self._clock.seconds() + seconds):
            self._look_within(seconds)
        else:
            self.hint()

    def _changed(self, path: str, is_folder: bool) -> None:
        """Take what the watch tells."""
        name = path.removeprefix(os.path.join(self._folder.path, ""))
        if not is_folder:
            if name := file_meant(name):
                self.changed(name)
        elif is_walked(name):
            if self._changes.add_folder(name):
                self._look_within(HINT_DELAY)
            else:
                self.hint()

    def _look_within(self, seconds: float) -> None:
        if self._running and not self._looking:
            self._next_look.within(seconds)

    def _begin_look(self) -> None:
        self._looking = True
        now = self._clock.seconds()
        looking = self._cooperator.cooperate(self._look(self._changes.take(now))).whenDone()
        looking.addBoth(self._looked, now)

    def _looked(self, result: object, began: float) -> None:
        self._looking = False
        if not self._running:
            return
        if isinstance(result, Failure):
            if not result.check(OSError):
                _log.failure("Can't look at what has changed", failure=result)
            self.hint()  # What it is that failed, the walk will tell.
        elif not self._walking:
            self._scan_when_due()  # Sooner, if a folder was entered that can't be watched.
        now = self._clock.seconds()
        self._next_look.not_before = now + LOOK_REST * (now - began)
        due = self._changes.due(now)
        if due is not None:
            self._look_within(max(due - now, HINT_DELAY))
