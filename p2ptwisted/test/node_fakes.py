"""Stand-ins for what is around a node: time, a watch, a library, supernodes, connections."""

import io
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from errno import EACCES, EBUSY
from pathlib import Path
from typing import Any, AnyStr, BinaryIO, NamedTuple

import msgspec
from twisted.internet import task
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, execute
from twisted.internet.error import (
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ProcessExitedAlready,
    ProcessTerminated,
)
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IProcessProtocol,
    IProcessTransport,
    IProtocol,
    IReactorFDSet,
    IReadDescriptor,
    IWriteDescriptor,
)
from twisted.internet.task import Clock, Cooperator
from twisted.internet.testing import StringTransport
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import IResource
from zope.interface import implementer

from p2ptwisted.client.api import Client
from p2ptwisted.client.supernode_client import REGISTER_TIMEOUT, REGISTER_TIMEOUT_EACH
from p2ptwisted.client.transport import CALL_TIMEOUT, Refused
from p2ptwisted.errors import Unavailable, UnknownResource
from p2ptwisted.interfaces import (
    Asker,
    ContentSlice,
    IDownloads,
    IFolderWatch,
    IHasher,
    ILibrary,
    INode,
    IUpload,
    Sha1Pieces,
    Sources,
)
from p2ptwisted.model import (
    DownloadStatus,
    FileStamp,
    Health,
    HeartbeatAnswer,
    Holders,
    Holding,
    NodeInfo,
    Order,
    Registration,
    ResourceInfo,
    Wanted,
)
from p2ptwisted.node.hash_pool import LARGE, IPoolReactor
from p2ptwisted.node.hash_worker import Job, Result, hash_file
from p2ptwisted.pieces import PIECE_MIN, Digests, HolderState, Pieces
from p2ptwisted.support.mount_table import MountTable, place_of
from p2ptwisted.transfer.shared_folder import SharedFolder
from p2ptwisted.web.server.site import LimitedSite

#: Seconds between two slices of work: so little that a test need not count it.
TICK = 1e-6


# -- time


def one_by_one(clock: Clock) -> Cooperator:
    """A Cooperator that does a single slice each time the clock moves."""
    return Cooperator(
        terminationPredicateFactory=lambda: lambda: True,
        scheduler=lambda step: clock.callLater(TICK, step),
    )


def work(clock: Clock, slices: int = 200) -> None:
    """Let so many slices of work be done, in next to no time."""
    for _ in range(slices):
        clock.advance(TICK)


def producers_on(case: SynchronousTestCase, clock: Clock) -> None:
    """Have Twisted's pull producers run on `clock` and not on the reactor, for one test."""
    case.patch(task, "_theCooperator", one_by_one(clock))


@contextmanager
def log_lines(*levels: LogLevel) -> Iterator[list[str]]:
    """What is logged at these levels meanwhile; complete at the end of the block."""
    lines: list[str] = []
    with capturedLogs() as events:
        yield lines
    lines.extend(formatEvent(event) for event in events if event["log_level"] in levels)


# -- the folder


@implementer(IFolderWatch)
class FakeWatch:
    """A watch whose hints the test gives."""

    def __init__(self) -> None:
        self.complete = True
        self.stopped = False
        self.begun = 0
        self.entered: list[Path] = []
        self.hint: Callable[[], None] = lambda: None
        self.written: Callable[[Path], None] = lambda path: None
        self.changed: Callable[[str, bool], None] = lambda path, is_folder: None

    def begin(
        self,
        hint: Callable[[], None],
        written: Callable[[Path], None] = lambda path: None,
        changed: Callable[[str, bool], None] = lambda path, is_folder: None,
    ) -> None:
        self.hint, self.written, self.changed = hint, written, changed
        self.begun += 1
        self.entered = []

    def enter(self, folder: Path) -> None:
        self.entered.append(folder)

    def stop(self) -> None:
        self.stopped = True


@implementer(IHasher)
class FakeHasher:
    """Hashes real files when the test says so, one after the other."""

    def __init__(self) -> None:
        #: The names of the files that it was given.
        self.given: list[str] = []
        #: The names of those that can't be read.
        self.unreadable: set[str] = set()
        #: The names of those that somebody is writing.
        self.busy: set[str] = set()
        self._waiting: list[tuple[Path, str, FileStamp, Deferred[Digests]]] = []

    def is_large(self, size: int) -> bool:
        return size >= LARGE

    def hash(self, folder: Path, name: str, stamp: FileStamp) -> Deferred[Digests]:
        self.given.append(Path(name).name)
        done: Deferred[Digests] = Deferred()
        self._waiting.append((folder, name, stamp, done))
        return done

    def work(self, *names: str) -> None:
        """Hash those that wait: all, or only those with these names."""
        chosen = [one for one in self._waiting if not names or Path(one[1]).name in names]
        for one in chosen:
            self._waiting.remove(one)
            folder, name, stamp, done = one
            execute(self._hash, folder, name, stamp).chainDeferred(done)

    def _hash(self, folder: Path, name: str, stamp: FileStamp) -> Digests:
        if Path(name).name in self.unreadable:
            raise PermissionError(EACCES, "Permission denied", name)
        digests = hash_file(folder, name, stamp)
        if Path(name).name in self.busy:
            raise OSError(EBUSY, "is being written", name)
        return digests


class FakeMounts(MountTable):
    """A table of what the test says is mounted, by turns of folders."""

    def __init__(self) -> None:
        self._mounted: dict[Path, Path] = {}

    def points(self, folder: Path) -> frozenset[Path]:
        return frozenset(
            point
            for point in (Path("/"), *self._mounted)
            if point == folder or point in folder.parents or folder in point.parents
        )

    def holder_of(self, descriptor: int) -> Path | None:
        place = place_of(descriptor)
        around = self.points(place) & {place, *place.parents}
        return max(around, key=lambda point: len(point.parts))

    def mount(self, point: Path, what: Path) -> None:
        """Have another folder, which is elsewhere, at the place of this one."""
        self._mounted[point] = what
        point.rename(_beneath(point))
        what.rename(point)

    def bind(self, point: Path) -> None:
        """Have a folder bound to itself."""
        self._mounted[point] = point

    def unbind(self, point: Path) -> None:
        """Have it as it was."""
        del self._mounted[point]

    def unmount(self, point: Path) -> Path:
        """Have there again what was there before; returns where the other one is now."""
        what = self._mounted.pop(point)
        point.rename(what)
        _beneath(point).rename(point)
        return what


def _beneath(point: Path) -> Path:
    return point.parent / f".beneath {point.name}"


class FakeFolder(SharedFolder):
    """A shared folder that is as the test says, wherever that may be."""

    #: What is wrong with it, as the next look finds it.
    finds: str | None = None

    def look(self) -> str | None:
        self.gone = self.finds
        return self.gone

    @property
    def problem(self) -> str | None:
        return self.gone


@implementer(ILibrary)
class FakeLibrary:
    """A library of what the test puts into it."""

    def __init__(self, *resources: ResourceInfo) -> None:
        self.folder: SharedFolder = FakeFolder(Path("/shared"))
        self.scanning = False
        self.listed = list(resources)
        #: By id; what is listed and not here has just gone.
        self.contents: dict[str, bytes] = {}
        #: By id, how it is cut.
        self.cut: dict[str, Pieces] = {}
        #: The files that have come into the folder, and their digests.
        self.adopted: list[tuple[Path, Digests]] = []
        #: How often it was told to look at the folder.
        self.hints = 0
        self._watchers: list[Callable[[], None]] = []

    def resources(self) -> list[ResourceInfo]:
        return list(self.listed)

    def get(self, id: str) -> ResourceInfo | None:
        return next((resource for resource in self.listed if resource.id == id), None)

    def pieces(self, id: str) -> Pieces | None:
        return self.cut.get(id)

    def open(self, id: str) -> BinaryIO:
        if id not in self.contents:
            raise UnknownResource(id)
        return io.BytesIO(self.contents[id])

    def adopt(self, path: Path, status: os.stat_result, digests: Digests) -> None:
        if not os.path.samestat(status, path.lstat()):
            raise AssertionError("it is another file")
        self.adopted.append((path, digests))
        self.listed.append(ResourceInfo(digests.id, path.name, path.stat().st_size))

    def hint(self) -> None:
        self.hints += 1

    def watch(self, changed: Callable[[], None]) -> None:
        self._watchers.append(changed)

    def change(self, *resources: ResourceInfo) -> None:
        """Make this the list, and say so."""
        self.listed = list(resources)
        for changed in self._watchers:
            changed()


@implementer(IUpload)
class FakeUpload:
    """An upload that may go as fast as the test allows."""

    def __init__(self) -> None:
        #: Seconds that each block makes the next one wait.
        self.wait = 0.0
        #: The sizes of the blocks that went out.
        self.blocks: list[int] = []
        self.ends = 0

    def sent(self, count: int) -> float:
        self.blocks.append(count)
        return self.wait

    def end(self) -> None:
        self.ends += 1


@implementer(INode)
class FakeNode:
    """A node that knows what the test told it."""

    def __init__(self) -> None:
        self.here: dict[str, ResourceInfo] = {}
        self.elsewhere: dict[str, Holding] = {}
        #: By id, the file; what is here and has none has just gone.
        self.files: dict[str, Path] = {}
        #: By id, how it is cut and which pieces are here.
        self.cut: dict[str, tuple[Pieces, int]] = {}
        #: What is given of any resource: the first byte and the one after the last.
        self.run = (0, 0)
        self.opened: list[BinaryIO] = []
        self.uploads: list[FakeUpload] = []
        self.asked: list[Sequence[str]] = []
        #: Who asked how it is.
        self.callers: list[str] = []
        #: Who asked for the whole of something.
        self.clients: list[str] = []
        #: Who asked what is here of a resource, and waited for which news before.
        self.askers: list[tuple[str, Asker]] = []
        self.waits: list[tuple[str, int, float, bool]] = []
        #: What those wait for who wait for news, if not nothing.
        self.coming: Deferred[None] | None = None
        #: Who is named as others that fetch the same.
        self.neighbors: list[str] = []
        #: Where it is, and others that have the same.
        self.own, self.others = "10.0.0.9:8000", list[str]()
        #: What was wanted of which resource, and by whom.
        self.wanted: list[tuple[str, Wanted, Asker]] = []
        self.problem: Exception | None = None
        #: How many manifests are being sent.
        self.manifests = 0

    def health(self, caller: str) -> Health:
        self.callers.append(caller)
        return Health("node1", len(self.here), True, None)

    def resources(self) -> list[ResourceInfo]:
        return list(self.here.values())

    def open(self, id: str, client: str) -> ContentSlice | None:
        self.clients.append(client)
        if id not in self.files:
            return None
        return self._giving(id, 0, self.files[id].stat().st_size)

    async def mirrors(self, id: str, caller: str) -> Sequence[str]:
        return self.others

    async def sources(self, id: str, caller: str) -> Sources | None:
        if id not in self.cut:
            return None
        return Sources(id, Path(self.here[id].name).name, self.cut[id][0], [self.own, *self.others])

    async def sha1_pieces(self, sources: Sources, caller: str) -> Sha1Pieces:
        if self.problem is not None:
            raise self.problem
        return Sha1Pieces(PIECE_MIN, b"1" * 20 * sources.pieces.count)

    def pieces(self, id: str, asker: Asker) -> HolderState:
        self.askers.append((id, asker))
        if id not in self.cut:
            raise UnknownResource(f"{id} is not here")
        return HolderState(*self.cut[id], self.neighbors)

    async def news(self, id: str, since: int, seconds: float, has_manifest: bool) -> None:
        self.waits.append((id, since, seconds, has_manifest))
        if self.coming is not None:
            await self.coming

    @contextmanager
    def sending_manifest(self, id: str, size: int, others: Sequence[str]) -> Iterator[None]:
        if self.problem is not None:
            raise self.problem
        self.manifests += 1
        try:
            yield
        finally:
            self.manifests -= 1

    async def give(self, id: str, wanted: Wanted, asker: Asker) -> ContentSlice:
        self.wanted.append((id, wanted, asker))
        if self.problem is not None:
            raise self.problem
        if id not in self.files:
            raise UnknownResource(f"{id} is not here")
        giving = self._giving(id, *self.run)
        if id not in self.cut:
            return giving
        return giving._replace(state=HolderState(*self.cut[id], self.neighbors))

    def _giving(self, id: str, start: int, stop: int) -> ContentSlice:
        self.opened.append(self.files[id].open("rb", buffering=0))
        self.uploads.append(FakeUpload())
        return ContentSlice(self.here[id], self.opened[-1], start, stop, self.uploads[-1])

    async def find(self, ids: Sequence[str], caller: str) -> list[ResourceInfo | Holding]:
        self.asked.append(ids)
        if self.problem is not None:
            raise self.problem
        known: dict[str, ResourceInfo | Holding] = {**self.elsewhere, **self.here}
        return [known[id] for id in ids if id in known]


@implementer(IDownloads)
class FakeDownloads:
    """Downloads that stay as the test sets them."""

    def __init__(self) -> None:
        self.known: dict[str, DownloadStatus] = {}
        self.started: list[str] = []
        self.names: list[str | None] = []
        self.cancelled: list[str] = []
        self.problem: Exception | None = None
        #: How many are taken of several.
        self.room: int | None = None

    def start(self, id: str, name: str | None = None) -> DownloadStatus:
        if self.problem is not None:
            raise self.problem
        self.started.append(id)
        self.names.append(name)
        return self.known.setdefault(id, DownloadStatus(id, "waiting"))

    def start_all(self, orders: Sequence[Order]) -> list[DownloadStatus]:
        return [self.start(order.id, order.name) for order in orders[: self.room]]

    def status(self, id: str) -> DownloadStatus:
        if id not in self.known:
            raise UnknownResource(f"{id} is not being fetched")
        return self.known[id]

    def all(self, ids: Sequence[str] | None = None) -> list[DownloadStatus]:
        if ids is None:
            return list(self.known.values())
        return [self.known[id] for id in ids if id in self.known]

    def cancel(self, id: str) -> None:
        self.status(id)
        self.cancelled.append(id)


# -- supernodes


class Call(NamedTuple):
    """A request to a supernode."""

    at: float
    what: str
    supernode: str


class FakeClient(Client):
    """A client whose supernodes are all here."""

    def __init__(self, clock: Clock) -> None:
        self._time = clock
        #: Locations of the supernodes that answer.
        self.up: set[str] = set()
        #: Those that know the node.
        self.known: set[str] = set()
        #: Those that refuse what they are asked.
        self.refusing: set[str] = set()
        #: Those that put off whoever registers, and the status that they do it with.
        self.busy: set[str] = set()
        self.busy_status = 503
        #: Those that have no heartbeats, and the status that they say it with.
        self.beatless: set[str] = set()
        self.beatless_status = 500
        #: Whether the node's port is closed to them.
        self.closed = False
        #: What these list.
        self.listed: list[NodeInfo] = []
        #: Those that take what they are sent, and never answer.
        self.hung: set[str] = set()
        #: Seconds that they take for a registration, and that those that are not up take to fail.
        self.slowness = 0.0
        self.silence = 0.0
        self.calls: list[Call] = []
        self.registrations: list[Registration] = []
        self.goodbyes: list[tuple[str, str]] = []
        self.beats: list[tuple[str, str]] = []
        self.holdings: dict[str, Holding] = {}
        #: By supernode and id.
        self.held: dict[tuple[str, str], Holders] = {}
        self.unexpected: Exception | None = None

    def called(self, what: str) -> list[tuple[float, str]]:
        """When and where a request was made; times in milliseconds' precision."""
        return [(round(call.at, 3), call.supernode) for call in self.calls if call.what == what]

    def _reach(self, what: str, supernode: str) -> None:
        self.calls.append(Call(self._time.seconds(), what, supernode))
        if self.unexpected is not None:
            unexpected, self.unexpected = self.unexpected, None
            raise unexpected
        if supernode not in self.up:
            raise Unavailable(f"{supernode} does not answer")
        if supernode in self.refusing:
            raise Refused(403, f"{supernode} refuses")

    async def _hang(self, supernode: str, seconds: float) -> None:
        if supernode in self.hung:
            await task.deferLater(self._time, seconds)
            raise Unavailable(f"{supernode}: no answer in time")

    async def register(self, supernode: str, registration: Registration) -> None:
        if self.silence and supernode not in self.up:
            await task.deferLater(self._time, self.silence)
        self._reach("register", supernode)
        if supernode in self.busy:
            raise Refused(self.busy_status, "try again in a moment")
        self.registrations.append(registration)
        each = REGISTER_TIMEOUT_EACH * len(registration.resources)
        await self._hang(supernode, REGISTER_TIMEOUT + each)
        if self.slowness:
            await task.deferLater(self._time, self.slowness)
        self.known.add(supernode)

    async def heartbeat(self, supernode: str, location: str) -> HeartbeatAnswer:
        self._reach("heartbeat", supernode)
        await self._hang(supernode, CALL_TIMEOUT)
        if supernode in self.beatless:
            raise Refused(self.beatless_status, "Internal Server Error")
        self.beats.append((supernode, location))
        known = supernode in self.known
        return HeartbeatAnswer(known, location if known and self.closed else None)

    async def nodes(self, supernode: str) -> list[NodeInfo]:
        self._reach("nodes", supernode)
        return self.listed

    async def goodbye(self, supernode: str, location: str) -> bool:
        self._reach("goodbye", supernode)
        self.goodbyes.append((supernode, location))
        known = supernode in self.known
        self.known.discard(supernode)
        return known

    async def search(self, supernode: str, ids: Sequence[str]) -> list[Holding]:
        self._reach("search", supernode)
        return [self.holdings[id] for id in ids if id in self.holdings]

    async def holders(self, supernode: str, id: str, here: bool = False) -> Holders:
        self._reach("holders here" if here else "holders", supernode)
        return self.held.get((supernode, id), Holders(id, [], []))


# -- connections


@dataclass
class Answer:
    """An HTTP answer, taken apart; the names of its headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes = b""


class Transport(StringTransport):
    """A transport in memory that tells its protocol of its end a turn later, as a socket does."""

    def __init__(self, clock: Clock, protocol: IProtocol, peer: str = "127.0.0.1") -> None:
        super().__init__(lenient=True, peerAddress=IPv4Address("TCP", peer, 50_000))
        self._clock = clock
        self._protocol = protocol
        self.aborted = False
        #: Whether all has been said: the other side may still speak.
        self.ended = False
        #: Whether each write fills it, so that its producer has to wait.
        self.is_narrow = False

    def write(self, data: bytes) -> None:
        super().write(data)
        if self.is_narrow and self.producer is not None:
            self.producer.pauseProducing()

    def loseWriteConnection(self) -> None:
        self.ended = True

    def unregisterProducer(self) -> None:
        # A socket doesn't mind where there is none.
        if self.producer is not None:
            super().unregisterProducer()

    def loseConnection(self) -> None:
        self._end(ConnectionDone())

    def abortConnection(self) -> None:
        self.aborted = True
        self._end(ConnectionAborted())

    def _end(self, reason: Exception) -> None:
        if self.connected:
            self.connected, self.disconnecting = False, True
            self._clock.callLater(0, self.lose, reason)

    def lose(self, reason: Exception) -> None:
        """It is over: the producer hears it first, then the protocol."""
        self.connected = False
        if self.producer is not None:
            self.producer.stopProducing()
        self._protocol.connectionLost(Failure(reason))


class Connection:
    """A client's connection to a site, in memory."""

    def __init__(self, site: LimitedSite, clock: Clock, host: str = "127.0.0.1") -> None:
        """`host` is the client's address."""
        self._channel: Any = site.buildProtocol(IPv4Address("TCP", host, 50_000))
        self.refused = self._channel is None
        self.transport = Transport(clock, self._channel, host)
        if not self.refused:
            self._channel.makeConnection(self.transport)

    @property
    def is_open(self) -> bool:
        return bool(self.transport.connected)

    @property
    def has_ended(self) -> bool:
        """Whether the server has said all that it will say."""
        return self.transport.ended or not self.is_open

    def send(self, data: bytes) -> None:
        self._channel.dataReceived(data)

    def ask(
        self,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
    ) -> None:
        """Send a request, all in one piece."""
        lines = [f"{method} {path} HTTP/1.1", "Host: node"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join([*lines, "", ""]).encode() + body)

    def vanish(self) -> None:
        """The client goes away."""
        self.transport.lose(ConnectionLost())

    def close_write(self) -> None:
        """The client closes its side, as after its last request."""
        IHalfCloseableProtocol(self._channel).readConnectionLost()

    def congest(self) -> None:
        """The client takes nothing more for now."""
        assert self.transport.producer is not None
        self.transport.producer.pauseProducing()

    def flow(self) -> None:
        """The client takes more again."""
        assert self.transport.producer is not None
        self.transport.producer.resumeProducing()

    def received(self) -> bytes:
        """All that has come so far and was not taken yet."""
        return bytes(self.transport.value())

    def take(self, method: str = "GET") -> Answer:
        """The next answer, which must be complete; what comes after it stays."""
        answer, rest = read_answer(self.received(), method)
        self.transport.clear()
        self.transport.write(rest)
        return answer


class Asked(NamedTuple):
    """A request as it came over the wire."""

    line: str
    headers: dict[str, str]
    body: bytes


class Peer:
    """The server at the other end of a connection that a client made."""

    def __init__(self, clock: Clock, protocol: IProtocol) -> None:
        self.transport = Transport(clock, protocol)
        self._protocol = protocol
        protocol.makeConnection(self.transport)

    @property
    def is_open(self) -> bool:
        return bool(self.transport.connected)

    def asked(self) -> Asked:
        """The request that has come."""
        head, _, body = self.transport.value().partition(b"\r\n\r\n")
        line, *lines = head.decode().split("\r\n")
        headers = {}
        for text in lines:
            name, _, value = text.partition(": ")
            headers[name.lower()] = value
        self.transport.clear()
        return Asked(line, headers, body)

    def send(self, data: bytes) -> None:
        self._protocol.dataReceived(data)

    def answer(self, status: str, body: bytes = b"", *headers: str) -> None:
        """Send a whole answer."""
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
        self.send("\r\n".join(lines).encode() + body)

    def close(self) -> None:
        self.transport.lose(ConnectionDone())

    def break_off(self) -> None:
        self.transport.lose(ConnectionLost())


def read_answer(data: bytes, method: str) -> tuple[Answer, bytes]:
    """The first answer in `data`, to a request of that method, and what comes after it."""
    head, blank, rest = data.partition(b"\r\n\r\n")
    if not blank:
        raise AssertionError(f"not a whole answer: {data!r:.300}")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(": ")
        headers[name.lower()] = value
    answer = Answer(int(status.split()[1]), headers)
    if method == "HEAD" or answer.status in (204, 304):
        return answer, rest
    if headers.get("transfer-encoding") == "chunked":
        while True:
            size, _, rest = rest.partition(b"\r\n")
            if not int(size, 16):
                return answer, rest.removeprefix(b"\r\n")
            answer.body += rest[: int(size, 16)]
            rest = rest[int(size, 16) + 2 :]
    length = int(headers["content-length"])
    if len(rest) < length:
        raise AssertionError(f"only {len(rest)} of {length} bytes")
    answer.body = rest[:length]
    return answer, rest[length:]


def exchange(
    root: IResource,
    clock: Clock,
    method: str,
    path: str,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    host: str = "127.0.0.1",
) -> Answer:
    """Ask one question on a connection of its own, and work until it is answered."""
    connection = Connection(LimitedSite(root, 1_000, clock), clock, host)
    connection.ask(method, path, headers, body)
    work(clock)
    answer = connection.take(method)
    if connection.received():
        raise AssertionError(f"more than the answer: {connection.received()!r:.300}")
    connection.vanish()
    return answer


# -- the reactor


@implementer(IProcessTransport)
class FakeProcess:
    """A child process that hashes, for real, and ends when the test says so."""

    pid = None

    def __init__(
        self,
        protocol: IProcessProtocol,
        arguments: Sequence[bytes | str],
        environment: Mapping[Any, Any] | None,
    ) -> None:
        self._protocol = protocol
        self.arguments = list(arguments)
        #: None where it is that of this process.
        self.environment = environment
        #: The names of the files that it was given and has not hashed yet.
        self.names: list[str] = []
        self.alive = True
        self.killed = False
        #: Whether its input is at its end.
        self.closed = False
        self._jobs: list[Job] = []

    # -- the daemon's side

    def writeToChild(self, childFD: int, data: bytes) -> None:
        assert self.alive and not self.closed and childFD == 0, "nobody reads this"
        for line in data.splitlines():
            job = msgspec.json.decode(line, type=Job)
            self._jobs.append(job)
            self.names.append(Path(os.fsdecode(job.name)).name)

    def closeStdin(self) -> None:
        self.closed = True

    def signalProcess(self, signalID: str | int) -> None:
        if not self.alive:
            raise ProcessExitedAlready
        assert signalID == "KILL"
        self.killed = True

    def closeStdout(self) -> None:
        raise AssertionError("nobody needs to")

    def closeStderr(self) -> None:
        raise AssertionError("nobody needs to")

    def closeChildFD(self, descriptor: int) -> None:
        raise AssertionError("nobody needs to")

    def loseConnection(self) -> None:
        raise AssertionError("nobody needs to")

    def write(self, data: bytes) -> None:
        raise AssertionError("the daemon says to which of its ends it writes")

    def writeSequence(self, data: Iterable[bytes]) -> None:
        raise AssertionError("the daemon says to which of its ends it writes")

    def getHost(self) -> IAddress:
        raise AssertionError("it has no address")

    def getPeer(self) -> IAddress:
        raise AssertionError("it has no address")

    # -- the test's side

    def answer(self) -> bytes:
        """What it says of its next job."""
        job = self._jobs.pop(0)
        self.names.pop(0)
        try:
            folder, name = Path(os.fsdecode(job.folder)), os.fsdecode(job.name)
            digests = hash_file(folder, name, job.stamp)
            result = Result(digests.id, digests.pieces.hex())
        except OSError as error:
            result = Result("", "", error.errno or 0)
        return msgspec.json.encode(result) + b"\n"

    def say(self, data: bytes) -> None:
        self._protocol.childDataReceived(1, data)

    def work(self, jobs: int | None = None) -> None:
        """Do so many of its jobs, or all, and those that it gets meanwhile."""
        while self.names and jobs != 0:
            self.say(self.answer())
            jobs = None if jobs is None else jobs - 1

    def lose_input(self) -> None:
        """Nobody reads its input any more."""
        self._protocol.childConnectionLost(0)

    def die(self) -> None:
        """Its end comes, and the daemon hears of it: of its input first."""
        self.alive = False
        self.lose_input()
        self._protocol.processEnded(Failure(ProcessTerminated(signal=9)))

    def turn(self) -> None:
        """What happens to it in a turn of the reactor."""
        if self.alive and not self.killed:
            self.work()
        if self.alive and (self.killed or self.closed):
            self.die()


class ProcessMaker:
    """The part of a reactor that starts processes."""

    def __init__(self) -> None:
        self.processes: list[FakeProcess] = []
        #: What the next start fails with.
        self.no_process: OSError | None = None

    def spawnProcess(
        self,
        processProtocol: IProcessProtocol,
        executable: bytes | str,
        args: Sequence[bytes | str],
        env: Mapping[AnyStr, AnyStr] | None = {},
        path: bytes | str | None = None,
        uid: int | None = None,
        gid: int | None = None,
        usePTY: bool = False,
        childFDs: Mapping[int, int | str] | None = None,
    ) -> FakeProcess:
        if self.no_process is not None:
            problem, self.no_process = self.no_process, None
            raise problem
        assert executable == args[0]
        process = FakeProcess(processProtocol, args, env)
        self.processes.append(process)
        processProtocol.makeConnection(process)
        return process

    def turn(self) -> None:
        """What happens to the processes in a turn of the reactor."""
        for process in list(self.processes):
            process.turn()


@implementer(IPoolReactor)
class ProcessReactor(ProcessMaker, Clock):
    """A reactor with a clock and processes, and nothing else."""

    def __init__(self) -> None:
        ProcessMaker.__init__(self)
        Clock.__init__(self)


@implementer(IReactorFDSet)
@dataclass(eq=False)
class DescriptorReactor:
    """Reads a descriptor when the test says so."""

    clock: Clock = field(default_factory=Clock)
    readers: list[IReadDescriptor] = field(default_factory=list)

    def read(self) -> None:
        """What a turn of the reactor does."""
        for reader in list(self.readers):
            reader.doRead()
        self.clock.advance(0)

    def callLater(self, delay: float, call: Callable[..., Any], *args: object) -> object:
        return self.clock.callLater(delay, call, *args)

    def addReader(self, reader: IReadDescriptor) -> None:
        if reader not in self.readers:
            self.readers.append(reader)

    def removeReader(self, reader: IReadDescriptor) -> None:
        if reader in self.readers:
            self.readers.remove(reader)

    def addWriter(self, writer: IWriteDescriptor) -> None:
        raise AssertionError("nothing is written here")

    def removeWriter(self, writer: IWriteDescriptor) -> None:
        """There is none."""

    def removeAll(self) -> list[IReadDescriptor | IWriteDescriptor]:
        removed: list[IReadDescriptor | IWriteDescriptor] = [*self.readers]
        self.readers.clear()
        return removed

    def getReaders(self) -> list[IReadDescriptor]:
        return list(self.readers)

    def getWriters(self) -> list[IWriteDescriptor]:
        return []


@contextmanager
def at_once(seconds: float = 5.0) -> Iterator[None]:
    """Fails where what is done in it waits: for somebody at the other end of a pipe, say."""

    def late(number: int, frame: object) -> None:
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def open_descriptors() -> set[str]:
    """What this process has open, by number and what it leads to."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found.add(f"{entry.name} -> {entry.readlink()}")
        except OSError:
            continue  # The listing's own.
    return found
