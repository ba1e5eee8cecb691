"""
Measures how fast the system is and prints it as one table: `make bench`.

Everything runs in real processes of this checkout, which are stopped again, on
loopback or in network namespaces of its own. A missed bar is told and is no
failure; the exit status is 1 only where something could not be measured, or an
answer was wrong.
"""

import argparse
import os
import platform
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from bench import content, fetching, searches, spreading, table
from bench.daemons import System
from bench.files import MIB
from bench.load import CONNECTIONS
from bench.nginx import program as nginx_program
from bench.processes import CHECKOUT, BenchError

#: Free bytes that a folder in memory must have for the largest files and their copies.
MEMORY = 2 * 1024 * MIB

#: Rounds, at the most, of what takes minutes and varies little.
LONG_ROUNDS = 3

#: Where the plot goes.
PLOTS = CHECKOUT / "docs"

#: Programs by the Debian package that has them.
PACKAGES = {
    "wrk": "wrk",
    "curl": "curl",
    "nginx": "nginx-light",
    "aria2c": "aria2",
    "ip": "iproute2",
    "tc": "iproute2",
}

_SHM = Path("/dev/shm")


@dataclass(frozen=True)
class Needs:
    """What something takes to be measured."""

    programs: Sequence[str]
    modules: Sequence[str] = ()
    root: bool = False


PARTS: Mapping[str, Needs] = {
    "searches": Needs(["wrk", "curl"]),
    "content": Needs(["curl", "nginx"]),
    "fetching": Needs(["curl", "nginx", "aria2c"]),
    "several": Needs(["ip", "tc"], root=True),
    "many": Needs(["ip", "tc", "curl", "nginx"], ["libtorrent", "matplotlib"], root=True),
}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser("python -m bench", description="Measure how fast it is.")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured [5]")
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement by wrk [3]")
    parser.add_argument("--only", choices=PARTS, action="append", help="measure just these")
    options = parser.parse_args(arguments)
    parts = options.only or list(PARTS)
    if not _all_here(parts):
        return 1
    unmeasured = [part for part in parts if PARTS[part].root and os.geteuid() != 0]
    parts = [part for part in parts if part not in unmeasured]
    _print_machine()
    rows: list[table.Row] = []
    try:
        with _folder() as folder:
            system = System(Path(folder))
            for part in parts:
                with _folder(_in_memory()) as memory:
                    rows += _measure(part, system, Path(memory), options.rounds, options.seconds)
    except BenchError as error:
        print(f"bench: {error}")
        return 1
    print(
        f"\n{options.rounds} rounds, in which all take turns; on links "
        f"{min(options.rounds, LONG_ROUNDS)}. Searches and content: medians, and a ratio is that "
        "of the medians. Fetching: the shortest times and the highest rates, of ours as of the "
        f"others. Searches: wrk, {CONNECTIONS} connections kept open, {searches.IDS:,} ids one "
        f"after the other. Content: one curl, {content.SIZE // MIB:,} MiB. Links: "
        f"{spreading.LINK} Mbit/s; {spreading.FROM_SEVERAL // MIB} MiB from several holders, "
        f"{spreading.TO_MANY // MIB} MiB to many nodes. Files of random bytes, in memory where "
        f"/dev/shm has room, except where it says disk: there they are in {tempfile.gettempdir()}."
        "\n"
    )
    print(table.text(rows))
    if unmeasured:
        print(f"\nbench: not measured, for network namespaces need root: {', '.join(unmeasured)}")
    return int(bool(unmeasured))


def _measure(
    part: str, system: System, memory: Path, rounds: int, seconds: int
) -> Sequence[table.Row]:
    long_rounds = min(rounds, LONG_ROUNDS)
    if part == "searches":
        return searches.measure(system, rounds, seconds)
    if part == "content":
        return content.measure(system, memory, rounds)
    if part == "fetching":
        disk = system.folder / part
        disk.mkdir()
        on_disk = fetching.measure(system, "on disk", disk, rounds)
        return [*on_disk, *fetching.measure(system, "in memory", memory, rounds)]
    if part == "several":
        return spreading.from_several(system, memory, long_rounds)
    rows, times = spreading.to_many(system, memory, long_rounds)
    from bench import plot  # Only here is matplotlib needed.

    for file in plot.draw(times, PLOTS):
        print(f"drawn: {file.relative_to(CHECKOUT)}", flush=True)
    return rows


def _all_here(parts: Sequence[str]) -> bool:
    """Whether everything is installed; says what is not, and how to come by it."""
    programs = {program for part in parts for program in PARTS[part].programs}
    modules = {module for part in parts for module in PARTS[part].modules}
    missing = sorted(one for one in programs if not _is_here(one))
    if missing:
        packages = sorted({PACKAGES[program] for program in missing})
        print(f"bench: {', '.join(missing)} missing: apt-get install {' '.join(packages)}")
    absent = sorted(module for module in modules if find_spec(module) is None)
    if absent:
        print(f"bench: {', '.join(absent)} missing in this Python: `make bench` installs them")
    return not missing and not absent


def _is_here(program: str) -> bool:
    # Debian has some in a folder that only root has in PATH.
    if program == "nginx":
        return nginx_program() is not None
    return shutil.which(program) is not None


def _print_machine() -> None:
    load = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    print(
        f"{os.cpu_count()} CPUs, {platform.python_implementation()} {platform.python_version()}, "
        f"Twisted {version('twisted')}; load before the start: {load}",
        flush=True,
    )


def _folder(parent: Path | None = None) -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="p2ptwisted-bench-", dir=parent)


def _in_memory() -> Path | None:
    """A folder that is on no disk and has room; None where there is none."""
    return _SHM if _SHM.is_dir() and shutil.disk_usage(_SHM).free >= MEMORY else None


def _stopped(signum: int, frame: object) -> NoReturn:
    """Leave with everything stopped and removed, in which nothing shall disturb."""
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    sys.exit(128 + signum)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, _stopped)
    signal.signal(signal.SIGTERM, _stopped)
    sys.exit(main(sys.argv[1:]))
