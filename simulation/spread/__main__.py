"""
Have a file spread, in virtual time: once to many nodes, and in histories in which
nodes die, lie and stall: `python -m simulation.spread [--nodes N] [--histories N] [--seed
OF_THE_FIRST]`. Prints the seed of each that goes wrong as soon as it does. Without a seed
it takes the day's.
"""

import argparse
import os
import sys
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from simulation.__main__ import SEEDS_A_DAY
from simulation.spread import history, large
from simulation.spread.history import Outcome
from simulation.spread.large import Bars
from simulation.spread.tiny_file import TinyFile
from simulation.workers import Job, run_all

#: The nodes and pieces of the large spread, bytes of a piece, and histories, of `make simulation`.
NODES, PIECES, PIECE_SIZE, HISTORIES = 1_000, 4_096, 256 * 1024, 200

#: A folder in memory, if there is one.
MEMORY = Path("/dev/shm")  # nosec B108  # a folder of its own is made in it

#: Seconds of processor time for each; the large one takes more than an hour: 1.2 ms for each piece
#: that comes to a node.
CPU_MAX = 10_800


def main(arguments: list[str]) -> int:
    """Run all, and return the exit status: 1 if anything went wrong."""
    given = _parser().parse_args(arguments)
    bars = Bars(given.copy_times, given.copies, given.control, given.asked)
    file = TinyFile(given.pieces, given.piece_size, given.seed)
    jobs = [
        Job(partial(history.live, seed), partial(Outcome, seed))
        for seed in range(given.seed, given.seed + given.histories)
    ]
    if given.nodes:
        job = partial(large.live, given.seed, given.nodes, file, bars)
        jobs.insert(0, Job(job, partial(Outcome, given.seed)))
    print(f"{len(jobs)} spreads from seed {given.seed} on", flush=True)
    gettempdir()  # That of this process stays what it is.
    began, broken = time.monotonic(), 0
    with TemporaryDirectory(prefix="spread-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        # The children, which may die, make theirs in it.
        os.environ["TMPDIR"] = folder
        for outcome in run_all(jobs, CPU_MAX):
            if outcome.seconds is not None:
                print(f"{outcome.figures}; {outcome.seconds:.0f} s of processor time", flush=True)
            if outcome.problem:
                broken += 1
                print(f"seed {outcome.seed}: {outcome.problem}\n  again: {_again(outcome, given)}")
    print(f"{len(jobs)} spreads in {time.monotonic() - began:.0f} s: {broken} went wrong")
    return int(bool(broken))


def _again(outcome: Outcome, given: argparse.Namespace) -> str:
    """Returns the command that repeats it alone."""
    large = (
        f"--nodes {given.nodes} --pieces {given.pieces} --piece-size {given.piece_size} "
        f"--copy-times {given.copy_times} --copies {given.copies} --control {given.control} "
        f"--asked {given.asked} --histories 0"
    )
    one = "--nodes 0 --histories 1" if outcome.seconds is None else large
    return f"python -m simulation.spread --seed {outcome.seed} {one}"


def _parser() -> argparse.ArgumentParser:
    today = int(time.strftime("%Y%m%d", time.gmtime())) * SEEDS_A_DAY
    parser = argparse.ArgumentParser(prog="python -m simulation.spread", description=__doc__)
    add = parser.add_argument
    add("--seed", type=int, default=today, help="of the first [%(default)s]")
    add("--histories", type=int, default=HISTORIES, help="[%(default)s]")
    add("--nodes", type=int, default=NODES, help="of the large spread; 0: none [%(default)s]")
    add("--pieces", type=int, default=PIECES, help="of its file [%(default)s]")
    add("--piece-size", type=int, default=PIECE_SIZE, help="in bytes [%(default)s]")
    add("--copy-times", type=float, default=Bars.copy_times, help="it may take [%(default)s]")
    add("--copies", type=float, default=Bars.copies, help="from the first holder [%(default)s]")
    add("--control", type=float, default=Bars.control_max, help="a part of the file [%(default)s]")
    add("--asked", type=int, default=Bars.asked_max, help="look-ups of a node [%(default)s]")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
