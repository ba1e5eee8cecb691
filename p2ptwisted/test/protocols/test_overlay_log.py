"""Tests for `p2ptwisted.protocols.overlay_log`."""

from collections.abc import Sequence

from twisted.logger import LogLevel

from p2ptwisted.protocols.multicast import REFRESH, MulticastOverlay
from p2ptwisted.test.fakes import make_peer
from p2ptwisted.test.node_fakes import log_lines
from p2ptwisted.test.protocols.overlay_case import (
    GROUP,
    ONE,
    TWO,
    OverlayTestCase,
)


class DroppedTests(OverlayTestCase):
    """Datagrams that are of no use."""

    def told(self, overlay: MulticastOverlay, counts: Sequence[int]) -> list[str]:
        """What the log says, a look at a time, of so many that were malformed in all by then."""
        lines: list[str] = []
        peer = make_peer(self.network.host(TWO), GROUP, TWO)
        for count in counts:
            while overlay.log.malformed < count:
                peer.send(b"nonsense", GROUP)
                self.network.deliver()
            with log_lines(LogLevel.info) as some:
                self.network.advance(REFRESH)
            lines += [line for line in some if "dropped" in line]
        return lines

    def test_told(self) -> None:
        """How many were dropped is told whenever it has more than doubled, and no more often."""
        lines = self.told(self.supernode(ONE), (0, 1, 2, 3, 5, 6, 7))
        self.assertEqual([int(line.split()[0]) for line in lines], [1, 3, 7])
        self.assertIn("malformed", lines[0])
