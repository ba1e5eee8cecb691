"""What the tests of `p2ptwisted.node.local_node` have in common."""

from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.errors import Unavailable
from p2ptwisted.interfaces import Sha1Pieces
from p2ptwisted.model import HeldFile, Holding, ResourceInfo
from p2ptwisted.node.local_node import LocalNode
from p2ptwisted.node.membership import Membership
from p2ptwisted.node.uploads import Upload, Uploads
from p2ptwisted.pieces import PIECE_MIN
from p2ptwisted.support.locations import Location, OwnLocation
from p2ptwisted.support.rate_limit import RateLimit
from p2ptwisted.test.node_fakes import FakeClient, FakeLibrary
from p2ptwisted.transfer.download import Download
from p2ptwisted.transfer.part_file import PartFile

SUPERNODE = "10.0.0.1:5000"
OWN = "10.0.0.9:8000"
#: Two who ask.
CALLER, OTHER = "10.0.0.5", "10.0.0.6"
HERE = ResourceInfo("a" * 64, "here", 5)
THERE = "b" * 64
NOWHERE = "c" * 64


def held(id: str, *locations: str) -> Holding:
    return Holding(id, HeldFile(locations[0], list(locations), "there", 7))


class FakeDownload:
    """A download as a node sees it."""

    def __init__(self) -> None:
        self.part: PartFile | None = None
        self.neighbors: list[str] = []
        #: Whom it has met, and who waits for news of it.
        self.met: list[str] = []
        self.waits: list[tuple[int, float, bool]] = []

    def meet(self, location: str) -> None:
        self.met.append(location)

    async def news(self, since: int, seconds: float, has_manifest: bool) -> None:
        self.waits.append((since, seconds, has_manifest))

    async def check(self, pieces: int) -> None:
        """All are right."""


class NodeCase(SynchronousTestCase):
    """A node with a library of one resource, whose supernode knows of another."""

    #: Networks whose callers may name other locations than their own.
    trusted: Sequence[str] = ()

    def setUp(self) -> None:
        clock = self.clock = Clock()
        self.client = FakeClient(clock)
        self.client.up.add(SUPERNODE)
        self.client.holdings[THERE] = held(THERE, "10.0.0.3:8000", "10.0.0.4:8000")
        self.library = FakeLibrary(HERE)
        self.library.contents[HERE.id] = b"bytes"
        own = OwnLocation(("10.0.0.9", 8000), lambda: Location("0.0.0.0", 8000))
        # Not started: where it is registered is all that the node asks of it.
        self.membership = Membership(
            clock, self.client, self.library.resources, "node1", own.towards, [], lambda: Deferred()
        )
        self.membership.supernode = SUPERNODE
        self.uploads = Uploads(clock, 2, RateLimit(None))
        #: What is being fetched.
        self.downloads: dict[str, FakeDownload] = {}
        #: Of which resources the pieces' SHA-1s were wanted, their sizes, and for whom.
        self.torrents: list[tuple[str, int, str]] = []
        self.node = LocalNode(
            clock,
            "node1",
            self.library,
            self.membership,
            self.client,
            own,
            self.uploads,
            lambda id: cast(Download | None, self.downloads.get(id)),
            self.sha1_pieces,
            [IPv4Network(network) for network in self.trusted],
        )

    async def sha1_pieces(self, id: str, size: int, caller: str) -> Sha1Pieces:
        self.torrents.append((id, size, caller))
        return Sha1Pieces(PIECE_MIN, b"1" * 20)

    def find(self, *ids: str) -> list[ResourceInfo | Holding]:
        return self.successResultOf(Deferred.fromCoroutine(self.find_coroutine(*ids)))

    async def find_coroutine(self, *ids: str) -> list[ResourceInfo | Holding]:
        return await self.find_for(CALLER, *ids)

    async def find_for(self, caller: str, *ids: str) -> list[ResourceInfo | Holding]:
        return await self.node.find(ids, caller)

    def free_uploads(self) -> int:
        """How many more answers with content there may be."""
        begun: list[Upload] = []
        while True:
            try:
                begun.append(self.uploads.begin(f"10.0.0.{len(begun) + 100}"))
            except Unavailable:
                break
        for upload in begun:
            upload.end()
        return len(begun)
