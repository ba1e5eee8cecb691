"""
Reading files that hold keys, or that say which authorities to trust.

The file whose permissions are checked is the file that is read, even if its
name is replaced in between.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from p2ptwisted.errors import InvalidInput


@dataclass(frozen=True)
class ReadFile:
    """The content of a regular file, and its permissions: who else could read or write it."""

    content: bytes
    #: `st_mode` of the very file that was read.
    mode: int

    def check_private(self, called: str) -> None:
        """Raises InvalidInput, naming the file `called`, if others than its owner can access it."""
        if self.mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise InvalidInput(f"others can read {called}: chmod 600 it")

    def check_trustworthy(self, called: str) -> None:
        """
        Raises InvalidInput, naming the file `called`, if everybody can change it.

        Its group may: on many systems each user has a group of his own.
        """
        if self.mode & stat.S_IWOTH:
            raise InvalidInput(f"everybody can change {called}: chmod o-w it")


def read_file(path: Path, limit: int) -> ReadFile:
    """
    Read a regular file of at most `limit` bytes, without ever blocking.

    Raises InvalidInput, which says what is wrong but doesn't name the file: a
    key may have been given in place of its file's name.
    """
    try:
        # A pipe would block until somebody writes to it, and may never end.
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
        reason = error.strerror if isinstance(error, OSError) else error
        raise InvalidInput(str(reason)) from None
    if len(content) > limit:
        raise InvalidInput(f"it has more than {limit} bytes")
    return ReadFile(content, mode)
