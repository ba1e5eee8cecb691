"""What a state folder has to put up with."""

import subprocess

from .cases import SystemTestCase
from .daemons import START_WITHIN, at, command, environment, eventually, free_port, id_of

CONTENT = b"content"


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
        """A damaged file is set aside, not deleted, and what it held is told or hashed again."""
        states = {role: self.folder / role for role in ("supernode", "node")}
        nonsense = b"this is no database\n" * 1_000
        for state, name in (("supernode", "registry"), ("node", "digests")):
            states[state].mkdir()
            (states[state] / f"{name}.sqlite").write_bytes(nonsense)
        supernode = self.start_supernode("--state", str(states["supernode"]))
        node = self.start_node(
            "node", {"file": CONTENT}, *at(supernode), "--state", str(states["node"])
        )
        self.wait_until_held(supernode, "node", id_of(CONTENT))
        for state, daemon in (("supernode", supernode), ("node", node)):
            (aside,) = states[state].glob("*.damaged-1")
            self.assertEqual(aside.read_bytes(), nonsense)
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
