"""Daemons that root starts, and that go on as somebody else."""

import os
from pathlib import Path

from .cases import SystemTestCase
from .daemons import Daemon, eventually, id_of
from .hosts import Host

#: The user and the group that have no rights anywhere.
NOBODY, NOGROUP = 65534, 65534

CONTENT = b"content"

#: Python may be where only root can read it, so nobody may read everything here. What
#: nobody may write is as ever, and for root too: no capability overrides whose a file is.
READING = (
    "setpriv",
    "--bounding-set=-dac_override,-fowner,-chown",
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
    "--securebits=+no_setuid_fixup",
)


class PrivilegesTests(SystemTestCase):
    """`twistd --uid`."""

    def start_as_nobody(self, host: Host, role: str, port: int, *options: str) -> Daemon:
        state = self.folder / f"state of {role}"
        state.mkdir(exist_ok=True)
        os.chown(state, NOBODY, NOGROUP)
        group = ("--multicast-group", self.group, "--multicast-interface", "127.0.0.1")
        key = ("--group-key-file", str(self.folder / "key"))
        return self.start(
            role,
            port,
            *("--port", str(port), "--state", str(state), *group, *key, *options),
            machine=host,
            twistd_options=("--uid", str(NOBODY)),
        )

    def owners(self, daemon: Daemon) -> set[tuple[int, ...]]:
        """Whose the daemon is: real, effective, saved and of files; user, group and groups."""
        status = Path(f"/proc/{daemon.pid}/status").read_text()
        lines = [line.split() for line in status.splitlines()]
        owners = {tuple(map(int, line[1:])) for line in lines if line[0] in ("Uid:", "Gid:")}
        return owners | {
            (int(one),) * 4 for line in lines if line[0] == "Groups:" for one in line[1:]
        }

    def test_dropped(self) -> None:
        """They get a low port and read root's key, and then are nobody, as are their files."""
        host = Host(self)
        host.prefix = (*host.prefix, *READING)
        key = self.folder / "key"
        key.write_text("ab" * 32)
        key.chmod(0o600)
        shared = self.shared("node")
        (shared / "file").write_bytes(CONTENT)
        supernode = self.start_as_nobody(host, "p2p-supernode", 80)
        node = self.start_as_nobody(
            host,
            "p2p-node",
            81,
            *("--resources", str(shared), "--name", "node", "--supernode", "http://127.0.0.1:80"),
        )
        self.wait_until_held(supernode, "node", id_of(CONTENT))
        for daemon in (supernode, node):
            self.assertEqual(self.owners(daemon), {(NOBODY,) * 4})
            state = self.folder / f"state of {daemon.role}"
            kept = [path.stat() for path in state.iterdir()]
            self.assertEqual({(one.st_uid, one.st_gid) for one in kept}, {(NOBODY, NOGROUP)})
            self.assertEqual({one.st_mode & 0o777 for one in kept}, {0o600})
        found = f"/api/supernode/search/{id_of(CONTENT)}"
        node.freeze()
        supernode.stop()
        again = self.start_as_nobody(host, "p2p-supernode", 80)
        self.assertEqual(again.get(found).data["file"]["locations"], [node.location])
        node.thaw()
        eventually(5, "the node answers", lambda: node.get("/api/node/health").status == 200)
