"""
The standard streams, however the command was started: closed, as cron and services do, on a
full disk, with a reader that has gone, or with an encoding that lacks most characters.
"""

import os
import select
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from typing import TextIO

from p2ptwisted.cli.exit_status import CommandError


def open_missing_streams() -> None:
    """
    Give the program those of its standard streams that were closed when it was started.

    Whatever is opened next would get their numbers else, and a fetched file could be taken
    for standard error. These can't be read or written: so what can't be printed is noticed, as
    on a full disk.
    """
    if sys.stdin is None:
        sys.stdin = os.fdopen(os.open(os.devnull, os.O_WRONLY), closefd=False)
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w", closefd=False)


#: Environment variables that say what a terminal's characters are, the one that counts first; and
#: those by which somebody says it to Python alone.
_LOCALE, _PYTHON = ("LC_ALL", "LC_CTYPE", "LANG"), ("PYTHONIOENCODING", "PYTHONUTF8")


def print_any_character(environment: Mapping[str, str] | None = None) -> None:
    """
    Have what a terminal's encoding lacks be printed escaped: no name may end the command.

    A terminal in the C locale gets ASCII. `environment` is the one that the process began with.
    """
    is_ascii = knows_ascii_only(environment or _first_environment())
    for stream in (sys.stdout, sys.stderr):
        # In a test it may be no such stream.
        if isinstance(stream, TextIOWrapper):
            encoding = "ascii" if is_ascii and stream.isatty() else None
            try:
                stream.reconfigure(encoding=encoding, errors="backslashreplace")
            except OSError:
                # A warning of Python's own was left in it.
                discard(stream)


def knows_ascii_only(environment: Mapping[str, str]) -> bool:
    """Whether these variables say that a terminal has ASCII alone, or nothing of it."""
    if any(environment.get(name) for name in _PYTHON):
        return False
    locale = next((value for name in _LOCALE if (value := environment.get(name))), "C")
    return locale in ("C", "POSIX")


def _first_environment() -> dict[str, str]:
    """The environment as it was: Python puts C.UTF-8 into its own where it finds C."""
    try:
        with open("/proc/self/environ", "rb") as file:
            entries = os.fsdecode(file.read()).split("\0")
    except OSError:
        return dict(os.environ)
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


@contextmanager
def results() -> Iterator[None]:
    """
    Have what is printed to standard output in this context go out at once.

    Raises CommandError where it can't be written, BrokenPipeError where its reader has gone.
    """
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        discard(sys.stdout)
        if isinstance(error, BrokenPipeError):
            raise
        raise CommandError(f"standard output can't be written to: {error.strerror}") from None


def discard(stream: TextIO) -> None:
    """Drop what a stream still has to write, and all that comes: Python would try it again."""
    # In a test it is no file.
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def is_writable(stream: TextIO) -> bool:
    """Whether a line can be written to this at once; true also of what is no file."""
    try:
        return bool(select.select([], [stream], [], 0)[1])
    except (OSError, TypeError, ValueError):
        return True
