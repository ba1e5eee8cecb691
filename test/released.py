"""The last release's program, as the repository has it: for tests of the two in one group."""

import re
import shutil
import subprocess
from pathlib import Path

from .daemons import CHECKOUT

#: Where the releases are kept that were taken out of the repository.
FOLDER = CHECKOUT / "build" / "releases"


def last_version() -> str:
    """The version of the last release, by the change log."""
    (version,) = re.findall(
        r"\A# p2ptwisted (\S+) \(", (CHECKOUT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    return str(version)


def released() -> Path:
    """A folder with the last release's code; it needs the same libraries as today's."""
    version = last_version()
    # Only its subject says that it is one.
    log = _git("log", "--format=%H %s", "--fixed-strings", f"--grep=Release {version}").decode()
    commits = re.findall(rf"^(\w+) Release {re.escape(version)}\b", log, re.MULTILINE)
    if not commits:
        raise AssertionError(
            f"this repository has no commit 'Release {version}': get its whole history, as "
            "`git fetch --unshallow` does"
        )
    folder = FOLDER / f"{version}-{commits[0][:12]}"
    if not folder.is_dir():
        # Whatever is begun and not completed is nobody's release.
        begun = folder.with_suffix(".begun")
        shutil.rmtree(begun, ignore_errors=True)
        begun.mkdir(parents=True)
        packed = _git("archive", commits[0], "p2ptwisted", "twisted")
        subprocess.run(["tar", "--extract", "--directory", str(begun)], input=packed, check=True)
        begun.rename(folder)
    return folder


def _git(*arguments: str) -> bytes:
    return subprocess.run(
        ["git", "-C", str(CHECKOUT), *arguments], check=True, capture_output=True
    ).stdout
