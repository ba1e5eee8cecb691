"""What the parts of a run need: programs, modules, root and memory."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil

from bench import processor
from bench.files import MIB
from bench.nginx import program as nginx_program
from bench.scenarios import GIB, MANY, SCENARIOS

#: Where files are in memory.
SHM = Path("/dev/shm")

#: Free bytes that it must have, or the smaller parts have their files elsewhere.
MEMORY = 2 * GIB

#: Bytes of memory for the daemons and all else, beside the files of a part that must be there.
SPARE = 3 * GIB

#: Programs by the Debian package that has them.
PACKAGES = {
    "wrk": "wrk",
    "curl": "curl",
    "nginx": "nginx-light",
    "aria2c": "aria2",
    "ip": "iproute2",
    "tc": "iproute2",
    "uftp": "uftp",
    "uftpd": "uftp",
}


@dataclass(frozen=True)
class Needs:
    """What something takes to be measured."""

    programs: Sequence[str]
    modules: Sequence[str] = ()
    root: bool = False
    #: Bytes of files that must be in memory.
    memory: int = 0


def _of_scenario(name: str) -> Needs:
    scenario = SCENARIOS[name]
    programs, modules = ["ip", "tc", "curl", "nginx"], []
    if scenario.rivals:
        programs += ["uftp", "uftpd"]
        modules.append("libtorrent")
    if name == MANY:
        modules.append("matplotlib")
    memory = scenario.memory if scenario.memory > MEMORY else 0
    return Needs(programs, modules, root=True, memory=memory)


PARTS: Mapping[str, Needs] = {
    "searches": Needs(["wrk", "curl"]),
    "content": Needs(["curl", "nginx"]),
    "fetching": Needs(["curl", "nginx", "aria2c"]),
    "processor": Needs([], memory=processor.MEMORY),
    "several": Needs(["ip", "tc"], root=True),
    **{name: _of_scenario(name) for name in SCENARIOS},
}


def all_here(parts: Sequence[str]) -> bool:
    """Whether everything is installed; says what is not, and how to come by it."""
    programs = {program for part in parts for program in PARTS[part].programs}
    modules = {module for part in parts for module in PARTS[part].modules}
    missing = sorted(one for one in programs if not _is_here(one))
    if missing:
        packages = sorted({PACKAGES[program] for program in missing})
        print(f"bench: {', '.join(missing)} missing: apt-get install {' '.join(packages)}")
    absent = sorted(module for module in modules if find_spec(module) is None)
    if absent:
        print(f"bench: {', '.join(absent)} missing in this Python: `make bench` installs them")
    return not missing and not absent


def _is_here(program: str) -> bool:
    # Debian has some in a folder that only root has in PATH.
    if program == "nginx":
        return nginx_program() is not None
    return shutil.which(program) is not None


def unmet(part: str) -> str | None:
    """Why a part can't be measured on this machine, though all is installed; None if it can."""
    needs = PARTS[part]
    if needs.root and os.geteuid() != 0:
        return "network namespaces need root"
    if needs.memory:
        free = min(_free(), psutil.virtual_memory().available - SPARE)
        if free < needs.memory:
            return (
                f"its files take {needs.memory / GIB:.1f} GiB in {SHM}, and there is room for "
                f"{max(free, 0) // MIB:,} MiB, with {SPARE // GIB} GiB of memory for the daemons"
            )
    return None


def in_memory() -> Path | None:
    """A folder that is on no disk and has room; None where there is none."""
    return SHM if _free() >= MEMORY else None


def _free() -> int:
    return shutil.disk_usage(SHM).free if SHM.is_dir() else 0
