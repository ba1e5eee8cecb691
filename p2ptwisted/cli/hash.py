"""`p2p hash`: prints ids as sha256sum prints digests. Needs no reactor."""

import hashlib
import os
import stat
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from io import FileIO
from types import TracebackType
from typing import TYPE_CHECKING

from p2ptwisted.cli.exit_status import ExitStatus
from p2ptwisted.cli.output import print_json, print_message
from p2ptwisted.cli.standard_streams import results
from p2ptwisted.cli.transfer_tally import DONE, FAILED, RUNNING, WAITING, Row

if TYPE_CHECKING:
    from p2ptwisted.cli.progress import ProgressReport
    from p2ptwisted.cli.progress_display import Mode

#: What sha256sum writes for the characters that would break its lines.
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r"})

#: Bytes read at a time: about 0.7 ms of work.
BLOCK = 1024 * 1024

#: Seconds of work after which its progress is shown; what shows it takes 0.1 s to import.
SHOWN_AFTER = 0.5


class HashJob:
    """One file that is hashed."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.id: str | None = None
        self._state = WAITING
        self._here = 0
        #: Of a file; of a pipe nobody knows it.
        self._size: int | None = None
        with suppress(OSError):
            status = os.stat(0 if path == "-" else path)
            if stat.S_ISREG(status.st_mode):
                self._size = status.st_size
        self._seconds = 0.0

    def row(self) -> Row:
        """The progress, for its bar."""
        rate = self._here / self._seconds if self._seconds else None
        left = None if rate is None or self._size is None else (self._size - self._here) / rate
        note = WAITING if self._state == WAITING else ""
        return Row(self._here, self._size, rate, left, note, self._state)

    def run(self, turn: Callable[[], None]) -> None:
        """Hash it, and call `turn` after every block. Raises OSError."""
        self._state = FAILED
        is_stdin = self.path == "-"
        source = sys.stdin.fileno() if is_stdin else self.path
        with open(source, "rb", buffering=0, closefd=not is_stdin) as file:
            self._sum(file, turn)
        self._state = DONE

    def _sum(self, file: FileIO, turn: Callable[[], None]) -> None:
        self._state, began = RUNNING, time.monotonic()
        digest, block = hashlib.sha256(), bytearray(BLOCK)
        view = memoryview(block)
        while count := file.readinto(block):
            digest.update(view[:count])
            self._here += count
            self._seconds = time.monotonic() - began
            turn()
        self.id = digest.hexdigest()


class HashProgress:
    """The progress of all files, shown where they take long, while this is entered."""

    def __init__(self, jobs: Sequence[HashJob], mode: "Mode | None") -> None:
        self._jobs = jobs
        self._mode = mode
        self._shown_at = time.monotonic() + SHOWN_AFTER
        self._report: ProgressReport | None = None
        self._exits = ExitStack()

    def turn(self) -> None:
        """Show how far it is, if it is time to do so."""
        if self._report is None and time.monotonic() >= self._shown_at:
            from p2ptwisted.cli.progress import ProgressReport

            self._report = self._exits.enter_context(ProgressReport(time.monotonic, self._mode))
            for job in self._jobs:
                self._report.add(job.path, job.row)
        if self._report is not None:
            self._report.turn_if_due()

    def hide(self) -> None:
        """Make room for a result."""
        if self._report is not None:
            self._report.display.hide()

    def __enter__(self) -> "HashProgress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exits.__exit__(kind, error, trace)


def print_sums(paths: tuple[str, ...], as_json: bool, progress: "Mode | None" = None) -> ExitStatus:
    """Print one line for each file; `-` is standard input."""
    status = ExitStatus.OK
    jobs = [HashJob(path) for path in paths or ("-",)]
    with HashProgress(jobs, progress) as shown:
        for job in jobs:
            try:
                job.run(shown.turn)
            except OSError as error:
                print_message(f"{job.path}: {error.strerror}")
                status = ExitStatus.FAILED
                continue
            if job.id is not None and not as_json:
                # A bar may be in the same terminal.
                shown.hide()
                with results():
                    # Byte for byte: a name need not be text.
                    sys.stdout.buffer.write(os.fsencode(line(job.id, job.path)))
    if as_json:
        print_json([{"id": job.id, "path": job.path} for job in jobs if job.id is not None])
    return status


def line(id: str, path: str) -> str:
    """The line that sha256sum prints for a file."""
    escaped = path.translate(_ESCAPES)
    return f"{'' if escaped == path else chr(92)}{id}  {escaped}\n"
