"""
Runs targets, as many at once as there are processors:

    python -m fuzz [--seconds 60] [--others 0] [--seed 20261124] [TARGET ...]

Each target gets so many seconds; the others are those that were not named,
where some were. Says what was found, and ends with status 1 where anything was.
The same seed begins with the same input; by default it is the date, so that
every day tries something else.
"""

import argparse
import datetime
import os
import sys
import tempfile
import traceback
from concurrent.futures import ProcessPoolExecutor, as_completed

from fuzz import calls, files, formats, group
from fuzz.target import Target

TARGETS: dict[str, Target] = {
    target.name: target
    for targets in (formats.TARGETS, group.TARGETS, files.TARGETS, calls.TARGETS)
    for target in targets
}

#: Lines of a traceback and characters of an example that are shown.
LINES_SHOWN, SHOWN = 12, 3_000


def attempt(name: str, seconds: float, seed: int) -> tuple[bool, str]:
    """Whether all was well, and what to say of it."""
    try:
        tried = TARGETS[name].run(seconds, seed)
    except Exception as problem:
        return False, f"{name}: FAILED, with --seed {seed}\n{_shown(problem)}"
    return True, f"{name}: {tried} inputs, nothing found"


def today() -> int:
    """The date, in UTC, as a number: 20261124."""
    return int(datetime.datetime.now(datetime.UTC).strftime("%Y%m%d"))


def _shown(problem: BaseException) -> str:
    if isinstance(problem, BaseExceptionGroup):
        return "\n".join(map(_shown, problem.exceptions))
    lines = traceback.format_exception(problem, limit=-LINES_SHOWN, chain=False)
    return "".join(lines)[-SHOWN:]


def _work_in(folder: str) -> None:
    # What the targets make goes with it; a worker runs no exit handlers of its own.
    tempfile.tempdir = folder


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Fuzz the parsers.")
    parser.add_argument("--seconds", type=float, default=60, help="for each [60]")
    parser.add_argument("--others", type=float, default=0, help="for those not named [0]")
    parser.add_argument("--seed", type=int, default=today(), help="where to begin [the date]")
    parser.add_argument("target", nargs="*", help=f"of {', '.join(TARGETS)} [all]")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.target if name not in TARGETS]
    if unknown:
        parser.error(f"no target is called {unknown[0]}: there are {', '.join(TARGETS)}")
    named = given.target or list(TARGETS)
    seconds = {name: given.seconds if name in named else given.others for name in TARGETS}
    all_well = True
    print(f"--seed {given.seed}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="p2ptwisted-fuzz-") as folder,
        ProcessPoolExecutor(os.cpu_count(), initializer=_work_in, initargs=(folder,)) as pool,
    ):
        attempts = [
            pool.submit(attempt, name, each, given.seed) for name, each in seconds.items() if each
        ]
        for done in as_completed(attempts):
            well, said = done.result()
            all_well = all_well and well
            print(said, flush=True)
    return 0 if all_well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
