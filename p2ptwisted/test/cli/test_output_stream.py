"""Tests of `p2ptwisted.cli.output_stream`: what `p2p get -o` writes to without replacing it."""

import os
import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.cli.exit_status import CommandError
from p2ptwisted.cli.output_stream import open_stream
from p2ptwisted.test.node_fakes import at_once


class OpenStreamTests(SynchronousTestCase):
    """Streams, which are told from files and folders."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def opened(self, output: str | Path) -> int:
        stream = open_stream(str(output))
        assert stream is not None
        self.addCleanup(os.close, stream)
        return stream

    def test_files(self) -> None:
        """A file, a folder, a link to these, a socket, and what isn't there are no streams."""
        (self.folder / "file").write_bytes(b"")
        (self.folder / "link").symlink_to("file")
        (self.folder / "broken").symlink_to("nothing")
        (self.folder / "circle").symlink_to("circle")
        os.mknod(self.folder / "socket", stat.S_IFSOCK | 0o600)
        for name in ("file", "link", "broken", "socket", "missing", "missing/file", "."):
            self.assertIs(open_stream(str(self.folder / name)), None)
        self.assertRaises(CommandError, open_stream, str(self.folder / "circle"))
        self.assertIs(open_stream("/dev/fd/99999999999999999999"), None)

    def test_pipe(self) -> None:
        """A pipe is one that is written to, if somebody reads it; nobody is waited for."""
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        with at_once():
            error = self.assertRaises(CommandError, open_stream, str(pipe))
        self.assertIn("reader", str(error))
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        stream = self.opened(pipe)
        self.assertTrue(os.get_blocking(stream))
        os.write(stream, b"content")
        self.assertEqual(os.read(reader, 99), b"content")

    def test_device(self) -> None:
        """So is a device, and a link to it."""
        link = self.folder / "link"
        link.symlink_to(os.devnull)
        for output in (os.devnull, link):
            os.write(self.opened(output), b"content")
        self.assertTrue(link.is_symlink())

    def test_descriptor(self) -> None:
        """A path of a descriptor is that descriptor: a file behind it is not begun again."""
        path = self.folder / "file"
        with path.open("wb", buffering=0) as file:
            file.write(b"before, ")
            link = self.folder / "link"
            link.symlink_to(f"/dev/fd/{file.fileno()}")
            for output in (f"/proc/self/fd/{file.fileno()}", link):
                os.write(self.opened(output), b"after")
        self.assertEqual(path.read_bytes(), b"before, afterafter")
