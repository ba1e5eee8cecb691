"""The systemd units, judged by systemd's own programs."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import SkipTest

from .booted import run_booted
from .cases import SystemTestCase
from .daemons import environment

#: The command as it is installed.
P2P = Path(sys.executable).with_name("p2p")

#: The most of `systemd-analyze security`, times ten, as its own option has it.
EXPOSURE_MAX = 30

#: Seconds for a program of systemd's.
WITHIN = 60


class UnitsTests(SystemTestCase):
    """What `p2p install-systemd` puts below a folder."""

    def setUp(self) -> None:
        super().setUp()
        for program in ("systemd-analyze", "systemd-sysusers", "systemd-tmpfiles"):
            if shutil.which(program) is None:
                raise SkipTest(f"there is no {program} here")
        self.root = self.folder / "root"
        self.run_well(P2P, "install-systemd", "--root", self.root, "--program", P2P)
        self.units = self.root / "etc/systemd/system"

    def run_well(self, *command: str | Path) -> str:
        """What a command prints; fails where it fails."""
        done = subprocess.run(
            command,
            env=environment() | {"SYSTEMD_COLORS": "0"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=WITHIN,
        )
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def test_verify(self) -> None:
        """systemd finds nothing to complain of in either unit."""
        for role in ("node", "supernode"):
            # An instance: its settings are named after it.
            unit = self.units / f"p2p-{role}@{role}.service"
            shutil.copy(self.units / f"p2p-{role}@.service", unit)
            self.assertEqual(self.run_well("systemd-analyze", "verify", "--man=no", unit), "")

    def test_exposure(self) -> None:
        """Both are sandboxed well, by systemd's own measure."""
        for role in ("node", "supernode"):
            report = self.run_well(
                *("systemd-analyze", "security", "--offline=true", "--no-pager"),
                f"--threshold={EXPOSURE_MAX}",
                self.units / f"p2p-{role}@.service",
            )
            exposure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", report)
            assert exposure, report
            print(f"p2p-{role}@: {exposure[1]}")

    def test_user_and_folders(self) -> None:
        """The user and the folders are made, and the folders are the user's."""
        self.run_well("systemd-sysusers", f"--root={self.root}")
        self.run_well("systemd-tmpfiles", f"--root={self.root}", "--create")
        user, *_ = (self.root / "etc/passwd").read_text().splitlines()
        name, _, uid, gid, *_ = user.split(":")
        self.assertEqual(name, "p2p")
        for folder, mode in (("srv/p2p", 0o2775), ("var/lib/p2ptwisted", 0o755)):
            status = (self.root / folder).stat()
            self.assertEqual((status.st_uid, status.st_gid), (int(uid), int(gid)))
            self.assertEqual(status.st_mode & 0o7777, mode)


class BootedTests(SystemTestCase):
    """The units as systemd really runs them, on a machine of its own."""

    def test_fetch(self) -> None:
        """Installed and started, and nothing else done, a node fetches into its folder."""
        ran = run_booted(
            self,
            self.folder / "machine",
            """
            p2p install-systemd
            echo content >/srv/p2p/a.bin
            printf 'resources = "/srv/p2p/second"\nport = 8001\n' >/etc/p2ptwisted/second.toml
            install -d -o p2p -g p2p /srv/p2p/second
            systemctl start p2p-supernode@supernode p2p-node@node p2p-node@second
            export P2P_SUPERNODE=http://127.0.0.1:5000
            until p2p find a.bin && p2p nodes | grep :8001; do sleep 0.2; done
            p2p pull a.bin --node http://127.0.0.1:8001
            cmp /srv/p2p/a.bin /srv/p2p/second/a.bin
            stat -c 'file: %U %a' /srv/p2p/second/a.bin
            stat -c 'state: %U %a' /var/lib/p2ptwisted/second
            ! setpriv --reuid p2p --regid p2p --clear-groups touch /etc/p2ptwisted/x
            systemctl stop p2p-node@second
            systemctl show -p Result -p ExecMainStatus p2p-node@second
            """,
        )
        self.assertEqual(ran.status, 0, ran.output)
        for line in ("file: p2p 644", "state: p2p 700", "Result=success", "ExecMainStatus=0"):
            self.assertIn(f"\n{line}\n", ran.output)

    def test_wrong_settings(self) -> None:
        """With wrong settings a unit stops, says why, and is not started again and again."""
        ran = run_booted(
            self,
            self.folder / "machine",
            """
            p2p install-systemd
            systemctl start systemd-journald
            echo 'max_upload = "12.5XB"' >/etc/p2ptwisted/node.toml
            systemctl start p2p-node@node
            until systemctl is-failed p2p-node@node; do sleep 0.2; done
            systemctl show -p NRestarts -p ExecMainStatus p2p-node@node
            until journalctl -u p2p-node@node | grep 12.5XB; do sleep 0.2; done
            """,
        )
        self.assertEqual(ran.status, 0, ran.output)
        for line in ("NRestarts=0", "ExecMainStatus=2"):
            self.assertIn(f"\n{line}\n", ran.output)
        self.assertIn("/etc/p2ptwisted/node.toml: max_upload = '12.5XB': Expected", ran.output)
