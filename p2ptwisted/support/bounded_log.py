"""
The bounds of a daemon's log: how long a line is, and how often one of its kind is written.

All that is logged passes here, so no module has to think of it, and what Twisted
and Klein log of their own accord is bounded like the rest.
"""

import time
from collections.abc import Callable

from twisted.logger import ILogObserver, Logger, LogLevel, LogPublisher, eventAsText, formatEvent
from twisted.logger import LogEvent as Event
from zope.interface import implementer

from p2ptwisted.support.escaping import printable, shown
from p2ptwisted.support.rate_limit import TokenBucket

#: Characters of a line, and of a traceback with what stands before it. Ours have some
#: hundreds; a traceback of Twisted's own has some thousands.
LINE_MAX, TRACEBACK_MAX = 1_000, 8_000

#: Lines of one kind a second, and at once: so many nodes can die together, and each is named.
LINE_RATE, LINE_BURST = 1.0, 200

#: The same of tracebacks, which are the longer ones and all alike.
TRACEBACK_RATE, TRACEBACK_BURST = 0.1, 20

#: Kinds that are counted apart; a daemon has some dozens. All that come later are one kind,
#: for a format that somebody has filled in himself is a new kind each time.
KINDS_MAX = 500

#: Seconds between two looks at what was left out.
REPORT_INTERVAL = 10.0

#: Characters of a format by which kinds are told apart, and of the line that stands for them.
_FORMAT_MAX, _EXAMPLE_MAX = 200, 100

#: What is kept of an event whose text is replaced.
_KEPT = ("log_time", "log_level", "log_namespace", "log_system", "log_source", "log_logger")

_Key = tuple[str, str, str]


class _Kind:
    """Lines that are alike."""

    def __init__(self, with_traceback: bool) -> None:
        rate, burst = LINE_RATE, LINE_BURST
        if with_traceback:
            rate, burst = TRACEBACK_RATE, TRACEBACK_BURST
        self.bucket = TokenBucket(rate, burst)
        self.left_out = 0
        #: The last one that was written, what it came from, and its level.
        self.example, self.namespace, self.level = "", "", LogLevel.info


@implementer(ILogObserver)
class BoundedLog:
    """An ILogObserver that hands on to another what isn't too much, and counts the rest."""

    def __init__(self, observer: ILogObserver, now: Callable[[], float] = time.monotonic) -> None:
        # Which keeps to itself what goes wrong there, such as a disk that is full.
        self._observer = LogPublisher(observer)
        self._now = now
        self._kinds: dict[_Key, _Kind] = {}
        #: Those that came when there were too many.
        self._others = _Kind(with_traceback=True)

    def __call__(self, event: Event) -> None:
        kind = self._kind(event)
        if not kind.bucket.take(self._now()):
            kind.left_out += 1
            return
        kind.example = shown(formatEvent(event) or _failure(event), _EXAMPLE_MAX)
        kind.namespace = str(event.get("log_namespace", ""))
        kind.level = event.get("log_level", LogLevel.info)
        self._observer(_fitting(event))

    def report_left_out(self) -> None:
        """Write of each kind how many lines were left out since this was last called."""
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
    """What kind of exception an event is about; empty where it is about none."""
    failure = event.get("log_failure")
    return "" if failure is None else str(getattr(failure.type, "__name__", failure.type))


def _has_traceback(event: Event) -> bool:
    # Events of Twisted's older kind have it in their text.
    return "log_failure" in event or bool(event.get("isError"))


def _fitting(event: Event) -> Event:
    """The event, or where its text is too long or upsets a terminal one with a text that isn't."""
    text = eventAsText(event, includeTimestamp=False, includeSystem=False)
    most = TRACEBACK_MAX if _has_traceback(event) else LINE_MAX
    # Cut before as well, for escaping a long text would make a far longer one.
    lines = _without_middle(text, most).split("\n")
    fitting = _without_middle("\n".join(map(printable, lines)), most)
    if fitting == text:
        return event
    kept = {key: event[key] for key in _KEPT if key in event}
    return {**kept, "log_format": "{log_text}", "log_text": fitting}


def _without_middle(text: str, most: int) -> str:
    """The beginning and the end, for a traceback ends with what went wrong."""
    if len(text) <= most:
        return text
    told = " [...] "
    half = (most - len(told)) // 2
    return text[:half] + told + text[-half:]
