"""
The digests of a file: the id of the whole and those of its pieces, in one pass.

`main` is what a child process does, and knows nothing of Twisted, so that it
is there in no time. Without arguments it is one of `hash_pool`: it reads jobs
from its standard input, a line of JSON each, and answers each with a line.
With PATH and SIZE it is one of `transfer.whole`: it hashes a file that is
still growing.
"""

import errno
import hashlib
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from p2ptwisted.pieces import Digests, piece_size
from p2ptwisted.scanning import Signature, is_unchanged, open_unchanged

#: Bytes read at a time.
BLOCK = 1024 * 1024

#: How much less of the processor a child gets than the daemon, when both want it.
NICENESS = 10


class Job(Struct, frozen=True, array_like=True):
    """A file to be hashed, in a child's input."""

    #: As the file system has it, for JSON has only what is Unicode.
    path: bytes
    signature: Signature


class Result(Struct, frozen=True, array_like=True):
    """In its output: the digests, those of the pieces in hex, or what went wrong."""

    id: str
    pieces: str
    error: int = 0


def hash_file(path: Path, signature: Signature) -> Digests:
    """
    The digests of a file that is, and stays, the one with that signature.

    Raises OSError, FileNotFoundError among them where it is another one.
    """
    length = piece_size(signature.size)
    whole, pieces = hashlib.sha256(), bytearray()
    with open_unchanged(path, signature) as file:
        piece, left = hashlib.sha256(), length
        while data := file.read(min(BLOCK, left)):
            whole.update(data)
            piece.update(data)
            left -= len(data)
            if not left:
                pieces += piece.digest()
                piece, left = hashlib.sha256(), length
        if left < length:
            pieces += piece.digest()
        if not is_unchanged(file, signature):
            raise FileNotFoundError(errno.ENOENT, "changed while it was hashed", str(path))
    return Digests(whole.hexdigest(), bytes(pieces))


def hash_growing(path: Path, size: int, grown: Iterable[bytes]) -> str | None:
    """
    The digest of a file that will have `size` bytes; each of `grown` says how many it has.

    By then it is on the disk, too. None where `grown` ends before. Raises OSError.
    """
    whole, hashed = hashlib.sha256(), 0
    with open(path, "rb", buffering=0) as file:
        for line in grown:
            while hashed < min(int(line), size):
                data = file.read(min(BLOCK, int(line) - hashed))
                if not data:
                    raise OSError(errno.EIO, "cut off while it was hashed", str(path))
                whole.update(data)
                hashed += len(data)
            if hashed == size:
                # Here, for it can take seconds, in which a daemon would stand still.
                os.fsync(file.fileno())
                return whole.hexdigest()
    return None


def follow(path: Path, size: int) -> None:
    """Sizes in, one digest out."""
    digest = hash_growing(path, size, sys.stdin.buffer)
    if digest is not None:
        sys.stdout.write(digest + "\n")


def work() -> None:
    """Jobs in, results out, until the input ends."""
    os.nice(NICENESS)
    decoder = msgspec.json.Decoder(Job)
    for line in sys.stdin.buffer:
        job = decoder.decode(line)
        try:
            digests = hash_file(Path(os.fsdecode(job.path)), job.signature)
            result = Result(digests.id, digests.pieces.hex())
        except OSError as error:
            result = Result("", "", error.errno or errno.EIO)
        sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")
        sys.stdout.buffer.flush()


def main(arguments: Sequence[str]) -> None:
    """A child process, from its arguments on; `children` starts it."""
    if arguments:
        path, size = arguments
        follow(Path(path), int(size))
    else:
        work()
