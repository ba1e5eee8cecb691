"""Files with holes, as they are shared and fetched."""

import os
import random
from pathlib import Path

from p2ptwisted.pieces import MIB

from .daemons import at
from .test_cli import WITHIN, CommandCase

#: Bytes of the file and of its data, of which each MiB is at another place.
SIZE, DATA = 192 * MIB, 3 * MIB

#: Bytes of a disk that has room for the data, and not for the file.
DISK = 32 * MIB

#: Bytes that a file may take besides its data.
BESIDES = MIB


class SparseTests(CommandCase):
    """A file that takes far less room than its size."""

    def make(self, path: Path) -> None:
        with path.open("wb") as file:
            for number in range(3):
                file.seek((20 + 60 * number) * MIB)
                file.write(random.Random(number).randbytes(MIB))
            file.truncate(SIZE)

    def taken(self, path: Path) -> int:
        return path.stat().st_blocks * 512

    def test_sparse(self) -> None:
        """`p2p share`, `p2p get` and a node's fetch keep the holes, and need room for the data."""
        source = self.here / "disk.img"
        self.make(source)
        self.assertLessEqual(self.taken(source), DATA + BESIDES, "this file system makes no holes")
        holder = self.start_node("holder", {}, *at(self.supernode))
        shared = self.shared("holder") / "disk.img"
        self.small_disk(self.folder / "fetcher", DISK)
        fetcher = self.start_fetcher()
        command = self.begin("share", "disk.img", "--node", holder.url)
        out, told = command.communicate(timeout=WITHIN)
        self.assertEqual(command.returncode, 0, told)
        id = out.split()[0].decode()
        self.assertLessEqual(self.taken(shared), DATA + BESIDES)
        os.rename(source, self.here / "original")
        self.order(fetcher, id)
        self.assertEqual(self.wait_for_end(fetcher, id)["state"], "done")
        command = self.begin("get", id)
        _, told = command.communicate(timeout=WITHIN)
        self.assertEqual(command.returncode, 0, told)
        original = (self.here / "original").read_bytes()
        for path in (shared, self.folder / "fetcher" / "disk.img", source):
            self.assertEqual(path.read_bytes(), original)
            self.assertLessEqual(self.taken(path), DATA + BESIDES, path)
