"""A target: a parser, the input for it, and what must be true of what it makes of that."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy
from twisted.logger import (
    ILogObserver,
    LogEvent,
    LogLevel,
    globalLogBeginner,
    globalLogPublisher,
)

#: Examples between two looks at the clock.
BATCH = 200


@dataclass(frozen=True)
class Target:
    """`check` gets what `given` makes, and raises where something is not as it must be."""

    name: str
    given: SearchStrategy[Any]
    check: Callable[[Any], None]

    def run(self, seconds: float, seed_: int) -> int:
        """
        Try input for so many seconds; gives how many inputs were tried.

        The same seed begins with the same input. Raises what the check raised,
        with the smallest input that makes it do so among its notes.
        """
        tried = 0
        # Nobody reads what is logged of bad input.
        globalLogBeginner.beginLoggingTo([], discardBuffer=True, redirectStandardIO=False)

        def check(value: Any) -> None:
            nonlocal tried
            tried += 1
            with _nothing_went_wrong():
                self.check(value)

        until = time.monotonic() + seconds
        while time.monotonic() < until:
            attempt = settings(
                max_examples=BATCH,
                deadline=None,
                database=None,
                phases=(Phase.generate, Phase.shrink),
                suppress_health_check=list(HealthCheck),
            )(given(self.given)(check))
            seed(f"{seed_} {tried}")(attempt)()
        return tried


@contextmanager
def _nothing_went_wrong() -> Iterator[None]:
    """A mistake that a daemon would log and survive is one all the same."""
    logged: list[LogEvent] = []

    def look(event: LogEvent) -> None:
        if event["log_level"] is LogLevel.critical:
            logged.append(event)

    observer = cast(ILogObserver, look)
    globalLogPublisher.addObserver(observer)
    try:
        yield
    finally:
        globalLogPublisher.removeObserver(observer)
    for event in logged:
        if "log_failure" in event:
            event["log_failure"].raiseException()
        raise AssertionError(f"logged: {event}")
