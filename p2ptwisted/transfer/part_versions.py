"""
The parts of one fetch. Holders that disagree about the pieces are asked side by side,
each version of them into a part of its own, until the id tells which one is right.
"""

from pathlib import Path

from p2ptwisted.pieces import Pieces
from p2ptwisted.transfer.earlier_parts import read_earlier, remove_earlier
from p2ptwisted.transfer.part_file import PartFile
from p2ptwisted.transfer.part_journal import Journal
from p2ptwisted.transfer.target_folder import TargetFolder
from p2ptwisted.transfer.write_errors import NoRoom, write_error

#: Versions of one resource that are on disk at once.
PARTS_MAX = 32

#: Besides the first, those that are left for the next time where it isn't known which is right.
KEPT_MAX = 1


class PartVersions:
    """All parts of one resource on its way to one place."""

    def __init__(self, destination: Path, id: str, within: Path | None = None) -> None:
        """`within` is TargetFolder's. Raises Unavailable."""
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
        The part of that version: what an earlier fetch has brought of it, or a new one.

        What has come of another version stays. Raises NoRoom and Unavailable.
        """
        for part in self._open.values():
            if part.pieces == pieces:
                return part
        number = self._number_for(pieces)
        part = self._open[number] = PartFile(
            self.destination, self._id, pieces, number, self._within
        )
        return part

    def _number_for(self, pieces: Pieces) -> int:
        free = []
        for number in range(PARTS_MAX):
            if number not in self._open:
                known = self._earlier(number)
                if known is not None and known.pieces == pieces:
                    return number
                if known is None:
                    free.append(number)
        if not free:
            raise NoRoom(f"{PARTS_MAX} versions of {self.destination} are on disk already")
        return free[0]

    def _earlier(self, number: int) -> Journal | None:
        return read_earlier(self._folder, self.destination, self._id, number)

    def leave(self, part: PartFile) -> None:
        """Nobody is at it for the time being: it keeps no more room than what has come needs."""
        self._open.pop(part.number, None)
        part.leave()

    def discard(self, part: PartFile) -> None:
        """Remove a part of which nothing is of use."""
        self._open.pop(part.number, None)
        part.discard()

    def finish(self, part: PartFile, overwrite: bool) -> None:
        """Put it in its place. The others, whoever left them, are wrong. Raises Unavailable."""
        part.finish(overwrite)
        del self._open[part.number]
        for other in list(self._open.values()):
            self.discard(other)
        for number in range(PARTS_MAX):
            if number or self._earlier(number) is not None:
                remove_earlier(self._folder, self.destination, number)

    def close(self) -> None:
        """Leave what has come for the next time: the first, and of the others the largest."""
        for part in list(self._open.values()):
            self.leave(part)
        others = []
        for number in range(1, PARTS_MAX):
            known = self._earlier(number)
            if known is not None:
                others.append((known.have.bit_count(), number))
        for _, number in sorted(others, reverse=True)[KEPT_MAX:]:
            remove_earlier(self._folder, self.destination, number)
        self._folder.close()
