"""
Run histories: `python -m simulation [--histories N] [--seed OF_THE_FIRST]`, as many at
once as there are processors. Prints the seed of each history that breaks a promise, or
whose process dies or takes too long, as soon as it does. Without a seed it takes the
day's, so that every day sees other histories.
"""

import argparse
import sys
import time
from functools import partial

from simulation.history import Outcome
from simulation.workers import CPU_MAX, Job, live, run_all

#: Histories that `make test` runs, and the supernodes and nodes of the group in each.
HISTORIES, SUPERNODES, NODES = 200, 50, 1_000

#: Seeds for each day.
SEEDS_A_DAY = 1_000


def main(arguments: list[str]) -> int:
    """Run the histories, and return the exit status: 1 if any of them broke a promise."""
    today = int(time.strftime("%Y%m%d", time.gmtime())) * SEEDS_A_DAY
    parser = argparse.ArgumentParser(prog="python -m simulation", description=__doc__)
    parser.add_argument("--histories", type=int, default=HISTORIES, help="[%(default)s]")
    parser.add_argument("--seed", type=int, default=today, help="of the first [%(default)s]")
    parser.add_argument("--supernodes", type=int, default=SUPERNODES, help="[%(default)s]")
    parser.add_argument("--nodes", type=int, default=NODES, help="[%(default)s]")
    parser.add_argument("--long", action="store_true", help="of more than two minutes")
    parser.add_argument("--cpu", type=int, default=CPU_MAX, help="seconds for each [%(default)s]")
    given = parser.parse_args(arguments)
    seeds = range(given.seed, given.seed + given.histories)
    print(f"histories from seed {given.seed} on", flush=True)
    jobs = [
        Job(partial(live, seed, given.supernodes, given.nodes, given.long), partial(Outcome, seed))
        for seed in seeds
    ]
    began, outcomes = time.monotonic(), []
    for outcome in run_all(jobs, given.cpu):
        outcomes.append(outcome)
        if outcome.problem:
            print(
                f"seed {outcome.seed}: {outcome.problem}\n"
                f"  again: python -m simulation --histories 1 --seed {outcome.seed} "
                f"--supernodes {given.supernodes} --nodes {given.nodes}{' --long' * given.long}",
                flush=True,
            )
    broken = sum(bool(outcome.problem) for outcome in outcomes)
    print(
        f"{len(outcomes)} histories of {given.supernodes} supernodes and {given.nodes} nodes "
        f"in {time.monotonic() - began:.0f} s: {broken} broke a promise; "
        f"{sum(one.asked for one in outcomes)} times asked for what somebody had, "
        f"{sum(one.answers for one in outcomes)} times found, "
        f"{sum(one.misses for one in outcomes)} times not, amid mishaps; "
        f"{sum(one.datagrams for one in outcomes)} datagrams, "
        f"{sum(one.calls for one in outcomes)} calls; "
        f"the dead forgotten within {max(one.forgotten_within for one in outcomes):.1f} s, "
        f"what was given up within {max(one.given_up_within for one in outcomes):.1f} s, "
        f"the living known within {max(one.known_within for one in outcomes):.0f} s of peace"
    )
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
