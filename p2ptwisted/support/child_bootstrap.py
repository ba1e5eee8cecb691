"""
The first code of a child process, which `child_process` starts by this file's path.

    child_bootstrap.py FOLDER MODULE [ARGUMENT...]

It calls `main(ARGUMENTS)` of MODULE, which is one of p2ptwisted's.

The interpreter is isolated: it finds only the standard library. What the child
needs besides is imported from where its parent has it: p2ptwisted from where
this file is, msgspec from FOLDER. These folders are not added to `sys.path`,
because other files in them may have the name of a module that is imported
elsewhere.
"""

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


class PackageFinder:
    """Finds each of these packages in its folder, and nothing else there."""

    def __init__(self, folders: Mapping[str, str]) -> None:
        self._folders = folders

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        folder = self._folders.get(name)
        return None if folder is None else PathFinder.find_spec(name, [folder])


def main(msgspec_folder: str, module: str, *arguments: str) -> None:
    """Prepare the process, and run `main` of the module."""
    # The parent's working directory may be written to by others, or have to be unmounted.
    os.chdir("/")
    ours = os.path.abspath(__file__)
    for _ in ["p2ptwisted", "support", "child_bootstrap.py"]:
        ours = os.path.dirname(ours)
    sys.meta_path.append(PackageFinder({"msgspec": msgspec_folder, "p2ptwisted": ours}))
    importlib.import_module(module).main(arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
