"""Copies of files: with their holes, in slices, under a hidden name until they are complete."""

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from itertools import groupby
from typing import BinaryIO

from twisted.internet.task import Cooperator

from p2ptwisted.transfer.disk_room import STAT_BLOCK
from p2ptwisted.transfer.part_file import SLICE
from p2ptwisted.transfer.target_folder import TargetFolder

#: The bits of a mode that a copy keeps: without setuid, setgid and sticky.
PERMISSIONS = 0o777

#: Bytes of the least hole that is kept: the block of most file systems.
BLOCK = 4096

_ZEROS = bytes(SLICE)


async def copy_file(
    cooperator: Cooperator,
    file: BinaryIO,
    target: TargetFolder,
    name: str,
    digest: "hashlib._Hash",
    overwrite: bool = False,
    id: str | None = None,
) -> bool:
    """
    Copy the file, and feed it to the digest; False where another file has that name.

    With `overwrite` it takes the place of that file. With an `id` it is False, too, where the
    content isn't that. Raises OSError.
    """
    # Hidden, so that a node doesn't look at it before it is whole.
    temporary = f".p2p-{secrets.token_hex(8)}"
    copy = target.make(temporary, os.O_WRONLY, 0o600)
    try:
        # A file system without modes, such as a USB stick's, will do too.
        with suppress(PermissionError):
            os.fchmod(copy, os.fstat(file.fileno()).st_mode & PERMISSIONS)
        await cooperator.coiterate(copy_slices(file, copy, digest))
        if id is not None and digest.hexdigest() != id:
            return False
        if overwrite:
            target.replace(temporary, name)
        else:
            target.put(temporary, name)
    except FileExistsError:
        return False
    finally:
        os.close(copy)
        target.remove(temporary)
    return True


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
