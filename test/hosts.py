"""Hosts that are network namespaces, and the switch between them. Needs root and iproute2."""

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar, overload
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from .answers import TIMEOUT, Answer, parse_answer
from .daemons import Machine

_numbers = itertools.count()
_Host = TypeVar("_Host", bound="Host")


class Host(Machine):
    """A namespace with loopback; with nothing else until it is plugged into a switch."""

    def __init__(self, case: SynchronousTestCase, address: str = "127.0.0.1") -> None:
        """It goes when the test ends. Skips the test where there are no namespaces."""
        if os.geteuid() != 0:
            raise SkipTest("network namespaces need root")
        for program in ("ip", "curl"):
            if shutil.which(program) is None:
                raise SkipTest(f"there is no {program}: install iproute2 and curl")
        self.address = address
        # Another run has another pid; nothing in this one is called the same.
        self.name = f"p2ptwisted-{os.getpid()}-{next(_numbers)}"
        self.prefix: Sequence[str] = ("ip", "netns", "exec", self.name)
        _ip("netns", "add", self.name)
        case.addCleanup(_ip, "netns", "delete", self.name)
        self.ip("link", "set", "lo", "up")

    def ip(self, *arguments: str) -> None:
        _ip("-netns", self.name, *arguments)

    def run(self, program: str, script: str) -> None:
        """Have a program do there what a script for it says (`-f -`)."""
        ran = subprocess.run(
            [*self.prefix, program, "-f", "-"], input=script, capture_output=True, text=True
        )
        if ran.returncode:
            raise AssertionError(f"{program}: {ran.stderr.strip()}")

    def curl(self, *arguments: str, body: bytes | None = None) -> bytes:
        """What curl prints there."""
        quiet = ("--silent", "--show-error", "--max-time", str(TIMEOUT))
        ran = subprocess.run(
            [*self.prefix, "curl", *quiet, *arguments], input=body, capture_output=True
        )
        if ran.returncode:
            raise OSError(ran.stderr.decode())
        return ran.stdout

    def request(
        self,
        method: str,
        url: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        arguments = ["--include", "--request", method]
        for name, value in (headers or {}).items():
            arguments += ["--header", f"{name}: {value}"]
        if isinstance(body, bytes):
            arguments += ["--header", "Expect:", "--data-binary", "@-"]
        elif body is not None:
            raise NotImplementedError("curl gets its body whole")
        return parse_answer(self.curl(*arguments, url, body=body))


class Switch:
    """A bridge in a namespace of its own, with nothing of the machine's own network on it."""

    def __init__(self, case: SynchronousTestCase) -> None:
        self._case = case
        self._inside = Host(case)
        self._inside.ip("link", "add", "bridge", "type", "bridge")
        self._inside.ip("link", "set", "bridge", "up")
        self._ports = itertools.count()

    @overload
    def host(self, address: str) -> Host: ...

    @overload
    def host(self, address: str, kind: type[_Host]) -> _Host: ...

    def host(self, address: str, kind: type[Host] = Host) -> Host:
        """A host that is plugged in here. It has no default route."""
        host = kind(self._case, address)
        port = f"port{next(self._ports)}"
        ends = ("eth0", "type", "veth", "peer", "name", port, "netns", self._inside.name)
        host.ip("link", "add", *ends)
        host.ip("address", "add", f"{address}/24", "dev", "eth0")
        host.ip("link", "set", "eth0", "up")
        self._inside.ip("link", "set", port, "master", "bridge", "up")
        return host

    def snoop(self, remembered: float) -> None:
        """Send a group's datagrams only to those that were heard to be in it, for so many s."""
        interval = ("mcast_query_interval", "200", "mcast_startup_query_interval", "100")
        ages = ("mcast_membership_interval", str(round(remembered * 100)))
        self._inside.ip("address", "add", "169.254.1.1/16", "dev", "bridge")
        self._inside.ip(
            *("link", "set", "bridge", "type", "bridge", "mcast_snooping", "1"),
            *("mcast_querier", "1", "mcast_query_use_ifaddr", "1", *interval, *ages),
        )

    def members(self, group: str) -> int:
        """How many of its ports lead to members of the group, as far as it knows."""
        shown = subprocess.run(
            [*self._inside.prefix, "bridge", "mdb", "show"],
            capture_output=True,
            text=True,
            check=True,
        )
        return sum(f"grp {group} " in line for line in shown.stdout.splitlines())

    def join(self, other: "Switch") -> "Cable":
        """A cable from this switch to another."""
        port = f"port{next(self._ports)}"
        far = f"port{next(other._ports)}"
        ends = (port, "type", "veth", "peer", "name", far, "netns", other._inside.name)
        self._inside.ip("link", "add", *ends)
        self._inside.ip("link", "set", port, "master", "bridge", "up")
        other._inside.ip("link", "set", far, "master", "bridge", "up")
        return Cable(self._inside, port)


class Cable:
    """What joins two switches, until it is cut."""

    def __init__(self, host: Host, port: str) -> None:
        self._host = host
        self._port = port

    def cut(self) -> None:
        self._host.ip("link", "set", self._port, "down")

    def mend(self) -> None:
        self._host.ip("link", "set", self._port, "up")


def _ip(*arguments: str) -> None:
    ran = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if ran.returncode:
        if arguments[:2] == ("netns", "add"):
            raise SkipTest(f"no network namespace can be made here: {ran.stderr.strip()}")
        raise AssertionError(f"ip {' '.join(arguments)}: {ran.stderr.strip()}")
