"""
Hosts that are network namespaces, each on a link of its own to one switch.
Nothing of the machine's own network is on it. Needs root and iproute2.
"""

import ctypes
import itertools
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.processes import BenchError

#: Bytes that a shaped link passes on at once, and how long it keeps what must wait:
#: a packet of 64 KiB, as the kernel makes them, fits twice; 50 ms are a small switch's.
BURST, LATENCY = "128kb", "50ms"

#: Of the hosts, which have no route to anywhere else.
NETWORK = "10.77.0"

_NAMESPACES = Path("/run/netns")
_CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


class Host:
    """A namespace with loopback, and with one link once it is plugged in."""

    def __init__(self, name: str, address: str = "127.0.0.1") -> None:
        self.name = name
        self.address = address
        ip("-netns", name, "link", "set", "lo", "up")

    @contextmanager
    def entered(self) -> Iterator[None]:
        """What is started and every socket that is made in the block belongs to this host."""
        with open("/proc/thread-self/ns/net") as outside, open(_NAMESPACES / self.name) as inside:
            _enter(inside.fileno())
            try:
                yield
            finally:
                _enter(outside.fileno())

    def sent(self) -> int:
        """Bytes that have left through its link, with all headers."""
        told = ip("-netns", self.name, "-json", "-statistics", "link", "show", "eth0")
        return int(json.loads(told)[0]["stats64"]["tx"]["bytes"])


class Network:
    """The switch, and what is plugged into it."""

    def __init__(self, stack: ExitStack) -> None:
        """Everything goes with the stack."""
        self._stack = stack
        self._numbers = itertools.count(1)
        self._switch = self._namespace("switch")
        Host(self._switch)
        ip("-netns", self._switch, "link", "add", "bridge", "type", "bridge")
        ip("-netns", self._switch, "link", "set", "bridge", "up")

    def host(self, mbit: int | None) -> Host:
        """One more host, whose link has this many Mbit/s each way; None for no bound."""
        number = next(self._numbers)
        host = Host(self._namespace(str(number)), f"{NETWORK}.{number}")
        port = f"port{number}"
        ends = ("eth0", "type", "veth", "peer", "name", port, "netns", self._switch)
        ip("-netns", host.name, "link", "add", *ends)
        ip("-netns", host.name, "address", "add", f"{host.address}/24", "dev", "eth0")
        if mbit is not None:
            _shape(host.name, "eth0", mbit)
            _shape(self._switch, port, mbit)
        ip("-netns", self._switch, "link", "set", port, "master", "bridge", "up")
        ip("-netns", host.name, "link", "set", "eth0", "up")
        return host

    def _namespace(self, name: str) -> str:
        # Another run has another pid; nothing in this one is called the same.
        name = f"p2ptwisted-bench-{os.getpid()}-{name}-{next(_made)}"
        self._stack.callback(_delete, name)
        ip("netns", "add", name)
        return name


_made = itertools.count()


def ip(*arguments: str) -> str:
    """What `ip` prints. Raises BenchError."""
    return _run("ip", *arguments)


def _shape(namespace: str, device: str, mbit: int) -> None:
    bucket = ("tbf", "rate", f"{mbit}mbit", "burst", BURST, "latency", LATENCY)
    _run("tc", "-netns", namespace, "qdisc", "add", "dev", device, "root", *bucket)


def _run(*command: str) -> str:
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode:
        raise BenchError(f"{' '.join(command)}: {ran.stderr.strip()}")
    return ran.stdout


def _delete(name: str) -> None:
    if (_NAMESPACES / name).exists():
        ip("netns", "delete", name)


def _enter(descriptor: int) -> None:
    # os.setns is there from Python 3.12 on.
    if _libc.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
