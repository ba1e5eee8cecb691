"""
The library of a node: the resources in its folder, kept current.

A scan walks the folder in slices and finds what is new, changed or gone. Between two scans only
that is looked at which is known to have changed (`scans`).
New files are hashed beside it, so that a scan never waits for a large file.

A file that somebody is writing is not listed: the hasher asks the system, and it is hashed when
that is over. What `chmod` and links do to a file changes its ctime, as a write does that is dated
back. So it is hashed again; until that is done it stays in the list as it was, and is given to who
asks for it.
"""

import errno
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Cooperator
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from p2ptwisted.errors import UnknownResource
from p2ptwisted.interfaces import IFolderWatch, IHasher, ILibrary
from p2ptwisted.model import FileStamp, ResourceInfo
from p2ptwisted.node.announcements import Announcements
from p2ptwisted.node.busy_files import BusyFiles
from p2ptwisted.node.changes import Changed
from p2ptwisted.node.digest_cache import DigestCache
from p2ptwisted.node.folder_walk import Entry, look, walk
from p2ptwisted.node.hash_queue import HashQueue
from p2ptwisted.node.known_digests import KnownDigests
from p2ptwisted.node.left_out import LeftOut
from p2ptwisted.node.name_tree import NameTree
from p2ptwisted.node.passes import Passes
from p2ptwisted.node.quiet_times import QuietTimes
from p2ptwisted.node.resource_list import ResourceList
from p2ptwisted.node.scans import Scans
from p2ptwisted.pieces import Digests, Pieces, pieces_of
from p2ptwisted.support.escaping import shown
from p2ptwisted.support.safe_open import open_unchanged
from p2ptwisted.support.wording import counted
from p2ptwisted.transfer.shared_folder import Change, SharedFolder

#: Names of one content among which those of one file are looked for.
LINKED_NAMES_MAX = 100

_log = Logger()


@implementer(ILibrary)
class Library(Service):
    """An ILibrary of one folder."""

    def __init__(
        self,
        clock: IReactorTime,
        cooperator: Cooperator,
        folder: SharedFolder,
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
        self.folder = folder
        folder.claim(self._has_beneath)
        self._hasher = hasher
        self._known = KnownDigests(cache)
        self._watch = watch
        self._wall_time = wall_time
        #: By name, every file that was hashed, with the stamp that it had then; without digests if
        #: it couldn't be read.
        self._files: dict[str, tuple[FileStamp, Digests | None]] = {}
        self._list = ResourceList()
        #: Files that are yet to be hashed, with the stamp that they have now. Those whose ctime
        #: alone has changed are still among the others.
        self._pending: dict[str, FileStamp] = {}
        self._hash_queue = HashQueue(
            hasher, folder, self._is_pending, self._was_hashed, self._was_not_hashed
        )
        #: Names of files that were written, and must be hashed again though their times may be the
        #: same: what is written through a memory map doesn't change them everywhere.
        self._written: set[str] = set()
        #: The names of all these, but for those of which a scan will know better.
        self._tree = NameTree()
        self._passes = Passes(folder, self._was_found, self._take_over, self._was_gone)
        self._left_out = LeftOut()
        self._quiet_times = QuietTimes()
        self._scans = Scans(
            clock,
            cooperator,
            folder,
            watch,
            self._walk,
            self._look,
            self._was_walked,
            self._was_written,
            self._was_displaced,
        )
        self._busy = BusyFiles(clock, self._scans.changed)
        self._announcements = Announcements(clock)
        self._walked = False
        self.scanning = True

    # -- ILibrary

    def resources(self) -> list[ResourceInfo]:
        return [] if self._scans.hidden else self._list.all()

    def get(self, id: str) -> ResourceInfo | None:
        return None if self._scans.hidden else self._list.get(id)

    def open(self, id: str) -> BinaryIO:
        for name in self._list.names(id):
            try:
                # With another ctime it is looked at again, as soon as a scan comes by.
                return open_unchanged(self.folder.path, name, self._files[name][0], any_ctime=True)
            except OSError:
                self._scans.changed(name)
        raise UnknownResource(f"{id} is not here, or has changed")

    def pieces(self, id: str) -> Pieces | None:
        resource = self.get(id)
        if resource is None or resource.size is None:
            return None
        _, digests = self._files[resource.name]
        assert digests is not None
        return pieces_of(resource.size, digests.pieces, digests.prefixes)

    def adopt(self, path: Path, status: os.stat_result, digests: Digests) -> None:
        stamp = FileStamp.of(status)
        name = path.relative_to(self.folder.path).as_posix()
        self._forget(name)
        self._known.put(stamp, digests)
        self._passes.seen(name)
        self._pending[name] = stamp
        self._keep(name, stamp, digests)

    def watch(self, changed: Callable[[], None]) -> None:
        self._announcements.watch(changed)

    # -- Service

    def startService(self) -> None:
        super().startService()
        self._scans.start()

    def stopService(self) -> None:
        super().stopService()
        self._busy.stop()
        self._announcements.stop()
        self._scans.stop()
        self._cooperator.stop()

    # -- scanning

    def hint(self) -> None:
        """Scan soon: something may have changed."""
        self._scans.hint()

    def _walk(self) -> Iterator[None]:
        """Look at all of the folder."""
        if (
            yield from self._passes.go_through(
                lambda: walk(self.folder.path, self._enter, unreadable=self._left_out.add),
                self._files.keys() | self._pending.keys(),
            )
        ):
            self._left_out.walked()

    def _look(self, changed: Changed) -> Iterator[None]:
        """Look at what has changed."""
        before: set[str] = set()
        for names in changed.files.values():
            before |= names
        for folder in changed.listed:
            before.update(self._tree.directly_in(folder))
        for folder in changed.trees:
            for name in self._tree.beneath(folder):
                before.add(name)
                yield
        yield from self._passes.go_through(
            lambda: look(self.folder.path, changed, self._enter, self._left_out.add), before
        )

    def _was_found(self, entry: Entry) -> bool:
        self._consider(entry)
        return entry.name in self._pending

    def _was_gone(self, name: str) -> None:
        self._look_at_other_names(name)
        self._quiet_times.gone(name)
        self._forget(name)

    def _has_beneath(self, name: str) -> bool:
        """Whether there are files in the folder of that name; the empty name is the folder's."""
        return any(self._tree.beneath(name))

    def _was_displaced(self, change: Change | None) -> None:
        """Take it that the folder is gone, back, changed, or now listed as it is (None)."""
        if change is None:
            self._announcements.now()
            return
        for name in [name for name, (_, digests) in self._files.items() if digests is None]:
            self._forget(name)  # It may be readable there.
        self.scanning |= change is Change.OTHER
        self._walked = False

    def _was_walked(self) -> None:
        self._walked = True
        self._check_first_scan()

    def _enter(self, folder: Path) -> None:
        if self._watch is not None:
            self._watch.enter(folder)

    def _consider(self, entry: Entry) -> None:
        """Take a file that was found, unless it must be left alone for longer."""
        name, stamp = entry
        # While it is being hashed it can't be hashed again.
        written = name in self._written and name not in self._pending
        if self._is_known(entry) and not written:
            return
        age = self._wall_time() - stamp.mtime_ns / 1e9
        was_known = name in self._files or name in self._pending
        wait = self._quiet_times.wait(name, stamp, age, self._clock.seconds(), was_known)
        if not self._looks_known(entry):
            self._look_at_other_names(name)
            if wait:
                self._forget(name)
        if wait:
            self._scans.look_later(name, wait)
        else:
            self._found(entry)

    def _take_over(self, gone: set[str], new: Iterable[str]) -> Iterator[None]:
        """List the files that have been renamed under their new names, while they are hashed."""
        known: dict[tuple[int, ...], tuple[FileStamp, Digests]] = {}
        for name in list(gone):
            stamp, digests = self._files.get(name, (None, None))
            if stamp is not None and digests is not None:
                known[stamp.but_ctime] = stamp, digests
            yield
        for name in new:
            stamp = self._pending.get(name)
            # It may have been hashed meanwhile.
            if stamp is not None and name not in self._files and stamp.but_ctime in known:
                self._add(name, *known[stamp.but_ctime])
            yield

    def _is_known(self, entry: Entry) -> bool:
        stamp, _ = self._files.get(entry.name, (None, None))
        return self._pending.get(entry.name, stamp) == entry.stamp

    def _looks_known(self, entry: Entry) -> bool:
        """Whether the file is what it was when it was hashed, but for its ctime."""
        stamp, _ = self._files.get(entry.name, (None, None))
        return stamp is not None and stamp.but_ctime == entry.stamp.but_ctime

    def _found(self, entry: Entry) -> None:
        written = entry.name in self._written and entry.name not in self._pending
        if not self._looks_known(entry):
            self._forget(entry.name)
        self._written.discard(entry.name)
        self._busy.discard(entry.name)
        self._pending[entry.name] = entry.stamp
        self._tree.add(entry.name)
        self._quiet_times.hashing(entry.name, self._clock.seconds())
        # What was remembered of it is what must be checked.
        self._hash(entry.name, entry.stamp, remembered=not written)

    def _was_written(self, path: Path) -> None:
        """Look at a file again, by all its names: it is no longer open for writing."""
        if not path.is_relative_to(self.folder.path):
            return
        name = path.relative_to(self.folder.path).as_posix()
        if name in self._pending or name in self._files:
            for other in (name, *self._other_names(name)):
                self._scans.changed(other)
                self._written.add(other)
                stamp = self._pending.get(other) or self._files[other][0]
                self._quiet_times.changed(other, stamp, self._clock.seconds())

    def _other_names(self, name: str) -> list[str]:
        """The other names of a file, by hard and symbolic links, as far as they are listed."""
        stamp, digests = self._files.get(name, (None, None))
        names = self._list.names(digests.id) if digests is not None else ()
        # Of so many names of one content most are copies.
        if len(names) > LINKED_NAMES_MAX:
            return []
        return [other for other in names if other != name and self._files[other][0] == stamp]

    def _look_at_other_names(self, name: str) -> None:
        """Look at a file by its other names too: what is watched is the one that has changed."""
        for other in self._other_names(name):
            self._scans.changed(other)

    def _forget(self, name: str) -> None:
        self._pending.pop(name, None)
        self._busy.discard(name)
        self._written.discard(name)
        self._tree.discard(name)
        stamp, digests = self._files.pop(name, (None, None))
        if stamp is not None and digests is not None:
            if self._scans.displaced:
                # It may be hidden only for a while.
                self._known.keep(stamp, digests)
            self._list.remove(name, digests.id)
            self._announcements.soon()

    # -- hashing

    def _hash(self, name: str, stamp: FileStamp, *, remembered: bool = True) -> None:
        """Hash a file, unless its digests are `remembered`."""
        known = self._known.get(stamp) if remembered else None
        if known is not None:
            self._keep(name, stamp, known)
        else:
            self._hash_queue.add(name, stamp)

    def _is_pending(self, name: str, stamp: FileStamp) -> bool:
        return self._pending.get(name) == stamp

    def _was_hashed(self, name: str, stamp: FileStamp, digests: Digests) -> None:
        self._known.put(stamp, digests)
        self._quiet_times.hashed(name, self._clock.seconds())
        self._keep(name, stamp, digests)
        self._check_first_scan()

    def _was_not_hashed(self, name: str, stamp: FileStamp, failure: Failure) -> None:
        failure.trap(OSError)
        if failure.check(FileNotFoundError) or self.folder.look() is not None:
            if self._is_pending(name, stamp):
                del self._pending[name]
                if self._hasher.is_large(stamp.size):
                    # So much may have been read of it that it counts.
                    self._quiet_times.hashed(name, self._clock.seconds())
                self._scans.changed(name)
        elif isinstance(failure.value, OSError) and failure.value.errno == errno.EBUSY:
            self._put_off(name, stamp)
        else:
            # Kept without an id, so that it is logged once and not tried again until it changes.
            reason = shown(str(failure.value))
            _log.warn("{name} is not shared: {error}", name=shown(name), error=reason)
            self._keep(name, stamp, None)
        self._check_first_scan()

    def _put_off(self, name: str, stamp: FileStamp) -> None:
        """Have a file off the list, and look at it again later: somebody is writing it."""
        if not self._is_pending(name, stamp) or not self.running:
            return
        self._forget(name)
        self._busy.add(name)
        # What is remembered of its times is of what it was before.
        self._written.add(name)

    def _keep(self, name: str, stamp: FileStamp, digests: Digests | None) -> None:
        if not self._is_pending(name, stamp):
            return  # It has changed or gone since; the scan that saw it knows better.
        del self._pending[name]
        if name in self._written:
            self._scans.changed(name)
        _, before = self._files.get(name, (None, None))
        if before is not None and digests is not None and before.id == digests.id:
            self._files[name] = stamp, digests  # Listed as it is.
            return
        self._forget(name)
        self._add(name, stamp, digests)

    def _add(self, name: str, stamp: FileStamp, digests: Digests | None) -> None:
        self._files[name] = stamp, digests
        self._tree.add(name)
        if digests is not None:
            self._list.add(name, digests.id, stamp.size)
            self._announcements.soon()

    def _check_first_scan(self) -> None:
        if self.scanning and self._walked and not self._pending:
            self.scanning = False
            _log.info(
                "{folder} is scanned: {resources}",
                folder=str(self.folder.path),
                resources=counted(len(self._list), "resource"),
            )
            self._announcements.now()
