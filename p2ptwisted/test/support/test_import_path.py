"""Tests of `p2ptwisted.support.import_path`."""

import os
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.support import import_path
from p2ptwisted.support.import_path import forget_working_directory


class ForgetTests(SynchronousTestCase):
    """What is left of the path."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir(parents=True)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder)

    def left_of(self, *path: str) -> list[str]:
        self.patch(sys, "path", list(path))
        forget_working_directory()
        return sys.path

    def test_left_out(self) -> None:
        """The working directory goes, by whatever name, and so does all that is relative to it."""
        link = Path(self.mktemp()).absolute()
        link.symlink_to(self.folder)
        names = ("", ".", "lib", "../lib", f"{self.folder}", f"{self.folder}/.", f"{link}")
        self.assertEqual(self.left_of("/first", *names, "/last"), ["/first", "/last"])

    def test_others_stay(self) -> None:
        """Other folders stay as they are, those in it and around it too."""
        others = [str(self.folder.parent), str(self.folder / "lib"), "/usr/lib/python311.zip"]
        self.assertEqual(self.left_of(*others), others)

    def test_our_own(self) -> None:
        """Where p2ptwisted itself is from there, it comes last, and nothing else's place."""
        self.patch(import_path, "_OURS", str(self.folder))
        self.assertEqual(self.left_of(str(self.folder), "/other"), ["/other", str(self.folder)])

    def test_gone(self) -> None:
        """A working directory that was removed is no obstacle."""
        self.folder.rmdir()
        self.assertEqual(self.left_of("", "/other", str(self.folder)), ["/other", str(self.folder)])
