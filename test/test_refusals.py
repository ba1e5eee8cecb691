"""Daemons that can't start: one clear line on stderr, exit status 1, and no traceback."""

import socket
import subprocess
from pathlib import Path

from .cases import SystemTestCase
from .daemons import START_WITHIN, command, environment, free_port

ROLES = ("p2p-supernode", "p2p-node")


class RefusalTests(SystemTestCase):
    """What is wrong is on the command line, in the file, or already taken."""

    def setUp(self) -> None:
        super().setUp()
        (self.folder / "resources").mkdir()

    def assertRefused(self, role: str, *options: str, says: tuple[str, ...]) -> str:
        """It ends by itself, and its one line, which is given, has all of these words."""
        ran = subprocess.run(
            # What is wrong comes last, but for a port that nobody has.
            command(role, "--port", str(free_port()), *options),
            cwd=self.folder,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=START_WITHIN,
        )
        shown = f"{role} {' '.join(options)}\n{ran.stdout}\n{ran.stderr}"
        self.assertEqual(ran.returncode, 1, shown)
        self.assertTrue(ran.stderr.endswith("\n"), shown)
        # Not `splitlines`, which knows of more line ends than a log does.
        lines = ran.stderr.removesuffix("\n").split("\n")
        self.assertEqual(len(lines), 1, shown)
        self.assertTrue(lines[0].isprintable(), shown)
        self.assertLess(len(lines[0]), 1_200, shown)
        self.assertTrue(lines[0].startswith(f"{role}: "), shown)
        for words in says:
            self.assertIn(words, lines[0], shown)
        self.assertNotIn("Traceback", ran.stdout, shown)
        return lines[0]

    def config(self, text: str) -> Path:
        path = self.folder / "daemon.toml"
        path.write_text(text)
        return path

    def test_port_in_use(self) -> None:
        """A port that somebody listens on."""
        with socket.create_server(("", free_port())) as taken:
            port = str(taken.getsockname()[1])
            for role in ROLES:
                says = ("--port", port, "Address already in use")
                self.assertRefused(role, *self._group(), "--port", port, says=says)

    def test_port_out_of_range(self) -> None:
        """A port that there can't be."""
        for role in ROLES:
            self.assertRefused(role, "--port", "70000", says=("--port", "70000", "65535"))

    def test_endpoint_of_another_kind(self) -> None:
        """An endpoint that would believe whoever connects about where he calls from."""
        for endpoint in ("haproxy:tcp:8000", "HAProxy:ssl:8000:privateKey=key.pem"):
            says = ("--port", "is not accepted", "tcp:PORT")
            self.assertRefused("p2p-node", "--port", endpoint, says=says)

    def test_key_that_others_can_read(self) -> None:
        """A TLS key that others can read, under whatever name; here, its default."""
        key = self.folder / "server.pem"
        for mode in (0o640, 0o644):
            key.touch()
            key.chmod(mode)
            for endpoint in ("ssl:8000", f"ssl:port=8000:certKey=cert.pem:privateKey={key}"):
                says = ("--port", "others can read the key file", "server.pem", "chmod 600")
                self.assertRefused("p2p-supernode", "--port", endpoint, says=says)

    def test_number_of_many_digits(self) -> None:
        """A port of more digits than Python makes a number of, and a hexadecimal one like it."""
        for role in ROLES:
            self.assertRefused(role, "--port", "9" * 5_000, says=("--port", "65535"))
            for value in ("9" * 5_000, "0x" + "f" * 5_000):
                path = str(self.config(f"multicast_ttl = {value}"))
                self.assertRefused(role, "--config", path, says=(path, "many digits"))

    def test_no_path(self) -> None:
        """A state folder with a name that none can have."""
        path = str(self.config('state = "a\\u0000b"'))
        for role in ROLES:
            says = (r"--state a\x00b", "can't keep anything there")
            self.assertRefused(role, *self._group(), "--config", path, says=says)

    def test_key_of_two_lines(self) -> None:
        """A key with a line end in it is told in one line."""
        path = str(self.config('"a\\nb" = 1'))
        for role in ROLES:
            self.assertRefused(role, "--config", path, says=(path, r"a\nb: no such key"))

    def test_key_in_place_of_its_file(self) -> None:
        """A group's key that was given where its file's name belongs is not shown."""
        secret = "0123456789abcdef" * 4
        for role in ROLES:
            says = ("--group-key-file", "not shown")
            line = self.assertRefused(role, "--group-key-file", secret, says=says)
            self.assertNotIn(secret[:8], line)

    def test_no_such_folder(self) -> None:
        """A folder to share that isn't there."""
        says = ("--resources", "nowhere is not a folder")
        self.assertRefused("p2p-node", "--resources", "nowhere", says=says)

    def test_bad_state(self) -> None:
        """A state folder that is a file."""
        (self.folder / "state").write_text("a file")
        says = ("--state", "state", "exists")
        self.assertRefused("p2p-supernode", *self._group(), "--state", "state", says=says)

    def test_bad_group(self) -> None:
        """What isn't a multicast address with a port, told with an example of one."""
        for group in ("230.0.0.0", "10.0.0.1:4321", "230.0.0.0:0", "230.0.0.0:70000", "here:1"):
            says = ("--multicast-group", repr(group), "239.255.43.21:4321")
            self.assertRefused("p2p-supernode", "--multicast-group", group, says=says)
        self.assertRefused("p2p-node", "--multicast-group", "x", says=("--multicast-group", "'x'"))

    def test_unknown_interface(self) -> None:
        """An interface that isn't there, told with those that are."""
        for role in ROLES:
            says = ("--multicast-interface", "eth99", "no such interface", "lo")
            self.assertRefused(role, "--multicast-interface", "eth99", says=says)

    def test_bad_supernode(self) -> None:
        """What isn't a supernode's URL."""
        for url in ("127.0.0.1:port", "https://127.0.0.1:5000", "http://127.0.0.1:", "http://"):
            says = ("--supernode", repr(url), "http://HOST:5000")
            self.assertRefused("p2p-node", "--supernode", url, says=says)

    def test_missing_config(self) -> None:
        """A file that isn't there."""
        for role in ROLES:
            says = ("--config", "nowhere.toml", "No such file")
            self.assertRefused(role, "--config", "nowhere.toml", says=says)

    def test_not_toml(self) -> None:
        """A file that isn't TOML, told with the line."""
        path = str(self.config("port: 5000\n"))
        for role in ROLES:
            self.assertRefused(role, "--config", path, says=(path, "not TOML", "line 1"))

    def test_unknown_key(self) -> None:
        """A key that isn't an option's, told with those that are."""
        path = str(self.config("prot = 5000\n"))
        for role in ROLES:
            says = (path, "prot", "no such key", "multicast_group")
            self.assertRefused(role, "--config", path, says=says)

    def test_ill_typed_value(self) -> None:
        """A value of the wrong type, told with the file, the key and what was expected."""
        for text, key, expected in (
            ("multicast_ttl = 'far'", "multicast_ttl", "int"),
            ("multicast_ttl = 256", "multicast_ttl", "255"),
            ("multicast_group = 4321", "multicast_group", "str"),
            ("multicast_interface = [1]", "multicast_interface", "str"),
            ("location = true", "location", "str"),
        ):
            path = str(self.config(text))
            for role in ROLES:
                self.assertRefused(role, "--config", path, says=(path, key, expected))

    def test_bad_value_in_config(self) -> None:
        """A value of the right type that is wrong all the same, told with the file and the key."""
        path = str(self.config("multicast_group = 'here'"))
        says = (path, "multicast_group", "'here'", "239.255.43.21:4321")
        self.assertRefused("p2p-supernode", "--config", path, says=says)

    def test_bad_location(self) -> None:
        """A location without a port."""
        for role in ROLES:
            says = ("--location", "'here'", "host:port")
            self.assertRefused(role, "--location", "here", says=says)
