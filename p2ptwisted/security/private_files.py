"""
Files that hold keys, and those that say whom to trust: read so that what is
looked at is what is used, whatever becomes of the name meanwhile.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from p2ptwisted.errors import InvalidInput


@dataclass(frozen=True)
class ReadFile:
    """What was in a regular file, and who else could have read or written it."""

    content: bytes
    #: As in `stat.st_mode`, of the very file that was read.
    mode: int

    def check_private(self, called: str) -> None:
        """Raises InvalidInput where others than its owner can read it, or change it."""
        if self.mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise InvalidInput(f"others can read {called}: chmod 600 it")

    def check_trustworthy(self, called: str) -> None:
        """Raises InvalidInput where everybody can change it; a user's group may be his alone."""
        if self.mode & stat.S_IWOTH:
            raise InvalidInput(f"everybody can change {called}: chmod o-w it")


def read_file(path: Path, limit: int) -> ReadFile:
    """
    Read a regular file of at most `limit` bytes, without ever waiting for it.

    Raises InvalidInput, which says what is wrong with it but not what it is
    called: a key may have been given in place of its file's name.
    """
    try:
        # A pipe would be waited for until somebody writes to it, and its end may never come.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise InvalidInput("it is not a regular file")
            with open(descriptor, "rb", closefd=False) as file:
                content = file.read(limit + 1)
        finally:
            os.close(descriptor)
    except InvalidInput:
        raise
    except (OSError, ValueError) as error:
        told = error.strerror if isinstance(error, OSError) else error
        raise InvalidInput(str(told)) from None
    if len(content) > limit:
        raise InvalidInput(f"it has more than {limit} bytes")
    return ReadFile(content, mode)
