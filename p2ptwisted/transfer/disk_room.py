"""
Room on the disk: whether there is enough for a file, taken in advance, and given back.

All functions take the descriptor of an open file and raise OSError.
"""

import ctypes
import errno
import os
from collections.abc import Iterable, Iterator

#: Bytes reserved at a time: 9 ms of work where the disk is memory.
RESERVED_AT_ONCE = 32 * 1024 * 1024

#: Bytes of the blocks that `stat` counts a file's room in, whatever the disk's are.
STAT_BLOCK = 512

#: Of Linux's `fallocate`: without changing the file's size, make a hole. Python has only
#: `posix_fallocate`, which can't.
KEEP_SIZE, PUNCH_HOLE = 1, 2

_libc = ctypes.CDLL(None)
_fallocate = getattr(_libc, "fallocate64", None) or getattr(_libc, "fallocate", None)
if _fallocate is not None:
    _fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


def check_room(file: int, room: int) -> None:
    """
    Raise OSError (ENOSPC) if the disk has too little for the file to take `room` bytes in all.

    The disk isn't filled up to find that out.
    """
    disk, status = os.fstatvfs(file), os.fstat(file)
    missing = room - status.st_blocks * STAT_BLOCK
    # Some file systems don't tell how large they are.
    if disk.f_blocks and missing > disk.f_bavail * disk.f_frsize:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def reserve_room(file: int, spans: Iterable[tuple[int, int]]) -> Iterator[None]:
    """Take the room for these spans of the file, in slices of work."""
    for begin, stop in spans:
        for start in range(begin, stop, RESERVED_AT_ONCE):
            os.posix_fallocate(file, start, min(RESERVED_AT_ONCE, stop - start))
            yield


def makes_holes(file: int, size: int) -> bool:
    """Whether the file system can make holes in the file, which has no more than `size` bytes."""
    return punch_hole(file, size, size + 1)


def punch_hole(file: int, start: int, stop: int) -> bool:
    """
    Give back the room of these bytes, which read as zeros then.

    Returns False, and nothing is changed, where that can't be done.
    """
    if _fallocate is None:
        return False
    failed: int = _fallocate(file, KEEP_SIZE | PUNCH_HOLE, start, stop - start)
    return not failed
