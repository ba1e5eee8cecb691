"""Plain sockets that speak in a group on loopback: any datagram, of the format or not."""

import socket
import struct
import threading
from collections.abc import Callable, Iterable

from twisted.trial.unittest import SynchronousTestCase

#: Seconds that a speaker waits for what it is to hear.
PATIENCE = 10.0

#: Bytes that may wait to be heard, and Linux's option for more than is usual.
WAITING, SO_RCVBUFFORCE = 4 * 1024 * 1024, 33

LOOPBACK = socket.inet_aton("127.0.0.1")


class Speaker:
    """Says anything to the group, and hears what is said straight to it."""

    def __init__(self, case: SynchronousTestCase, group: str) -> None:
        """`group` is `address:port`."""
        address, _, port = group.partition(":")
        self._group = address, int(port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, LOOPBACK)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(PATIENCE)
        case.addCleanup(self._socket.close)

    def say(self, datagram: bytes) -> None:
        self._socket.sendto(datagram, self._group)

    def hear(self) -> bytes:
        return self._socket.recv(2048)


class Answerer:
    """Hears the group, and answers whoever says something there."""

    def __init__(
        self,
        case: SynchronousTestCase,
        group: str,
        answer: Callable[[bytes], Iterable[bytes]],
    ) -> None:
        """`answer` gives the datagrams to send back for one that was heard."""
        address, _, port = group.partition(":")
        self._group = address, int(port)
        self._answer = answer
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, WAITING)
        self._socket.bind(self._group)
        membership = struct.pack("4s4s", socket.inet_aton(address), LOOPBACK)
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, LOOPBACK)
        self._closed = False
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()
        case.addCleanup(self._close)

    def _listen(self) -> None:
        while True:
            datagram, source = self._socket.recvfrom(2048)
            if self._closed:
                return
            for reply in self._answer(datagram):
                self._socket.sendto(reply, source)

    def _close(self) -> None:
        self._closed = True
        self._socket.sendto(b"", self._group)  # Its own datagram wakes it.
        self._thread.join()
        self._socket.close()
