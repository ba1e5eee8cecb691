"""Tests for `p2ptwisted.transfer.safe_names`."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.test.test_model import ID_CHARACTERS, SHA256
from p2ptwisted.transfer.part_names import JOURNAL, PART
from p2ptwisted.transfer.safe_names import (
    DEPTH_MAX,
    DEVICES,
    MARK_LENGTH,
    NAME_BYTES,
    flat_name,
    place,
)

FOLDER = Path("/srv/shared")

#: Names that try to get somewhere, among all others.
names = st.text(st.characters()) | st.lists(
    st.sampled_from(
        [
            "..",
            ".",
            ".part",
            "/",
            "\\",
            "a",
            " ",
            "\0",
            "\n",
            "\u202e",
            "\ud800",
            "C:",
            "~",
            "con",
            "Nul",
        ]
    )
).map("".join)


class EncodingTests(SynchronousTestCase):
    """Systems whose names are not in UTF-8."""

    def test_lacking(self) -> None:
        """Where a character is lacking the name is in UTF-8 all the same; else it is as there."""
        self.patch(os, "fsencode", lambda name: name.encode("latin-1"))
        self.patch(os, "fsdecode", lambda name: name.decode("latin-1"))
        self.assertEqual(flat_name("naïve", "a" * 64), "naïve")
        self.assertEqual(flat_name("日本", "a" * 64).encode("latin-1"), "日本".encode())


class PlaceTests(SynchronousTestCase):
    """Where a fetched file goes."""

    def test_plain(self) -> None:
        """A name that does no harm is kept, its folders with it."""
        for name in (
            "a",
            "b c.tar.gz",
            "a/b/c",
            "größe/数.bin",
            "-x",
            "a..b",
            "a.part.gz",
            "console",
            "com10",
        ):
            self.assertEqual(place(FOLDER, name, SHA256), FOLDER / name)

    def test_cleaned(self) -> None:
        """What would lead out of the folder, hide the file or upset a terminal is changed."""
        for name, cleaned in [
            ("/etc/passwd", "etc/passwd"),
            ("../../x", "x"),
            ("a/../../x", "a/x"),
            ("a//./x", "a/x"),
            ("a\\..\\x", "a_.._x"),
            (".bashrc", "bashrc"),
            ("...x", "x"),
            (". .x", "x"),
            (" x ", "x"),
            ("a.", "a"),
            ("a. ./b . .", "a/b"),
            ("con", "_con"),
            ("NUL.txt", "_NUL.txt"),
            ("com1/aux.c/Lpt9 .x", "_com1/_aux.c/_Lpt9 .x"),
            ("COM¹", "_COM¹"),
            ("nul.part", "_nul_part"),
            ("a\nb\x1b[31m\0", "a_b_[31m_"),
            ("a\u202eb", "a_b"),
            ('a<b>:"c|d?*', "a_b___c_d__"),
            ("\ud800", "_"),
            ("twistd.log.1", "_twistd.log.1"),
            ("a.part", "a_part"),
            ("a.part.journal", "a_part.journal"),
            ("a.PART", "a_PART"),
            ("a.aria2", "a_aria2"),
            ("a.!qB", "a_!qB"),
            ("a.st~", "a.st_"),
            ("a~~", "a~_"),
            ("~", "_"),
            ("x" * 237 + ".part", "x" * 237 + "_part"),
        ]:
            self.assertEqual(place(FOLDER, name, SHA256), FOLDER / cleaned, repr(name))

    def test_nothing_left(self) -> None:
        """A name with nothing usable in it gives way to the id."""
        for name in (None, "", "/", "..", " . / .. ", "..."):
            self.assertEqual(place(FOLDER, name, SHA256), FOLDER / SHA256)

    def test_nothing_left_of_the_id(self) -> None:
        """Not even an id of dots names the folder itself."""
        self.assertEqual(place(FOLDER, None, "..."), FOLDER / "_")

    def assert_cut(self, name: str, begin: str, end: str) -> None:
        """What `name` is cut to begins and ends so, and is as long as its part's journal allows."""
        short = place(FOLDER, name, SHA256).name
        self.assertLessEqual(len((short + JOURNAL).encode()), 255)
        self.assertGreater(len(short.encode()), 255 - len(JOURNAL) - 4)
        self.assertTrue(short.startswith(begin), short)
        stem, tilde, rest = short.rpartition("~")
        self.assertEqual((tilde, rest[MARK_LENGTH:]), ("~", end), short)
        self.assertTrue(name.startswith(stem), short)
        self.assertEqual(flat_name(name, SHA256), short)

    def test_long(self) -> None:
        """A name is cut so that its part and its journal fit, and never within a character."""
        for letter in ("x", "ß", "数", "😀"):
            self.assert_cut(letter * 300, letter * 50, "")

    def test_long_enough(self) -> None:
        """One that just fits is not cut."""
        for name in ("x" * NAME_BYTES, "x" * (NAME_BYTES - 4) + ".iso"):
            self.assertEqual(flat_name(name, SHA256), name)
            self.assertNotEqual(flat_name(f"x{name}", SHA256), f"x{name}")

    def test_extension(self) -> None:
        """It is cut before its extension, which tells what it is: also one of several words."""
        for extension in (
            ".y",
            ".iso",
            ".tar.gz",
            ".tar.zst.asc",
            ".AppImage",
            ".7z",
            ".c++",
            ".数据",
        ):
            for letter in ("x", "ß", "数", "😀"):
                self.assert_cut(letter * 300 + extension, letter * 40, extension)
        self.assert_cut("x" * 240 + ".a.b.c.d", "x" * 200, ".b.c.d")
        self.assert_cut("x" * 300 + " v1.2. end.mkv", "x" * 200, ".mkv")

    def test_no_extension(self) -> None:
        """What is too long for an extension, or none, is cut as all else is."""
        self.assert_cut("x." + "y" * 300, "x.yyy", "")
        self.assert_cut("x" * 300 + ".two words", "xxx", "")
        self.assert_cut("x." * 200 + "数" * 13, "x.x.", "")
        self.assert_cut("x" * 300 + "...", "xxx", "")

    def test_cut_and_cleaned(self) -> None:
        """A name that is cut does no more harm than another."""
        self.assertRegex(flat_name("con." + "x" * 300, SHA256), r"^_con\.x+~[0-9a-f]{8}$")
        self.assertRegex(flat_name("con" + " " * 300 + "x", SHA256), r"^con~[0-9a-f]{8}$")
        self.assertRegex(flat_name("x" * 300 + ".part", SHA256), r"^x+~[0-9a-f]{8}_part$")
        self.assertRegex(flat_name("x" * 300 + ".st~", SHA256), r"^x+~[0-9a-f]{8}$")

    def test_cut_to_the_same(self) -> None:
        """Long names that differ stay different, and each is cut the same again; so are folders."""
        names = ["x" * 300 + f"{middle}.iso" for middle in ("1", "2", "1" * 99, "?", "*")]
        short = [flat_name(name, SHA256) for name in names]
        self.assertEqual(len(set(short)), len(names))
        self.assertEqual([flat_name(name, "another") for name in names], short)
        one, other, same = (
            place(FOLDER, f"{'x' * 300}{number}/{file}", SHA256)
            for number, file in ((1, "a"), (2, "a"), (1, "b"))
        )
        self.assertNotEqual(one, other)
        self.assertEqual(one.parent, same.parent)

    def test_deep(self) -> None:
        """Of very many folders, the innermost are kept."""
        name = "/".join(str(number) for number in range(100))
        self.assertEqual(
            place(FOLDER, name, SHA256).relative_to(FOLDER).parts,
            tuple(str(number) for number in range(100 - DEPTH_MAX, 100)),
        )

    def test_link_that_leads_out(self) -> None:
        """A link in the folder is followed as long as it stays in the folder."""
        with TemporaryDirectory() as outside, TemporaryDirectory() as inside:
            folder = Path(inside)
            (folder / "real").mkdir()
            (folder / "near").symlink_to("real")
            (folder / "far").symlink_to(outside)
            self.assertEqual(place(folder, "near/x", SHA256), folder / "near" / "x")
            self.assertEqual(place(folder, "far/x", SHA256), folder / "x")
            self.assertEqual(place(folder, "far/new/x", SHA256), folder / "x")

    def test_link_that_leads_nowhere(self) -> None:
        """Links that lead round in a circle are left out of it."""
        with TemporaryDirectory() as inside:
            folder = Path(inside)
            (folder / "one").symlink_to("two")
            (folder / "two").symlink_to("one")
            for name in ("one/x", "two/y/x", "one/../two/x"):
                self.assertEqual(place(folder, name, SHA256), folder / "x")

    @settings(deadline=None)
    @given(names | st.none(), st.text(ID_CHARACTERS, min_size=1, max_size=128))
    def test_any(self, name: str | None, id: str) -> None:
        """Whatever the name, the file is a visible one inside of the folder."""
        path = place(FOLDER, name, id)
        parts = path.relative_to(FOLDER).parts
        self.assertTrue(parts)
        for part in parts:
            self.assertTrue(part.isprintable())
            self.assertFalse(part.startswith((".", " ")))
            self.assertFalse(part.endswith((".", " ")))
            self.assertNotIn(part.partition(".")[0].rstrip().lower(), DEVICES)
            self.assertFalse(part.endswith((PART, JOURNAL)))
            self.assertLessEqual(len((part + JOURNAL).encode()), 255)

    @settings(deadline=None)
    @given(names | st.none(), st.text(ID_CHARACTERS, min_size=1, max_size=128))
    def test_again(self, name: str | None, id: str) -> None:
        """A name that is its own result stays as it is: a second fetch finds the first."""
        once = place(FOLDER, name, id)
        self.assertEqual(place(FOLDER, str(once.relative_to(FOLDER)), id), once)


class FlatNameTests(SynchronousTestCase):
    """The name alone."""

    def test_flat(self) -> None:
        """The folders are left out, and nothing usable gives way to the id."""
        self.assertEqual(flat_name("a/b/c.bin", SHA256), "c.bin")
        self.assertEqual(flat_name("../.c", SHA256), "c")
        self.assertEqual(flat_name("a/..", SHA256), SHA256)
        self.assertEqual(flat_name(None, SHA256), SHA256)
