"""Tests of `p2ptwisted.cli.main`: what a script learns."""

import io
import json
import sys
from pathlib import Path

import click
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.cli.exit_status import ExitStatus, first_failure
from p2ptwisted.cli.main import main, p2p
from p2ptwisted.cli.rate_type import RateType


class MainTests(SynchronousTestCase):
    """What a script learns."""

    def setUp(self) -> None:
        self.out, self.told = io.TextIOWrapper(io.BytesIO()), io.StringIO()
        self.patch(sys, "stdout", self.out)
        self.patch(sys, "stderr", self.told)

    def result(self) -> str:
        self.out.seek(0)
        return self.out.read()

    def test_worst(self) -> None:
        """Of several pieces of work the first that failed decides."""
        self.assertIs(first_failure([]), ExitStatus.OK)
        self.assertIs(
            first_failure([ExitStatus.OK, ExitStatus.NOT_FOUND, ExitStatus.FAILED]),
            ExitStatus.NOT_FOUND,
        )

    def test_usage(self) -> None:
        """What makes no sense is one line that leads to the help, and status 2."""
        for arguments in (["get"], ["nonsense"], ["get", "x", "--max-download", "1"]):
            self.assertEqual(main(arguments), ExitStatus.USAGE)
        lines = self.told.getvalue().splitlines()
        self.assertEqual(len(lines), 3)
        self.assertTrue(all("--help" in line for line in lines))

    def test_rate(self) -> None:
        """A rate that can't be is shown with the option and with examples; a good one is taken."""
        for value in ("12.5XB", "100Mb", "1kbit", "-5", ""):
            self.told.truncate(0)
            self.assertEqual(main(["get", "x", "--max-download", value]), ExitStatus.USAGE)
            line = self.told.getvalue()
            for word in ("--max-download", repr(value), "MB"):
                self.assertIn(word, line)
            self.assertEqual(line.count("\n"), 1)
        self.assertEqual(RateType().convert("100Mbit", None, None), 12_500_000)
        self.assertEqual(RateType().convert("1024", None, None), 1024)

    def test_empty(self) -> None:
        """An empty word, as of an unset variable, is refused wherever a word is meant."""
        for arguments in (
            ["find", ""],
            ["find", "a", ""],
            ["get", ""],
            ["get", "a", "-o", ""],
            ["pull", "", "--all"],
            ["pull", "a", "--node", ""],
            ["share", ""],
            ["share", "a", "--node", ""],
            ["share", "a", "--folder", ""],
            ["hash", ""],
            ["nodes", "--supernode", ""],
            ["nodes", "--multicast-group", ""],
            ["nodes", "--multicast-interface", ""],
            ["nodes", "--group-key-file", ""],
            ["nodes", "--ca-file", ""],
            ["certs", ""],
            ["certs", "--folder", ""],
            ["certs", "--network", ""],
            ["certs", "--domain", ""],
        ):
            self.told.truncate(0)
            self.assertEqual(main(arguments), ExitStatus.USAGE, arguments)
            self.assertIn("it is empty", self.told.getvalue(), arguments)
            self.assertEqual(self.told.getvalue().count("\n"), 1)

    def test_no_text(self) -> None:
        """Bytes that are no text can be a path, but nothing that others are asked for."""
        for arguments in (
            ["find", "\udcff"],
            ["get", "\udcff"],
            ["pull", "a", "--node", "\udcff"],
            ["nodes", "--supernode", "\udcff"],
            ["certs", "\udcff"],
        ):
            self.told.truncate(0)
            self.assertEqual(main(arguments), ExitStatus.USAGE, arguments)
            self.assertIn("not text", self.told.getvalue(), arguments)
        path = f"{self.mktemp()}\udcff"
        Path(path).write_bytes(b"")
        self.assertEqual(main(["hash", path]), ExitStatus.OK)

    def test_pull_nowhere(self) -> None:
        """A pull must say which nodes: these or all, not both."""
        self.assertEqual(main(["pull", "x"]), ExitStatus.USAGE)
        self.assertEqual(main(["pull", "x", "--all", "--node", "http://a:1"]), ExitStatus.USAGE)

    def test_help(self) -> None:
        """The help is a result, and names every command."""
        self.assertEqual(main(["--help"]), ExitStatus.OK)
        for command in ("find", "get", "pull", "share", "hash", "nodes", "supernodes", "status"):
            self.assertIn(command, self.result())

    def test_help_texts(self) -> None:
        """Every command and option says in a sentence of its own what it does."""
        for name, command in {"p2p": p2p, **p2p.commands}.items():
            texts = [command.help or ""]
            texts += [one.help or "" for one in command.params if isinstance(one, click.Option)]
            for text in texts:
                first = text.strip().split(" ")[0]
                self.assertTrue(first[:1].isupper(), (name, text))
                self.assertNotIn(first, ("It", "Its"), (name, text))

    def test_hash(self) -> None:
        """Ids as JSON, by path."""
        path = self.mktemp()
        Path(path).write_bytes(b"")
        self.assertEqual(main(["hash", path, "--json"]), ExitStatus.OK)
        self.assertIn(
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            json.dumps(json.loads(self.result())),
        )
