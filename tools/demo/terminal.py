"""Speaking to the person at the terminal, and hearing that they want it to end."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

#: Columns, at the most, that JSON is laid out in.
WIDTH = 118


class Broken(Exception):
    """Why the demo can't go on."""


class Stop(Exception):
    """Somebody wants the demo to end."""


class Paint:
    """Colours, where a person looks at a terminal that has them."""

    on = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"

    @classmethod
    def _in(cls, code: int, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if cls.on else text

    @classmethod
    def bold(cls, text: str) -> str:
        return cls._in(1, text)

    @classmethod
    def faint(cls, text: str) -> str:
        return cls._in(2, text)

    @classmethod
    def good(cls, text: str) -> str:
        return cls._in(32, text)

    @classmethod
    def bad(cls, text: str) -> str:
        return cls._in(31, text)


def say(text: str = "") -> None:
    print(text, flush=True)


def pretty(value: Any, indent: str = "") -> str:
    """JSON in as few lines as are wide enough for it."""
    line = json.dumps(value)
    if not value or not isinstance(value, dict | list) or len(indent + line) <= WIDTH:
        return line
    inner = indent + "  "
    if isinstance(value, list):
        parts = [pretty(item, inner) for item in value]
    else:
        parts = [f"{json.dumps(key)}: {pretty(item, inner)}" for key, item in value.items()]
    opening, closing = "[]" if isinstance(value, list) else "{}"
    return opening + ",".join(f"\n{inner}{part}" for part in parts) + f"\n{indent}{closing}"


def take_terminal() -> Callable[[], None]:
    """
    Make Ctrl-C ours alone, and give what gives it back.

    `make` would take it as a failure of its own, and say so, though all went well.
    """
    with suppress(OSError):
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
        previous = os.tcgetpgrp(terminal)
        # In the background, or under a shell that has done so already, it isn't ours to take.
        if previous == os.getpgrp() != os.getpid():
            # A background process that touches the terminal is stopped, and one that the
            # shell doesn't know could never be continued.
            for harmful in (signal.SIGTTOU, signal.SIGTTIN, signal.SIGTSTP):
                signal.signal(harmful, signal.SIG_IGN)
            os.setpgid(0, 0)
            os.tcsetpgrp(terminal, os.getpgrp())
            return lambda: os.tcsetpgrp(terminal, previous)
    return lambda: None


class _Signals:
    """Whether a signal to end has come, and whether Stop must wait."""

    came = False
    held = False


def stop_on_signals() -> None:
    """Have the first signal that ends the demo raise Stop."""

    def stop(number: int, frame: object) -> None:
        # Once is enough: the stopping itself must not be cut short.
        first, _Signals.came = not _Signals.came, True
        if first and not _Signals.held:
            raise Stop

    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, stop)


def ignore_signals() -> None:
    """It ends already."""
    _Signals.came = True


@contextmanager
def undisturbed() -> Iterator[None]:
    """Put Stop off: a process that is being started must not be lost sight of."""
    _Signals.held = True
    try:
        yield
    finally:
        _Signals.held = False
    if _Signals.came:
        raise Stop
