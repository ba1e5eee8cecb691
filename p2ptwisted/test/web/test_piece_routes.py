"""Tests of `p2ptwisted.web.node_routes`: pieces, and what is said of them."""

import json
from typing import Any, ClassVar

import msgspec
from twisted.internet.defer import Deferred

from p2ptwisted.errors import Busy, InvalidInput, Unavailable, UnknownResource
from p2ptwisted.interfaces import Asker
from p2ptwisted.model import ResourceInfo, Wanted
from p2ptwisted.pieces import MIB, PIECE_MIN, PIECES_MAX, Pieces, every_piece
from p2ptwisted.test.node_fakes import Connection, exchange, work
from p2ptwisted.test.web.node_case import HERE, THERE, NodeApiCase
from p2ptwisted.web.node_routes import NEWS_WAIT_MAX
from p2ptwisted.web.server.site import LimitedSite


class PiecesCase(NodeApiCase):
    """A resource of three pieces."""

    content = bytes(MIB) + b"x" * MIB + b"end"

    def setUp(self) -> None:
        super().setUp()
        self.file(HERE, self.content)
        self.digests = [bytes([number]) * 32 for number in range(3)]
        self.node.cut[HERE] = Pieces(len(self.content), b"".join(self.digests)), 0b111
        self.node.here[HERE] = ResourceInfo(HERE, "sub/here", len(self.content))

    def manifest(self, **changed: object) -> dict[str, object]:
        return {
            "id": HERE,
            "size": 2 * MIB + 3,
            "piece_size": MIB,
            "digests": [digest.hex() for digest in self.digests],
            "have": None,
        } | changed

    def want(self, want: str) -> bytes:
        return json.dumps({"want": want}).encode()


class PiecesTests(PiecesCase):
    """`/node/resources/<id>/pieces`."""

    def test_manifest(self) -> None:
        """How a resource is cut: its size, the size of its pieces, and each one's digest."""
        self.gives(f"/node/resources/{HERE}/pieces", self.manifest(), "pieces")
        self.gives(f"/node/resources/{HERE.upper()}/pieces", self.manifest(), "pieces")

    def test_part(self) -> None:
        """Where only a part is here, the set of the pieces that are, in hexadecimal."""
        pieces, _ = self.node.cut[HERE]
        for have, told in [(0b101, "5"), (0, "0")]:
            self.node.cut[HERE] = pieces, have
            self.gives(f"/node/resources/{HERE}/pieces", self.manifest(have=told), "pieces")

    def test_empty(self) -> None:
        """An empty resource has no pieces, and all of them are here."""
        self.node.cut[HERE] = Pieces(0, b""), every_piece(0)
        self.gives(
            f"/node/resources/{HERE}/pieces",
            self.manifest(size=0, piece_size=PIECE_MIN, digests=[]),
            "pieces",
        )

    def test_not_here(self) -> None:
        """What is not here is a 404, wherever else it is: nobody is sent on."""
        self.refuses(f"/node/resources/{THERE}/pieces", 404, THERE)
        self.refuses("/node/resources/a,b/pieces", 400, "is not a resource id")

    def test_some(self) -> None:
        """The pieces that the node chose: 206, and which bytes they are."""
        for start, stop in [(0, MIB), (MIB, 2 * MIB + 3), (2 * MIB, 2 * MIB + 3)]:
            self.node.run = start, stop
            answer = self.ask(f"/node/resources/{HERE}/pieces", "POST", self.want("7"))
            self.assertEqual((answer.code, answer.text_), (206, self.content[start:stop]))
            self.assertEqual(
                answer.told["content-range"], f"bytes {start}-{stop - 1}/{2 * MIB + 3}"
            )
        self.assertTrue(all(file.closed for file in self.node.opened))
        self.assertEqual({upload.ends for upload in self.node.uploads}, {1})

    def test_who_wants_what(self) -> None:
        """The node is told which resource, which pieces, and who wants them."""
        self.node.run = 0, 3
        root = self.api().root()
        path = f"/node/resources/{HERE.upper()}/pieces"
        answer = exchange(root, self.clock, "POST", path, body=self.want("5"), host="10.0.0.2")
        self.assertEqual(answer.status, 206)
        self.assertEqual(self.node.wanted, [(HERE, Wanted("5"), Asker("10.0.0.2"))])

    def test_wanted(self) -> None:
        """It may say how many pieces it takes at once, and where it is itself."""
        self.node.run = 0, 3
        wanted = {"want": "7", "most": 2, "location": "10.0.0.2:8000", "what may come": 1}
        root, path = self.api().root(), f"/node/resources/{HERE}/pieces"
        body = json.dumps(wanted).encode()
        exchange(root, self.clock, "POST", path, body=body, host="10.0.0.2")
        ((_, wants, asker),) = self.node.wanted
        self.assertEqual(wants, Wanted("7", 2, "10.0.0.2:8000"))
        self.assertEqual(asker, Asker("10.0.0.2", "10.0.0.2:8000"))

    def test_state_with_pieces(self) -> None:
        """The head of the pieces says what is here by now, and who else fetches it."""
        self.node.run = 0, 3
        pieces, _ = self.node.cut[HERE]
        for have, told in ((0b111, "all"), (0b101, "BQ==")):
            self.node.cut[HERE] = pieces, have
            self.node.neighbors = [f"10.0.0.{number}:1" for number in range(have.bit_count())]
            answer = self.ask(f"/node/resources/{HERE}/pieces", "POST", self.want("7"))
            self.assertEqual(answer.told["pieces-have"], told)
            self.assertEqual(answer.told["pieces-neighbors"], ", ".join(self.node.neighbors))

    def test_problems(self) -> None:
        """A set that is none is a 400, none of them here a 404, too many uploads a 503."""
        for problem, status in [
            (InvalidInput("there are only 3 pieces"), 400),
            (UnknownResource("none of these is here"), 404),
            (Unavailable("64 uploads are under way"), 503),
        ]:
            self.node.problem = problem
            answer = self.refuses(
                f"/node/resources/{HERE}/pieces",
                status,
                str(problem),
                method="POST",
                body=self.want("8"),
            )
            self.assertEqual(answer.told.get("retry-after"), "1" if status == 503 else None)

    def test_bad_bodies(self) -> None:
        """A body that says nothing, or too much, is a 400 that says what it lacks."""
        for body, word in [
            (b"", "not JSON"),
            (b"{}", "want"),
            (b"[]", "object"),
            (b'{"want": 7}', "want"),
            (b'{"want": "7", "most": 0}', "most"),
            (b'{"want": "7", "most": 1.5}', "most"),
            (b'{"want": "7", "location": 5}', "location"),
            (b'{"want": "' + b"0" * 65_537 + b'"}', "want"),
        ]:
            self.refuses(f"/node/resources/{HERE}/pieces", 400, word, method="POST", body=body)
        self.assertEqual(self.node.wanted, [])


class CompactTests(PiecesCase):
    """The same, as nodes ask each other."""

    PATH = f"/node/resources/{HERE}/pieces"
    ACCEPT: ClassVar = {"accept": "application/msgpack, application/json"}

    def compact(self, *tags: str) -> Any:
        """The answer to somebody who reads the compact form, and knows what has these tags."""
        headers = dict(self.ACCEPT)
        if tags:
            headers["if-none-match"] = ", ".join(f'"{tag}"' for tag in tags)
        return self.ask(self.PATH, headers=headers)

    def test_manifest(self) -> None:
        """The digests are bytes; the head says what they are the digests of, and what is here."""
        answer = self.compact()
        manifest = msgspec.msgpack.decode(answer.text_)
        pieces, _ = self.node.cut[HERE]
        self.assertEqual(
            manifest, {"size": 2 * MIB + 3, "piece_size": MIB, "digests": pieces.digests}
        )
        self.assertEqual(answer.code, 200)
        told = {name: answer.told.get(name) for name in ("content-type", "etag", "vary")}
        self.assertEqual(
            told,
            {
                "content-type": "application/msgpack",
                "etag": f'"{pieces.tag}"',
                "vary": "accept",
            },
        )
        self.assertEqual(answer.told["pieces-have"], "all")
        self.assertNotIn("pieces-neighbors", answer.told)

    def test_part(self) -> None:
        """Where only a part is here, the head says which pieces, and who else fetches it."""
        pieces, _ = self.node.cut[HERE]
        self.node.cut[HERE] = pieces, 0b101
        self.node.neighbors = ["10.0.0.3:8000", "10.0.0.4:8000"]
        answer = self.compact()
        self.assertEqual(answer.told["pieces-have"], "BQ==")
        self.assertEqual(answer.told["pieces-neighbors"], "10.0.0.3:8000, 10.0.0.4:8000")

    def test_not_changed(self) -> None:
        """Whoever knows the digests, among others, is told in the head alone what is here."""
        pieces, _ = self.node.cut[HERE]
        self.node.cut[HERE] = pieces, 0b1
        for tags in ([pieces.tag], ["x" * 32, pieces.tag], [pieces.tag, *["y" * 32] * 15]):
            answer = self.compact(*tags)
            self.assertEqual((answer.code, answer.text_), (304, b""))
            self.assertEqual(answer.told["etag"], f'"{pieces.tag}"')
            self.assertEqual(answer.told["pieces-have"], "AQ==")
            self.assertNotIn("content-type", answer.told)

    def test_other_conditions(self) -> None:
        """Weak tags, any tag, and If-Match mean what they do of the content."""
        pieces, _ = self.node.cut[HERE]
        for name, value, status in (
            ("if-none-match", f'"x", W/"{pieces.tag}"', 304),
            ("if-none-match", "*", 304),
            ("if-match", f'"x", "{pieces.tag}"', 200),
            ("if-match", f'W/"{pieces.tag}"', 412),
        ):
            answer = self.ask(self.PATH, headers={**self.ACCEPT, name: value})
            self.assertEqual(answer.code, status, value)
            self.assertEqual(answer.told["etag"], f'"{pieces.tag}"')

    def test_changed(self) -> None:
        """Whoever knows other digests gets these; so does who knows none, or writes nonsense."""
        pieces, _ = self.node.cut[HERE]
        for tags in (["x" * 32], [pieces.tag[:-1]], [""]):
            self.assertEqual(self.compact(*tags).code, 200)
        for nonsense in (pieces.tag, '"', "\xe9", "W/", f'W/"{pieces.tag}"', ","):
            headers = {**self.ACCEPT, "if-none-match": nonsense}
            root = self.api().root()
            answer = exchange(root, self.clock, "GET", self.PATH, headers)
            self.assertIn(answer.status, (200, 304), nonsense)

    def test_json(self) -> None:
        """Everybody else gets JSON as before, whatever he knows; only the head says more."""
        pieces, _ = self.node.cut[HERE]
        for headers in (
            {},
            {"accept": "*/*"},
            {"accept": "application/json"},
            {"accept": "nonsense;;q=x"},
            {"accept": "*/*", "if-none-match": f'"{pieces.tag}"'},
        ):
            answer = self.ask(self.PATH, headers=headers)
            self.assertEqual(answer.code, 200)
            self.assertEqual(
                json.loads(answer.text_), {"data": self.manifest(), "entity": "pieces"}
            )
            self.assertEqual(answer.told["content-type"], "application/json")
            self.assertEqual(answer.told["pieces-have"], "all")
            self.assertNotIn("pieces-neighbors", answer.told)

    def test_not_here(self) -> None:
        """What is not here is an error in JSON, for all."""
        answer = self.ask(f"/node/resources/{THERE}/pieces", headers=self.ACCEPT)
        self.assertEqual(answer.code, 404)
        self.assertEqual(answer.told["content-type"], "application/json")

    def test_busy(self) -> None:
        """Where enough manifests are being sent, the answer names others; a 304 is sent still."""
        self.node.problem = Busy("enough are being sent", ["10.0.0.3:8000"])
        self.node.neighbors = ["10.0.0.3:8000"]
        answer = self.compact()
        self.assertEqual(answer.code, 503)
        self.assertEqual(answer.told["pieces-neighbors"], "10.0.0.3:8000")
        self.assertEqual(json.loads(answer.text_)["description"], "enough are being sent")
        pieces, _ = self.node.cut[HERE]
        self.assertEqual(self.compact(pieces.tag).code, 304)

    def test_slow(self) -> None:
        """A manifest is being sent until the client has taken it, or has gone."""
        for ends in (True, False):
            connection = Connection(LimitedSite(self.api().root(), 1_000, self.clock), self.clock)
            connection.transport.is_narrow = True
            connection.ask("GET", self.PATH, headers=self.ACCEPT)
            work(self.clock)
            self.assertEqual(self.node.manifests, 1)
            if ends:
                connection.flow()
                work(self.clock)
                self.assertEqual(connection.take().status, 200)
            else:
                connection.vanish()
                work(self.clock)
            self.assertEqual(self.node.manifests, 0)

    def test_head(self) -> None:
        """HEAD says what GET would, and sends nothing."""
        self.assertEqual(self.ask(self.PATH, "HEAD", headers=self.ACCEPT).text_, b"")


class NewsTests(PiecesCase):
    """Waiting for news, and saying who asks."""

    PATH = f"/node/resources/{HERE}/pieces"

    def test_asker(self) -> None:
        """The node is told who asks, and where it says that it can be fetched from."""
        root = self.api().root()
        for query, location in (("", None), ("?location=10.0.0.2:80", "10.0.0.2:80")):
            exchange(root, self.clock, "GET", self.PATH + query, host="10.0.0.2")
            self.assertEqual(self.node.askers.pop(), (HERE, Asker("10.0.0.2", location)))

    def test_wait(self) -> None:
        """What is said is what is here when the wait is over."""
        self.node.coming = Deferred()
        root = self.api().root()
        connection = Connection(LimitedSite(root, 1_000, self.clock), self.clock)
        connection.ask("GET", f"{self.PATH}?since=3&wait=10")
        work(self.clock)
        self.assertEqual(connection.received(), b"")
        self.assertEqual(self.node.waits, [(HERE, 3, 10, False)])
        pieces, _ = self.node.cut[HERE]
        self.node.cut[HERE] = pieces, 0b11
        self.node.coming.callback(None)
        work(self.clock)
        answer = connection.take("GET")
        self.assertEqual(answer.headers["pieces-have"], "Aw==")
        connection.vanish()

    def test_gone(self) -> None:
        """Whoever goes away while he waits is not waited for."""
        coming = self.node.coming = Deferred()
        connection = Connection(LimitedSite(self.api().root(), 1_000, self.clock), self.clock)
        connection.ask("GET", f"{self.PATH}?since=3&wait=10")
        work(self.clock)
        connection.vanish()
        work(self.clock)
        self.assertTrue(coming.called)
        self.assertEqual(self.node.askers, [])

    def test_no_wait(self) -> None:
        """Who doesn't say how long he waits is answered at once."""
        for query in ("", "?since=3", "?wait=0", "?since=3&wait=0"):
            self.ask(self.PATH + query)
        self.assertEqual(self.node.waits, [])
        self.ask(f"{self.PATH}?wait=5")
        self.assertEqual(set(self.node.waits), {(HERE, 0, 5, False)})

    def test_tag(self) -> None:
        """Who names the tag of a manifest has one, and waits for pieces."""
        self.ask(f"{self.PATH}?wait=5", headers={"if-none-match": '"x"'})
        self.assertEqual(set(self.node.waits), {(HERE, 0, 5, True)})

    def test_bad_values(self) -> None:
        """What is no whole number that can be is a 400 that says which it was."""
        for name, value in [
            ("wait", "x"),
            ("wait", ""),
            ("wait", "-1"),
            ("wait", "1.5"),
            ("wait", "1e1"),
            ("wait", "%D9%A3"),
            ("wait", f"{NEWS_WAIT_MAX + 1}"),
            ("wait", "9" * 5_000),
            ("wait", "3&wait=3"),
            ("wait", "5&since=-1"),
            ("wait", f"5&since={PIECES_MAX + 1}"),
            ("location", "1&location=2"),
            ("location", "%FF"),
        ]:
            self.refuses(f"{self.PATH}?{name}={value}", 400)
        self.assertEqual((self.node.waits, self.node.askers), ([], []))
