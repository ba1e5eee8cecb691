"""Tests of `p2ptwisted.config`: what a daemon can be told, and how mistakes are refused."""

import os
from collections.abc import Mapping
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, get_args, get_type_hints

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.config import FILE_MAX, CommonConfig, NodeConfig, SupernodeConfig, load_config
from p2ptwisted.errors import StartError
from p2ptwisted.protocols.sockets import MulticastGroup
from p2ptwisted.test.node_fakes import at_once


class ConfigCase(SynchronousTestCase):
    """A folder to stand in, with a `resources` in it, for configuration files."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        (self.folder / "resources").mkdir(parents=True)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder)

    def file(self, text: str | bytes) -> Path:
        path = self.folder / "daemon.toml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def node(self, text: str = "", **given: object) -> NodeConfig:
        return load_config(NodeConfig, given, self.file(text))

    def supernode(self, text: str = "", **given: object) -> SupernodeConfig:
        return load_config(SupernodeConfig, given, self.file(text))

    def refused(
        self,
        kind: type[CommonConfig],
        given: Mapping[str, Any],
        file: Path | None = None,
    ) -> str:
        """The one line that says what is wrong."""
        message = str(self.assertRaises(StartError, load_config, kind, given, file))
        self.assertNotIn("\n", message)
        return message

    def refused_in_file(self, kind: type[CommonConfig], text: str | bytes, *words: str) -> None:
        """A file with this text is refused, naming the file and these words."""
        file = self.file(text)
        message = self.refused(kind, {}, file)
        for word in (str(file), *words):
            self.assertIn(word, message, msg=f"{text!r}: {message}")


class DefaultsTests(ConfigCase):
    """What is so when nothing is said."""

    def test_supernode(self) -> None:
        """A supernode's defaults are those of the documentation."""
        config = load_config(SupernodeConfig, {})
        self.assertEqual(config.endpoint, "tcp:5000")
        self.assertEqual((config.sweep_interval, config.search_timeout), (5, 0.5))
        self.assert_common(config)

    def test_node(self) -> None:
        """A node's defaults are those of the documentation."""
        config = load_config(NodeConfig, {})
        self.assertEqual(config.endpoint, "tcp:8000")
        self.assertEqual(config.folder, self.folder / "resources")
        self.assertEqual(config.supernodes, [])
        self.assertIs(config.name, None)
        self.assertEqual((config.max_upload, config.max_download, config.uploads), (None, None, 64))
        self.assert_common(config)

    def assert_common(self, config: CommonConfig) -> None:
        self.assertEqual(config.trusted_networks, [])
        self.assertIs(config.advertised, None)
        self.assertIs(config.state_folder, None)
        self.assertEqual(config.group, MulticastGroup("230.0.0.0", 4321, (), 20))

    def test_empty_file(self) -> None:
        """An empty file changes none of them."""
        self.assertEqual(self.node(), load_config(NodeConfig, {}))


class MeaningTests(ConfigCase):
    """What the options come to."""

    def test_endpoint(self) -> None:
        """A port is a number, from the file or the command line, or an endpoint string."""
        for port in (80, "80"):
            self.assertEqual(self.node(port=port).endpoint, "tcp:80")
        self.assertEqual(self.node("port = 80").endpoint, "tcp:80")
        self.assertEqual(self.node('port = "80"').endpoint, "tcp:80")
        self.assertEqual(self.node(port="0").endpoint, "tcp:0")
        endpoint = "tcp:80:interface=127.0.0.1"
        self.assertEqual(self.node(port=endpoint).endpoint, endpoint)

    def test_advertised(self) -> None:
        """A location is a host, by name or address or left out, and a port."""
        for location, expected in [
            ("10.0.0.1:80", ("10.0.0.1", 80)),
            ("node.example:80", ("node.example", 80)),
            (":80", ("", 80)),
        ]:
            self.assertEqual(self.node(location=location).advertised, expected)

    def test_group(self) -> None:
        """The group has an address, a port, interfaces and a number of hops."""
        config = self.node(
            multicast_group="239.1.2.3:4000", multicast_interface="lo", multicast_ttl="3"
        )
        self.assertEqual(config.group, MulticastGroup("239.1.2.3", 4000, ("lo",), 3))

    def test_state(self) -> None:
        """The state is kept in a folder, which need not be there yet."""
        self.assertEqual(self.node(state="some/where").state_folder, Path("some/where"))

    def test_supernodes(self) -> None:
        """Supernodes keep their order."""
        config = self.node('supernode = ["http://b:5000", "http://10.0.0.1:5001/"]')
        self.assertEqual(config.supernodes, [("b", 5000), ("10.0.0.1", 5001)])

    def test_networks(self) -> None:
        """Networks may be single addresses."""
        config = self.supernode('trusted_network = ["10.0.0.0/8", "192.168.1.5"]')
        self.assertEqual(
            config.trusted_networks, [IPv4Network("10.0.0.0/8"), IPv4Network("192.168.1.5/32")]
        )

    def test_one_or_several(self) -> None:
        """What may be given several times may, in a file, be one string or a list."""
        for text in ('supernode = "http://a:1"', 'supernode = ["http://a:1"]'):
            self.assertEqual(self.node(text).supernodes, [("a", 1)])
        self.assertEqual(self.node("supernode = []").supernodes, [])

    def test_seconds(self) -> None:
        """Seconds are whole or not, in a file and on the command line."""
        for given in (7, "7", 7.0, "7.0"):
            self.assertEqual(self.supernode(sweep_interval=given).sweep_interval, 7)
        self.assertEqual(self.supernode("sweep_interval = 7").sweep_interval, 7)
        self.assertEqual(self.supernode(search_timeout="0.25").search_timeout, 0.25)

    def test_units(self) -> None:
        """Sizes, rates and times can have units, in the file and on the command line."""
        for key, text, value in [
            ("max_upload", "100Mbit", 12_500_000),
            ("max_download", "12.5MB/s", 12_500_000),
            ("header_size", "64KiB", 65_536),
            ("body_size", "2 MiB", 2 * 1024 * 1024),
            ("header_time", "500ms", 0.5),
            ("body_time", "30s", 30),
            ("idle_time", "1h", 3600),
            ("stall_time", "5min", 300),
        ]:
            self.assertEqual(getattr(self.node(**{key: text}), key), value)
            self.assertEqual(getattr(self.node(f'{key} = "{text}"'), key), value)
        supernode = self.supernode('sweep_interval = "10s"', search_timeout="250ms")
        self.assertEqual((supernode.sweep_interval, supernode.search_timeout), (10, 0.25))

    def test_every_number_with_a_unit(self) -> None:
        """Every option that is a number can have a unit, but for those that just count."""
        counts = {"port", "multicast_ttl", "connections", "connections_per_address", "uploads"}
        numbers = set()
        for kind in (NodeConfig, SupernodeConfig):
            for key, hint in get_type_hints(kind).items():
                if {int, float} & {hint, *get_args(hint)} and key not in counts:
                    numbers.add(key)
                    message = self.refused(kind, {key: "12.5XB"})
                    self.assertIn(f"--{key.replace('_', '-')} = '12.5XB'", message)
                    self.assertIn("such as", message)
        self.assertEqual(len(numbers), 10)

    def test_folder_through_a_link(self) -> None:
        """The folder is the one that a link leads to."""
        (self.folder / "link").symlink_to("resources")
        self.assertEqual(self.node(resources="link").folder, self.folder / "resources")


class PrecedenceTests(ConfigCase):
    """The command line against the file."""

    def test_command_line_wins(self) -> None:
        """What is given on the command line wins over the file, the rest of which holds."""
        config = self.supernode("port = 1\nsweep_interval = 2\nsearch_timeout = 3", port="4")
        self.assertEqual(config.endpoint, "tcp:4")
        self.assertEqual((config.sweep_interval, config.search_timeout), (2, 3))

    def test_default_on_the_command_line(self) -> None:
        """It wins even where it says what the default is."""
        self.assertEqual(self.node("port = 1", port="8000").endpoint, "tcp:8000")

    def test_repeatable(self) -> None:
        """A list on the command line stands in the place of the file's; they are not joined."""
        text = 'supernode = ["http://a:1", "http://b:2"]'
        self.assertEqual(self.node(text, supernode=("http://c:3",)).supernodes, [("c", 3)])

    def test_mistake_that_does_not_count(self) -> None:
        """A type that is wrong in the file is refused though the command line overrules it."""
        message = self.refused(NodeConfig, {"port": "1"}, self.file("port = true"))
        self.assertIn("port", message)


class FileTests(ConfigCase):
    """Files that can't be used."""

    def test_no_file(self) -> None:
        """A file that is not there, or is a folder, is named with the reason."""
        message = self.refused(NodeConfig, {}, Path("none.toml"))
        self.assertEqual(message, "--config none.toml: No such file or directory")
        self.assertIn("not a regular file", self.refused(NodeConfig, {}, self.folder))

    def test_pipe(self) -> None:
        """A pipe is refused at once, and not waited for."""
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        with at_once():
            self.assertIn("not a regular file", self.refused(NodeConfig, {}, pipe))

    def test_far_too_long(self) -> None:
        """A file of far more than all options need is not read on."""
        file = self.file("#" * FILE_MAX)
        self.node("#" * FILE_MAX)
        os.truncate(file, FILE_MAX + 1)
        self.assertIn(f"more than {FILE_MAX} bytes", self.refused(NodeConfig, {}, file))

    def test_not_toml(self) -> None:
        """What is not TOML is refused, with the place of the mistake."""
        for text in ("port = ", "port: 80", "[port", "port = 1\nport = 2", "\x00", '{"port": 1}'):
            self.refused_in_file(NodeConfig, text, "not TOML", "(at ")

    def test_nested(self) -> None:
        """So is what is nested deeper than anybody means it."""
        self.refused_in_file(NodeConfig, "port = " + "[" * 2_000, "not TOML", "too deep")

    def test_many_digits(self) -> None:
        """A number of more digits than Python reads, or shows, is one line that shows none."""
        self.refused_in_file(NodeConfig, "port = " + "9" * 5_000, "too many digits")
        hexadecimal = "0x" + "f" * 5_000
        for key, value in [
            ("port", hexadecimal),
            ("multicast_ttl", hexadecimal),
            ("idle_time", hexadecimal),
            ("location", hexadecimal),
            ("name", f"[[{hexadecimal}]]"),
        ]:
            self.refused_in_file(NodeConfig, f"{key} = {value}", key, "very many digits")

    def test_one_short_line(self) -> None:
        """Whatever keys and values are like, the message is one line of a bearable length."""
        long = "x" * 100_000
        cases: list[tuple[type[CommonConfig], str]] = [
            (NodeConfig, '"a\\nb\\u001b[2J" = 1'),
            (NodeConfig, f'"{long}" = 1'),
            (NodeConfig, f'name = ["{long}"]'),
            (NodeConfig, f'port = "{"9" * 5_000}"'),
            (NodeConfig, f'multicast_group = "{long}"'),
            (NodeConfig, f'multicast_interface = "{long}"'),
            (NodeConfig, 'multicast_interface = "a\\nb"'),
            (NodeConfig, f'trusted_network = "{long}"'),
            (NodeConfig, f'supernode = "{long}"'),
            (NodeConfig, f'resources = "{long}"'),
            (NodeConfig, 'resources = "a\\nb"'),
            (NodeConfig, f'ca_file = "{long}"'),
            (SupernodeConfig, f'peer = "{long}"'),
        ]
        for kind, text in cases:
            message = self.refused(kind, {}, self.file(text))
            self.assertTrue(message.isprintable(), message)
            self.assertLess(len(message), 1_100)

    def test_key_in_place_of_its_file(self) -> None:
        """A key that was given where its file's name belongs is not shown."""
        secret = "0123456789abcdef" * 4
        for value in (f'"{secret}"', f'"{secret}\\n"', f'["{secret}"]', f'"/{secret}"', "1" * 64):
            file = self.file(f"group_key_file = {value}")
            message = self.refused(NodeConfig, {}, file)
            self.assertIn(f"{file}: group_key_file", message)
            for part in (secret[:16], "1111"):
                self.assertNotIn(part, message)
        self.assertIn("no.key", self.refused(NodeConfig, {"group_key_file": "no.key"}))

    def test_not_utf8(self) -> None:
        """Nor is what is not UTF-8."""
        self.refused_in_file(NodeConfig, b'name = "\xe4"', "not TOML")

    def test_utf8(self) -> None:
        """A name may have any letters."""
        self.assertEqual(self.node('name = "knöten"').name, "knöten")

    def test_unknown_key(self) -> None:
        """An unknown key is refused, with the keys that there are."""
        for key, text in [
            ("prot", "prot = 80"),
            ("multicast-ttl", "multicast-ttl = 3"),
            ("Port", "Port = 80"),
            ("sweep_interval", "sweep_interval = 5"),
            ("node", "[node]\nport = 80"),
            ("config", 'config = "other.toml"'),
        ]:
            self.refused_in_file(NodeConfig, text, f"{key}: no such key", "multicast_ttl", "port")
        self.refused_in_file(SupernodeConfig, 'resources = "x"', "resources: no such key")

    def test_ill_typed(self) -> None:
        """A value of the wrong type or out of its bounds is refused, with what was expected."""
        cases: list[tuple[type[CommonConfig], str, list[str]]] = [
            (NodeConfig, "port", ["true", "80.5", "[80]", "{}", "2026-01-01"]),
            (NodeConfig, "location", ["80", "['10.0.0.1:80']"]),
            (NodeConfig, "state", ["1"]),
            (NodeConfig, "multicast_group", ["4321", "[]"]),
            (NodeConfig, "multicast_interface", ["1", "[1]", "true"]),
            (NodeConfig, "multicast_ttl", ["'20'", "256", "-1", "1.5"]),
            (NodeConfig, "name", ["1"]),
            (NodeConfig, "resources", ["['a']", "1"]),
            (NodeConfig, "supernode", ["1", "[1]"]),
            (SupernodeConfig, "sweep_interval", ["'5x'", "0", "-1", "3601", "inf", "nan", "true"]),
            (SupernodeConfig, "search_timeout", ["''", "0", "-0.5", "3601", "-inf", "nan"]),
            (SupernodeConfig, "trusted_network", ["10", "[10]"]),
        ]
        for kind, key, values in cases:
            for value in values:
                self.refused_in_file(kind, f"{key} = {value}", f"{key} = ", "Expected")

    def test_bad_meaning(self) -> None:
        """A value that means nothing is refused: its file, its key and what would be right."""
        cases: list[tuple[type[CommonConfig], str, str, str]] = [
            (NodeConfig, "port", "70000", "65535"),
            (NodeConfig, "location", "'10.0.0.1'", "host:port"),
            (NodeConfig, "multicast_group", "'10.0.0.1:4321'", "239.255.43.21:4321"),
            (NodeConfig, "multicast_interface", "'nonesuch0'", "lo"),
            (NodeConfig, "supernode", "'10.0.0.1:port'", "http://HOST:5000"),
            (NodeConfig, "resources", "'nonesuch'", "not a folder"),
            (SupernodeConfig, "trusted_network", "'10.0.0.0/33'", "10.0.0.0/8"),
        ]
        for kind, key, value, right in cases:
            file = self.file(f"{key} = {value}")
            message = self.refused(kind, {}, file)
            self.assertIn(right, message)
            self.assertIn(key, message.replace("-", "_"))
            self.assertIn(str(file), message)


class CommandLineTests(ConfigCase):
    """Values that can't be used on the command line."""

    def bad(self, kind: type[CommonConfig], option: str, *values: object) -> list[str]:
        """The messages for these values, each of which names the option as it is typed."""
        key = option.replace("-", "_")
        messages = [self.refused(kind, {key: value}) for value in values]
        for message in messages:
            self.assertIn(f"--{option}", message)
        return messages

    def test_port(self) -> None:
        """A port goes from 0 to 65535."""
        for message in self.bad(
            NodeConfig,
            "port",
            "65536",
            "-1",
            "99999999999999999999",
            "9" * 5_000,
            "-" + "9" * 5_000,
        ):
            self.assertIn("65535", message)

    def test_odd_numbers(self) -> None:
        """What only looks like a number is refused here or left to Twisted as an endpoint."""
        for port in ("--5", "-", "²", "5-", "0x50", "8_0", " 80", ""):
            try:
                config = load_config(NodeConfig, {"port": port})
            except StartError as error:
                self.assertIn("--port", str(error))
            else:
                self.assertIn(config.endpoint, (port, "tcp:80"))

    def test_location(self) -> None:
        """A location has a port from 1 to 65535."""
        for message in self.bad(NodeConfig, "location", "10.0.0.1", "", "a:", "a:b", "10.0.0.1:-5"):
            self.assertIn("port", message)
        for message in self.bad(NodeConfig, "location", "a:0", "a:70000"):
            self.assertIn("65535", message)

    def test_group(self) -> None:
        """A group is a multicast address and a port."""
        for message in self.bad(
            NodeConfig,
            "multicast-group",
            "",
            "230.0.0.0",
            "230.0.0.0:",
            "230.0.0.0:0",
            "230.0.0.0:65536",
            "230.0.0.0:x",
            "230.0.0:4321",
            "223.255.255.255:4321",
            "240.0.0.0:4321",
            "group.example:4321",
            "[ff02::1]:4321",
        ):
            self.assertIn("is not a multicast address and a port", message)

    def test_ttl(self) -> None:
        """A number of hops is a whole number from 0 to 255."""
        self.bad(NodeConfig, "multicast-ttl", "", "x", "-1", "256", "1.5")

    def test_interface(self) -> None:
        """An interface is one that there is, by its name or an address; else all are told."""
        (message,) = self.bad(NodeConfig, "multicast-interface", ("lo", "nonesuch0"))
        self.assertIn("nonesuch0", message)
        self.assertIn("lo", message.partition("there are ")[2])

    def test_seconds(self) -> None:
        """Seconds are a number above 0, an hour at the most."""
        for option in ("sweep-interval", "search-timeout"):
            for message in self.bad(
                SupernodeConfig, option, "", "x", "0", "-1", "3601", "nan", "inf", "1e9"
            ):
                self.assertIn("Expected", message)

    def test_network(self) -> None:
        """A network is an address and how much of it counts, for both roles."""
        for kind in (NodeConfig, SupernodeConfig):
            for message in self.bad(
                kind,
                "trusted-network",
                ("10.0.0.0/8", "x"),
                ("10.0.0.1/8",),
                ("10.0.0.0/33",),
                ("::/0",),
                ("",),
            ):
                self.assertIn("is not a network such as 10.0.0.0/8", message)

    def test_rates(self) -> None:
        """A bound on a rate is at least 1 KiB a second: less would be no transfer at all."""
        for option in ("max-upload", "max-download"):
            for message in self.bad(
                NodeConfig, option, "", "x", "0", "-1", "1023", "1.5", "1MM", "nan"
            ):
                self.assertIn("Expected", message)
            load_config(NodeConfig, {option.replace("-", "_"): "1024"})

    def test_bounds_of_quantities(self) -> None:
        """What is too little or too much is refused with the bounds, and how to write it."""
        for option, value, words in [
            ("max-upload", "1kbit", "at least 1024 bytes a second, such as 12.5MB"),
            ("body-size", "1GiB", "at least 1024 and at most 33554432 bytes, such as 64KiB"),
            ("stall-time", "2h", "at least 1 and at most 3600 seconds, such as 500ms"),
            ("header-time", "0ms", "above 0 and at most 3600 seconds"),
        ]:
            (message,) = self.bad(NodeConfig, option, value)
            self.assertIn(f"= '{value}'", message)
            self.assertIn(words, message)

    def test_uploads(self) -> None:
        """There is at least one upload at once."""
        for message in self.bad(NodeConfig, "uploads", "", "x", "0", "-1", "1.5"):
            self.assertIn("Expected", message)
        self.assertEqual(load_config(NodeConfig, {"uploads": "1"}).uploads, 1)

    def test_supernode(self) -> None:
        """A supernode is a URL with a host, perhaps a port, and nothing behind them."""
        for message in self.bad(
            NodeConfig,
            "supernode",
            ("http://a:1", "10.0.0.1:"),
            ("https://a:1",),
            ("http://:5000",),
            ("http://a:0",),
            ("http://a:70000",),
            ("http://a:b",),
            ("http://a:1/api",),
            ("http://a:1?x",),
            ("http://[a:1",),
            ("",),
        ):
            self.assertIn("write it as http://HOST:5000", message)

    def test_resources(self) -> None:
        """What is no folder, or can't even be looked at, can't be shared."""
        (self.folder / "file").touch()
        (self.folder / "circle").symlink_to("circle")
        for message in self.bad(NodeConfig, "resources", "nonesuch", "file", "file/x"):
            self.assertIn("is not a folder", message)
        for message in self.bad(NodeConfig, "resources", "\0", "a" * 300, "circle", "circle/x"):
            self.assertIn("can't be a folder", message)
