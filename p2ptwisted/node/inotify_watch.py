"""A watch on a shared folder by Linux's inotify."""

import os
from collections.abc import Callable
from pathlib import Path

from twisted.internet import inotify
from twisted.internet.interfaces import IReactorFDSet
from twisted.logger import Logger
from twisted.python.filepath import FilePath
from zope.interface import implementer

from p2ptwisted.interfaces import IFolderWatch

_CHANGES = (
    inotify.IN_CLOSE_WRITE
    | inotify.IN_CREATE
    | inotify.IN_DELETE
    | inotify.IN_MOVED_FROM
    | inotify.IN_MOVED_TO
    | inotify.IN_ATTRIB
)

#: A watched folder itself went or moved. Twisted then closes all of its
#: watches, or keeps those below under their old names: start over.
_UPHEAVALS = inotify.IN_DELETE_SELF | inotify.IN_MOVE_SELF

_log = Logger()


@implementer(IFolderWatch)
class InotifyWatch:
    """An IFolderWatch on inotify, which has no thread and no recursion: one watch a folder."""

    def __init__(self, reactor: IReactorFDSet) -> None:
        self._reactor = reactor
        self._hint: Callable[[], None] = lambda: None
        self._written: Callable[[Path], None] = lambda path: None
        self._inotify: inotify.INotify | None = None
        self._warned = False
        self.complete = False

    def begin(
        self, hint: Callable[[], None], written: Callable[[Path], None] = lambda path: None
    ) -> None:
        self._hint, self._written = hint, written
        if self._inotify is not None:
            return
        try:
            self._inotify = inotify.INotify(self._reactor)
        except inotify.INotifyError as error:
            self._warn(error)
            self.complete = False
            return
        self.complete = True
        self._inotify.startReading()

    def enter(self, folder: Path) -> None:
        if self._inotify is None:
            return
        try:
            # By its path, which may lead elsewhere by now. Then a walk is begun without need, or
            # only when it is due: no more than that depends on a hint.
            self._inotify.watch(
                FilePath(bytes(folder)), _CHANGES | _UPHEAVALS, callbacks=[self._changed]
            )
        except inotify.INotifyError as error:
            if folder.is_dir():  # Otherwise it went meanwhile, and there is nothing to watch.
                self._warn(error)
                self.complete = False

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            _log.warn(
                "Can't watch every folder ({error}); looking for changes more often instead. "
                "sysctl fs.inotify.max_user_watches and max_user_instances set the limits",
                error=error,
            )
        self._warned = True

    def stop(self) -> None:
        if self._inotify is not None:
            watch, self._inotify = self._inotify, None
            watch.loseConnection()

    def _changed(self, watch: object, path: FilePath[bytes], mask: int) -> None:
        if mask & _UPHEAVALS:
            self.stop()
        if mask & inotify.IN_CLOSE_WRITE:
            self._written(Path(os.fsdecode(path.path)))
        self._hint()
