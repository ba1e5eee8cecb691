"""
How a child process of ours is started: what surrounds its parent has no say in what it runs.

Python looks for modules in the working directory and in folders that the
environment names, before its own library. The working directory of `p2p get`
is where files of other people's arrive, under names of other people's.
"""

import errno
import os
import re
import sys
from collections.abc import Mapping

import msgspec
from twisted.internet.interfaces import IProcessProtocol, IReactorProcess

#: -I: neither the working directory, nor PYTHON* variables, nor what the user has installed for
#: himself. -S: nor whatever a .pth file or sitecustomize.py of an installation runs; a child has
#: no use for it, and starts faster. And whatever the locale is, paths are the bytes they are.
_ISOLATED = ("-I", "-S", "-X", "utf8")

# Now, for a relative path would lead elsewhere when the daemon has changed its directory.
_BOOTSTRAP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "child_bootstrap.py")
_MSGSPEC_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(msgspec.__file__)))

#: Where the dynamic linker looks for what an interpreter is made of, before the system's folders.
_LIBRARY_PATH = "LD_LIBRARY_PATH"


def start_child(
    reactor: IReactorProcess, protocol: IProcessProtocol, module: str, *arguments: str | bytes
) -> None:
    """
    Start a process that calls `main` of that module of ours with these arguments, in `/`.

    Raises OSError where there is none to be had.
    """
    if not sys.executable:
        # So it is where Python is a part of another program.
        raise OSError(errno.ENOENT, "this Python doesn't know which program it is")
    command = (sys.executable, *_ISOLATED, _BOOTSTRAP, _MSGSPEC_FOLDER, module, *arguments)
    # As bytes: Twisted gives up on names that aren't in the locale's encoding.
    encoded = [os.fsencode(argument) for argument in command]
    # Without `path`, for Twisted would then copy this whole process to begin with.
    reactor.spawnProcess(protocol, encoded[0], encoded, env=environment(os.environ))


def environment(ours: Mapping[str, str]) -> dict[str, str]:
    """A child's environment, in ours: where the interpreter's libraries are, if that is said."""
    folders = [
        folder for folder in re.split("[:;]", ours.get(_LIBRARY_PATH, "")) if os.path.isabs(folder)
    ]
    return {_LIBRARY_PATH: ":".join(folders)} if folders else {}
