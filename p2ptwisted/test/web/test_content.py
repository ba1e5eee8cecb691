"""Tests of `p2ptwisted.web.content`: real files, sent over a connection in memory."""

import json
import os
from collections.abc import Callable
from email import message_from_bytes
from email.policy import HTTP
from errno import EIO
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource as WebResource
from twisted.web.server import Request

from p2ptwisted.errors import Unavailable
from p2ptwisted.interfaces import ContentSlice, IUpload
from p2ptwisted.model import ResourceInfo
from p2ptwisted.node.uploads import Uploads
from p2ptwisted.support.rate_limit import RateLimit
from p2ptwisted.test.node_fakes import (
    TICK,
    Answer,
    Connection,
    FakeUpload,
    exchange,
    producers_on,
    work,
)
from p2ptwisted.web import content
from p2ptwisted.web.byte_ranges import RANGES_MAX
from p2ptwisted.web.content import BLOCK_MAX, BLOCK_MIN, Content, SomePieces
from p2ptwisted.web.server.file_sender import CantSendFile
from p2ptwisted.web.server.site import LimitedSite

ID = "a" * 64
CLIENT = "10.0.0.2"
ETAG = f'"{ID}"'
UNSATISFIABLE = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE


class Opening(WebResource):
    """Gives the content of one file to every request; by POST, the bytes `run` of it."""

    isLeaf = True

    def __init__(self, clock: Clock, path: Path, name: str) -> None:
        super().__init__()
        self.clock = clock
        self.path = path
        self.name = name
        self.run = (0, 0)
        self.files: list[BinaryIO] = []
        self.uploads: list[FakeUpload] = []
        #: Where uploads come from, if not from the list above.
        self.begin: Callable[[], IUpload] = self.begin_fake
        #: Seconds that each block makes the next one wait.
        self.wait = 0.0

    def begin_fake(self) -> FakeUpload:
        upload = FakeUpload()
        upload.wait = self.wait
        self.uploads.append(upload)
        return upload

    def render(self, request: Request) -> bytes | int:
        file = self.path.open("rb", buffering=0)
        size = self.path.stat().st_size
        self.files.append(file)
        resource = ResourceInfo(ID, self.name, size)
        if request.method == b"POST":
            return SomePieces(
                self.clock, ContentSlice(resource, file, *self.run, self.begin())
            ).render(request)
        return Content(self.clock, ContentSlice(resource, file, 0, size, self.begin())).render_GET(
            request
        )


def parts_of(answer: Answer) -> list[tuple[str, bytes]]:
    """The Content-Range and the body of each part of an answer that has several."""
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    message = message_from_bytes(head + answer.body, policy=HTTP)
    assert message.is_multipart() and not message.defects
    parts = []
    for part in message.iter_parts():
        assert part.get_content_type() == "application/octet-stream"
        # Not what is decoded: the parser takes line ends for its own.
        body = answer.body.split(f"Content-Range: {part['content-range']}\r\n\r\n".encode())[1]
        boundary = message.get_boundary()
        parts.append((part["content-range"], body.split(f"\r\n--{boundary}".encode())[0]))
    return parts


class ContentCase(SynchronousTestCase):
    """A file of ten bytes."""

    content = b"0123456789"

    def setUp(self) -> None:
        self.clock = Clock()
        producers_on(self, self.clock)
        self.path = Path(self.mktemp()).resolve()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(self.content)
        self.root = Opening(self.clock, self.path, "sub/file.bin")

    def ask(self, method: str = "GET", **headers: str) -> Answer:
        """The answer to one request, after which the file is closed and the upload at its end."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = exchange(self.root, self.clock, method, "/", named)
        self.assertTrue(self.root.files[-1].closed)
        self.assertEqual(self.root.uploads[-1].ends, 1)
        self.assertEqual(sum(self.root.uploads[-1].blocks), self.sent(method, answer))
        return answer

    def sent(self, method: str, answer: Answer) -> int:
        """How many bytes of the file an answer has."""
        if method == "HEAD" or answer.status not in (200, 206):
            return 0
        if answer.headers["content-type"].startswith("multipart/"):
            return sum(len(body) for _, body in parts_of(answer))
        return int(answer.headers["content-length"])

    def connect(self) -> Connection:
        return Connection(LimitedSite(self.root, 1_000, self.clock), self.clock)


class WholeTests(ContentCase):
    """The whole content."""

    def test_whole(self) -> None:
        """Without a range: 200 and all of it, with its length and that ranges are possible."""
        answer = self.ask()
        self.assertEqual((answer.status, answer.body), (200, self.content))
        self.assertEqual(answer.headers["content-length"], "10")
        self.assertEqual(answer.headers["accept-ranges"], "bytes")
        self.assertEqual(answer.headers["etag"], ETAG)
        self.assertNotIn("content-range", answer.headers)

    def test_type(self) -> None:
        """Whatever it is, no browser is to run it: it is bytes to be saved."""
        answer = self.ask()
        self.assertEqual(answer.headers["content-type"], "application/octet-stream")
        self.assertEqual(answer.headers["x-content-type-options"], "nosniff")
        self.assertTrue(answer.headers["content-disposition"].startswith("attachment;"))

    def test_head(self) -> None:
        """HEAD has the headers of GET and no body."""
        got, head = self.ask(), self.ask("HEAD")
        for answer in (got, head):
            del answer.headers["date"]
        self.assertEqual((head.status, head.headers), (got.status, got.headers))
        self.assertEqual(head.body, b"")

    def test_empty(self) -> None:
        """An empty file is an answer of no bytes."""
        self.path.write_bytes(b"")
        for method in ("GET", "HEAD"):
            answer = self.ask(method)
            self.assertEqual((answer.status, answer.body), (200, b""))
            self.assertEqual(answer.headers["content-length"], "0")

    def test_large(self) -> None:
        """A file of several buffers arrives byte for byte."""
        content = os.urandom(2 * BLOCK_MAX + 12_345)
        self.path.write_bytes(content)
        self.assertEqual(self.ask().body, content)
        self.assertEqual(self.ask(Range=f"bytes={BLOCK_MAX - 5}-").body, content[BLOCK_MAX - 5 :])

    def test_one_connection(self) -> None:
        """Answers follow each other on one connection, whole ones, ranges and errors."""
        connection = self.connect()
        answers = []
        for value in ("bytes=0-3", "bytes=50-", "bytes=4-"):
            connection.ask("GET", "/", {"Range": value})
            work(self.clock, 20)
            answers.append(connection.take())
        connection.ask("GET", "/")
        work(self.clock, 20)
        answers.append(connection.take())
        self.assertEqual([answer.status for answer in answers], [206, 416, 206, 200])
        self.assertEqual(answers[0].body + answers[2].body, answers[3].body)
        connection.vanish()


class RangeTests(ContentCase):
    """A part of the content."""

    def part(self, value: str, body: bytes, told: str) -> None:
        """The range is answered with 206, this body, and this Content-Range."""
        answer = self.ask(Range=value)
        self.assertEqual((answer.status, answer.body), (206, body), msg=value)
        self.assertEqual(answer.headers["content-range"], told)
        self.assertEqual(answer.headers["content-length"], str(len(body)))
        self.assertEqual(answer.headers["etag"], ETAG)

    def test_parts(self) -> None:
        """The first bytes, the last, some in the middle, a single one: both ends included."""
        self.part("bytes=0-3", b"0123", "bytes 0-3/10")
        self.part("bytes=7-9", b"789", "bytes 7-9/10")
        self.part("bytes=3-6", b"3456", "bytes 3-6/10")
        self.part("bytes=0-0", b"0", "bytes 0-0/10")
        self.part("bytes=9-9", b"9", "bytes 9-9/10")

    def test_open_ended(self) -> None:
        """From a byte to the end."""
        self.part("bytes=4-", b"456789", "bytes 4-9/10")
        self.part("bytes=9-", b"9", "bytes 9-9/10")

    def test_suffix(self) -> None:
        """The last so many bytes."""
        self.part("bytes=-3", b"789", "bytes 7-9/10")
        self.part("bytes=-1", b"9", "bytes 9-9/10")

    def test_end_beyond(self) -> None:
        """A range that ends beyond the file ends with the file."""
        self.part("bytes=8-99999999999999999999", b"89", "bytes 8-9/10")

    def test_notation(self) -> None:
        """The unit may be in any case, and spaces may surround the range."""
        self.part("BYTES=0-3", b"0123", "bytes 0-3/10")
        self.part("bytes= 0-3 ", b"0123", "bytes 0-3/10")

    def test_all_of_it(self) -> None:
        """A range that is all of the file is a part: some ask so whether there are ranges."""
        for value in ("bytes=0-", "bytes=0-9", "bytes=0-10", "bytes=-10", "bytes=-11", "bytes=-99"):
            self.part(value, self.content, "bytes 0-9/10")

    def test_outside(self) -> None:
        """A range with no byte in the file: 416 as JSON, and how large the file is."""
        for value in (
            "bytes=10-",
            "bytes=10-10",
            "bytes=-0",
            "bytes=-00",
            "bytes=99999999999999999999-",
            f"bytes={'9' * 3_000}-",
        ):
            answer = self.ask(Range=value)
            self.assertEqual(answer.status, 416, msg=value)
            self.assertEqual(answer.headers["content-range"], "bytes */10")
            self.assertEqual(answer.headers["content-type"], "application/json")
            error = json.loads(answer.body)
            self.assertEqual((error["code"], error["name"]), (416, UNSATISFIABLE.phrase))
            self.assertIn("10 bytes", error["description"])

    def test_outside_of_nothing(self) -> None:
        """An empty file has no byte that a range could hold."""
        self.path.write_bytes(b"")
        for value in ("bytes=0-", "bytes=0-0", "bytes=-5"):
            answer = self.ask(Range=value)
            self.assertIn((answer.status, answer.body[:1]), [(416, b"{"), (200, b"")], msg=value)
        self.assertEqual(self.ask(Range="bytes=0-0").headers["content-range"], "bytes */0")

    def test_malformed(self) -> None:
        """A range that is none is ignored, as RFC 9110 wants it."""
        for value in (
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-3",
            "bytes=--3",
            "bytes=1-2-3",
            "bytes=0x1-5",
            "bytes=1.5-3",
            "bytes=\u00b2-3",
            "lines=0-3",
            "0-3",
        ):
            answer = self.ask(Range=value)
            self.assertEqual((answer.status, answer.body), (200, self.content), msg=value)

    def test_several(self) -> None:
        """Several ranges are the parts of one answer, in the order in which they are asked for."""
        for value, wanted in {
            "bytes=0-1,5-9": ["0-1", "5-9"],
            "bytes=5-9,0-1": ["5-9", "0-1"],
            "bytes= 0-0 ,,\t-2, 4-5 ,": ["0-0", "8-9", "4-5"],
            "bytes=0-4,5-9": ["0-4", "5-9"],
            "bytes=0-1,1-2": ["0-1", "1-2"],
            "bytes=8-,0-1,20-30": ["8-9", "0-1"],
        }.items():
            answer = self.ask(Range=value)
            self.assertEqual(answer.status, 206, msg=value)
            self.assertNotIn("content-range", answer.headers)
            self.assertEqual(answer.headers["content-length"], str(len(answer.body)))
            self.assertEqual(answer.headers["etag"], ETAG)
            found = []
            for told, body in parts_of(answer):
                first, _, last = told.removeprefix("bytes ").removesuffix("/10").partition("-")
                self.assertEqual(body, self.content[int(first) : int(last) + 1])
                found.append(f"{first}-{last}")
            self.assertEqual(found, wanted)

    def test_boundary(self) -> None:
        """What stands between the parts is in no file: it differs each time, and is one token."""
        types = {self.ask(Range="bytes=0-1,5-9").headers["content-type"] for _ in range(2)}
        self.assertEqual(len(types), 2)
        for one in types:
            self.assertRegex(one, r"\Amultipart/byteranges; boundary=[0-9a-f]{32}\Z")

    def test_one_of_several(self) -> None:
        """Where only one of them is in the file it is answered alone; where none is, with 416."""
        self.part("bytes=20-30,2-3", b"23", "bytes 2-3/10")
        self.part("bytes=2-3,", b"23", "bytes 2-3/10")
        self.assertEqual(self.ask(Range="bytes=20-30,10-,-0").status, 416)

    def test_too_many(self) -> None:
        """More ranges than are taken, or more bytes than there are: the whole, once."""
        at_most = ",".join(["0-0"] * 8 + ["-0"] * (RANGES_MAX - 8))
        self.assertEqual(self.ask(Range=f"bytes={at_most}").status, 206)
        for value in (f"bytes={at_most},1-1", "bytes=0-,0-0", "bytes=-9,0-1", "bytes=0-1,3-2"):
            answer = self.ask(Range=value)
            self.assertEqual((answer.status, answer.body), (200, self.content), msg=value)

    def test_several_headers(self) -> None:
        """Two headers with a range each are no valid one."""
        connection = self.connect()
        lines = b"Range: bytes=0-1\r\nRange: bytes=2-3\r\n"
        connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n")
        work(self.clock, 20)
        self.assertEqual(connection.take().body, self.content)
        connection.vanish()

    def test_head(self) -> None:
        """A range means nothing to HEAD, in the file or out of it."""
        for value in ("bytes=0-3", "bytes=50-", "bytes=0-1,5-9"):
            answer = self.ask("HEAD", Range=value)
            self.assertEqual((answer.status, answer.headers["content-length"]), (200, "10"))


class ConditionTests(ContentCase):
    """Requests that depend on what the client has."""

    def test_if_none_match(self) -> None:
        """Who has it already gets 304 and no body; the id is its version."""
        for value in (
            *(ETAG, f"W/{ETAG}", "*", " * "),
            *(f'"other", {ETAG}', f'{ETAG},"other"', f'W/"other" , ,\tW/{ETAG}', f'"a,b", {ETAG}'),
        ):
            for method in ("GET", "HEAD"):
                answer = self.ask(method, If_None_Match=value)
                self.assertEqual(answer.status, 304)
                self.assertEqual(answer.headers["etag"], ETAG)

    def test_if_none_match_other(self) -> None:
        """Who has something else gets it."""
        for value in ('"other"', 'W/"other", "third"', f'"{ID}x"', f'"{ID.upper()}"', ID, "", '"'):
            answer = self.ask(If_None_Match=value)
            self.assertEqual((answer.status, answer.body), (200, self.content), msg=value)

    def test_if_none_match_before_range(self) -> None:
        """Who has it already gets no part of it either, be there one in the file or not."""
        for wanted in ("bytes=7-", "bytes=50-"):
            self.assertEqual(self.ask(Range=wanted, If_None_Match=f"W/{ETAG}").status, 304)

    def test_if_match(self) -> None:
        """Who wants just this version, or any, gets it."""
        for value in (ETAG, "*", f'"other", {ETAG}', f'W/"other",{ETAG}'):
            answer = self.ask(If_Match=value)
            self.assertEqual((answer.status, answer.body), (200, self.content), msg=value)

    def test_if_match_other(self) -> None:
        """Who wants another version, or can't tell for sure, gets 412 before anything else."""
        for value in ('"other"', f"W/{ETAG}", 'W/"other", "third"', ""):
            for others in ({}, {"If_None_Match": ETAG}, {"Range": "bytes=0-3"}):
                answer = self.ask(If_Match=value, **others)
                self.assertEqual(answer.status, 412, msg=value)
                self.assertIn("If-Match", json.loads(answer.body)["description"])
        self.assertEqual(self.ask("HEAD", If_Match='"other"').status, 412)

    def test_dates(self) -> None:
        """A date is no condition, for the answer has no Last-Modified that it could be."""
        for date in ("Tue, 15 Nov 1994 12:45:26 GMT", "Tue, 15 Nov 2094 12:45:26 GMT", "x"):
            for name in ("If_Modified_Since", "If_Unmodified_Since"):
                self.assertEqual(self.ask(**{name: date}).status, 200, msg=date)

    def test_several_lines(self) -> None:
        """A list goes on in further lines of the same name."""
        for name, status in (("If-None-Match", 304), ("If-Match", 200)):
            connection = self.connect()
            lines = f'{name}: "other"\r\n{name}: {ETAG}\r\n{name}: "third"'
            connection.send(f"GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n".encode())
            work(self.clock, 20)
            self.assertEqual(connection.take().status, status)
            connection.vanish()

    def test_if_range(self) -> None:
        """Who has a part of just this gets the range asked for."""
        answer = self.ask(Range="bytes=7-", If_Range=ETAG)
        self.assertEqual((answer.status, answer.body), (206, b"789"))
        answer = self.ask(Range="bytes=7-,0-0", If_Range=ETAG)
        self.assertEqual([body for _, body in parts_of(answer)], [b"789", b"0"])

    def test_if_range_other(self) -> None:
        """Who has a part of something else, or can't tell for sure, gets the whole."""
        for value in ('"other"', f"W/{ETAG}", ID, "Tue, 15 Nov 1994 12:45:26 GMT"):
            for wanted in ("bytes=7-", "bytes=50-", "bytes=0-1,5-9"):
                answer = self.ask(Range=wanted, If_Range=value)
                self.assertEqual((answer.status, answer.body), (200, self.content), msg=value)


class NameTests(ContentCase):
    """The name under which the content is saved."""

    def test_names(self) -> None:
        """Whatever a file is called, one header line of ASCII says it, without the folders."""
        for name, plain, full in [
            ("file.bin", "file.bin", "file.bin"),
            ("sub/deeper/file.bin", "file.bin", "file.bin"),
            ("größe €😀", "gr__e __", "größe €😀"),
            ('a"b\\c;d', "a_b_c;d", 'a"b\\c;d'),
            ("a\r\nSet-Cookie: x", "a__Set-Cookie: x", "a\r\nSet-Cookie: x"),
            ("a\x00b\x7f", "a_b_", "a\x00b\x7f"),
            ("a%2Fb", "a%2Fb", "a%2Fb"),
            ("  ", "  ", "  "),
            ("'single'", "'single'", "'single'"),
        ]:
            self.root.name = name
            answer = self.ask()
            value = answer.headers["content-disposition"]
            self.assertTrue(value.isascii())
            self.assertNotIn("set-cookie", answer.headers)
            start, _, quoted = value.partition("; filename*=UTF-8''")
            self.assertEqual(start, f'attachment; filename="{plain}"')
            self.assertEqual(unquote(quoted), full)
            for special in " \"\\;/'":
                self.assertNotIn(special, quoted)


class LargeCase(ContentCase):
    """A file of several buffers, on a connection that is not over yet."""

    content = bytes(5 * BLOCK_MAX)

    def begin(self, headers: dict[str, str] | None = None) -> Connection:
        """Ask for it, and let the first block of it come."""
        connection = self.connect()
        self.root.wait = 5 * TICK
        connection.ask("GET", "/", headers)
        work(self.clock, 2)
        self.assertFalse(self.root.files[-1].closed)
        self.root.uploads[-1].wait = 0
        return connection


class InterruptedTests(LargeCase):
    """What can happen in the middle of a transfer."""

    def test_client_gone(self) -> None:
        """When the client goes away the file is closed and nothing more is read."""
        for headers in ({}, {"Range": "bytes=10-"}):
            connection = self.begin(headers)
            connection.vanish()
            self.assertTrue(self.root.files[-1].closed)
            self.assertEqual(self.root.uploads[-1].ends, 1)
            work(self.clock, 20)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_slow_client(self) -> None:
        """Nothing is read for a client that can't take more, until it can."""
        connection = self.begin()
        connection.congest()
        before = len(connection.received())
        work(self.clock, 20)
        self.assertEqual(len(connection.received()), before)
        connection.flow()
        work(self.clock, 20)
        self.assertEqual(connection.take().body, self.content)
        connection.vanish()

    def test_last_block(self) -> None:
        """Who doesn't take the last block is sent something still: the upload is not at its end."""
        connection = self.connect()
        write = connection.transport.write

        def full(data: bytes) -> None:
            write(data)
            connection.congest()

        self.patch(connection.transport, "write", full)
        connection.ask("GET", "/")
        for _ in range(20):
            work(self.clock, 2)
            connection.flow()
            self.assertEqual(self.root.uploads[-1].ends, 0)
            if len(connection.received()) > len(self.content):
                break
        work(self.clock, 2)
        self.assertEqual(self.root.uploads[-1].ends, 1)
        self.assertEqual(connection.take().body, self.content)
        connection.vanish()

    def test_grows(self) -> None:
        """Of a file that grows meanwhile the bytes promised are sent and no more."""
        connection = self.begin()
        with self.path.open("ab") as file:
            file.write(b"more")
        work(self.clock, 20)
        self.assertEqual(connection.take().body, self.content)
        self.assertEqual(connection.received(), b"")
        connection.vanish()

    def test_shrinks(self) -> None:
        """Where a file shrinks meanwhile the client is cut off, not left waiting for the rest."""
        connection = self.begin()
        self.assert_cut_off(connection)

    def test_shrinks_below_a_range(self) -> None:
        """The same where a range is being sent: nobody reads beyond its end again and again."""
        connection = self.begin({"Range": "bytes=10-"})
        self.assert_cut_off(connection)

    def assert_cut_off(self, connection: Connection) -> None:
        os.truncate(self.path, BLOCK_MAX)
        work(self.clock, 20)
        self.assertFalse(connection.is_open)
        self.assertTrue(self.root.files[-1].closed)
        self.assertEqual(self.root.uploads[-1].ends, 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_unreadable(self) -> None:
        """The same where the disk fails in the middle."""
        connection = self.begin()

        def failing(descriptor: int) -> os.stat_result:
            raise OSError(EIO, "Input/output error")

        self.patch(os, "fstat", failing)
        work(self.clock, 20)
        self.assertFalse(connection.is_open)
        self.assertTrue(self.root.files[-1].closed)
        self.assertEqual(self.root.uploads[-1].ends, 1)


class PiecesTests(ContentCase):
    """A run of pieces that the holder has chosen."""

    def give(self, start: int, stop: int) -> Answer:
        self.root.run = start, stop
        return self.ask("POST")

    def test_run(self) -> None:
        """206, just these bytes, which they are, and of how many; no name, for it is no file."""
        for start, stop in [(0, 3), (3, 10), (9, 10), (0, 10)]:
            answer = self.give(start, stop)
            self.assertEqual((answer.status, answer.body), (206, self.content[start:stop]))
            self.assertEqual(answer.headers["content-range"], f"bytes {start}-{stop - 1}/10")
            self.assertEqual(answer.headers["content-length"], str(stop - start))
            self.assertEqual(answer.headers["content-type"], "application/octet-stream")
            self.assertNotIn("content-disposition", answer.headers)


class RateTests(ContentCase):
    """A bound on how fast and how many at once."""

    content = bytes(1024 * 1024)

    def test_held_back(self) -> None:
        """After each block the next one waits as long as it is told to, and not longer."""
        self.root.wait = 0.5
        connection = self.connect()
        connection.ask("GET", "/")
        self.clock.advance(0)
        (upload,) = self.root.uploads
        for count in range(1, len(self.content) // BLOCK_MIN):
            self.assertEqual(upload.blocks, [BLOCK_MIN] * count)
            self.clock.advance(0.49)
            self.assertEqual(upload.blocks, [BLOCK_MIN] * count)
            self.clock.advance(0.01)
        self.assertEqual(connection.take().body, self.content)
        self.assertEqual(upload.ends, 1)
        connection.vanish()

    def test_growing_blocks(self) -> None:
        """Where nothing holds it back blocks double, so that a large file costs few of them."""
        self.ask()
        blocks = self.root.uploads[-1].blocks
        self.assertEqual(blocks[:3], [BLOCK_MIN, 2 * BLOCK_MIN, 4 * BLOCK_MIN])
        self.path.write_bytes(bytes(5 * BLOCK_MAX))
        self.ask()
        self.assertEqual(max(self.root.uploads[-1].blocks), BLOCK_MAX)

    def test_parts_held_back(self) -> None:
        """Several ranges wait like one, each block for the next; only the file's bytes count."""
        self.root.wait = 0.5
        connection = self.connect()
        size = BLOCK_MIN + 10
        connection.ask("GET", "/", {"Range": f"bytes=0-{size - 1},{2 * size}-{3 * size - 1}"})
        self.clock.advance(0)
        (upload,) = self.root.uploads
        for count in range(1, 4):
            self.assertEqual(upload.blocks, [BLOCK_MIN, 10, BLOCK_MIN, 10][:count])
            self.assertEqual(upload.ends, 0)
            self.clock.advance(0.5)
        self.assertEqual([len(body) for _, body in parts_of(connection.take())], [size, size])
        self.assertEqual((sum(upload.blocks), upload.ends), (2 * size, 1))
        connection.vanish()

    def test_slow_client(self) -> None:
        """A client that pauses while it is held back gets no more for that."""
        self.root.wait = 0.5
        connection = self.connect()
        connection.ask("GET", "/")
        self.clock.advance(0)
        for _ in range(5):
            connection.congest()
            connection.flow()
            self.clock.advance(0.05)
        self.assertEqual(len(self.root.uploads[0].blocks), 1)
        self.clock.advance(0.25)
        self.assertEqual(len(self.root.uploads[0].blocks), 2)
        connection.vanish()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_bound_for_all(self) -> None:
        """Two clients together get what --max-upload says."""
        uploads = Uploads(self.clock, 10, RateLimit(256 * 1024))
        self.root.begin = lambda: uploads.begin(CLIENT)
        connections = [self.connect(), self.connect()]
        for connection in connections:
            connection.ask("GET", "/")
        for _ in range(400):
            self.clock.advance(0.01)
        received = sum(len(connection.received()) for connection in connections)
        self.assertGreater(received, 4 * 256 * 1024)
        self.assertLess(received, 4.5 * 256 * 1024)
        for connection in connections:
            connection.vanish()
        uploads.begin(CLIENT)

    def test_ends_once(self) -> None:
        """However an answer ends, its place is free for another, once."""
        uploads = Uploads(self.clock, 1, RateLimit(None))
        self.root.begin = lambda: uploads.begin(CLIENT)
        for method, value in [
            ("GET", "bytes=0-"),
            ("HEAD", ""),
            ("GET", "bytes=9999999-"),
            ("GET", "bytes=5-9"),
        ]:
            exchange(self.root, self.clock, method, "/", {"Range": value})
        connection = self.connect()
        connection.ask("GET", "/")
        connection.vanish()
        upload = uploads.begin(CLIENT)
        self.assertRaises(Unavailable, uploads.begin, CLIENT)
        upload.end()


class Sender:
    """Stands in for the kernel's sending: what it sends goes to the connection."""

    def __init__(self, connection: Connection, writable: Callable[[], None]) -> None:
        self.connection = connection
        self.writable = writable
        self.active = False
        self.closed = False
        self.counts: list[int] = []
        self.problem: Exception | None = None

    def send(self, file: int, start: int, count: int) -> int:
        if self.problem is not None:
            raise self.problem
        data = os.pread(file, count, start)
        self.counts.append(len(data))
        self.connection.transport.write(data)
        return len(data)

    def resume(self) -> None:
        self.active = True

    def pause(self) -> None:
        self.active = False

    def close(self) -> None:
        self.active = False
        self.closed = True


class SentTests(ContentCase):
    """What the kernel sends by itself, behind a first block that is written."""

    content = os.urandom(BLOCK_MIN) * 40

    def setUp(self) -> None:
        super().setUp()
        self.connection = self.connect()
        self.senders: list[Sender] = []

        def make(
            clock: object, transport: object, writable: Callable[[], None], lost: object
        ) -> Sender:
            self.senders.append(Sender(self.connection, writable))
            return self.senders[-1]

        self.patch(content, "make_file_sender", make)

    def begin(self) -> Sender:
        self.connection.ask("GET", "/")
        work(self.clock, 2)
        (sender,) = self.senders
        self.assertTrue(sender.active)
        return sender

    def test_all(self) -> None:
        """Blocks grow up to the largest, and when the last has left the answer is complete."""
        sender = self.begin()
        while sender.active:
            sender.writable()
        self.assertEqual(
            sender.counts[:4], [2 * BLOCK_MIN, 4 * BLOCK_MIN, 8 * BLOCK_MIN, BLOCK_MAX]
        )
        self.assertEqual(self.connection.take().body, self.content)
        self.assertTrue(sender.closed and self.root.files[-1].closed)
        self.assertEqual(self.root.uploads[-1].ends, 1)
        self.assertEqual(sum(self.root.uploads[-1].blocks), len(self.content))
        self.connection.vanish()

    def test_parts(self) -> None:
        """Of several ranges the kernel sends the bytes, and what stands between them is written."""
        size = 2 * BLOCK_MIN
        bounds = [(0, size), (5 * size, 6 * size), (2 * size, 2 * size + 1)]
        value = ",".join(f"{start}-{stop - 1}" for start, stop in bounds)
        self.connection.ask("GET", "/", {"Range": f"bytes={value}"})
        work(self.clock, 2)
        (sender,) = self.senders
        while sender.active:
            sender.writable()
        self.assertEqual(sender.counts, [BLOCK_MIN, size, 1])
        self.assertEqual(
            [body for _, body in parts_of(self.connection.take())],
            [self.content[start:stop] for start, stop in bounds],
        )
        self.assertTrue(sender.closed and self.root.files[-1].closed)
        self.assertEqual(sum(self.root.uploads[-1].blocks), 2 * size + 1)
        self.connection.vanish()

    def test_parts_impossible(self) -> None:
        """Where the kernel can't send from this file, the rest of the parts is read, too."""
        size = 2 * BLOCK_MIN
        self.connection.ask("GET", "/", {"Range": f"bytes=0-{size - 1},{2 * size}-{3 * size - 1}"})
        work(self.clock, 2)
        (sender,) = self.senders
        sender.problem = CantSendFile()
        sender.writable()
        work(self.clock, 20)
        self.assertEqual(
            [body for _, body in parts_of(self.connection.take())],
            [self.content[:size], self.content[2 * size : 3 * size]],
        )
        self.connection.vanish()

    def test_small(self) -> None:
        """What fits the first block needs nothing of it."""
        self.path.write_bytes(bytes(BLOCK_MIN))
        self.connection.ask("GET", "/")
        work(self.clock, 2)
        self.assertEqual(self.connection.take().body, bytes(BLOCK_MIN))
        self.assertEqual(self.senders, [])
        self.connection.vanish()

    def test_limited(self) -> None:
        """Where there is a rate limit, blocks are small, with a pause after each."""
        sender = self.begin()
        self.root.uploads[-1].wait = 5 * TICK
        sender.writable()
        self.assertFalse(sender.active)
        work(self.clock, 4)
        self.assertFalse(sender.active)
        work(self.clock, 2)
        self.assertTrue(sender.active)
        sender.writable()
        self.assertEqual(sender.counts[1], BLOCK_MIN)
        self.connection.vanish()

    def test_held_up(self) -> None:
        """While the transport wants nothing, nothing is sent."""
        sender = self.begin()
        self.connection.congest()
        self.assertFalse(sender.active)
        self.connection.flow()
        work(self.clock, 1)
        self.assertTrue(sender.active)
        self.connection.vanish()
        self.assertTrue(sender.closed)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cut_off(self) -> None:
        """A file that shrinks, or can't be read, cuts the client off."""
        for problem in (None, OSError(EIO, "broken")):
            sender = self.begin()
            sender.problem = problem
            if problem is None:
                os.truncate(self.path, BLOCK_MIN)
            sender.writable()
            work(self.clock, 2)
            self.assertFalse(self.connection.is_open)
            self.assertTrue(sender.closed and self.root.files[-1].closed)
            self.path.write_bytes(self.content)
            self.senders.clear()
            self.connection = self.connect()

    def test_impossible(self) -> None:
        """Where the kernel can't send from this file it is read, as over TLS."""
        sender = self.begin()
        sender.problem = CantSendFile()
        sender.writable()
        self.assertTrue(sender.closed)
        work(self.clock, 60)
        self.assertEqual(self.connection.take().body, self.content)
        self.connection.vanish()
