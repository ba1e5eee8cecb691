"""What a state folder has to put up with."""

import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil

from .cases import SystemTestCase
from .daemons import START_WITHIN, Daemon, at, command, environment, eventually, free_port, id_of

CONTENT = b"content"

#: Files whose list fills some pages of a database.
FILES = 150

#: Seconds of two heartbeats, and some for a busy machine.
TWO_BEATS = 12.0

#: What can become of a file: nonsense, half of it, a hole in its middle.
DAMAGES: list[Callable[[bytes], bytes]] = [
    lambda data: b"this is no database\n" * 1_000,
    lambda data: data[: len(data) // 2],
    lambda data: data[: len(data) // 2] + bytes(4096) + data[len(data) // 2 + 4096 :],
]


class StateTests(SystemTestCase):
    """State folders in use, and damaged ones."""

    def test_in_use(self) -> None:
        """A second daemon of the same role is refused in one line; the first goes on."""
        state = ("--state", str(self.folder / "state"))
        first = self.start_supernode(*state)
        ran = subprocess.run(
            command("p2p-supernode", "--port", str(free_port()), *self._group(), *state),
            cwd=self.folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=START_WITHIN,
        )
        self.assertEqual(ran.returncode, 1, ran)
        self.assertIn("another daemon", ran.stderr)
        self.assertEqual(ran.stderr.count("\n"), 1)
        self.assertEqual(first.get("/api/supernode/alive").status, 200)

    def test_damaged(self) -> None:
        """A damaged file is set aside, not deleted, and what it held is told, or hashed, again."""
        states = {role: self.folder / role for role in ("supernode", "node")}
        supernode_options = ("--state", str(states["supernode"]))
        files = {str(number): b"%d" % number for number in range(FILES)}
        ids = [id_of(content) for content in files.values()]
        port = free_port()
        supernode = self.start_supernode(*supernode_options, port=port)
        options = (*at(supernode), "--state", str(states["node"]))
        node = self.start_node("node", files, *options)
        self.wait_until_held(supernode, "node", *ids)
        for number, damage in enumerate(DAMAGES, 1):
            # Each is set aside for the other to tell it again: the one that stays knows it all.
            supernode.stop()
            aside = self.damage(states["supernode"] / "registry.sqlite", damage, number)
            supernode = self.start_supernode(*supernode_options, port=port)
            self.wait_until_held(supernode, "node", *ids, within=TWO_BEATS)
            self.assert_set_aside(supernode, *aside)
            node.stop()
            aside = self.damage(states["node"] / "digests.sqlite", damage, number)
            node = self.start_node("node", {}, *options)
            self.wait_until_held(supernode, "node", *ids)
            # Whoever hashes stays for a while.
            self.assertTrue(psutil.Process(node.pid).children())
            self.assert_set_aside(node, *aside)

    def test_held(self) -> None:
        """Other programs can't hold its file while it runs; if they do before, memory will do."""
        files = (self.folder / "one" / "registry.sqlite", self.folder / "two" / "digests.sqlite")
        options = [("--state", str(file.parent)) for file in files]
        port = free_port()
        supernode = self.start_supernode(*options[0], port=port)
        node = self.start_node("node", {"file": CONTENT}, *at(supernode), *options[1])
        self.wait_until_held(supernode, "node", id_of(CONTENT))
        others = [sqlite3.connect(file, timeout=0, isolation_level=None) for file in files]
        for other in others:
            self.addCleanup(other.close)
            self.assertRaises(sqlite3.OperationalError, other.execute, "BEGIN IMMEDIATE")
        node.freeze()
        supernode.kill()
        node.kill()
        for other in others:
            other.execute("BEGIN IMMEDIATE")
        supernode = self.start_supernode(*options[0], port=port)
        # Nobody else can have told it.
        self.assertEqual(supernode.get(f"/api/supernode/search/{id_of(CONTENT)}").status, 200)
        node = self.start_node("node", {"more": b"more"}, *at(supernode), *options[1])
        self.wait_until_held(supernode, "node", id_of(CONTENT), id_of(b"more"))
        for daemon in (supernode, node):
            log = daemon.log.read_text()
            self.assertEqual(log.count("another program has it open"), 1, daemon.role)
            self.assertNotIn("Traceback", log)

    def damage(
        self, file: Path, damage: Callable[[bytes], bytes], number: int
    ) -> tuple[Path, bytes]:
        """Damage the file; where it is to be then, and what is in it."""
        damaged = damage(file.read_bytes())
        file.write_bytes(damaged)
        return file.with_name(f"{file.name}.damaged-{number}"), damaged

    def assert_set_aside(self, daemon: Daemon, aside: Path, damaged: bytes) -> None:
        self.assertEqual(aside.read_bytes(), damaged)
        self.assertEqual(daemon.log.read_text().count("is damaged"), 1)

    def test_answers_at_once(self) -> None:
        """Killed and started again, a supernode answers for what it knew before it hears more."""
        port = free_port()
        state = ("--state", str(self.folder / "state"))
        supernode = self.start_supernode(*state, port=port)
        node = self.start_node("node", {"file": CONTENT}, *at(supernode))
        self.wait_until_held(supernode, "node", id_of(CONTENT))
        node.freeze()
        self.addCleanup(node.thaw)
        supernode.kill()
        again = self.start_supernode(*state, port=port)
        found = again.get(f"/api/supernode/search/{id_of(CONTENT)}").data
        self.assertEqual(found["file"]["locations"], [node.location])
        node.thaw()
        health = "/api/node/health"
        eventually(START_WITHIN, "the node answers", lambda: node.get(health).status == 200)
