"""
Run histories: `python -m bench.sim [--histories N] [--seed OF_THE_FIRST]`, as many at
once as there are processors. Prints the seed of each that breaks a promise.
"""

import argparse
import gc
import os
import sys
import time
from multiprocessing import Pool

from bench.sim.history import History, Outcome

#: The histories that CI runs, and the group in each.
HISTORIES, SUPERNODES, NODES = 200, 50, 1_000


def live(seed: int, supernodes: int, nodes: int) -> Outcome:
    gc.disable()  # A process lives for one history, and a third of its time would go there.
    return History(seed, supernodes, nodes).run()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.sim", description=__doc__)
    parser.add_argument("--histories", type=int, default=HISTORIES, help="[%(default)s]")
    parser.add_argument("--seed", type=int, default=1, help="of the first [%(default)s]")
    parser.add_argument("--supernodes", type=int, default=SUPERNODES, help="[%(default)s]")
    parser.add_argument("--nodes", type=int, default=NODES, help="[%(default)s]")
    given = parser.parse_args(arguments)
    seeds = range(given.seed, given.seed + given.histories)
    began = time.monotonic()
    with Pool(os.cpu_count(), maxtasksperchild=1) as pool:
        lives = [(seed, given.supernodes, given.nodes) for seed in seeds]
        outcomes = pool.starmap(live, lives, chunksize=1)
    broken = [outcome for outcome in outcomes if outcome.problem]
    for outcome in broken:
        print(f"seed {outcome.seed}: {outcome.problem}")
        print(
            f"  again: python -m bench.sim --histories 1 --seed {outcome.seed} "
            f"--supernodes {given.supernodes} --nodes {given.nodes}"
        )
    print(
        f"{len(outcomes)} histories of {given.supernodes} supernodes and {given.nodes} nodes "
        f"in {time.monotonic() - began:.0f} s: {len(broken)} broke a promise; "
        f"{sum(one.answers for one in outcomes)} answers, "
        f"{sum(one.datagrams for one in outcomes)} datagrams, "
        f"{sum(one.calls for one in outcomes)} calls; "
        f"the dead forgotten within {max(one.forgotten_within for one in outcomes):.1f} s, "
        f"what was given up within {max(one.given_up_within for one in outcomes):.1f} s, "
        f"the living known within {max(one.known_within for one in outcomes):.0f} s of peace"
    )
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
