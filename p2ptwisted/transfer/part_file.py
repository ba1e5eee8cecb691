"""
A part: the pieces of a resource that have come, in `<name>.part` beside its destination,
with a journal of them in `<name>.part.journal`. The part of another version of the same
resource (`part_versions`) is `.<name>.<number>.part`.

Killed at any moment, a download goes on from the journal.

Others may be able to write to that folder too: a file there that is not ours is neither
used nor touched.
"""

import errno
import hashlib
import os
from collections.abc import Generator, Iterator
from heapq import nlargest
from pathlib import Path
from typing import BinaryIO

from p2ptwisted.errors import Unavailable, UnknownResource
from p2ptwisted.pieces import Pieces, every_piece, members, recut
from p2ptwisted.transfer.disk_room import check_room, makes_holes, punch_hole, reserve_room
from p2ptwisted.transfer.earlier_parts import open_locked
from p2ptwisted.transfer.part_journal import (
    head_of,
    is_cut_otherwise,
    line_of,
    read_journal,
)
from p2ptwisted.transfer.part_names import part_names
from p2ptwisted.transfer.running_digest import RunningDigest
from p2ptwisted.transfer.shared_folder import SharedFolder
from p2ptwisted.transfer.target_folder import TargetFolder
from p2ptwisted.transfer.write_errors import write_error

#: Bytes read at a time to check a piece again: about 0.2 ms of work.
SLICE = 256 * 1024

#: Holes that are made in a part at once, the largest: about a millisecond of work.
HOLES_MAX = 256


class PartFile:
    """The part of one resource on disk."""

    _folder: TargetFolder

    def __init__(
        self,
        destination: Path,
        id: str,
        pieces: Pieces,
        number: int = 0,
        within: SharedFolder | None = None,
    ) -> None:
        """
        Open the part that an earlier download of the same resource has left, or make one.

        `number` tells it from parts of other versions; `within` is
        TargetFolder's. Raises NoRoom and Unavailable, with nothing lost,
        where there is no room or no way to write.
        """
        self.destination = destination
        self.id = id
        self.pieces = pieces
        self.number = number
        #: The set of the pieces that are nothing but zeros, and so are holes in the file.
        self._holes = 0
        #: Bytes that the others take on the disk.
        self._room = pieces.size
        #: The set of the pieces that are here.
        self.have = 0
        #: Of these, those whose own digests have not been checked, or only by an earlier process.
        self.unchecked = 0
        self.running = RunningDigest(pieces)
        #: The pieces that somebody has begun to send.
        self._begun = 0
        name, self._journal_name = part_names(destination, number)
        self.path = destination.with_name(name)
        #: The file's status once it was at its destination.
        self.placed: os.stat_result | None = None
        # Descriptors; -1 once closed.
        self._file = -1
        self._journal = -1
        try:
            self._folder = TargetFolder(destination.parent, within)
        except OSError as error:
            raise self._write_error(error) from error
        try:
            self._open()
            if pieces.zeros and makes_holes(self._file, pieces.size):
                self._holes = pieces.zeros
                self._room -= self._holes.bit_count() * pieces.length
            check_room(self._file, self._room)
        except OSError as error:
            self._give_up_room(error)
            raise self._write_error(error) from error

    def _write_error(self, error: OSError) -> Unavailable:
        return write_error(error, self.destination, self._room)

    def _give_up_room(self, error: OSError) -> None:
        if error.errno == errno.ENOSPC and not self.have and self._file >= 0:
            # Nothing has come yet: what room it got is of more use to others.
            self.discard()
        self.close()

    def _open(self) -> None:
        self._file = open_locked(self._folder, self.path.name)
        is_new = not self.status().st_size
        try:
            self._journal = self._folder.open_ours(self._journal_name, os.O_RDWR | os.O_APPEND)
        except FileNotFoundError:
            if not is_new:
                there = os.fspath(self.path)
                raise FileExistsError(errno.EEXIST, "no part of ours", there) from None
        else:
            journal = None if is_new else read_journal(self._journal, self.id)
            if journal is not None and journal.pieces == self.pieces:
                self.have = self.unchecked = journal.have
                os.ftruncate(self._journal, journal.length)
                return
            os.close(self._journal)
            self._journal = -1
            if journal is not None and is_cut_otherwise(journal.pieces, self.pieces):
                self.have = self.unchecked = recut(journal.have, journal.pieces, self.pieces)
                self._begin_journal()
                return
        os.ftruncate(self._file, 0)
        self._begin_journal()

    def fileno(self) -> int:
        """The descriptor of the open file."""
        return self._file

    def status(self) -> os.stat_result:
        """The status of the open file, whatever is at its path by now."""
        return os.fstat(self._file)

    def reserve(self) -> Iterator[None]:
        """
        Take all the room now, in slices, so that a disk can't fill up when half has come.

        None is taken for holes.

        Raises NoRoom, with nothing lost, where there is too little.
        """
        try:
            check_room(self._file, self._room)
            for _ in reserve_room(self._file, self.pieces.spans_without(self._holes)):
                yield
                if self._file < 0:
                    return  # It was closed meanwhile.
            os.ftruncate(self._file, self.pieces.size)
        except OSError as error:
            self._give_up_room(error)
            raise self._write_error(error) from error

    # -- its journal

    def _begin_journal(self) -> None:
        # Beside the old one, which is good until this one is complete; hidden from scans.
        new = f".{self.path.name}"
        self._journal = self._folder.make_again(new, os.O_WRONLY | os.O_APPEND)
        try:
            self._append(head_of(self.id, self.pieces))
            self._append(b"".join(map(line_of, members(self.have))))
            self._folder.replace(new, self._journal_name)
        except OSError:
            self._folder.remove(new)
            raise

    def _append(self, line: bytes) -> None:
        if os.write(self._journal, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    # -- pieces that come

    def write(self, start: int, data: bytes | bytearray | memoryview) -> None:
        """Write at that byte. Raises Unavailable."""
        try:
            os.pwrite(self._file, data, start)
        except OSError as error:
            raise self._write_error(error) from error

    def is_hole(self, piece: int) -> bool:
        """Whether a piece becomes a hole, so that its zeros are not to be written."""
        return bool(self._holes >> piece & 1)

    def _make_hole(self, piece: int) -> None:
        start, stop = self.pieces.span(piece)
        if self.status().st_size < stop:
            os.ftruncate(self._file, stop)
        # Something else may be there, of an earlier version that wrote what wasn't right.
        if not punch_hole(self._file, start, stop):
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    def is_begun(self, piece: int) -> bool:
        """Whether a piece has been begun before; from now on it has."""
        begun, self._begun = self._begun, self._begun | 1 << piece
        return bool(begun >> piece & 1)

    def verified(self, piece: int, is_checked: bool = True) -> None:
        """Note that a piece is here and right, as its own digest may say. Raises Unavailable."""
        if not self.have >> piece & 1:
            self.have |= 1 << piece
            self.unchecked |= (not is_checked) << piece
            try:
                if self.is_hole(piece):
                    self._make_hole(piece)
                self._append(line_of(piece))
            except OSError as error:
                raise self._write_error(error) from error

    # -- hashing what is here

    def _hash(self, piece: int, digest: "hashlib._Hash") -> Generator[None, None, bool]:
        """Feed a piece that is here to a digest, in slices; False if it was closed meanwhile."""
        start, stop = self.pieces.span(piece)
        for at in range(start, stop, SLICE):
            if self._file < 0:
                return False
            digest.update(os.pread(self._file, min(SLICE, stop - at), at))
            yield
        return self._file >= 0

    @property
    def is_behind(self) -> bool:
        """Whether the next piece for the running digest is here."""
        return bool(self.have >> self.running.next & 1)

    def catch_up(self) -> Iterator[None]:
        """Have the running digest go over the pieces that are here, in slices."""
        while self.is_behind:
            piece, digest = self.running.next, self.running.copy()
            if not (yield from self._hash(piece, digest)):
                return
            self.running.advance(piece, digest)

    def is_right(self, piece: int) -> bool:
        """Whether what is here of a piece has the piece's own digest."""
        digest = hashlib.sha256()
        for _ in self._hash(piece, digest):
            pass
        return digest.digest() == self.pieces.digest(piece)

    def check(self, pieces: int) -> Iterator[None]:
        """Check the digests of pieces that are here, in slices; forget those that are wrong."""
        for piece in members(pieces):
            digest = hashlib.sha256()
            if not (yield from self._hash(piece, digest)):
                return
            self.unchecked &= ~(1 << piece)
            if digest.digest() != self.pieces.digest(piece):
                self.have &= ~(1 << piece)
                self.running.drop_hint()

    def recheck(self) -> Iterator[None]:
        """Hash every piece again, in slices, and forget those with a wrong digest."""
        yield from self.check(self.have)
        if self._file < 0:
            return
        # What it was made of may be one of these.
        self.running = RunningDigest(self.pieces, is_hint_used=False)
        self._begun = 0
        os.close(self._journal)
        self._journal = -1
        try:
            self._begin_journal()
        except OSError as error:
            raise self._write_error(error) from error

    def open(self) -> BinaryIO:
        """The part, opened to be read. Raises UnknownResource if it has just been finished."""
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
        """Whether every piece is here."""
        return self.have == every_piece(self.pieces.count)

    def finish(self, overwrite: bool = False) -> None:
        """
        Move the complete file to its destination, on the disk and at once.

        `overwrite` a file that is there. Raises Unavailable.
        """
        try:
            os.fsync(self._file)
            self._folder.check_place()
            self._check_at(self.path.name)
            if overwrite:
                self._folder.replace(self.path.name, self.destination.name)
            else:
                self._folder.put(self.path.name, self.destination.name)
            # What was verified is this file, and no other that has come between.
            self._check_at(self.destination.name)
            self.placed = self.status()
            self._folder.tidy(self._journal_name)
            self._folder.sync()
        except OSError as error:
            raise self._write_error(error) from error
        finally:
            self.close()

    def _check_at(self, name: str) -> None:
        if not self._folder.is_at(name, self.status()):
            raise self._folder.not_ours(name, "was replaced by another file")

    def discard(self) -> None:
        """Remove the part and its journal: nothing in it is of use."""
        if self._file >= 0:
            self._folder.tidy(self.path.name, self._journal_name)
        self.close()

    def leave(self) -> None:
        """Keep what has come for the next download, and only as much room as it needs."""
        if not self.have:
            self.discard()
            return
        try:
            self._give_back_room()
        except OSError:
            pass  # Then it has more room than it needs.
        self.close()

    def _give_back_room(self) -> None:
        last = self.have.bit_length() - 1
        os.ftruncate(self._file, self.pieces.span(last)[1])
        gaps, after = [], 0
        for piece in members(self.have):
            if piece > after:
                gaps.append((piece - after, after))
            after = piece + 1
        for count, first in nlargest(HOLES_MAX, gaps):
            start = first * self.pieces.length
            punch_hole(self._file, start, start + count * self.pieces.length)

    def close(self) -> None:
        """Close the files; what has come stays for the next download."""
        for descriptor in (self._file, self._journal):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._journal = -1
        self._folder.close()
