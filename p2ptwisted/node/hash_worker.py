"""
The digests of a file: the id of the whole and those of its pieces, in one pass.

`main` is a child process of `hash_pool`, and knows nothing of Twisted, so that it
starts fast. It reads jobs from its standard input, a line of JSON each, and
answers each with a line.
"""

import errno
import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from p2ptwisted.node.folder_walk import FileStamp, is_unchanged, open_unchanged
from p2ptwisted.pieces import Digests, piece_size

#: Bytes read at a time.
BLOCK = 1024 * 1024

#: How much less of the processor a child gets than the daemon, when both want it.
NICENESS = 10


class Job(Struct, frozen=True, array_like=True):
    """A file of a folder to be hashed, in a child's input."""

    #: Both as the file system has them, for JSON has only what is Unicode.
    folder: bytes
    name: bytes
    signature: FileStamp


class Result(Struct, frozen=True, array_like=True):
    """In its output: the digests, those of the pieces in hex, or what went wrong."""

    id: str
    pieces: str
    error: int = 0


def hash_file(folder: Path, name: str, signature: FileStamp) -> Digests:
    """
    The digests of a file of a folder that is, and stays, the one with that signature.

    Raises OSError, FileNotFoundError among them where it is another one.
    """
    length = piece_size(signature.size)
    whole, pieces = hashlib.sha256(), bytearray()
    with open_unchanged(folder, name, signature) as file:
        piece, left = hashlib.sha256(), length
        while data := file.read(min(BLOCK, left)):
            whole.update(data)
            piece.update(data)
            left -= len(data)
            if not left:
                pieces += piece.digest()
                piece, left = hashlib.sha256(), length
            # Of one that was removed there may be so much left that it would take days.
            _check_unchanged(file, name, signature)
        if left < length:
            pieces += piece.digest()
        _check_unchanged(file, name, signature)
    return Digests(whole.hexdigest(), bytes(pieces))


def _check_unchanged(file: BinaryIO, name: str, signature: FileStamp) -> None:
    if not is_unchanged(file, signature):
        raise FileNotFoundError(errno.ENOENT, "changed while it was hashed", name)


def main(arguments: Sequence[str]) -> None:
    """Jobs in, results out, until the input ends; `arguments`: none."""
    os.nice(NICENESS)
    decoder = msgspec.json.Decoder(Job)
    for line in sys.stdin.buffer:
        job = decoder.decode(line)
        try:
            folder, name = Path(os.fsdecode(job.folder)), os.fsdecode(job.name)
            digests = hash_file(folder, name, job.signature)
            result = Result(digests.id, digests.pieces.hex())
        except OSError as error:
            result = Result("", "", error.errno or errno.EIO)
        sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")
        sys.stdout.buffer.flush()
