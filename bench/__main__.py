"""
Measures how fast the system is and prints it as one table: `make bench`.

Everything runs in real processes of this checkout, which are stopped again, on
loopback or in network namespaces of its own. A missed bar is told and is no
failure; the exit status is 1 only where something could not be measured, or an
answer was wrong.
"""

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from bench import content, fetching, processor, searches, several, spreading, table
from bench.daemons import System
from bench.files import MIB
from bench.load import CONNECTIONS
from bench.machine import print_machine
from bench.needs import PARTS, all_here, in_memory, unmet
from bench.processes import CHECKOUT, BenchError
from bench.scenarios import LONG_ROUNDS, MANY, SCENARIOS

#: Where the plot goes.
PLOTS = CHECKOUT / "docs"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser("python -m bench", description="Measure how fast it is.")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured [5]")
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement by wrk [3]")
    parser.add_argument("--only", choices=PARTS, action="append", help="measure just these")
    options = parser.parse_args(arguments)
    parts = options.only or list(PARTS)
    if not all_here(parts):
        return 1
    unmeasured = {part: why for part in parts if (why := unmet(part)) is not None}
    parts = [part for part in parts if part not in unmeasured]
    print_machine(links=any(PARTS[part].root for part in parts))
    rows: list[table.Row] = []
    failed = ""
    try:
        with _folder() as folder:
            system = System(Path(folder))
            for part in parts:
                with _folder(in_memory()) as memory:
                    rows += _measure(part, system, Path(memory), options.rounds, options.seconds)
    except BenchError as error:
        failed = str(error)
    _print_how(options.rounds)
    print(table.text(rows))
    for part, why in unmeasured.items():
        print(f"\nbench: {part} is not measured: {why}")
    if failed:
        print(f"\nbench: ended early: {failed}")
    return int(bool(unmeasured or failed))


def _print_how(rounds: int) -> None:
    """Say how the figures of the table came about."""
    once = " and ".join(name for name, scenario in SCENARIOS.items() if scenario.rounds == 1)
    print(
        f"\n{rounds} rounds, in which all take turns; of processor, several and those to many "
        f"nodes {LONG_ROUNDS} at the most, of {once} one. Searches, content, copies and "
        "processor time a GiB: medians, and a ratio is that of the medians. Else the shortest "
        "times and the highest rates, of ours as of the others. Searches: wrk, "
        f"{CONNECTIONS} connections kept open, {searches.IDS:,} ids one after the other. Content: "
        f"one curl, {content.SIZE // MIB:,} MiB. From several holders: {several.SIZE // MIB} MiB, "
        f"links of {several.LINK} Mbit/s. Copies: what went through a link, without the headers "
        "of its packets. Processor time: user and system, of the daemons and their children. "
        "Files of random bytes, in memory where /dev/shm has room, except where it says disk: "
        f"there they are in {tempfile.gettempdir()}.\n"
    )


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
    if part == "processor":
        return processor.measure(system, memory, long_rounds)
    if part == "several":
        return several.measure(system, memory, long_rounds)
    scenario = SCENARIOS[part]
    rows, spreads = spreading.measure(system, memory, part, scenario, min(rounds, scenario.rounds))
    if part == MANY:
        from bench import plot  # Only here is matplotlib needed.

        for file in plot.draw(spreads, PLOTS):
            print(f"drawn: {file.relative_to(CHECKOUT)}", flush=True)
    return rows


def _folder(parent: Path | None = None) -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="p2ptwisted-bench-", dir=parent)


def _stopped(signum: int, frame: object) -> NoReturn:
    """Leave with everything stopped and removed, in which nothing shall disturb."""
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    sys.exit(128 + signum)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, _stopped)
    signal.signal(signal.SIGTERM, _stopped)
    sys.exit(main(sys.argv[1:]))
