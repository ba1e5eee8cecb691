"""The target that is a group: a supernode's overlay, with searches under way, and what it hears."""

import functools
from collections.abc import Sequence
from typing import Self

from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed

from fuzz.damage import any_of
from fuzz.formats import ID, NAME
from fuzz.target import Target
from p2ptwisted.model import SUPERNODE_ID
from p2ptwisted.protocols.datagrams import DATAGRAM_MAX, LOCATIONS_MAX, SearchRequest, decode
from p2ptwisted.protocols.multicast import MulticastOverlay
from p2ptwisted.protocols.sockets import MulticastGroup
from p2ptwisted.support.address_policy import is_loopback
from p2ptwisted.support.locations import parse_location
from p2ptwisted.test.fakes import Network, make_peer

GROUP = ("239.255.43.21", 4321)

#: The supernode, and two that speak to it.
OWN, OTHERS = "10.0.0.1", ("10.0.0.2", "10.0.0.3")

#: The supernode's: what it says to the group may leave through each, loopback included.
INTERFACES = 2

#: Seconds that a search takes at the most.
TIMEOUT = 0.5

#: What is held here, with more holders than a datagram has room for.
HELD = "held"
HOLDERS = [f"10.0.1.{number}:8000" for number in range(2 * LOCATIONS_MAX)]

#: The searches under way; whoever has heard them can answer with their tags.
SOUGHT = (ID, "x", SUPERNODE_ID)
TAGS = ("TAG0", "TAG1", "TAG2")

DATAGRAMS = [
    f"{NAME};20;{HELD}",
    f"{NAME}#0123456789ab;20;{HELD}",
    f"{NAME}#0123456789ab;20;{SUPERNODE_ID}",
    f"{NAME};21;10.0.0.9:8000",
    f"{NAME}#TAG0;21;10.0.0.9:8000,127.0.0.1:8000",
    f"{NAME}#TAG1;21;10.0.0.9:8000",
    f"{NAME}#TAG2;21;10.0.0.2:5000,10.0.0.9:5000,127.0.0.1:5000",
    f"{NAME};22;{ID}",
    f"{NAME}#TAG1;22;x",
]

#: What arrives: its bytes, who sends it, and whether to all or to the supernode alone.
_Heard = tuple[bytes, int, bool]


class SupernodeOverlay:
    """A supernode's overlay on a network in memory, with two others in its group."""

    def __init__(self) -> None:
        self.network = Network()
        host = self.network.host(OWN)
        self.overlay = MulticastOverlay(
            host,
            MulticastGroup(*GROUP),
            "5a0c9a0e-0000-4000-8000-000000000000",
            TIMEOUT,
            answers=lambda id, asker: HOLDERS if id == HELD else [],
            confirms=lambda location, id: succeed(location.endswith("8000")),
            addresses=host.interfaces,
        )
        self.overlay.startService()
        self.peers = [make_peer(self.network.host(one), GROUP, one) for one in OTHERS]
        (alone,) = (one.port for one in host.sockets if one.getOutgoingInterface() == OWN)
        self._to = [GROUP, (OWN, alone)]
        self.network.advance(1)

    def __enter__(self) -> Self:
        """Everything is being searched for."""
        self.searches = {id: self.overlay.search_all(id) for id in SOUGHT}
        self.network.deliver()
        return self

    def __exit__(self, *raised: object) -> None:
        """What was missed is forgotten, so that each example begins alike."""
        for _ in range(4):
            self.network.advance(TIMEOUT)
        self.network.sent.clear()

    def tags(self) -> dict[str, str]:
        """Those of the searches, by their ids."""
        requests = (decode(one.payload) for one in self.network.sent)
        return {one.id: one.tag for one in requests if isinstance(one, SearchRequest) and one.tag}

    def hear(self, heard: Sequence[_Heard]) -> list[bytes]:
        """What it says when it hears all of these."""
        tags = self.tags()
        before = len(self.network.sent)
        for data, peer, to_all in heard:
            for placeholder, id in zip(TAGS, SOUGHT, strict=True):
                data = data.replace(placeholder.encode(), tags[id].encode())
            self.peers[peer].send(data, self._to[not to_all])
        self.network.deliver()
        sent = self.network.sent[before:]
        return [one.payload for one in sent if one.source[0] not in OTHERS]


@functools.cache
def _supernode() -> SupernodeOverlay:
    return SupernodeOverlay()


def check_overlay(heard: Sequence[_Heard]) -> None:
    """Whatever it hears, it says little, ends its searches, and believes no more than it may."""
    with _supernode() as supernode:
        said = supernode.hear(heard)
        assert not supernode.network.raised, supernode.network.raised
        assert len(said) <= len(heard) * INTERFACES, said
        for datagram in said:
            assert decode(datagram) is not None and len(datagram) <= DATAGRAM_MAX, datagram
        supernode.network.advance(TIMEOUT)
        for id, search in supernode.searches.items():
            for location in _result(search):
                assert str(parse_location(location)) == location
                assert not is_loopback(location), location
                assert id != SUPERNODE_ID or parse_location(location).host in OTHERS, location


def _result(search: Deferred[tuple[str, ...]]) -> tuple[str, ...]:
    results: list[tuple[str, ...]] = []
    search.addCallback(results.append)
    (result,) = results
    return result


TARGETS = [
    Target(
        "overlay",
        st.lists(
            st.tuples(
                any_of(*(one.encode() for one in DATAGRAMS)), st.integers(0, 1), st.booleans()
            ),
            min_size=1,
            max_size=6,
        ),
        check_overlay,
    ),
]
