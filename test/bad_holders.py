"""
Stand-ins for nodes that others fetch from and had better not: plain sockets,
no more than the routes that a fetching node uses, and each bad in one way.
"""

import hashlib
import json
import re
import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from urllib.parse import quote

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.interfaces import Sha1Pieces, Sources
from p2ptwisted.pieces import DIGEST, MIB, Pieces, piece_size
from p2ptwisted.web.metalink import CONTENT_TYPE, metalink
from p2ptwisted.web.torrent import torrent

from .daemons import Daemon, eventually, id_of

#: Seconds between two sips of one that trickles, and its bytes a second.
SIP, TRICKLE = 0.1, 1000


def pieces_of(content: bytes) -> Pieces:
    """How a content is cut."""
    length = piece_size(len(content))
    cut = (content[at : at + length] for at in range(0, len(content), length))
    return Pieces(len(content), b"".join(hashlib.sha256(piece).digest() for piece in cut))


class BadHolder:
    """A holder that is good; those that are not say in what they differ."""

    def __init__(
        self,
        case: SynchronousTestCase,
        supernode: Daemon,
        name: str,
        content: bytes,
        file_name: str | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        """It is registered by now, and goes when the test ends."""
        holder = self
        self._file_name = f"{name}.bin" if file_name is None else file_name
        self.content = content
        self.id = id_of(content)
        self.pieces = pieces_of(content)
        #: How often it was asked for pieces.
        self.asked = 0
        self.closed = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if holder.closed.is_set():
                    self.close_connection = True
                    return
                try:
                    holder.answer(self)
                except OSError:
                    self.close_connection = True  # The other side has had enough.

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                wanted = int(json.loads(self.rfile.read(length))["want"], 16)
                holder.asked += 1
                start, stop = holder.pieces.span((wanted & -wanted).bit_length() - 1)
                try:
                    holder.give(self, start, stop)
                except OSError:
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((host, 0), Handler)
        # Threads that wait for somebody who keeps a connection are not waited for.
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.location = f"{host}:{self._server.server_port}"
        thread = threading.Thread(target=self._server.serve_forever, args=[0.05])
        thread.start()
        self._thread = thread
        case.addCleanup(self.close)
        self._register(supernode, name)

    def close(self) -> None:
        """It is gone, without a word to its supernode."""
        self.closed.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _register(self, supernode: Daemon, name: str) -> None:
        resource = {"id": self.id, "name": self._file_name, "size": len(self.content)}
        registration = {"name": name, "location": self.location, "resources": [resource]}
        supernode.post("/api/supernode/register", registration)
        holders = f"/api/supernode/holders/{self.id}"
        eventually(
            5,
            f"{name} is listed",
            lambda: self.location in supernode.get(holders).data["locations"],
        )

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """It is asked how it is, or what the pieces are."""
        told = self.manifest() if request.path.partition("?")[0].endswith("/pieces") else {}
        body = json.dumps({"data": told}).encode()
        request.send_response(200)
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def give(self, request: BaseHTTPRequestHandler, start: int, stop: int) -> None:
        """It is asked for pieces, and has chosen the one from `start` to `stop`."""
        request.send_response(206)
        request.send_header("content-range", f"bytes {start}-{stop - 1}/{self.pieces.size}")
        request.send_header("content-length", str(stop - start))
        request.end_headers()
        for data in self.sends(self.content[start:stop]):
            request.wfile.write(data)

    def manifest(self) -> dict[str, object]:
        """What it says that the resource is made of."""
        digests = self.pieces.digests.hex()
        return {
            "id": self.id,
            "size": self.pieces.size,
            "piece_size": self.pieces.length,
            "digests": [digests[at : at + 2 * DIGEST] for at in range(0, len(digests), 2 * DIGEST)],
        }

    def sends(self, piece: bytes) -> Iterator[bytes]:
        """What it sends for a piece."""
        yield piece


class Corrupting(BadHolder):
    """The piece that it sends has one byte that is another."""

    def sends(self, piece: bytes) -> Iterator[bytes]:
        middle = len(piece) // 2
        yield piece[:middle]
        yield bytes([piece[middle] ^ 1])
        yield piece[middle + 1 :]


class Lying(BadHolder):
    """It has another content than its id says, with piece digests to match."""

    def __init__(
        self,
        case: SynchronousTestCase,
        supernode: Daemon,
        name: str,
        content: bytes,
        file_name: str | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        super().__init__(case, supernode, name, content, file_name, host)
        self.content = self.lie()
        self.pieces = pieces_of(self.content)

    def lie(self) -> bytes:
        """The content that it has."""
        return b"lies" + self.content[4:]


class Impostor(Lying):
    """
    All that it has is wrong, and it gives that to clients of other makers, as a node would.

    Its files about the content fit to what it has.
    """

    #: The programs that it has given some of its content.
    clients: set[str]

    def lie(self) -> bytes:
        self.clients = set()
        lie = bytearray(self.content)
        lie[::1024] = bytes(byte ^ 1 for byte in lie[::1024])
        return bytes(lie)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path.removeprefix("/api")
        if path == "/node/resources":
            self._send(request, 200, json.dumps({"data": [self._listed()]}).encode())
        elif path == f"/node/resources/{self.id}/content":
            self._send_content(request)
        elif path.endswith(".meta4"):
            self._send(
                request, 200, metalink(*self._sources()), {"content-type": CONTENT_TYPE.decode()}
            )
        elif path.endswith(".torrent"):
            sources, urls = self._sources()
            self._send(request, 200, torrent(sources, self._sha1_pieces(), urls))
        else:
            super().answer(request)

    def _listed(self) -> dict[str, str]:
        return {"id": self.id, "name": self._file_name}

    def _sources(self) -> tuple[Sources, list[str]]:
        sources = Sources(id_of(self.content), self._file_name, self.pieces, [self.location])
        return sources, [f"http://{self.location}/api/node/resources/{self.id}/content"]

    def _sha1_pieces(self) -> Sha1Pieces:
        length = self.pieces.length
        cut = (self.content[at : at + length] for at in range(0, len(self.content), length))
        digests = (hashlib.sha1(piece, usedforsecurity=False).digest() for piece in cut)
        return Sha1Pieces(length, b"".join(digests))

    def _send_content(self, request: BaseHTTPRequestHandler) -> None:
        self.clients.add(request.headers.get("user-agent", "").partition("/")[0])
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        size = len(self.content)
        digest = b64encode(bytes.fromhex(self.id)).decode()
        named = quote(self._file_name)
        headers = {
            "accept-ranges": "bytes",
            "etag": f'"{self.id}"',
            # What it should be; nobody knows what else to say.
            "digest": f"SHA-256={digest}",
            "content-disposition": f"attachment; filename*=UTF-8''{named}",
        }
        if found is None:
            self._send(request, 200, self.content, headers)
            return
        start, last = int(found[1]), min(int(found[2] or size - 1), size - 1)
        headers["content-range"] = f"bytes {start}-{last}/{size}"
        self._send(request, 206, self.content[start : last + 1], headers)

    def _send(
        self,
        request: BaseHTTPRequestHandler,
        status: int,
        body: bytes,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        request.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(body)


class Stalling(BadHolder):
    """It stops in the middle of a piece and stays silent."""

    def sends(self, piece: bytes) -> Iterator[bytes]:
        yield piece[: len(piece) // 2]
        self.closed.wait()


class Redirecting(BadHolder):
    """It sends who asks for this or that to somebody else."""

    def __init__(
        self,
        case: SynchronousTestCase,
        supernode: Daemon,
        name: str,
        content: bytes,
        what: str,
        to: str,
    ) -> None:
        """`what` is a method and the end of a path, such as `GET /health`; `to` a location."""
        self._method, _, self._path = what.partition(" ")
        self._to = to
        super().__init__(case, supernode, name, content)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        if not self._redirects(request):
            super().answer(request)

    def give(self, request: BaseHTTPRequestHandler, start: int, stop: int) -> None:
        if not self._redirects(request):
            super().give(request, start, stop)

    def _redirects(self, request: BaseHTTPRequestHandler) -> bool:
        path = request.path.partition("?")[0]
        if request.command != self._method or not path.endswith(self._path):
            return False
        request.send_response(302)
        request.send_header("location", f"http://{self._to}{request.path}")
        request.send_header("content-length", "0")
        request.end_headers()
        return True


class Endless(BadHolder):
    """What it says of itself, or of the pieces, has no end: in its headers or in its body."""

    def __init__(
        self,
        case: SynchronousTestCase,
        supernode: Daemon,
        name: str,
        content: bytes,
        path: str,
        in_headers: bool = False,
        header: str = "Connection: close",
    ) -> None:
        """`path` is the end of the path that is asked for, such as `/health`."""
        self._path = path
        self._header = header
        self._in_headers = in_headers
        #: Bytes that were taken of the longest answer.
        self.taken = 0
        super().__init__(case, supernode, name, content)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        if not request.path.partition("?")[0].endswith(self._path):
            super().answer(request)
            return
        request.wfile.write(f"HTTP/1.1 200 OK\r\n{self._header}\r\n".encode())
        if not self._in_headers:
            request.wfile.write(b"\r\n")
        lines = (b"X-Filler: " + b"x" * 1_000 + b"\r\n") * 64
        taken = 0
        while not self.closed.is_set():
            request.wfile.write(lines)
            taken += len(lines)
            self.taken = max(self.taken, taken)


class EndlessPieces(BadHolder):
    """The pieces that it sends are right, and after each of them there is more, without end."""

    def give(self, request: BaseHTTPRequestHandler, start: int, stop: int) -> None:
        request.wfile.write(b"HTTP/1.1 206 Partial Content\r\nContent-Length: 999999999999\r\n")
        span = f"Content-Range: bytes {start}-{stop - 1}/{self.pieces.size}\r\n\r\n"
        request.wfile.write(span.encode() + self.content[start:stop])
        while not self.closed.is_set():
            request.wfile.write(bytes(MIB))


class Trickling(BadHolder):
    """It sends a piece at 1 kB/s."""

    def sends(self, piece: bytes) -> Iterator[bytes]:
        step = int(TRICKLE * SIP)
        for at in range(0, len(piece), step):
            yield piece[at : at + step]
            if self.closed.wait(SIP):
                return


class TricklingLie(Lying, Trickling):
    """It has another content, with digests to match, and sends that at 1 kB/s."""


class Inflated(Lying):
    """It has another content, which is much larger, and sends only the last piece of it."""

    SIZE = 40 * MIB

    def lie(self) -> bytes:
        return b"".join(bytes([number]) * MIB for number in range(self.SIZE // MIB))

    def manifest(self) -> dict[str, object]:
        return super().manifest() | {"have": f"{1 << (self.pieces.count - 1):x}"}
