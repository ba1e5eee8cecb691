"""Tests for `p2ptwisted.support.bounded_log`."""

from io import StringIO
from typing import cast
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, textFileLogObserver
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from p2ptwisted.support import bounded_log
from p2ptwisted.support.bounded_log import (
    KINDS_MAX,
    LINE_BURST,
    LINE_MAX,
    LINE_RATE,
    TRACEBACK_BURST,
    TRACEBACK_MAX,
    BoundedLog,
)


def failure(message: str = "no such thing") -> Failure:
    """One with a traceback."""
    try:
        raise RuntimeError(message)
    except RuntimeError:
        return Failure()


class BoundedLogTests(SynchronousTestCase):
    """What is written of what is logged."""

    def setUp(self) -> None:
        self.now = 100.0
        self.file = StringIO()
        self.log = BoundedLog(textFileLogObserver(self.file), lambda: self.now)
        self.logger = Logger("p2ptwisted.x", observer=self.log)

    def written(self) -> list[str]:
        """The lines since this was last asked."""
        text = self.file.getvalue()
        self.file.truncate(0)
        self.file.seek(0)
        return text.splitlines()

    def test_provided(self) -> None:
        """It is an observer."""
        verifyObject(ILogObserver, self.log)

    def test_untouched(self) -> None:
        """A line that isn't too long is written as it would be without."""
        self.logger.info("Registered {count} resources", count=3)
        (line,) = self.written()
        self.assertRegex(line, r"^\d{4}-\S+ \[p2ptwisted.x#info\] Registered 3 resources$")

    def test_burst(self) -> None:
        """So many lines of one kind are written at once, and then so many a second."""
        for number in range(10 * LINE_BURST):
            self.logger.info("Node {number} is gone", number=number)
        self.assertEqual(len(self.written()), LINE_BURST)
        for _ in range(40):
            self.now += 0.125 / LINE_RATE
            self.logger.info("Node {number} is gone", number=0)
        self.assertEqual(len(self.written()), 5)

    def test_kinds_apart(self) -> None:
        """A kind of which there is too much takes nothing from the others."""
        for _ in range(2 * LINE_BURST):
            self.logger.info("Node {number} is gone", number=1)
        self.written()
        self.logger.info("Registered {count} resources", count=3)
        Logger("p2ptwisted.y", observer=self.log).info("Node {number} is gone", number=1)
        self.logger.failure("Node {number} is gone", failure(), number=1)
        lines = [line for line in self.written() if "p2ptwisted" in line and "#" in line]
        self.assertEqual(len(lines), 3)

    def test_told(self) -> None:
        """How many were left out is told, once, with one of them as an example."""
        for number in range(LINE_BURST + 312):
            self.logger.warn("Node {number} is gone", number=number)
        self.written()
        self.log.report_left_out()
        (line,) = self.written()
        self.assertTrue(
            line.endswith(f"[p2ptwisted.x#warn] and 312 more like: Node {LINE_BURST - 1} is gone"),
            line,
        )
        self.log.report_left_out()
        self.assertEqual(self.written(), [])

    def test_tracebacks(self) -> None:
        """Tracebacks are rarer; those of one exception take nothing from those of another."""
        for _ in range(10 * TRACEBACK_BURST):
            self.logger.failure("This went wrong", failure())
        tracebacks = [line for line in self.written() if "Traceback" in line]
        self.assertEqual(len(tracebacks), TRACEBACK_BURST)
        self.logger.failure("This went wrong", Failure(OSError("another")))
        self.assertIn("another", "".join(self.written()))
        self.log.report_left_out()
        (line,) = self.written()
        self.assertTrue(line.endswith(f"and {9 * TRACEBACK_BURST} more like: This went wrong"))

    def test_without_words(self) -> None:
        """What Twisted logs of an exception without a word more is told by its name."""
        for _ in range(TRACEBACK_BURST + 1):
            self.logger.failure("", failure())
        self.written()
        self.log.report_left_out()
        self.assertTrue(self.written()[0].endswith("and 1 more like: RuntimeError"))

    def test_long(self) -> None:
        """A line that is too long loses its middle, though its letters are escaped to ten each."""
        for letter in ("x", "\x1b", "\U000e0001", "\n", "\ud800"):
            self.logger.info("It says {text}, at last", text=letter * 100_000)
            text = self.file.getvalue()
            self.written()
            # The time, the kind of line, and a tab where a line goes on.
            self.assertLess(len(text), 2 * LINE_MAX + 100)
            self.assertTrue(text.endswith(", at last\n"))
            self.assertIn("[...]", text)

    def test_long_traceback(self) -> None:
        """So does a traceback; its end says what went wrong."""
        self.logger.failure("This went wrong", failure("y" * 100_000 + " at the end"))
        text = self.file.getvalue()
        self.assertLess(len(text), 2 * TRACEBACK_MAX)
        self.assertIn("This went wrong", text)
        self.assertIn("at the end", text)

    @given(text=st.text())
    def test_printable(self, text: str) -> None:
        """Whatever is in a line, a terminal shows it; who forges a line can't hide that."""
        self.logger.info("{text}", text=text)
        for number, line in enumerate(self.written()):
            self.assertTrue(line.expandtabs().isprintable(), repr(line))
            self.assertTrue(line.startswith("\t") or number == 0, repr(line))

    def test_unformattable(self) -> None:
        """A line that can't be formatted is written as Twisted does it, and no longer."""
        self.logger.info("{missing} {text}", text="x" * 100_000)
        (line,) = self.written()
        self.assertLess(len(line), LINE_MAX + 100)
        self.assertIn("Unable to format", line)

    def older(self, text: str) -> None:
        """Log a text in Twisted's older way."""
        self.log(
            {
                "log_format": "{log_text}",
                "log_text": text,
                "log_namespace": "log_legacy",
                "log_system": "-",
                "log_time": 0.0,
                "log_level": LogLevel.info,
                "isError": 0,
            }
        )

    def test_look_ups(self) -> None:
        """The sockets of the look-ups of host names leave no lines, and others do."""
        for text in (
            "DNSDatagramProtocol starting on 45472",
            "Starting protocol <twisted.names.dns.DNSDatagramProtocol object at 0x7fac0a782050>",
            "(UDP Port 45472 Closed)",
            "Stopping protocol <twisted.names.dns.DNSDatagramProtocol object at 0x7fac0a782050>",
        ):
            self.older(text)
        self.assertEqual(self.written(), [])
        self.older("LimitedSite starting on 8000")
        self.assertEqual(len(self.written()), 1)

    def test_older_kind(self) -> None:
        """What is logged in Twisted's older way is bounded as well."""
        for _ in range(2 * LINE_BURST):
            self.older("z" * 100_000)
        lines = self.written()
        self.assertEqual(len(lines), LINE_BURST)
        self.assertLess(max(map(len, lines)), LINE_MAX + 100)

    def test_many_kinds(self) -> None:
        """Formats that are new each time are remembered no further, and are one kind."""
        for number in range(KINDS_MAX + 10 * TRACEBACK_BURST):
            self.logger.info(f"Node {number} is gone")
        self.assertEqual(len(self.written()), KINDS_MAX + TRACEBACK_BURST)
        self.log.report_left_out()
        self.assertIn(f"and {9 * TRACEBACK_BURST} more", self.written()[0])

    def test_full_disk(self) -> None:
        """A log that can't be written to is no error of whoever logs, or tells what is left out."""

        @implementer(ILogObserver)
        def full(event: LogEvent) -> None:
            raise OSError("No space left on device")

        log = BoundedLog(cast(ILogObserver, full), lambda: self.now)
        for _ in range(LINE_BURST + 1):
            Logger("p2ptwisted.x", observer=log).info("Hello")
        log.report_left_out()

    def test_real_time(self) -> None:
        """Without a clock it goes by the monotonic one."""
        with patch.object(bounded_log, "LINE_BURST", 1):
            log = BoundedLog(textFileLogObserver(self.file))
        logger = Logger("p2ptwisted.x", observer=log)
        for _ in range(2):
            logger.info("Node {number} is gone", number=1)
        self.assertGreaterEqual(len(self.written()), 1)
