"""
What `make check` and `make test` run: the steps named on the command line, one
after the other, whatever becomes of each, and at the end one count of all.
What does nothing but reckon, or wait, for minutes, goes on beside those that
come after it, and is shown when they are through.

A check counts as one; of a run of trial every test counts. The exit status is
1 where anything failed, or where trial ran no test, and where CI=true also
when a test was skipped.
"""

import os
import re
import selectors
import shlex
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: Seconds between two looks at whether a step that says nothing is still there.
LOOK = 0.2

_BAR = "=" * 79
_RULE = "-" * 79
#: Trial's last line: `FAILED (skips=1, failures=2, successes=3)`.
_VERDICT = re.compile(r"^(PASSED|FAILED)(?: \(([a-zA-Z=0-9, ]+)\))?$", re.MULTILINE)


@dataclass
class Tally:
    """How many passed, and what each of the others was."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)
    #: What was skipped, each with the reason.
    skipped: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped


def read_check(command: str, output: str, status: int) -> Tally:
    """A check passed or failed as a whole."""
    if not status:
        return Tally(passed=1)
    how = f"with status {status}" if status > 0 else f"by {signal.Signals(-status).name}"
    return Tally(failed=[f"{command}: ended {how}"])


def read_trial(command: str, output: str, status: int) -> Tally:
    """What became of each test in a run of trial, from the report that it closes with."""
    verdicts = list(_VERDICT.finditer(output))
    if not verdicts:
        return Tally(failed=[f"{command}: ended with status {status} in the middle of its tests"])
    verdict = verdicts[-1]
    counts = {
        what: int(number)
        for what, _, number in (part.partition("=") for part in (verdict[2] or "").split(", "))
        if number
    }
    tally = Tally(counts.get("successes", 0))
    for flavour, reason, names in _sections(output[: verdict.start()]):
        if flavour in ("[SKIPPED]", "[TODO]"):
            tally.skipped += [f"{name}: {_one_line(flavour, reason)}" for name in names]
        else:
            tally.failed += names
    if not counts:
        tally.failed.append(f"{command}: ran no test")
    # The numbers are trial's own; the names are only as good as our reading of its report.
    failures = sum(counts.get(what, 0) for what in ("failures", "errors", "unexpectedSuccesses"))
    skips = sum(counts.get(what, 0) for what in ("skips", "expectedFailures"))
    unnamed = f"{command}: a test that trial did not name"
    tally.failed += [unnamed] * (failures - len(tally.failed))
    tally.skipped += [unnamed] * (skips - len(tally.skipped))
    if status and not tally.failed:
        tally.failed.append(f"{command}: ended with status {status}")
    return tally


def _sections(report: str) -> list[tuple[str, str, list[str]]]:
    """Flavour, reason and tests of each section between trial's bars."""
    sections = []
    for section in report.rpartition(f"\n{_RULE}\n")[0].split(f"{_BAR}\n")[1:]:
        flavour, _, rest = section.partition("\n")
        reason, _, names = rest.strip("\n").rpartition("\n\n")
        sections.append((flavour, reason, names.splitlines()))
    return sections


def _one_line(flavour: str, reason: str) -> str:
    if flavour == "[TODO]":
        return "is expected to fail: " + reason.partition("\n")[0].removeprefix("Reason: ")
    return " ".join(reason.split())


@dataclass
class Step:
    """A command, how to show it to a person, and how to read what it printed."""

    command: Sequence[str]
    shown: str
    read: Callable[[str, str, int], Tally]
    #: Where it goes on beside the others: those of one lane come one after the other.
    lane: str | None = None


def _tool(read: Callable[[str, str, int], Tally], module: str, *arguments: str) -> Step:
    """A step that is a module of the environment that this program runs in."""
    shown = shlex.join([module.removeprefix("twisted."), *arguments])
    # -P: what else lies in this folder, and is called like a module, is not run. By trial it is: of
    # two packages called `test`, ours and Python's, it must find ours first.
    isolated = () if module == "twisted.trial" else ("-P",)
    return Step([sys.executable, *isolated, "-m", module, *arguments], shown, read)


def _bandit(*arguments: str) -> Step:
    """A check of what could be a hole; pyproject.toml and the lines themselves have exceptions."""
    arguments = ("-q", "-c", "pyproject.toml", "-r", *arguments)
    # Of a string in several lines it warns that an exception is needed for some of them only.
    quiet = "import logging; logging.disable(logging.WARNING)"
    program = f"{quiet}; from bandit.cli.main import main; main()"
    command = [sys.executable, "-P", "-c", program, *arguments]
    return Step(command, shlex.join(["bandit", *arguments]), read_check)


def _import_linter() -> Step:
    """A check of who imports whom, by the contracts in pyproject.toml; it has no `python -m`."""
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    arguments = ["--no-logo", "--no-cache"]
    return Step([sys.executable, "-P", "-c", program, *arguments], "lint-imports", read_check)


def _reckoning(module: str, *arguments: str) -> Step:
    """A check that goes on beside the others, with the time that they leave over."""
    step = _tool(read_check, module, *arguments)
    # So low that the system tests, which measure seconds, don't feel it.
    return replace(step, command=["nice", "-n", "19", *step.command], lane="reckoning")


#: System tests beside which nothing may go on but what reckons, for they measure how the
#: machine does under load; and those that wait for most of their time.
_MEASURING = ("test_dead_supernode", "test_flood")
_WAITING = (
    "test_clock_steps",
    "test_closed_port",
    "test_failover",
    "test_false_alarm",
    "test_leaving",
    "test_memberships",
    "test_partition",
    "test_slow_clients",
)


def _system_tests() -> list[Step]:
    all = {path.stem for path in ROOT.glob("test/test_*.py")}
    parts = (_MEASURING, _WAITING, sorted(all.difference(_MEASURING, _WAITING)))
    measuring, waiting, others = (
        _tool(read_trial, "twisted.trial", *(f"test.{name}" for name in names)) for names in parts
    )
    return [measuring, replace(waiting, lane="waiting"), others]


#: Of histories that are long there are fewer, of smaller groups.
_SMALL = ("--histories", "20", "--supernodes", "10", "--nodes", "100")

#: Fewer nodes and pieces than in `make simulation`, with which it takes longer: each node waits for
#: some pieces at the beginning and at the end.
_SPREAD = (
    *("--histories", "12", "--nodes", "48", "--pieces", "512"),
    *("--copy-times", "1.35", "--control", "0.02"),
)

#: The parsers that strangers reach first: each gets a minute, the others less.
_FUZZED = ("datagrams", "registration", "search", "ranges", "manifests", "options", "parts")

STEPS: Mapping[str, Sequence[Step]] = {
    "check": [
        _tool(read_check, "ruff", "check"),
        _tool(read_check, "ruff", "format", "--check"),
        _tool(read_check, "mypy"),
        _import_linter(),
        _bandit("p2ptwisted", "twisted"),
        # What starts programs and makes things up, on a developer's own machine: the gravest only.
        _bandit("-lll", "tools", "simulation", "bench", "fuzz", "test", "setup.py"),
        _tool(read_check, "towncrier", "build", "--draft", "--version", "next"),
        _tool(read_check, "tools.check_docs"),
        _tool(read_check, "tools.check_package"),
    ],
    "unit": [_tool(read_trial, "twisted.trial", "p2ptwisted")],
    "oldest": [_tool(read_trial, "tools.other_versions", "oldest")],
    "system": _system_tests(),
    # The same ones every time: what fails is the change's doing. Others by `make simulation`.
    "simulation": [
        _reckoning("simulation", "--seed", "1"),
        _reckoning("simulation", "--seed", "1", "--long", *_SMALL),
        _reckoning("simulation.spread", "--seed", "1", *_SPREAD),
    ],
    "fuzz": [_reckoning("fuzz", "--seconds", "60", "--others", "5", *_FUZZED)],
}


def run(command: Sequence[str], quiet: bool = False) -> tuple[str, int]:
    """
    Run a command, showing its output as it comes; gives that output and the exit status.

    `quiet`: nothing is shown.
    """
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        output = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while True:
                # Not only until the pipe is closed: a daemon that a test left behind holds it open.
                ended = process.poll() is not None
                if selector.select(LOOK):
                    some = os.read(process.stdout.fileno(), 65536)
                    if not some:
                        break
                    output += some
                    if not quiet:
                        sys.stdout.buffer.write(some)
                        sys.stdout.buffer.flush()
                elif ended:
                    break
        status = process.wait()
    return output.decode(errors="replace"), status


def main(names: Sequence[str], environment: Mapping[str, str]) -> int:
    unknown = [name for name in names if name not in STEPS]
    if unknown or not names:
        print(f"usage: run_tests.py {' '.join(f'[{name}]' for name in STEPS)}", file=sys.stderr)
        return 2
    steps = [step for name in names for step in STEPS[name]]
    total = Tally()
    began = time.monotonic()
    beside: list[tuple[Step, Future[tuple[str, int]]]] = []
    with ExitStack() as stack:
        lanes: defaultdict[str, ThreadPoolExecutor] = defaultdict(
            lambda: stack.enter_context(ThreadPoolExecutor(1))
        )
        for step in steps:
            if step.lane is not None:
                beside.append((step, lanes[step.lane].submit(run, step.command, quiet=True)))
                continue
            print(f"\n== {step.shown}", flush=True)
            total.add(step.read(step.shown, *run(step.command)))
        for step, running in beside:
            print(f"\n== {step.shown}", flush=True)
            output, status = running.result()
            print(output, end="", flush=True)
            total.add(step.read(step.shown, output, status))
    print()
    for what in total.failed:
        print(f"failed: {what}")
    for what in total.skipped:
        print(f"skipped: {what}")
    print(f"{' '.join(names)} took {time.monotonic() - began:.1f} s")
    print(
        f"{total.passed} passed, {len(total.failed)} failed, {len(total.skipped)} skipped",
        flush=True,
    )
    return int(bool(total.failed or (total.skipped and environment.get("CI") == "true")))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:], os.environ))
    except KeyboardInterrupt:
        sys.exit(130)
