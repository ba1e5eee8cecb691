"""Tests of `p2ptwisted.support.file_names`."""

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.support.file_names import is_named, likeness


class FileNamesTests(SynchronousTestCase):
    """How well a name matches."""

    def test_whole(self) -> None:
        """A file is called by its name with its folders, or without; case counts."""
        for wanted in ("a/b.bin", "b.bin"):
            self.assertTrue(is_named("a/b.bin", wanted))
            self.assertEqual(likeness("a/b.bin", wanted), 2)
        for wanted in ("a", "bin", "B.bin", "a/b.bin/", ""):
            self.assertFalse(is_named("a/b.bin", wanted))

    def test_part(self) -> None:
        """A part of it is less, in any case; anything else is nothing."""
        for wanted in ("a", "B.bin", "/B"):
            self.assertEqual(likeness("a/b.bin", wanted), 1)
        self.assertEqual(likeness("a/b.bin", "c"), 0)
