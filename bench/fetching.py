"""
The time in which a node gets one verified file from one other on loopback,
beside curl with sha256sum after it, and aria2c with its checksum.
"""

import shlex
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from bench.daemons import Daemon, System
from bench.files import MIB, check, make
from bench.nginx import nginx
from bench.processes import HOST, BenchError, environment, eventually, get, order
from bench.table import Row, times_row

#: Bytes of the file.
SIZE = 256 * MIB

MOST_OF_CURL = 1.0

#: By where the file and its copies are.
UNDER_OF_ARIA2 = {"on disk": 0.5, "in memory": 0.7}

#: Seconds between two looks whether the file is there, which is when it is verified.
POLL = 0.002


def measure(system: System, place: str, folder: Path, rounds: int) -> list[Row]:
    """
    Fetch one file in all three ways by turns; the ratios are those of the shortest times.

    `folder` is for the file and its copies, `place` says where that is: "on disk" or "in memory".
    """
    shared, copies = folder / "shared", folder / "copies"
    shared.mkdir()
    copies.mkdir()
    file = shared / "large.bin"
    id = make(file, SIZE)
    times: dict[str, list[float]] = {}
    with ExitStack() as stack:
        supernode = stack.enter_context(system.supernode("supernode-fetching"))
        stack.enter_context(system.node("holder", shared, supernode))
        server = stack.enter_context(nginx(system.folder, shared))
        eventually(
            "the holder's file is registered",
            lambda: id.encode() in get(supernode.port, f"/api/supernode/search/{id}").body,
        )
        url = f"http://{HOST}:{server}/{file.name}"
        copy = copies / file.name
        to, curl = shlex.quote(str(copy)), "curl --silent --show-error --fail"
        aria2 = ["aria2c", "--quiet", "-x4", f"--checksum=sha-256={id}"]
        ways: Mapping[str, Callable[[], float]] = {
            "a node": lambda: _fetch(system, supernode, copies, id),
            "curl, sha256sum": lambda: _run("sh", "-c", f"{curl} -o {to} {url} && sha256sum {to}"),
            "aria2c -x4": lambda: _run(*aria2, "--dir", str(copies), "--out", copy.name, url),
        }
        # The first one gets memory that nothing has used yet, which a virtual machine first has
        # to be given; so there is a round before those that count.
        for number in range(rounds + 1):
            print(f"fetching {place}, round {number} of {rounds}", flush=True)
            for name, way in ways.items():
                taken = way()
                check(copy, id)
                copy.unlink()
                if number:
                    times.setdefault(name, []).append(taken)
                print(f"  {name}: {taken:.2f} s", flush=True)
    ours, curl_time, aria2_time = (min(taken) for taken in times.values())
    what = f"{SIZE // MIB} MiB, verified, {place}"
    return [
        times_row(what, ours, "curl, sha256sum", curl_time, MOST_OF_CURL),
        times_row(what, ours, "aria2c -x4", aria2_time, UNDER_OF_ARIA2[place], below=True),
    ]


def _fetch(system: System, supernode: Daemon, folder: Path, id: str) -> float:
    """Seconds that a node, started for this, takes from its order to the file in its place."""
    with system.node("fetcher", folder, supernode) as node:
        began = time.monotonic()
        order(node.port, id)
        eventually("the file is fetched", lambda: any(folder.glob("*.bin")), poll=POLL)
        return time.monotonic() - began


def _run(*command: str) -> float:
    """Seconds that a command takes."""
    began = time.monotonic()
    ran = subprocess.run(command, env=environment(), capture_output=True, text=True)
    taken = time.monotonic() - began
    if ran.returncode:
        raise BenchError(f"{command}: status {ran.returncode}: {ran.stderr.strip()}")
    return taken
