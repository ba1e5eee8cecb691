"""What one neighbor sends in one answer: consecutive pieces, checked and written as they come."""

import hashlib
from collections.abc import Callable

from twisted.python.failure import Failure

from p2ptwisted.client.body_receiver import ContentSink
from p2ptwisted.pieces import every_piece
from p2ptwisted.transfer.part_file import PartFile
from p2ptwisted.transfer.piece_picker import Neighbor, PiecePicker


class IncomingPiece:
    """A piece on its way: written to the part, and hashed as it comes."""

    def __init__(self, part: PartFile, piece: int) -> None:
        """Several pieces may come at once, even the same one twice."""
        self.piece = piece
        self._part = part
        self._next, self._stop = part.pieces.span(piece)
        self._digest = hashlib.sha256()

    @property
    def left(self) -> int:
        """Bytes yet to come."""
        return self._stop - self._next

    def write(self, data: bytes | memoryview) -> None:
        """Write the next bytes, of this piece only. Raises Unavailable."""
        self._part.write(self._next, data)
        self._next += len(data)
        self._digest.update(data)

    def finish(self) -> bool:
        """Whether the piece, now complete, has the right digest; if so the part has it."""
        if self._digest.digest() != self._part.pieces.digest(self.piece):
            return False
        self._part.verified(self.piece)
        return True


class IncomingPieces(ContentSink):
    """A ContentSink that writes to a part."""

    def __init__(
        self,
        neighbor: Neighbor,
        picker: PiecePicker,
        part: PartFile,
        received: Callable[[Neighbor, int], float | None],
        verified: Callable[[Neighbor, int], None],
    ) -> None:
        """
        `received` is called with the number of bytes that have come. It returns the seconds
        to wait before more, or None to break the answer off.

        `verified` is called with each piece that is right.
        """
        self._neighbor = neighbor
        self._picker = picker
        self._part = part
        self._received = received
        self._verified = verified
        self._left: list[int] = []
        self._incoming: IncomingPiece | None = None
        #: Whether we ended the answer ourselves, through no fault of the neighbor's.
        self.ended = False
        #: Why it can't be written, if it can't.
        self.failure: Failure | None = None

    def began(self, start: int, stop: int) -> bool:
        """Whether these bytes, which are about to come, are what was asked for."""
        pieces = self._part.pieces
        first, last = start // pieces.length, -(-stop // pieces.length)
        if pieces.span(first)[0] != start or pieces.span(last - 1)[1] != stop:
            return False
        self._left = list(range(first, last))
        return self._picker.started(self._neighbor, every_piece(last) & ~every_piece(first))

    def received(self, data: bytes) -> float | None:
        """Take the next bytes; the seconds to wait before more, None to break it off."""
        try:
            return self._take(data)
        except Exception:
            # Not the holder's doing.
            self.failure = Failure()
            return None

    def _take(self, data: bytes) -> float | None:
        pause = self._received(self._neighbor, len(data))
        if pause is None:
            return None
        view = memoryview(data)
        while view:
            if self._incoming is None:
                self._incoming = IncomingPiece(self._part, self._left.pop(0))
            taken = view[: self._incoming.left]
            self._incoming.write(taken)
            view = view[len(taken) :]
            if not self._incoming.left and not self._finish(self._incoming):
                self.ended = True
                return None
        return pause

    def _finish(self, complete: IncomingPiece) -> bool:
        """Check a complete piece; whether more is wanted of this neighbor."""
        self._incoming = None
        if not complete.finish():
            self._picker.distrust(self._neighbor, f"it sent a wrong piece ({complete.piece})")
            return False
        self._verified(self._neighbor, complete.piece)
        return not self._left or not self._picker.is_needless(self._neighbor)
