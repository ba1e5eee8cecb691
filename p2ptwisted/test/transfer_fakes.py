"""Stand-ins for what is around a transfer: its holders, and the digest of the file."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from zope.interface import implementer

from p2ptwisted.client.api import Client
from p2ptwisted.client.body_receiver import ContentSink
from p2ptwisted.client.transport import Refused
from p2ptwisted.errors import Unavailable
from p2ptwisted.interfaces import IFileDigest
from p2ptwisted.pieces import Pieces, every_piece, members
from p2ptwisted.transfer.earlier_parts import read_earlier
from p2ptwisted.transfer.part_journal import Journal
from p2ptwisted.transfer.target_folder import TargetFolder

#: Bytes of a piece in these tests; see `small_pieces`.
LENGTH = 16

#: Seconds that an answer takes, and each piece.
PAUSE = 0.01


def cut(content: bytes, length: int = LENGTH) -> Pieces:
    """The pieces of a content."""
    blocks = [content[at : at + length] for at in range(0, len(content), length)]
    return Pieces(len(content), b"".join(hashlib.sha256(block).digest() for block in blocks))


def id_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def left_of(destination: Path, id: str) -> Journal | None:
    """What an earlier fetch of that resource has left at its first part; None: nothing."""
    folder = TargetFolder(destination.parent)
    try:
        return read_earlier(folder, destination, id, 0)
    finally:
        folder.close()


class FakeHolder:
    """A holder that sends one piece an answer, and can misbehave."""

    def __init__(self, content: bytes, pieces: Pieces | None = None) -> None:
        """`pieces`: what it says of them, where that is not the truth."""
        self.content = content
        self.pieces = pieces or cut(content)
        self.has = every_piece(self.pieces.count)
        #: What it answers to every request, if not what it is asked for.
        self.refusal: Exception | None = None
        #: Whether it takes a request and then says nothing.
        self.silent = False
        #: Seconds that each byte of an answer takes, where it comes byte by byte.
        self.trickles: float | None = None
        #: Seconds that each answer takes.
        self.pause = PAUSE
        #: How often it was called, asked what it has, and which sets of pieces were wanted of it.
        self.reached = 0
        self.polled = 0
        self.wanted: list[int] = []


class SwarmClient(Client):
    """A client whose holders are all here."""

    def __init__(self, clock: IReactorTime) -> None:
        self._time = clock
        self.peers: dict[str, FakeHolder] = {}
        #: Requests that are under way.
        self.open = 0

    async def pieces(self, location: str, id: str) -> tuple[Pieces, int]:
        self.open += 1
        try:
            holder = await self._reach(location)
            holder.polled += 1
            return holder.pieces, holder.has
        finally:
            self.open -= 1

    async def stream(
        self, location: str, id: str, wanted: int, stream: ContentSink, silence: float
    ) -> None:
        self.open += 1
        try:
            holder = await self._reach(location)
            holder.wanted.append(wanted)
            if holder.silent:
                await deferLater(self._time, silence)
                raise Unavailable("nothing came")
            piece = next(members(wanted & holder.has))
            start, stop = holder.pieces.span(piece)
            if not stream.began(start, stop):
                raise Unavailable("not asked for")
            while holder.trickles is not None and start < stop - 1:
                await deferLater(self._time, holder.trickles)
                if stream.received(holder.content[start : start + 1]) is None:
                    raise Unavailable("more than was wanted")
                start += 1
            await deferLater(self._time, holder.pause)
            pause = stream.received(holder.content[start:stop])
            if pause is None:
                raise Unavailable("more than was wanted")
            if pause:
                await deferLater(self._time, pause)
        finally:
            self.open -= 1

    async def _reach(self, location: str) -> FakeHolder:
        await deferLater(self._time, PAUSE)
        if location not in self.peers:
            raise Unavailable(f"{location} can't be reached")
        holder = self.peers[location]
        holder.reached += 1
        if holder.refusal is not None:
            raise holder.refusal
        return holder

    def stop(self, locations: Iterable[str]) -> None:
        """These vanish."""
        for location in locations:
            del self.peers[location]


def busy() -> Refused:
    """What a holder answers that sends to too many already."""
    return Refused(503, "uploads are under way here: ask another holder")


@implementer(IFileDigest)
class FakeDigest:
    """The digest of what is in the file when it is asked for."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self.size = size
        #: What it was told that the file has, in bytes.
        self.sizes: list[int] = []
        self.stopped = False
        self.problem: Exception | None = None

    def grown(self, size: int) -> None:
        self.sizes.append(size)

    def digest(self) -> Deferred[str]:
        if self.problem is not None:
            return fail(self.problem)
        return succeed(id_of(self._path.read_bytes()))

    def stop(self) -> Deferred[None]:
        self.stopped = True
        return succeed(None)


class FakeDigests:
    """Makes FakeDigests, and keeps them."""

    def __init__(self) -> None:
        self.made: list[FakeDigest] = []

    def __call__(self, path: Path, status: os.stat_result, size: int) -> FakeDigest:
        assert os.path.samestat(status, path.lstat()), "it is another file"
        self.made.append(FakeDigest(path, size))
        return self.made[-1]
