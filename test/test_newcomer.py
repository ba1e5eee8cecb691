"""
What a newcomer does: the README's lines for the installation, on three hosts, and its `p2p pull`.

What is typed here is read there.
"""

import json
import re
import subprocess
import sys

from .cases import SystemTestCase
from .daemons import CHECKOUT, Daemon, environment, eventually, id_of
from .hosts import Host, Switch

#: The file that is pulled, as in the README.
NAME = "dataset.bin"
CONTENT = b"data" * 100_000

#: Files of a pull of many.
MANY = 60


def installation() -> list[list[str]]:
    """
    The words of the commands that start daemons, in the README's section on installing.

    In the README they follow the word p2p. The first one is the role.
    """
    section = (CHECKOUT / "README.md").read_text().split("\n## Installation\n")[1].split("\n## ")[0]
    return [line.split() for line in re.findall(r"^    p2p (\w+.*)$", section, re.MULTILINE)]


class NewcomerTests(SystemTestCase):
    """Three hosts in one private network, which nobody has configured."""

    def setUp(self) -> None:
        super().setUp()
        switch = Switch(self)
        self.hosts = [switch.host(f"192.168.35.{number}") for number in (10, 11, 12)]
        for host in self.hosts:
            # As on a host that has a router: multicast goes the same way.
            host.ip("route", "add", "default", "via", "192.168.35.1")
        self.supernode_line, self.node_line = installation()
        role, *options = self.supernode_line
        self.supernode = self.start(role, 5000, *options, machine=self.hosts[0])

    def start_here(self, host: Host) -> Daemon:
        """A node, by the README's line, in a folder of the host's own."""
        role, *options = self.node_line
        home = self.folder / host.address
        (home / "DIR").mkdir(parents=True)
        return self.start(role, 8000, *options, machine=host, folder=home)

    def p2p(self, host: Host, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*host.prefix, sys.executable, "-m", "p2ptwisted.cli", *arguments],
            cwd=self.folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def test_pull(self) -> None:
        """A file that one of them has comes to all three, wherever the command runs."""
        for host in self.hosts:
            self.start_here(host)
        path = self.folder / self.hosts[1].address / "DIR" / NAME
        path.write_bytes(CONTENT)
        found = f"/api/supernode/holders/{id_of(CONTENT)}"
        eventually(20, "it is shared", lambda: self.supernode.get(found).data["locations"])
        eventually(20, "all nodes are there", lambda: self.alive() == 3)
        ran = self.p2p(self.hosts[2], "pull", NAME, "--all")
        self.assertEqual(ran.returncode, 0, ran)
        self.assertIn(f"{NAME}: 3 of 3 nodes have it, verified", ran.stderr)
        for host in self.hosts:
            self.assertEqual((self.folder / host.address / "DIR" / NAME).read_bytes(), CONTENT)

    def test_later(self) -> None:
        """A machine that comes later gets many files by one command, and is missed when gone."""
        first, _ = [self.start_here(host) for host in self.hosts[:2]]
        files = {f"logs/{number:03}.txt": b"%d" % number for number in range(MANY)}
        folder = self.folder / self.hosts[0].address / "DIR" / "logs"
        folder.mkdir()
        for name, content in files.items():
            (folder.parent / name).write_bytes(content)
        ids = {id_of(content) for content in files.values()}

        def found() -> set[str]:
            ran = self.p2p(self.hosts[1], "find", "logs/", "--json")
            return {one["id"] for one in json.loads(ran.stdout)}

        eventually(20, "all are found", lambda: found() == ids)
        late = self.start_here(self.hosts[2])
        eventually(20, "all nodes are there", lambda: self.alive() == 3)
        ran = self.p2p(self.hosts[1], "pull", *ids, "--all")
        self.assertEqual(ran.returncode, 0, ran)
        last = f"p2p: {MANY} files: 3 of 3 nodes have all of them, verified\n"
        self.assertTrue(ran.stderr.endswith(last), ran.stderr)
        # However many files there are, a node has one line in the result.
        self.assertEqual(len(ran.stdout.splitlines()), 3)
        for host in self.hosts:
            for name, content in files.items():
                self.assertEqual((self.folder / host.address / "DIR" / name).read_bytes(), content)
        late.kill()
        eventually(20, "it is gone", lambda: self.alive() == 2)
        ran = self.p2p(self.hosts[1], "pull", *ids, "--all", "--expect", "3")
        self.assertEqual(ran.returncode, 1, ran)
        self.assertIn(f"at {late.location}: gone ", ran.stderr)
        self.assertIn(f"{MANY} files: 2 of 3 nodes have all of them", ran.stderr)
        ran = self.p2p(self.hosts[1], "pull", *ids, "--node", first.location)
        self.assertEqual(ran.returncode, 0, ran)

    def alive(self) -> int:
        """How many nodes the supernode has."""
        return len(self.supernode.get("/api/supernode/alive").data)

    def test_without(self) -> None:
        """Without the option each node says which one to add, and with that it works."""
        self.assertEqual(self.node_line[-2:], ["--trusted-network", "local"])
        del self.node_line[-2:]
        node = self.start_here(self.hosts[1])
        body = f'{{"id": "{id_of(CONTENT)}"}}'.encode()
        answer = self.hosts[2].request("POST", f"{node.url}/api/node/fetch", body)
        self.assertEqual(answer.status, 403)
        self.assertIn("start it with --trusted-network local", answer.json["description"])
        (self.folder / self.hosts[1].address / "DIR" / NAME).write_bytes(CONTENT)
        found = f"/api/supernode/holders/{id_of(CONTENT)}"
        eventually(20, "it is shared", lambda: self.supernode.get(found).data["locations"])
        ran = self.p2p(self.hosts[2], "pull", NAME, "--all")
        self.assertEqual(ran.returncode, 1, ran)
        self.assertIn("start it with --trusted-network local, or with", ran.stderr)
