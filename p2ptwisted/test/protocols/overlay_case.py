"""What the tests of the overlay share: supernodes on hosts of their own, on a virtual network."""

import uuid
from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.model import SUPERNODE_ID
from p2ptwisted.protocols import (
    sockets,
)
from p2ptwisted.protocols.datagram_auth import DatagramAuth
from p2ptwisted.protocols.multicast import MulticastOverlay
from p2ptwisted.protocols.sockets import MulticastGroup
from p2ptwisted.protocols.untagged_replies import Confirms
from p2ptwisted.test.fakes import Host, Network

GROUP = ("239.255.1.1", 4321)
TIMEOUT = 0.5

ONE, TWO, THREE, FOUR = "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"
HELD, ALSO_HELD = "10.0.0.8:8000", "10.0.0.9:8000"


class Holdings:
    """What a supernode says when it is asked, and whom it was asked by."""

    def __init__(self, own: str, held: dict[str, Sequence[str]]) -> None:
        self.held = {SUPERNODE_ID: [own], **held}
        #: The ids of resources that it was asked for, each with the address of who asked.
        self.asked: list[tuple[str, str]] = []

    def __call__(self, id: str, asker: str) -> Sequence[str]:
        if id != SUPERNODE_ID:
            self.asked.append((id, asker))
        return self.held.get(id, ())


class OverlayTestCase(SynchronousTestCase):
    """Supernodes on hosts of their own; in the end all are stopped, and nothing may be left."""

    def setUp(self) -> None:
        self.network = Network()
        self.overlays: list[MulticastOverlay] = []
        self.wall_time = 1_800_000_000.0
        # Which of this machine's addresses leads to a host; the real one asks the kernel.
        self.towards: Callable[[str], str] = lambda host: "127.0.0.1"
        self.patch(sockets, "address_towards", lambda host: self.towards(host))
        self.addCleanup(self.stop_all)

    def stop_all(self) -> None:
        stopped = [overlay.stopService() for overlay in self.overlays]
        self.network.advance(0)
        for one in stopped:
            self.successResultOf(one)
        for host in self.network.hosts:
            self.assertEqual(host.getDelayedCalls(), [])
        self.assertEqual(self.network.raised, [])

    def make(
        self,
        host: Host,
        answers: Holdings | None,
        confirms: Confirms | None = None,
        name: str | None = None,
        interfaces: Sequence[str] = (),
        auth: DatagramAuth | None = None,
    ) -> MulticastOverlay:
        return MulticastOverlay(
            host,
            MulticastGroup(*GROUP, interfaces),
            name or str(uuid.uuid4()),
            TIMEOUT,
            answers=answers,
            confirms=confirms,
            auth=auth,
            addresses=host.interfaces,
            wall_time=lambda: self.wall_time,
        )

    def start(self, overlay: MulticastOverlay) -> None:
        overlay.startService()
        self.overlays.append(overlay)
        self.network.deliver()

    def supernode(
        self,
        host: Host | str,
        held: dict[str, Sequence[str]] | None = None,
        confirms: Confirms | None = None,
    ) -> MulticastOverlay:
        """One that is started, on a host of its own or a given one."""
        if isinstance(host, str):
            host = self.network.host(host)
        answers = Holdings(f"{host.addresses[0]}:5000", held or {})
        overlay = self.make(host, answers, confirms)
        self.start(overlay)
        return overlay

    def settle(self) -> None:
        """Let the calls with which everybody starts come to their end."""
        self.network.advance(TIMEOUT)

    def result(self, search: Deferred[tuple[str, ...]]) -> tuple[str, ...]:
        """What a search finds without any time going by."""
        self.network.deliver()
        return self.successResultOf(search)
