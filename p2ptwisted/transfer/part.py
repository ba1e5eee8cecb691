"""
A part: what has come of a resource, in `<name>.part` beside its destination,
with a journal of the finished pieces in `<name>.part.journal`. Of another
version of the same resource (`parts`) it is in `.<name>.<number>.part`.

Killed at any moment, it goes on from its journal.
"""

import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from heapq import nlargest
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from p2ptwisted.errors import Unavailable, UnknownResource
from p2ptwisted.model import UNREADABLE
from p2ptwisted.pieces import Pieces, every_piece, members
from p2ptwisted.transfer.holes import make_hole

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


class _Head(msgspec.Struct):
    """The journal's first line; a line with a number follows for each finished piece."""

    id: str
    pieces: Pieces


class Part:
    """The part of one resource on disk."""

    def __init__(self, destination: Path, id: str, pieces: Pieces, number: int = 0) -> None:
        """
        Go on with what is there of the same resource, or begin.

        Raises NoRoom and Unavailable, with nothing lost, where there is no
        room or no way to write.
        """
        self.destination = destination
        self.id = id
        self.pieces = pieces
        self.number = number
        self.have = 0
        self.path, self._journal_path = paths(destination, number)
        self._file = -1
        self._journal = -1
        try:
            destination.parent.mkdir(parents=True, exist_ok=True)
            self._open()
            self._look_for_room()
        except OSError as error:
            self._give_up_room(error)
            raise _told(error, destination, pieces.size) from error

    def _give_up_room(self, error: OSError) -> None:
        if error.errno == errno.ENOSPC and not self.have and self._file >= 0:
            # Nothing has come yet: what room it got is of more use to others.
            self.discard()
        self.close()

    def _open(self) -> None:
        self._file = _open_alone(self.path)
        is_new = not os.fstat(self._file).st_size
        known = None if is_new else read_journal(self._journal_path, self.id)
        if known is not None and known.pieces == self.pieces:
            self.have, length = known.have, known.length
            self._journal = _opened(self._journal_path, os.O_WRONLY | os.O_APPEND)
            os.ftruncate(self._journal, length)
        elif not is_new and not self._journal_path.exists():
            raise FileExistsError(errno.EEXIST, "no part of ours", os.fspath(self.path))
        else:
            os.ftruncate(self._file, 0)
            self._begin_journal()

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
            raise _told(error, self.destination, self.pieces.size) from error

    def _look_for_room(self) -> None:
        """Raises OSError where there is too little: the disk isn't filled up to find that out."""
        system, here = os.fstatvfs(self._file), os.fstat(self._file)
        missing = self.pieces.size - here.st_blocks * BLOCK
        # Some file systems don't tell how large they are.
        if system.f_blocks and missing > system.f_bavail * system.f_frsize:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _begin_journal(self) -> None:
        # Beside the old one, which is good until this one is whole; hidden from scans.
        new = self.destination.with_name(f".{self.path.name}")
        self._journal = _opened(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        try:
            self._note(msgspec.json.encode(_Head(self.id, self.pieces)) + b"\n")
            self._note(b"".join(b"%d\n" % piece for piece in members(self.have)))
            os.replace(new, self._journal_path)
        except OSError:
            new.unlink(missing_ok=True)
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
        try:
            self._begin_journal()
        except OSError as error:
            raise _told(error, self.destination, self.pieces.size) from error

    def open(self) -> BinaryIO:
        """What has come, to be read. Raises UnknownResource where it has just been finished."""
        try:
            return open(self.path, "rb", buffering=0, opener=_opened)
        except OSError as error:
            raise UnknownResource(f"{self.id} has just come to its place: ask again") from error

    # -- the end

    @property
    def is_complete(self) -> bool:
        return self.have == every_piece(self.pieces.count)

    def finish(self, overwrite: bool = False) -> None:
        """Put it in its place, at once and for good. Raises Unavailable."""
        try:
            os.fsync(self._file)
            if overwrite:
                os.replace(self.path, self.destination)
            else:
                self._put()
            self._journal_path.unlink(missing_ok=True)
            folder = os.open(self.destination.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise _told(error, self.destination, self.pieces.size) from error
        finally:
            self.close()

    def _put(self) -> None:
        try:
            # A rename would replace what has come to stand there meanwhile.
            os.link(self.path, self.destination)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP):
                raise
            # A file system without links, such as a USB stick's.
            if os.path.lexists(self.destination):
                raise FileExistsError(errno.EEXIST, "", os.fspath(self.destination)) from error
            os.rename(self.path, self.destination)
        else:
            os.unlink(self.path)

    def discard(self) -> None:
        """Remove it: nothing of it is of use."""
        for path in (self.path, self._journal_path):
            path.unlink(missing_ok=True)
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


class Journal(NamedTuple):
    """What a journal says: how the resource is cut, what is there, and in how many bytes."""

    pieces: Pieces
    have: int
    length: int


def paths(destination: Path, number: int) -> tuple[Path, Path]:
    """Where the part of that number is, and its journal; all but the first are hidden."""
    name = destination.name
    part, journal = name + PART, name + JOURNAL
    if number:
        # No longer than the first's journal, for a name may be as long as that allows.
        part, journal = f".{name}.{number}{PART}", f".{name}.{number}.journal"
    return destination.with_name(part), destination.with_name(journal)


def read_journal(path: Path, id: str) -> Journal | None:
    """The journal at that path; None where there is none of this very resource."""
    try:
        with open(path, "rb", opener=_opened) as file:
            journal = file.read()
        head, *lines = journal.split(b"\n")
        known = msgspec.json.decode(head, type=_Head)
    except (FileNotFoundError, *UNREADABLE):
        return None
    if not lines or known.id != id:
        return None
    have = 0
    # What follows the last line end was cut off in mid-write.
    digits = len(str(known.pieces.count))
    for line in lines[:-1]:
        # Of more than 4,300 digits Python makes no number.
        if line.isdigit() and len(line) <= digits and int(line) < known.pieces.count:
            have |= 1 << int(line)
    return Journal(known.pieces, have, journal.rfind(b"\n") + 1)


def earlier(destination: Path, id: str, number: int) -> Journal | None:
    """What has come of that resource in an earlier part of that number; None: nothing."""
    part, journal = paths(destination, number)
    try:
        known = read_journal(journal, id) if part.lstat().st_size else None
    except OSError:
        return None  # It can't be had; who opens it learns why.
    return known if known is not None and known.have else None


def remove(destination: Path, number: int) -> None:
    """Remove an earlier part, unless somebody is at it."""
    part, journal = paths(destination, number)
    if not part.exists():
        return
    try:
        file = _open_alone(part)
    except OSError:
        return
    part.unlink(missing_ok=True)
    journal.unlink(missing_ok=True)
    os.close(file)


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


def _opened(path: str | Path, flags: int) -> int:
    """
    A descriptor of the file at that path.

    Raises OSError where a link stands there: who put it there would choose what is written to.
    """
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)


def _open_alone(path: Path) -> int:
    """
    The file at that path, for one transfer at a time, in this process or another.

    Raises BlockingIOError where another one has it.
    """
    while True:
        file = _opened(path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Between the two the other may have put it in its place.
            if path.exists() and os.path.samestat(os.fstat(file), path.lstat()):
                if os.fstat(file).st_nlink == 1:
                    return file
                # Killed when it was in its place already: that file must not be written to.
                path.unlink()
        except OSError:
            os.close(file)
            raise
        os.close(file)


def _told(error: OSError, destination: Path, size: int) -> Unavailable:
    if error.errno == errno.ENOSPC:
        return NoRoom(f"no room for {destination} ({size} bytes): make some, and try again")
    if error.errno == errno.ELOOP:
        return Unavailable(f"{error.filename} is a link: it is not followed, and left as it is")
    if error.errno == errno.EWOULDBLOCK:
        return Unavailable(f"{destination} is being fetched already: wait until that is through")
    if error.errno == errno.EEXIST:
        there = error.filename2 or error.filename
        return Unavailable(f"{there} exists and is another file: it is left as it is")
    return Unavailable(f"can't write {destination}: {error.strerror}")
