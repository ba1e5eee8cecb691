"""Tests of `p2ptwisted.cli.daemon_command`: the daemons as commands of `p2p`."""

import io
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.cli import daemon_command
from p2ptwisted.cli.exit_status import ExitStatus
from p2ptwisted.cli.main import main
from twisted.plugins.p2ptwisted_plugin import p2p_node, p2p_supernode


class DaemonCommandTests(SynchronousTestCase):
    """What `p2p node` and `p2p supernode` hand on, and what they refuse."""

    def setUp(self) -> None:
        self.out, self.told = io.TextIOWrapper(io.BytesIO()), io.StringIO()
        self.patch(sys, "stdout", self.out)
        self.patch(sys, "stderr", self.told)
        self.patch(sys, "__stderr__", self.told)

    def handed_on(self, *arguments: str) -> list[list[str]]:
        """What these commands would have run: each a daemon's name and its arguments."""
        runs: list[list[str]] = []

        def run(tapname: str, given: list[str]) -> ExitStatus:
            runs.append([tapname, *given])
            return ExitStatus.OK

        self.patch(daemon_command, "run_daemon", run)
        self.assertEqual(main(list(arguments)), ExitStatus.OK)
        return runs

    def refused(self, *arguments: str) -> str:
        """The one line with which these are refused, as a mistake in the command line."""
        self.told.truncate(0)
        self.told.seek(0)
        self.assertEqual(main(list(arguments)), ExitStatus.USAGE)
        line = self.told.getvalue()
        self.assertEqual(line.count("\n"), 1, line)
        return line

    def test_help(self) -> None:
        """The help has every option of the daemon, by its own list of them."""
        for command, maker in (("node", p2p_node), ("supernode", p2p_supernode)):
            self.out.seek(0)
            self.out.truncate(0)
            self.assertEqual(main([command, "--help"]), ExitStatus.OK)
            self.out.seek(0)
            help = self.out.read()
            options = maker.options()
            self.assertGreater(len(options.longOpt), 15)
            for option in options.longOpt:
                if option != "version":
                    self.assertRegex(help, rf"--{option.rstrip('=')}\b")
            self.assertIn("-p, --port PORT", help)
            self.assertIn("Where to listen:", help)

    def test_folder(self) -> None:
        """A node's folder is its one argument, or an option as for twistd, or the default."""
        for arguments in (["a folder"], ["--resources", "a folder"], ["-r", "a folder"]):
            self.assertEqual(
                self.handed_on("node", *arguments), [["p2p-node", "--resources=a folder"]]
            )
        self.assertEqual(self.handed_on("node"), [["p2p-node"]])

    def test_options(self) -> None:
        """Every kind of option arrives as it was given: values, repeated ones, and flags."""
        self.assertEqual(
            self.handed_on("supernode", "-p", "5001", "--peer", "http://a:1", "--peer=http://b:2"),
            [["p2p-supernode", "--port=5001", "--peer=http://a:1", "--peer=http://b:2"]],
        )
        (run,) = self.handed_on("node", "--max-upload", "-1", "--private", "--name=-x", "d")
        self.assertEqual(
            set(run), {"p2p-node", "--max-upload=-1", "--private", "--name=-x", "--resources=d"}
        )

    def test_mistakes(self) -> None:
        """What is wrong with the command line or the settings is one line, and status 2."""
        folder = self.mktemp()
        Path(folder).mkdir()
        self.assertIn("two folders", self.refused("node", folder, "-r", folder))
        self.assertIn("(b)", self.refused("node", "a", "b"))
        self.assertIn("(a)", self.refused("supernode", "a"))
        self.assertIn("--sweep-interval", self.refused("node", "--sweep-interval", "5"))
        self.assertIn("nonesuch", self.refused("node", "nonesuch"))
        self.assertIn("--max-upload = '12.5XB'", self.refused("node", "--max-upload=12.5XB"))
        self.assertIn("65535", self.refused("supernode", "--port", "70000"))
        self.assertIn("no.toml", self.refused("supernode", "--config", "no.toml"))
