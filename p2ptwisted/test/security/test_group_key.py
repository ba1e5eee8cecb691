"""Tests of `p2ptwisted.security.group_key`."""

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.errors import InvalidInput
from p2ptwisted.security.group_key import KEY_MAX, load_group_key

SECRET = b"0123456789abcdef" * 4


class GroupKeyTests(SynchronousTestCase):
    """Which files are keys, and what is made of them."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def write(self, secret: bytes, mode: int = 0o600) -> None:
        self.path.write_bytes(secret)
        self.path.chmod(mode)

    def refused(self) -> str:
        """What is said of the file, which must never show what is in it."""
        told = str(self.assertRaises(InvalidInput, load_group_key, self.path))
        self.assertIn(str(self.path), told)
        self.assertNotIn("0123456789", told)
        return told

    def test_same_key(self) -> None:
        """The same file is the same key everywhere, whether it ends with a line end or not."""
        self.write(SECRET)
        one = load_group_key(self.path)
        self.write(SECRET + b"\n")
        other = load_group_key(self.path)
        self.assertEqual((one.datagrams, one.http), (other.datagrams, other.http))

    def test_two_keys(self) -> None:
        """What proves a datagram proves no call, and neither is the secret itself."""
        self.write(SECRET)
        key = load_group_key(self.path)
        self.assertEqual(len({key.datagrams, key.http, SECRET}), 3)

    def test_readable_by_others(self) -> None:
        """A key that others can read is none."""
        for mode in (0o640, 0o604, 0o660, 0o644):
            self.write(SECRET, mode)
            self.assertIn("chmod 600", self.refused())

    def test_too_short(self) -> None:
        """A key that could be guessed is refused, with a way to make a good one."""
        self.write(SECRET[:31])
        self.assertIn("openssl rand", self.refused())

    def test_too_long(self) -> None:
        """A file that is too long for a key is some other file."""
        self.write(b"x" * (KEY_MAX + 1))
        self.refused()

    def test_not_there(self) -> None:
        """A missing file is named."""
        self.assertIn("No such file", self.refused())

    def test_key_in_place_of_its_file(self) -> None:
        """What is missing and could be a key itself is not shown; what is in a folder is a name."""
        for key in (SECRET.decode(), "0123456789" + "/+aZ" * 8 + "=", "/" + "0123456789" * 4):
            told = str(self.assertRaises(InvalidInput, load_group_key, Path(key)))
            self.assertNotIn("0123456789", told)
            self.assertIn("not shown", told)
        path = self.path.absolute().with_name("missing.key")
        told = str(self.assertRaises(InvalidInput, load_group_key, path))
        self.assertIn(str(path), told)

    def test_not_a_path(self) -> None:
        """So is what can't be a path."""
        told = str(self.assertRaises(InvalidInput, load_group_key, Path("a\0b")))
        self.assertIn("null", told)

    def test_hidden(self) -> None:
        """A key that gets into a log or an error doesn't show itself."""
        self.write(SECRET)
        key = load_group_key(self.path)
        self.assertEqual(f"{key} {key!r}", "<GroupKey> <GroupKey>")

    def test_folder(self) -> None:
        """A folder is no key."""
        os.mkdir(self.path, 0o700)
        self.refused()

    def test_not_a_file(self) -> None:
        """A pipe is not waited for, nor is a folder or a device read."""
        os.mkfifo(self.path, 0o600)
        self.assertIn("not a regular file", self.refused())
        for path in (Path("/dev/null"), self.path.parent):
            told = str(self.assertRaises(InvalidInput, load_group_key, path))
            self.assertIn("not a regular file", told)
