"""Tests of `p2ptwisted.cli.settings_file`: what a user sets once for all commands."""

import io
import os
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.cli import main as main_module
from p2ptwisted.cli.exit_status import CommandError, ExitStatus
from p2ptwisted.cli.main import main
from p2ptwisted.cli.session import Settings
from p2ptwisted.cli.settings_file import read_settings, settings_path

#: The variables that options come from too.
VARIABLES = {
    "supernode": "P2P_SUPERNODE",
    "multicast_group": "P2P_MULTICAST_GROUP",
    "multicast_interface": "P2P_MULTICAST_INTERFACE",
    "group_key_file": "P2P_GROUP_KEY_FILE",
    "ca_file": "P2P_CA_FILE",
}


class PathTests(SynchronousTestCase):
    """Where the file is looked for."""

    def test_path(self) -> None:
        """In XDG_CONFIG_HOME, where that is absolute, else in .config of the user's home."""
        expected = Path("/some/where/p2p/config.toml")
        self.assertEqual(settings_path({"XDG_CONFIG_HOME": "/some/where"}), expected)
        with patch.dict(os.environ, HOME="/home/one"):
            for variables in ({}, {"XDG_CONFIG_HOME": ""}, {"XDG_CONFIG_HOME": "relative"}):
                self.assertEqual(
                    settings_path(variables), Path("/home/one/.config/p2p/config.toml")
                )


class SettingsCase(SynchronousTestCase):
    """A folder that a settings file can be put into."""

    def setUp(self) -> None:
        self.home = Path(self.mktemp()).absolute()
        (self.home / "p2p").mkdir(parents=True)
        self.file = self.home / "p2p" / "config.toml"


class ReadTests(SettingsCase):
    """What is read of it."""

    def read(self, text: str) -> dict[str, Any]:
        self.file.write_text(text)
        return read_settings(self.file)

    def test_none(self) -> None:
        """Where there is no file, or no place for it, nothing is set."""
        for file in (None, self.file, Path("/dev/null/p2p/config.toml")):
            self.assertEqual(read_settings(file), {})

    def test_all(self) -> None:
        """It has the options that name a group; files in it are beside it or in the home folder."""
        with patch.dict(os.environ, HOME="/home/one"):
            values = self.read(
                'supernode = "http://a:1"\nmulticast_group = "239.1.2.3:4"\n'
                'multicast_interface = "eth0"\ngroup_key_file = "group.key"\n'
                'ca_file = "~/ca.pem"\n'
            )
        self.assertEqual(
            values,
            {
                "supernode": "http://a:1",
                "multicast_group": "239.1.2.3:4",
                "multicast_interface": ("eth0",),
                "group_key_file": str(self.home / "p2p" / "group.key"),
                "ca_file": "/home/one/ca.pem",
            },
        )
        values = self.read('multicast_interface = ["eth0", "lo"]\nca_file = "/etc/ca.pem"')
        self.assertEqual(values["multicast_interface"], ("eth0", "lo"))
        self.assertEqual(values["ca_file"], "/etc/ca.pem")

    def refused(self) -> str:
        error = self.assertRaises(CommandError, read_settings, self.file)
        self.assertIs(error.status, ExitStatus.USAGE)
        self.assertIn(str(self.file), str(error))
        self.assertNotIn("\n", str(error))
        return str(error)

    def test_mistakes(self) -> None:
        """What is wrong is told with the file, the key, and the keys that there are."""
        for text, words in [
            ('supernod = "http://a:1"', ("supernod: no such key", "supernode", "ca_file")),
            ("supernode = 5", ("supernode = 5", "Expected")),
            ("supernode = ", ("not TOML", "Invalid value")),
            ("group_key_file = 123456", ("group_key_file = ...",)),
        ]:
            self.file.write_text(text)
            message = self.refused()
            for word in words:
                self.assertIn(word, message)

    def test_unreadable(self) -> None:
        """A link that leads nowhere, or a folder, is no missing file; nothing is waited for."""
        self.file.symlink_to("nowhere")
        self.assertIn("No such file", self.refused())
        self.file.unlink()
        os.mkfifo(self.file)
        self.assertIn("regular", self.refused())

    def test_anybody_could_change_it(self) -> None:
        """One that everybody can write to is not believed, for it says whom to trust."""
        self.file.write_text("")
        self.file.chmod(0o666)
        self.assertIn("chmod o-w", self.refused())


class PrecedenceTests(SettingsCase):
    """Which of several places decides."""

    def settings(self, *arguments: str, **variables: str) -> Settings:
        """The settings that a command gets with these arguments and environment variables."""
        given: list[Settings] = []

        def run(settings: Settings, *_: object) -> ExitStatus:
            given.append(settings)
            return ExitStatus.OK

        self.patch(main_module, "_run", run)
        with patch.dict(os.environ, variables | {"XDG_CONFIG_HOME": str(self.home)}):
            for variable in set(VARIABLES.values()) - set(variables):
                os.environ.pop(variable, None)
            self.assertEqual(main(["nodes", *arguments]), ExitStatus.OK)
        return given[0]

    def test_each(self) -> None:
        """Of every setting an option wins over the environment, that over the file."""
        self.assertEqual(self.settings(), Settings())
        self.file.write_text("\n".join(f'{key} = "/in-file"' for key in VARIABLES))
        for key, variable in VARIABLES.items():
            option = f"--{key.replace('_', '-')}"

            def made(text: str, key: str = key) -> object:
                return (text,) if key == "multicast_interface" else text

            in_file = getattr(self.settings(), key)
            self.assertEqual(in_file, made("/in-file"))
            self.assertEqual(getattr(self.settings(**{variable: ""}), key), in_file)
            from_variable = self.settings(**{variable: "variable"})
            self.assertEqual(getattr(from_variable, key), made("variable"))
            from_option = self.settings(option, "option", **{variable: "variable"})
            self.assertEqual(getattr(from_option, key), made("option"))

    def test_commands_without_a_group(self) -> None:
        """A mistake in the file keeps nobody from help, nor from what asks no group."""
        self.file.write_text("nonsense")
        said = io.TextIOWrapper(io.BytesIO())
        self.patch(sys, "stdout", said)
        self.patch(sys, "stderr", io.StringIO())
        with patch.dict(os.environ, XDG_CONFIG_HOME=str(self.home)):
            self.assertEqual(main(["nodes"]), ExitStatus.USAGE)
            self.assertEqual(main(["nodes", "--help"]), ExitStatus.OK)
            self.assertEqual(main(["hash", __file__]), ExitStatus.OK)
