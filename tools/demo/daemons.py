"""The daemons of the demo: where each listens, what it shares, how they start and stop."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

from .requests import get_data
from .terminal import Broken, Paint, say, undisturbed

ROOT = Path(__file__).resolve().parent.parent.parent
HOST = "127.0.0.1"
GROUP = "239.255.80.50"

#: Where ports are looked for: the default ones, each then with so many in steps of so much.
GROUP_PORT = 4321
PORT_TRIES = 100
PORT_STEP = 10

#: Bytes a second that a node sends, as over a link of 100 Mbit/s: so a fetch can be watched.
MAX_UPLOAD = 12_500_000

#: Seconds in which all daemons must have found each other, and in which each must stop.
START_WITHIN = 60.0
STOP_WITHIN = 15.0

#: Seconds between two looks at something that is to become true.
POLL = 0.1

#: Lines of its log to show of a daemon that has died.
LOG_LINES = 15


def program(name: str) -> Path:
    """A program of the environment that this runs in."""
    return Path(sys.executable).with_name(name)


def free_port(wanted: int, host: str = HOST, kind: int = socket.SOCK_STREAM) -> int:
    """`wanted`, or where somebody has it the next one in steps that nobody has."""
    for port in range(wanted, wanted + PORT_TRIES * PORT_STEP, PORT_STEP):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                # As the daemons do: a connection that was closed a moment ago is no obstacle.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind((host, port))
                return port
    raise Broken(f"no port from {wanted} on is free, in steps of {PORT_STEP}")


@dataclass
class Daemon:
    """One of them: what it is called, where it listens, what it is told."""

    name: str
    role: str
    port: int
    about: str
    options: Sequence[str]
    folder: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def shared(self) -> Path:
        """What a node shares."""
        return self.folder / self.name

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    def start(self) -> None:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, program("twistd"), "--nodaemon", self.role),
                    f"--port=tcp:{self.port}:interface={HOST}",
                    f"--multicast-interface={HOST}",
                    *self.options,
                ],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # The terminal's Ctrl-C is for the demo, which then stops them in good order.
                process_group=0,
            )

    def casualty(self) -> str | None:
        """That it has died, with the end of its log; None while it lives."""
        if self.process is None or self.process.poll() is None:
            return None
        log = self.log.read_text(errors="replace").splitlines()
        end = "\n".join(f"  {line}" for line in log[-LOG_LINES:])
        status = self.process.returncode
        return f"{self.name} has ended with status {status}. Its log closes with:\n\n{end}\n"


class Daemons:
    """Two supernodes, and three nodes that share copies of the samples in `resources`."""

    def __init__(self, folder: Path) -> None:
        """Everything that they write goes to `folder`."""
        self._folder = folder
        self.group = f"{GROUP}:{free_port(GROUP_PORT, GROUP, socket.SOCK_DGRAM)}"
        self._moved: list[str] = []
        self.supernode1 = self._supernode(1, 5000, "node 1 and node 2 register here")
        self.supernode2 = self._supernode(2, 5001, "node 3 registers here")
        self.node1 = self._node(1, 8000, self.supernode1)
        self.node2 = self._node(2, 8001, self.supernode1)
        self.node3 = self._node(3, 8002, self.supernode2)
        self.supernodes = [self.supernode1, self.supernode2]
        self.nodes = [self.node1, self.node2, self.node3]

    def _supernode(self, number: int, port: int, about: str) -> Daemon:
        return self._daemon(f"supernode{number}", "p2p-supernode", port, about)

    def _node(self, number: int, port: int, supernode: Daemon) -> Daemon:
        name = f"node{number}"
        shared = self._folder / name
        shutil.copytree(ROOT / "resources" / name, shared)
        options = (
            f"--name={name}",
            f"--resources={shared}",
            f"--supernode={supernode.url}",
            f"--max-upload={MAX_UPLOAD}",
        )
        about = f"shares a copy of resources/{name}"
        return self._daemon(name, "p2p-node", port, about, *options)

    def _daemon(self, name: str, role: str, wanted: int, about: str, *options: str) -> Daemon:
        port = free_port(wanted)
        if port != wanted:
            self._moved.append(f"Port {wanted} is taken: {name} has {port} instead.")
        options = (f"--multicast-group={self.group}", *options)
        return Daemon(name, role, port, about, options, self._folder)

    @property
    def _all(self) -> list[Daemon]:
        return [*self.supernodes, *self.nodes]

    def start(self) -> None:
        """Start them all, and wait until they have found each other."""
        for daemon in self._all:
            say(f"  {daemon.name:<10}  {daemon.url}  {daemon.about}")
        say()
        for moved in self._moved:
            say(moved)
        for daemon in self._all:
            with undisturbed():
                daemon.start()
        say(Paint.faint("Waiting until they have found each other ..."))
        self.wait_until("They have not found each other", self._is_ready)

    def _is_ready(self) -> bool:
        return all(map(self._is_known, self.nodes))

    def wait_until(self, failure: str, true: Callable[[], bool]) -> None:
        """Wait until something about them is true; `failure` says that it isn't."""
        deadline = time.monotonic() + START_WITHIN
        while not _holds(true):
            self.check_alive()
            if time.monotonic() > deadline:
                raise Broken(f"{failure}, in {START_WITHIN:.0f} s.")
            time.sleep(POLL)

    def _is_known(self, node: Daemon) -> bool:
        """Whether the node's supernode knows all that the node holds."""
        if get_data(f"{node.url}/api/node/health")["scanning"]:
            return False
        listed = get_data(f"{node.url}/api/node/resources")
        return all(self.is_listed(node, resource["id"]) for resource in listed)

    def is_listed(self, node: Daemon, id: str) -> bool:
        """Whether the node's supernode knows that it holds this."""
        supernode = get_data(f"{node.url}/api/node/health")["supernode"]
        if not supernode:
            return False
        held = get_data(f"http://{supernode}/api/supernode/search/{id}")
        return f"{HOST}:{node.port}" in (held["file"]["locations"] if held else [])

    def casualty(self) -> str | None:
        """Which of them has died; None while all live."""
        return next(filter(None, (daemon.casualty() for daemon in self._all)), None)

    def check_alive(self) -> None:
        casualty = self.casualty()
        if casualty is not None:
            raise Broken(casualty)

    def stop(self) -> list[str]:
        """End every daemon, nodes first so that they can say goodbye; names those that wouldn't."""
        stubborn = []
        for group in (self.nodes, self.supernodes):
            processes = [
                (daemon.name, daemon.process) for daemon in group if daemon.process is not None
            ]
            for _, process in processes:
                process.terminate()
            stubborn += [name for name, process in processes if not wait_or_kill(process)]
        return stubborn


def wait_or_kill(process: subprocess.Popen[bytes]) -> bool:
    """Wait for a process that was told to end; False where it had to be killed."""
    try:
        process.wait(STOP_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False
    return True


def _holds(true: Callable[[], bool]) -> bool:
    """Whether it is so; not, where somebody who should know doesn't answer yet."""
    try:
        return true()
    except (OSError, HTTPException, Broken):
        return False
