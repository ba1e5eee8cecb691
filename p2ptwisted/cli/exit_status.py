"""How `p2p` ends: its exit statuses, and the one error that carries one."""

from collections.abc import Sequence
from enum import IntEnum


class ExitStatus(IntEnum):
    """The exit statuses, as docs/command-line.md tells them."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    NOBODY = 4
    INTERRUPTED = 130
    TERMINATED = 143


class Problem(Exception):
    """Ends the command: one line that says what is wrong and what to do next."""

    def __init__(self, message: str, status: ExitStatus = ExitStatus.FAILED) -> None:
        super().__init__(message)
        self.status = status


def worst(statuses: Sequence[ExitStatus]) -> ExitStatus:
    """One status for several pieces of work: the first that is not OK."""
    return next((status for status in statuses if status is not ExitStatus.OK), ExitStatus.OK)
