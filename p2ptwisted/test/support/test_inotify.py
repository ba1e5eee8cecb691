"""Tests of `p2ptwisted.support.inotify`: the kernel's inotify, read when the test says."""

import errno
import os
from pathlib import Path

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2ptwisted.support import inotify
from p2ptwisted.support.inotify import Inotify
from p2ptwisted.test.node_fakes import DescriptorReactor, open_descriptors


class InotifyTests(SynchronousTestCase):
    """Events of folders."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir(parents=True)
        self.before = open_descriptors()
        self.reactor = DescriptorReactor()
        self.events: list[tuple[int, int, bytes]] = []
        self.inotify = Inotify(self.reactor, self.received)
        self.addCleanup(self.inotify.close)

    def received(self, watch: int, mask: int, name: bytes) -> None:
        self.events.append((watch, mask, name))

    def test_provider(self) -> None:
        """It is what a reactor reads."""
        verifyObject(IReadDescriptor, self.inotify)

    def test_events(self) -> None:
        """Each event comes with its watch, what it is and the name, in their order."""
        watch = self.inotify.add(bytes(self.folder), inotify.CREATE | inotify.DELETE)
        names = [b"a", b"a name of some length", b"\xe4" * 255]
        for name in names:
            os.mkdir(os.path.join(bytes(self.folder), name))
            os.rmdir(os.path.join(bytes(self.folder), name))
        self.reactor.read()
        kinds = (inotify.CREATE | inotify.ISDIR, inotify.DELETE | inotify.ISDIR)
        self.assertEqual(self.events, [(watch, kind, name) for name in names for kind in kinds])
        self.reactor.read()  # There is nothing more, and that is no error.

    def test_same_watch(self) -> None:
        """A folder has one watch, under whatever name it is added again."""
        watch = self.inotify.add(bytes(self.folder), inotify.CREATE)
        self.folder.rename(self.folder.with_name("other"))
        self.assertEqual(
            self.inotify.add(bytes(self.folder.with_name("other")), inotify.CREATE), watch
        )

    def test_removed(self) -> None:
        """A watch that was given up tells just that; it may be given up twice."""
        watch = self.inotify.add(bytes(self.folder), inotify.CREATE)
        self.inotify.remove(watch)
        self.inotify.remove(watch)
        (self.folder / "a").touch()
        self.reactor.read()
        self.assertEqual(self.events, [(watch, inotify.IGNORED, b"")])

    def test_errors(self) -> None:
        """The reason why something can't be watched comes along."""
        file = self.folder / "file"
        file.touch()
        for path, reason in (
            (self.folder / "none", errno.ENOENT),
            (file, errno.ENOTDIR),
            (Path("a" * 5000), errno.ENAMETOOLONG),
        ):
            mask = inotify.CREATE | inotify.ONLYDIR
            error = self.assertRaises(OSError, self.inotify.add, bytes(path), mask)
            self.assertEqual(error.errno, reason)

    def test_closed(self) -> None:
        """Closed, even by the receiver of an event, it tells nothing more; twice does no harm."""
        self.inotify.add(bytes(self.folder), inotify.CREATE)
        self.patch(self.inotify, "_received", lambda *event: self.inotify.close())
        for name in ("a", "b"):
            (self.folder / name).touch()
        self.reactor.read()
        self.inotify.connectionLost(Failure(Exception("the reactor stops")))
        self.assertEqual(self.inotify.fileno(), -1)
        self.assertEqual(self.reactor.readers, [])
        self.assertEqual(open_descriptors(), self.before)
