"""How far each file is that `p2p share` puts into a node's folder: copied, then listed."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from p2ptwisted.cli.source_file import SourceFile
from p2ptwisted.cli.transfer_tally import DONE, FAILED, RUNNING, WAITING, Row


class ShareProgress:
    """One file that is read to be shared."""

    def __init__(self, file: SourceFile, now: Callable[[], float]) -> None:
        """`now` returns a time in seconds."""
        self.file = file
        self._now = now
        self._state = WAITING
        self._source: BinaryIO | None = None
        self._began = 0.0
        self._size: int | None = None
        with suppress(OSError):
            self._size = file.path.stat().st_size

    def row(self) -> Row:
        """The progress, for its bar."""
        if self._source is None:
            if self._state == RUNNING:
                return Row(self._size, self._size, note="not listed yet")
            return Row(0, self._size, note=WAITING, state=self._state)
        here, seconds = self._source.tell(), self._now() - self._began
        rate = here / seconds if seconds else None
        left = ((self._size or 0) - here) / rate if rate else None
        return Row(here, self._size, rate, left)

    @contextmanager
    def reading(self, source: BinaryIO) -> Iterator[BinaryIO]:
        """The file is read from here in this context, which closes it."""
        self._size = os.fstat(source.fileno()).st_size
        self._state, self._began = RUNNING, self._now()
        with source:
            self._source = source
            try:
                yield source
            finally:
                self._source = None

    def end(self, is_listed: bool) -> None:
        """It is listed, or left out."""
        self._state = DONE if is_listed else FAILED
