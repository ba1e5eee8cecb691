"""
The digest of a file that is still growing, made in a child process of `file_digest`.
It knows nothing of Twisted, so that it starts fast.
"""

import errno
import hashlib
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from p2ptwisted.support.safe_open import open_regular

#: Bytes read at a time.
BLOCK = 1024 * 1024


def hash_growing(path: Path, size: int, lines: Iterable[bytes]) -> str | None:
    """
    The digest, in hex, of a file that will have `size` bytes, which are on the disk by then.

    The first of `lines` is the file's device and inode, and each that follows
    the bytes that it has so far. None if they end before `size`. Raises
    OSError, also if another file is at that path.
    """
    digest, hashed = hashlib.sha256(), 0
    messages = iter(lines)
    first = next(messages, None)
    if first is None:
        return None
    with open(open_regular(path, os.O_RDONLY | os.O_NOFOLLOW), "rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        if first.split() != [b"%d" % status.st_dev, b"%d" % status.st_ino]:
            raise FileNotFoundError(errno.ENOENT, "was replaced by another file", str(path))
        for line in messages:
            while hashed < min(int(line), size):
                data = file.read(min(BLOCK, int(line) - hashed))
                if not data:
                    raise OSError(errno.EIO, "cut off while it was hashed", str(path))
                digest.update(data)
                hashed += len(data)
            if hashed == size:
                # Here, for it can take seconds, in which a daemon would stand still.
                os.fsync(file.fileno())
                return digest.hexdigest()
    return None


def main(arguments: Sequence[str]) -> None:
    """
    Read `hash_growing`'s lines from standard input and write one digest.

    `arguments` are the absolute path of the file and its final size.
    """
    path, size = arguments
    digest = hash_growing(Path(path), int(size), sys.stdin.buffer)
    if digest is not None:
        sys.stdout.write(digest + "\n")
