"""Tests of `p2ptwisted.client.content_connection`, as a client uses it, on a reactor in memory."""

import json

from twisted.internet.defer import Deferred

from p2ptwisted.client.content_connection import HEAD_MAX, READ_SIZE
from p2ptwisted.client.content_pool import IDLE_MAX
from p2ptwisted.client.transport import POOL_IDLE_TIMEOUT, Refused
from p2ptwisted.errors import Unavailable
from p2ptwisted.test.client.client_case import ID, NODE, PIECES, ClientCase, Taken
from p2ptwisted.test.node_fakes import Peer

SILENCE = 10.0


class ContentCase(ClientCase):
    """Four bytes, from one holder."""

    def setUp(self) -> None:
        super().setUp()
        self.taken = Taken()

    def start(self) -> Deferred[None]:
        return self.call(self.client.stream(NODE, ID, PIECES, 0b10, 1, self.taken, SILENCE))

    def begin(self, peer: Peer, *headers: str, version: str = "HTTP/1.1") -> None:
        """Send the head of a good answer."""
        lines = [f"{version} 206 Partial Content", "Content-Range: bytes 4-7/20", *headers]
        peer.send("\r\n".join([*lines, "", ""]).encode())

    def get(self, peer: Peer) -> None:
        """Send a good answer."""
        self.begin(peer, "Content-Length: 4")
        peer.send(b"abcd")

    @property
    def made(self) -> int:
        """How many connections were made."""
        return len(self.reactor.tcpClients)


class KeptTests(ContentCase):
    """A connection that serves again."""

    def test_next_request(self) -> None:
        """Each request goes out when the answer before is complete, on the same connection."""
        done = self.start()
        peer = self.accept()
        for _ in range(3):
            asked = peer.asked()
            self.assertEqual(asked.line, f"POST /api/node/resources/{ID}/pieces HTTP/1.1")
            self.assertEqual(asked.headers["host"], NODE)
            self.assertEqual(json.loads(asked.body), {"want": "2", "most": 1, "location": None})
            self.get(peer)
            self.successResultOf(done)
            done = self.start()
        self.get(peer)
        self.successResultOf(done)
        self.assertEqual((self.made, self.taken.data), (1, 4 * b"abcd"))

    def test_refused(self) -> None:
        """One that carried an error serves again, too."""
        done = self.start()
        peer = self.accept()
        for status in (503, 404):
            peer.answer(f"{status} X", b'{"description": "no"}')
            self.assertEqual(self.failureResultOf(done, Refused).value.status, status)
            done = self.start()
        self.get(peer)
        self.successResultOf(done)
        self.assertEqual(self.made, 1)

    def test_closed_meanwhile(self) -> None:
        """One that the holder has closed does not: the next request gets another."""
        done = self.start()
        peer = self.accept()
        self.get(peer)
        self.successResultOf(done)
        peer.close()
        done = self.start()
        self.get(self.accept())
        self.successResultOf(done)
        self.assertEqual(self.made, 2)

    def test_not_to_be_kept(self) -> None:
        """Nor does one that the holder will close, or that carried more than the answer."""
        for headers, version, body in [
            (("Content-Length: 4", "Connection: Close"), "HTTP/1.1", b"abcd"),
            (("Content-Length: 4",), "HTTP/1.0", b"abcd"),
            (("Content-Length: 4",), "HTTP/1.1", b"abcde"),
        ]:
            done = self.start()
            peer = self.accept()
            self.begin(peer, *headers, version=version)
            peer.send(body)
            self.successResultOf(done)
            self.assertFalse(peer.is_open)
            self.reactor.advance(0)
        self.assertEqual(self.taken.data, 3 * b"abcd")

    def test_unasked(self) -> None:
        """One on which something comes that nobody asked for is closed."""
        done = self.start()
        peer = self.accept()
        self.get(peer)
        self.successResultOf(done)
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        self.assertFalse(peer.is_open)

    def test_unused(self) -> None:
        """It is closed when it was not used for a while, counted from its last answer."""
        done = self.start()
        peer = self.accept()
        self.get(peer)
        self.successResultOf(done)
        self.reactor.advance(POOL_IDLE_TIMEOUT - 1)
        done = self.start()
        self.get(peer)
        self.successResultOf(done)
        self.reactor.advance(POOL_IDLE_TIMEOUT - 1)
        self.assertTrue(peer.is_open)
        self.reactor.advance(1)
        self.assertFalse(peer.is_open)
        self.reactor.advance(0)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_many(self) -> None:
        """Of many that were used at once only some are kept, the last ones."""
        asked = []
        for _ in range(IDLE_MAX + 2):
            done = self.start()
            asked.append((done, self.accept()))
        for done, peer in asked:
            self.get(peer)
            self.successResultOf(done)
        self.assertEqual([peer.is_open for _, peer in asked], [False] * 2 + [True] * IDLE_MAX)

    def test_read_size(self) -> None:
        """It reads much at a time."""
        self.start().addErrback(lambda _: None)
        peer = self.accept()
        self.assertEqual(vars(peer.transport)["bufferSize"], READ_SIZE)
        peer.close()


class HeadTests(ContentCase):
    """What comes before the content."""

    def test_in_bits(self) -> None:
        """The head may come byte by byte, and the content with its end."""
        done = self.start()
        peer = self.accept()
        head = b"HTTP/1.1 206 X\r\ncontent-RANGE:bytes 4-7/20\r\nContent-Length:  4 \r\n\r\n"
        for byte in head[:-1]:
            peer.send(bytes([byte]))
            self.assertIsNone(self.taken.span)
        peer.send(head[-1:] + b"abc")
        self.assertEqual((self.taken.span, self.taken.data), ((4, 8), b"abc"))
        peer.send(b"d")
        self.successResultOf(done)

    def test_announced(self) -> None:
        """An answer that only says that there will be one is passed over."""
        done = self.start()
        peer = self.accept()
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nX: y\r\n\r\n")
        self.get(peer)
        self.successResultOf(done)

    def assert_broken_off(self, *data: bytes) -> str:
        """Why an answer is given up as soon as the last of this has come."""
        done = self.start()
        peer = self.accept()
        for some in data:
            self.assertNoResult(done)
            peer.send(some)
        self.assertFalse(peer.is_open)
        self.reactor.advance(0)
        return str(self.failureResultOf(done, Unavailable).value)

    def test_without_end(self) -> None:
        """Heads without end are read no further, nor are announcements."""
        line = b"X: " + b"x" * 995 + b"\r\n"
        for first, again in [
            (b"HTTP/1.1 206 X\r\n", line),
            (b"", b"HTTP/1.1 102 X\r\n" + line + b"\r\n"),
        ]:
            times = HEAD_MAX // len(again)
            told = self.assert_broken_off(first, *[again] * times, again + again)
            self.assertIn(f"headers of more than {HEAD_MAX} bytes", told)

    def test_no_http(self) -> None:
        """What isn't HTTP is given up at once."""
        for nonsense in (b"SSH-2.0-x\r\n\r\n", b"HTTP/2 200\r\n\r\n", b"\r\n\r\n"):
            self.assertIn("no HTTP", self.assert_broken_off(nonsense))

    def test_two_lengths(self) -> None:
        """An answer with two lengths could be read in two ways."""
        head = b"HTTP/1.1 206 X\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n"
        self.assertIn("two lengths", self.assert_broken_off(head))

    def test_no_length(self) -> None:
        """Content without a length is not taken, whatever it has instead; that is said."""
        for header in ("X: y", "Content-Length: -4", "Content-Length: 4\r\nTransfer-Encoding: x"):
            done = self.start()
            peer = self.accept()
            self.begin(peer, header)
            self.assertIn("doesn't say how long", self.unavailable(done))
            self.assertFalse(peer.is_open)
            self.reactor.advance(0)

    def test_gone(self) -> None:
        """A holder that closes before its answer is said to have done so."""
        done = self.start()
        self.accept().close()
        self.assertIn("the connection was closed", self.unavailable(done))


class AddressTests(ContentCase):
    """Where a request goes."""

    def test_port_of_http(self) -> None:
        """The Host header has no port 80: so signatures have it."""
        done = self.call(self.client.stream("10.0.0.3:80", ID, PIECES, 1, 1, self.taken, SILENCE))
        peer = self.accept()
        self.assertEqual(peer.asked().headers["host"], "10.0.0.3")
        self.get(peer)
        self.successResultOf(done)

    def test_no_location(self) -> None:
        """What would end the line in a request is sent to nobody."""
        for location in ("10.0.0.3:80\r\nX: y", "10.0.0.3 x", ""):
            self.unavailable(
                self.call(self.client.stream(location, ID, PIECES, 1, 1, self.taken, SILENCE))
            )
        self.assertEqual(self.made, 0)


class PauseTests(ContentCase):
    """Content that is held back."""

    def test_pause(self) -> None:
        """The connection is not read for as long as the sink says."""
        self.patch(self.taken, "received", lambda data: 3.0)
        done = self.start()
        peer = self.accept()
        self.begin(peer, "Content-Length: 4")
        peer.send(b"ab")
        self.assertEqual(peer.transport.producerState, "paused")
        self.reactor.advance(3)
        self.assertEqual(peer.transport.producerState, "producing")
        peer.send(b"cd")
        self.successResultOf(done)
