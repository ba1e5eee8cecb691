"""
What a node says of a resource's pieces: in JSON to everybody, compactly to other nodes, and in
the head of every answer which of them it has by now.
"""

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.web.server import Request
from werkzeug.http import parse_accept_header
from zope.interface import implementer

from p2ptwisted.errors import NotReadable
from p2ptwisted.model import (
    COMPACT_TYPE,
    HAS_ALL,
    HAVE_HEADER,
    NEIGHBORS_HEADER,
    CompactManifest,
    Manifest,
)
from p2ptwisted.pieces import (
    MIB,
    HolderState,
    Pieces,
    encode_set,
    every_piece,
    pack_set,
    piece_size,
)
from p2ptwisted.web.conditions import unmet_condition
from p2ptwisted.web.error_responses import not_sent

#: Bytes of the smallest piece of version 0.2, and how many pieces it cut a resource into at most.
EARLIER_PIECE_MIN, EARLIER_PIECES = MIB, 1_024


def tell_state(request: Request, state: HolderState) -> None:
    """Say in the answer's head which pieces are here, and which other nodes fetch the resource."""
    is_complete = state.have == every_piece(state.pieces.count)
    have = HAS_ALL if is_complete else pack_set(state.have)
    request.setHeader(HAVE_HEADER, have.encode())
    if state.neighbors:
        request.setHeader(NEIGHBORS_HEADER, ", ".join(state.neighbors).encode())


def is_compact_wanted(request: Request) -> bool:
    """Whether the client names the compact form as one that it reads."""
    accept = request.getHeader(b"accept") or b""
    return COMPACT_TYPE in parse_accept_header(accept.decode("latin-1")).values()


def check_readable(request: Request, pieces: Pieces) -> None:
    """
    Raise NotReadable for a node of version 0.2 or before, where it can't read how this was cut.

    It reckons the length of a piece by itself, and would find that the manifest makes no sense. It
    is known by saying neither what it accepts nor what it is, as every other client does.
    """
    if request.getHeader(b"accept") is None and request.getHeader(b"user-agent") is None:
        earlier = piece_size(pieces.size, EARLIER_PIECE_MIN, EARLIER_PIECES)
        if pieces.count > 1 and pieces.length != earlier:
            raise NotReadable(
                f"this node cuts it into pieces of {pieces.length} bytes, and p2ptwisted 0.2 reads "
                f"only {earlier}: install the version of this node, or fetch it with curl from "
                "/content"
            )


def compact_manifest(request: Request, pieces: Pieces) -> bytes:
    """The body of a compact manifest; empty, with a 304, where the client says it has it."""
    request.setHeader(b"vary", b"accept")
    unmet = unmet_condition(request, pieces.tag)
    if unmet is not None:
        return not_sent(request, unmet)
    body = msgspec.msgpack.encode(
        CompactManifest(pieces.size, pieces.length, pieces.digests, pieces.prefixes)
    )
    request.setHeader(b"content-type", COMPACT_TYPE.encode())
    request.setHeader(b"content-length", b"%d" % len(body))
    return body


async def send_manifest(request: Request, body: bytes) -> None:
    """Write the body of a compact manifest, and wait until the system has taken all of it."""
    sending = _Sending()
    request.registerProducer(sending, True)
    try:
        request.write(body)
        if sending.is_paused:
            await sending.taken
    finally:
        request.unregisterProducer()


@implementer(IPushProducer)
class _Sending:
    """What has been written to a connection, all at once."""

    def __init__(self) -> None:
        self.is_paused = False
        #: Fires when all of it is taken; fails with CancelledError where the client has gone.
        self.taken: Deferred[None] = Deferred()

    def pauseProducing(self) -> None:
        self.is_paused = True

    def resumeProducing(self) -> None:
        if self.is_paused and not self.taken.called:
            self.taken.callback(None)

    def stopProducing(self) -> None:
        if self.is_paused and not self.taken.called:
            self.taken.errback(CancelledError())


def manifest(id: str, state: HolderState) -> Manifest:
    """The manifest for people and for other programs."""
    pieces = state.pieces
    digests = [pieces.digest(piece).hex() for piece in range(pieces.count)]
    part = None if state.have == every_piece(pieces.count) else encode_set(state.have)
    return Manifest(id, pieces.size, pieces.length, digests, part)
