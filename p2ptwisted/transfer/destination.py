"""
The place that a download goes to, and what stands there: another program may fetch the same
to the same place, and is waited for.
"""

import hashlib
import os
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from typing import BinaryIO

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Cooperator, deferLater

from p2ptwisted.errors import Unavailable
from p2ptwisted.pieces import Pieces
from p2ptwisted.support.safe_open import open_regular
from p2ptwisted.transfer.part_file import SLICE, PartFile
from p2ptwisted.transfer.part_versions import PartVersions
from p2ptwisted.transfer.write_errors import BeingFetched

#: Seconds between two looks at whether the other program still fetches it.
OTHER_RETRY = 1.0


class Destination:
    """Where one resource goes to."""

    def __init__(
        self,
        clock: IReactorTime,
        cooperator: Cooperator,
        id: str,
        path: Path,
        overwrite: bool,
        waits: Callable[[], None],
    ) -> None:
        """
        `overwrite`: another file that stands there is to be replaced.

        `waits` is called when another program is waited for.
        """
        self.path = path
        self._clock = clock
        self._cooperator = cooperator
        self._id = id
        self._overwrite = overwrite
        self._waits = waits
        #: What stood there when it was looked at last.
        self._known = _file_at(path)
        #: Whether another program had the part when it was tried last.
        self.is_elsewhere = False
        #: Whether another program is waited for.
        self.is_waiting = False

    async def is_there(self, sizes: Container[int]) -> bool:
        """
        Whether the file there is the resource, which has one of these sizes.

        Raises Unavailable where it is another file that must not be overwritten.
        """
        self._known = _file_at(self.path)
        if self._known is None:
            return False
        if await is_file_of(self.path, self._id, self._cooperator, sizes):
            return True
        if not self._overwrite:
            # Said now, and not when all has come.
            raise Unavailable(f"{self.path} exists and is another file: it is left as it is")
        return False

    def open_part(self, parts: PartVersions, pieces: Pieces) -> PartFile | None:
        """
        The part of that version; None where another program has it, or has just been through.

        Raises NoRoom and Unavailable.
        """
        try:
            part = parts.of(pieces)
        except BeingFetched:
            self.is_elsewhere = True
            return None
        # Nobody else can put it there now. Where somebody has, this part is a new one.
        if _file_at(self.path) != self._known:
            parts.leave(part)
            self.is_elsewhere = True
            return None
        self.is_waiting = False
        return part

    async def wait_for_other(self, sizes: Container[int]) -> bool:
        """
        Wait a moment for the other program; whether the resource is there.

        Raises what `is_there` raises. Where that has ended otherwise, the part can be had.
        """
        if not self.is_waiting:
            self.is_waiting = True
            self._waits()
        await deferLater(self._clock, OTHER_RETRY)
        self.is_elsewhere = False
        return _file_at(self.path) != self._known and await self.is_there(sizes)


def _file_at(path: Path) -> tuple[int, int] | None:
    """Which file stands there, whatever is in it by now."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


async def is_file_of(
    path: Path, id: str, cooperator: Cooperator, sizes: Container[int] | None = None
) -> bool:
    """
    Whether that is a regular file, be it by a link, whose digest is the id.

    It is only read where it has one of these sizes, if they are known.
    """
    try:
        file = open_named_file(path)
    except OSError:
        return False
    with file:
        if sizes is not None and os.fstat(file.fileno()).st_size not in sizes:
            return False
        digest = hashlib.sha256()
        try:
            await cooperator.coiterate(hash_slices(file, digest))
        except OSError:
            return False
    return digest.hexdigest() == id


def open_named_file(path: Path) -> BinaryIO:
    """Open a regular file that the user has named, be it by a link. Raises OSError."""
    return open(open_regular(path), "rb", buffering=0)


def hash_slices(file: BinaryIO, digest: "hashlib._Hash") -> Iterator[None]:
    """Feed a file to a digest, in slices for a Cooperator."""
    while data := file.read(SLICE):
        digest.update(data)
        yield
