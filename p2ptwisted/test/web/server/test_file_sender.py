"""Tests of `p2ptwisted.web.server.file_sender`: a real file and a pair of sockets, no reactor."""

import os
import socket
from pathlib import Path
from typing import Any

from twisted.internet.interfaces import IReactorFDSet, ISSLTransport, ISystemHandle
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides, implementer
from zope.interface.verify import verifyObject

from p2ptwisted.web.server.file_sender import CantSendFile, FileSender, make_file_sender


@implementer(IReactorFDSet)
class Reactor(Clock):
    """Knows what waits for its socket."""

    def __init__(self) -> None:
        super().__init__()
        self.writers: list[Any] = []

    def addWriter(self, writer: Any) -> None:
        if writer not in self.writers:
            self.writers.append(writer)

    def removeWriter(self, writer: Any) -> None:
        if writer in self.writers:
            self.writers.remove(writer)

    def addReader(self, reader: Any) -> None: ...
    def removeReader(self, reader: Any) -> None: ...
    def removeAll(self) -> list[Any]:
        return []

    def getReaders(self) -> list[Any]:
        return []

    def getWriters(self) -> list[Any]:
        return self.writers


@implementer(ISystemHandle)
class SocketTransport(StringTransport):
    """A transport of a socket."""

    dataBuffer = b""

    def __init__(self, handle: socket.socket) -> None:
        super().__init__()
        self._handle = handle

    def getHandle(self) -> socket.socket:
        return self._handle


class FileSenderTests(SynchronousTestCase):
    """Ten bytes, sent from a file."""

    def setUp(self) -> None:
        path = Path(self.mktemp())
        path.write_bytes(b"0123456789")
        self.file = os.open(path, os.O_RDONLY)
        self.addCleanup(os.close, self.file)
        ours, self.theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(self.theirs.close)
        ours.setblocking(False)
        self.reactor = Reactor()
        self.transport = SocketTransport(ours)
        self.calls: list[str] = []
        self.sender = FileSender(
            self.reactor,
            self.transport,
            lambda: self.calls.append("writable"),
            lambda: self.calls.append("lost"),
        )
        self.addCleanup(self.sender.close)

    def test_sends(self) -> None:
        """The socket gets just these bytes of the file."""
        self.assertEqual(self.sender.send(self.file, 2, 5), 5)
        self.assertEqual(self.theirs.recv(100), b"23456")

    def test_full(self) -> None:
        """A socket that takes nothing more is no error."""
        while self.sender.send(self.file, 0, 10):
            pass
        self.assertEqual(self.sender.send(self.file, 0, 10), 0)

    def test_errors(self) -> None:
        """The file's end, a connection that is lost, and what can't be sent, are errors."""
        with self.assertRaises(OSError):
            self.sender.send(self.file, 10, 5)
        folder = os.open(os.curdir, os.O_RDONLY)
        self.addCleanup(os.close, folder)
        with self.assertRaises(CantSendFile):
            self.sender.send(folder, 0, 5)
        self.theirs.close()
        with self.assertRaises(OSError):
            self.sender.send(self.file, 0, 5)

    def test_turns(self) -> None:
        """It is called when the socket takes more, but not before what was written has left."""
        verifyObject(IReactorFDSet, self.reactor)
        self.sender.resume()
        (writer,) = self.reactor.writers
        self.transport.dataBuffer = b"head"
        writer.doWrite()
        self.assertEqual(self.calls, [])
        self.transport.dataBuffer = b""
        writer.doWrite()
        self.assertEqual(self.calls, ["writable"])
        self.sender.pause()
        self.assertEqual(self.reactor.writers, [])

    def test_lost(self) -> None:
        """Where the reactor finds the connection lost, it says so and is closed."""
        self.sender.resume()
        self.sender.connectionLost(Failure(ConnectionResetError()))
        self.assertEqual((self.calls, self.reactor.writers), (["lost"], []))
        for act in (self.sender.close, self.sender.pause, self.sender.resume):
            act()
        self.assertEqual((self.sender.fileno(), self.reactor.writers), (-1, []))

    def test_where_it_can(self) -> None:
        """There is one for plain TCP, on a reactor that has descriptors; else there is none."""

        def make(reactor: Clock, transport: StringTransport) -> FileSender | None:
            sender = make_file_sender(reactor, transport, lambda: None, lambda: None)
            if sender is not None:
                self.addCleanup(sender.close)
            return sender

        self.assertIsNotNone(make(self.reactor, self.transport))
        self.assertIsNone(make(Clock(), self.transport))
        self.assertIsNone(make(self.reactor, StringTransport()))
        alsoProvides(self.transport, ISSLTransport)
        self.assertIsNone(make(self.reactor, self.transport))
