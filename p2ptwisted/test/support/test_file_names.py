"""Tests of `p2ptwisted.support.file_names`."""

import sys
from unicodedata import combining, normalize

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.support.file_names import MARKS_MAX, is_named, likeness, normal_form


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
        """A letter with marks without end stays as it is, for to sort them would take too long."""
        letter = "e" + "\u0345" * (MARKS_MAX - 1)
        for name, changes in (
            (f"{letter}\u0334", True),
            (f"{letter}\u0334/" * 100, True),
            (f"{letter}\u0345\u0334", False),
            (f"cafe\u0301/{letter}\u0345\u0334", False),
            ("e\u0301" * 2_000, True),
            ("\u0f73" * (MARKS_MAX // 2), True),
            ("\u0f73" * (MARKS_MAX // 2 + 1), False),
        ):
            self.assertIs(normal_form(name) != name, changes, ascii(name))

    def test_marks(self) -> None:
        """There are no other characters that become nothing but marks without being one."""
        hidden = {
            char
            for char in map(chr, range(sys.maxunicode + 1))
            if not combining(char) and combining(normalize("NFD", char)[0])
        }
        self.assertEqual(hidden, {"\u0f73", "\u0f75", "\u0f81"})

    def test_part(self) -> None:
        """A part of it is less, in any case; anything else is nothing."""
        for wanted in ("a", "B.bin", "/B"):
            self.assertEqual(likeness("a/b.bin", wanted), 1)
        self.assertEqual(likeness("a/b.bin", "c"), 0)
