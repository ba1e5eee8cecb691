"""
The library of a node: the resources in its folder, kept current.

A scan walks the folder in slices and finds what is new, changed or gone. It
is the only truth: a watch on the folders just brings the next scan forward.
New files are hashed beside it, so that a scan never waits for a large file.

A file that somebody is writing is not listed: the hasher asks the system, and it is hashed when
that is over. What `chmod` and links do to a file changes its ctime, as a write does that is dated
back. So it is hashed again; until that is done it stays in the list as it was, and is given to who
asks for it.
"""

import errno
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import Cooperator
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from p2ptwisted.errors import UnknownResource
from p2ptwisted.interfaces import IFolderWatch, IHasher, ILibrary
from p2ptwisted.model import FileStamp, ResourceInfo
from p2ptwisted.node.digest_cache import DigestCache
from p2ptwisted.node.folder_walk import Entry, walk
from p2ptwisted.node.resource_list import ResourceList
from p2ptwisted.pieces import Digests, Pieces, is_cut_by_rule, pieces_of
from p2ptwisted.support.escaping import shown
from p2ptwisted.support.real_path import real_path
from p2ptwisted.support.safe_open import open_unchanged

#: Seconds between two scans with a complete watch on the folder, and without.
RESCAN_WATCHED, RESCAN_UNWATCHED = 30.0, 1.0

#: A scan that took long is not repeated before this many times as long has passed.
SCAN_REST = 10

#: The same after a hint: a change must be seen within 2 s.
HINT_REST = 2

#: Seconds from a hint to the scan, so that many changes make one scan.
HINT_DELAY = 0.2

#: Seconds that a file must have been left alone before it is hashed: one that
#: is still being written would only have to be hashed again.
SETTLE = 0.4

#: Seconds until a file that is being written is looked at again, if nothing is heard of it before.
BUSY_RETRY = 5.0

#: Seconds between two announcements of a list that keeps changing.
ANNOUNCE_EVERY = 0.5

#: Small files, and large ones, that the hasher is given at once. A file that waits
#: there has 25 objects, and collecting garbage among
#: 40,000 times as many holds the reactor for 0.3 s.
HASHING_MAX = 256

_log = Logger()

_Pending = tuple[str, FileStamp]


@implementer(ILibrary)
class Library(Service):
    """An ILibrary of one folder."""

    def __init__(
        self,
        clock: IReactorTime,
        cooperator: Cooperator,
        folder: Path,
        hasher: IHasher,
        cache: DigestCache | None = None,
        watch: IFolderWatch | None = None,
        wall_time: Callable[[], float] = time.time,
    ) -> None:
        """
        `cooperator` is this library's own, stopped with it.

        `wall_time` returns the time by the clock of files' times, in seconds.
        """
        self._clock = clock
        self._cooperator = cooperator
        self.folder = real_path(folder)
        self._hasher = hasher
        self._cache = cache
        self._watch = watch
        self._wall_time = wall_time
        #: By name, every file that was hashed, with the stamp that it had then; without digests if
        #: it couldn't be read.
        self._files: dict[str, tuple[FileStamp, Digests | None]] = {}
        self._list = ResourceList()
        #: Files that are yet to be hashed, with the stamp that they have now. Those whose ctime
        #: alone has changed are still among the others.
        self._pending: dict[str, FileStamp] = {}
        #: Of these, the small and the large ones that the hasher has not been given,
        #: and how many of either kind it has: small ones don't wait for large ones.
        self._waiting: tuple[deque[_Pending], deque[_Pending]] = deque(), deque()
        self._hashing = [0, 0]
        #: Files that somebody is writing, as they were when the hasher said so.
        self._busy: dict[str, FileStamp] = {}
        #: Names of files that were written, and must be hashed again though their times may be the
        #: same: what is written through a memory map doesn't change them everywhere.
        self._written: set[str] = set()
        self._watchers: list[Callable[[], None]] = []
        self._walking = False
        self._walked = False
        self._hinted = False
        self._failing = False
        self._next_scan: IDelayedCall | None = None
        self._next_try: IDelayedCall | None = None
        self._announcement: IDelayedCall | None = None
        self._announced_at: float | None = None
        self.scanning = True

    # -- ILibrary

    def resources(self) -> list[ResourceInfo]:
        return self._list.all()

    def get(self, id: str) -> ResourceInfo | None:
        return self._list.get(id)

    def open(self, id: str) -> BinaryIO:
        for name in self._list.names(id):
            try:
                # With another ctime it is looked at again, as soon as a scan comes by.
                return open_unchanged(self.folder, name, self._files[name][0], any_ctime=True)
            except OSError:
                self.hint()
        raise UnknownResource(f"{id} is not here, or no longer as it was")

    def pieces(self, id: str) -> Pieces | None:
        resource = self.get(id)
        if resource is None or resource.size is None:
            return None
        _, digests = self._files[resource.name]
        assert digests is not None
        return pieces_of(resource.size, digests.pieces, digests.prefixes)

    def adopt(self, path: Path, status: os.stat_result, digests: Digests) -> None:
        stamp = FileStamp.of(status)
        name = path.relative_to(self.folder).as_posix()
        self._forget(name)
        if self._cache is not None:
            self._cache.put(stamp, digests)
        self._pending[name] = stamp
        self._keep(name, stamp, digests)

    def watch(self, changed: Callable[[], None]) -> None:
        self._watchers.append(changed)

    # -- Service

    def startService(self) -> None:
        super().startService()
        self._scan()

    def stopService(self) -> None:
        super().stopService()
        for call in (self._next_scan, self._next_try, self._announcement):
            if call is not None and call.active():
                call.cancel()
        if self._watch is not None:
            self._watch.stop()
        self._cooperator.stop()

    # -- when to scan

    def hint(self) -> None:
        """Scan soon: something may have changed."""
        self._hinted = True
        if self.running and not self._walking:
            self._scan_within(HINT_DELAY)

    def _scan_within(self, seconds: float) -> None:
        if self._next_scan is None or not self._next_scan.active():
            self._next_scan = self._clock.callLater(seconds, self._scan)
        elif self._next_scan.getTime() > self._clock.seconds() + seconds:
            self._next_scan.reset(seconds)

    def _scan(self) -> None:
        self._walking, self._hinted = True, False
        if self._watch is not None:
            self._watch.begin(self.hint, self._was_written)
        walking = self._cooperator.cooperate(self._walk()).whenDone()
        walking.addBoth(self._scanned, self._clock.seconds())

    def _scanned(self, result: object, began: float) -> None:
        self._walking, self._walked = False, True
        if not self.running:
            return
        failed = isinstance(result, Failure)
        if isinstance(result, Failure) and not self._failing:
            # A folder that can't be walked now can be in a while.
            _log.failure("Can't scan {folder}", failure=result, folder=str(self.folder))
        self._failing = failed
        self._check_first_scan()
        watched = self._watch is not None and self._watch.complete
        took = self._clock.seconds() - began
        if self._hinted:
            self._scan_within(max(HINT_DELAY, HINT_REST * took))
        else:
            rest = RESCAN_WATCHED if watched else RESCAN_UNWATCHED
            self._scan_within(max(rest, SCAN_REST * took))

    # -- scanning

    def _walk(self) -> Iterator[None]:
        unseen = self._files.keys() | self._pending.keys()
        entered = self._watch.enter if self._watch is not None else lambda folder: None
        for entry in walk(self.folder, entered):
            if entry is not None:
                unseen.discard(entry.name)
                age = self._wall_time() - entry.stamp.mtime_ns / 1e9
                # A time in the future says nothing.
                known = self._is_known(entry) or self._looks_known(entry)
                if 0 <= age < SETTLE and not known:
                    self._hinted = True
                    self._forget(entry.name)
                else:
                    self._found(entry)
            yield
        if unseen:
            yield from self._take_over(unseen)
        for name in unseen:
            self._forget(name)

    def _take_over(self, gone: set[str]) -> Iterator[None]:
        """List the files that have been renamed under their new names, while they are hashed."""
        known: dict[tuple[int, ...], tuple[FileStamp, Digests]] = {}
        for name in gone:
            stamp, digests = self._files.get(name, (None, None))
            if stamp is not None and digests is not None:
                known[stamp.but_ctime] = stamp, digests
            yield
        for name, stamp in list(self._pending.items()):
            before = known.get(stamp.but_ctime)
            # It may have been hashed meanwhile.
            if before is not None and name not in self._files and name in self._pending:
                self._add(name, *before)
            yield

    def _is_known(self, entry: Entry) -> bool:
        stamp, _ = self._files.get(entry.name, (None, None))
        return self._pending.get(entry.name, stamp) == entry.stamp

    def _looks_known(self, entry: Entry) -> bool:
        """Whether the file is what it was when it was hashed, but for its ctime."""
        stamp, _ = self._files.get(entry.name, (None, None))
        return stamp is not None and stamp.but_ctime == entry.stamp.but_ctime

    def _found(self, entry: Entry) -> None:
        # While it is being hashed it can't be hashed again.
        written = entry.name in self._written and entry.name not in self._pending
        if self._is_known(entry) and not written:
            return
        if not self._looks_known(entry):
            self._forget(entry.name)
        self._written.discard(entry.name)
        self._busy.pop(entry.name, None)
        self._pending[entry.name] = entry.stamp
        # What was remembered of it is what must be checked.
        self._hash(entry.name, entry.stamp, remembered=not written)

    def _was_written(self, path: Path) -> None:
        """Look at a file again, by all its names: it is no longer open for writing."""
        name = path.relative_to(self.folder).as_posix()
        stamp, digests = self._files.get(name, (None, None))
        if name in self._pending or stamp is not None:
            self._written.add(name)
        if stamp is not None and digests is not None:
            self._written |= {
                other for other in self._list.names(digests.id) if self._files[other][0] == stamp
            }

    def _forget(self, name: str) -> None:
        self._pending.pop(name, None)
        self._busy.pop(name, None)
        self._written.discard(name)
        _, digests = self._files.pop(name, (None, None))
        if digests is not None:
            self._list.remove(name, digests.id)
            self._announce_soon()

    # -- hashing

    def _hash(self, name: str, stamp: FileStamp, *, remembered: bool = True) -> None:
        """Hash a file, unless its digests are `remembered`."""
        known = self._cache.get(stamp) if self._cache is not None and remembered else None
        # What an earlier version has cut otherwise is hashed again: a fetch can't take some pieces
        # from one holder and some from another where these cut differently.
        if known is not None and is_cut_by_rule(stamp.size, known.pieces):
            self._keep(name, stamp, known)
            return

        kind = int(self._hasher.is_large(stamp.size))
        self._waiting[kind].append((name, stamp))
        self._hash_next(kind)

    def _hash_next(self, kind: int) -> None:
        """Give the hasher what it has room for."""
        while self._waiting[kind] and self._hashing[kind] < HASHING_MAX:
            name, stamp = self._waiting[kind].popleft()
            # It may have changed or gone while it waited.
            if self._pending.get(name) == stamp:
                self._hashing[kind] += 1
                self._hash_now(name, stamp, kind)

    def _hash_now(self, name: str, stamp: FileStamp, kind: int) -> None:
        def hashed(digests: Digests) -> None:
            if self._cache is not None:
                self._cache.put(stamp, digests)
            self._keep(name, stamp, digests)

        def failed(failure: Failure) -> None:
            if failure.check(FileNotFoundError):
                if self._pending.get(name) == stamp:
                    del self._pending[name]
                    self.hint()
                return
            failure.trap(OSError)
            if isinstance(failure.value, OSError) and failure.value.errno == errno.EBUSY:
                self._put_off(name, stamp)
                return
            # Kept without an id, so that it is logged once and not tried again until it changes.
            _log.warn(
                "{name} is not shared: {error}",
                name=shown(name),
                error=shown(str(failure.value)),
            )
            self._keep(name, stamp, None)

        def ended(result: object) -> object:
            self._hashing[kind] -= 1
            self._hash_next(kind)
            return result

        hashing = self._hasher.hash(self.folder, name, stamp)
        hashing.addBoth(ended)
        hashing.addCallbacks(hashed, failed)
        hashing.addCallback(lambda _: self._check_first_scan())
        hashing.addErrback(
            lambda failure: _log.failure("Hashing {name} failed", failure=failure, name=shown(name))
        )

    def _put_off(self, name: str, stamp: FileStamp) -> None:
        """Have a file off the list, and look at it again later: somebody is writing it."""
        if self._pending.get(name) != stamp or not self.running:
            return
        self._forget(name)
        self._busy[name] = stamp
        # When the writer closes it, the watch gives a hint. It doesn't see everything.
        if self._next_try is None:
            self._next_try = self._clock.callLater(BUSY_RETRY, self._try_busy)

    def _try_busy(self) -> None:
        self._next_try = None
        for name, stamp in list(self._busy.items()):
            self._found(Entry(name, stamp))

    def _keep(self, name: str, stamp: FileStamp, digests: Digests | None) -> None:
        if self._pending.get(name) != stamp:
            return  # It has changed or gone since; the scan that saw it knows better.
        del self._pending[name]
        if name in self._written:
            self.hint()
        _, before = self._files.get(name, (None, None))
        if before is not None and digests is not None and before.id == digests.id:
            self._files[name] = stamp, digests  # Listed as it is.
            return
        self._forget(name)
        self._add(name, stamp, digests)

    def _add(self, name: str, stamp: FileStamp, digests: Digests | None) -> None:
        self._files[name] = stamp, digests
        if digests is not None:
            self._list.add(name, digests.id, stamp.size)
            self._announce_soon()

    def _check_first_scan(self) -> None:
        if self.scanning and self._walked and not self._pending:
            self.scanning = False
            _log.info(
                "{folder} is scanned: {count} resources",
                folder=str(self.folder),
                count=len(self._list),
            )
            self._announce()

    # -- announcing the list

    def _announce_soon(self) -> None:
        if self._announcement is None:
            now = self._clock.seconds()
            due = now if self._announced_at is None else self._announced_at + ANNOUNCE_EVERY
            self._announcement = self._clock.callLater(max(0, due - now), self._announce)

    def _announce(self) -> None:
        if self._announcement is not None and self._announcement.active():
            self._announcement.cancel()
        self._announcement = None
        self._announced_at = self._clock.seconds()
        for changed in self._watchers:
            changed()
