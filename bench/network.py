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
from dataclasses import dataclass
from pathlib import Path

from bench.processes import BenchError

#: Bytes that a shaped link passes on at once, and how long it keeps what must wait:
#: a packet of 64 KiB, as the kernel makes them, fits twice; 50 ms are a small switch's.
BURST, LATENCY = "128kb", "50ms"

#: Of the hosts, which have no route to anywhere else, except for multicast.
NETWORK = "10.77.0"
MULTICAST = "224.0.0.0/4"

#: Bytes of a packet that are Ethernet's, IPv4's and TCP's (with timestamps, as Linux has them)
#: or UDP's.
TCP_HEADERS = 14 + 20 + 32
UDP_HEADERS = 14 + 20 + 8

_NAMESPACES = Path("/run/netns")
_CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Traffic:
    """What has gone one way through a link: packets, and bytes with all their headers."""

    packets: int
    bytes: int

    def payload_since(self, before: "Traffic", headers: int) -> int:
        """Bytes without so many of headers in each packet."""
        return self.bytes - before.bytes - (self.packets - before.packets) * headers


class Host:
    """A namespace with loopback, and with one link to a port of the switch, once plugged in."""

    def __init__(
        self, name: str, address: str = "127.0.0.1", port: tuple[str, str] = ("", "")
    ) -> None:
        """`port` is the switch's namespace and the device there."""
        self.name = name
        self.address = address
        self._port = port
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

    def sent(self) -> Traffic:
        """What has left through its link, which must be shaped."""
        return _shaped(self.name, "eth0")

    def received(self) -> Traffic:
        """What has come through its link, which must be shaped."""
        return _shaped(*self._port)


class Network:
    """The switch, and what is plugged into it."""

    def __init__(self, stack: ExitStack) -> None:
        """Everything goes with the stack."""
        self._stack = stack
        self._numbers = itertools.count(1)
        self._switch = self._namespace("switch")
        Host(self._switch)
        # Without snooping, multicast goes out at every port, as in a plain switch.
        bridge = ("bridge", "type", "bridge", "mcast_snooping", "0")
        ip("-netns", self._switch, "link", "add", *bridge)
        ip("-netns", self._switch, "link", "set", "bridge", "up")

    def host(self, mbit: int | None) -> Host:
        """One more host, whose link has this many Mbit/s each way; None for no bound."""
        number = next(self._numbers)
        port = f"port{number}"
        address = f"{NETWORK}.{number}"
        host = Host(self._namespace(str(number)), address, (self._switch, port))
        ends = ("eth0", "type", "veth", "peer", "name", port, "netns", self._switch)
        ip("-netns", host.name, "link", "add", *ends)
        ip("-netns", host.name, "address", "add", f"{host.address}/24", "dev", "eth0")
        if mbit is not None:
            _shape(host.name, "eth0", mbit)
            _shape(self._switch, port, mbit)
        ip("-netns", self._switch, "link", "set", port, "master", "bridge", "up")
        ip("-netns", host.name, "link", "set", "eth0", "up")
        ip("-netns", host.name, "route", "add", MULTICAST, "dev", "eth0")
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


def _shaped(namespace: str, device: str) -> Traffic:
    """
    What a bucket has let through.

    Between namespaces the kernel passes on up to 64 KiB as one packet with one
    set of headers, and an interface's counters count just that. A queue counts
    the packets that it stands for, each with its headers, as they would be on
    a cable (`qdisc_pkt_len_init` and `bstats_update` in Linux).
    """
    told = _run("tc", "-netns", namespace, "-json", "-statistics", "qdisc", "show", "dev", device)
    bucket = next(queue for queue in json.loads(told) if queue["kind"] == "tbf")
    return Traffic(bucket["packets"], bucket["bytes"])


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
