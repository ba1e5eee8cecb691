"""Tests of `p2ptwisted.cli.end_signals`: what a signal does at each moment."""

import signal

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.cli.end_signals import ENDS, Ended, EndSignals
from p2ptwisted.cli.exit_status import ExitStatus


class EndSignalsTests(SynchronousTestCase):
    """One command's signals."""

    def setUp(self) -> None:
        for number in ENDS:
            self.addCleanup(signal.signal, number, signal.getsignal(number))
            signal.signal(number, signal.SIG_DFL)
        self.signals = EndSignals()
        self.signals.install()

    def test_statuses(self) -> None:
        """Each ends the command at once, with 128 and its number."""
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
            signals = EndSignals()
            signals.install()
            self.assertIsNone(signals.status)
            self.assertRaises(Ended, signal.raise_signal, number)
            self.assertEqual(signals.status, 128 + number)

    def test_ignored(self) -> None:
        """What nohup has ignored stays so; what a shell has ignored for a script doesn't."""
        signals = EndSignals()
        for number in ENDS:
            signal.signal(number, signal.SIG_IGN)
        signals.install()
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)
        self.assertIsNone(signals.status)
        self.assertRaises(Ended, signal.raise_signal, signal.SIGINT)

    def test_uninstalled(self) -> None:
        """Uninstalled, the signals do what they did before, unless one has come by then."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        before = [signal.getsignal(number) for number in ENDS]
        signals = EndSignals()
        signals.install()
        signals.install()
        signals.uninstall()
        self.assertEqual([signal.getsignal(number) for number in ENDS], before)
        signals.install()
        with self.assertRaises(Ended), signals.held():
            signal.raise_signal(signal.SIGTERM)
            self.assertRaises(Ended, signals.uninstall)

    def test_second(self) -> None:
        """What cleans up after the first is not broken off by a second; the first one counts."""
        self.assertRaises(Ended, signal.raise_signal, signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)
        self.assertIs(self.signals.status, ExitStatus.HUNG_UP)

    def test_held(self) -> None:
        """Where something would be left behind, it waits for the end of that, failed or not."""
        done = []
        with self.assertRaises(Ended), self.signals.held():
            signal.raise_signal(signal.SIGTERM)
            done.append(1)
            raise ValueError
        self.assertEqual(done, [1])

    def test_breaking(self) -> None:
        """What may block within that is broken off, or not even begun."""
        with self.signals.held():
            with self.assertRaises(Ended), self.signals.breaking():
                signal.raise_signal(signal.SIGTERM)
                self.fail("it went on")
            with self.assertRaises(Ended), self.signals.breaking():
                self.fail("it began")
            self.signals.finish()

    def test_told(self) -> None:
        """In the reactor each one is a call, and what blocks there is broken off all the same."""
        told: list[int] = []
        with self.assertRaises(Ended), self.signals.told(lambda: told.append(1)):
            with self.assertRaises(Ended), self.signals.breaking():
                signal.raise_signal(signal.SIGTERM)
                self.fail("it went on")
            signal.raise_signal(signal.SIGTERM)
        self.assertEqual(told, [1, 1])
        signal.raise_signal(signal.SIGTERM)
        self.assertEqual(told, [1, 1])

    def test_finished(self) -> None:
        """When all is done, no other changes anything, and a line can be printed."""
        self.assertRaises(Ended, signal.raise_signal, signal.SIGQUIT)
        self.signals.finish()
        for number in ENDS:
            signal.raise_signal(number)
        with self.signals.breaking():
            printed = True
        self.assertTrue(printed)
        self.assertIs(self.signals.status, ExitStatus.QUIT)
