"""
The parts of one download. Holders that disagree about the pieces are asked side by side,
each version of the pieces into a part of its own, until the id says which one is right.
"""

from pathlib import Path

from p2ptwisted.errors import Unavailable
from p2ptwisted.pieces import Pieces
from p2ptwisted.transfer.earlier_parts import is_of_another, read_earlier, remove_earlier
from p2ptwisted.transfer.part_file import PartFile
from p2ptwisted.transfer.part_journal import Journal, is_cut_otherwise
from p2ptwisted.transfer.shared_folder import SharedFolder
from p2ptwisted.transfer.target_folder import TargetFolder
from p2ptwisted.transfer.write_errors import BeingFetched, NoRoom, write_error

#: Versions of one resource that are on disk at once.
PARTS_MAX = 32

#: Parts besides the first that are kept for the next download if no version proved right.
KEPT_MAX = 1


class PartVersions:
    """All parts of one resource on its way to one destination."""

    def __init__(self, destination: Path, id: str, within: SharedFolder | None = None) -> None:
        """`within` is TargetFolder's. Raises NoRoom and Unavailable."""
        self.destination = destination
        self._id = id
        self._within = within
        try:
            self._folder = TargetFolder(destination.parent, within)
        except OSError as error:
            raise write_error(error, destination, 0) from error
        self._open: dict[int, PartFile] = {}

    def of(self, pieces: Pieces) -> PartFile:
        """
        The part of that version: the one that an earlier download has left, or a new one.

        What has come of another version stays. Raises NoRoom, BeingFetched where another
        download of the same resource has it, and Unavailable.
        """
        for part in self._open.values():
            if part.pieces == pieces:
                return part
        number = self._number_for(pieces)
        try:
            part = PartFile(self.destination, self._id, pieces, number, self._within)
        except BeingFetched as error:
            if is_of_another(self._folder, self.destination, self._id, number):
                raise Unavailable(str(error)) from error
            raise
        self._open[number] = part
        return part

    def _number_for(self, pieces: Pieces) -> int:
        """The number of the part that has that version, of one cut otherwise, or of a free one."""
        free, otherwise = [], []
        for number in range(PARTS_MAX):
            if number not in self._open:
                journal = self._earlier(number)
                if journal is not None and journal.pieces == pieces:
                    return number
                if journal is None:
                    free.append(number)
                elif is_cut_otherwise(journal.pieces, pieces):
                    otherwise.append(number)
        if not free and not otherwise:
            raise NoRoom(f"{PARTS_MAX} versions of {self.destination} are on disk already")
        return [*otherwise, *free][0]

    def _earlier(self, number: int) -> Journal | None:
        return read_earlier(self._folder, self.destination, self._id, number)

    def leave(self, part: PartFile) -> None:
        """Close a part that no attempt uses; it keeps no more room than what has come needs."""
        self._open.pop(part.number, None)
        part.leave()

    def discard(self, part: PartFile) -> None:
        """Remove a part: nothing in it is of use."""
        self._open.pop(part.number, None)
        part.discard()

    def finish(self, part: PartFile, overwrite: bool) -> None:
        """
        Move the complete part to its destination; remove the others, which are wrong.

        `overwrite` a file that is there. Raises Unavailable.
        """
        part.finish(overwrite)
        del self._open[part.number]
        for other in list(self._open.values()):
            self.discard(other)
        for number in range(PARTS_MAX):
            if number or self._earlier(number) is not None:
                remove_earlier(self._folder, self.destination, number)

    def close(self) -> None:
        """Keep what has come for the next download: the first, and of the others the largest."""
        for part in list(self._open.values()):
            self.leave(part)
        others = []
        for number in range(1, PARTS_MAX):
            journal = self._earlier(number)
            if journal is not None:
                others.append((journal.have.bit_count(), number))
        for _, number in sorted(others, reverse=True)[KEPT_MAX:]:
            remove_earlier(self._folder, self.destination, number)
        self._folder.close()
