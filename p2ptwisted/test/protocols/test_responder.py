"""Tests for `p2ptwisted.protocols.responder`."""

from twisted.logger import LogLevel

from p2ptwisted.model import SUPERNODE_ID
from p2ptwisted.protocols import (
    responder,
)
from p2ptwisted.protocols.multicast import REFRESH
from p2ptwisted.test.fakes import make_peer
from p2ptwisted.test.node_fakes import log_lines
from p2ptwisted.test.protocols.overlay_case import (
    GROUP,
    HELD,
    ONE,
    THREE,
    TWO,
    Holdings,
    OverlayTestCase,
)


class TooManyRequestsTests(OverlayTestCase):
    """Tagged requests, each of which is answered to the address that it says it is from."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(responder, "TAGGED_BURST", 3)
        self.patch(responder, "TAGGED_TOTAL_BURST", 5)
        self.holdings = Holdings(f"{ONE}:5000", {"x": [HELD]})
        self.overlay = self.make(self.network.host(ONE), self.holdings)
        self.start(self.overlay)
        self.peers = {at: make_peer(self.network.host(at), GROUP, at) for at in (TWO, THREE)}

    def answered(self, address: str, count: int, id: str = "x") -> int:
        """How many of so many requests from there are answered, one after the other."""
        peer = self.peers[address]
        peer.heard.clear()
        for _ in range(count):
            peer.send(f"rack-7#tag;20;{id}".encode(), GROUP)
            self.network.deliver()
        # It hears what is asked as well.
        return sum(b"#tag;21;" in payload for payload in peer.payloads())

    def test_one_address(self) -> None:
        """One address has so many answers at once, to whatever it asks, and takes no other's."""
        self.assertEqual(self.answered(TWO, 2), 2)
        self.assertEqual(self.answered(TWO, 3, SUPERNODE_ID), 1)
        self.assertEqual(self.answered(THREE, 2), 2)
        # What is not answered is not looked up either.
        self.assertEqual(len(self.holdings.asked), 4)

    def test_in_all(self) -> None:
        """All addresses together have no more than that."""
        self.assertEqual((self.answered(TWO, 3), self.answered(THREE, 3)), (3, 2))

    def test_again(self) -> None:
        """So many a second more are answered from then on."""
        self.answered(TWO, 4)
        self.network.advance(1 / responder.TAGGED_RATE)
        self.assertEqual(self.answered(TWO, 2), 1)

    def test_told(self) -> None:
        """How many were dropped is in the log."""
        self.answered(TWO, 8)
        with log_lines(LogLevel.info) as lines:
            self.network.advance(REFRESH)
        self.assertEqual(
            lines,
            ["5 datagrams dropped: more requests than are answered in a second"],
        )
