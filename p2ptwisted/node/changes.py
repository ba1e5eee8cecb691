"""
What is known to have changed in a shared folder and is yet to be looked at. Pure.

However much changes, and however fast, this stays small: of many files in one folder only the
folder is remembered.
"""

from typing import NamedTuple

#: Names of files that are remembered; then folders, as a whole.
FILES_MAX = 8_192

#: Folders that are remembered as a whole, of either kind.
FOLDERS_MAX = 1_024


class Changed(NamedTuple):
    """What to look at: names as in `Entry`, and the shared folder's own is empty."""

    #: Files, by the folder that they are in; complete names.
    files: dict[str, set[str]]
    #: Folders the files in which are to be looked at, but not the folders in them.
    listed: set[str]
    #: Folders to be looked at with all that is in them.
    trees: set[str]


class Changes:
    """What has changed, until it is taken."""

    def __init__(self) -> None:
        self._files: dict[str, set[str]] = {}
        self._listed: set[str] = set()
        self._trees: set[str] = set()
        #: Files that are to be looked at later, and when.
        self._later: dict[str, float] = {}
        self._count = 0

    def add_file(self, name: str) -> bool:
        """Note that a file was changed, made or removed; returns whether there was room."""
        folder = name.rpartition("/")[0]
        if folder in self._listed:
            return True
        names = self._files.setdefault(folder, set())
        if name not in names:
            if self._count >= FILES_MAX:
                self._count -= len(self._files.pop(folder))
                return self._add_folder(folder, self._listed)
            names.add(name)
            self._count += 1
        return True

    def add_folder(self, name: str) -> bool:
        """Note that a folder came, went or became another; returns whether there was room."""
        return self._add_folder(name, self._trees)

    def _add_folder(self, name: str, folders: set[str]) -> bool:
        if name not in folders and len(folders) >= FOLDERS_MAX:
            return False
        folders.add(name)
        return True

    def add_later(self, name: str, when: float) -> bool:
        """Have a file looked at at that time; returns whether there was room."""
        if name not in self._later and len(self._later) >= FILES_MAX:
            return self._add_folder(name.rpartition("/")[0], self._listed)
        self._later[name] = when
        return True

    def due(self, now: float) -> float | None:
        """When something is to be looked at: `now`, later, or never (None)."""
        if self._files or self._listed or self._trees:
            return now
        return min(self._later.values(), default=None)

    def take(self, now: float) -> Changed:
        """Return all that is to be looked at by now, and forget it."""
        for name in [name for name, when in self._later.items() if when <= now]:
            del self._later[name]
            folder = name.rpartition("/")[0]
            # At most as many as FILES_MAX more: they were here before.
            self._files.setdefault(folder, set()).add(name)
        changed = Changed(self._files, self._listed, self._trees)
        self._files, self._listed, self._trees, self._count = {}, set(), set(), 0
        return changed


def is_in(name: str, folders: set[str]) -> bool:
    """Whether a name is in one of these folders, or in a folder in one."""
    while name:
        name = name.rpartition("/")[0]
        if name in folders:
            return True
    return False
