"""
What both twistd commands share: options, the process's set-up, and the outer service.

The options' meaning and defaults are in `config`, what a role does in its `service`.
"""

import gc
import resource
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized
from twisted.python.usage import Options

from p2ptwisted.config import CommonConfig, load_config
from p2ptwisted.errors import StartError
from p2ptwisted.support.awake_clock import AwakeClock, IAwakeReactor, keep_awake_time
from p2ptwisted.support.bounded_log import REPORT_INTERVAL, BoundedLog
from p2ptwisted.support.escaping import printable
from p2ptwisted.support.import_path import forget_working_directory
from p2ptwisted.support.twisted_internals.twistd import twistd_log

_log = Logger()

#: File descriptors of a daemon, at the most: what starts child processes may look at each.
DESCRIPTORS_MAX = 65_536

#: The signals that end a daemon well, beside SIGINT, which Twisted handles.
_STOPS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class IDaemonReactor(IAwakeReactor, IReactorFromThreads):
    """What a daemon needs of its process's reactor."""


def prepare(reactor: IDaemonReactor) -> AwakeClock:
    """
    Set up the process. To be called before anything is scheduled.

    Timers go by the time for which the process is awake, which is returned:
    what it can't hear while it stands still is nobody's silence.

    File descriptors: every connection is one, and the usual limit of 1024 is
    for programs that use select(), which breaks with more.

    SIGTERM is how a daemon is told to end, so ending by it is no failure:
    the status is 0, where Twisted's own handler dies by the signal at last.
    So it is with SIGHUP, which a terminal that is closed sends, and SIGQUIT,
    which Twisted leaves alone: nobody would hear a goodbye.

    Imports: what others put into the working directory later is not imported.
    """
    forget_working_directory()
    awake = keep_awake_time(reactor)
    _raise_descriptor_limit()

    def ignore_signals() -> None:
        # It is ending, and can't be told to a second time.
        for one in (*_STOPS, signal.SIGINT):
            signal.signal(one, signal.SIG_IGN)

    def stop(number: int, frame: object) -> None:
        ignore_signals()
        # A handler may run between any two lines of the reactor's.
        reactor.callFromThread(reactor.stop)

    def handle_signals() -> None:
        for one in _STOPS:
            # nohup has SIGHUP ignored, and a shell SIGQUIT for what a script starts with &.
            if signal.getsignal(one) is not signal.SIG_IGN:
                signal.signal(one, stop)

    reactor.callWhenRunning(handle_signals)
    reactor.addSystemEventTrigger("before", "shutdown", ignore_signals)
    return awake


def _raise_descriptor_limit() -> None:
    """Allow as many file descriptors as the system does, up to DESCRIPTORS_MAX."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS_MAX if most == resource.RLIM_INFINITY else min(most, DESCRIPTORS_MAX)
    if now != resource.RLIM_INFINITY and now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


class RoleOptions(Options):
    """The options of both roles: `given` on the command line, and the `config` made of them."""

    role: ClassVar[str]
    config_type: ClassVar[type[CommonConfig]]
    config: Any
    parent: Options

    # Without defaults, which are in config.py: only what was given may win over the file.
    common: ClassVar[list[list[str | None]]] = [
        [
            "location",
            None,
            None,
            "host:port to announce to others [the address that leads to them]",
        ],
        ["config", None, None, "a TOML file with any of these options (with _ for -)"],
        ["state", None, None, "a folder for data that survives a restart [none]"],
        ["multicast-group", None, None, "address:port of the supernodes' group [230.0.0.0:4321]"],
        [
            "group-key-file",
            None,
            None,
            "key file of a closed group, the same on all members [open]",
        ],
        [
            "ca-file",
            None,
            None,
            "PEM file: use TLS, only with hosts whose certificate it signed [none]",
        ],
        ["multicast-ttl", None, None, "how many routers a search may cross [20]"],
        ["connections", None, None, "maximum number of simultaneous connections [10000]"],
        ["connections-per-address", None, None, "maximum number of these from one address [1000]"],
        ["header-size", None, None, "maximum bytes of a request's first line and headers [16384]"],
        [
            "body-size",
            None,
            None,
            "maximum bytes of a request's body [16MiB supernode, 64KiB node]",
        ],
        ["header-time", None, None, "time in which a request's headers must arrive: 10, 10s [10]"],
        ["body-time", None, None, "time in which each 16 KiB of a body must arrive [10]"],
        ["idle-time", None, None, "time that a connection may go without a request [60]"],
        ["stall-time", None, None, "time that a client may stop reading an answer [30]"],
    ]

    def __init__(self) -> None:
        self.given: dict[str, Any] = {}
        super().__init__()

    def opt_private(self) -> None:
        """in a closed group, let only members read as well [everyone may read]"""
        self.given["private"] = True

    def opt_multicast_interface(self, link: str) -> None:
        """a network interface's name or address; repeatable [every interface that is up]"""
        self.append("multicast_interface", link)

    def opt_trusted_network(self, network: str) -> None:
        """
        a network (10.0.0.0/8) whose callers are trusted like loopback, or local for the private
        networks that this host is in; repeatable
        """
        self.append("trusted_network", network)

    def append(self, key: str, value: str) -> None:
        """Add a value of a repeatable option."""
        self.given[key] = (*self.given.get(key, ()), value)

    def postOptions(self) -> None:
        for option, value in self.items():
            if value is not None and option != "config":
                self.given[option.replace("-", "_")] = value
        file = None if self["config"] is None else Path(self["config"])
        try:
            self.config = load_config(self.config_type, self.given, file)
        except StartError as error:
            refuse(self.role, error)
        # In the foreground nobody needs a pid file, and two roles in one folder would share it.
        if self.parent.get("nodaemon") and self.parent["pidfile"] == "twistd.pid":
            self.parent["pidfile"] = ""
        if is_in_background(self.parent):
            print(f"{self.role}: {printable(_whereabouts(self.parent))}", file=sys.__stderr__)


def _whereabouts(twistd: Options) -> str:
    """What to tell of a daemon that twistd puts into the background: where its files are."""
    folder = Path(twistd["rundir"]).absolute()
    log = f"its log is {folder / (twistd['logfile'] or 'twistd.log')}"
    if twistd["syslog"]:
        log = "its log is the system's"
    elif twistd["logger"] is not None:
        log = "its log goes where --logger says"
    elif twistd["logfile"] == "-":
        log = "its log goes nowhere (--logfile -)"
    pid = folder / twistd["pidfile"]
    return (
        f"goes into the background: {log}. To end it: kill $(cat {shlex.quote(str(pid))}). "
        "With twistd -n it stays in the foreground"
    )


def refuse(role: str, error: StartError) -> NoReturn:
    """End the process with status 1 and one line for the user."""
    # twistd may have turned sys.stderr into its log by now.
    print(f"{role}: {printable(str(error))}", file=sys.__stderr__)
    raise SystemExit(1)


def fail_in_background(role: str, error: StartError) -> NoReturn:
    """
    End a process that twistd has put into the background; the line goes to its log, and to the
    user.

    Twisted passes an exception on to the process that the user has started, with its class's name:
    that is the role's. (Of a SystemExit that one would never hear, and wait for ever.)
    """
    line = printable(str(error))
    _log.critical("{role}: {line}", role=role, line=line)
    raise type(role, (StartError,), {"__module__": "builtins"})(line)


def is_in_background(twistd: Options) -> bool:
    """Whether twistd puts the daemon into the background, by its options."""
    # `twist`, that is `python -m twisted`, always stays in the foreground.
    return not twistd.get("nodaemon", True)


class Daemon(Service):
    """
    A role's service under twistd. A StartError ends the process with one line.

    The log is bounded, unless it isn't twistd's own (`twistd --logger`).
    """

    def __init__(
        self,
        role: str,
        service: IService,
        clock: IReactorTime,
        open_log: Callable[[], ILogObserver | None],
        in_background: bool = False,
    ) -> None:
        """
        `role` is the command's name.

        `open_log` is called when twistd is about to begin logging; it returns
        None where that isn't to twistd's own log. `in_background`: twistd puts it there.
        """
        self._role = role
        self._refuse = fail_in_background if in_background else refuse
        self._service = service
        self._open_log = open_log
        self._log: BoundedLog | None = None
        self._reporting = LoopingCall(self._report_left_out)
        self._reporting.clock = clock

    def setServiceParent(self, parent: object) -> None:
        if isinstance(parent, Componentized):
            # twistd's application, which twistd next asks for its log observer.
            log = self._open_log()
            if log is not None:
                self._log = BoundedLog(log)
                parent.setComponent(ILogObserver, self._log)
        super().setServiceParent(parent)

    def _report_left_out(self) -> None:
        if self._log is not None:
            self._log.report_left_out()

    def privilegedStartService(self) -> None:
        super().privilegedStartService()
        try:
            self._service.privilegedStartService()
        except StartError as error:
            self._refuse(self._role, error)

    def startService(self) -> None:
        super().startService()
        try:
            self._service.startService()
        except StartError as error:
            self._refuse(self._role, error)
        self._reporting.start(REPORT_INTERVAL, now=False)
        # What was imported stays: going through it for garbage again and again
        # would hold the reactor for 25 ms each time.
        gc.collect()
        gc.freeze()

    def stopService(self) -> Deferred[object]:
        super().stopService()
        if self._reporting.running:
            self._reporting.stop()

        def stopped(result: object) -> object:
            self._report_left_out()
            return result

        return maybeDeferred(self._service.stopService).addBoth(stopped)


def under_twistd(options: RoleOptions, service: IService, clock: IReactorTime) -> Daemon:
    """Return a role's service as twistd runs it: twistd's options say where, and where it logs."""
    twistd = options.parent
    return Daemon(
        options.role, service, clock, lambda: open_twistd_log(twistd), is_in_background(twistd)
    )


def open_twistd_log(twistd: Options) -> ILogObserver | None:
    """
    Open the log that twistd writes by itself, as its own options say.

    Returns None with `--logger`, and under `twist` (`python -m twisted`), which has other options.
    """
    if twistd.get("logger", "") is not None:
        return None
    return twistd_log(twistd)
