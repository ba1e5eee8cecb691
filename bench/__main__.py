"""
Measures how fast the system is and prints it as one table: `make bench`.

Everything runs on loopback in real processes of this checkout, which are
stopped again. A missed bar is told and is no failure; the exit status is 1
only where something could not be measured, or an answer was wrong.
"""

import argparse
import os
import platform
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from bench import content, searches, table
from bench.load import CONNECTIONS
from bench.processes import BenchError, System

#: Free bytes that a folder in memory must have for the file of `content`.
MEMORY = 2 * content.BLOCK * content.BLOCKS

_SHM = Path("/dev/shm")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser("python -m bench", description="Measure how fast it is.")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured [5]")
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement by wrk [3]")
    parser.add_argument("--only", choices=["searches", "content"], help="measure just these")
    options = parser.parse_args(arguments)
    missing = [tool for tool in ("wrk", "curl") if shutil.which(tool) is None]
    if content.nginx_program() is None:
        missing.append("nginx")
    if missing:
        print(f"bench: {', '.join(missing)} missing: apt-get install {' '.join(missing)}")
        return 1
    _print_machine()
    rows: list[table.Row] = []
    try:
        with _folder() as folder, _folder(_in_memory()) as memory:
            system = System(Path(folder))
            if options.only != "content":
                rows += searches.measure(system, options.rounds, options.seconds)
            if options.only != "searches":
                rows += content.measure(system, Path(memory), options.rounds)
    except BenchError as error:
        print(f"bench: {error}")
        return 1
    print(
        f"\nMedians of {options.rounds} rounds, in which all take turns; a ratio is that of the "
        f"medians. Searches: wrk, {CONNECTIONS} connections kept open, {searches.IDS:,} ids one "
        f"after the other. Content: one curl, {content.BLOCKS * content.BLOCK >> 20:,} MiB of "
        "real bytes, in memory where /dev/shm has room.\n"
    )
    print(table.text(rows))
    return 0


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


def _terminated(signum: int, frame: object) -> NoReturn:
    """Leave as after Ctrl-C: with everything stopped and removed."""
    sys.exit(128 + signum)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _terminated)
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
