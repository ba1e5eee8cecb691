"""
Tests of what the node's routes tell clients of other makers: digests and mirrors with content,
Metalink files and torrents.
"""

from base64 import b64decode
from typing import Any
from xml.etree import ElementTree

from zope.interface.verify import verifyObject

from p2ptwisted.errors import Unavailable
from p2ptwisted.interfaces import INode
from p2ptwisted.model import ResourceInfo
from p2ptwisted.pieces import PIECE_MIN, Pieces, every_piece
from p2ptwisted.test.node_fakes import Answer, exchange
from p2ptwisted.test.web.node_case import HERE, NOWHERE, THERE, NodeApiCase
from p2ptwisted.web.metalink import PIECES_TOLD
from p2ptwisted.web.torrent import bencode

OTHERS = ["10.0.0.3:8000", "10.0.0.4:8001"]
NAMESPACE = {"m": "urn:ietf:params:xml:ns:metalink"}


def content_at(location: str) -> str:
    return f"http://{location}/api/node/resources/{HERE}/content"


def bdecode(data: bytes) -> Any:
    """The value that some bytes stand for in BitTorrent's encoding."""
    value, rest = _decoded(data)
    assert not rest
    return value


def _decoded(data: bytes) -> tuple[Any, bytes]:
    kind, rest = data[:1], data[1:]
    if kind == b"i":
        number, _, rest = rest.partition(b"e")
        return int(number), rest
    if kind in b"ld":
        items = []
        while not rest.startswith(b"e"):
            item, rest = _decoded(rest)
            items.append(item)
        if kind == b"l":
            return items, rest[1:]
        keys = items[::2]
        assert keys == sorted(set(keys))
        return dict(zip(keys, items[1::2], strict=True)), rest[1:]
    length, _, rest = data.partition(b":")
    return rest[: int(length)], rest[int(length) :]


class OtherClientsCase(NodeApiCase):
    """A resource of three pieces that two other nodes have too."""

    def setUp(self) -> None:
        super().setUp()
        self.cut(3)
        self.node.others = OTHERS

    def cut(self, count: int) -> None:
        """The resource has so many pieces."""
        digests = b"".join(number.to_bytes(32, "big") for number in range(count))
        size = max(0, count * PIECE_MIN - 10)
        self.node.cut[HERE] = Pieces(size, digests), every_piece(count)
        self.node.here[HERE] = ResourceInfo(HERE, "sub/here", size)

    def exchange(self, method: str, rest: str, headers: dict[str, str] | None = None) -> Answer:
        """An answer as it comes over the connection; `rest` follows the id in the path."""
        path = f"/node/resources/{HERE}{rest}"
        return exchange(self.api().root(), self.clock, method, path, headers)


class HeaderTests(OtherClientsCase):
    """The head of an answer with content."""

    def setUp(self) -> None:
        super().setUp()
        self.file(HERE, b"bytes")

    def test_providers(self) -> None:
        """The node of these tests is what the routes ask for."""
        verifyObject(INode, self.node)

    def test_digests(self) -> None:
        """The digest of all of it is told in two forms, of which clients know one or the other."""
        for headers, status in (
            ({}, 200),
            ({"Range": "bytes=1-2"}, 206),
            ({"Range": "bytes=0-0,3-4"}, 206),
        ):
            answer = self.exchange("GET", "/content", headers)
            self.assertEqual(answer.status, status)
            name, _, value = answer.headers["digest"].partition("=")
            self.assertEqual((name, b64decode(value).hex()), ("SHA-256", HERE))
            self.assertEqual(answer.headers["repr-digest"], f"sha-256=:{value}:")

    def test_head(self) -> None:
        """So it is in the answer to HEAD."""
        answer = self.exchange("HEAD", "/content")
        self.assertIn("digest", answer.headers)
        self.assertIn("rel=duplicate", answer.headers["link"])

    def test_mirrors(self) -> None:
        """Others that have it are linked, in their order."""
        answer = self.ask(f"/node/resources/{HERE}/content")
        first, second = map(content_at, OTHERS)
        links = f"<{first}>; rel=duplicate; pri=1, <{second}>; rel=duplicate; pri=2"
        self.assertEqual(answer.told["link"], links)
        self.node.others = []
        self.assertNotIn("link", self.ask(f"/node/resources/{HERE}/content").told)

    def test_none(self) -> None:
        """Errors, redirects, and what says that nothing has changed, have no digest."""
        for path, headers, status in (
            (HERE, {"Range": "bytes=50-"}, 416),
            (HERE, {"If-Match": '"other"'}, 412),
            (HERE, {"If-None-Match": f'"{HERE}"'}, 304),
            (THERE, {}, 302),
            (NOWHERE, {}, 404),
        ):
            answer = self.ask(f"/node/resources/{path}/content", headers=headers)
            self.assertEqual(answer.code, status)
            self.assertEqual({"digest", "repr-digest", "link"} & set(answer.told), set())


class MetalinkTests(OtherClientsCase):
    """`/node/resources/<id>.meta4`."""

    def document(self) -> ElementTree.Element:
        answer = self.ask(f"/node/resources/{HERE}.meta4")
        self.assertEqual(answer.code, 200)
        self.assertEqual(answer.told["content-type"], "application/metalink4+xml")
        (file,) = ElementTree.fromstring(answer.text_).findall("m:file", NAMESPACE)
        return file

    def texts(self, path: str) -> list[str | None]:
        return [found.text for found in self.document().findall(path, NAMESPACE)]

    def test_file(self) -> None:
        """It has the file's name, its size, its digest, and where it is: here first."""
        self.assertEqual(self.document().get("name"), "here")
        self.assertEqual(self.texts("m:size"), [str(3 * PIECE_MIN - 10)])
        (digest,) = self.document().findall("m:hash", NAMESPACE)
        self.assertEqual((digest.get("type"), digest.text), ("sha-256", HERE))
        urls = self.document().findall("m:url", NAMESPACE)
        told = [(url.get("priority"), url.text) for url in urls]
        locations = [self.node.own, *OTHERS]
        wanted = [(str(place), content_at(one)) for place, one in enumerate(locations, 1)]
        self.assertEqual(told, wanted)

    def test_pieces(self) -> None:
        """It has the pieces' digests, in order."""
        (pieces,) = self.document().findall("m:pieces", NAMESPACE)
        self.assertEqual(pieces.attrib, {"length": str(PIECE_MIN), "type": "sha-256"})
        wanted = [number.to_bytes(32, "big").hex() for number in range(3)]
        self.assertEqual(self.texts("m:pieces/m:hash"), wanted)

    def test_number_of_pieces(self) -> None:
        """Where there are none, or very many, it has none of them."""
        for count, told in ((0, 0), (PIECES_TOLD, 1), (PIECES_TOLD + 1, 0)):
            self.cut(count)
            self.assertEqual(len(self.document().findall("m:pieces", NAMESPACE)), told)

    def test_name(self) -> None:
        """A name has any characters, and is none of XML's business."""
        for name in ("<a> & \"b\" 'c'", "ä €", "]]>"):
            self.node.here[HERE] = ResourceInfo(HERE, name, 5)
            self.assertEqual(self.document().get("name"), name)

    def test_saved_as(self) -> None:
        """`curl -OJ` saves it as the file's name with an extension."""
        answer = self.ask(f"/node/resources/{HERE}.meta4")
        self.assertIn('filename="here.meta4"', answer.told["content-disposition"])
        self.assertEqual(answer.told["x-content-type-options"], "nosniff")

    def test_length(self) -> None:
        """Files have a length, in the answer to HEAD too, which has nothing else."""
        for end in (".meta4", ".torrent"):
            answer, head = self.exchange("GET", end), self.exchange("HEAD", end)
            self.assertEqual(answer.headers["content-length"], str(len(answer.body)))
            self.assertEqual(head.headers["content-length"], str(len(answer.body)))
            self.assertEqual(head.body, b"")

    def test_elsewhere(self) -> None:
        """Where it isn't here, the client is sent to a holder; or told that nobody has it."""
        for end in ("meta4", "torrent"):
            answer = self.ask(f"/node/resources/{THERE}.{end}")
            self.assertEqual(answer.code, 302)
            self.assertEqual(
                answer.told["location"], f"http://10.0.0.3:8000/api/node/resources/{THERE}.{end}"
            )
            self.refuses(f"/node/resources/{NOWHERE}.{end}", 404, f"nobody has {NOWHERE}")

    def test_other_ids(self) -> None:
        """An id that isn't a file's may end like that."""
        for id in ("some.meta4", "some.torrent"):
            self.refuses(f"/node/resources/{id}", 404, f"nobody has {id}")


class TorrentTests(OtherClientsCase):
    """`/node/resources/<id>.torrent`."""

    def test_torrent(self) -> None:
        """It has the file's name and size, its pieces' SHA-1s, and its holders as web seeds."""
        answer = self.ask(f"/node/resources/{HERE}.torrent")
        self.assertEqual(answer.code, 200)
        self.assertEqual(answer.told["content-type"], "application/x-bittorrent")
        self.assertIn('filename="here.torrent"', answer.told["content-disposition"])
        torrent = bdecode(answer.text_)
        info = {
            b"length": 3 * PIECE_MIN - 10,
            b"name": b"here",
            b"piece length": PIECE_MIN,
            b"pieces": b"1" * 60,
            b"private": 1,
        }
        self.assertEqual(torrent[b"info"], info)
        urls = [content_at(one).encode() for one in (self.node.own, *OTHERS)]
        self.assertEqual(torrent[b"url-list"], urls)
        self.assertIn(HERE.encode(), torrent[b"comment"])

    def test_name(self) -> None:
        """A name is in UTF-8."""
        self.node.here[HERE] = ResourceInfo(HERE, "ä €", 5)
        torrent = bdecode(self.ask(f"/node/resources/{HERE}.torrent").text_)
        self.assertEqual(torrent[b"info"][b"name"].decode(), "ä €")

    def test_not_known_yet(self) -> None:
        """While the SHA-1s aren't known in time: 503, and when to try again."""
        self.node.problem = Unavailable("being computed")
        answer = self.refuses(f"/node/resources/{HERE}.torrent", 503, "being computed")
        self.assertEqual(answer.told["retry-after"], "1")

    def test_encoding(self) -> None:
        """The encoding's own examples, and the order of keys, which is that of their bytes."""
        examples: list[tuple[Any, bytes]] = [
            ("spam", b"4:spam"),
            (b"", b"0:"),
            (-3, b"i-3e"),
            (["spam", 0], b"l4:spami0ee"),
            ({"spam": ["a", "b"], "cow": "moo"}, b"d3:cow3:moo4:spaml1:a1:bee"),
            ({"é": 1, "z": {}}, b"d1:zde2:\xc3\xa9i1ee"),
        ]
        for value, encoded in examples:
            self.assertEqual(bencode(value), encoded)
