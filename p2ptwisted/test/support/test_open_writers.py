"""Tests of `p2ptwisted.support.open_writers`, on real files."""

import errno
import fcntl
import mmap
import os
import signal
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.support import open_writers
from p2ptwisted.support.open_writers import has_writers


class HasWritersTests(SynchronousTestCase):
    """Whether a file is open for writing."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.path.write_bytes(b"content")
        self.file = os.open(self.path, os.O_RDONLY)
        self.addCleanup(os.close, self.file)
        if has_writers(self.file) is None:
            raise self.skipTest("this file system grants no leases")

    def fail_with(self, error: int) -> None:
        """Have every lease be refused in this way."""
        real = fcntl.fcntl

        def refuse(file: int, command: int, argument: int = 0) -> int:
            if command == fcntl.F_SETLEASE:
                raise OSError(error, os.strerror(error))
            return real(file, command, argument)

        self.patch(fcntl, "fcntl", refuse)

    def test_none(self) -> None:
        """Nobody writes a file that others have open for reading, or mapped so."""
        with self.path.open("rb") as other, mmap.mmap(other.fileno(), 0, access=mmap.ACCESS_READ):
            self.assertIs(has_writers(self.file), False)

    def test_open(self) -> None:
        """Somebody does as long as it is open for writing, by whatever name."""
        other = self.path.with_name("other name")
        os.link(self.path, other)
        with other.open("r+b"):
            self.assertIs(has_writers(self.file), True)
        self.assertIs(has_writers(self.file), False)

    def test_mapped(self) -> None:
        """A map for writing counts too, after the file that it was made of is closed."""
        with self.path.open("r+b") as other:
            written = mmap.mmap(other.fileno(), 0)
        self.assertIs(has_writers(self.file), True)
        written.close()
        self.assertIs(has_writers(self.file), False)

    def test_given_back(self) -> None:
        """The lease is given back at once, for nobody could open the file for writing."""
        has_writers(self.file)
        self.assertEqual(fcntl.fcntl(self.file, fcntl.F_GETLEASE), fcntl.F_UNLCK)
        os.close(os.open(self.path, os.O_WRONLY | os.O_NONBLOCK))

    def test_signal(self) -> None:
        """Who opens it in the very moment has a signal sent to us that does nothing."""
        signals: list[int] = []
        real = fcntl.fcntl

        def give_back(file: int, command: int, argument: int = 0) -> int:
            if (command, argument) == (fcntl.F_SETLEASE, fcntl.F_UNLCK):
                with self.assertRaises(BlockingIOError):
                    os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
            return real(file, command, argument)

        for number in (signal.SIGIO, signal.SIGURG):
            before = signal.signal(number, lambda number, frame: signals.append(number))
            self.addCleanup(signal.signal, number, before)
        self.patch(fcntl, "fcntl", give_back)
        self.assertIs(has_writers(self.file), False)
        self.assertEqual(signals, [signal.SIGURG])

    def test_not_told(self) -> None:
        """Where the file is another's, or its file system grants no lease, nothing is known."""
        for error in (errno.EACCES, errno.EINVAL, errno.ENOLCK):
            self.fail_with(error)
            self.assertIs(has_writers(self.file), None)

    def test_remote(self) -> None:
        """On a network file system a lease that is refused says nothing."""
        self.fail_with(errno.EAGAIN)
        self.assertIs(has_writers(self.file), True)
        with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
            kinds = {line.partition(" - ")[2].split()[0] for line in mounts}
        self.patch(open_writers, "_REMOTE", kinds)
        self.assertIs(has_writers(self.file), None)

    def test_no_leases(self) -> None:
        """On a system without leases nothing is known."""
        self.patch(open_writers, "_SET_LEASE", None)
        self.assertIs(has_writers(self.file), None)
