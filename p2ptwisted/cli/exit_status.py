"""The exit statuses of `p2p`, and the error that carries one."""

from collections.abc import Sequence
from enum import IntEnum


class ExitStatus(IntEnum):
    """The exit statuses, which docs/command-line.md documents."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    NOBODY = 4
    HUNG_UP = 129
    INTERRUPTED = 130
    QUIT = 131
    TERMINATED = 143


class CommandError(Exception):
    """Ends the command with one line that says what is wrong and what to do next."""

    def __init__(self, message: str, status: ExitStatus = ExitStatus.FAILED) -> None:
        super().__init__(message)
        self.status = status


class Ambiguous(CommandError):
    """A name that several resources have."""


def first_failure(statuses: Sequence[ExitStatus]) -> ExitStatus:
    """One status for several jobs: the first that is not OK, or OK."""
    return next((status for status in statuses if status is not ExitStatus.OK), ExitStatus.OK)
