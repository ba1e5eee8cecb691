"""
Sending a file through a connection without reading it: the kernel copies from the page cache
into the socket. Only over plain TCP, for TLS needs the bytes.
"""

import errno
import os
import socket
from collections.abc import Callable
from typing import cast

from twisted.internet.interfaces import (
    IReactorFDSet,
    IReactorTime,
    ISSLTransport,
    ISystemHandle,
    ITransport,
    IWriteDescriptor,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from p2ptwisted.support.twisted_internals.reactor import has_buffered

#: What `os.sendfile` fails with where it can't send from this file, which can still be read.
_UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


class CantSendFile(Exception):
    """The kernel can't send from this file by itself."""


@implementer(IWriteDescriptor)
class FileSender:
    """
    Calls a function whenever a connection's socket takes more, to send some of a file.

    It has a descriptor of its own of the same socket, for the reactor knows the socket's
    already, and asks the connection's transport whether that has something to send.
    """

    def __init__(
        self,
        reactor: IReactorFDSet,
        transport: ITransport,
        writable: Callable[[], None],
        lost: Callable[[], None],
    ) -> None:
        """
        Close it when it is not needed any more.

        `writable` is called when the socket takes more; `lost`, where the reactor finds that
        the connection is lost before its transport does.
        """
        self._reactor = reactor
        self._transport = transport
        self._writable = writable
        self._lost = lost
        handle = cast(socket.socket, ISystemHandle(transport).getHandle())
        self._descriptor = os.dup(handle.fileno())

    def send(self, file: int, start: int, count: int) -> int:
        """
        Send up to `count` bytes of a file from `start` on; returns how many the socket took.

        Raises CantSendFile, and OSError where the file can't be read any more or the connection
        is lost.
        """
        try:
            sent = os.sendfile(self._descriptor, file, start, count)
        except BlockingIOError:
            return 0
        except OSError as error:
            if error.errno in _UNSUPPORTED:
                raise CantSendFile from error
            raise
        if not sent:
            raise OSError(errno.EIO, "the file ends before what is to be sent")
        return sent

    def resume(self) -> None:
        """Call `writable` from now on."""
        if self._descriptor >= 0:
            self._reactor.addWriter(self)

    def pause(self) -> None:
        """Call `writable` no more."""
        if self._descriptor >= 0:
            self._reactor.removeWriter(self)

    def close(self) -> None:
        """Be done with it."""
        if self._descriptor >= 0:
            self._reactor.removeWriter(self)
            os.close(self._descriptor)
            self._descriptor = -1

    # -- for the reactor

    def fileno(self) -> int:
        return self._descriptor

    def logPrefix(self) -> str:
        return type(self).__name__

    def doWrite(self) -> None:
        # What was written before comes first.
        if not has_buffered(self._transport):
            self._writable()

    def connectionLost(self, reason: Failure) -> None:
        self.close()
        self._lost()


def make_file_sender(
    reactor: IReactorTime,
    transport: ITransport,
    writable: Callable[[], None],
    lost: Callable[[], None],
) -> FileSender | None:
    """Return a FileSender; None where this reactor or this connection can't have one."""
    if (
        not IReactorFDSet.providedBy(reactor)
        or not ISystemHandle.providedBy(transport)
        or ISSLTransport.providedBy(transport)
    ):
        return None
    return FileSender(cast(IReactorFDSet, reactor), transport, writable, lost)
