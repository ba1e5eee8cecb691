"""Tests of `p2ptwisted.cli.systemd_units`: what is put where, and what is refused."""

import os
import sys
import sysconfig
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.cli import systemd_units
from p2ptwisted.cli.exit_status import CommandError, ExitStatus
from p2ptwisted.cli.systemd_units import PROGRAM_MARK, install_units, this_program
from p2ptwisted.config import NodeConfig, SupernodeConfig, load_config

PROGRAM = Path("/opt/p2ptwisted/bin/p2p")


class InstallTests(SynchronousTestCase):
    """Files that are put below a folder."""

    def setUp(self) -> None:
        self.root = Path(self.mktemp())
        self.lines: list[str] = []
        self.patch(systemd_units, "print_lines", self.lines.append)

    def install(self) -> None:
        self.assertIs(install_units(self.root, PROGRAM), ExitStatus.OK)

    def read(self, place: str) -> str:
        return (self.root / place).read_text()

    def test_files(self) -> None:
        """Units, a user, folders and settings are put in their places, readable for everybody."""
        previous = os.umask(0o077)
        self.addCleanup(os.umask, previous)
        self.install()
        places = {
            f"etc/{place}"
            for place in (
                "systemd/system/p2p-node@.service",
                "systemd/system/p2p-supernode@.service",
                "sysusers.d/p2ptwisted.conf",
                "tmpfiles.d/p2ptwisted.conf",
                "p2ptwisted/node.toml",
                "p2ptwisted/supernode.toml",
            )
        }
        found = {path for path in self.root.rglob("*") if path.is_file()}
        self.assertEqual({str(path.relative_to(self.root)) for path in found}, places)
        self.assertEqual(set(self.lines), {str(path) for path in found})
        for path in found:
            self.assertEqual(path.stat().st_mode & 0o777, 0o644)
            self.assertEqual(path.parent.stat().st_mode & 0o777, 0o755)
            self.assertNotIn(PROGRAM_MARK, path.read_text())

    def test_program(self) -> None:
        """The units run that program, with the settings and the state of their instance."""
        self.install()
        for role in ("node", "supernode"):
            self.assertIn(
                f"\nExecStart={PROGRAM} {role} --config /etc/p2ptwisted/%i.toml "
                "--state %S/p2ptwisted/%i\n",
                self.read(f"etc/systemd/system/p2p-{role}@.service"),
            )

    def test_one_user(self) -> None:
        """The units' user is the one that is made, and owns what a node may write to."""
        self.install()
        self.assertIn("\nu p2p ", self.read("etc/sysusers.d/p2ptwisted.conf"))
        self.assertIn("\nd /srv/p2p 2775 p2p p2p\n", self.read("etc/tmpfiles.d/p2ptwisted.conf"))
        for role in ("node", "supernode"):
            self.assertIn("\nUser=p2p\n", self.read(f"etc/systemd/system/p2p-{role}@.service"))
        node = self.read("etc/systemd/system/p2p-node@.service")
        self.assertIn("\nReadWritePaths=-/srv/p2p\n", node)

    def test_settings(self) -> None:
        """The settings are good ones, and share what the unit may write to."""
        self.install()
        load_config(SupernodeConfig, {}, self.root / "etc/p2ptwisted/supernode.toml")
        file = self.root / "etc/p2ptwisted/node.toml"
        self.assertIn('\nresources = "/srv/p2p" ', file.read_text())
        file.write_text(file.read_text().replace("/srv/p2p", str(self.root)))
        # As the README's line for a node has it, and for the same reason.
        self.assertEqual(load_config(NodeConfig, {}, file).trusted_network, "local")
        # What is only shown there is good too.
        file.write_text(file.read_text().replace("\n# ", "\n"))
        self.assertEqual(load_config(NodeConfig, {}, file).max_upload, 12_500_000)

    def test_again(self) -> None:
        """Installed again, units are replaced, settings are not, nor a link in their place."""
        self.install()
        node = self.root / "etc/p2ptwisted/node.toml"
        node.write_text("port = 1\n")
        supernode = self.root / "etc/p2ptwisted/supernode.toml"
        supernode.unlink()
        supernode.symlink_to("elsewhere.toml")
        unit = self.root / "etc/systemd/system/p2p-node@.service"
        unit.write_text("")
        self.lines.clear()
        self.install()
        self.assertEqual(node.read_text(), "port = 1\n")
        self.assertFalse((self.root / "etc/p2ptwisted/elsewhere.toml").exists())
        self.assertIn("ExecStart", unit.read_text())
        self.assertIn(f"{node} (kept as it is)", self.lines)

    def test_bad_program(self) -> None:
        """A program that a unit can't name is refused before anything is written."""
        for program in ("bin/p2p", "/a b/p2p", "/a%b/p2p", "/a$b/p2p", "/a\\b", "/a'b", "/a\nb"):
            error = self.assertRaises(CommandError, install_units, self.root, Path(program))
            self.assertIs(error.status, ExitStatus.USAGE)
        self.assertFalse(self.root.exists())

    def test_not_root(self) -> None:
        """Somebody else than root is told so, unless it is for another folder."""
        self.patch(os, "geteuid", lambda: 1000)
        self.install()
        for root in (Path("/"), Path("/etc/..")):
            error = self.assertRaises(CommandError, install_units, root, PROGRAM)
            self.assertIn("--root", str(error))


class ThisProgramTests(SynchronousTestCase):
    """The p2p that runs now, as units would."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.program = self.folder / "bin" / "p2p"
        self.program.parent.mkdir(parents=True)
        self.program.touch(0o755)
        self.program.chmod(0o755)
        self.patch(systemd_units, "_UNSEEN", ())
        self.patch(sysconfig, "get_path", lambda _: str(self.program.parent))
        self.patch(sys, "executable", "/bin/sh")

    def refused(self, *words: str) -> None:
        message = str(self.assertRaises(CommandError, this_program))
        for word in ("--program", *words):
            self.assertIn(word, message)

    def test_hidden(self) -> None:
        """One in a folder of which the units see nothing is refused, and so is such a Python."""
        self.patch(systemd_units, "_UNSEEN", (str(self.folder),))
        self.refused(str(self.program), f"sees nothing of {self.folder}:")
        self.patch(systemd_units, "_UNSEEN", ("/usr", "/bin"))
        self.refused("a unit can't run /")

    def test_private(self) -> None:
        """So is one on the way to which is a folder that only its owner may enter."""
        self.program.parent.chmod(0o700)
        self.refused(f"sees nothing of {self.program.parent}:")

    def test_missing(self) -> None:
        """So is one that isn't there."""
        self.program.unlink()
        self.refused(f"sees nothing of {self.program}:")
