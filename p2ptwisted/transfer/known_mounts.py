"""
The mounts that belong to a shared folder: on it, above it and in it. Where a file system was
mounted and isn't now, nothing is written: it would be lost to sight when that is mounted again,
on a disk that was never meant for it. Nor into what has been mounted over files that are shared:
that may be for a moment only.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path

from p2ptwisted.support.escaping import shown
from p2ptwisted.support.mount_table import MountTable, place_of

#: Places of mounts that are named in one message.
NAMED_MAX = 5

#: Device and inode.
Identity = tuple[int, int]


class Displaced(OSError):
    """What belongs at a place isn't there: it was unmounted, or something is mounted over it."""


def identity_of(status: os.stat_result) -> Identity:
    """What tells a file or folder from all others that are there at the same time."""
    return status.st_dev, status.st_ino


class KnownMounts:
    """The mount points of a folder, also those that nothing is mounted on any more."""

    def __init__(self, table: MountTable) -> None:
        self._table = table
        #: What was mounted at each; None where that may not be looked at.
        self._known: dict[Path, Identity | None] = {}
        #: Where something was mounted over what was shared: as it goes, all is as before.
        self._over: set[Path] = set()
        #: The folder and its mount points, as they were learned last, and those in it.
        self._folder, self._points = Path(), frozenset[Path]()
        self._inside: list[Path] = []
        #: Changes with everything that a person should know.
        self.state: object = None
        #: Names in the folder: of what is mounted there, of mounts that are missing, and of places
        #: where a mount hides files.
        self.names: set[str] = set()
        self.lost: list[str] = []
        self.hiding: list[str] = []

    def learn(
        self, folder: Path, hides: Callable[[str], bool], is_other: bool, is_there_still: bool
    ) -> None:
        """
        Learn the mounts of the folder as they are now.

        `hides`: whether a file that is known lies beneath the folder of that name in it.
        `is_other`: it is another folder than before; `is_there_still`: at the place of the one
        before. Raises OSError where the mounts can't be told.
        """
        points = self._table.points(folder)
        if is_other or (folder, points) != (self._folder, self._points):
            self._learn(folder, points, hides, is_other and is_there_still, is_other)
            self._folder, self._points = folder, points
        self.lost, there = [], []
        for point in self._inside:
            name, before, now = _name_in(folder, point), self._known[point], _identity_at(point)
            # One that can't be looked at any more is as good as gone: its server doesn't answer.
            if point not in points or (now is None and before is not None):
                self.lost.append(name)
            else:
                self._known[point] = now
            there.append((name, now))
        self.state = there, self.lost, self.hiding

    def _learn(
        self,
        folder: Path,
        points: frozenset[Path],
        hides: Callable[[str], bool],
        is_exchanged: bool,
        is_other: bool,
    ) -> None:
        for point, before in list(self._known.items()):
            now = _identity_at(point)
            if not (folder in (point, *point.parents) or point in folder.parents):
                pass  # Of where the folder was before: nothing is told of that.
            elif point not in points and now is not None and now == before:
                # Bound to itself, it had been; without that it is the same folder.
                del self._known[point]
            elif point in points and now is not None:
                self._known[point] = now
        self._over &= points
        for point in points - self._known.keys() - self._over:
            name = _name_in(folder, point)
            if name.startswith(".") or "/." in name:
                continue  # Such as the snapshots of some file systems: nothing there is shared.
            if hides(name) if name and not is_other else not name and is_exchanged and hides(""):
                self._over.add(point)
            else:
                self._known[point] = _identity_at(point)
        self._inside = sorted(point for point in self._known if folder in point.parents)
        self.names = {_name_in(folder, point) for point in self._inside if point in points}
        self.hiding = sorted(_name_in(folder, point) for point in self._over)

    def check(self, descriptor: int, missing: str = "") -> None:
        """
        Raise Displaced where what belongs at the place of an open folder isn't there now.

        `missing`: so for the place of that name in it, where nothing is.
        """
        if not self._known:
            return
        place = place_of(descriptor) / missing
        around = {place, *place.parents}
        for point in self._over & around:
            if self._folder in point.parents:
                raise Displaced(errno.EBUSY, "something is mounted over it", os.fspath(point))
        deepest = max(self._known.keys() & around, key=lambda point: len(point.parts), default=None)
        if deepest is None:
            return
        holder = self._table.holder_of(descriptor)
        if holder is None or not (holder == deepest or deepest in holder.parents):
            raise Displaced(
                errno.ENODEV, "what was mounted there isn't any more", os.fspath(deepest)
            )


def _identity_at(path: Path) -> Identity | None:
    try:
        return identity_of(os.stat(path))
    except OSError:
        return None


def _name_in(folder: Path, point: Path) -> str:
    """The name of a mount point in the folder; empty for the folder itself and those above."""
    return point.relative_to(folder).as_posix() if folder in point.parents else ""


def names_shown(names: list[str]) -> str:
    """Names of folders in the shared one, as a message has them."""
    told = [shown(name) if name else "the folder itself" for name in names[:NAMED_MAX]]
    more = len(names) - len(told)
    return ", ".join(told) + (f" and {more} more" if more else "")
