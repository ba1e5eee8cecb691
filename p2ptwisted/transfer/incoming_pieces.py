"""What one neighbor sends in one answer: consecutive pieces, checked and written as they come."""

import hashlib
from collections.abc import Callable

from twisted.python.failure import Failure

from p2ptwisted.client.body_receiver import ContentSink
from p2ptwisted.pieces import HolderState, every_piece
from p2ptwisted.transfer.part_file import PartFile
from p2ptwisted.transfer.piece_picker import PiecePicker, Request


class IncomingPiece:
    """
    A piece on its way: written to the part, and hashed as it comes.

    In order it is hashed into a copy of the running digest, and by itself only without a hint.
    """

    def __init__(self, part: PartFile, piece: int) -> None:
        """Several pieces may come at once, even the same one twice."""
        self.piece = piece
        self._part = part
        self._next, self._stop = self._start, _ = part.pieces.span(piece)
        #: Whether none of it is written: right, it is what a hole reads as.
        self._is_hole = part.is_hole(piece)
        #: All of it, where another neighbor sends the same and what it sends is written.
        self._kept = bytearray() if part.is_begun(piece) and not self._is_hole else None
        self._running = part.running.copy() if part.running.next == piece else None
        has_hint = self._running is not None and part.running.hint(piece)
        # Without its own digest what is written would be read again, should the hint be wrong.
        is_written = self._kept is None and not self._is_hole
        self._own = None if has_hint and is_written else hashlib.sha256()

    @property
    def left(self) -> int:
        """Bytes yet to come."""
        return self._stop - self._next

    def write(self, data: bytes | memoryview) -> None:
        """Write the next bytes, of this piece only. Raises Unavailable."""
        if self._kept is not None:
            self._kept += data
        elif not self._is_hole and not self._part.have >> self.piece & 1:
            self._part.write(self._next, data)
        self._next += len(data)
        for digest in (self._running, self._own):
            if digest is not None:
                digest.update(data)

    def finish(self) -> bool:
        """Whether the piece, now complete, is right; if so the part has it. Raises Unavailable."""
        part, is_here = self._part, self._part.have >> self.piece & 1
        if is_here and self._own is None:
            return True  # Another has sent it meanwhile, and what this one sent was not written.
        is_checked = not self._is_as_hinted()
        if is_checked and not self._is_right():
            return False
        if self._kept is not None and not is_here:
            part.write(self._start, self._kept)
        part.verified(self.piece, is_checked)
        if self._running is not None:
            part.running.advance(self.piece, self._running)
        return True

    def _is_as_hinted(self) -> bool:
        if self._own is not None or self._running is None:
            return False
        return self._running.digest() == self._part.running.hint(self.piece)

    def _is_right(self) -> bool:
        """Whether it has the piece's own digest."""
        if self._own is not None:
            return self._own.digest() == self._part.pieces.digest(self.piece)
        if not self._part.is_right(self.piece):
            return False
        self._part.running.drop_hint()
        return True


class IncomingPieces(ContentSink):
    """A ContentSink that writes to a part."""

    def __init__(
        self,
        request: Request,
        picker: PiecePicker,
        part: PartFile,
        now: Callable[[], float],
        told: Callable[[Request, HolderState], None],
        received: Callable[[Request, int], float | None],
        verified: Callable[[Request, int], None],
    ) -> None:
        """
        `now` returns the time. `told` is called with what the neighbor has, as it says now.

        `received` is called with the number of bytes that have come. It returns the seconds
        to wait before more, or None to break the answer off.

        `verified` is called with each piece that is right.
        """
        self._request = request
        self._picker = picker
        self._part = part
        self._now = now
        self._told = told
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
        pieces_sent = every_piece(last) & ~every_piece(first)
        return self._picker.started(self._request, pieces_sent, self._now())

    def told(self, state: HolderState) -> None:
        self._told(self._request, state)

    def received(self, data: bytes) -> float | None:
        """Take the next bytes; the seconds to wait before more, None to break it off."""
        try:
            return self._take(data)
        except Exception:
            # Not the holder's doing.
            self.failure = Failure()
            return None

    def _take(self, data: bytes) -> float | None:
        pause = self._received(self._request, len(data))
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
            reason = f"it sent a wrong piece ({complete.piece})"
            self._picker.distrust(self._request.neighbor, reason)
            return False
        self._verified(self._request, complete.piece)
        return not self._left or not self._picker.is_needless(self._request)
