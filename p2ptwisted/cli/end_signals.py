"""
The signals that end `p2p`. The first one decides the exit status, and it breaks off what is being
done: outside the reactor by an exception, in the reactor by a call.

A handler may run between any two lines of a program, also of the reactor's, where an exception
would do harm. So it is raised only where nothing is left behind by it.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from p2ptwisted.cli.exit_status import ExitStatus

#: The exit status for each: 128 and its number, as shells have it.
ENDS = {
    signal.SIGHUP: ExitStatus.HUNG_UP,
    signal.SIGINT: ExitStatus.INTERRUPTED,
    signal.SIGQUIT: ExitStatus.QUIT,
    signal.SIGTERM: ExitStatus.TERMINATED,
}


class Ended(BaseException):
    """A signal has ended the command. Not an Exception: only `main` handles it, with one line."""

    def __init__(self, line: str = "interrupted") -> None:
        super().__init__(line)
        self.line = line


class EndSignals:
    """What the signals that end a program do at the moment. A process needs one of these."""

    def __init__(self) -> None:
        self._came: int | None = None
        self._is_over = False
        self._raises = True
        self._tell: Callable[[], object] | None = None
        self._before: dict[signal.Signals, Any] = {}

    @property
    def status(self) -> ExitStatus | None:
        """The exit status for the first signal, or None where none has come."""
        return None if self._came is None else ENDS[signal.Signals(self._came)]

    def install(self) -> None:
        """Handle the signals from now on."""
        for number in ENDS:
            # Ignored are SIGHUP by nohup, and SIGTERM by whoever meant it. SIGINT and SIGQUIT are
            # so by a shell, for all that a script starts with &: who sends one there means it.
            may_be_ignored = number in (signal.SIGHUP, signal.SIGTERM)
            if not may_be_ignored or signal.getsignal(number) is not signal.SIG_IGN:
                before = signal.signal(number, self._on_signal)
                self._before.setdefault(number, before)

    def uninstall(self) -> None:
        """Have the signals do again what they did before. Raises Ended where one has come."""
        self.check()
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before.clear()

    def check(self) -> None:
        """Raises Ended where a signal has come, unless the command is over."""
        if self._came is not None and not self._is_over:
            raise Ended

    def finish(self) -> None:
        """The command is over: from now on its signals are ignored."""
        self._is_over = True
        for number in ENDS:
            # Python ends with the system's own action for what has a handler of ours.
            if signal.getsignal(number) == self._on_signal:
                signal.signal(number, signal.SIG_IGN)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Raise Ended for a signal at the end of this block, and not before."""
        with self._raising(False):
            try:
                yield
            finally:
                self.check()

    @contextmanager
    def breaking(self) -> Iterator[None]:
        """Raise Ended for a signal within this block, which may block, wherever it stands."""
        self.check()
        with self._raising(True):
            yield

    @contextmanager
    def told(self, tell: Callable[[], object]) -> Iterator[None]:
        """
        Call `tell` for every signal within this block, and raise Ended at its end.

        One that comes while the block is entered is not told: `status` has it.
        """
        with self.held():
            self._tell = tell
            try:
                yield
            finally:
                self._tell = None

    @contextmanager
    def _raising(self, raises: bool) -> Iterator[None]:
        before, self._raises = self._raises, raises
        try:
            yield
        finally:
            self._raises = before

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        is_first = self._came is None
        if is_first:
            self._came = number
        if self._tell is not None:
            self._tell()
        # Whoever sends several must not break off what cleans up after the first.
        if is_first and self._raises:
            self.check()


#: Those of this process.
END_SIGNALS = EndSignals()
