"""`p2p hash`: prints ids as sha256sum prints digests. Needs no reactor."""

import hashlib
import os
import sys
from typing import BinaryIO

from p2ptwisted.cli.exit_status import ExitStatus
from p2ptwisted.cli.output import print_json, print_message
from p2ptwisted.cli.standard_streams import results

#: What sha256sum writes for the characters that would break its lines.
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r"})


def print_sums(paths: tuple[str, ...], as_json: bool) -> ExitStatus:
    """Print one line for each file; `-` is standard input."""
    status = ExitStatus.OK
    sums: list[dict[str, str]] = []
    for path in paths or ("-",):
        try:
            id = _sum(path)
        except OSError as error:
            print_message(f"{path}: {error.strerror}")
            status = ExitStatus.FAILED
            continue
        if as_json:
            sums.append({"id": id, "path": path})
        else:
            with results():
                # Byte for byte: a name need not be text.
                sys.stdout.buffer.write(os.fsencode(line(id, path)))
    if as_json:
        print_json(sums)
    return status


def line(id: str, path: str) -> str:
    """The line that sha256sum prints for a file."""
    escaped = path.translate(_ESCAPES)
    return f"{'' if escaped == path else chr(92)}{id}  {escaped}\n"


def _sum(path: str) -> str:
    if path == "-":
        return _digest(sys.stdin.buffer)
    with open(path, "rb", buffering=0) as file:
        return _digest(file)


def _digest(file: BinaryIO | object) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
