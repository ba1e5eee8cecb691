"""
`make demo`: two supernodes and three nodes as daemons on this machine, a tour
of what they do, and then all of them running until Ctrl-C.

They listen on loopback alone and meet in a multicast group of their own there,
so that they are the business of nobody else on the network.
"""

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NoReturn
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
TWISTD = Path(sys.executable).with_name("twistd")
HOST = "127.0.0.1"
GROUP = "239.255.80.50"

#: Where ports are looked for: the default ones, each then with so many in steps of so much.
GROUP_PORT = 4321
PORT_TRIES = 100
PORT_STEP = 10

#: Seconds in which all daemons must have found each other, and in which each must stop.
START_WITHIN = 60.0
STOP_WITHIN = 15.0

#: Seconds that one request may take.
ANSWER_WITHIN = 10.0

#: Seconds between two looks at something that is to become true.
POLL = 0.1

#: Columns, at the most, that JSON is laid out in.
WIDTH = 118

#: Lines of its log to show of a daemon that has died.
LOG_LINES = 15

#: An id that no file has.
NOBODY_HAS = "0" * 64


class Broken(Exception):
    """Why the demo can't go on."""


class Stop(Exception):
    """Somebody wants the demo to end."""


class Paint:
    """Colours, where a person looks at a terminal that has them."""

    on = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"

    @classmethod
    def _in(cls, code: int, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if cls.on else text

    @classmethod
    def bold(cls, text: str) -> str:
        return cls._in(1, text)

    @classmethod
    def faint(cls, text: str) -> str:
        return cls._in(2, text)

    @classmethod
    def good(cls, text: str) -> str:
        return cls._in(32, text)

    @classmethod
    def bad(cls, text: str) -> str:
        return cls._in(31, text)


def say(text: str = "") -> None:
    print(text, flush=True)


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


# -- requests


@dataclass
class Answer:
    """What came back, and after how many seconds."""

    status: int
    reason: str
    location: str | None
    body: bytes
    seconds: float

    def __str__(self) -> str:
        return f"{self.status} {self.reason}, after {self.seconds * 1000:.0f} ms"


def get(url: str) -> Answer:
    """Ask for one URL; a redirect is an answer like any other."""
    # Not urllib, which would go through a proxy that the environment names.
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=ANSWER_WITHIN)
    try:
        began = time.monotonic()
        connection.request("GET", parts.path)
        response = connection.getresponse()
        body = response.read()
        seconds = time.monotonic() - began
        return Answer(
            response.status, response.reason, response.getheader("location"), body, seconds
        )
    finally:
        connection.close()


def get_data(url: str) -> Any:
    """The data of a successful answer."""
    answer = get(url)
    if answer.status != 200:
        raise Broken(f"{url}: {answer.status} {answer.body.decode(errors='replace')}")
    return json.loads(answer.body)["data"]


def pretty(value: Any, indent: str = "") -> str:
    """JSON in as few lines as are wide enough for it."""
    line = json.dumps(value)
    if not value or not isinstance(value, dict | list) or len(indent + line) <= WIDTH:
        return line
    inner = indent + "  "
    if isinstance(value, list):
        parts = [pretty(item, inner) for item in value]
    else:
        parts = [f"{json.dumps(key)}: {pretty(item, inner)}" for key, item in value.items()]
    opening, closing = "[]" if isinstance(value, list) else "{}"
    return opening + ",".join(f"\n{inner}{part}" for part in parts) + f"\n{indent}{closing}"


# -- daemons


@dataclass
class Daemon:
    """One of the five: what it is called, where it listens, what it is told."""

    name: str
    role: str
    port: int
    about: str
    options: Sequence[str]
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, TWISTD, "--nodaemon", self.role),
                    f"--port=tcp:{self.port}:interface={HOST}",
                    f"--multicast-interface={HOST}",
                    *self.options,
                ],
                cwd=self.log.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # The terminal's Ctrl-C is for the demo, which then stops them in good order.
                process_group=0,
            )


class Demo:
    """The five daemons, and the tour of them."""

    def __init__(self) -> None:
        self.folder = Path(mkdtemp(prefix="p2ptwisted-demo-"))
        self._group = f"{GROUP}:{free_port(GROUP_PORT, GROUP, socket.SOCK_DGRAM)}"
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
        shared = Path("resources") / name
        options = (f"--name={name}", f"--resources={ROOT / shared}", f"--supernode={supernode.url}")
        return self._daemon(name, "p2p-node", port, f"shares {shared}", *options)

    def _daemon(self, name: str, role: str, wanted: int, about: str, *options: str) -> Daemon:
        port = free_port(wanted)
        if port != wanted:
            self._moved.append(f"Port {wanted} is taken: {name} has {port} instead.")
        options = (f"--multicast-group={self._group}", *options)
        return Daemon(name, role, port, about, options, self.folder / f"{name}.log")

    @property
    def _daemons(self) -> list[Daemon]:
        return [*self.supernodes, *self.nodes]

    # -- starting

    def start(self) -> None:
        say(Paint.bold("Two supernodes and three nodes, on this machine alone"))
        say()
        for daemon in self._daemons:
            say(f"  {daemon.name:<10}  {daemon.url}  {daemon.about}")
        say()
        for moved in self._moved:
            say(moved)
        for daemon in self._daemons:
            with undisturbed():
                daemon.start()
        say(Paint.faint("Waiting until they have found each other ..."))
        deadline = time.monotonic() + START_WITHIN
        while not self._is_ready():
            self._check_alive()
            if time.monotonic() > deadline:
                raise Broken(f"They have not, in {START_WITHIN:.0f} s.")
            time.sleep(POLL)

    def _is_ready(self) -> bool:
        """Whether every supernode knows all of its nodes' resources."""
        try:
            for node in self.nodes:
                health = get_data(f"{node.url}/api/node/health")
                if health["scanning"] or not health["supernode"]:
                    return False
                # What the node holds is what its supernode must know.
                listed = get_data(f"{node.url}/api/node/resources")
                where = f"http://{health['supernode']}/api/supernode/search"
                for resource in listed:
                    held = get_data(f"{where}/{resource['id']}")
                    locations = held["file"]["locations"] if held else []
                    if f"{HOST}:{node.port}" not in locations:
                        return False
        except (OSError, HTTPException, Broken):
            return False
        return True

    def casualty(self) -> str | None:
        """Which daemon has died, with the end of its log; None while all live."""
        for daemon in self._daemons:
            if daemon.process is not None and daemon.process.poll() is not None:
                log = daemon.log.read_text(errors="replace").splitlines()
                end = "\n".join(f"  {line}" for line in log[-LOG_LINES:])
                status = daemon.process.returncode
                return (
                    f"{daemon.name} has ended with status {status}. Its log closes with:\n\n{end}\n"
                )
        return None

    def _check_alive(self) -> None:
        casualty = self.casualty()
        if casualty is not None:
            raise Broken(casualty)

    # -- the tour

    def tour(self) -> None:
        self._step("What does node 1 share?")
        self._ask(f"{self.node1.url}/api/node/resources")

        self._step("Which nodes are registered at each supernode?")
        for supernode in self.supernodes:
            self._ask(f"{supernode.url}/api/supernode/alive")

        wanted = self._only_at_node3()
        self._step(
            f"Who has {wanted['name']}? It is at node 3 alone, but we ask node 2.",
            "Node 2 asks supernode 1, which doesn't know and asks by multicast;",
            "supernode 2 does know, and node 2 sends us to node 3.",
        )
        found = self._ask(f"{self.node2.url}/api/node/resources/{wanted['id']}", headers=True)
        if found.status != 302:
            raise Broken("That should have been a 302.")

        self._step("The file itself, from any node; -L follows the way to the one that has it.")
        self._fetch(f"{self.node2.url}/api/node/resources/{wanted['id']}/content", wanted)

        self._step("And what nobody has?")
        self._ask(f"{self.supernode1.url}/api/supernode/search/{NOBODY_HAS}")

    def _step(self, *lines: str) -> None:
        say()
        for line in lines:
            say(Paint.bold(line))

    def _ask(self, url: str, headers: bool = False) -> Answer:
        """Show a request and its answer, the headers that matter with it."""
        say()
        say(f"  $ {'curl -i' if headers else 'curl'} {url}")
        answer = get(url)
        say(Paint.faint(f"  {answer}"))
        if headers and answer.location:
            say(f"  Location: {answer.location}")
        say("  " + pretty(json.loads(answer.body), "  "))
        return answer

    def _fetch(self, url: str, wanted: dict[str, str]) -> None:
        """Fetch a file as `curl -L` does, into a temporary folder, and check it against its id."""
        file = self.folder / Path(wanted["name"]).name
        say()
        say(f"  $ curl -L -o {file} {url}")
        answer = get(url)
        say(Paint.faint(f"  {answer}"))
        if answer.location is None:
            raise Broken("That should have led to node 3.")
        say(f"  Location: {answer.location}")
        answer = get(answer.location)
        say(Paint.faint(f"  {answer}: {len(answer.body)} bytes"))
        file.write_bytes(answer.body)
        say()
        say(f"  $ sha256sum {file}")
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        say(f"  {digest}  {file}")
        if digest != wanted["id"]:
            raise Broken(f"That is not the file: its id is {wanted['id']}")
        say(Paint.good("  The same as the id: it is the file, every bit of it."))

    def _only_at_node3(self) -> dict[str, str]:
        """A resource of node 3 that no other node has."""
        others = {
            resource["id"]
            for node in (self.node1, self.node2)
            for resource in get_data(f"{node.url}/api/node/resources")
        }
        for resource in get_data(f"{self.node3.url}/api/node/resources"):
            if resource["id"] not in others:
                return dict(resource)
        raise Broken("Other nodes have all files of resources/node3: put one there that is new.")

    # -- to the end

    def stay(self) -> NoReturn:
        say()
        say("Put a file into resources/node1 and ask node 1 again: it is there within 2 seconds.")
        say(f"Everything is still running, with logs in {self.folder}.")
        say(Paint.bold("Ctrl-C stops it."))
        while True:
            self._check_alive()
            time.sleep(POLL)

    def stop(self) -> list[str]:
        """End every daemon, nodes first so that they can say goodbye; names those that wouldn't."""
        stubborn = []
        for group in (self.nodes, self.supernodes):
            processes = [
                (daemon.name, daemon.process) for daemon in group if daemon.process is not None
            ]
            for _, process in processes:
                process.terminate()
            for name, process in processes:
                try:
                    process.wait(STOP_WITHIN)
                except subprocess.TimeoutExpired:
                    stubborn.append(name)
                    process.kill()
                    process.wait()
        return stubborn


# -- the terminal


def take_terminal() -> Callable[[], None]:
    """
    Make Ctrl-C ours alone, and give what gives it back.

    `make` would take it as a failure of its own, and say so, though all went well.
    """
    with suppress(OSError):
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
        previous = os.tcgetpgrp(terminal)
        # In the background, or under a shell that has done so already, it isn't ours to take.
        if previous == os.getpgrp() != os.getpid():
            # A background process that touches the terminal is stopped, and one that the
            # shell doesn't know could never be continued.
            for harmful in (signal.SIGTTOU, signal.SIGTTIN, signal.SIGTSTP):
                signal.signal(harmful, signal.SIG_IGN)
            os.setpgid(0, 0)
            os.tcsetpgrp(terminal, os.getpgrp())
            return lambda: os.tcsetpgrp(terminal, previous)
    return lambda: None


class _Signals:
    """Whether a signal to end has come, and whether Stop must wait."""

    came = False
    held = False


def stop_on_signals() -> None:
    """Have the first signal that ends the demo raise Stop."""

    def stop(number: int, frame: object) -> None:
        # Once is enough: the stopping itself must not be cut short.
        first, _Signals.came = not _Signals.came, True
        if first and not _Signals.held:
            raise Stop

    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, stop)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Put Stop off: a process that is being started must not be lost sight of."""
    _Signals.held = True
    try:
        yield
    finally:
        _Signals.held = False
    if _Signals.came:
        raise Stop


def main() -> int:
    give_back = take_terminal()
    stop_on_signals()
    demo = problem = None
    try:
        demo = Demo()
        demo.start()
        demo.tour()
        demo.stay()
    except Stop:
        pass
    except (Broken, OSError, HTTPException) as error:
        problem = (demo and demo.casualty()) or str(error)
    finally:
        _Signals.came = True
        stubborn = demo.stop() if demo is not None else []
        give_back()
    if problem is None and stubborn:
        problem = f"These did not stop and were killed: {', '.join(stubborn)}."
    if demo is not None and problem is not None:
        problem += f"\nThe logs are in {demo.folder}."
    say()
    if problem is not None:
        say(Paint.bad(problem))
        return 1
    if demo is not None:
        shutil.rmtree(demo.folder, ignore_errors=True)
    say("Stopped, all five.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
