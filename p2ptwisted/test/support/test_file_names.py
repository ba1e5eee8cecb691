"""Tests of `p2ptwisted.support.file_names`."""

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.support.file_names import PART_MAX, is_named, likeness, normal_form


class FileNamesTests(SynchronousTestCase):
    """How well a name matches."""

    def test_whole(self) -> None:
        """A file is called by its name with its folders, or without; case counts."""
        for wanted in ("a/b.bin", "b.bin"):
            self.assertTrue(is_named("a/b.bin", wanted))
            self.assertEqual(likeness("a/b.bin", wanted), 2)
        for wanted in ("a", "bin", "B.bin", "a/b.bin/", ""):
            self.assertFalse(is_named("a/b.bin", wanted))

    def test_normal_form(self) -> None:
        """Letters with their marks are one, composed or not; what looks alike only, is not."""
        for one, other in (
            ("caf\u00e9", "cafe\u0301"),
            ("\u1ec7", "e\u0323\u0302"),
            ("\u1ec7", "e\u0302\u0323"),
            ("\ud55c", "\u1112\u1161\u11ab"),
            ("\u00c5/x", "\u212b/x"),
            ("\u304c", "\u304b\u3099"),
        ):
            self.assertEqual(normal_form(one), normal_form(other))
        for one, other in (("\ufb01", "fi"), ("\u00b2", "2"), ("e", "\u00e9"), ("\u00df", "ss")):
            self.assertNotEqual(normal_form(one), normal_form(other))
        for name in ("a/b.bin", "", "/", "caf\u00e9", "\u6570\u636e/\u96c6.tar"):
            self.assertIs(normal_form(name) == name, True)

    def test_endless(self) -> None:
        """A part of a name that no file system has stays as it is, for it would take too long."""
        for marks in (PART_MAX - 1, PART_MAX):
            name = "x/e" + "\u0345\u0334" * (marks // 2) + "\u0301" * (marks % 2)
            self.assertIs(normal_form(name) == name, marks >= PART_MAX)

    def test_part(self) -> None:
        """A part of it is less, in any case; anything else is nothing."""
        for wanted in ("a", "B.bin", "/B"):
            self.assertEqual(likeness("a/b.bin", wanted), 1)
        self.assertEqual(likeness("a/b.bin", "c"), 0)
