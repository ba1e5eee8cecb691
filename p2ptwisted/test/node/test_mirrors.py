"""Tests of `p2ptwisted.node.mirrors`: who else has what a node shares, for clients by HTTP."""

from collections.abc import Sequence

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.errors import Unavailable
from p2ptwisted.model import Holders
from p2ptwisted.node.mirrors import (
    LIFETIME,
    NAMED_IN_FILE,
    NAMED_WITH_CONTENT,
    RESOURCES_MAX,
    SEARCH_BURST,
    SEARCH_RATE,
    WAIT,
    Mirrors,
)

ID, OTHER = "a" * 64, "b" * 64
CALLER, STRANGER = "10.0.0.5", "10.0.0.6"


class MirrorsTests(SynchronousTestCase):
    """What a node says, and what it asks its supernode."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.mirrors = Mirrors(self.clock, self.find)
        #: What was looked up, and whether only at the own supernode.
        self.asked: list[tuple[str, bool]] = []
        self.here, self.all = ["10.0.0.2:8000"], ["10.0.0.2:8000", "10.0.0.3:8000"]
        self.problem: Exception | None = None
        #: What the next look-up waits for.
        self.silence: Deferred[None] | None = None

    async def find(self, id: str, here: bool) -> Holders:
        self.asked.append((id, here))
        if self.silence is not None:
            await self.silence
        if self.problem is not None:
            raise self.problem
        return Holders(id, self.here if here else self.all, ["10.0.0.4:8000"])

    def near(self, id: str = ID) -> Sequence[str]:
        return self.successResultOf(Deferred.fromCoroutine(self.mirrors.near(id)))

    def everywhere(self, id: str = ID, caller: str = CALLER) -> Sequence[str]:
        return self.successResultOf(Deferred.fromCoroutine(self.mirrors.everywhere(id, caller)))

    def test_near(self) -> None:
        """With content those at the own supernode are named, and they are asked for once."""
        self.assertEqual(self.near(), self.here)
        self.assertEqual(self.near(), self.here)
        self.assertEqual(self.asked, [(ID, True)])

    def test_everywhere(self) -> None:
        """In a file about it those at all supernodes are; they are then known for content too."""
        self.assertEqual(self.everywhere(), self.all)
        self.assertEqual(self.everywhere(), self.all)
        self.assertEqual(self.near(), self.all)
        self.assertEqual(self.asked, [(ID, False)])

    def test_expiry(self) -> None:
        """What is known is forgotten after a while."""
        self.near()
        self.clock.advance(LIFETIME)
        self.here = []
        self.assertEqual(self.near(), [])
        self.assertEqual(len(self.asked), 2)

    def test_bounds(self) -> None:
        """There are only so many with content, and in a file, and of so many resources."""
        self.here = self.all = [f"10.0.1.{number}:1" for number in range(100)]
        self.assertEqual(self.near(), self.here[:NAMED_WITH_CONTENT])
        self.assertEqual(self.everywhere(), self.all[:NAMED_IN_FILE])
        for number in range(RESOURCES_MAX):
            self.near(f"{number}")
        self.asked.clear()
        self.near()
        self.assertEqual(self.asked, [(ID, True)])

    def test_silent(self) -> None:
        """Content waits for the supernode for a moment, and not again for a while."""
        self.silence = Deferred()
        waiting = Deferred.fromCoroutine(self.mirrors.near(ID))
        self.clock.advance(WAIT / 2)
        self.assertNoResult(waiting)
        self.clock.advance(WAIT / 2)
        self.assertFalse(self.successResultOf(waiting))
        self.assertEqual(list(self.near()), [])
        self.assertEqual(len(self.asked), 1)

    def test_unavailable(self) -> None:
        """Without a supernode that answers there are none; that is no error."""
        self.problem = Unavailable("no supernode")
        self.assertEqual([list(self.near()), list(self.everywhere(OTHER))], [[], []])

    def test_vanished(self) -> None:
        """A client that goes while it waits leaves nothing behind."""
        self.silence = Deferred()
        waiting = Deferred.fromCoroutine(self.mirrors.near(ID))
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.silence = None
        self.assertEqual(self.near(), self.here)

    def test_rate(self) -> None:
        """One address has all supernodes asked so often; after that, only this node's own."""
        for number in range(SEARCH_BURST):
            self.everywhere(f"{number}")
        self.assertEqual(self.everywhere(), self.here)
        self.assertEqual(self.everywhere(OTHER, STRANGER), self.all)
        self.clock.advance(1 / SEARCH_RATE)
        self.assertEqual(self.everywhere(), self.all)
        self.assertEqual(self.asked[-3:], [(ID, True), (OTHER, False), (ID, False)])
