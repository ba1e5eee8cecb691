"""
A large file of which only some bytes exist: it has as many pieces as it should, each of a
few bytes, so that its content costs next to nothing.
"""

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from random import Random
from types import ModuleType
from typing import Any

from p2ptwisted import pieces
from p2ptwisted.node import fetchers
from p2ptwisted.pieces import Pieces, pieces_of
from p2ptwisted.transfer import candidates, piece_deadline, piece_picker

#: Bytes of a piece.
TINY = 16


@dataclass(frozen=True)
class TinyFile:
    """A file of so many pieces, each of which stands for `piece_size` bytes."""

    count: int
    piece_size: int
    seed: int = 0

    @property
    def scale(self) -> float:
        """How many bytes on a link each byte stands for."""
        return self.piece_size / TINY

    @property
    def size(self) -> int:
        """Bytes that it stands for."""
        return self.count * self.piece_size

    @cached_property
    def content(self) -> bytes:
        """All bytes that exist."""
        return Random(self.seed).randbytes(self.count * TINY)

    @cached_property
    def id(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def pieces(self) -> Pieces:
        """How it is cut."""
        starts = range(0, len(self.content), TINY)
        digests = [hashlib.sha256(self.content[at : at + TINY]).digest() for at in starts]
        return pieces_of(len(self.content), b"".join(digests))


@contextmanager
def tiny_pieces(file: TinyFile, random: Random) -> Iterator[None]:
    """
    Have the real code cut files into pieces of TINY bytes, and choose at `random`.

    What it knows in bytes a second is scaled, too.
    """
    with ExitStack() as stack:
        stack.enter_context(_patched(pieces, PIECE_MIN=TINY))
        slowest = piece_deadline.SLOWEST / file.scale
        stack.enter_context(_patched(piece_deadline, SLOWEST=slowest))
        fork = lambda: Random(random.getrandbits(64))  # noqa: E731  it stands for a class
        for module in (candidates, fetchers, piece_picker):
            stack.enter_context(_patched(module, Random=fork))
        yield


@contextmanager
def _patched(module: ModuleType, **values: Any) -> Iterator[None]:
    before = {name: vars(module)[name] for name in values}
    vars(module).update(values)
    try:
        yield
    finally:
        vars(module).update(before)
