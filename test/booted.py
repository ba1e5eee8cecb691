"""A machine that systemd has booted, in namespaces of its own. Needs root and systemd."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from .daemons import CHECKOUT, eventually

#: Seconds that a script on such a machine may take, with the boot.
BOOT_WITHIN = 120.0

#: Seconds until the kernel has ended all that was in a control group.
GONE_WITHIN = 10.0

_SYSTEMD = "/lib/systemd/systemd"


class Ran(NamedTuple):
    """A script that has ended, with what it printed, to standard error as well."""

    status: int
    output: str


def run_booted(case: SynchronousTestCase, folder: Path, script: str) -> Ran:
    """
    Run a bash script as a service of a systemd that is booted for it; the folder is a new one.

    p2ptwisted is installed in /opt/p2ptwisted there, in PATH, and is not set up yet. Nothing that
    the script does is left. Skips the test where systemd can't be booted.
    """
    if os.geteuid() != 0 or not os.path.exists(_SYSTEMD) or shutil.which("unshare") is None:
        raise SkipTest("booting systemd needs root, util-linux and systemd")
    group = _control_group(case)
    folder.mkdir()
    (folder / "script").write_text(script)
    variables = {
        "PATH": os.environ["PATH"],
        "GROUP": str(group),
        "FOLDER": str(folder),
        "PYTHON_HOME": sys.base_prefix,
        "SITE": sysconfig.get_path("purelib"),
        "CHECKOUT": str(CHECKOUT),
    }
    new = "--mount --pid --fork --kill-child --uts --ipc --net --cgroup --propagation=private"
    # Of a control group of its own is who joins it before the namespace is made.
    joined = (
        f'echo $$ >"{group}/cgroup.procs"; exec unshare {new} /bin/bash "{CHECKOUT}/test/boot.sh"'
    )
    with (folder / "boot.log").open("wb") as log:
        booting = subprocess.Popen(
            ["/bin/sh", "-c", joined],
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            booting.wait(BOOT_WITHIN)
        except subprocess.TimeoutExpired:
            booting.kill()
            booting.wait()
    output = folder / "output"
    said = output.read_text() if output.exists() else (folder / "boot.log").read_text()
    status = folder / "status"
    case.assertTrue(status.exists(), f"the script has not ended within {BOOT_WITHIN} s:\n{said}")
    return Ran(int(status.read_text()), said)


def _control_group(case: SynchronousTestCase) -> Path:
    """A new control group, which goes with the test."""
    mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    places = [Path(place) for _, place, kind, *_ in mounts if kind == "cgroup2"]
    if not places:
        raise SkipTest("booting systemd needs control groups of version 2")
    group = places[0] / f"p2ptwisted-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        raise SkipTest(f"booting systemd needs a control group of its own: {error}") from None

    def remove() -> None:
        def is_gone() -> bool:
            # Those in it first; each is gone when its processes are.
            for inner in sorted(group.rglob("*/"), reverse=True):
                if inner.is_dir():
                    inner.rmdir()
            group.rmdir()
            return True

        eventually(GONE_WITHIN, f"{group} is gone", is_gone)

    case.addCleanup(remove)
    return group
