"""
`make demo`: two supernodes and three nodes as daemons on this machine, a tour
of what they do, and then all of them running until Ctrl-C.

They listen on loopback alone and meet in a multicast group of their own there,
so that they are the business of nobody else on the network. All that they
write goes to a temporary folder, which is removed in the end.
"""

import shutil
import sys
import time
from http.client import HTTPException
from pathlib import Path
from tempfile import mkdtemp
from typing import NoReturn

from .daemons import POLL, Daemons
from .terminal import (
    Broken,
    Paint,
    Stop,
    ignore_signals,
    say,
    stop_on_signals,
    take_terminal,
)
from .tour import Tour


def show(daemons: Daemons, folder: Path) -> NoReturn:
    """Everything, until somebody wants it to end."""
    say(Paint.bold("Two supernodes and three nodes, on this machine alone"))
    say()
    daemons.start()
    Tour(daemons, folder).run()
    say()
    say(f"Put a file into {daemons.node1.shared} and ask node 1 again:")
    say("it is there within 2 seconds.")
    say(f"Everything is still running, with logs in {folder}.")
    say(Paint.bold("Ctrl-C stops it, and removes that folder."))
    while True:
        daemons.check_alive()
        time.sleep(POLL)


def main() -> int:
    give_back = take_terminal()
    stop_on_signals()
    folder = daemons = problem = None
    try:
        folder = Path(mkdtemp(prefix="p2ptwisted-demo-"))
        daemons = Daemons(folder)
        show(daemons, folder)
    except Stop:
        pass
    except (Broken, OSError, HTTPException) as error:
        problem = (daemons and daemons.casualty()) or str(error)
    finally:
        ignore_signals()
        stubborn = daemons.stop() if daemons is not None else []
        give_back()
    if problem is None and stubborn:
        problem = f"These did not stop and were killed: {', '.join(stubborn)}."
    say()
    if folder is not None:
        clean_up(folder, keep_logs=problem is not None)
    if problem is not None:
        say(Paint.bad(problem))
        say(Paint.bad(f"The logs are in {folder}."))
        return 1
    say("Stopped, all five.")
    return 0


def clean_up(folder: Path, keep_logs: bool) -> None:
    """Remove what was made."""
    if not keep_logs:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.suffix != ".log":
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
