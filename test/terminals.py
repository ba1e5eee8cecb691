"""A terminal of a given size, with a command in it, and what is on its screen."""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

#: A control sequence, whose last character says what it does, or any one character.
_PART = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|(.)", re.DOTALL)


class Screen:
    """The lines of a terminal, after what was written to it; it knows what `p2p` sends."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self.lines = [""]
        self.scrolled: list[str] = []
        self._row = self._column = 0

    def write(self, text: str) -> None:
        for arguments, action, character in _PART.findall(text):
            if action == "A":
                self._row = max(0, self._row - int(arguments or 1))
            elif action == "K":
                assert arguments in ("", "2"), arguments
                kept = 0 if arguments else self._column
                self.lines[self._row] = self.lines[self._row][:kept]
            elif action:
                assert action in "mhl", action
            elif character == "\r":
                self._column = 0
            elif character == "\n":
                self._down()
            else:
                self._put(character)

    def _put(self, character: str) -> None:
        if self._column == self.width:
            self._column = 0
            self._down()
        line = self.lines[self._row].ljust(self._column)
        self.lines[self._row] = line[: self._column] + character + line[self._column + 1 :]
        self._column += 1

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self.lines):
            self.lines.append("")
        if len(self.lines) > self.height:
            self.scrolled.append(self.lines.pop(0))
            self._row -= 1

    def __str__(self) -> str:
        return "\n".join(self.lines)


class Terminal:
    """A command with a terminal of its own."""

    def __init__(
        self,
        command: Sequence[str],
        width: int,
        height: int,
        folder: Path,
        environment: Mapping[str, str],
    ) -> None:
        self.screen = Screen(width, height)
        self.sent = b""
        self._decoded = 0
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

        def take_terminal() -> None:
            # Only that of its own session gets signals from its keys.
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)

        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            preexec_fn=take_terminal,  # noqa: PLW1509  # there are no threads
        )
        os.close(theirs)

    def look(self) -> Screen:
        """The screen with all that has been sent to it by now."""
        while select.select([self._ours], [], [], 0)[0]:
            try:
                data = os.read(self._ours, 65536)
            except OSError:
                break  # Nobody has its other end any more.
            self.sent += data
        # A character may have come in part.
        whole = self.sent[self._decoded :].decode(errors="ignore")
        self._decoded += len(whole.encode())
        self.screen.write(whole)
        return self.screen

    def press(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def wait(self, within: float) -> int:
        """Its exit status; what it writes is read meanwhile."""
        deadline = time.monotonic() + within
        while self._process.poll() is None and time.monotonic() < deadline:
            self.look()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.05)
        status = self._process.wait(0)
        self.look()
        return status

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._ours)
