"""Stand-ins for what is around a transfer: its holders, and the digest of the file."""

import hashlib
import os
from collections.abc import Collection, Iterable
from pathlib import Path

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from p2ptwisted.client.api import Client
from p2ptwisted.client.body_receiver import ContentSink
from p2ptwisted.client.transport import Refused
from p2ptwisted.errors import Unavailable
from p2ptwisted.pieces import HolderState, Pieces, every_piece, members
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


def left_of(destination: Path, id: str, version: int = 0) -> Journal | None:
    """What an earlier fetch of that resource has left at that part; None: nothing."""
    folder = TargetFolder(destination.parent)
    try:
        return read_earlier(folder, destination, id, version)
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
        #: Whom it names as others that fetch the same.
        self.neighbors: list[str] = []
        #: The manifests that it was told are known already, each time that it was asked.
        self.knew: list[list[Pieces]] = []
        #: How often it was called, asked what it has, and which sets of pieces were wanted of it.
        self.reached = 0
        self.polled = 0
        self.wanted: list[int] = []
        #: How many wait for its news.
        self.waiting = 0


class SwarmClient(Client):
    """A client whose holders are all here."""

    def __init__(self, clock: IReactorTime) -> None:
        self._time = clock
        self.peers: dict[str, FakeHolder] = {}
        #: Requests that are under way.
        self.open = 0

    async def pieces(
        self,
        location: str,
        id: str,
        known: Collection[Pieces] = (),
        since: int = 0,
        wait: float = 0.0,
    ) -> HolderState:
        self.open += 1
        try:
            holder = await self._reach(location)
            holder.polled += 1
            holder.knew.append(list(known))
            until = self._time.seconds() + wait
            holder.waiting += 1
            try:
                while holder.has.bit_count() == since and self._time.seconds() < until:
                    await deferLater(self._time, PAUSE)
            finally:
                holder.waiting -= 1
            return HolderState(holder.pieces, holder.has, holder.neighbors)
        finally:
            self.open -= 1

    async def stream(
        self,
        location: str,
        id: str,
        pieces: Pieces,
        wanted: int,
        most: int,
        stream: ContentSink,
        silence: float,
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
            stream.told(HolderState(pieces, holder.has, holder.neighbors))
            if not stream.began(start, stop):
                raise Unavailable("not asked for")
            while holder.trickles is not None and start < stop - 1:
                await deferLater(self._time, holder.trickles)
                if stream.received(holder.content[start : start + 1]) is None:
                    raise Unavailable("it sent more than was asked for")
                start += 1
            await deferLater(self._time, holder.pause)
            pause = stream.received(holder.content[start:stop])
            if pause is None:
                raise Unavailable("it sent more than was asked for")
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


class FakeSync:
    """Syncs files at once, and remembers which."""

    def __init__(self) -> None:
        self.synced: list[str] = []
        self.problem: OSError | None = None

    def __call__(self, file: int) -> Deferred[None]:
        self.synced.append(os.readlink(f"/proc/self/fd/{file}"))
        return succeed(None) if self.problem is None else fail(self.problem)
