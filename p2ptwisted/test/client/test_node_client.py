"""Tests of `p2ptwisted.client.node_client`: pieces, and what a holder says of them."""

import json
from typing import cast

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import TimeoutError

from p2ptwisted.client.api import Client, make_client
from p2ptwisted.client.transport import CALL_TIMEOUT, IClientReactor, Refused
from p2ptwisted.errors import Busy, Nonsense
from p2ptwisted.model import NEIGHBORS_TOLD_MAX, CompactManifest
from p2ptwisted.pieces import PIECE_MIN, HolderState, Pieces, pack_set
from p2ptwisted.support import address_policy
from p2ptwisted.test.client.client_case import BAD_LOCATIONS, ID, NODE, PIECES, ClientCase, Taken
from p2ptwisted.test.node_fakes import Peer

OWN, OTHER = "10.0.0.9:8000", "10.0.0.4:8000"

#: The resource, cut otherwise.
OTHERWISE = Pieces(3 * PIECE_MIN + 1, b"\xcd" * 2 * 32)


class NodeClientCase(ClientCase):
    """A client, of a node or of none."""

    def make_node(self) -> Client:
        """The client of a node that has a location."""
        return make_client(
            cast(IClientReactor, self.reactor),
            own_location=lambda host: OWN if host == "10.0.0.3" else None,
        )


class ManifestTests(NodeClientCase):
    """What a holder says of a resource's pieces in JSON, as all nodes can."""

    def ask(self, body: object, status: str = "200 OK") -> Deferred[HolderState]:
        """Ask, and have this answered."""
        asked = self.call(self.client.pieces(NODE, ID))
        peer = self.accept()
        self.assertEqual(peer.asked().line, f"GET /api/node/resources/{ID}/pieces HTTP/1.1")
        peer.answer(status, json.dumps(body).encode(), "Connection: close")
        return asked

    def manifest(self, **changes: object) -> dict[str, object]:
        """Of a resource of two pieces, in an envelope, as earlier versions cut them."""
        size = 1024 * 1024 + 1
        whole = {"id": ID, "size": size, "piece_size": 1024 * 1024, "digests": ["ab" * 32] * 2}
        return {"data": {**whole, "have": None, **changes}, "entity": "pieces"}

    def test_whole(self) -> None:
        """A holder of all pieces says nothing of them."""
        pieces, has, neighbors = self.successResultOf(self.ask(self.manifest()))
        self.assertEqual((pieces.count, pieces.length, has), (2, 1024 * 1024, 0b11))
        self.assertEqual(pieces.digest(1), b"\xab" * 32)
        self.assertEqual(list(neighbors), [])

    def test_part(self) -> None:
        """A holder of a part says which pieces it has."""
        state = self.successResultOf(self.ask(self.manifest(have="2")))
        self.assertEqual(state.have, 0b10)

    def test_nonsense(self) -> None:
        """What makes no sense is an answer that can't be used, and nothing worse."""
        bodies: list[object] = [
            "garbage",
            [],
            {"data": {}},
            self.manifest(size=5),
            self.manifest(size=-1),
            self.manifest(size=2**63 - 1),
            self.manifest(digests=["ab" * 32] * 4),
            self.manifest(digests=["xy" * 32] * 2),
            self.manifest(digests=[]),
            self.manifest(have="4"),
            self.manifest(have="-1"),
            self.manifest(have="no"),
        ]
        for body in bodies:
            self.failureResultOf(self.ask(body), Nonsense)

    def test_elsewhere(self) -> None:
        """A redirect is not followed: only who has it can say what it has."""
        failure = self.failureResultOf(self.ask({"description": "no"}, "302 Found"), Refused)
        self.assertEqual(failure.value.status, 302)

    def test_not_here(self) -> None:
        """A node of ours that hasn't got it says so, and says how it is when it is asked."""
        asked = self.ask({"description": "no"}, "404 Not Found")
        peer = self.accept()
        self.assertEqual(peer.asked().line, "GET /api/node/health HTTP/1.1")
        peer.answer("200 OK", b'{"data": {}}', "Connection: close")
        self.assertEqual(self.failureResultOf(asked, Refused).value.status, 404)


class CompactTests(NodeClientCase):
    """What nodes say of it to each other."""

    def start(
        self, known: tuple[Pieces, ...] = (), since: int = 0, wait: float = 0.0
    ) -> Deferred[HolderState]:
        return self.call(self.client.pieces(NODE, ID, known, since, wait))

    def answered(self, body: bytes, *headers: str) -> Deferred[HolderState]:
        """Ask, and have this answered compactly."""
        asked = self.start()
        told = ("Content-Type: application/msgpack", "Connection: close", *headers)
        self.accept().answer("200 OK", body, *told)
        return asked

    def compact(self, pieces: Pieces = PIECES) -> bytes:
        return msgspec.msgpack.encode(CompactManifest(pieces.size, pieces.length, pieces.digests))

    def not_changed(
        self, *headers: str, known: tuple[Pieces, ...] = (PIECES,)
    ) -> Deferred[HolderState]:
        """Ask, and have it answered that nothing has changed."""
        asked = self.start(known)
        self.accept().answer("304 Not Modified", b"", "Connection: close", *headers)
        return asked

    def test_asked(self) -> None:
        """It says that it reads both forms, and of which pieces it knows the digests."""
        for known in ((), (PIECES,), (PIECES, OTHERWISE)):
            asked = self.start(known)
            question = self.accept().asked()
            self.assertEqual(question.line, f"GET /api/node/resources/{ID}/pieces HTTP/1.1")
            self.assertEqual(question.headers["accept"], "application/msgpack, application/json")
            tags = ", ".join(f'"{pieces.tag}"' for pieces in known)
            self.assertEqual(question.headers.get("if-none-match", ""), tags)
            asked.cancel()
            self.failureResultOf(asked, CancelledError)

    def test_wait(self) -> None:
        """It says how long it waits for news, and waits so much longer itself."""
        asked = self.start((PIECES,), 3, 10.0)
        peer = self.accept()
        line = f"GET /api/node/resources/{ID}/pieces?since=3&wait=10 HTTP/1.1"
        self.assertEqual(peer.asked().line, line)
        self.reactor.advance(CALL_TIMEOUT + 9.9)
        self.assertNoResult(asked)
        self.reactor.advance(0.2)
        self.unavailable(asked)
        self.assertFalse(peer.is_open)

    def test_own_location(self) -> None:
        """A node says where it is, as the other can reach it."""
        self.client = self.make_node()
        asked = self.start((), 0, 1.0)
        line = f"GET /api/node/resources/{ID}/pieces?since=0&wait=1&location={OWN} HTTP/1.1"
        self.assertEqual(self.accept().asked().line, line)
        asked.cancel()
        self.failureResultOf(asked, CancelledError)

    def test_whole(self) -> None:
        """A holder of everything says so in a word."""
        state = self.successResultOf(self.answered(self.compact(), "Pieces-Have: all"))
        self.assertEqual(state, HolderState(PIECES, 0b1111, []))

    def test_part(self) -> None:
        """A holder of a part says which pieces it has; one of nothing says nothing."""
        for has in (0b101, 0b1000, 0):
            state = self.successResultOf(
                self.answered(self.compact(), f"Pieces-Have: {pack_set(has)}")
            )
            self.assertEqual(state, HolderState(PIECES, has, []))

    def test_same_object(self) -> None:
        """The same manifest of several holders is kept once."""
        first, second = (
            self.successResultOf(self.answered(self.compact(), "Pieces-Have: all"))
            for _ in range(2)
        )
        self.assertIs(first.pieces, second.pieces)

    def test_referred(self) -> None:
        """Who is too busy to send the manifest and names others is Busy; who names none refuses."""
        for named, error in ((OTHER, Busy), ("", Refused), (BAD_LOCATIONS[0], Refused)):
            asked = self.start()
            self.accept().answer(
                "503 Service Unavailable",
                b'{"description": "others have it"}',
                "Connection: close",
                f"Pieces-Neighbors: {named}",
            )
            failure = self.failureResultOf(asked, error)
            self.assertEqual(str(failure.value), "others have it")
            if error is Busy:
                self.assertEqual(failure.value.neighbors, [OTHER])

    def test_not_changed(self) -> None:
        """Of what is known, only which pieces it has is said."""
        state = self.successResultOf(
            self.not_changed(
                f'ETag: "{OTHERWISE.tag}"', "Pieces-Have: AQ==", known=(PIECES, OTHERWISE)
            )
        )
        self.assertEqual(state, HolderState(OTHERWISE, 0b1, []))

    def test_not_changed_of_what(self) -> None:
        """That something is unchanged which is not known makes no sense."""
        for tag in ("", f'ETag: "{OTHERWISE.tag}"', f"ETag: {PIECES.tag}", "ETag: *"):
            self.failureResultOf(
                self.not_changed(*filter(None, [tag]), "Pieces-Have: all"), Nonsense
            )

    def test_not_changed_unasked(self) -> None:
        """Who was not asked on that condition can't say that nothing has changed."""
        refused = self.failureResultOf(self.not_changed("Pieces-Have: all", known=()), Refused)
        self.assertEqual(refused.value.status, 304)
        well = self.call(self.client.is_well(NODE))
        self.accept().answer("304 Not Modified", b"", "Connection: close")
        self.assertFalse(self.successResultOf(well))

    def test_nonsense(self) -> None:
        """What makes no sense is an answer that can't be used, and nothing worse."""
        for body in (
            b"",
            b"garbage",
            b"\xc1",
            self.compact()[:-1],
            msgspec.msgpack.encode({"size": 5}),
            msgspec.msgpack.encode({"size": -1, "piece_size": 1, "digests": b""}),
            msgspec.msgpack.encode({"size": 5, "piece_size": 1, "digests": b"x" * 31}),
            msgspec.msgpack.encode({"size": 5, "piece_size": 1, "digests": b"x" * 64}),
            msgspec.msgpack.encode({"size": 2**63 - 1, "piece_size": 1, "digests": b"x" * 64}),
            msgspec.msgpack.encode({"size": 2**64 - 1, "piece_size": 1, "digests": b"x" * 64}),
            b"\x81" * 100_000,
        ):
            self.failureResultOf(self.answered(body, "Pieces-Have: all"), Nonsense)

    def test_nonsense_in_the_head(self) -> None:
        """So it is of a set that is none, or has other pieces than there are."""
        for have in ("nonsense!", "EA==", "=", "ALL", "A" * 5_000, "\xe9"):
            self.failureResultOf(self.answered(self.compact(), f"Pieces-Have: {have}"), Nonsense)
            self.failureResultOf(
                self.not_changed(f'ETag: "{PIECES.tag}"', f"Pieces-Have: {have}"), Nonsense
            )

    def test_endless(self) -> None:
        """Of a manifest no more is read than any resource's has."""
        asked = self.start()
        peer = self.accept()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n")
        for _ in range(9):
            if peer.is_open:
                peer.send(bytes(1024 * 1024))
        self.failureResultOf(asked, Nonsense)
        self.assertFalse(peer.is_open)


class NeighborsTests(NodeClientCase):
    """Whom a holder names as others that fetch the same."""

    def named(self, text: str, location: str = NODE) -> list[str]:
        """Who is taken of what a holder there names."""
        asked = self.call(self.client.pieces(location, ID, [PIECES]))
        self.accept().answer(
            "304 Not Modified",
            b"",
            "Connection: close",
            f'ETag: "{PIECES.tag}"',
            "Pieces-Have: all",
            f"Pieces-Neighbors: {text}",
        )
        return list(self.successResultOf(asked).neighbors)

    def test_named(self) -> None:
        """They are taken in the order in which they are named, with or without spaces."""
        self.assertEqual(self.named(f"{OTHER}, 10.0.0.5:1"), [OTHER, "10.0.0.5:1"])
        self.assertEqual(self.named(f"{OTHER},10.0.0.5:1"), [OTHER, "10.0.0.5:1"])
        self.assertEqual(self.named(""), [])

    def test_nonsense(self) -> None:
        """What is no location of one host is left out, for it would be called."""
        self.assertEqual(self.named(", ".join([*BAD_LOCATIONS, OTHER, "\xe9", ",,"])), [OTHER])

    def test_normal_form(self) -> None:
        """However a location is spelled, it is the same."""
        self.assertEqual(self.named("10.0.0.4:08000"), [OTHER])

    def test_most(self) -> None:
        """Of very many only the first are read."""
        many = [f"10.0.{number}.1:1" for number in range(5 * NEIGHBORS_TOLD_MAX)]
        self.assertEqual(self.named(", ".join(many)), many[:NEIGHBORS_TOLD_MAX])

    def test_itself(self) -> None:
        """A node that is named to itself doesn't take itself for a neighbor."""
        self.client = self.make_node()
        self.assertEqual(self.named(f"{OWN}, {OTHER}"), [OTHER])

    def test_loopback(self) -> None:
        """A node on loopback is believed only of one on this machine."""
        self.patch(address_policy, "is_own", lambda host: host == "10.0.0.7")
        self.assertEqual(self.named(f"127.0.0.1:8000, {OTHER}"), [OTHER])
        self.assertEqual(
            self.named(f"127.0.0.1:8000, {OTHER}", "10.0.0.7:1"), ["127.0.0.1:8000", OTHER]
        )


class StreamTests(NodeClientCase):
    """Pieces that a holder sends."""

    SILENCE = 10.0

    def setUp(self) -> None:
        super().setUp()
        self.taken = Taken()

    def start(self) -> Deferred[None]:
        return self.call(self.client.stream(NODE, ID, PIECES, 0b1010, 3, self.taken, self.SILENCE))

    def begin(self, peer: Peer, length: int, span: str = "bytes 4-7/20", *headers: str) -> None:
        lines = [f"Content-Length: {length}", f"Content-Range: {span}", *headers]
        peer.send("\r\n".join(["HTTP/1.1 206 X", *lines, "", ""]).encode())

    def test_sent(self) -> None:
        """It says what is wanted, and hands on what the holder has chosen, as it comes."""
        done = self.start()
        peer = self.accept()
        asked = peer.asked()
        self.assertEqual(asked.line, f"POST /api/node/resources/{ID}/pieces HTTP/1.1")
        self.assertEqual(json.loads(asked.body), {"want": "a", "most": 3, "location": None})
        self.begin(peer, 4)
        self.assertEqual(self.taken.span, (4, 8))
        peer.send(b"abc")
        self.assertEqual(self.taken.data, b"abc")
        self.assertNoResult(done)
        peer.send(b"d")
        self.successResultOf(done)
        self.assertTrue(peer.is_open)

    def test_own_location(self) -> None:
        """A node says where it is, for others may fetch from it."""
        self.client = self.make_node()
        done = self.start()
        self.assertEqual(json.loads(self.accept().asked().body)["location"], OWN)
        done.cancel()
        self.failureResultOf(done, CancelledError)

    def test_told(self) -> None:
        """What the holder has by now, and whom it names, is handed on before the pieces."""
        for have, has in ((pack_set(0b0111), 0b0111), ("all", 0b1111)):
            done = self.start()
            peer = self.accept()
            self.begin(
                peer,
                4,
                "bytes 4-7/20",
                f"Pieces-Have: {have}",
                f"Pieces-Neighbors: {OTHER}",
                "Connection: close",
            )
            self.assertEqual(self.taken.states.pop(), HolderState(PIECES, has, [OTHER]))
            peer.send(b"abcd")
            self.successResultOf(done)

    def test_not_told(self) -> None:
        """An older holder, which says nothing of that, sends its pieces all the same."""
        done = self.start()
        peer = self.accept()
        self.begin(peer, 4)
        peer.send(b"abcd")
        self.successResultOf(done)
        self.assertEqual(self.taken.states, [])

    def test_told_nonsense(self) -> None:
        """Whoever says what makes no sense is not listened to, and its connection closed."""
        for have in ("nonsense!", "____", "=", "A" * 5_000):
            done = self.start()
            peer = self.accept()
            self.begin(peer, 4_000_000, "bytes 4-7/20", f"Pieces-Have: {have}")
            self.failureResultOf(done, Nonsense)
            self.assertFalse(peer.is_open, have)
            self.assertIsNone(self.taken.span)
            self.reactor.advance(0)

    def test_connecting(self) -> None:
        """A host that does not answer is given 2 s to be connected to."""
        done = self.start()
        self.assertEqual(self.reactor.tcpClients[-1][3], 2.0)
        self.fail_to_connect(TimeoutError())
        self.unavailable(done)

    def test_unwanted(self) -> None:
        """A range that was not asked for is not read, and its connection closed."""
        self.taken.takes = False
        for span in ("bytes 4-7/20", "bytes */20", "bytes 7-4/20", "lines 1-2/3", "nonsense", ""):
            done = self.start()
            peer = self.accept()
            self.begin(peer, 4_000_000, span)
            self.assertIn("not asked for", self.unavailable(done))
            self.assertFalse(peer.is_open)
            self.reactor.advance(0)

    def test_length(self) -> None:
        """More bytes than the range has, or fewer, are an error."""
        for length, told in [(3, "broke off"), (5, "it sent more than was asked for")]:
            done = self.start()
            peer = self.accept()
            self.begin(peer, length)
            peer.send(bytes(length))
            self.assertIn(told, self.unavailable(done))
            if peer.is_open:
                peer.close()

    def test_broken_off(self) -> None:
        """A holder that vanishes in the middle is an error; what came was handed on."""
        done = self.start()
        peer = self.accept()
        self.begin(peer, 4)
        peer.send(b"ab")
        peer.break_off()
        self.assertIn("broke off", self.unavailable(done))
        self.assertEqual(self.taken.data, b"ab")

    def test_refused(self) -> None:
        """An error is told in the holder's words, and its connection can serve again."""
        for status in ("404 Not Found", "503 Service Unavailable", "302 Found", "200 OK"):
            done = self.start()
            peer = self.accept()
            body = json.dumps({"description": f"that is {status}"}).encode()
            peer.answer(status, body, "Retry-After: 1", "Connection: close")
            failure = self.failureResultOf(done, Refused)
            self.assertEqual(failure.value.status, int(status[:3]))
            self.assertEqual(str(failure.value), f"that is {status}")
            self.assertIsNone(self.taken.span)

    def test_silence(self) -> None:
        """A holder that falls silent is given up, before its answer and within it."""
        for begun in (False, True):
            done = self.start()
            peer = self.accept()
            if begun:
                self.begin(peer, 4)
                peer.send(b"ab")
            self.reactor.advance(self.SILENCE - 0.1)
            self.assertNoResult(done)
            self.reactor.advance(0.1)
            self.unavailable(done)
            self.assertFalse(peer.is_open)

    def test_cancelled(self) -> None:
        """Cancelled at any stage, it closes its connection."""
        for stage in range(4):
            done = self.start()
            if stage == 0:
                done.cancel()
                self.assertTrue(self.reactor.connectors[-1].stoppedConnecting)
            else:
                peer = self.accept()
                if stage == 2:
                    self.begin(peer, 4)
                    peer.send(b"ab")
                if stage == 3:
                    peer.send(b"HTTP/1.1 503 X\r\nContent-Length: 5\r\n\r\nhal")
                done.cancel()
                self.assertFalse(peer.is_open)
            self.failureResultOf(done, CancelledError)
            self.reactor.advance(0)
            self.assertEqual(self.reactor.getDelayedCalls(), [])
