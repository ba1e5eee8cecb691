"""Tests of `p2ptwisted.support.real_path`."""

import errno
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.support.real_path import real_path


class RealPathTests(SynchronousTestCase):
    """Paths through links, and what isn't there."""

    def setUp(self) -> None:
        self.folder = Path(os.path.realpath(self.mktemp()))
        (self.folder / "real").mkdir(parents=True)

    def test_links(self) -> None:
        """Links are followed, be they to what isn't there; what is below is kept."""
        (self.folder / "link").symlink_to("real")
        (self.folder / "broken").symlink_to("nothing")
        for name, real in (
            ("real", "real"),
            ("link/x/y", "real/x/y"),
            ("broken/x", "nothing/x"),
            ("missing/x", "missing/x"),
            ("link/../x", "x"),
        ):
            self.assertEqual(real_path(self.folder / name), self.folder / real)

    def test_circles(self) -> None:
        """A circle is an error, wherever it is on the way."""
        (self.folder / "one").symlink_to("two")
        (self.folder / "two").symlink_to("one")
        (self.folder / "own").symlink_to("own")
        (self.folder / "below").symlink_to("below/x")
        (self.folder / "real" / "link").symlink_to("../one")
        for name in ("one", "two/x/y", "own", "own/x", "below", "real/link", "real/link/x"):
            error = self.assertRaises(OSError, real_path, self.folder / name)
            self.assertEqual(error.errno, errno.ELOOP, msg=name)
