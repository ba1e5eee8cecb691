"""
Starting child processes in isolation from the parent's working directory and environment.

Python looks for modules in the working directory, and in folders that the
environment names, before its own library. The working directory of `p2p get`
is where other people's files arrive, under names that other people chose.
"""

import errno
import os
import re
import sys
from collections.abc import Mapping
from typing import Literal

import msgspec
from twisted.internet.interfaces import IProcessProtocol, IReactorProcess

#: -I: ignore the working directory, PYTHON* variables and the user's site-packages. -S: run no
#: .pth file or sitecustomize.py of an installation; a child needs none, and starts faster.
#: utf8: paths don't depend on the locale.
_ISOLATED = ("-I", "-S", "-X", "utf8")

# Made absolute now: later the daemon may have changed its working directory.
_BOOTSTRAP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "child_bootstrap.py")
_MSGSPEC_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(msgspec.__file__)))

#: Where the dynamic linker looks for the interpreter's libraries, before the system's folders.
_LIBRARY_PATH = "LD_LIBRARY_PATH"


def start_child(
    reactor: IReactorProcess,
    protocol: IProcessProtocol,
    module: str,
    *arguments: str | bytes,
    stdin: int | Literal["w"] = "w",
) -> None:
    """
    Start a process that calls `main(arguments)` of a module of p2ptwisted, in `/`.

    `stdin`: a descriptor of ours that is its standard input, instead of a pipe. Raises OSError
    where it can't be started.
    """
    if not sys.executable:
        # Python is embedded in another program.
        raise OSError(errno.ENOENT, "this Python doesn't know which program it is")
    command = (sys.executable, *_ISOLATED, _BOOTSTRAP, _MSGSPEC_FOLDER, module, *arguments)
    # As bytes: Twisted fails on names that the locale can't encode.
    encoded = [os.fsencode(argument) for argument in command]
    # Without `path`: with it Twisted would fork this process instead of spawning a new one.
    reactor.spawnProcess(
        protocol,
        encoded[0],
        encoded,
        env=environment(os.environ),
        childFDs={0: stdin, 1: "r", 2: "r"},
    )


def environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Return a child's environment: of `ours` only the path of the interpreter's libraries."""
    folders = [
        folder for folder in re.split("[:;]", ours.get(_LIBRARY_PATH, "")) if os.path.isabs(folder)
    ]
    return {_LIBRARY_PATH: ":".join(folders)} if folders else {}
