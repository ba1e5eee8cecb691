"""
Which file systems are mounted, and where: read from Linux's table of this process's mounts.

Elsewhere nothing is known of mounts, and so nothing is kept from being written.
"""

import os
import re
from pathlib import Path

_TABLE = Path("/proc/self/mountinfo")

#: A space, a tab, a line feed and a backslash stand in the table as a backslash and three digits.
_ESCAPED = re.compile(rb"\\([0-7]{3})")

_MOUNT_ID = re.compile(rb"^mnt_id:\s*(\d+)$", re.MULTILINE)


class MountTable:
    """
    The mounts as they are at the moment; nothing is remembered between two calls.

    Each call reads the table, which takes some 5 µs a mount.
    """

    def points(self, folder: Path) -> frozenset[Path]:
        """
        The mount points at, above and beneath a folder, by its path without links.

        Those that a later mount hides are among them.
        """
        place = os.fsencode(folder).rstrip(b"/") + b"/"
        points = {_unescaped(line.split(b" ", 5)[4]) for line in self._lines()}
        return frozenset(
            Path(os.fsdecode(point))
            for point in points
            if place.startswith(above := point.rstrip(b"/") + b"/") or above.startswith(place)
        )

    def holder_of(self, descriptor: int) -> Path | None:
        """
        Return the mount point of the mount that an open file or folder is in.

        None if that has been unmounted since. Raises OSError where no table can be read.
        """
        with open(f"/proc/self/fdinfo/{descriptor}", "rb", buffering=0) as info:
            found = _MOUNT_ID.search(info.read())
        for line in self._lines():
            if found is not None and line.startswith(found[1] + b" "):
                return Path(os.fsdecode(_unescaped(line.split(b" ", 5)[4])))
        return None

    def _lines(self) -> list[bytes]:
        """A line for each: its id, its parent's, the device, the folder of that, the place, ..."""
        try:
            return _TABLE.read_bytes().splitlines()
        except (FileNotFoundError, PermissionError):
            return []


def place_of(descriptor: int) -> Path:
    """Return where what an open descriptor holds is now. Raises OSError where /proc isn't there."""
    return Path(os.readlink(f"/proc/self/fd/{descriptor}"))


def _unescaped(point: bytes) -> bytes:
    return _ESCAPED.sub(lambda code: bytes([int(code[1], 8)]), point) if b"\\" in point else point
