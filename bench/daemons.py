"""The daemons of a run, all in one group of their own, and the processor time that they take."""

import json
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.processes import CHECKOUT, HOST, eventually, free_port, get, running

TWISTD = Path(sys.executable).with_name("twistd")

#: The group of the supernodes; its port is a free one.
GROUP = "239.255.12.1"


@dataclass(frozen=True)
class Daemon:
    """A running supernode or node."""

    port: int
    pid: int

    def processor_seconds(self) -> float:
        """User and system time so far, with that of its children, those that ended included."""
        daemon = psutil.Process(self.pid)
        total = sum(daemon.cpu_times()[:4])
        for child in daemon.children(recursive=True):
            # One that ends in this moment is missing here, not above.
            try:
                total += sum(child.cpu_times()[:4])
            except psutil.NoSuchProcess:
                continue
        return total


class System:
    """Daemons in one group of their own."""

    def __init__(self, folder: Path, tree: Path = CHECKOUT) -> None:
        """`folder` gets their logs; their code is in `tree`."""
        self.folder = folder
        self._tree = tree
        self._group = f"{GROUP}:{free_port(socket.SOCK_DGRAM)}"

    @contextmanager
    def supernode(self, name: str) -> Iterator[Daemon]:
        """A supernode; nodes that are registered there stay, with no heartbeat."""
        options = ("--sweep-interval", "3600")
        with self._daemon("p2p-supernode", name, "/api/supernode/alive", *options) as daemon:
            yield daemon

    @contextmanager
    def node(
        self, name: str, shared: Path, supernode: Daemon, host: str = HOST
    ) -> Iterator[Daemon]:
        """A node that shares a folder, at the supernode that is on that host."""
        options = ("--resources", str(shared), "--supernode", f"http://{host}:{supernode.port}")
        with self._daemon("p2p-node", name, "/api/node/health", *options) as daemon:
            eventually(f"{name} is registered", lambda: _health(daemon)["supernode"] is not None)
            yield daemon

    @contextmanager
    def _daemon(self, role: str, name: str, ready: str, *options: str) -> Iterator[Daemon]:
        port = free_port()
        command = [sys.executable, str(TWISTD), "-n", role, "--port", str(port)]
        command += ["--multicast-group", self._group, "--multicast-interface", HOST, *options]
        log = self.folder / f"{name}.log"
        with running(command, log, port, ready, self._tree) as process:
            yield Daemon(port, process.pid)


def _health(node: Daemon) -> Any:
    return json.loads(get(node.port, "/api/node/health").body)["data"]
