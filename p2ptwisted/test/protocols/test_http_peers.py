"""Tests of `p2ptwisted.protocols.http_peers`."""

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from p2ptwisted.client.transport import Refused
from p2ptwisted.errors import InvalidInput, Unavailable
from p2ptwisted.interfaces import ISearchOverlay
from p2ptwisted.model import SUPERNODE_ID, Holders
from p2ptwisted.protocols.http_peers import (
    ANSWER_TIMEOUT,
    RETRY_DELAY,
    NamedSupernode,
    WithNamedSupernodes,
)

HELD, ALSO_HELD = "10.0.0.1:8000", "10.0.0.2:8000"
ONE, TWO = "10.9.0.1:5000", "10.9.0.2:5000"


class _Client:
    """Supernodes that can be asked who holds what, and answer when the test says so."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.answers: dict[str, Deferred[Holders]] = {}

    async def holders(self, supernode: str, id: str, here: bool = False) -> Holders:
        assert here, "what a peer asks of others would come back to us"
        self.asked.append((supernode, id))
        self.answers[supernode] = Deferred()
        return await self.answers[supernode]


@implementer(ISearchOverlay)
class _Multicast:
    """An overlay that answers when the test says so."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bool]] = []
        self.answer: Deferred[tuple[str, ...]] = Deferred(lambda _: self.cancelled.append(True))
        self.cancelled: list[bool] = []

    def search(self, id: str) -> Deferred[tuple[str, ...]]:
        self.asked.append((id, False))
        return self.answer

    def search_all(self, id: str) -> Deferred[tuple[str, ...]]:
        self.asked.append((id, True))
        return self.answer


def holders(*locations: str) -> Holders:
    return Holders("x", list(locations), [])


class WithPeersTests(SynchronousTestCase):
    """What is asked of whom, and what comes of the answers."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.client = _Client()
        self.multicast = _Multicast()
        self.names: dict[str, str | InvalidInput] = {ONE: ONE, TWO: TWO}
        peers = [
            NamedSupernode(self.clock, self.client, lambda name=name: self.resolve(name))  # type: ignore[arg-type, misc]
            for name in self.names
        ]
        self.overlay = WithNamedSupernodes(self.multicast, peers)

    async def resolve(self, name: str) -> str:
        location = self.names[name]
        if isinstance(location, InvalidInput):
            raise location
        return location

    def tearDown(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_provides(self) -> None:
        """It is an overlay like any other."""
        verifyObject(ISearchOverlay, self.overlay)

    def test_asked(self) -> None:
        """The group and every peer are asked at once."""
        search = self.overlay.search("x")
        self.assertEqual(self.multicast.asked, [("x", False)])
        self.assertEqual(self.client.asked, [(ONE, "x"), (TWO, "x")])
        search.cancel()
        self.failureResultOf(search, CancelledError)

    def test_first_wins(self) -> None:
        """The first that has it ends the search; the others are not waited for."""
        search = self.overlay.search("x")
        self.client.answers[ONE].callback(holders())
        self.assertNoResult(search)
        self.client.answers[TWO].callback(holders(HELD, ALSO_HELD))
        self.assertEqual(self.successResultOf(search), (HELD, ALSO_HELD))
        self.assertEqual(self.multicast.cancelled, [True])

    def test_multicast_wins(self) -> None:
        """So does the group, even where it knows at once."""
        self.multicast.answer.callback((HELD,))
        self.assertEqual(self.successResultOf(self.overlay.search("x")), (HELD,))

    def test_nobody(self) -> None:
        """Where nobody has it the search ends with the last answer, and with nothing."""
        search = self.overlay.search("x")
        self.multicast.answer.callback(())
        self.client.answers[ONE].callback(holders())
        self.assertNoResult(search)
        self.client.answers[TWO].callback(holders())
        self.assertEqual(self.successResultOf(search), ())

    def test_everyone(self) -> None:
        """A search for all holders gathers what all of them say, each holder once."""
        search = self.overlay.search_all("x")
        self.assertEqual(self.multicast.asked, [("x", True)])
        self.client.answers[ONE].callback(holders(HELD))
        self.multicast.answer.callback((ALSO_HELD,))
        self.assertNoResult(search)
        self.client.answers[TWO].callback(holders(HELD))
        found = self.successResultOf(search)
        self.assertEqual(sorted(found), [HELD, ALSO_HELD])

    def test_supernodes(self) -> None:
        """Peers that answer are supernodes, those that don't are not named."""
        search = self.overlay.search_all(SUPERNODE_ID)
        self.client.answers[ONE].callback(holders())
        self.client.answers[TWO].errback(Unavailable("gone"))
        self.multicast.answer.callback(())
        self.assertEqual(self.successResultOf(search), (ONE,))

    def test_slow_peer(self) -> None:
        """A peer that hangs holds up a search for a second and no more, and is named in the log."""
        search = self.overlay.search("x")
        self.multicast.answer.callback(())
        self.client.answers[ONE].callback(holders())
        with capturedLogs() as events:
            self.clock.advance(ANSWER_TIMEOUT)
        self.assertEqual(self.successResultOf(search), ())
        told = f"A --peer can't be asked: {TWO}: no answer in time; still trying"
        self.assertEqual([formatEvent(event) for event in events], [told])

    def test_dead_peer_rests(self) -> None:
        """A peer that can't be asked is left alone for a while, then asked again."""
        for error in (Unavailable("gone"), Refused(500, "oh")):
            self.multicast.answer = Deferred()
            search = self.overlay.search("x")
            self.client.answers[ONE].errback(error)
            self.client.answers[TWO].callback(holders())
            self.multicast.answer.callback(())
            self.assertEqual(self.successResultOf(search), ())
            self.client.asked.clear()
            again = self.overlay.search("x")
            self.assertEqual(self.client.asked, [(TWO, "x")])
            self.client.answers[TWO].callback(holders(HELD))
            self.assertEqual(self.successResultOf(again), (HELD,))
            self.clock.advance(RETRY_DELAY)

    def test_busy_peer(self) -> None:
        """A peer that has too much to do has not said that nobody has it, and is asked again."""
        for status in (429, 503):
            self.multicast.answer = Deferred()
            search = self.overlay.search("x")
            self.client.answers[ONE].errback(Refused(status, "too much"))
            self.client.answers[TWO].callback(holders())
            self.multicast.answer.callback(())
            self.failureResultOf(search, Unavailable)
        self.multicast.answer = Deferred()
        search = self.overlay.search("x")
        self.client.answers[ONE].callback(holders(HELD))
        self.assertEqual(self.successResultOf(search), (HELD,))

    def test_unknown_name(self) -> None:
        """A peer whose name can't be resolved fails no search."""
        self.names[ONE] = InvalidInput("no such host")
        search = self.overlay.search("x")
        self.assertEqual(self.client.asked, [(TWO, "x")])
        self.client.answers[TWO].callback(holders(HELD))
        self.assertEqual(self.successResultOf(search), (HELD,))

    def test_too_much(self) -> None:
        """Where the group can't be asked just now, that is said unless a peer knows."""
        for locations in ((HELD,), ()):
            self.multicast.answer = Deferred()
            search = self.overlay.search("x")
            self.multicast.answer.errback(Unavailable("too many searches"))
            self.client.answers[ONE].callback(holders())
            self.client.answers[TWO].callback(holders(*locations))
            if locations:
                found = self.successResultOf(search)
                self.assertEqual(found, locations)
            else:
                self.failureResultOf(search, Unavailable)
