"""
Limits on a daemon's log: the length of a line, and the rate of similar lines.

All log events pass through here, so no module has to limit its own, and what
Twisted and Klein log is limited too.
"""

import re
import time
from collections.abc import Callable

from twisted.logger import ILogObserver, Logger, LogLevel, LogPublisher, eventAsText, formatEvent
from twisted.logger import LogEvent as Event
from zope.interface import implementer

from p2ptwisted.support.escaping import printable, shown
from p2ptwisted.support.rate_limit import TokenBucket

#: Characters of a line, and of a line with a traceback. Our lines have some hundreds; a
#: traceback of Twisted's own has some thousands.
LINE_MAX, TRACEBACK_MAX = 1_000, 8_000

#: Lines of one kind a second, and at once: so many nodes can die together, each with its line.
LINE_RATE, LINE_BURST = 1.0, 200

#: The same for lines with tracebacks, which are longer and all alike.
TRACEBACK_RATE, TRACEBACK_BURST = 0.1, 20

#: Kinds that are counted separately; a daemon has some dozens. All later ones count as one kind:
#: a format string with the values already filled in is a new kind each time.
KINDS_MAX = 500

#: Seconds between two reports of how many lines were left out.
REPORT_INTERVAL = 10.0

#: Characters of a format that distinguish kinds, and of the example line in a report.
_FORMAT_MAX, _EXAMPLE_MAX = 200, 100

#: What Twisted logs each time that a host name is looked up: the coming and going of a socket.
_OF_LOOK_UPS = re.compile(
    r"DNSDatagramProtocol starting on \d+|\(UDP Port \d+ Closed\)"
    r"|(?:Starting|Stopping) protocol <twisted\.names\.dns\..*>"
)

#: Keys that are kept of an event whose text is replaced.
_KEPT = ("log_time", "log_level", "log_namespace", "log_system", "log_source", "log_logger")

_Key = tuple[str, str, str]


class _Kind:
    """Lines with the same origin and format: their rate, and how many were left out."""

    def __init__(self, with_traceback: bool) -> None:
        rate, burst = LINE_RATE, LINE_BURST
        if with_traceback:
            rate, burst = TRACEBACK_RATE, TRACEBACK_BURST
        self.bucket = TokenBucket(rate, burst)
        self.left_out = 0
        #: The last line that was written, its namespace, and its level.
        self.example, self.namespace, self.level = "", "", LogLevel.info


@implementer(ILogObserver)
class BoundedLog:
    """Passes events on to another observer within the limits, and counts those it leaves out."""

    def __init__(self, observer: ILogObserver, now: Callable[[], float] = time.monotonic) -> None:
        # It contains the observer's own failures, such as a full disk.
        self._observer = LogPublisher(observer)
        self._now = now
        self._kinds: dict[_Key, _Kind] = {}
        #: Stands for all kinds that came after KINDS_MAX.
        self._others = _Kind(with_traceback=True)

    def __call__(self, event: Event) -> None:
        if _OF_LOOK_UPS.fullmatch(str(event.get("log_text", ""))):
            return
        kind = self._kind(event)
        if not kind.bucket.take(self._now()):
            kind.left_out += 1
            return
        kind.example = shown(formatEvent(event) or _failure(event), _EXAMPLE_MAX)
        kind.namespace = str(event.get("log_namespace", ""))
        kind.level = event.get("log_level", LogLevel.info)
        self._observer(_fitting(event))

    def report_left_out(self) -> None:
        """Log for each kind how many lines were left out since the last call."""
        for kind in (*self._kinds.values(), self._others):
            count, kind.left_out = kind.left_out, 0
            if count:
                Logger(kind.namespace, observer=self._observer).emit(
                    kind.level, "and {count} more like: {line}", count=count, line=kind.example
                )

    def _kind(self, event: Event) -> _Kind:
        format = str(event.get("log_format"))[:_FORMAT_MAX]
        key = str(event.get("log_namespace")), format, _failure(event)
        kind = self._kinds.get(key)
        if kind is None:
            if len(self._kinds) >= KINDS_MAX:
                return self._others
            kind = self._kinds[key] = _Kind(_has_traceback(event))
        return kind


def _failure(event: Event) -> str:
    """Return the name of an event's exception class; empty if it has none."""
    failure = event.get("log_failure")
    return "" if failure is None else str(getattr(failure.type, "__name__", failure.type))


def _has_traceback(event: Event) -> bool:
    # Events of Twisted's legacy log have it in their text.
    return "log_failure" in event or bool(event.get("isError"))


def _fitting(event: Event) -> Event:
    """Return the event; if its text is too long or unprintable, one with a text that is neither."""
    text = eventAsText(event, includeTimestamp=False, includeSystem=False)
    most = TRACEBACK_MAX if _has_traceback(event) else LINE_MAX
    # Cut before escaping too, because that would make a long text far longer.
    lines = _without_middle(text, most).split("\n")
    fitting = _without_middle("\n".join(map(printable, lines)), most)
    if fitting == text:
        return event
    kept = {key: event[key] for key in _KEPT if key in event}
    return {**kept, "log_format": "{log_text}", "log_text": fitting}


def _without_middle(text: str, most: int) -> str:
    """Cut a text in the middle: a traceback ends with what went wrong."""
    if len(text) <= most:
        return text
    gap = " [...] "
    half = (most - len(gap)) // 2
    return text[:half] + gap + text[-half:]
