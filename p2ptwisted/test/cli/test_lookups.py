"""Tests of `p2ptwisted.cli.lookups`."""

import io
import sys
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.cli.exit_status import Ambiguous
from p2ptwisted.cli.lookups import LINE_INTERVAL, look_up_all
from p2ptwisted.cli.members import BUSY_WAIT
from p2ptwisted.cli.session import ICommandReactor, Session, Settings
from p2ptwisted.client.api import Client
from p2ptwisted.client.transport import Refused
from p2ptwisted.errors import Unavailable, UnknownResource
from p2ptwisted.model import Holders


class Terminal(io.StringIO):
    """What is written to a terminal."""

    def isatty(self) -> bool:
        return True


class LookUpTests(SynchronousTestCase):
    """Many look-ups, some at a time."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.told = io.StringIO()
        self.patch(sys, "stderr", self.told)
        #: Those that have begun, by what they are about.
        self.begun: dict[str, Deferred[str]] = {}

    async def find(self, what: str) -> str:
        self.begun[what] = Deferred()
        return await self.begun[what]

    def begin(self, count: int, at_once: int = 3) -> Deferred[list[object]]:
        wanted = [str(number) for number in range(count)]
        return cast(
            Deferred[list[object]],
            Deferred.fromCoroutine(look_up_all(self.clock, wanted, self.find, at_once)),
        )

    def test_bounded(self) -> None:
        """So many are under way as may be, and the results come in the order of the questions."""
        looking = self.begin(5)
        self.assertEqual(set(self.begun), {"0", "1", "2"})
        self.begun["1"].callback("b")
        self.assertEqual(set(self.begun), {"0", "1", "2", "3"})
        for number in ("0", "2", "3", "4"):
            self.assertNoResult(looking)
            self.begun[number].callback(number)
        self.assertEqual(self.successResultOf(looking), ["0", "b", "2", "3", "4"])

    def test_none(self) -> None:
        """Nothing to look up is done at once."""
        self.assertEqual(self.successResultOf(self.begin(0)), [])

    def test_unknown(self) -> None:
        """What is unknown or ambiguous keeps nobody from the others."""
        looking = self.begin(3)
        self.begun["0"].errback(UnknownResource("none"))
        self.begun["1"].errback(Ambiguous("two"))
        self.begun["2"].callback("c")
        unknown, ambiguous, found = self.successResultOf(looking)
        self.assertIsInstance(unknown, UnknownResource)
        self.assertIsInstance(ambiguous, Ambiguous)
        self.assertEqual(found, "c")

    def test_nobody(self) -> None:
        """Where nobody can be asked that is all, and nothing more is looked up."""
        looking = self.begin(10)
        self.begun["1"].errback(Unavailable("nobody"))
        self.failureResultOf(looking, Unavailable)
        self.begun["0"].callback("a")
        self.begun["2"].callback("c")
        self.assertEqual(len(self.begun), 3)

    def test_line(self) -> None:
        """A terminal has a line that says how far it is, and that is gone in the end."""
        terminal = Terminal()
        self.patch(sys, "stderr", terminal)
        looking = self.begin(3, 1)
        self.assertEqual(terminal.getvalue(), "")
        self.clock.advance(LINE_INTERVAL)
        self.begun["0"].callback("a")
        self.clock.advance(LINE_INTERVAL)
        self.begun["1"].callback("b")
        self.begun["2"].callback("c")
        self.successResultOf(looking)
        written = terminal.getvalue().split("\r\x1b[K")
        self.assertEqual(written, ["", "p2p: looking up 1 of 3", "p2p: looking up 2 of 3", ""])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_no_terminal(self) -> None:
        """Elsewhere there is none."""
        looking = self.begin(1)
        self.clock.advance(LINE_INTERVAL)
        self.begun["0"].callback("a")
        self.successResultOf(looking)
        self.assertEqual(self.told.getvalue(), "")


class BusyTests(SynchronousTestCase):
    """Supernodes that have too much to do."""

    def test_asked_again(self) -> None:
        """One is asked again after a while, and isn't said to be away."""
        clock = Clock()
        asked: list[str] = []

        class Busy:
            async def other_supernodes(self, supernode: str) -> list[str]:
                return []

            async def holders(self, supernode: str, id: str, here: bool) -> Holders:
                asked.append(id)
                if len(asked) < 3:
                    raise Refused(429, "too many searches")
                return Holders(id, ["10.0.0.7:1"], [])

        session = Session(
            cast(ICommandReactor, clock),
            cast(Client, Busy()),
            Settings(supernode="http://10.0.0.1:5000"),
        )
        finding = Deferred.fromCoroutine(session.find_id("a" * 64))
        self.assertNoResult(finding)
        clock.advance(BUSY_WAIT)
        clock.advance(BUSY_WAIT)
        (found,) = self.successResultOf(finding)
        self.assertEqual(found.locations, ["10.0.0.7:1"])
        self.assertEqual(len(asked), 3)
