"""Tests for `p2ptwisted.node.uploads`."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2ptwisted.errors import Unavailable, UnknownResource
from p2ptwisted.interfaces import IUpload
from p2ptwisted.node.uploads import SELECTORS_MAX, Uploads
from p2ptwisted.support.rate_limit import RateLimit


class UploadsTests(SynchronousTestCase):
    """How much a node sends at once, how fast, and what."""

    def uploads(self, most: int = 100, rate: int | None = None) -> Uploads:
        self.clock = Clock()
        return Uploads(self.clock, most, RateLimit(rate))

    def test_interface(self) -> None:
        """An upload is an IUpload."""
        verifyObject(IUpload, self.uploads().begin("a"))

    def test_at_once(self) -> None:
        """Over the bound, another is refused until one has ended, whatever it sends."""
        uploads = self.uploads(most=2)
        first = uploads.begin("a")
        second, _ = uploads.begin_pieces("id", 1, "b")
        self.assertRaises(Unavailable, uploads.begin, "c")
        self.assertRaises(Unavailable, uploads.begin_pieces, "id", 1, "c")
        second.end()
        uploads.begin("c")
        self.assertRaises(Unavailable, uploads.begin, "b")
        first.end()
        uploads.begin("b")

    def test_half(self) -> None:
        """One client gets half of them, rounded up, of whatever kind; the others get the rest."""
        for most, half in [(1, 1), (2, 1), (5, 3), (64, 32)]:
            uploads = self.uploads(most=most)
            first, _ = uploads.begin_pieces("id", 1, "a")
            for _ in range(half - 1):
                uploads.begin("a")
            message = str(self.assertRaises(Unavailable, uploads.begin, "a"))
            if half < most:
                self.assertIn(f"{half} uploads to a ", message)
            self.assertRaises(Unavailable, uploads.begin_pieces, "id", 1, "a")
            for _ in range(most - half):
                uploads.begin("b")
            first.end()
            uploads.begin("a")

    def test_nothing_to_choose_from(self) -> None:
        """A request for nothing that is here is told so, and takes nobody's place."""
        uploads = self.uploads(most=1)
        self.assertRaises(UnknownResource, uploads.begin_pieces, "id", 0, "a")
        uploads.begin("a")

    def test_one_bound_for_all(self) -> None:
        """All uploads together keep to the rate."""
        uploads = self.uploads(rate=1000)
        first, second = uploads.begin("a"), uploads.begin("b")
        self.assertAlmostEqual(first.sent(500), 0.5)
        self.assertAlmostEqual(second.sent(500), 1.0)
        self.clock.advance(1.0)
        self.assertAlmostEqual(first.sent(500), 0.5)

    def test_spread(self) -> None:
        """Several clients of one resource get different pieces; another resource is apart."""
        uploads = self.uploads()
        chosen = [uploads.begin_pieces("id", 0b111, client)[1] for client in "abc"]
        self.assertEqual(chosen, [0b001, 0b010, 0b100])
        self.assertEqual(uploads.begin_pieces("other", 0b111, "a")[1], 0b001)

    def test_alone(self) -> None:
        """A client gets more pieces in a run once its last answer is through."""
        uploads = self.uploads()
        upload, _ = uploads.begin_pieces("id", 0b11111111, "a")
        self.assertEqual(uploads.begin_pieces("id", 0b11111110, "a")[1], 0b10)
        upload.end()
        self.assertEqual(uploads.begin_pieces("id", 0b11111100, "a")[1], 0b100)

    def test_alone_again(self) -> None:
        """Ended uploads, pieces or not, leave a client alone."""
        uploads = self.uploads()
        upload, _ = uploads.begin_pieces("id", 0b111, "a")
        upload.end()
        self.assertEqual(uploads.begin_pieces("id", 0b110, "a")[1], 0b110)

    def test_remembered(self) -> None:
        """What was sent is remembered of the resources asked for most recently."""
        uploads = self.uploads(most=1000)
        uploads.begin_pieces("first", 0b11, "a")
        uploads.begin_pieces("second", 0b11, "a")
        uploads.begin_pieces("first", 0b11, "a")
        for number in range(SELECTORS_MAX - 1):
            uploads.begin_pieces(f"one more {number}", 0b1, "a")
        uploads.begin_pieces("first", 0b11, "a")
        self.assertEqual(uploads.begin_pieces("first", 0b111, "a")[1], 0b100)
        self.assertEqual(uploads.begin_pieces("second", 0b11, "a")[1], 0b01)
