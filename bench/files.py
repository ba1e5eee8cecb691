"""The files that are sent: made, compared, and found to have arrived."""

import hashlib
import os
from pathlib import Path

from bench.processes import BenchError

MIB = 1024 * 1024


def make(file: Path, size: int) -> str:
    """
    Fill a file with whole MiB of random bytes; gives its id.

    Real bytes, no hole, for the kernel reads holes without memory. It gets its
    name when it is complete, so that a node never hashes half of it.
    """
    digest = hashlib.sha256()
    unfinished = file.parent.parent / f"{file.name}.unfinished"
    with unfinished.open("wb") as output:
        for _ in range(size // MIB):
            block = os.urandom(MIB)
            output.write(block)
            digest.update(block)
    unfinished.rename(file)
    return digest.hexdigest()


def check(file: Path, id: str) -> None:
    """See that a file has that id. Raises BenchError."""
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != id:
        raise BenchError(f"{file} has the id {found}, not {id}")
