"""
The unit tests with other versions than those in .venv, each in a virtual environment of its own
under build/: `pythons`, with every Python from the oldest that pyproject.toml lets in; `oldest`,
with exactly the oldest versions of the libraries that it lets in.

Pythons are looked for in PATH and among those of pyenv. The exit status is 1 where a test failed,
or an environment couldn't be made.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tools.run_tests import ROOT, Tally, read_trial, run

#: The environments, which are made again when what they were made from has changed.
FOLDER = ROOT / "build" / "other-versions"

#: What the unit tests need besides the program, by its name among the optional dependencies.
EXTRA = "test"

#: A name, and what is installed with it, and a bound: no other form is read.
_REQUIREMENT = re.compile(r"([\w.-]+)(?:\[[\w,-]+\])?>=([\d.]+)(?:,<[\d.]+)?")
_PYTHON_BOUND = re.compile(r">=3\.(\d+)")
_PYTHON = re.compile(r"python3\.(\d+)")


class Failed(Exception):
    """An environment can't be made, and why."""


def project() -> dict[str, Any]:
    """What pyproject.toml says of the project."""
    return dict(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"])


def oldest_libraries(project: dict[str, Any]) -> list[str]:
    """The oldest version of each library that is let in, as constraints for pip."""
    constraints = []
    for requirement in project["dependencies"] + project["optional-dependencies"][EXTRA]:
        if not (read := _REQUIREMENT.fullmatch(requirement)):
            raise Failed(f"pyproject.toml: {requirement!r} has no oldest version: write NAME>=X.Y")
        constraints.append(f"{read[1]}=={read[2]}")
    return constraints


def oldest_python(project: dict[str, Any]) -> int:
    """The minor version of the oldest Python that is let in."""
    if not (read := _PYTHON_BOUND.fullmatch(project["requires-python"])):
        raise Failed("pyproject.toml: requires-python has another form than '>=3.N'")
    return int(read[1])


def find_pythons(oldest: int) -> dict[int, Path]:
    """By minor version, those that are on this machine and run."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders = [Path(name) for name in os.environ.get("PATH", "").split(os.pathsep) if name]
    folders += sorted(root.glob("versions/*/bin"), reverse=True)
    found: dict[int, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob("python3.*")):
            minor = _PYTHON.fullmatch(path.name)
            if minor and (number := int(minor[1])) >= oldest and number not in found:
                # One of pyenv's stand-ins may have none behind it.
                with_it: list[str | Path] = [path, "-I", "-c", "pass"]
                if not subprocess.run(with_it, check=False, capture_output=True).returncode:
                    found[number] = path
    # The one that this runs with is there in any case.
    found.setdefault(sys.version_info.minor, Path(sys.executable))
    return dict(sorted(found.items()))


def environment(name: str, python: Path, constraints: Sequence[str]) -> Path:
    """The Python of an environment with the project and these versions. Raises Failed."""
    folder = FOLDER / name
    inside = folder / "bin" / "python"
    made_from = "\n".join(
        [str(ROOT), _said([python, "-VV"]), (ROOT / "pyproject.toml").read_text(), *constraints]
    )
    ready = folder / "made-from"
    if ready.is_file() and ready.read_text() == made_from:
        return inside
    print(f"Setting up {folder.relative_to(ROOT)} with {python}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    _said([python, "-I", "-m", "venv", folder])
    bounds = folder / "constraints.txt"
    bounds.write_text("\n".join(constraints))
    pip: list[str | Path] = [inside, "-I", "-m", "pip", "install", "--quiet"]
    pip.append("--disable-pip-version-check")
    _said([*pip, "--constraint", bounds, "--editable", f"{ROOT}[{EXTRA}]"])
    ready.write_text(made_from)
    return inside


def _said(command: Sequence[str | Path]) -> str:
    """What a command prints. Raises Failed."""
    done = subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise Failed(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}")
    return done.stdout


def environments(what: str) -> Iterator[tuple[str, Path, list[str]]]:
    """The name, the Python and the constraints of each. Raises Failed."""
    ours = project()
    pythons = find_pythons(oldest_python(ours))
    if what == "oldest":
        # With the oldest Python too, as far as it is here.
        yield what, next(iter(pythons.values())), oldest_libraries(ours)
        return
    for minor, python in pythons.items():
        yield f"python3.{minor}", python, []


def main(arguments: Sequence[str]) -> int:
    if arguments not in (["pythons"], ["oldest"]):
        print("usage: other_versions.py pythons|oldest", file=sys.stderr)
        return 2
    tallies: dict[str, Tally] = {}
    try:
        for name, python, constraints in environments(arguments[0]):
            try:
                tallies[name] = _test(name, environment(name, python, constraints))
            except Failed as error:
                print(error, flush=True)
                tallies[name] = Tally(failed=["its environment can't be made"])
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    if arguments == ["pythons"]:
        _print_summary(tallies)
    return int(not tallies or any(tally.failed or tally.skipped for tally in tallies.values()))


def _test(name: str, python: Path) -> Tally:
    trial = [str(python), "-m", "twisted.trial", "--temp-directory", str(FOLDER / f"trial-{name}")]
    print(f"\n== {name}: trial p2ptwisted", flush=True)
    output, status = run([*trial, "--reporter=text", "p2ptwisted"])
    return read_trial(name, output, status)


def _print_summary(tallies: dict[str, Tally]) -> None:
    print()
    for name, tally in tallies.items():
        for what in tally.failed:
            print(f"failed: {name}: {what}")
        print(
            f"{name}: {tally.passed} passed, {len(tally.failed)} failed, "
            f"{len(tally.skipped)} skipped"
        )


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
