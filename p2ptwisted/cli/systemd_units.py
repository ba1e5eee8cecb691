"""
`p2p install-systemd`: units for both daemons, with their user, folders and settings.

The files are in `p2ptwisted/systemd/`. In the units, PROGRAM_MARK stands for the `p2p` to run.
"""

import os
import stat
import subprocess  # nosec B404  # systemd's own programs, with arguments that are all ours
import sys
import sysconfig
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from p2ptwisted.cli.exit_status import CommandError, ExitStatus
from p2ptwisted.cli.output import print_lines, print_message

PROGRAM_MARK = "@P2P@"

#: Each file with the place that it has in the system.
UNITS = {
    "p2p-node@.service": "etc/systemd/system/p2p-node@.service",
    "p2p-supernode@.service": "etc/systemd/system/p2p-supernode@.service",
}
ACCOUNTS = {
    "sysusers.conf": "etc/sysusers.d/p2ptwisted.conf",
    "tmpfiles.conf": "etc/tmpfiles.d/p2ptwisted.conf",
}
#: The administrator's own as soon as they are there.
SETTINGS = {
    "node.toml": "etc/p2ptwisted/node.toml",
    "supernode.toml": "etc/p2ptwisted/supernode.toml",
}

#: What has systemd do what the files say, as soon as they are in its own places.
STEPS = (
    ("systemd-sysusers", "/" + ACCOUNTS["sysusers.conf"]),
    ("systemd-tmpfiles", "--create", "/" + ACCOUNTS["tmpfiles.conf"]),
    ("systemctl", "daemon-reload"),
)

#: Folders of which the units see nothing (ProtectHome, PrivateTmp).
_UNSEEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # nosec B108  # nothing is put there

#: Seconds for each step.
_STEP_TIME = 60


def install_units(root: Path, program: Path | None) -> ExitStatus:
    """
    Put the files below `root`, print where, and where that is `/` have systemd take them.

    `program` is the `p2p` that the units run: the one that runs now, if None. Settings that are
    there are left alone. Raises CommandError and OSError.
    """
    is_here = root.resolve() == Path("/")
    if is_here and os.geteuid() != 0:
        raise CommandError(
            "only root can install units: use sudo, or put them into a folder with --root DIR",
            ExitStatus.USAGE,
        )
    program = this_program() if program is None else program
    _check_program(program)
    # The units' user reads them, whatever root's files are like otherwise.
    umask = os.umask(0o022)
    try:
        _put_files(root, program)
    finally:
        os.umask(umask)
    if is_here:
        return _run_steps()
    return ExitStatus.OK


def _put_files(root: Path, program: Path) -> None:
    folder = files("p2ptwisted") / "systemd"
    for name, place in (UNITS | ACCOUNTS | SETTINGS).items():
        path = root / place
        if name in SETTINGS and os.path.lexists(path):
            print_lines(f"{path} (kept as it is)")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((folder / name).read_text().replace(PROGRAM_MARK, str(program)))
        path.chmod(0o644)
        print_lines(str(path))


def this_program() -> Path:
    """
    The `p2p` of the installation that runs now.

    Raises CommandError where units could not run it, or not its Python.
    """
    program = Path(sysconfig.get_path("scripts")) / "p2p"
    for path in (program, Path(sys.executable).resolve()):
        hidden = _hidden_part(path)
        if hidden is not None:
            raise CommandError(
                f"a unit can't run {path}, because the user p2p sees nothing of {hidden}: install "
                "p2ptwisted elsewhere (/usr/bin/python3 -m venv /opt/p2ptwisted), or name another "
                "p2p with --program",
                ExitStatus.USAGE,
            )
    return program


def _hidden_part(path: Path) -> str | None:
    """The folder on the way to this that the units' user may not enter, or None."""
    for folder in _UNSEEN:
        if path.is_relative_to(folder):
            return folder
    for one in (path, *path.parents):
        if not one.exists() or not one.stat().st_mode & stat.S_IXOTH:
            return str(one)
    return None


def _check_program(program: Path) -> None:
    """Raises CommandError where a unit can't name this program."""
    text = str(program)
    # What systemd would expand, split or unquote.
    if not program.is_absolute() or set(text) & set("%$\"'\\") or len(text.split()) != 1:
        raise CommandError(
            f"{text!r} can't stand in a unit: name an absolute path without spaces, quotes, %, $ "
            "and \\",
            ExitStatus.USAGE,
        )


def _run_steps(steps: Sequence[Sequence[str]] = STEPS) -> ExitStatus:
    """Have systemd take the files; a message names each step that fails."""
    status = ExitStatus.OK
    for step in steps:
        line = " ".join(step)
        if step[0] == "systemctl" and not os.path.isdir("/run/systemd/system"):
            continue  # An image that is being built: systemd reads them when it starts.
        try:
            done = subprocess.run(  # nosec B603  # STEPS
                step, stdin=subprocess.DEVNULL, timeout=_STEP_TIME, check=False
            )
            failure = f"status {done.returncode}" if done.returncode else None
        except (OSError, subprocess.TimeoutExpired) as error:
            failure = str(error)
        if failure is not None:
            print_message(f"{line} failed ({failure}): run it again")
            status = ExitStatus.FAILED
    return status
