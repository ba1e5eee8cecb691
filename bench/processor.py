"""
The processor time that two daemons take for one GiB from one to the other, on
loopback, beside that of an earlier build.
"""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from subprocess import run

from bench.daemons import System
from bench.files import check, make
from bench.processes import CHECKOUT, BenchError, environment, eventually, order
from bench.scenarios import GIB
from bench.swarm import POLL, WITHIN, wait_for_holders
from bench.table import Row, times_row

#: The earlier build, by its commit.
BUILD_BEFORE = "e590c62"

#: Bytes of the file, and of it with its copy.
SIZE = GIB
MEMORY = 2 * SIZE

MOST_OF_BUILD_BEFORE = 0.6


def measure(system: System, memory: Path, rounds: int) -> list[Row]:
    """
    Fetch one file with both builds by turns; the ratio is that of the least times.

    No row where there is no history that has the earlier build.
    """
    tree = system.folder / "build-before"
    if failed := _check_out(tree):
        print(f"processor: left out, without the commit {BUILD_BEFORE}: {failed}", flush=True)
        return []
    logs = system.folder / "logs-before"
    logs.mkdir()
    builds: Mapping[str, System] = {
        "this build": system,
        f"the build before, {BUILD_BEFORE}": System(logs, tree),
    }
    original = memory / "original" / "large.bin"
    original.parent.mkdir()
    id = make(original, SIZE)
    times: dict[str, list[float]] = {build: [] for build in builds}
    # A round before those that count, as in `fetching`.
    for number in range(rounds + 1):
        print(f"processor, round {number} of {rounds}", flush=True)
        for build, daemons in builds.items():
            taken = _fetch(daemons, memory, original, id)
            if number:
                times[build].append(taken)
            print(f"  {build}: {taken:.2f} processor s", flush=True)
    (_, ours), (name, before) = ((build, min(taken)) for build, taken in times.items())
    what = f"processor time of {SIZE // GIB} GiB, one holder to one node"
    return [times_row(what, ours, name, before, MOST_OF_BUILD_BEFORE)]


def _check_out(tree: Path) -> str:
    """Put the earlier build into a new folder; gives why that fails, or nothing."""
    if shutil.which("git") is None:
        return "there is no git"
    archived = run(["git", "-C", str(CHECKOUT), "archive", BUILD_BEFORE], capture_output=True)
    if archived.returncode:
        return archived.stderr.decode(errors="replace").strip()
    tree.mkdir()
    run(["tar", "-x", "-C", str(tree)], input=archived.stdout, check=True)
    # This one is installed too.
    asking = [sys.executable, "-P", "-c", "import p2ptwisted; print(p2ptwisted.__file__)"]
    answer = run(asking, cwd=tree.parent, env=environment(tree), capture_output=True, text=True)
    if not Path(answer.stdout.strip()).is_relative_to(tree):
        raise BenchError(f"what is imported from {tree} is {answer.stdout}{answer.stderr}")
    return ""


def _fetch(system: System, memory: Path, original: Path, id: str) -> float:
    """User and system seconds of the holder and the node, from the order to the registered copy."""
    shared, copies = memory / "shared", memory / "copies"
    for folder in (shared, copies):
        folder.mkdir()
    (shared / original.name).hardlink_to(original)
    with (
        system.supernode("supernode-processor") as supernode,
        system.node("holder-processor", shared, supernode) as holder,
    ):
        wait_for_holders(supernode, id, 1)
        with system.node("fetcher-processor", copies, supernode) as node:
            before = holder.processor_seconds() + node.processor_seconds()
            order(node.port, id)
            copy = copies / original.name
            eventually("the file is fetched", copy.exists, WITHIN, POLL)
            # What a node does with it afterwards counts too.
            wait_for_holders(supernode, id, 2)
            taken = holder.processor_seconds() + node.processor_seconds() - before
    check(copy, id)
    for folder in (shared, copies):
        shutil.rmtree(folder)
    return taken
