"""Tests of requests for content that are sent behind the one whose answer is coming."""

from collections.abc import Sequence

from twisted.internet.defer import Deferred

from p2ptwisted.errors import Unavailable
from p2ptwisted.test.client.client_case import ID, NODE, PIECES, ClientCase, Taken
from p2ptwisted.test.node_fakes import Peer, work

HEAD = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 4-7/20\r\nContent-Length: 4\r\n"


class PipelinedTests(ClientCase):
    """Two requests to one holder."""

    def setUp(self) -> None:
        super().setUp()
        self.taken = [Taken(), Taken(), Taken()]

    def start(self, number: int, id: str = ID) -> Deferred[None]:
        done = self.call(self.client.stream(NODE, id, PIECES, 0b10, 1, self.taken[number], 10.0))
        work(self.reactor, 5)
        return done

    def both(self) -> tuple[Peer, Deferred[None], Deferred[None]]:
        """Two requests, of which the first one's answer is coming."""
        first = self.start(0)
        peer = self.accept()
        peer.asked()
        peer.send(HEAD + b"\r\nab")
        second = self.start(1)
        self.assertEqual(self.made, 1)
        self.assertTrue(peer.asked().line.startswith("POST"))
        return peer, first, second

    def stop(self, calls: Sequence[Deferred[None]]) -> None:
        for call in calls:
            call.cancel()
            self.failureResultOf(call)

    @property
    def made(self) -> int:
        """How many connections were made."""
        return len(self.reactor.tcpClients)

    def test_in_order(self) -> None:
        """The second is answered behind the first, wherever the bytes between them are cut."""
        rest = b"cd" + HEAD + b"\r\nefgh"
        for at in (0, 1, 2, 3, 20, len(rest) - 4, len(rest) - 1):
            self.setUp()
            peer, first, second = self.both()
            peer.send(rest[:at])
            peer.send(rest[at:])
            self.successResultOf(first)
            self.successResultOf(second)
            self.assertEqual([taken.data for taken in self.taken], [b"abcd", b"efgh", b""])
            # And it serves again.
            third = self.start(2)
            self.assertEqual(self.made, 1)
            peer.send(HEAD + b"\r\nijkl")
            self.successResultOf(third)

    def test_no_more_than_one(self) -> None:
        """A third request does not wait for two answers."""
        calls = [*self.both()[1:], self.start(2)]
        self.assertEqual(self.made, 2)
        self.stop(calls)

    def test_nothing_came_yet(self) -> None:
        """While it isn't known when the first is answered, the second is sent on its own."""
        first = self.start(0)
        self.accept()
        second = self.start(1)
        self.assertEqual(self.made, 2)
        self.stop([first, second])

    def test_other_content(self) -> None:
        """What is asked of another resource does not wait for this one's."""
        first = self.start(0)
        self.accept().send(HEAD + b"\r\nab")
        second = self.start(1, "another")
        self.assertEqual(self.made, 2)
        self.stop([first, second])

    def test_closed_before_its_turn(self) -> None:
        """It is sent again where the connection ends with the first answer, or in it."""
        for how in ("break off", "say so", "end"):
            self.setUp()
            if how == "say so":
                first = self.start(0)
                peer = self.accept()
                peer.send(HEAD + b"Connection: close\r\n\r\nab")
                second = self.start(1)
            else:
                peer, first, second = self.both()
            if how == "break off":
                peer.break_off()
                self.failureResultOf(first, Unavailable)
            else:
                peer.send(b"cd")
                self.successResultOf(first)
            if how == "end":
                peer.close()
            self.assertEqual(self.made, 2)
            self.accept().send(HEAD + b"\r\nefgh")
            self.successResultOf(second)
            self.assertEqual(self.taken[1].data, b"efgh")

    def test_first_cancelled(self) -> None:
        """It is sent again where we end the first ourselves."""
        _, first, second = self.both()
        first.cancel()
        work(self.reactor, 5)
        self.assertEqual(self.made, 2)
        self.accept().send(HEAD + b"\r\nefgh")
        self.successResultOf(second)
        self.failureResultOf(first)

    def test_second_cancelled(self) -> None:
        """The first goes on; the connection is closed behind it."""
        peer, first, second = self.both()
        second.cancel()
        self.failureResultOf(second)
        peer.send(b"cd" + HEAD)
        self.successResultOf(first)
        self.assertEqual(self.taken[0].data, b"abcd")
        work(self.reactor, 5)
        self.assertFalse(peer.is_open)
        third = self.start(2)
        self.assertEqual(self.made, 2)
        self.stop([third])
