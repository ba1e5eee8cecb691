"""
The digests of a file: its id and those of its pieces, in one pass.

`main` runs in the child processes of `hash_pool`. It knows nothing of Twisted, so that
it starts fast. It reads jobs from its standard input, a line of JSON each, and
answers each with a line.
"""

import errno
import hashlib
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from p2ptwisted.model import FileStamp
from p2ptwisted.pieces import DIGEST, Digests, piece_size
from p2ptwisted.support.open_writers import has_writers
from p2ptwisted.support.safe_open import is_unchanged, open_unchanged

#: Bytes read at a time.
BLOCK = 1024 * 1024

#: Seconds that a file must have been left alone where the system doesn't say who is writing.
UNTOLD_SETTLE = 5.0

#: How much less of the processor a child gets than the daemon, when both want it.
NICENESS = 10


class Job(Struct, frozen=True, array_like=True):
    """A line of a child's input: a file of a folder, to be hashed."""

    #: Both as the file system has them, for JSON has only what is Unicode.
    folder: bytes
    name: bytes
    stamp: FileStamp


class Result(Struct, frozen=True, array_like=True):
    """A line of its output: the digests, the concatenated ones in hex, or an `errno`."""

    id: str
    pieces: str
    error: int = 0
    prefixes: str = ""


def hash_file(folder: Path, name: str, stamp: FileStamp) -> Digests:
    """
    The digests of the file of that name in a folder, if it has and keeps that stamp.

    Raises OSError: FileNotFoundError among them if it has another, and one with EBUSY if somebody
    has it open for writing.
    """
    length = piece_size(stamp.size)
    file_digest, pieces, prefixes = hashlib.sha256(), bytearray(), bytearray()
    with open_unchanged(folder, name, stamp) as file:
        _check_idle(file, name, stamp)
        piece, left = hashlib.sha256(), length
        while data := file.read(min(BLOCK, left)):
            file_digest.update(data)
            piece.update(data)
            left -= len(data)
            if not left:
                pieces += piece.digest()
                prefixes += file_digest.digest()
                piece, left = hashlib.sha256(), length
            # What is left of a removed file may be so much that hashing it would take days.
            _check_unchanged(file, name, stamp)
        if left < length:
            pieces += piece.digest()
            prefixes += file_digest.digest()
        # In this order: whoever begins to write after the first changes the stamp.
        _check_idle(file, name, stamp)
        _check_unchanged(file, name, stamp)
    if len(pieces) <= DIGEST:
        prefixes.clear()  # What the only piece's digest says.
    return Digests(file_digest.hexdigest(), bytes(pieces), bytes(prefixes))


def _check_unchanged(file: BinaryIO, name: str, stamp: FileStamp) -> None:
    if not is_unchanged(file, stamp):
        raise FileNotFoundError(errno.ENOENT, "changed while it was hashed", name)


def _check_idle(file: BinaryIO, name: str, stamp: FileStamp) -> None:
    busy = has_writers(file.fileno())
    if busy is None:
        # A time in the future says nothing.
        busy = 0 <= time.time() - stamp.mtime_ns / 1e9 < UNTOLD_SETTLE
    if busy:
        raise OSError(errno.EBUSY, "is being written", name)


def main(arguments: Sequence[str]) -> None:
    """Read jobs and write results until the input ends; takes no `arguments`."""
    os.nice(NICENESS)
    decoder = msgspec.json.Decoder(Job)
    for line in sys.stdin.buffer:
        job = decoder.decode(line)
        try:
            folder, name = Path(os.fsdecode(job.folder)), os.fsdecode(job.name)
            digests = hash_file(folder, name, job.stamp)
            result = Result(digests.id, digests.pieces.hex(), 0, digests.prefixes.hex())
        except OSError as error:
            result = Result("", "", error.errno or errno.EIO)
        sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")
        sys.stdout.buffer.flush()
