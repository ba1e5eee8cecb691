"""
What the child of `torrents` runs: the SHA-1s of a file's pieces. It knows nothing of Twisted, so
that it starts fast.
"""

import hashlib
import os
import sys
from collections.abc import Sequence

#: Bytes read at a time.
BLOCK = 1024 * 1024

#: How much less of the processor it gets than the daemon, when both want it.
NICENESS = 10


def main(arguments: Sequence[str]) -> None:
    """
    Read the file that is the standard input, and write its SHA-256 and the SHA-1s of its pieces.

    `arguments`: the bytes of a piece.
    """
    os.nice(NICENESS)
    length = int(arguments[0])
    file_digest, pieces = hashlib.sha256(), bytearray()
    # BitTorrent's choice, and no safeguard of ours: that is the SHA-256.
    piece, left = hashlib.sha1(usedforsecurity=False), length
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as file:
        while data := file.read(min(BLOCK, left)):
            file_digest.update(data)
            piece.update(data)
            left -= len(data)
            if not left:
                pieces += piece.digest()
                piece, left = hashlib.sha1(usedforsecurity=False), length
    if left < length:
        pieces += piece.digest()
    sys.stdout.buffer.write(file_digest.digest() + pieces)
    sys.stdout.buffer.flush()
