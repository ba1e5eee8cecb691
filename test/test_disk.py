"""State folders on disks that are full, or can't be written at all."""

from pathlib import Path

from .cases import SystemTestCase
from .daemons import Daemon, at, id_of

CONTENT = b"content"

#: Bytes; enough for a database with nothing in it.
DISK = 1024 * 1024

#: What is said once, and not more.
TOLD = "can't be written"


class DiskTests(SystemTestCase):
    """A supernode and a node that can't keep what they know."""

    def disk(self, name: str) -> Path:
        return self.small_disk(self.folder / name, DISK)

    def fill(self, disk: Path) -> None:
        with (disk / "filler").open("wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(4096))
            except OSError:
                pass

    def assert_goes_on(self, supernode: Daemon, node: Daemon) -> None:
        """What the node tells is found, and each says once what it can't do."""
        self.wait_until_held(supernode, "node", id_of(CONTENT))
        found = supernode.get(f"/api/supernode/search/{id_of(CONTENT)}").data
        self.assertEqual(found["file"]["locations"], [node.location])
        for daemon in (supernode, node):
            self.assertEqual(daemon.log.read_text().count(TOLD), 1, daemon.role)

    def test_becomes_full(self) -> None:
        """A disk that fills up while they run costs no answer, and the files stay."""
        disks = self.disk("one"), self.disk("two")
        supernode = self.start_supernode("--state", str(disks[0]))
        before = {"before": b"from before"}
        node = self.start_node("node", before, *at(supernode), "--state", str(disks[1]))
        self.wait_until_held(supernode, "node", id_of(b"from before"))
        for disk in disks:
            self.fill(disk)
        (self.shared("node") / "file").write_bytes(CONTENT)
        self.assert_goes_on(supernode, node)
        self.assertTrue(supernode.get(f"/api/supernode/search/{id_of(b'from before')}").data)
        self.assertTrue((disks[0] / "registry.sqlite").exists())
        self.assertTrue((disks[1] / "digests.sqlite").exists())

    def test_full_from_the_start(self) -> None:
        """They start on a disk that is full."""
        disks = self.disk("one"), self.disk("two")
        for disk in disks:
            self.fill(disk)
        supernode = self.start_supernode("--state", str(disks[0]))
        node = self.start_node("node", {"file": CONTENT}, *at(supernode), "--state", str(disks[1]))
        self.assert_goes_on(supernode, node)

    def test_read_only(self) -> None:
        """They start on a disk that can only be read, and leave it as it is."""
        disks = self.disk("one"), self.disk("two")
        kept = {disks[0] / "registry.sqlite": b"one", disks[1] / "digests.sqlite": b"two"}
        for path, content in kept.items():
            path.write_bytes(content)
            self.mount("-o", "remount,ro", str(path.parent))
        supernode = self.start_supernode("--state", str(disks[0]))
        node = self.start_node("node", {"file": CONTENT}, *at(supernode), "--state", str(disks[1]))
        self.assert_goes_on(supernode, node)
        for path, content in kept.items():
            self.assertEqual(path.read_bytes(), content)
