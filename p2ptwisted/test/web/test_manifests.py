"""Tests of `p2ptwisted.web.manifests` beyond the routes: who can read which manifest."""

from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import Request
from twisted.web.test.requesthelper import DummyChannel

from p2ptwisted.errors import NotReadable
from p2ptwisted.pieces import DIGEST, MIB, PIECE_MIN, Pieces
from p2ptwisted.web.manifests import check_readable


def pieces(size: int, length: int = PIECE_MIN) -> Pieces:
    return Pieces(size, bytes(DIGEST * -(-size // length)))


class ReadableTests(SynchronousTestCase):
    """A node of version 0.2 knows only its own length of a piece."""

    def request(self, **headers: str) -> Request:
        request = Request(DummyChannel(), False)
        for name, value in headers.items():
            request.requestHeaders.addRawHeader(name.replace("_", "-"), value)
        return request

    def test_earlier_version(self) -> None:
        """It is told both lengths, and what to do, where they differ."""
        with self.assertRaisesRegex(NotReadable, r"262144 bytes.*0\.2 reads only 1048576: install"):
            check_readable(self.request(), pieces(40 * MIB))

    def test_same_length(self) -> None:
        """What it would cut alike it gets, be it one piece or many."""
        for readable in (pieces(0), pieces(PIECE_MIN), pieces(40 * MIB, MIB)):
            check_readable(self.request(), readable)

    def test_others(self) -> None:
        """Whoever says what it is, or what it accepts, gets it in any case."""
        for headers in ({"user_agent": "curl/8"}, {"accept": "*/*"}):
            check_readable(self.request(**headers), pieces(40 * MIB))
