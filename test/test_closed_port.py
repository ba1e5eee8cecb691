"""A node whose port is closed to everybody else, while its heartbeats arrive."""

import json
import shutil
import subprocess
import sys
import time
from unittest import SkipTest

from .cases import SystemTestCase
from .daemons import Daemon, at, environment, eventually, id_of, promised
from .hosts import Host, Switch

CONTENT = b"on both"

#: Seconds from the closing of a port until its supernode lists the node so, and until it knows it
#: itself; and from its opening until neither does. docs/operations.md promises them.
FOUND_WITHIN, TOLD_WITHIN, OVER_WITHIN = 18.0, 5.5, 11.0

#: Seconds for which the supernode's own network is gone: some of its sweeps fail.
CUT = 8.0

CLOSE = (
    "table inet closed {\nchain input { type filter hook input priority 0; "
    'iifname "eth0" tcp dport 8000 ct state new drop; }\n}\n'
)
OPEN = "delete table inet closed\n"


class ClosedPortTests(SystemTestCase):
    """A supernode, a node behind a closed port, and others, each on a host of its own."""

    def setUp(self) -> None:
        super().setUp()
        if shutil.which("nft") is None:
            raise SkipTest("there is no nft: install nftables")
        switch = Switch(self)
        self.host = switch.host("10.79.0.10")
        self.supernode = self.start("p2p-supernode", 5000, machine=self.host)
        self.closed = switch.host("10.79.0.11")
        self.closed.run("nft", CLOSE)
        began = time.monotonic()
        self.node = self.start_at(self.closed, "closed")
        self.wait_until_held(self.supernode, "closed", id_of(CONTENT))
        # Nobody looks at it before it is taken.
        self.assertLess(time.monotonic() - began, FOUND_WITHIN / 2)
        self.start_at(switch.host("10.79.0.12"), "open")
        self.wait_until_held(self.supernode, "open", id_of(CONTENT))

    def start_at(self, host: Host, name: str) -> Daemon:
        (self.shared(name) / "file").write_bytes(CONTENT)
        options = ("--name", name, "--resources", str(self.shared(name)), *at(self.supernode))
        return self.start("p2p-node", 8000, *options, machine=host)

    def unreachable(self) -> list[str]:
        nodes = self.supernode.get("/api/supernode/alive").data
        return [node["name"] for node in nodes if not node.get("reachable", True)]

    def told(self) -> str | None:
        told: str | None = self.node.get("/api/node/health").data.get("unreachable_at")
        return told

    def problems(self) -> list[str]:
        """What `p2p status` says is wrong, at the supernode's host."""
        program = "from p2ptwisted.cli.main import main; raise SystemExit(main())"
        ran = subprocess.run(
            [*self.host.prefix, sys.executable, "-c", program, "status", "--json"],
            capture_output=True,
            env=environment() | {"P2P_SUPERNODE": self.supernode.url},
        )
        problems: list[str] = json.loads(ran.stdout)["problems"]
        return problems

    def test_closed(self) -> None:
        """It is found out, told, and put behind others; it is over when the port is opened."""
        promised(
            FOUND_WITHIN, "it is listed as unreachable", lambda: self.unreachable() == ["closed"]
        )
        promised(TOLD_WITHIN, "it knows", lambda: self.told() == self.node.location)
        eventually(TOLD_WITHIN, "it says so", lambda: "open TCP port 8000" in self.log())
        (problem,) = self.problems()
        self.assertIn(f"nobody can reach {self.node.location}", problem)
        # Long enough for a heartbeat of the closed one to be the latest sign of anybody.
        until = time.monotonic() + 6
        while time.monotonic() < until:
            found = self.supernode.get(f"/api/supernode/search/{id_of(CONTENT)}").data["file"]
            self.assertEqual(found["locations"], ["10.79.0.12:8000", self.node.location])
            time.sleep(0.2)
        self.closed.run("nft", OPEN)
        promised(OVER_WITHIN, "it is reached", lambda: not self.unreachable() and not self.told())
        self.assertEqual(self.log().count("can't reach this node at"), 1)
        self.assertEqual(self.problems(), [])

        # The supernode's own network is gone for a while, and nobody else's port is closed by that.
        self.host.ip("link", "set", "eth0", "down")
        time.sleep(CUT)
        self.host.ip("link", "set", "eth0", "up")
        back = time.monotonic()
        while time.monotonic() < back + 12:
            self.assertEqual(self.unreachable(), [])
            time.sleep(0.5)

    def log(self) -> str:
        return self.node.log.read_text()
