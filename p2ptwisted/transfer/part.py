"""
A part: what has come of a resource, in `<name>.part` beside its destination,
with a journal of the finished pieces in `<name>.part.journal`.

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
from pathlib import Path
from typing import BinaryIO

import msgspec

from p2ptwisted.beneath import NotRegular
from p2ptwisted.errors import Unavailable, UnknownResource
from p2ptwisted.model import UNREADABLE
from p2ptwisted.pieces import Pieces, every_piece, members
from p2ptwisted.transfer.target_folder import Strange, TargetFolder

#: Bytes read at a time to look at a piece again: about 0.2 ms of work.
SLICE = 256 * 1024

#: Bytes reserved at a time: 9 ms of work where the disk is memory.
RESERVED = 32 * 1024 * 1024

#: Bytes of the blocks that the system counts a file's room in, whatever the disk's are.
BLOCK = 512

PART, JOURNAL = ".part", ".part.journal"


class _Head(msgspec.Struct):
    """The journal's first line; a line with a number follows for each finished piece."""

    id: str
    pieces: Pieces


class Part:
    """The part of one resource on disk."""

    _folder: TargetFolder

    def __init__(
        self, destination: Path, id: str, pieces: Pieces, within: Path | None = None
    ) -> None:
        """
        Go on with what is there of the same resource, or begin.

        `within` is TargetFolder's. Raises Unavailable, with nothing lost,
        where there is no room or no way to write.
        """
        self.destination = destination
        self.id = id
        self.pieces = pieces
        self.have = 0
        self.path = destination.with_name(destination.name + PART)
        #: Its status when it had come to its place.
        self.placed: os.stat_result | None = None
        self._journal_name = destination.name + JOURNAL
        self._file = -1
        self._journal = -1
        try:
            self._folder = TargetFolder(destination.parent, within)
        except OSError as error:
            raise _told(error, destination, pieces.size) from error
        try:
            self._open()
        except OSError as error:
            self._give_up_room(error)
            raise _told(error, destination, pieces.size) from error

    def _give_up_room(self, error: OSError) -> None:
        if error.errno == errno.ENOSPC and not self.have and self._file >= 0:
            # Nothing has come yet: what room it got is of more use to others.
            for name in (self.path.name, self._journal_name):
                self._folder.remove(name)
        self.close()

    def _open(self) -> None:
        self._file = self._open_alone()
        is_new = not self.status().st_size
        try:
            self._journal = self._folder.open_ours(self._journal_name, os.O_RDWR | os.O_APPEND)
        except FileNotFoundError:
            if not is_new:
                there = os.fspath(self.path)
                raise FileExistsError(errno.EEXIST, "no part of ours", there) from None
        else:
            known = None if is_new else self._read_journal()
            if known is not None:
                self.have, length = known
                os.ftruncate(self._journal, length)
                return
            os.close(self._journal)
            self._journal = -1
        os.ftruncate(self._file, 0)
        self._begin_journal()

    def _open_alone(self) -> int:
        """
        The part's file, for one transfer at a time, in this process or another.

        Raises BlockingIOError where another one has it.
        """
        name = self.path.name
        while True:
            try:
                file = self._folder.open_ours(name, os.O_RDWR)
            except FileNotFoundError:
                with suppress(FileExistsError):
                    os.close(self._folder.make(name, os.O_RDWR))
                continue
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Between the two the other may have put it in its place.
                with suppress(FileNotFoundError):
                    if self._folder.is_at(name, os.fstat(file)):
                        if os.fstat(file).st_nlink == 1:
                            return file
                        # Killed when it was in its place: that file must not be written to.
                        self._folder.remove(name)
            except OSError:
                os.close(file)
                raise
            os.close(file)

    def status(self) -> os.stat_result:
        """Of the very file, whatever stands at its path."""
        return os.fstat(self._file)

    def reserve(self) -> Iterator[None]:
        """
        Take all of the room now, in slices, so that a disk can't fill up when half has come.

        Raises Unavailable, with nothing lost, where there is too little.
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
            raise _told(error, self.destination, self.pieces.size) from error

    def _look_for_room(self) -> None:
        """Raises OSError where there is too little: the disk isn't filled up to find that out."""
        system, here = os.fstatvfs(self._file), os.fstat(self._file)
        missing = self.pieces.size - here.st_blocks * BLOCK
        # Some file systems don't tell how large they are.
        if system.f_blocks and missing > system.f_bavail * system.f_frsize:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _read_journal(self) -> tuple[int, int] | None:
        """
        The finished pieces, and the bytes of the journal that tell so.

        None where it is not the journal of this very resource.
        """
        with open(self._journal, "rb", closefd=False) as file:
            journal = file.read()
        head, *lines = journal.split(b"\n")
        try:
            known = msgspec.json.decode(head, type=_Head)
        except UNREADABLE:
            return None
        if not lines or known.id != self.id or known.pieces != self.pieces:
            return None
        have = 0
        # What follows the last line end was cut off in mid-write.
        digits = len(str(self.pieces.count))
        for line in lines[:-1]:
            # Of more than 4,300 digits Python makes no number.
            if line.isdigit() and len(line) <= digits and int(line) < self.pieces.count:
                have |= 1 << int(line)
        return have, journal.rfind(b"\n") + 1

    def _begin_journal(self) -> None:
        # Beside the old one, which is good until this one is whole; hidden from scans.
        new = f".{self.path.name}"
        self._journal = self._folder.make_again(new, os.O_WRONLY | os.O_APPEND)
        try:
            self._note(msgspec.json.encode(_Head(self.id, self.pieces)) + b"\n")
            self._note(b"".join(b"%d\n" % piece for piece in members(self.have)))
            self._folder.replace(new, self._journal_name)
        except OSError:
            self._folder.remove(new)
            raise

    def _record(self, piece: int) -> None:
        self._note(b"%d\n" % piece)

    def _note(self, line: bytes) -> None:
        if os.write(self._journal, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    # -- pieces that come

    def arriving(self, piece: int) -> "Arriving":
        """A piece begins to come; several may at once, even the same one twice."""
        return Arriving(self, piece)

    def write(self, at: int, data: bytes | memoryview) -> None:
        """Raises Unavailable."""
        try:
            os.pwrite(self._file, data, at)
        except OSError as error:
            raise _told(error, self.destination, self.pieces.size) from error

    def verified(self, piece: int) -> None:
        """A piece is here and right. Raises Unavailable."""
        if not self.have >> piece & 1:
            self.have |= 1 << piece
            try:
                self._record(piece)
            except OSError as error:
                raise _told(error, self.destination, self.pieces.size) from error

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
            raise _told(error, self.destination, self.pieces.size) from error

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
            self._folder.remove(self._journal_name)
            self._folder.sync()
        except OSError as error:
            raise _told(error, self.destination, self.pieces.size) from error
        finally:
            self.close()

    def _check_at(self, name: str) -> None:
        if not self._folder.is_at(name, self.status()):
            raise self._folder.strange(name, "was replaced by another file")

    def close(self) -> None:
        """Let go of the files; what has come stays for the next time."""
        for descriptor in (self._file, self._journal):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._journal = -1
        self._folder.close()


class Arriving:
    """A piece on its way: written, and hashed as it comes."""

    def __init__(self, part: Part, piece: int) -> None:
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


def _told(error: OSError, destination: Path, size: int) -> Unavailable:
    if isinstance(error, NotRegular | Strange):
        return Unavailable(
            f"{error.filename} {error.strerror}: it is left as it is; remove it, and try again"
        )
    if error.errno == errno.ENOSPC:
        return Unavailable(f"no room for {destination} ({size} bytes): make some, and try again")
    if error.errno == errno.ELOOP:
        return Unavailable(f"{error.filename} is a link: it is not followed, and left as it is")
    if error.errno == errno.EWOULDBLOCK:
        return Unavailable(f"{destination} is being fetched already: wait until that is through")
    if error.errno == errno.EEXIST:
        there = destination.with_name(os.path.basename(error.filename2 or error.filename))
        return Unavailable(f"{there} exists and is another file: it is left as it is")
    return Unavailable(f"can't write {destination}: {error.strerror}")
