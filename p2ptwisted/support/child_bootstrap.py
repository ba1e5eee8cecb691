"""
The first code of a child process, which `children` starts by this file's path.

    child_bootstrap.py FOLDER MODULE [ARGUMENT...]

It calls `main` of that module of ours with these arguments.

The interpreter is isolated, and knows the standard library alone. What the
child needs besides is imported from where its parent has it: p2ptwisted from
where this file is, msgspec from FOLDER. Those folders are not put on the path,
for other files in them may be called like a module that something else looks
for.
"""

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


class PackageFinder:
    """Finds each of some packages in a folder of its own, and nothing else there."""

    def __init__(self, folders: Mapping[str, str]) -> None:
        self._folders = folders

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        folder = self._folders.get(name)
        return None if folder is None else PathFinder.find_spec(name, [folder])


def main(msgspec_folder: str, module: str, *arguments: str) -> None:
    # Not the parent's, which somebody else may be writing to, or want to unmount.
    os.chdir("/")
    ours = os.path.abspath(__file__)
    for _ in ["p2ptwisted", "support", "child_bootstrap.py"]:
        ours = os.path.dirname(ours)
    sys.meta_path.append(PackageFinder({"msgspec": msgspec_folder, "p2ptwisted": ours}))
    importlib.import_module(module).main(arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
