"""Names that strangers give: of files, and of nodes."""

import os
import subprocess
import sys
from pathlib import Path

from .bad_holders import BadHolder
from .cases import SystemTestCase
from .daemons import at, environment, eventually, id_of

#: Whatever a name can do to a folder, a terminal, a log or a page.
NAMES = [
    "../outside0",
    "../../../../outside1",
    "/outside2",
    "a/../../outside3",
    "..",
    ".",
    "/",
    "link/outside4",
    ".hidden",
    "a\0b",
    "a\nb\r\nc",
    "a\x1b[2J\x1b]0;title\x07b",
    "a\N{RIGHT-TO-LEFT OVERRIDE}txt.exe",
    "<script>alert(1)</script>",
    "[bold]%s{name}$HOME`id`",
    "x" * 4_000,
    "\N{SNOWMAN}" * 1_300,
    "/".join("deep" for _ in range(800)),
    "x.part",
    "x.part.journal",
    "con",
    "a\\b:c",
    " ",
    "\ud7ff\ue000",
]


class NamesTests(SystemTestCase):
    """A supernode, a node that fetches, and holders that call what they have by such names."""

    def setUp(self) -> None:
        super().setUp()
        self.supernode = self.start_supernode("--sweep-interval", "1")
        self.fetcher = self.start_node("fetcher", {}, *at(self.supernode))
        self.inside = self.shared("fetcher")
        (self.inside / "link").symlink_to(self.folder)
        self.holders = [
            BadHolder(self, self.supernode, name, b"content %d" % number, file_name=name)
            for number, name in enumerate(NAMES)
        ]

    def outside(self) -> set[Path]:
        """All files of the test that are in none of the folders to fetch to, but the logs."""
        return {
            Path(folder) / name
            for folder, _, names in os.walk(self.folder)
            for name in names
            if not Path(folder).is_relative_to(self.inside) and not name.endswith(".log")
        }

    def p2p(self, *arguments: str, folder: Path) -> str:
        """What `p2p` prints, of both kinds."""
        ran = subprocess.run(
            [sys.executable, "-m", "p2ptwisted.cli", *arguments],
            cwd=folder,
            env=environment() | {"P2P_SUPERNODE": self.supernode.url},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
        )
        return ran.stdout.decode()

    def assert_harmless(self, text: str) -> None:
        """Nothing in it is obeyed by a terminal, or looks like a line that it isn't."""
        for line in text.splitlines():
            self.assertTrue(line.expandtabs().isprintable(), repr(line))

    def assert_here(self, folder: Path) -> None:
        """What every holder has is in that folder, as a file that can be seen."""
        ids = set()
        for below, _, names in os.walk(folder):
            for name in names:
                path = Path(below) / name
                self.assertFalse(path.name.startswith("."), path)
                self.assertTrue(path.name.isprintable(), path)
                ids.add(id_of(path.read_bytes()))
        self.assertLessEqual({holder.id for holder in self.holders}, ids)

    def test_fetched(self) -> None:
        """A node fetches each into its folder, and nothing anywhere else."""
        before = self.outside()
        for holder in self.holders:
            self.assertEqual(self.fetcher.post("/api/node/fetch", {"id": holder.id}).status, 202)
        fetches = "/api/node/fetch"
        eventually(
            20,
            "all have come",
            lambda: {one["state"] for one in self.fetcher.get(fetches).data} == {"done"},
        )
        self.assertEqual(self.outside(), before)
        self.assert_here(self.inside)
        self.assert_harmless(self.fetcher.log.read_text())

    def test_command(self) -> None:
        """So does `p2p get`; and what `p2p` prints of names and nodes upsets no terminal."""
        before = self.outside()
        folder = self.inside / "got"
        folder.mkdir()
        ids = [holder.id for holder in self.holders]
        self.assert_harmless(self.p2p("get", *ids, folder=folder))
        self.assertEqual(self.outside(), before)
        self.assert_here(folder)
        for command in (["find", "a"], ["find", self.holders[11].id], ["nodes"], ["status"]):
            self.assert_harmless(self.p2p(*command, folder=folder))

    def test_logged(self) -> None:
        """Nodes with such names are gone with one line each in the supernode's log."""
        for holder in self.holders:
            holder.close()
        alive = "/api/supernode/alive"
        eventually(15, "all are gone", lambda: len(self.supernode.get(alive).data) == 1)
        log = self.supernode.log.read_text()
        self.assertEqual(log.count(" is gone\n"), len(self.holders))
        self.assert_harmless(log)
