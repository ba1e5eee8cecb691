"""Targets that are files which the daemon has written itself, and finds again damaged."""

import functools
import hashlib
import tempfile
from pathlib import Path

from hypothesis import strategies as st
from twisted.internet.task import Clock

from fuzz.damage import any_of, damaged
from fuzz.formats import ID
from fuzz.target import Target
from p2ptwisted.errors import Unavailable
from p2ptwisted.model import NodeInfo, ResourceInfo
from p2ptwisted.pieces import MIB, Pieces
from p2ptwisted.test.fakes import open_registry
from p2ptwisted.test.node_fakes import one_by_one, work
from p2ptwisted.transfer.part_file import PartFile
from p2ptwisted.transfer.part_names import JOURNAL, PART

#: A resource of three pieces.
_SIZE = 2 * MIB + 5
_CONTENT = bytes(_SIZE)


def _digest(start: int) -> bytes:
    return hashlib.sha256(_CONTENT[start : start + MIB]).digest()


PIECES = Pieces(_SIZE, b"".join(_digest(start) for start in range(0, _SIZE, MIB)))


@functools.cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp())


@functools.cache
def _journal() -> bytes:
    """A good journal: two pieces are here."""
    part = PartFile(_folder() / "good", ID, PIECES)
    for piece in (0, 2):
        part.verified(piece)
    part.close()
    return (_folder() / f"good{JOURNAL}").read_bytes()


def check_part(given: tuple[bytes, int | None]) -> None:
    """Whatever the journal says, only pieces that are here and right are counted in the end."""
    journal, spoilt = given
    path = _folder() / "file"
    with open(f"{path}{PART}", "wb") as file:
        file.truncate(_SIZE)
        if spoilt is not None:
            file.seek(spoilt)
            file.write(b"x")
    Path(f"{path}{JOURNAL}").write_bytes(journal)
    try:
        part = PartFile(path, ID, PIECES)
    except Unavailable:
        return
    try:
        assert 0 <= part.have < 1 << PIECES.count
        for _ in part.recheck():
            pass
        for piece in range(PIECES.count):
            if part.have >> piece & 1:
                start, stop = PIECES.span(piece)
                assert spoilt is None or not start <= spoilt < stop, (piece, spoilt)
    finally:
        part.close()


A, B = NodeInfo("a", "10.0.0.1:1"), NodeInfo("b", "10.0.0.2:1")
X, Y = ResourceInfo(ID, "x.bin", 7, other_names=("z.bin", "a")), ResourceInfo("y", "y.txt")


@functools.cache
def _state() -> bytes:
    """A good registry's file."""
    folder = _folder() / "state"
    clock = Clock()
    registry = open_registry(one_by_one(clock), folder)
    registry.register(A, [X, Y])
    registry.register(B, [X])
    work(clock)
    registry.close()
    return (folder / "registry.sqlite").read_bytes()


def check_state(data: bytes) -> None:
    """Whatever is in the file, the registry opens, and takes what the nodes tell it."""
    folder = _folder() / "damaged"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    (folder / "registry.sqlite").write_bytes(data)
    clock = Clock()
    registry = open_registry(one_by_one(clock), folder)
    try:
        for node in (A, B):
            # Of what SQLite's quick check overlooks some comes to light now, the rest never.
            registered = registry.register(node, [X, Y])
            work(clock)
            assert registered.called
        registry.holdings([X.id, Y.id])
        registry.holders(X.id)
        registry.find("x.bin")
        registry.remove(A.location)
        work(clock)
        assert A.location not in [node.location for node in registry.nodes()]
        assert len(list(folder.glob("*.damaged-*"))) <= 1
    finally:
        registry.close()


TARGETS = [
    Target(
        "parts",
        st.deferred(lambda: st.tuples(any_of(_journal()), st.none() | st.integers(0, _SIZE - 1))),
        check_part,
    ),
    Target("states", st.deferred(lambda: damaged([_state()])), check_state),
]
