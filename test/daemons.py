"""
Real daemons: what starts them, waits until they answer, and stops them. And
what every test needs for that: a free port, an id, the patience to wait.
"""

import hashlib
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import TypeVar

from twisted.trial.unittest import FailTest

from .answers import Answer, ErrorAnswer, request

CHECKOUT = Path(__file__).resolve().parent.parent
TWISTD = Path(sys.executable).with_name("twistd")
P2P = Path(sys.executable).with_name("p2p")

#: Below those that the kernel gives to outgoing connections, so that a free one stays free.
#: Each run of tests has a block of so many for itself, for several can go on at once.
PORTS, BLOCK = range(18000, 23000), 500

#: Seconds that a daemon may take to answer, with the machine busy, and to end: it
#: gives running requests 5 s, and its supernode 2 s to hear that it goes.
START_WITHIN = 20.0
STOP_WITHIN = 10.0

#: Seconds between two looks at something that is to become true.
POLL = 0.05

_T = TypeVar("_T")


def _ports() -> Iterator[int]:
    """Those of one block, again and again; its first one keeps other runs away."""
    for first in PORTS[::BLOCK]:
        with socket.socket() as sign:
            try:
                sign.bind(("127.0.0.1", first))
            except OSError:
                continue
            yield from itertools.cycle(random.sample(range(first + 1, first + BLOCK), BLOCK - 1))
    raise AssertionError(f"other tests have all ports from {PORTS.start} to {PORTS.stop - 1}")


_next_port = _ports()


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port that nobody listens on."""
    for port in itertools.islice(_next_port, BLOCK):
        with socket.socket(socket.AF_INET, kind) as probe:
            # As the daemons do: what a closed connection leaves behind is no obstacle.
            if kind is socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"none of {BLOCK} ports is free")


def eventually(within: float, what: str, look: Callable[[], _T | None]) -> _T:
    """The first true result of `look`; fails where none comes within so many seconds."""
    deadline = time.monotonic() + within
    last: object = None
    while time.monotonic() < deadline:
        try:
            last = look()
            if last:
                return last
        except (OSError, HTTPException, ErrorAnswer) as error:
            last = error
        time.sleep(POLL)
    raise FailTest(f"not within {within} s: {what}; last seen: {last!r}")


def promised(within: float, what: str, look: Callable[[], _T | None]) -> _T:
    """The same of something that is promised; prints how long it took."""
    began = time.monotonic()
    result = eventually(within, what, look)
    print(f"{what}: {time.monotonic() - began:.1f} s")
    return result


def id_of(content: bytes) -> str:
    """The id of a resource with this content."""
    return hashlib.sha256(content).hexdigest()


class Machine:
    """Where daemons run and requests come from: this one. `hosts` has others."""

    address = "127.0.0.1"
    #: What stands before a command so that it runs there.
    prefix: Sequence[str] = ()

    def request(
        self,
        method: str,
        url: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        return request(method, url, body, headers)


HERE = Machine()


class Daemon:
    """A process of one role."""

    def __init__(
        self,
        role: str,
        port: int,
        options: Sequence[str],
        log: Path,
        folder: Path,
        machine: Machine = HERE,
        twistd_options: Sequence[str] = (),
        code: Path = CHECKOUT,
    ) -> None:
        """
        `role` is as in `command`. `port` is the one that `options` make it listen on; `folder` is
        where it runs, and `code` where the program is that it runs.
        """
        self.role = role
        self.port = port
        self.machine = machine
        self.location = f"{machine.address}:{port}"
        self.url = f"http://{self.location}"
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [*machine.prefix, *command(role, *options, twistd_options=twistd_options)],
                cwd=folder,
                env=environment(code),
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=default_signals,  # noqa: PLW1509  # there are no threads
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def request(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        return self.machine.request(method, self.url + path, body, headers)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("GET", path, headers=headers)

    def post(self, path: str, body: object) -> Answer:
        return self.request("POST", path, json.dumps(body).encode())

    def wait(self) -> None:
        """Return when it answers."""
        is_supernode = self.role.endswith("supernode")
        path = "/api/supernode/alive" if is_supernode else "/api/node/health"

        def answers() -> bool:
            if not self.is_running:
                raise AssertionError(f"{self.role} ended with status {self._process.returncode}")
            # A private group answers nobody, but it answers.
            return self.get(path).status in (200, 401)

        eventually(START_WITHIN, f"{self.role} answers at {self.url}", answers)

    def terminate(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end, by this signal."""
        self._process.send_signal(number)
        # Where a test failed before it could do so.
        self.thaw()

    def ended(self) -> int:
        """Its exit status, once it has ended; fails, and kills it, where it takes too long."""
        try:
            return self._process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.role} did not end within {STOP_WITHIN} s") from None

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Have it end, politely, and with everything closed."""
        self.terminate(number)
        status = self.ended()
        if status != 0 or "Server Shut Down." not in self.log.read_text():
            raise AssertionError(f"{self.role} did not stop cleanly; its status is {status}")

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Keep it from doing anything, until `thaw`."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def clean_up(self) -> None:
        """Stop it, unless a test has done so; nothing must have gone wrong inside."""
        if self._process.returncode is None:
            self.stop()
        if "Traceback" in self.log.read_text():
            raise AssertionError(f"{self.role} has a traceback in its log")


def command(role: str, *options: str, twistd_options: Sequence[str] = ()) -> list[str]:
    """The command line of a daemon: of `p2p-node` by `twistd -n`, of `node` by `p2p`."""
    if not role.startswith("p2p-"):
        return [sys.executable, str(P2P), role, *options]
    return [sys.executable, str(TWISTD), "-n", *twistd_options, role, *options]


def default_signals() -> None:
    """Let signals end a new process, also those that nohup or a shell had us ignore."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def environment(code: Path = CHECKOUT) -> dict[str, str]:
    """The environment of a daemon: p2ptwisted is the one of this checkout, or another one."""
    return {
        **os.environ,
        "PYTHONPATH": str(code),
        "PYTHONUNBUFFERED": "1",
        # What who runs the tests has set for p2p is no matter here.
        "XDG_CONFIG_HOME": "/dev/null",
    }


def at(supernode: Daemon) -> tuple[str, str]:
    """The option that puts a node there."""
    return "--supernode", supernode.url


def supernode_of(node: Daemon) -> str:
    """The location of the supernode that the node has come to be at."""
    return eventually(
        START_WITHIN,
        f"{node.url} is at a supernode",
        lambda: str(node.get("/api/node/health").data["supernode"] or ""),
    )
