"""
Linux's inotify: a descriptor that tells what happens in folders.

Twisted's own doesn't say why a folder can't be watched, hides that events were lost, and closes
itself when any watched folder is removed.
"""

import ctypes
import os
import struct
from collections.abc import Callable

from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

_libc = ctypes.CDLL(None, use_errno=True)

if not hasattr(_libc, "inotify_init1"):
    raise ImportError("this system has no inotify")

_libc.inotify_add_watch.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32]

#: What happens, and flags of watches, as <sys/inotify.h> has them.
ATTRIB = 0x4
CLOSE_WRITE = 0x8
MOVED_FROM = 0x40
MOVED_TO = 0x80
CREATE = 0x100
DELETE = 0x200
DELETE_SELF = 0x400
MOVE_SELF = 0x800
UNMOUNT = 0x2000
Q_OVERFLOW = 0x4000
IGNORED = 0x8000
ONLYDIR = 0x0100_0000
DONT_FOLLOW = 0x0200_0000
ISDIR = 0x4000_0000

#: Bytes of events that are read at a time: about 500 of them.
READ_MAX = 16 * 1024

#: An event before its name: watch, mask, cookie, length of the name.
_HEAD = struct.Struct("iIII")


@implementer(IReadDescriptor)
class Inotify:
    """An inotify instance that a reactor reads."""

    def __init__(self, reactor: IReactorFDSet, received: Callable[[int, int, bytes], None]) -> None:
        """
        Open it, and read it from now on. Raises OSError.

        `received` is called with the watch, the mask and the name of each event.
        """
        self._reactor = reactor
        self._received = received
        self._descriptor = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        reactor.addReader(self)

    def add(self, path: bytes, mask: int) -> int:
        """Watch a folder, and return the watch: the one that it has, if any. Raises OSError."""
        return _checked(_libc.inotify_add_watch(self._descriptor, path, mask))

    def remove(self, watch: int) -> None:
        """Give up a watch; one that the system has given up already does no harm."""
        _libc.inotify_rm_watch(self._descriptor, watch)

    def close(self) -> None:
        """Close it: nothing is received any more."""
        if self._descriptor >= 0:
            self._reactor.removeReader(self)
            os.close(self._descriptor)
            self._descriptor = -1

    # -- IReadDescriptor

    def fileno(self) -> int:
        return self._descriptor

    def doRead(self) -> None:
        try:
            data = os.read(self._descriptor, READ_MAX)
        except BlockingIOError:
            return
        offset = 0
        # What is received may make the receiver close this.
        while offset < len(data) and self._descriptor >= 0:
            watch, mask, _, length = _HEAD.unpack_from(data, offset)
            offset += _HEAD.size
            name = data[offset : offset + length].rstrip(b"\0")
            offset += length
            self._received(watch, mask, name)

    def connectionLost(self, reason: Failure) -> None:
        self.close()

    def logPrefix(self) -> str:
        return "inotify"


def _checked(result: int) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
