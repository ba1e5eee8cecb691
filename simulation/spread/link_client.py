"""
The client of a node on a virtual LAN: its calls cost the bytes that they would cost over
HTTP, and are answered by the real node at the other end.

A piece of the file has only a few bytes here, each of which stands for many on the links.
"""

from collections.abc import Callable, Collection, Coroutine
from typing import Any, TypeVar, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.web.iweb import IAgent

from p2ptwisted.client.api import Client
from p2ptwisted.client.body_receiver import ContentSink
from p2ptwisted.client.transport import CALL_TIMEOUT, Refused
from p2ptwisted.errors import Busy, Unavailable
from p2ptwisted.interfaces import Asker, ContentSlice
from p2ptwisted.model import HeartbeatAnswer, Holders, Registration, Wanted
from p2ptwisted.pieces import DIGEST, HolderState, Pieces, encode_set, every_piece, pack_set
from p2ptwisted.web.error_responses import status_of
from simulation.links import Flow
from simulation.spread.directory import Directory
from simulation.spread.lan import Call, Lan, LanHost

#: Bytes of a request's line and headers, and of an answer's, as they were measured.
REQUEST_HEAD, ANSWER_HEAD = 200, 250

#: Bytes of a compact manifest besides the two digests of each piece, of the JSON around a set of
#: wanted pieces, of a question's query and other headers, of a manifest's tag in it, and of a
#: location.
MANIFEST_BASE, WANTED_BASE, QUERY_SIZE, TAG_SIZE, LOCATION_SIZE = 40, 60, 120, 36, 20

_T = TypeVar("_T")


class LinkClient(Client):
    """The client of one host."""

    def __init__(self, lan: Lan, host: LanHost, directory: Directory, scale: float) -> None:
        """`scale`: bytes on a link for which one byte of content stands."""
        super().__init__(host.process, cast(IAgent, None))
        self._lan = lan
        self._host = host
        self._directory = directory
        self._scale = scale
        self._asker = Asker(host.address, host.location)

    # -- calls to a supernode

    async def register(self, supernode: str, registration: Registration) -> None:
        size = 150 + 150 * len(registration.resources)
        await self._report(supernode, size, lambda: self._directory.register(registration))

    async def heartbeat(self, supernode: str, location: str) -> HeartbeatAnswer:
        try:
            await self._report(supernode, 40, lambda: self._directory.heartbeat(location))
        except Refused:
            return HeartbeatAnswer(False)
        return HeartbeatAnswer(True)

    async def goodbye(self, supernode: str, location: str) -> bool:
        await self._report(supernode, 40, lambda: self._directory.forget(location))
        return True

    async def _report(self, supernode: str, size: float, report: Callable[[], None]) -> None:
        async def answer(_: LanHost) -> tuple[None, float]:
            report()
            return None, 20

        await self._ask(supernode, size, answer)

    async def holders(self, supernode: str, id: str, here: bool = False) -> Holders:
        async def answer(_: LanHost) -> tuple[Holders, float]:
            found = self._directory.holders(id, self._host.location)
            return found, LOCATION_SIZE * (len(found.locations) + len(found.partial)) + 100

        return await self._ask(supernode, 0, answer)

    # -- calls to a node

    async def pieces(
        self,
        location: str,
        id: str,
        known: Collection[Pieces] = (),
        since: int = 0,
        wait: float = 0.0,
    ) -> HolderState:
        async def answer(host: LanHost) -> tuple[HolderState, float]:
            assert host.node is not None
            if wait:
                await host.node.news(id, since, wait, bool(known))
            state = host.node.pieces(id, self._asker)
            size = _size_of(state)
            if state.pieces not in known:
                manifest = MANIFEST_BASE + 2 * DIGEST * state.pieces.count
                with host.node.sending_manifest(id, manifest, state.neighbors):
                    await self._manifest_comes(host, manifest)
            return self._taken(state), size

        size = QUERY_SIZE + TAG_SIZE * len(known)
        return await self._ask(location, size, answer, CALL_TIMEOUT + wait)

    async def _manifest_comes(self, host: LanHost, size: float) -> None:
        """Wait until a manifest of that many bytes has come from that host."""
        come: Deferred[None] = Deferred()
        host.link.message(self._host.link, size, lambda: come.callback(None))
        await come

    async def stream(
        self,
        location: str,
        id: str,
        pieces: Pieces,
        wanted: int,
        most: int,
        sink: ContentSink,
        silence: float,
    ) -> None:
        async def give(host: LanHost) -> None:
            assert host.node is not None
            content = await host.node.give(id, want, self._asker)
            assert content.state is not None
            host.link.charge(self._host.link, ANSWER_HEAD + _size_of(content.state))
            answer = _Answer(host, self._host, content, sink, call, self._scale)
            call.canceled = answer.cancel
            sink.told(self._taken(content.state))
            answer.begin()

        def arrived(host: LanHost) -> None:
            def failed(failure: Failure) -> None:
                if isinstance(failure.value, Exception) and not failure.check(CancelledError):
                    self._reply(call, host, 100, _refusal(failure.value))

            giving = Deferred.fromCoroutine(give(host))
            if not giving.called:
                call.canceled = giving.cancel
            giving.addErrback(failed)

        call = Call(self._host, silence, f"nothing came for {silence:.0f} s")
        want = Wanted(encode_set(wanted), most, self._host.location)
        size = REQUEST_HEAD + len(want.want) + WANTED_BASE
        # There and back: the answer's head takes as long as the request.
        self._lan.request(call, self._host, location, size, arrived, trips=2)
        await call.done

    def _taken(self, state: HolderState) -> HolderState:
        """Returns what the client takes of what a holder says."""
        own = self._host.location
        return state._replace(neighbors=[other for other in state.neighbors if other != own])

    # -- what they have in common

    async def _ask(
        self,
        location: str,
        size: float,
        answer: Callable[[LanHost], Coroutine[Any, Any, tuple[_T, float]]],
        limit: float = CALL_TIMEOUT,
    ) -> _T:
        """
        Call a route with a body of that many bytes.

        `answer` returns what the host there answers, and the bytes of that body.
        """

        def arrived(host: LanHost) -> None:
            def answered(result: tuple[_T, float]) -> None:
                self._reply(call, host, result[1], result[0])

            def failed(failure: Failure) -> None:
                if isinstance(failure.value, Exception) and not failure.check(CancelledError):
                    self._reply(call, host, 100, _refusal(failure.value))

            answering = Deferred.fromCoroutine(answer(host))
            call.canceled = answering.cancel
            answering.addCallbacks(answered, failed)

        call = Call(self._host, limit, f"{location} doesn't answer")
        self._lan.request(call, self._host, location, REQUEST_HEAD + size, arrived)
        result: _T = await call.done
        return result

    def _reply(self, call: Call, host: LanHost, size: float, result: object) -> None:
        host.link.message(self._host.link, ANSWER_HEAD + size, lambda: call.end(result))


def _size_of(state: HolderState) -> float:
    """Bytes that the head of an answer says it in."""
    is_all = state.have == every_piece(state.pieces.count)
    return (3 if is_all else len(pack_set(state.have))) + LOCATION_SIZE * len(state.neighbors)


class _Answer(Flow):
    """Pieces that come from a holder, passed on to a sink."""

    __slots__ = ("_at", "_call", "_content", "_data", "_scale", "_sink")

    def __init__(
        self,
        holder: LanHost,
        caller: LanHost,
        content: ContentSlice,
        sink: ContentSink,
        call: Call,
        scale: float,
    ) -> None:
        content.file.seek(content.start)
        data = content.file.read(content.stop - content.start)
        content.file.close()
        super().__init__(holder.link, caller.link, len(data) * scale)
        self._content = content
        self._sink = sink
        self._call = call
        self._scale = scale
        self._data = bytes(byte ^ 1 for byte in data) if holder.lies else data
        #: Bytes of them that the sink has.
        self._at = 0

    def begin(self) -> None:
        """Announce them, and begin to send."""
        if self._sink.began(self._content.start, self._content.stop):
            self.start()
        else:
            self._content.upload.end()
            self._fail("it sends a range that was not asked for")

    def progressed(self, count: float) -> None:
        call = self._call
        if call.is_over:
            self.cancel()
            return
        call.heard_at = self.sender.wire.time.now
        at = self._at
        self._at = stop = len(self._data) if self.is_over else int(self.come / self._scale)
        if stop > at and self._sink.received(self._data[at:stop]) is None:
            self.cancel()
            self._fail("it sent more than was asked for")
        elif self.is_over:
            call.end(None)

    def broke_off(self) -> None:
        self._fail("it broke off in the middle")

    def ended(self) -> None:
        self._content.upload.end()

    def _fail(self, why: str) -> None:
        self._call.end(Failure(Unavailable(why)))


def _refusal(error: Exception) -> Failure:
    """Returns what the client makes of an answer that is an error."""
    if isinstance(error, Busy):
        return Failure(error)
    status = status_of(error)
    if status is None:
        raise error
    return Failure(Refused(status, str(error)))
