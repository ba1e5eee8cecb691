"""The systemd units, judged by systemd's own programs."""

import shutil
import subprocess
import sys
from pathlib import Path
from unittest import SkipTest

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
            self.assertIn("Overall exposure level", report)
            print(report.splitlines()[-1])

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
