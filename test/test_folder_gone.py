"""A node's shared folder goes while the node runs: renamed, unmounted, removed, or mounted over."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from .daemons import Daemon, eventually, id_of, promised
from .fetch_cases import SLOW, FetchTestCase, content_of, make_old

#: Seconds within which everybody must know.
TOLD_WITHIN = 10.0

CONTENT = b"content"

#: What is said once of a folder that has gone, and of one that is back.
GONE, BACK = "is gone (", "is back, and"


class FolderCase(FetchTestCase):
    """A node with a file, which its supernode lists."""

    #: Options of the node.
    options: tuple[str, ...] = ()

    def setUp(self) -> None:
        super().setUp()
        self.share = self.folder / "node"
        self.prepare()
        self.node = self.start_holder("node", {"file": CONTENT}, *self.options)

    def prepare(self) -> None:
        """Have the folder as it is to be before the node starts."""

    def files_in(self, folder: Path) -> set[str]:
        return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}

    def is_listed(self, content: bytes = CONTENT) -> bool:
        search = f"/api/supernode/search?node_name=node&hash_ids={id_of(content)}"
        return bool(self.supernode.get(search).data)

    def health(self) -> dict[str, Any]:
        return dict(self.node.get("/api/node/health").data)

    def count(self, said: str) -> int:
        return self.node.log.read_text().count(said)

    def p2p(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        program = Path(sys.executable).with_name("p2p")
        return subprocess.run(
            [str(program), *arguments, "--supernode", self.supernode.url],
            capture_output=True,
            text=True,
            cwd=self.folder,
        )

    def wait_until_gone(self, content: bytes = CONTENT) -> None:
        promised(TOLD_WITHIN, "it isn't listed", lambda: not self.is_listed(content))

    def wait_until_back(self, content: bytes = CONTENT) -> None:
        promised(TOLD_WITHIN, "it is listed again", lambda: self.is_listed(content))

    def assert_told(self, said: str, times: int = 1) -> None:
        """One line for each time, in health, and what `p2p status` says."""
        self.assertEqual(self.count(said), times)
        problem = self.health()["folder_problem"]
        status = self.p2p("status")
        self.assertEqual(status.returncode, 1, status.stderr)
        self.assertIn(problem, status.stdout)

    def assert_well(self) -> None:
        self.assertNotIn("folder_problem", self.health())
        self.assertEqual(self.p2p("status").returncode, 0)

    def mount_on(self, *arguments: str | Path) -> None:
        """Mount something, until the test ends or before."""
        self.mount(*map(str, arguments))
        self.addCleanup(self.unmount, Path(arguments[-1]), check=False)

    def unmount(self, point: Path, check: bool = True) -> None:
        # Lazily, as those do whose disk is in use.
        subprocess.run(["umount", "--lazy", point], check=check, capture_output=True)


class RenamedTests(FolderCase):
    """Without mounts."""

    def test_renamed(self) -> None:
        """While it is renamed nobody is told to fetch from it, and nothing is made in its place."""
        other = self.start_holder("other", {"big": b"big"})
        elsewhere = self.share.with_name("elsewhere")
        for times in (1, 2):
            self.share.rename(elsewhere)
            self.wait_until_gone()
            self.assert_told(GONE, times)
            pulled = self.p2p("pull", "big", "--node", self.node.url)
            self.assertEqual(pulled.returncode, 1)
            self.assertIn("the shared folder is gone", pulled.stderr)
            shared = self.p2p("share", str(self.supernode.log), "--node", self.node.url)
            self.assertEqual(shared.returncode, 1)
            self.assertIn("the shared folder is gone", shared.stderr)
            self.assertFalse(self.share.exists())
            elsewhere.rename(self.share)
            self.wait_until_back()
            self.assertEqual(self.count(BACK), times)
            self.assert_well()
        self.assertEqual(self.p2p("pull", "big", "--node", self.node.url).returncode, 0)
        self.assertTrue(other.is_running)

    def test_removed(self) -> None:
        """One that is removed, and made again, is shared again."""
        (self.share / "file").unlink()
        self.share.rmdir()
        self.wait_until_gone()
        self.assert_told(GONE)
        self.share.mkdir()
        (self.share / "new").write_bytes(b"new")
        make_old(self.share / "new")
        self.wait_until_back(b"new")
        self.assert_well()


class LinkTests(FolderCase):
    """A folder that a link leads to."""

    def prepare(self) -> None:
        (self.folder / "first").mkdir()
        (self.folder / "second").mkdir()
        self.share.symlink_to("first")
        self.other = self.folder / "second" / "other"
        self.other.write_bytes(b"other")
        make_old(self.other)

    def point_to(self, name: str) -> None:
        (self.folder / "new").symlink_to(name)
        (self.folder / "new").rename(self.share)

    def test_pointed_elsewhere(self) -> None:
        """What it leads to now is shared, and no longer what it led to."""
        for listed, unlisted, name in ((b"other", CONTENT, "second"), (CONTENT, b"other", "first")):
            self.point_to(name)
            self.wait_until_gone(unlisted)
            self.wait_until_back(listed)
            self.assertEqual(self.health()["folder"], str(self.folder / name))
        self.assertEqual(self.count("another folder now"), 2)
        self.assert_well()
        self.point_to("nowhere")
        self.wait_until_gone()
        self.assert_told(GONE)


class MountedTests(FolderCase):
    """A folder that is a mount."""

    options = ("--max-download", str(SLOW))

    def prepare(self) -> None:
        # What is in it outlasts its being mounted.
        self.disk = self.folder / "disk"
        self.disk.mkdir()
        self.share.mkdir()
        self.mount_on("--bind", self.disk, self.share)

    def test_unmounted(self) -> None:
        """Unmounted, it is gone, though there be an empty folder; mounted, it is back."""
        self.start_holder("other", {"big": b"big"})
        self.unmount(self.share)
        self.wait_until_gone()
        self.assert_told(GONE)
        self.assertEqual(self.node.post("/api/node/fetch", {"id": id_of(b"big")}).status, 503)
        self.assertEqual(self.files_in(self.share), set())
        self.mount_on("--bind", self.disk, self.share)
        self.wait_until_back()
        self.assert_well()

    def test_unmounted_during_a_fetch(self) -> None:
        """A fetch waits until it is mounted again; nothing of it is written beneath."""
        content = content_of(12)
        self.start_holder("other", {"big": content})
        self.order(self.node, id_of(content))
        self.wait_for_middle(self.node, id_of(content))
        self.unmount(self.share)
        self.wait_until_gone()
        status = self.wait_for(
            self.node, id_of(content), "it waits", lambda now: now["state"] == "waiting"
        )
        self.assertIn("the shared folder is gone", status["error"])
        self.assertEqual(self.files_in(self.share), set())
        self.mount_on("--bind", self.disk, self.share)
        self.assertDone(self.wait_for_end(self.node, id_of(content)), self.share / "big", content)
        self.wait_until_back()


class MountedInItTests(FolderCase):
    """Mounts in the folder."""

    options = ("--max-download", str(SLOW))

    def prepare(self) -> None:
        self.disk = self.folder / "disk"
        self.disk.mkdir()
        for name in ("sub", "usb"):
            (self.share / name).mkdir(parents=True)
        for path in (self.disk / "on disk", self.share / "sub" / "hidden"):
            path.write_bytes(path.name.encode())
            make_old(path)
        self.mount_on("--bind", self.disk, self.share / "usb")

    def other(self, name: str, content: bytes) -> Daemon:
        """Another node, that has what goes to such a mount."""
        return self.start_holder("other", {name: content})

    def test_mounted_over(self) -> None:
        """What a mount hides isn't listed until it is gone again."""
        self.wait_until_back(b"hidden")
        self.mount_on("-t", "tmpfs", "p2ptwisted", self.share / "sub")
        self.wait_until_gone(b"hidden")
        self.assert_told("is mounted over")
        self.assertTrue(self.is_listed())
        self.unmount(self.share / "sub")
        self.wait_until_back(b"hidden")
        self.assert_well()

    def test_unmounted(self) -> None:
        """What was mounted isn't listed until it is again, and nothing is fetched to there."""
        self.other("usb/big", b"big")
        self.wait_until_back(b"on disk")
        self.unmount(self.share / "usb")
        self.wait_until_gone(b"on disk")
        self.assert_told("what was mounted in")
        pulled = self.p2p("pull", "usb/big", "--node", self.node.url)
        self.assertEqual(pulled.returncode, 1)
        self.assertIn("what was mounted there", pulled.stderr)
        self.assertEqual(self.files_in(self.share / "usb"), set())
        self.mount_on("--bind", self.disk, self.share / "usb")
        self.wait_until_back(b"on disk")
        self.assert_well()
        self.assertEqual(self.p2p("pull", "usb/big", "--node", self.node.url).returncode, 0)
        self.assertEqual((self.disk / "big").read_bytes(), b"big")

    def test_during_a_fetch(self) -> None:
        """A fetch to a mount that goes, or to what is mounted over, goes on when all is back."""
        content = content_of(12)
        self.other("usb/big", content)
        self.order(self.node, id_of(content))
        self.wait_for_middle(self.node, id_of(content))
        self.unmount(self.share / "usb")
        self.wait_until_gone(b"on disk")
        self.assertEqual(self.files_in(self.share / "usb"), set())
        self.assertEqual(self.status(self.node, id_of(content))["state"], "waiting")
        self.mount_on("--bind", self.disk, self.share / "usb")
        status = self.wait_for_end(self.node, id_of(content))
        self.assertDone(status, self.share / "usb" / "big", content)
        eventually(TOLD_WITHIN, "it is listed", lambda: self.is_listed(content))
