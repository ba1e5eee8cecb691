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
from typing import BinaryIO

import msgspec
from msgspec import Struct

from p2ptwisted.beneath import open_regular
from p2ptwisted.pieces import Digests, piece_size
from p2ptwisted.scanning import Signature, is_unchanged, open_unchanged

#: Bytes read at a time.
BLOCK = 1024 * 1024

#: How much less of the processor a child gets than the daemon, when both want it.
NICENESS = 10


class Job(Struct, frozen=True, array_like=True):
    """A file of a folder to be hashed, in a child's input."""

    #: Both as the file system has them, for JSON has only what is Unicode.
    folder: bytes
    name: bytes
    signature: Signature


class Result(Struct, frozen=True, array_like=True):
    """In its output: the digests, those of the pieces in hex, or what went wrong."""

    id: str
    pieces: str
    error: int = 0


def hash_file(folder: Path, name: str, signature: Signature) -> Digests:
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


def _check_unchanged(file: BinaryIO, name: str, signature: Signature) -> None:
    if not is_unchanged(file, signature):
        raise FileNotFoundError(errno.ENOENT, "changed while it was hashed", name)


def hash_growing(path: Path, size: int, lines: Iterable[bytes]) -> str | None:
    """
    The digest of a file that will have `size` bytes.

    Of `lines` the first says which file it is, its device and inode, and each
    that follows how many bytes it has. By then it is on the disk, too. None
    where they end before. Raises OSError, where another file stands there too.
    """
    whole, hashed = hashlib.sha256(), 0
    told = iter(lines)
    first = next(told, None)
    if first is None:
        return None
    with open(open_regular(path, os.O_RDONLY | os.O_NOFOLLOW), "rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        if first.split() != [b"%d" % status.st_dev, b"%d" % status.st_ino]:
            raise FileNotFoundError(errno.ENOENT, "was replaced by another file", str(path))
        for line in told:
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
    """Which file it is and its sizes in, one digest out."""
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
            folder, name = Path(os.fsdecode(job.folder)), os.fsdecode(job.name)
            digests = hash_file(folder, name, job.signature)
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
