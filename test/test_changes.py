"""A node's folder changes while the node runs, and the supernode knows at once."""

import mmap
import os
import shutil

from .cases import SystemTestCase
from .daemons import at, eventually, id_of

#: Seconds within which a change is to show at the supernode.
SHOWN_WITHIN = 2.0


class ChangeTests(SystemTestCase):
    """Files come, change and go."""

    def setUp(self) -> None:
        super().setUp()
        self.supernode = self.start_supernode()
        self.node = self.start_node("node", {"there.txt": b"before"}, *at(self.supernode))
        self.wait_until_held(self.supernode, "node", id_of(b"before"))
        self.share = self.shared("node")

    def test_added(self) -> None:
        """A file that is written in several goes is there 2 s after it is closed."""
        with (self.share / "new.bin").open("wb") as file:
            for _ in range(3):
                file.write(b"a part " * 10_000)
                file.flush()
        self.assertShown(id_of(b"a part " * 30_000))

    def test_added_in_a_new_folder(self) -> None:
        """So is one in a folder that is new as well."""
        (self.share / "a" / "b").mkdir(parents=True)
        (self.share / "a" / "b" / "new.txt").write_bytes(b"deep")
        self.assertShown(id_of(b"deep"))

    def test_changed(self) -> None:
        """A changed file has its new id, and the old one is gone."""
        (self.share / "there.txt").write_bytes(b"after")
        self.assertShown(id_of(b"after"))
        self.assertEqual(self.held(id_of(b"before")), {})
        self.assertEqual(self.node.get(f"/api/node/resources/{id_of(b'before')}").status, 404)

    def test_replaced(self) -> None:
        """So has one that another file is renamed over."""
        draft = self.share / ".there.txt.draft"
        draft.write_bytes(b"after")
        draft.rename(self.share / "there.txt")
        self.assertShown(id_of(b"after"))
        self.assertEqual(self.held(id_of(b"before")), {})

    def test_open_for_writing(self) -> None:
        """A file that a program still has open is not there, however long that pauses."""
        with (self.share / "half.bin").open("wb") as file:
            file.write(b"half")
            file.flush()
            # What is written after it is looked at after it.
            for number in range(3):
                (self.share / f"{number}").write_bytes(b"%d" % number)
                self.assertShown(id_of(b"%d" % number))
            self.assertEqual(self.names(), {"there.txt", "0", "1", "2"})
            file.write(b" and half")
        self.assertShown(id_of(b"half and half"))

    def test_control_file(self) -> None:
        """Nor is one with a control file beside it, until that is removed."""
        control = self.share / "big.iso.aria2"
        control.touch()
        (self.share / "big.iso").write_bytes(b"half")
        for number in range(2):
            (self.share / f"{number}").write_bytes(b"%d" % number)
            self.assertShown(id_of(b"%d" % number))
        self.assertEqual(self.names(), {"there.txt", "0", "1"})
        control.unlink()
        self.assertShown(id_of(b"half"))

    def test_rewritten_through_a_map(self) -> None:
        """A file that is rewritten through a memory map has its new id, whatever its times say."""
        path = self.share / "there.txt"
        was = path.stat()
        with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
            mapped[:] = b"AFTER!"
            mapped.flush()
            os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
        self.assertShown(id_of(b"AFTER!"))
        self.assertEqual(self.held(id_of(b"before")), {})

    def test_mode(self) -> None:
        """A file whose mode, names or name change is held all the time."""
        path = self.share / "there.txt"
        for change in (
            lambda: path.chmod(0o600),
            lambda: os.link(path, self.share / "then.txt"),
            path.unlink,
            lambda: (self.share / "then.txt").rename(path),
        ):
            change()
            (self.share / "mark").write_bytes(mark := os.urandom(8))
            eventually(SHOWN_WITHIN, "the change is seen", lambda: self.is_held_with(id_of(mark)))

    def is_held_with(self, id: str) -> bool:
        """Whether another file is held; the first one must be in any case."""
        self.assertTrue(self.held(id_of(b"before")))
        return bool(self.held(id))

    def names(self) -> set[str]:
        """The names that the node lists."""
        return {one["name"] for one in self.node.get("/api/node/resources").data}

    def test_folders(self) -> None:
        """Folders that come, move out and in again, and go take their files along, each time."""
        away = self.share.with_name("away")
        for number in range(3):
            tree = self.share / f"tree {number}" / "a" / "b"
            tree.mkdir(parents=True)
            (tree / "file").write_bytes(b"%d" % number)
            self.assertShown(id_of(b"%d" % number))
            (self.share / f"tree {number}").rename(away)
            self.assertGone(id_of(b"%d" % number))
            away.rename(self.share / "back")
            self.assertShown(id_of(b"%d" % number))
            (self.share / "back/a/b/file").write_bytes(b"again %d" % number)
            self.assertShown(id_of(b"again %d" % number))
            shutil.rmtree(self.share / "back")
            self.assertGone(id_of(b"again %d" % number))
            (self.share / "there.txt").write_bytes(b"after %d" % number)
            self.assertShown(id_of(b"after %d" % number))

    def test_many_files(self) -> None:
        """So are very many files that come and change at once in one folder."""
        folder = self.share / "many"
        folder.mkdir()
        for number in range(3_000):
            (folder / f"{number}").write_bytes(b"%d" % number)
        eventually(10, "all are listed", lambda: len(self.names()) == 3_001)
        for number in range(3_000):
            (folder / f"{number}").unlink()
        eventually(10, "all are gone", lambda: len(self.names()) == 1)

    def test_removed(self) -> None:
        """A removed file is gone."""
        (self.share / "there.txt").unlink()
        self.assertGone(id_of(b"before"))

    def test_changed_content_is_not_served(self) -> None:
        """From the moment that a file changes, it is not served under its old id."""
        (self.share / "there.txt").write_bytes(b"after!")
        answer = self.node.get(f"/api/node/resources/{id_of(b'before')}/content")
        self.assertEqual(answer.status, 404, answer.body)

    def assertShown(self, id: str) -> None:
        eventually(SHOWN_WITHIN, f"the supernode knows {id}", lambda: self.held(id))

    def assertGone(self, id: str) -> None:
        eventually(SHOWN_WITHIN, f"{id} is gone", lambda: self.held(id) == {})

    def held(self, id: str) -> object:
        """What the supernode says of a resource; empty where it finds nothing."""
        return self.supernode.get(f"/api/supernode/search/{id}").data
