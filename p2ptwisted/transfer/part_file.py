"""
A part: what has come of a resource, in `<name>.part` beside its destination,
with a journal of the finished pieces in `<name>.part.journal`. Of another
version of the same resource (`parts`) it is in `.<name>.<number>.part`.

Killed at any moment, it goes on from its journal.

Others may be able to write to that folder too: a file there that is not ours
is neither gone on with nor touched.
"""

import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from heapq import nlargest
from pathlib import Path
from typing import BinaryIO

from p2ptwisted.errors import Unavailable, UnknownResource
from p2ptwisted.pieces import Pieces, every_piece, members
from p2ptwisted.support.safe_open import NotRegular
from p2ptwisted.transfer.part_journal import Journal, head_of, line_of, read_journal
from p2ptwisted.transfer.sparse_file import make_hole
from p2ptwisted.transfer.target_folder import Strange, TargetFolder

#: Bytes read at a time to look at a piece again: about 0.2 ms of work.
SLICE = 256 * 1024

#: Bytes reserved at a time: 9 ms of work where the disk is memory.
RESERVED = 32 * 1024 * 1024

#: Bytes of the blocks that the system counts a file's room in, whatever the disk's are.
BLOCK = 512

PART, JOURNAL = ".part", ".part.journal"

#: Holes that are made in a part at once, the largest: about a millisecond of work.
HOLES_MAX = 256


class NoRoom(Unavailable):
    """The disk is too full."""


class PartFile:
    """The part of one resource on disk."""

    _folder: TargetFolder

    def __init__(
        self,
        destination: Path,
        id: str,
        pieces: Pieces,
        number: int = 0,
        within: Path | None = None,
    ) -> None:
        """
        Go on with what is there of the same resource, or begin.

        `number` tells it from parts of other versions; `within` is
        TargetFolder's. Raises NoRoom and Unavailable, with nothing lost,
        where there is no room or no way to write.
        """
        self.destination = destination
        self.id = id
        self.pieces = pieces
        self.number = number
        self.have = 0
        name, self._journal_name = names(destination, number)
        self.path = destination.with_name(name)
        #: Its status when it had come to its place.
        self.placed: os.stat_result | None = None
        self._file = -1
        self._journal = -1
        try:
            self._folder = TargetFolder(destination.parent, within)
        except OSError as error:
            raise unwritable(error, destination, pieces.size) from error
        try:
            self._open()
            self._look_for_room()
        except OSError as error:
            self._give_up_room(error)
            raise unwritable(error, destination, pieces.size) from error

    def _give_up_room(self, error: OSError) -> None:
        if error.errno == errno.ENOSPC and not self.have and self._file >= 0:
            # Nothing has come yet: what room it got is of more use to others.
            self.discard()
        self.close()

    def _open(self) -> None:
        self._file = open_alone(self._folder, self.path.name)
        is_new = not self.status().st_size
        try:
            self._journal = self._folder.open_ours(self._journal_name, os.O_RDWR | os.O_APPEND)
        except FileNotFoundError:
            if not is_new:
                there = os.fspath(self.path)
                raise FileExistsError(errno.EEXIST, "no part of ours", there) from None
        else:
            known = None if is_new else read_journal(self._journal, self.id)
            if known is not None and known.pieces == self.pieces:
                self.have = known.have
                os.ftruncate(self._journal, known.length)
                return
            os.close(self._journal)
            self._journal = -1
        os.ftruncate(self._file, 0)
        self._begin_journal()

    def status(self) -> os.stat_result:
        """Of the very file, whatever stands at its path."""
        return os.fstat(self._file)

    def reserve(self) -> Iterator[None]:
        """
        Take all of the room now, in slices, so that a disk can't fill up when half has come.

        Raises NoRoom, with nothing lost, where there is too little.
        """
        try:
            self._look_for_room()
            for at in range(0, self.pieces.size, RESERVED):
                os.posix_fallocate(self._file, at, min(RESERVED, self.pieces.size - at))
                yield
                if self._file < 0:
                    return  # It was closed meanwhile.
            os.ftruncate(self._file, self.pieces.size)
        except OSError as error:
            self._give_up_room(error)
            raise unwritable(error, self.destination, self.pieces.size) from error

    def _look_for_room(self) -> None:
        """Raises OSError where there is too little: the disk isn't filled up to find that out."""
        system, here = os.fstatvfs(self._file), os.fstat(self._file)
        missing = self.pieces.size - here.st_blocks * BLOCK
        # Some file systems don't tell how large they are.
        if system.f_blocks and missing > system.f_bavail * system.f_frsize:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _begin_journal(self) -> None:
        # Beside the old one, which is good until this one is whole; hidden from scans.
        new = f".{self.path.name}"
        self._journal = self._folder.make_again(new, os.O_WRONLY | os.O_APPEND)
        try:
            self._note(head_of(self.id, self.pieces))
            self._note(b"".join(map(line_of, members(self.have))))
            self._folder.replace(new, self._journal_name)
        except OSError:
            self._folder.remove(new)
            raise

    def _record(self, piece: int) -> None:
        self._note(line_of(piece))

    def _note(self, line: bytes) -> None:
        if os.write(self._journal, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    # -- pieces that come

    def arriving(self, piece: int) -> "IncomingPiece":
        """A piece begins to come; several may at once, even the same one twice."""
        return IncomingPiece(self, piece)

    def write(self, at: int, data: bytes | memoryview) -> None:
        """Raises Unavailable."""
        try:
            os.pwrite(self._file, data, at)
        except OSError as error:
            raise unwritable(error, self.destination, self.pieces.size) from error

    def verified(self, piece: int) -> None:
        """A piece is here and right. Raises Unavailable."""
        if not self.have >> piece & 1:
            self.have |= 1 << piece
            try:
                self._record(piece)
            except OSError as error:
                raise unwritable(error, self.destination, self.pieces.size) from error

    @property
    def front(self) -> int:
        """Bytes from the beginning on of which none is missing."""
        gap = (~self.have & (self.have + 1)).bit_length() - 1
        return min(gap * self.pieces.length, self.pieces.size)

    def recheck(self) -> Iterator[None]:
        """Look at every piece again, in slices, and forget those that are not as they should be."""
        good = 0
        for piece in members(self.have):
            start, stop = self.pieces.span(piece)
            digest = hashlib.sha256()
            for at in range(start, stop, SLICE):
                digest.update(os.pread(self._file, min(SLICE, stop - at), at))
                yield
                if self._file < 0:
                    return  # It was closed meanwhile.
            if digest.digest() == self.pieces.digest(piece):
                good |= 1 << piece
        self.have = good
        os.close(self._journal)
        self._journal = -1
        try:
            self._begin_journal()
        except OSError as error:
            raise unwritable(error, self.destination, self.pieces.size) from error

    def open(self) -> BinaryIO:
        """What has come, to be read. Raises UnknownResource where it has just been finished."""
        try:
            file = self._folder.open(self.path.name, os.O_RDONLY)
            if os.path.samestat(os.fstat(file), self.status()):
                return open(file, "rb", buffering=0)
            os.close(file)
            moved = None
        except OSError as error:
            moved = error
        raise UnknownResource(f"{self.id} has just come to its place: ask again") from moved

    # -- the end

    @property
    def is_complete(self) -> bool:
        return self.have == every_piece(self.pieces.count)

    def finish(self, overwrite: bool = False) -> None:
        """Put it in its place, at once and for good. Raises Unavailable."""
        try:
            os.fsync(self._file)
            self._check_at(self.path.name)
            if overwrite:
                self._folder.replace(self.path.name, self.destination.name)
            else:
                self._folder.put(self.path.name, self.destination.name)
            # What was verified is this file, and no other that has come between.
            self._check_at(self.destination.name)
            self.placed = self.status()
            _tidy(self._folder, self._journal_name)
            self._folder.sync()
        except OSError as error:
            raise unwritable(error, self.destination, self.pieces.size) from error
        finally:
            self.close()

    def _check_at(self, name: str) -> None:
        if not self._folder.is_at(name, self.status()):
            raise self._folder.strange(name, "was replaced by another file")

    def discard(self) -> None:
        """Remove it: nothing of it is of use."""
        if self._file >= 0:
            _tidy(self._folder, self.path.name, self._journal_name)
        self.close()

    def leave(self) -> None:
        """Leave what has come for the next time, and no more room than that needs."""
        if not self.have:
            self.discard()
            return
        try:
            self._give_back()
        except OSError:
            pass  # Then it has more room than it needs.
        self.close()

    def _give_back(self) -> None:
        last = self.have.bit_length() - 1
        os.ftruncate(self._file, self.pieces.span(last)[1])
        gaps, after = [], 0
        for piece in members(self.have):
            if piece > after:
                gaps.append((piece - after, after))
            after = piece + 1
        for count, first in nlargest(HOLES_MAX, gaps):
            start = first * self.pieces.length
            make_hole(self._file, start, start + count * self.pieces.length)

    def close(self) -> None:
        """Let go of the files; what has come stays for the next time."""
        for descriptor in (self._file, self._journal):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._journal = -1
        self._folder.close()


def names(destination: Path, number: int) -> tuple[str, str]:
    """What the part of that number and its journal are called; all but the first are hidden."""
    name = destination.name
    if not number:
        return name + PART, name + JOURNAL
    # No longer than the first's journal, for a name may be as long as that allows.
    return f".{name}.{number}{PART}", f".{name}.{number}.journal"


def open_alone(folder: TargetFolder, name: str) -> int:
    """
    The part of that name, for one transfer at a time, in this process or another.

    Raises OSError, BlockingIOError where another one has it.
    """
    while True:
        try:
            file = folder.open_ours(name, os.O_RDWR)
        except FileNotFoundError:
            with suppress(FileExistsError):
                os.close(folder.make(name, os.O_RDWR))
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Between the two the other may have put it in its place.
            with suppress(FileNotFoundError):
                if folder.is_at(name, os.fstat(file)):
                    if os.fstat(file).st_nlink == 1:
                        return file
                    # Killed when it was in its place: that file must not be written to.
                    folder.remove(name)
        except OSError:
            os.close(file)
            raise
        os.close(file)


def earlier(folder: TargetFolder, destination: Path, id: str, number: int) -> Journal | None:
    """What has come of that resource in an earlier part of that number; None: nothing."""
    part, journal = names(destination, number)
    try:
        if not folder.status(part).st_size:
            return None
        file = folder.open_ours(journal, os.O_RDONLY)
        try:
            known = read_journal(file, id)
        finally:
            os.close(file)
    except OSError:
        return None  # It can't be had; who opens it learns why.
    return known if known is not None and known.have else None


def remove(folder: TargetFolder, destination: Path, number: int) -> None:
    """Remove an earlier part, unless somebody is at it, or it isn't ours."""
    part, journal = names(destination, number)
    try:
        folder.status(part)
        file = open_alone(folder, part)
    except OSError:
        return
    _tidy(folder, part, journal)
    os.close(file)


def _tidy(folder: TargetFolder, *names: str) -> None:
    """Remove what is of no use; others may have put there what can't be, a folder for one."""
    for name in names:
        with suppress(OSError):
            folder.remove(name)


class IncomingPiece:
    """A piece on its way: written, and hashed as it comes."""

    def __init__(self, part: PartFile, piece: int) -> None:
        self.piece = piece
        self._part = part
        self._at, self._stop = part.pieces.span(piece)
        self._digest = hashlib.sha256()

    @property
    def left(self) -> int:
        """Bytes yet to come."""
        return self._stop - self._at

    def write(self, data: bytes | memoryview) -> None:
        """The next bytes, of this piece only. Raises Unavailable."""
        self._part.write(self._at, data)
        self._at += len(data)
        self._digest.update(data)

    def finish(self) -> bool:
        """Whether the piece, now complete, is right; then it counts as here."""
        if self._digest.digest() != self._part.pieces.digest(self.piece):
            return False
        self._part.verified(self.piece)
        return True


def unwritable(error: OSError, destination: Path, size: int) -> Unavailable:
    """What a person is told of it; NoRoom where it is that."""
    if isinstance(error, NotRegular | Strange):
        return Unavailable(
            f"{error.filename} {error.strerror}: it is left as it is; remove it, and try again"
        )
    if error.errno == errno.ENOSPC:
        return NoRoom(f"no room for {destination} ({size} bytes): make some, and try again")
    if error.errno == errno.ELOOP:
        return Unavailable(f"{error.filename} is a link: it is not followed, and left as it is")
    if error.errno == errno.EWOULDBLOCK:
        return Unavailable(f"{destination} is being fetched already: wait until that is through")
    if error.errno == errno.EEXIST:
        there = destination.with_name(os.path.basename(error.filename2 or error.filename))
        return Unavailable(f"{there} exists and is another file: it is left as it is")
    return Unavailable(f"can't write {destination}: {error.strerror}")
