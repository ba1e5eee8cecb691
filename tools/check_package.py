"""
Whether what a user installs is whole: the wheel has every file and nothing
that isn't ours, and both kinds of installation give the two twistd commands
and `p2p`.
"""

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parent.parent

#: What a build needs of the checkout.
SOURCES = ("p2ptwisted", "twisted", "LICENSE", "README.md", "pyproject.toml", "setup.py")

PLUGIN = "twisted/plugins/p2ptwisted_plugin.py"

#: Made where the code runs; in no wheel.
UNPACKAGED = ("__pycache__", "*.pyc", "dropin.cache")

COMMANDS = ("p2p-supernode", "p2p-node")


class Incomplete(Exception):
    """What is wrong with the package."""


def run(command: Sequence[str | Path], cwd: Path) -> str:
    """What a command prints; raises Incomplete, with that, where it fails."""
    # Nothing of the checkout may be found by any other way than being installed.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise Incomplete(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}")
    return done.stdout


def build_wheel(scratch: Path) -> Path:
    """A wheel of this checkout, built in a copy: an old build/ would get into it."""
    copy = scratch / "checkout"
    copy.mkdir()
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns(*UNPACKAGED))
        elif source.exists():
            shutil.copy(source, copy)
    run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", ".", copy], scratch)
    (wheel,) = scratch.glob("*.whl")
    return wheel


def expected(folder: Path) -> Iterator[str]:
    """Every file of ours that a wheel must have, by its path in it."""
    yield PLUGIN
    for path in (folder / "p2ptwisted").rglob("*"):
        if path.is_file():
            yield path.relative_to(folder).as_posix()


def check_wheel(wheel: Path, checkout: Path) -> None:
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
    files = {name for name in names if ".dist-info/" not in name}
    # An __init__.py in twisted/ or twisted/plugins/, which would hide Twisted's own, is a stranger.
    wanted = set(expected(checkout))
    for what, which in (("lacks", wanted - files), ("should not have", files - wanted)):
        if which:
            raise Incomplete(f"the wheel {what} {', '.join(sorted(which))}")
    for must in ("p2ptwisted/py.typed", PLUGIN):
        if must not in files:
            raise Incomplete(f"the wheel lacks {must}")
    if not any(name.endswith(".dist-info/licenses/LICENSE") for name in names):
        raise Incomplete("the wheel lacks the licence")


def check_commands(binaries: Path, cwd: Path) -> None:
    """All commands are there for somebody who stands in `cwd`."""
    for command in COMMANDS:
        if "--multicast-group" not in run([binaries / "twistd", command, "--help"], cwd):
            raise Incomplete(f"{binaries}/twistd {command} --help doesn't tell its options")
    if "pull" not in run([binaries / "p2p", "--help"], cwd):
        raise Incomplete(f"{binaries}/p2p --help doesn't tell its commands")


def check_installed(wheel: Path, scratch: Path) -> None:
    """The wheel, with what it depends on, in an environment of its own."""
    folder = scratch / "venv"
    venv.create(folder, with_pip=True)
    binaries = folder / "bin"
    run([binaries / "python", "-m", "pip", "install", "--quiet", wheel], scratch)
    run([binaries / "python", "-m", "pip", "check"], scratch)
    where = "import p2ptwisted; print(p2ptwisted.__file__)"
    place = run([binaries / "python", "-c", where], scratch)
    if not Path(place).is_relative_to(folder):
        raise Incomplete(f"p2ptwisted was installed in {folder} but imported from {place}")
    check_commands(binaries, scratch)


def main() -> int:
    with TemporaryDirectory(prefix="p2ptwisted-package-") as name:
        scratch = Path(name).resolve()
        try:
            wheel = build_wheel(scratch)
            check_wheel(wheel, scratch / "checkout")
            print(f"{wheel.name} has every file, and no other")
            check_installed(wheel, scratch)
            print(f"installed, it gives twistd {' and '.join(COMMANDS)}, and p2p")
            check_commands(Path(sys.executable).parent, scratch)
            print("so does the editable installation")
        except Incomplete as problem:
            print(problem)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
