"""
A folder that files are shared from and downloaded into, and whether it is still the one that was
meant: it can be renamed, removed or unmounted at any time, or the link that leads to it be pointed
elsewhere.

Everybody who writes there opens it here.
"""

import errno
import os
import stat
from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from pathlib import Path

from twisted.logger import Logger

from p2ptwisted.support.mount_table import MountTable
from p2ptwisted.support.safe_open import open_folder
from p2ptwisted.transfer.known_mounts import Identity, KnownMounts, identity_of, names_shown

#: Links that are followed on the way to a folder, as many as Linux follows.
LINKS_MAX = 40

#: What is said of the usual errors.
_REASONS = {
    errno.ENOENT: "it isn't there",
    errno.ENOTDIR: "it is no folder",
}

#: Errors that say nothing of the folder.
_SHORTAGES = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}

_log = Logger()


class Change(Enum):
    """What has become of a shared folder."""

    #: It is gone, and what was known of it may be so again when it is back.
    GONE = auto()
    #: It is there again.
    BACK = auto()
    #: There is another folder now.
    OTHER = auto()
    #: Something was mounted or unmounted in it.
    MOUNTS = auto()


class SharedFolder:
    """A folder that files are shared from, by the path that a person has given it."""

    def __init__(self, given: Path, table: MountTable | None = None) -> None:
        self._given = given.absolute()
        #: Where it is, with no link on the way; where it was, when it is gone.
        self.path = Path(os.path.realpath(self._given))
        #: Why it can't be used; None while it is there.
        self.gone: str | None = None
        #: How often a look has found that it had changed.
        self.changes = 0
        self._mounts = KnownMounts(table or MountTable())
        self._identity: Identity | None = None
        #: Who may point links on the way to it elsewhere, besides root and this user: whoever
        #: owned them at first.
        self._link_owners: set[int] | None = None
        self._watchers: list[Callable[[Change], None]] = []
        self._claims: list[Callable[[str], bool]] = []

    @property
    def problem(self) -> str | None:
        """What a person should know and do about it, with no path in it; None if all is well."""
        if self.gone is not None:
            return f"the shared folder is gone ({self.gone}): nothing is shared until it is back"
        if self._mounts.lost:
            return (
                f"what was mounted in the shared folder isn't any more ({self._lost}): nothing is "
                "fetched to there until it is mounted again, or the node is started again"
            )
        if self._mounts.hiding:
            return (
                f"something is mounted over what was shared ({self._hiding}): unmount it to share "
                "that again, or start the node again to do without"
            )
        return None

    @property
    def _lost(self) -> str:
        return names_shown(self._mounts.lost)

    @property
    def _hiding(self) -> str:
        return names_shown(self._mounts.hiding)

    def watch(self, changed: Callable[[Change], None]) -> None:
        """Call `changed` whenever a look has found that it has changed."""
        self._watchers.append(changed)

    def claim(self, has_beneath: Callable[[str], bool]) -> None:
        """
        Have mounts that hide files taken for what is there only for a while.

        `has_beneath` returns whether there are files beneath the folder of that name in it, the
        empty name being the folder's own.
        """
        self._claims.append(has_beneath)

    def _hides(self, name: str) -> bool:
        return any(has_beneath(name) for has_beneath in self._claims)

    def look(self) -> str | None:
        """
        Look whether it is still there; return why it can't be used.

        What has changed is told once: to the log, and to those that watch.
        """
        change = self._update()
        if change is not None:
            self.changes += 1
            self._tell(change)
            for changed in self._watchers:
                changed(change)
        return self.gone

    def open(self) -> int:
        """Open it, and return its descriptor. Raises OSError where it isn't there any more."""
        if self.look() is not None:
            raise FileNotFoundError(errno.ENOENT, self.problem, os.fspath(self.path))
        folder = open_folder(self.path)
        try:
            self.check(folder)
        except OSError:
            os.close(folder)
            raise
        return folder

    def check(self, descriptor: int, missing: str = "") -> None:
        """
        Raise Displaced where nothing may be written into an open folder beneath this one.

        `missing`: a name in it where nothing is, and a folder is to be made.
        """
        self._mounts.check(descriptor, missing)

    # -- looking

    def _update(self) -> Change | None:
        before = self._mounts.state
        try:
            path, identity = self._inspect()
            is_other = (path, identity) != (self.path, self._identity)
            self._mounts.learn(path, self._hides, is_other, path == self.path)
        except OSError as error:
            if error.errno in _SHORTAGES:
                return None  # Nothing can be told just now.
            was_gone, self.gone = self.gone, _REASONS.get(error.errno or 0, error.strerror)
            return Change.GONE if was_gone is None else None
        was_gone, self.gone = self.gone, None
        is_first = self._identity is None
        self.path, self._identity = path, identity
        if is_first:
            return None if was_gone is None else Change.BACK
        if is_other:
            return Change.OTHER
        if was_gone is not None:
            return Change.BACK
        return None if before == self._mounts.state else Change.MOUNTS

    def _inspect(self) -> tuple[Path, Identity]:
        """Where it is, and which folder that is. Raises OSError if it is none to be used."""
        owners: set[int] = set()
        path = _follow(self._given, self._may_lead, owners)
        folder = open_folder(path)
        try:
            identity = identity_of(os.fstat(folder))
            if identity != self._identity:
                self._mounts.check(folder)
        finally:
            os.close(folder)
        if self._link_owners is None:
            self._link_owners = owners
        return path, identity

    def _may_lead(self, owner: int) -> bool:
        """
        Whether a link of that owner's may lead to it.

        Others who may write to a folder above it could have anything shared by a link.
        """
        return self._link_owners is None or owner in {0, os.geteuid(), *self._link_owners}

    def _tell(self, change: Change) -> None:
        path = str(self.path)
        if change is Change.GONE:
            _log.warn(
                "{folder} is gone ({reason}): nothing of it is shared, and nothing written there, "
                "until it is back",
                folder=str(self._given),
                reason=self.gone,
            )
        elif change is Change.BACK:
            _log.info("{folder} is back, and is shared again", folder=path)
        elif change is Change.OTHER:
            _log.warn(
                "{given} is another folder now ({folder}): what is in it is shared from now on",
                given=str(self._given),
                folder=path,
            )
        elif self.problem is not None:
            _log.warn("{folder}: {problem}", folder=path, problem=self.problem)
        else:
            _log.info(
                "{folder}: what is mounted in it now ({names}) is shared",
                folder=path,
                names=names_shown(sorted(self._mounts.names)) or "nothing",
            )


def _follow(path: Path, may_lead: Callable[[int], bool], owners: set[int]) -> Path:
    """
    Return where an absolute path leads to, link by link; their owners are added to `owners`.

    Raises OSError; PermissionError if there is a link whose owner `may_lead` refuses.
    """
    place, left, links = Path("/"), deque(path.parts[1:]), 0
    while left:
        part = left.popleft()
        if part == "..":
            place = place.parent
            continue
        status = os.lstat(place / part)
        if not stat.S_ISLNK(status.st_mode):
            place /= part
            continue
        links += 1
        if links > LINKS_MAX:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fspath(path))
        if not may_lead(status.st_uid):
            raise PermissionError(errno.EPERM, "another user's link leads there", os.fspath(path))
        owners.add(status.st_uid)
        target = Path(os.readlink(place / part))
        if target.is_absolute():
            place = Path("/")
        left.extendleft(reversed(target.parts[target.is_absolute() :]))
    return place
