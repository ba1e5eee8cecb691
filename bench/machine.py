"""What a run is on: the machine, and how TCP is set there and on the links."""

import os
import platform
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

from bench.network import Network

#: Of TCP, as `sysctl` has them below net.ipv4; each namespace has its own.
SETTINGS = ("tcp_congestion_control", "tcp_rmem", "tcp_wmem")

_SYSCTL = Path("/proc/sys/net/ipv4")


def print_machine(links: bool) -> None:
    """Print it; with `links`, which takes root, as it is in the namespaces too."""
    load = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    print(
        f"{os.cpu_count()} CPUs, {platform.python_implementation()} {platform.python_version()}, "
        f"Twisted {version('twisted')}; load before the start: {load}"
    )
    print(f"TCP on this machine: {_tcp()}", flush=True)
    if links:
        with ExitStack() as stack, Network(stack).host(None).entered():
            print(f"TCP on the links: {_tcp()}", flush=True)


def _tcp() -> str:
    """The settings of the namespace that this thread is in."""
    values = {name: (_SYSCTL / name).read_text().split() for name in SETTINGS}
    return ", ".join(f"{name} = {' '.join(value)}" for name, value in values.items())
