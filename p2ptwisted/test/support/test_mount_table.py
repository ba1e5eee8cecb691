"""Tests of `p2ptwisted.support.mount_table`: on tables that the test writes, and this system's."""

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.support import mount_table
from p2ptwisted.support.mount_table import MountTable, place_of

#: With and without optional fields, and with whatever a name can have in it.
TABLE = rb"""22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
24 22 0:39 / /mnt/a\040b rw - tmpfs x rw
25 22 0:40 /sub /mnt/back\134slash rw shared:2 master:3 - ext4 /dev/vdb rw
26 24 0:41 / /mnt/a\040b rw - tmpfs y rw
27 22 0:42 / /mnt/\303\274 rw - tmpfs z rw
"""


class MountTableTests(SynchronousTestCase):
    """What is mounted where."""

    def setUp(self) -> None:
        self.table = MountTable()

    def write(self, table: bytes) -> None:
        path = Path(self.mktemp())
        path.write_bytes(table)
        self.patch(mount_table, "_TABLE", path)

    def points(self, folder: str) -> set[str]:
        return {str(point) for point in self.table.points(Path(folder))}

    def test_points(self) -> None:
        """Mount points are told by their real names, those with two mounts once."""
        self.write(TABLE)
        self.assertEqual(self.points("/"), {"/", "/mnt/a b", "/mnt/back\\slash", "/mnt/ü"})

    def test_near(self) -> None:
        """They are those at the folder, above it and beneath it, not those called likewise."""
        self.write(TABLE)
        for folder in ("/mnt/a b", "/mnt/a b/c/d"):
            self.assertEqual(self.points(folder), {"/", "/mnt/a b"})
        self.assertEqual(self.points("/mnt/a"), {"/"})
        self.assertEqual(len(self.points("/mnt")), 4)

    def test_no_table(self) -> None:
        """Where there is no table, nothing is mounted as far as is known."""
        self.patch(mount_table, "_TABLE", Path(self.mktemp()))
        self.assertEqual(self.points("/"), set())

    def test_unmounted(self) -> None:
        """A mount that isn't in the table any more has no place."""
        self.write(b"")
        with open("/dev/null", "rb") as file:
            self.assertIs(self.table.holder_of(file.fileno()), None)

    def test_this_system(self) -> None:
        """Of what is open here, the mount's place is above its own."""
        folder = os.open(self.make(), os.O_RDONLY)
        self.addCleanup(os.close, folder)
        place, holder = place_of(folder), self.table.holder_of(folder)
        assert holder is not None
        self.assertIn(holder, {place, *place.parents} & self.table.points(place))

    def make(self) -> Path:
        made = Path(self.mktemp())
        made.mkdir()
        return made
