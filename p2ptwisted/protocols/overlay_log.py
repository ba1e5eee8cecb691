"""
What the overlay logs about the group now and then: that nobody is heard any
more, and how many datagrams were dropped.
"""

from twisted.logger import Logger

from p2ptwisted.protocols.searches import PEER_MEMORY
from p2ptwisted.support.wording import counted

_log = Logger()


class OverlayLog:
    """Counts dropped datagrams, and logs that and the group's silence without repeating itself."""

    def __init__(self) -> None:
        #: Datagrams dropped because they are malformed.
        self.malformed = 0
        #: Datagrams dropped because nothing proved that a member of the closed group sent them.
        self.unproved = 0
        #: Requests dropped because there were too many.
        self.excess = 0
        #: By reason, how many datagrams had been dropped when that was last logged.
        self._logged: dict[str, int] = {}
        #: Whether any peer was known at the last look; None until the first was heard.
        self._had_peers: bool | None = None

    def look(self, has_peers: bool) -> None:
        """Log what is new; `has_peers` says whether any peer was heard lately."""
        self._log_silence(has_peers)
        self._log_dropped()

    def _log_silence(self, has_peers: bool) -> None:
        """Log once when no peer is heard any more, and once when any is again."""
        if self._had_peers and not has_peers:
            _log.warn(
                "No other supernode has been heard for {seconds:.0f} s: they are gone, or "
                "multicast no longer crosses the network (--peer asks one by HTTP)",
                seconds=PEER_MEMORY,
            )
        elif has_peers and self._had_peers is False:
            _log.info("Other supernodes are heard")
        if has_peers or self._had_peers is not None:
            self._had_peers = has_peers

    def _log_dropped(self) -> None:
        """Log how many datagrams were dropped, each time that the number has doubled."""
        for why, count in (
            ("malformed", self.malformed),
            (
                "not sealed by a member of late: another key, or a clock that is off",
                self.unproved,
            ),
            ("more requests than are answered in a second", self.excess),
        ):
            if count > 2 * self._logged.get(why, 0):
                self._logged[why] = count
                dropped = counted(count, "datagram")
                _log.info("{dropped} dropped: {why}", dropped=dropped, why=why)
