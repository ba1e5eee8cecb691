"""Tests of `p2ptwisted.daemon` and of both roles' options, through twistd's own."""

import os
import resource
import shutil
import signal
import sys
import syslog
import time
from collections.abc import Callable
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from traceback import format_exception_only
from typing import Any, cast
from unittest.mock import patch

import msgspec
from twisted.application.service import Application, IService, Service
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, Logger, capturedLogs, formatEvent
from twisted.python.usage import UsageError
from twisted.scripts.twistd import ServerOptions  # type: ignore[attr-defined]  # one a platform
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2ptwisted.cli.certs import make_certificates
from p2ptwisted.config import NodeConfig, SupernodeConfig
from p2ptwisted.daemon import (
    DESCRIPTORS_MAX,
    Daemon,
    RoleOptions,
    open_twistd_log,
    prepare,
    refuse,
)
from p2ptwisted.errors import StartError
from p2ptwisted.interfaces import IFolderWatch
from p2ptwisted.node import tap as node_tap
from p2ptwisted.supernode import tap as supernode_tap
from p2ptwisted.support.bounded_log import LINE_BURST, REPORT_INTERVAL
from p2ptwisted.support.twisted_internals.twistd import twist_options

NODE, SUPERNODE = "p2p-node", "p2p-supernode"

#: By role: every option, a value as it is typed, the same in TOML, and what it comes to.
COMMON: list[tuple[str, str, str, object]] = [
    ("port", "81", "'81'", "81"),
    ("location", "10.0.0.1:80", "'10.0.0.1:80'", "10.0.0.1:80"),
    ("state", "state", "'state'", "state"),
    ("multicast-group", "239.1.2.3:4", "'239.1.2.3:4'", "239.1.2.3:4"),
    ("multicast-interface", "lo", "['lo']", ("lo",)),
    ("multicast-ttl", "3", "3", 3),
    ("trusted-network", "10.0.0.0/8", "['10.0.0.0/8']", ("10.0.0.0/8",)),
    ("group-key-file", "key", "'key'", "key"),
    ("ca-file", "ca.pem", "'ca.pem'", "ca.pem"),
    ("connections", "50", "50", 50),
    ("connections-per-address", "5", "5", 5),
    ("header-size", "2000", "2000", 2_000),
    ("body-size", "3000", "3000", 3_000),
    ("header-time", "2.5", "2.5", 2.5),
    ("body-time", "3", "3", 3.0),
    ("idle-time", "40", "40", 40.0),
    ("stall-time", "4", "4", 4.0),
]
OPTIONS: dict[str, list[tuple[str, str, str, object]]] = {
    NODE: [
        *COMMON,
        ("resources", "other", "'other'", "other"),
        ("name", "one", "'one'", "one"),
        ("supernode", "http://a:1", "['http://a:1']", ("http://a:1",)),
        ("max-upload", "2048", "2048", 2048),
        ("max-download", "4096", "4096", 4096),
        ("uploads", "7", "7", 7),
    ],
    SUPERNODE: [
        *COMMON,
        ("sweep-interval", "2", "2", 2.0),
        ("search-timeout", "0.25", "0.25", 0.25),
        ("peer", "http://a:1", "['http://a:1']", ("http://a:1",)),
    ],
}
#: Another value of each option, as it is typed and what it comes to.
OTHERS: dict[str, tuple[str, object]] = {
    "port": ("82", "82"),
    "location": ("10.0.0.2:80", "10.0.0.2:80"),
    "state": ("other", "other"),
    "group-key-file": ("key2", "key2"),
    "ca-file": ("ca2.pem", "ca2.pem"),
    "peer": ("http://b:2", ("http://b:2",)),
    "multicast-group": ("239.1.2.4:4", "239.1.2.4:4"),
    "multicast-interface": ("127.0.0.1", ("127.0.0.1",)),
    "multicast-ttl": ("20", 20),
    "resources": ("resources", "resources"),
    "name": ("two", "two"),
    "supernode": ("http://b:2", ("http://b:2",)),
    "max-upload": ("1024", 1024),
    "max-download": ("1048576", 1048576),
    "uploads": ("64", 64),
    "sweep-interval": ("5", 5.0),
    "search-timeout": ("0.5", 0.5),
    "trusted-network": ("192.168.0.0/16", ("192.168.0.0/16",)),
    "connections": ("10000", 10_000),
    "connections-per-address": ("1000", 1_000),
    "header-size": ("16384", 16_384),
    "body-size": ("65536", 65_536),
    "header-time": ("10", 10.0),
    "body-time": ("10", 10.0),
    "idle-time": ("60", 60.0),
    "stall-time": ("30", 30.0),
}
#: What the documentation gives as defaults.
DEFAULTS: dict[str, dict[str, object]] = {
    NODE: {
        "port": 8000,
        "resources": "resources",
        "name": None,
        "supernode": (),
        "max_upload": None,
        "max_download": None,
        "uploads": 64,
    },
    SUPERNODE: {
        "port": 5000,
        "sweep_interval": 5.0,
        "search_timeout": 0.5,
        "peer": (),
    },
}
COMMON_DEFAULTS: dict[str, object] = {
    "location": None,
    "state": None,
    "multicast_group": "230.0.0.0:4321",
    "multicast_interface": (),
    "multicast_ttl": 20,
    "trusted_network": (),
    "group_key_file": None,
    "private": False,
    "ca_file": None,
    "connections": 10_000,
    "connections_per_address": 1_000,
    "header_size": 16_384,
    "body_size": None,
    "header_time": 10.0,
    "body_time": 10.0,
    "idle_time": 60.0,
    "stall_time": 30.0,
}


class DaemonCase(SynchronousTestCase):
    """A folder to start daemons in, and what they say when they refuse."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        for name in ("resources", "other"):
            (self.folder / name).mkdir(parents=True)
        for name in ("key", "key2"):
            (self.folder / name).write_text("0123456789abcdef" * 4)
            (self.folder / name).chmod(0o600)
        now = datetime.now(UTC)
        make_certificates(self.folder, [], now)
        shutil.copy(self.folder / "ca.pem", self.folder / "ca2.pem")
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder)
        self.said = StringIO()
        self.patch(sys, "__stderr__", self.said)

    def twistd(self, *arguments: str) -> Any:
        """twistd's options, with these arguments."""
        options = ServerOptions()
        options.parseOptions(list(arguments))
        return options

    def config(self, role: str, *arguments: str) -> Any:
        """What `twistd -n <role>` makes of these arguments."""
        return self.twistd("-n", role, *arguments).subOptions.config

    def file(self, text: str) -> str:
        path = self.folder / "daemon.toml"
        path.write_text(text)
        return str(path)

    def refused(self, role: str, *arguments: str) -> str:
        """The one line with which the role refuses these arguments, and ends with status 1."""
        end = self.assertRaises(SystemExit, self.twistd, "-n", role, *arguments)
        self.assertEqual(end.code, 1)
        line = self.said.getvalue()
        self.said.truncate(0)
        self.said.seek(0)
        self.assertEqual(line.count("\n"), 1)
        self.assertTrue(line.startswith(f"{role}: "))
        return line


class OptionsTests(DaemonCase):
    """The options of both roles."""

    def test_defaults(self) -> None:
        """With no arguments at all, every option has the default that is documented."""
        for role, defaults in DEFAULTS.items():
            config = self.config(role)
            expected = {**COMMON_DEFAULTS, **defaults}
            self.assertEqual({key: getattr(config, key) for key in expected}, expected)
            self.assertEqual(set(type(config).__struct_fields__), set(expected))

    def test_command_line(self) -> None:
        """Every option can be given on the command line, in both usual forms."""
        for role, options in OPTIONS.items():
            for option, text, _, value in options:
                for arguments in ([f"--{option}", text], [f"--{option}={text}"]):
                    config = self.config(role, *arguments)
                    self.assertEqual(getattr(config, option.replace("-", "_")), value)

    def test_private(self) -> None:
        """A closed group may be private, which is said by a flag; an open one can't."""
        for role in (NODE, SUPERNODE):
            config = self.config(role, "--group-key-file", "key", "--private")
            self.assertTrue(config.private)
            self.assertIn("key", self.refused(role, "--private"))

    def test_secured(self) -> None:
        """Only where TLS is spoken can URLs say so."""
        secured = ("--ca-file", "ca.pem")
        for role, option in ((NODE, "--supernode"), (SUPERNODE, "--peer")):
            self.config(role, *secured, option, "https://a:1")
            self.assertIn("--ca-file", self.refused(role, option, "https://a:1"))

    def test_file(self) -> None:
        """Every option can be given in a file, with _ for -."""
        for role, options in OPTIONS.items():
            for option, _, toml, value in options:
                key = option.replace("-", "_")
                config = self.config(role, "--config", self.file(f"{key} = {toml}"))
                self.assertEqual(getattr(config, key), value)

    def test_all_at_once(self) -> None:
        """All of them together, each in its place."""
        for role, options in OPTIONS.items():
            arguments = [f"--{option}={text}" for option, text, _, _ in options]
            text = "\n".join(
                f"{option.replace('-', '_')} = {toml}" for option, _, toml, _ in options
            )
            self.assertEqual(
                self.config(role, *arguments), self.config(role, "--config", self.file(text))
            )

    def test_command_line_wins(self) -> None:
        """Of every option, the one on the command line wins over the file's."""
        for role, options in OPTIONS.items():
            text = "\n".join(
                f"{option.replace('-', '_')} = {toml}" for option, _, toml, _ in options
            )
            file = self.file(text)
            from_file = self.config(role, "--config", file)
            for option, _, _, _ in options:
                given, value = OTHERS[option]
                key = option.replace("-", "_")
                for arguments in (
                    ["--config", file, f"--{option}={given}"],
                    [f"--{option}={given}", "--config", file],
                ):
                    config = self.config(role, *arguments)
                    self.assertEqual(config, msgspec.structs.replace(from_file, **{key: value}))

    def test_repeatable(self) -> None:
        """Some options may be given again and again, and keep their order."""
        for role, option, values in [
            (NODE, "supernode", ("http://b:1", "http://a:2", "http://c:3")),
            (NODE, "multicast-interface", ("lo", "127.0.0.1")),
            (SUPERNODE, "multicast-interface", ("127.0.0.1", "lo")),
            (SUPERNODE, "trusted-network", ("10.0.0.0/8", "192.168.0.0/16")),
            (NODE, "trusted-network", ("10.0.0.0/8", "192.168.0.0/16")),
        ]:
            config = self.config(role, *(f"--{option}={value}" for value in values))
            self.assertEqual(getattr(config, option.replace("-", "_")), values)

    def test_short_port(self) -> None:
        """The port, which is asked for most, has a short form."""
        for role in OPTIONS:
            self.assertEqual(self.config(role, "-p", "81").endpoint, "tcp:81")

    def test_types(self) -> None:
        """Each role gets a configuration of its own kind."""
        self.assertIsInstance(self.config(NODE), NodeConfig)
        self.assertIsInstance(self.config(SUPERNODE), SupernodeConfig)

    def test_help(self) -> None:
        """The help has every option, and the defaults that there are."""
        for role, options in OPTIONS.items():
            text = str(self.twistd("-n", role).subOptions)
            shown = " ".join(text.split())
            for option in ("config", *(option for option, _, _, _ in options)):
                self.assertIn(f"--{option}=", shown)
            for value in {**COMMON_DEFAULTS, **DEFAULTS[role]}.values():
                if value not in (None, (), False):
                    number = f"{value:g}" if isinstance(value, float) else value
                    self.assertIn(f"[{number}]", shown)

    def test_unknown_option(self) -> None:
        """An option of the other role is none of this one's."""
        self.assertRaises(UsageError, self.config, NODE, "--sweep-interval", "5")
        self.assertRaises(UsageError, self.config, SUPERNODE, "--resources", "x")
        self.assertRaises(UsageError, self.config, SUPERNODE, "--uploads", "5")
        self.assertRaises(UsageError, self.config, NODE, "and more")


class RefuseTests(DaemonCase):
    """Refusing to start."""

    def test_refuse(self) -> None:
        """One line, which tells the role, and status 1."""
        end = self.assertRaises(SystemExit, refuse, "p2p-x", StartError("it can't be"))
        self.assertEqual(end.code, 1)
        self.assertEqual(self.said.getvalue(), "p2p-x: it can't be\n")

    def test_mistakes(self) -> None:
        """What is wrong with an option is told in one line."""
        self.assertIn("--port", self.refused(NODE, "--port", "70000"))
        self.assertIn("nonesuch is not a folder", self.refused(NODE, "--resources", "nonesuch"))
        self.assertIn("--multicast-ttl", self.refused(SUPERNODE, "--multicast-ttl", "many"))
        self.assertIn("--multicast-group", self.refused(SUPERNODE, "--multicast-group", "x"))
        self.assertIn("nonesuch.toml", self.refused(SUPERNODE, "--config", "nonesuch.toml"))

    def test_mistakes_in_the_file(self) -> None:
        """What is wrong in the file is told in one line, which names it."""
        file = self.file("sweep_interval = 'often'")
        line = self.refused(SUPERNODE, "--config", file)
        for word in (file, "sweep_interval", "Expected a time", "30s"):
            self.assertIn(word, line)
        self.assertIn("sweep_interval: no such key", self.refused(NODE, "--config", file))


class PidFileTests(DaemonCase):
    """The file that twistd writes its process id into."""

    def test_foreground(self) -> None:
        """In the foreground there is none, so that two roles can be started in one folder."""
        for role in OPTIONS:
            self.assertEqual(self.twistd("-n", role)["pidfile"], "")
            self.assertEqual(self.twistd("--nodaemon", role)["pidfile"], "")

    def test_background(self) -> None:
        """In the background there is twistd's own."""
        for role in OPTIONS:
            self.assertEqual(self.twistd(role)["pidfile"], str(self.folder / "twistd.pid"))

    def test_given(self) -> None:
        """One that was asked for is written either way."""
        for role in OPTIONS:
            for nodaemon in ([], ["-n"]):
                options = self.twistd(*nodaemon, "--pidfile=some.pid", role)
                self.assertEqual(options["pidfile"], str(self.folder / "some.pid"))


class BackgroundTests(DaemonCase):
    """What is said of a daemon that twistd puts into the background."""

    def told(self, *arguments: str) -> str:
        self.twistd(*arguments)
        told = self.said.getvalue()
        self.said.truncate(0)
        self.said.seek(0)
        return told

    def test_told(self) -> None:
        """One line names its log, how it is ended, and how it stays in the foreground."""
        for role in OPTIONS:
            told = self.told(role)
            self.assertEqual(told.count("\n"), 1)
            for words in (f"{role}: ", str(self.folder / "twistd.log"), "twistd.pid)", "-n"):
                self.assertIn(words, told)

    def test_elsewhere(self) -> None:
        """It names those that were asked for."""
        log = self.told("--logfile=/var/log/p2p.log", "--pidfile=/run/a b.pid", NODE)
        self.assertIn("its log is /var/log/p2p.log", log)
        self.assertIn("kill $(cat '/run/a b.pid')", log)
        self.assertIn("the system's", self.told("--syslog", NODE))

    def test_foreground(self) -> None:
        """Nothing is said of one that stays in the foreground."""
        self.assertEqual(self.told("-n", NODE), "")


class TwistTests(DaemonCase):
    """Twisted's other program that runs plugins, the same as `python -m twisted`."""

    def test_options(self) -> None:
        """It runs a role, which takes its options there, with the log that it has."""
        for role in OPTIONS:
            options = twist_options()
            options.parseOptions([role, "--port", "0"])
            self.assertEqual(options.subOptions.config.endpoint, "tcp:0")
            self.assertIsNone(open_twistd_log(options))


class Part(Service):
    """A service that starts if it can, and stops when the test says so."""

    def __init__(self, privileged: bool = True, plain: bool = True) -> None:
        self.privileged = privileged
        self.plain = plain
        self.steps: list[str] = []
        self.stopped: Deferred[None] = Deferred()

    def privilegedStartService(self) -> None:
        self.steps.append("privileged")
        if not self.privileged:
            raise StartError("port 80 is taken")

    def startService(self) -> None:
        self.steps.append("start")
        if not self.plain:
            raise StartError("no such group")

    def stopService(self) -> Deferred[None]:
        self.steps.append("stop")
        return self.stopped


class ServiceTests(DaemonCase):
    """A role under twistd."""

    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        #: What is in the log of the role.
        self.logged: list[str] = []

    def daemon(self, part: Part) -> Daemon:
        def log(event: LogEvent) -> None:
            self.logged.append(formatEvent(event))

        return Daemon("p2p-x", part, self.clock, lambda: cast(ILogObserver, log))

    def test_provider(self) -> None:
        """It is a service."""
        verifyObject(IService, self.daemon(Part()))

    def test_starts_and_stops(self) -> None:
        """It starts what it is made of, and has stopped when that has."""
        part = Part()
        daemon = self.daemon(part)
        daemon.privilegedStartService()
        daemon.startService()
        self.assertTrue(daemon.running)
        stopped = daemon.stopService()
        self.assertEqual(part.steps, ["privileged", "start", "stop"])
        self.assertNoResult(stopped)
        part.stopped.callback(None)
        self.successResultOf(stopped)
        self.assertFalse(daemon.running)

    def test_can_not_start(self) -> None:
        """What keeps it from starting, in either step, is one line and status 1."""
        for part, line in [
            (Part(privileged=False), "p2p-x: port 80 is taken\n"),
            (Part(plain=False), "p2p-x: no such group\n"),
        ]:
            daemon = self.daemon(part)
            with self.assertRaises(SystemExit) as caught:
                daemon.privilegedStartService()
                daemon.startService()
            self.assertEqual(caught.exception.code, 1)
            self.assertEqual(self.said.getvalue(), line)
            self.said.truncate(0)
            self.said.seek(0)

    def test_refused_in_the_background(self) -> None:
        """Of one that can't start in the background twistd and the log say why."""
        for part in (Part(privileged=False), Part(plain=False)):
            daemon = Daemon("p2p-x", part, self.clock, lambda: None, in_background=True)
            with capturedLogs() as logged:
                failed = self.assertRaises(StartError, self.start, daemon)
            (line,) = format_exception_only(failed)
            self.assertIn(line.strip(), ("p2p-x: port 80 is taken", "p2p-x: no such group"))
            self.assertEqual([formatEvent(event) for event in logged], [line.strip()])
        self.assertEqual(self.said.getvalue(), "")

    def start(self, daemon: Daemon) -> None:
        daemon.privilegedStartService()
        daemon.startService()

    def test_log(self) -> None:
        """twistd's log is bounded; what is left out is told every 10 s, and at the end."""
        part = Part()
        daemon, application = self.daemon(part), Application("p2p-x")
        daemon.setServiceParent(application)
        log = Logger("x", observer=application.getComponent(ILogObserver))

        def flood() -> None:
            for _ in range(2 * LINE_BURST):
                log.info("Node {name} is gone", name="n")

        flood()
        self.assertEqual(self.logged, ["Node n is gone"] * LINE_BURST)
        self.logged.clear()
        daemon.startService()
        self.clock.advance(REPORT_INTERVAL)
        self.assertEqual(self.logged, [f"and {LINE_BURST} more like: Node n is gone"])
        self.logged.clear()
        flood()
        stopped = daemon.stopService()
        part.stopped.callback(None)
        self.successResultOf(stopped)
        self.assertIn("more like: Node n is gone", self.logged[-1])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_twistd_log(self) -> None:
        """It is the file that twistd is told to write; with --syslog it is that."""
        self.addCleanup(signal.signal, signal.SIGUSR1, signal.getsignal(signal.SIGUSR1))
        options = self.twistd("--logfile", "x.log", NODE)
        log = open_twistd_log(options)
        assert log is not None
        verifyObject(ILogObserver, log)
        Logger("x", observer=log).info("Hello")
        self.assertIn("[x#info] Hello", (self.folder / "x.log").read_text())
        said: list[str] = []
        self.patch(syslog, "openlog", lambda *options: None)
        self.patch(syslog, "syslog", lambda *said_of_it: said.append(said_of_it[-1]))
        Logger("x", observer=open_twistd_log(self.twistd("--syslog", NODE))).info("Hello")
        self.assertIn("Hello", said[0])

    def test_other_log(self) -> None:
        """A log of the user's own is left to itself, and twistd's is not opened beside it."""
        options = self.twistd("--logger", "twisted.python.log.FileLogObserver", NODE)
        application = Application("p2p-x")
        daemon = Daemon("p2p-x", Part(), self.clock, lambda: open_twistd_log(options))
        daemon.setServiceParent(application)
        self.assertIs(application.getComponent(ILogObserver, None), None)
        self.assertFalse((self.folder / "twistd.log").exists())

    def prepared(self) -> list[object]:
        """The reactors that are prepared from now on; these tests run in one that must not be."""
        reactors: list[object] = []
        for tap in (node_tap, supernode_tap):
            self.patch(tap, "prepare", reactors.append)
        return reactors

    def test_made(self) -> None:
        """Each role's options make its service, on a prepared reactor, without opening anything."""
        prepared = self.prepared()
        for role, tap in [(NODE, node_tap), (SUPERNODE, supernode_tap)]:
            options = self.twistd("-n", role, "--port", "0").subOptions
            self.assertIsInstance(options, RoleOptions)
            service = tap.makeService(options)
            verifyObject(IService, service)
            self.assertIsInstance(service, Daemon)
            self.successResultOf(service.stopService())
        self.assertEqual(len(prepared), 2)

    def test_inotify(self) -> None:
        """A node's folder is watched where there is inotify; where not, it is made all the same."""
        watches: list[object] = []

        def make_node(reactor: object, config: object, watch: object, awake: object) -> Service:
            watches.append(watch)
            return Service()

        self.prepared()
        self.patch(node_tap, "make_node", make_node)
        options = self.twistd("-n", NODE).subOptions
        node_tap.makeService(options)
        with patch.dict(sys.modules, {"p2ptwisted.node.inotify_watch": None}):
            node_tap.makeService(options)
        watch, none = watches
        verifyObject(IFolderWatch, watch)
        self.assertIs(none, None)

    def test_bad_state(self) -> None:
        """A state that can't be kept where it should be is one line and status 1, of each role."""
        self.prepared()
        (self.folder / "file").touch()
        for role, tap in [(NODE, node_tap), (SUPERNODE, supernode_tap)]:
            options = self.twistd("-n", role, "--state", "file").subOptions
            end = self.assertRaises(SystemExit, tap.makeService(options).startService)
            self.assertEqual(end.code, 1)
            line = self.said.getvalue()
            self.said.truncate(0)
            self.said.seek(0)
            self.assertEqual(line.count("\n"), 1)
            self.assertTrue(line.startswith(f"{role}: --state file"))


class _Process:
    """As much of a reactor as `prepare` touches."""

    def __init__(self) -> None:
        self.when_running: list[Callable[[], object]] = []
        self.calls: list[Callable[[], object]] = []
        self.before_shutdown: list[Callable[[], object]] = []
        self.stopped = 0

    def seconds(self) -> float:
        return 0.0

    def callLater(self, delay: float, call: Callable[[], object]) -> None:
        pass

    def callWhenRunning(self, call: Callable[..., object], *args: object) -> None:
        self.when_running.append(lambda: call(*args))

    def callFromThread(self, call: Callable[[], object]) -> None:
        self.calls.append(call)

    def addSystemEventTrigger(self, phase: str, event: str, call: Callable[[], object]) -> None:
        assert (phase, event) == ("before", "shutdown")
        self.before_shutdown.append(call)

    def stop(self) -> None:
        self.stopped += 1


class PrepareTests(SynchronousTestCase):
    """What holds for a daemon's whole process."""

    def setUp(self) -> None:
        self.process = _Process()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        prepare(self.process)  # type: ignore[arg-type]  # it is all that is touched

    def test_time(self) -> None:
        """The reactor's time doesn't follow the wall clock, and stands still with the process."""
        before = self.process.seconds()
        self.patch(time, "time", lambda: 0.0)
        self.assertTrue(before <= self.process.seconds() < before + 60)
        suspended = time.clock_gettime(time.CLOCK_BOOTTIME) + 3600
        self.patch(time, "clock_gettime", lambda which: suspended)
        self.assertLess(self.process.seconds(), before + 60)

    def test_descriptors(self) -> None:
        """It may open as many files as the system allows, but not senselessly many."""
        infinity, set_to = resource.RLIM_INFINITY, []
        self.patch(resource, "setrlimit", lambda _, limits: set_to.append(limits))
        for now, most in (
            (1_024, 20_000),
            (1_024, infinity),
            (20_000, 20_000),
            (100_000, infinity),
            (infinity, infinity),
        ):
            self.patch(resource, "getrlimit", lambda _, limits=(now, most): limits)
            prepare(_Process())  # type: ignore[arg-type]  # it is all that is touched
        self.assertEqual(set_to, [(20_000, 20_000), (DESCRIPTORS_MAX, infinity)])

    def test_terminated(self) -> None:
        """A signal that ends programs stops the reactor, once, from outside of what it is doing."""
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            self.process = _Process()
            prepare(self.process)  # type: ignore[arg-type]  # it is all that is touched
            for one in (signal.SIGHUP, signal.SIGQUIT):
                signal.signal(one, signal.SIG_DFL)
            for call in self.process.when_running:
                call()
            signal.raise_signal(number)
            self.assertEqual(self.process.stopped, 0)
            for another in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT):
                signal.raise_signal(another)
            for call in self.process.calls:
                call()
            self.assertEqual(self.process.stopped, 1)

    def test_nohup(self) -> None:
        """A SIGHUP that was ignored from the beginning, as by nohup, stays so."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for call in self.process.when_running:
            call()
        signal.raise_signal(signal.SIGHUP)
        self.assertEqual(self.process.calls, [])

    def test_ends_once(self) -> None:
        """While it ends, for whatever reason, no signal can stop what is stopping."""
        for call in [*self.process.when_running, *self.process.before_shutdown]:
            call()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT):
            signal.raise_signal(number)
        self.assertEqual(self.process.calls, [])
