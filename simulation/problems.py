"""What goes wrong in a history: promises that are broken, and errors that a daemon would log."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.python.failure import Failure

from p2ptwisted.support.twisted_internals.reactor import take_unhandled
from simulation.clock import Time

#: Problems of one history that are reported: an unhandled error is logged in two events.
PROBLEMS_MAX = 2


class Problems:
    """What went wrong first, and next, because that may say more."""

    def __init__(self, time: Time) -> None:
        self._time = time
        self._found: list[str] = []

    def __str__(self) -> str:
        return "\n".join(self._found)

    def add(self, problem: str) -> None:
        if len(self._found) < PROBLEMS_MAX:
            self._found.append(f"at {self._time.now:.3f} s: {problem}")

    @contextmanager
    def looked_for(self) -> Iterator[None]:
        """Add whatever is raised meanwhile, logged as an error, or not handled by anybody."""
        observer = cast(ILogObserver, self._log)
        globalLogPublisher.addObserver(observer)
        try:
            yield
        except Exception:
            self.add(Failure().getTraceback())
        finally:
            self._look_for_errors()
            globalLogPublisher.removeObserver(observer)

    def _log(self, event: LogEvent) -> None:
        """Add an error that a daemon would log and survive."""
        if event["log_level"] is LogLevel.critical:
            failure = event.get("log_failure")
            self.add(formatEvent(event) if failure is None else failure.getTraceback())

    def _look_for_errors(self) -> None:
        """Add unhandled errors; a Deferred in a cycle logs its own only when collected."""
        # Collecting all would take a fifth of a history's time.
        for failure in take_unhandled(gc.get_objects()):
            self.add(failure.getTraceback())
