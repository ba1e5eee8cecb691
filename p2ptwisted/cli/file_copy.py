"""Copying a file with its holes, in slices."""

import os
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, BinaryIO

from p2ptwisted.transfer.disk_room import STAT_BLOCK
from p2ptwisted.transfer.part_file import SLICE

if TYPE_CHECKING:
    import hashlib

#: Bytes of the least hole that is kept: the block of most file systems.
BLOCK = 4096

_ZEROS = bytes(SLICE)


def copy_slices(file: BinaryIO, copy: int, digest: "hashlib._Hash") -> Iterator[None]:
    """
    Copy a file to an open one, which is empty, and feed it to a digest, in slices of work.

    Blocks of zeros become holes where the file has some. One that has none, such as a disk that
    was filled with zeros for its room, has none in the copy.
    """
    status = os.fstat(file.fileno())
    is_sparse = status.st_blocks * STAT_BLOCK < status.st_size
    while data := file.read(SLICE):
        digest.update(data)
        if not is_sparse:
            _write(copy, data)
        elif data == _ZEROS[: len(data)]:
            os.lseek(copy, len(data), os.SEEK_CUR)
        else:
            _write_blocks(copy, data)
        yield
    if is_sparse:
        os.ftruncate(copy, os.lseek(copy, 0, os.SEEK_CUR))


def _write_blocks(copy: int, data: bytes) -> None:
    """Write at the file's position, leaving out blocks of zeros."""
    blocks = (data[at : at + BLOCK] for at in range(0, len(data), BLOCK))
    for is_hole, run in groupby(blocks, lambda block: block == _ZEROS[: len(block)]):
        if is_hole:
            os.lseek(copy, sum(map(len, run)), os.SEEK_CUR)
        else:
            _write(copy, b"".join(run))


def _write(copy: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(copy, view) :]
