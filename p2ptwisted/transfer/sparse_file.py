"""Room that a file has and doesn't need, given back to the disk: holes in it."""

import ctypes

#: Of Linux's `fallocate`: without changing the file's size, make a hole. Python has only
#: `posix_fallocate`, which can't.
KEEP_SIZE, PUNCH_HOLE = 1, 2

_libc = ctypes.CDLL(None)
_fallocate = getattr(_libc, "fallocate64", None) or getattr(_libc, "fallocate", None)
if _fallocate is not None:
    _fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


def make_hole(file: int, start: int, stop: int) -> None:
    """Give back the room of these bytes, which are zeros then; where it can't be had, they stay."""
    if _fallocate is not None:
        _fallocate(file, KEEP_SIZE | PUNCH_HOLE, start, stop - start)
