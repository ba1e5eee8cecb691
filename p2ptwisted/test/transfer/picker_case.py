"""What the tests of the piece picker have in common."""

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.pieces import DIGEST, MIB, Pieces, every_piece, members
from p2ptwisted.transfer.piece_picker import Neighbor, PiecePicker, Request

#: Bytes a second; a piece takes a tenth of a second.
RATE = 10 * MIB


def cut(size: int, length: int = MIB) -> Pieces:
    """Pieces of that length."""
    return Pieces(size, bytes(DIGEST) * -(-size // length))


class PickerCase(SynchronousTestCase):
    """A picker, and what its neighbors send."""

    def setUp(self) -> None:
        self.now = 1000.0

    def picker(self, piece_count: int = 8, have: int = 0) -> PiecePicker:
        return PiecePicker(cut(piece_count * MIB), have, Random(0))

    def offer(self, picker: PiecePicker, location: str, has: int | None = None) -> Neighbor:
        """A holder, of everything if nothing else is said."""
        return picker.offer(location, every_piece(8) if has is None else has)

    def request(self, picker: PiecePicker, neighbor: Neighbor) -> Request:
        """What it is asked for, which must be something."""
        request = picker.wanted(neighbor, self.now)
        assert request is not None
        return request

    def ask(self, picker: PiecePicker, neighbor: Neighbor) -> list[int]:
        """The pieces that it is asked for, if any."""
        request = picker.wanted(neighbor, self.now)
        return [] if request is None else list(members(request.asked))

    def send(self, picker: PiecePicker, request: Request, *pieces: int, rate: int = RATE) -> None:
        """Its neighbor sends these, at that rate, and they are right; that is all of the answer."""
        self.assertTrue(picker.started(request, sum(1 << piece for piece in pieces), self.now))
        for piece in pieces:
            self.now += MIB / rate
            picker.progress(request, MIB, self.now)
            picker.verified(request, piece)
        picker.ended(request)
