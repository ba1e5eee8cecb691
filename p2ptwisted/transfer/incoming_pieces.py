"""What comes from one source in one answer: consecutive pieces, checked as they come."""

from collections.abc import Callable

from twisted.python.failure import Failure

from p2ptwisted.client.body_receiver import ContentSink
from p2ptwisted.pieces import every_piece
from p2ptwisted.transfer.part_file import IncomingPiece, PartFile
from p2ptwisted.transfer.piece_picker import Neighbor, PiecePicker


class IncomingPieces(ContentSink):
    """A Stream into a part."""

    def __init__(
        self,
        source: Neighbor,
        plan: PiecePicker,
        part: PartFile,
        received: Callable[[Neighbor, int], float | None],
        verified: Callable[[Neighbor, int], None],
    ) -> None:
        """
        `received`: so many bytes have come; seconds to wait before more, None to break it off.

        `verified`: that piece has come and is right.
        """
        self._source = source
        self._plan = plan
        self._part = part
        self._received = received
        self._verified = verified
        self._left: list[int] = []
        self._arriving: IncomingPiece | None = None
        #: Whether we ended it ourselves, for no fault of its own.
        self.ended = False
        #: Why it can't be written, if it can't.
        self.failure: Failure | None = None

    def began(self, start: int, stop: int) -> bool:
        """These bytes are about to come; False where they are not what was asked for."""
        pieces = self._part.pieces
        first, last = start // pieces.length, -(-stop // pieces.length)
        if pieces.span(first)[0] != start or pieces.span(last - 1)[1] != stop:
            return False
        self._left = list(range(first, last))
        return self._plan.started(self._source, every_piece(last) & ~every_piece(first))

    def received(self, data: bytes) -> float | None:
        try:
            return self._take(data)
        except Exception:
            # Not the holder's doing.
            self.failure = Failure()
            return None

    def _take(self, data: bytes) -> float | None:
        pause = self._received(self._source, len(data))
        if pause is None:
            return None
        view = memoryview(data)
        while view:
            if self._arriving is None:
                self._arriving = self._part.arriving(self._left.pop(0))
            taken = view[: self._arriving.left]
            self._arriving.write(taken)
            view = view[len(taken) :]
            if not self._arriving.left and not self._finish(self._arriving):
                self.ended = True
                return None
        return pause

    def _finish(self, arrived: IncomingPiece) -> bool:
        """The piece is complete; whether more is wanted of this source."""
        self._arriving = None
        if not arrived.finish():
            self._plan.distrust(self._source, f"it sent a wrong piece ({arrived.piece})")
            return False
        self._verified(self._source, arrived.piece)
        return not self._left or not self._plan.is_needless(self._source)
