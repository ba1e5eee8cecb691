"""A watch on a shared folder by Linux's inotify."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

from twisted.internet.interfaces import IReactorFDSet
from twisted.logger import Logger
from zope.interface import implementer

from p2ptwisted.interfaces import IFolderWatch
from p2ptwisted.node.name_tree import NameTree
from p2ptwisted.support import inotify
from p2ptwisted.support.inotify import Inotify

#: What happens in a folder, and to the folder itself.
_EVENTS = (
    inotify.CLOSE_WRITE
    | inotify.CREATE
    | inotify.DELETE
    | inotify.MOVED_FROM
    | inotify.MOVED_TO
    | inotify.ATTRIB
    | inotify.DELETE_SELF
    | inotify.MOVE_SELF
)

#: The folder itself went, moved, or is not there any more for its file system isn't.
_UPHEAVALS = inotify.DELETE_SELF | inotify.MOVE_SELF | inotify.UNMOUNT

#: Why a folder can't be watched that can't be walked either: it went, or isn't for us to read.
_NOT_WALKED = {errno.EACCES, errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}

#: What sets the limit, by the error.
_LIMITS = {
    errno.ENOSPC: ". sysctl fs.inotify.max_user_watches sets the limit",
    errno.EMFILE: ". sysctl fs.inotify.max_user_instances and ulimit -n set the limits",
}

_log = Logger()


def _nothing(*arguments: object) -> None:
    """Nobody wants to know."""


def _is_readable(folder: str) -> bool:
    return os.access(folder, os.R_OK | os.X_OK, effective_ids=True)


@implementer(IFolderWatch)
class InotifyWatch:
    """An IFolderWatch on inotify, which has no thread and no recursion: one watch a folder."""

    def __init__(self, reactor: IReactorFDSet) -> None:
        self._reactor = reactor
        self._hint: Callable[[], None] = _nothing
        self._written: Callable[[Path], None] = _nothing
        self._changed: Callable[[str, bool], None] = _nothing
        self._inotify: Inotify | None = None
        #: The watched folders by their watches, and the other way round.
        self._folders: dict[int, str] = {}
        self._watches: dict[str, int] = {}
        self._tree = NameTree()
        self._root = ""
        self._warned = False
        self._lost_told = False
        #: Whether the shared folder itself could be read when it was changed last.
        self._readable = True
        self.complete = False

    def begin(
        self,
        hint: Callable[[], None],
        written: Callable[[Path], None] = _nothing,
        changed: Callable[[str, bool], None] = _nothing,
    ) -> None:
        self._hint, self._written, self._changed = hint, written, changed
        # Where a folder can't be watched the walk that begins now comes by again.
        self.complete = True
        if self._inotify is None:
            try:
                self._inotify = Inotify(self._reactor, self._received)
            except OSError as error:
                self._incomplete(error)

    def enter(self, folder: Path) -> None:
        if self._inotify is None:
            return
        path = os.fspath(folder)
        # A walk begins with the shared folder itself.
        self._root = self._root or path
        try:
            # By its path, which may lead elsewhere by now. Then something is looked at without
            # need, or only when it is due: no more than that depends on a watch. A folder that is
            # watched already keeps its watch.
            watch = self._inotify.add(
                os.fsencode(path), _EVENTS | inotify.ONLYDIR | inotify.DONT_FOLLOW
            )
        except OSError as error:
            if error.errno not in _NOT_WALKED:
                self._incomplete(error)
            return
        before = self._watches.get(path)
        if before is not None and before != watch:
            self._leave(path)
        self._folders[watch] = path
        self._watches[path] = watch
        self._tree.add(path)

    def stop(self) -> None:
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None
        self._folders, self._watches, self._tree = {}, {}, NameTree()
        self._root, self._readable = "", True

    def _incomplete(self, error: OSError) -> None:
        self.complete = False
        if not self._warned:
            _log.warn(
                "Can't watch every folder ({error}); looking for changes more often instead{limit}",
                error=error.strerror,
                limit=_LIMITS.get(error.errno or 0, ""),
            )
        self._warned = True

    # -- events

    def _received(self, watch: int, mask: int, name: bytes) -> None:
        if mask & inotify.Q_OVERFLOW:
            self._lost()
            return
        folder = self._folders.get(watch)
        if folder is None:
            return  # Of a folder that was given up meanwhile.
        if mask & inotify.IGNORED:
            self._forget(folder)
        elif mask & _UPHEAVALS:
            # Of other folders, the one that they are in tells.
            if folder == self._root or mask & inotify.UNMOUNT:
                self._leave(folder)
                self._hint()
            elif os.path.dirname(folder) not in self._watches:
                self._leave(folder)
        elif name:
            self._happened(os.path.join(folder, os.fsdecode(name)), mask)
        elif folder == self._root:
            was_readable, self._readable = self._readable, _is_readable(folder)
            if not (was_readable and self._readable):
                self._hint()

    def _happened(self, path: str, mask: int) -> None:
        """Tell of what has happened to what is, or was, in a folder."""
        is_folder = bool(mask & inotify.ISDIR)
        if is_folder:
            if mask & inotify.ATTRIB and path in self._watches and _is_readable(path):
                return  # Another mode or time, and it can still be read.
            # What has just come is watched only if a walk has come by already.
            if not mask & (inotify.CREATE | inotify.MOVED_TO):
                self._leave(path)
        elif mask & inotify.CLOSE_WRITE:
            self._written(Path(path))
        self._changed(path, is_folder)

    def _lost(self) -> None:
        if not self._lost_told:
            _log.warn(
                "So much has changed at once that some of it was missed; looking at every file. "
                "sysctl fs.inotify.max_queued_events sets the limit"
            )
        self._lost_told = True
        self._hint()

    def _leave(self, folder: str) -> None:
        """Watch a folder no more, nor any in it."""
        for path in [*self._tree.beneath(folder), folder]:
            watch = self._watches.get(path)
            if watch is not None and self._inotify is not None:
                # It may be watched under another name by now.
                if self._folders.get(watch) == path:
                    self._inotify.remove(watch)
                self._forget(path)

    def _forget(self, folder: str) -> None:
        watch = self._watches.pop(folder)
        if self._folders.get(watch) == folder:
            del self._folders[watch]
        self._tree.discard(folder)
