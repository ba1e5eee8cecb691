"""Names that strangers give: of files, and of nodes."""

import os
import re
import subprocess
import sys
from pathlib import Path

from .bad_holders import BadHolder
from .cases import SystemTestCase
from .daemons import Daemon, at, environment, eventually, id_of

#: Names that other systems have for themselves, and what becomes of them.
CHANGED = {
    "con": "_con",
    "NUL.txt": "_NUL.txt",
    "com1": "_com1",
    "aux/b": "_aux/b",
    "trailing.": "trailing",
    "blank ": "blank",
}

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
    # What passes for a line end somewhere.
    "return\ra",
    "vertical\va",
    "form\fa",
    "separator\x1ca",
    "next\x85a",
    "line\N{LINE SEPARATOR}a",
    "a\x1b[2J\x1b]0;title\x07b",
    "a\N{RIGHT-TO-LEFT OVERRIDE}txt.exe",
    "<script>alert(1)</script>",
    "[bold]%s{name}$HOME`id`",
    "x" * 4_000,
    "\N{SNOWMAN}" * 1_300,
    "/".join("deep" for _ in range(800)),
    "x.part",
    "x.part.journal",
    "a\\b:c",
    " ",
    "\ud7ff\ue000",
    *CHANGED,
]

#: How a line of a daemon's log begins.
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} \[", re.ASCII)


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

    def p2p(self, *arguments: str, folder: Path, status: int = 0) -> list[str]:
        """The lines of its result, after a look at its status, and that none does any harm."""
        ran = subprocess.run(
            [sys.executable, "-m", "p2ptwisted.cli", *arguments],
            cwd=folder,
            env=environment() | {"P2P_SUPERNODE": self.supernode.url},
            capture_output=True,
            timeout=60,
        )
        self.assertEqual(ran.returncode, status, ran.stderr)
        self.harmless(ran.stderr)
        return self.harmless(ran.stdout)

    def harmless(self, output: bytes) -> list[str]:
        """Its lines, after a look that nothing in them is obeyed by a terminal."""
        # Neither `splitlines` nor a file's text would show what else passes for a line end.
        lines = output.decode().removesuffix("\n").split("\n")
        for line in lines:
            self.assertTrue(line.expandtabs().isprintable(), repr(line))
        return lines

    def log_of(self, daemon: Daemon) -> list[str]:
        """The lines of its log, after a look that each is one that it wrote."""
        lines = self.harmless(daemon.log.read_bytes())
        for line in lines:
            self.assertTrue(TIME.match(line), repr(line))
        return lines

    def assert_here(self, folder: Path, flat: bool = False) -> None:
        """What every holder has is in that folder, as a file that can be seen, by a good name."""
        ids = set()
        for below, _, names in os.walk(folder):
            for name in names:
                path = Path(below) / name
                self.assertFalse(path.name.startswith("."), path)
                self.assertTrue(path.name.isprintable(), path)
                ids.add(id_of(path.read_bytes()))
        self.assertLessEqual({holder.id for holder in self.holders}, ids)
        for holder, name in zip(self.holders, NAMES, strict=True):
            if name in CHANGED:
                path = folder / (Path(CHANGED[name]).name if flat else CHANGED[name])
                self.assertEqual(path.read_bytes(), holder.content, name)

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
        fetched = [line for line in self.log_of(self.fetcher) if " Fetched " in line]
        self.assertEqual(len(fetched), len(NAMES))

    def test_command(self) -> None:
        """So does `p2p get`; and what `p2p` prints of names and nodes upsets no terminal."""
        before = self.outside()
        folder = self.inside / "got"
        folder.mkdir()
        ids = [holder.id for holder in self.holders]
        self.assertEqual(len(self.p2p("get", *ids, folder=folder)), len(NAMES))
        self.assertEqual(self.outside(), before)
        self.assert_here(folder, flat=True)
        found = {line.partition(" ")[0] for line in self.p2p("find", "a", folder=folder)}
        named = {
            holder.id
            for holder, name in zip(self.holders, NAMES, strict=True)
            if "a" in name.casefold()
        }
        self.assertLessEqual(named, found)
        one = self.holders[NAMES.index("return\ra")]
        first, *locations = self.p2p("find", one.id, folder=folder)
        self.assertTrue(first.startswith(one.id), first)
        self.assertIn(one.location, map(str.strip, locations))
        # A line of headings, and one for each node.
        self.assertEqual(len(self.p2p("nodes", folder=folder)), 1 + len(NAMES) + 1)
        # The stand-ins don't tell how they are, which is a problem each.
        told = self.p2p("status", folder=folder, status=1)
        self.assertEqual(sum(line.startswith("  node ") for line in told), len(NAMES))

    def test_logged(self) -> None:
        """Nodes with such names are gone with one line each in the supernode's log."""
        for holder in self.holders:
            holder.close()
        alive = "/api/supernode/alive"
        eventually(15, "all are gone", lambda: len(self.supernode.get(alive).data) == 1)
        gone = [line for line in self.log_of(self.supernode) if line.endswith(" is gone")]
        self.assertEqual(len(gone), len(NAMES))
