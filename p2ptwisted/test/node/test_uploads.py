"""Tests for `p2ptwisted.node.uploads`."""

from contextlib import ExitStack

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2ptwisted.errors import Busy, Unavailable
from p2ptwisted.interfaces import IUpload
from p2ptwisted.node.uploads import (
    MANIFESTS_SENT_AT_ONCE,
    RESOURCES_MAX,
    SENDING_AT_ONCE,
    SMALL_MANIFEST,
    Upload,
    Uploads,
)
from p2ptwisted.support.rate_limit import RateLimit
from p2ptwisted.support.wording import counted


class UploadsTests(SynchronousTestCase):
    """How much a node sends at once, how fast, and what."""

    def uploads(self, most: int = 100, rate: int | None = None) -> Uploads:
        self.clock = Clock()
        return Uploads(self.clock, most, RateLimit(rate))

    def start(self, uploads: Uploads, id: str, client: str) -> Deferred[Upload]:
        """An answer with pieces is asked for."""
        return Deferred.fromCoroutine(uploads.begin_pieces(id, client))

    def begin(self, uploads: Uploads, id: str, client: str) -> Upload:
        """An answer with pieces that begins at once."""
        return self.successResultOf(self.start(uploads, id, client))

    def chosen(self, uploads: Uploads, id: str, pieces: int, client: str) -> int:
        """What is sent of these in an answer that begins at once, and goes on."""
        return self.begin(uploads, id, client).choose(pieces, None)

    def test_interface(self) -> None:
        """An upload is an IUpload."""
        verifyObject(IUpload, self.uploads().begin("a"))

    def test_at_once(self) -> None:
        """Over the bound, another is refused until one has ended, whatever it sends."""
        uploads = self.uploads(most=2)
        first = uploads.begin("a")
        second = self.begin(uploads, "id", "b")
        self.assertRaises(Unavailable, uploads.begin, "c")
        self.failureResultOf(self.start(uploads, "id", "c"), Unavailable)
        second.end()
        uploads.begin("c")
        self.assertRaises(Unavailable, uploads.begin, "b")
        first.end()
        uploads.begin("b")

    def test_half(self) -> None:
        """One client gets half of them, rounded up, of whatever kind; the others get the rest."""
        for most, half in [(1, 1), (2, 1), (5, 3), (64, 32)]:
            uploads = self.uploads(most=most)
            first = self.begin(uploads, "id", "a")
            for _ in range(half - 1):
                uploads.begin("a")
            message = str(self.assertRaises(Unavailable, uploads.begin, "a"))
            if half < most:
                self.assertIn(counted(half, "upload to a", "uploads to a"), message)
            self.failureResultOf(self.start(uploads, "id", "a"), Unavailable)
            for _ in range(most - half):
                uploads.begin("b")
            first.end()
            uploads.begin("a")

    def test_turns(self) -> None:
        """So many answers with pieces of one resource are sent at once; the others take turns."""
        uploads = self.uploads()
        sending = [self.begin(uploads, "id", f"{n}") for n in range(SENDING_AT_ONCE)]
        waiting = [self.start(uploads, "id", client) for client in "abc"]
        self.begin(uploads, "other", "a")
        for turn in waiting:
            self.assertNoResult(turn)
            sending.pop().end()
            sending.append(self.successResultOf(turn))
        for upload in sending:
            upload.end()
        for n in range(SENDING_AT_ONCE):
            self.begin(uploads, "id", f"{n}")
        self.assertNoResult(self.start(uploads, "id", "a"))

    def test_turns_of_one(self) -> None:
        """One client alone has as many at once, but they keep half of the turns for others."""
        uploads = self.uploads()
        slow = [self.begin(uploads, "id", "slow") for _ in range(SENDING_AT_ONCE)]
        more = self.start(uploads, "id", "slow")
        self.assertNoResult(more)
        others = [self.begin(uploads, "id", f"{n}") for n in range(SENDING_AT_ONCE // 2)]
        waiting = self.start(uploads, "id", "another")
        self.assertNoResult(waiting)
        slow.pop().end()
        self.assertNoResult(more)
        self.assertNoResult(waiting)
        others.pop().end()
        slow.append(self.successResultOf(more))
        self.successResultOf(waiting).end()
        for upload in (*slow, *others):
            upload.end()
        self.begin(uploads, "id", "slow")

    def test_waiting_counts(self) -> None:
        """Those that wait count among the uploads that there may be; who gives up doesn't."""
        uploads = self.uploads(most=SENDING_AT_ONCE + 1)
        sending = [self.begin(uploads, "id", f"{n}") for n in range(SENDING_AT_ONCE)]
        waiting = self.start(uploads, "id", "a")
        self.assertRaises(Unavailable, uploads.begin, "b")
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        again = self.start(uploads, "id", "b")
        sending.pop().end()
        self.successResultOf(again)

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
        chosen = [self.chosen(uploads, "id", 0b111, client) for client in "abc"]
        self.assertEqual(chosen, [0b001, 0b010, 0b100])
        self.assertEqual(self.chosen(uploads, "other", 0b111, "a"), 0b001)

    def test_alone(self) -> None:
        """A client gets more pieces in a run once its last answer is through."""
        uploads = self.uploads()
        upload = self.begin(uploads, "id", "a")
        self.assertEqual(upload.choose(0b11111111, None), 0b1)
        self.assertEqual(self.chosen(uploads, "id", 0b11111110, "a"), 0b10)
        upload.end()
        self.assertEqual(self.chosen(uploads, "id", 0b11111100, "a"), 0b100)

    def test_alone_again(self) -> None:
        """Ended uploads, pieces or not, leave a client alone."""
        uploads = self.uploads()
        upload = self.begin(uploads, "id", "a")
        upload.choose(0b111, None)
        upload.end()
        self.assertEqual(self.chosen(uploads, "id", 0b110, "a"), 0b110)

    def test_remembered(self) -> None:
        """What was sent is remembered of the resources asked for most recently."""
        uploads = self.uploads(most=1000)
        self.chosen(uploads, "first", 0b11, "a")
        self.chosen(uploads, "second", 0b11, "a")
        self.chosen(uploads, "first", 0b11, "a")
        for number in range(RESOURCES_MAX - 1):
            self.chosen(uploads, f"one more {number}", 0b1, "a")
        self.chosen(uploads, "first", 0b11, "a")
        self.assertEqual(self.chosen(uploads, "first", 0b111, "a"), 0b100)
        self.assertEqual(self.chosen(uploads, "second", 0b11, "a"), 0b01)

    def test_manifests(self) -> None:
        """Who asks for a large manifest while enough are being sent is named others to ask."""
        uploads = self.uploads()
        with ExitStack() as sending:
            for _ in range(MANIFESTS_SENT_AT_ONCE):
                sending.enter_context(uploads.manifest("id", SMALL_MANIFEST + 1, ["b:1"]))
            with self.assertRaises(Busy) as raised:
                sending.enter_context(uploads.manifest("id", SMALL_MANIFEST + 1, ["b:1"]))
            self.assertEqual(raised.exception.neighbors, ["b:1"])
            for id, size, others in (
                ("id", SMALL_MANIFEST, ["b:1"]),
                ("id", SMALL_MANIFEST + 1, []),
                ("other", SMALL_MANIFEST + 1, ["b:1"]),
            ):
                with uploads.manifest(id, size, others):
                    """It is sent."""
        with uploads.manifest("id", SMALL_MANIFEST + 1, ["b:1"]):
            """The others have been sent."""
