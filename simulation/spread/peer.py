"""A node of a virtual LAN that shares a file or downloads it, made of the real parts of one."""

import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import BinaryIO

from twisted.internet.defer import succeed
from zope.interface import implementer

from p2ptwisted.errors import Unavailable, UnknownResource
from p2ptwisted.interfaces import ILibrary, Sha1Pieces
from p2ptwisted.model import ResourceInfo
from p2ptwisted.node.downloads import Downloads
from p2ptwisted.node.local_node import LocalNode
from p2ptwisted.node.membership import Membership
from p2ptwisted.node.uploads import Uploads
from p2ptwisted.pieces import Digests, Pieces
from p2ptwisted.support.locations import Location, OwnLocation
from p2ptwisted.support.rate_limit import RateLimit
from p2ptwisted.transfer.shared_folder import SharedFolder
from simulation.members import one_step_at_a_time, resolved
from simulation.spread.lan import LanHost
from simulation.spread.link_client import LinkClient

#: The default of the option (config.py).
UPLOADS = 64


@implementer(ILibrary)
class PeerLibrary:
    """A library of the files that are put into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = SharedFolder(folder)
        self.scanning = False
        #: By id.
        self._paths: dict[str, Path] = {}
        self._pieces: dict[str, Pieces] = {}
        self._watchers: list[Callable[[], None]] = []

    def resources(self) -> list[ResourceInfo]:
        return [resource for id in self._paths if (resource := self.get(id)) is not None]

    def get(self, id: str) -> ResourceInfo | None:
        path = self._paths.get(id)
        return None if path is None else ResourceInfo(id, path.name, self._pieces[id].size)

    def pieces(self, id: str) -> Pieces | None:
        return self._pieces.get(id)

    def open(self, id: str) -> BinaryIO:
        if id not in self._paths:
            raise UnknownResource(id)
        return open(self._paths[id], "rb", buffering=0)

    def adopt(self, path: Path, status: os.stat_result, digests: Digests) -> None:
        self._paths[digests.id] = path
        self._pieces[digests.id] = Pieces(status.st_size, digests.pieces, digests.prefixes)
        for changed in self._watchers:
            changed()

    def hint(self) -> None:
        """Nobody else writes into the folder."""

    def watch(self, changed: Callable[[], None]) -> None:
        self._watchers.append(changed)


async def _no_torrent(id: str, size: int, caller: str) -> Sha1Pieces:
    raise Unavailable("nobody asks for torrents here")


class Peer:
    """A node on a host of its own."""

    def __init__(
        self, host: LanHost, client: LinkClient, supernode: str, folder: Path, random: Random
    ) -> None:
        process = host.process
        self.host = host
        folder.mkdir()
        self.library = PeerLibrary(folder)
        own_location = OwnLocation((host.address, 8000), lambda: Location("0.0.0.0", 0))
        self.membership = Membership(
            process,
            client,
            lambda: [*self.library.resources(), *self.downloads.resources()],
            host.address,
            own_location.towards,
            [resolved(supernode)],
            lambda: succeed([]),
            random,
        )
        host.node = self.node = LocalNode(
            process,
            host.address,
            self.library,
            self.membership,
            client,
            own_location,
            Uploads(process, UPLOADS, RateLimit(None)),
            lambda id: self.downloads.running_one(id),
            _no_torrent,
        )
        self.downloads = Downloads(
            process,
            client,
            one_step_at_a_time(process),
            lambda file: succeed(None),
            self.library,
            self.node.holders,
            RateLimit(None),
            self.membership.changed,
        )
        self.library.watch(self.membership.changed)
        #: When it had the file.
        self.done_at: float | None = None
        self.library.watch(self._adopted)
        self._is_leaving = False

    def start(self) -> None:
        """Join the group."""
        self.downloads.startService()
        self.membership.startService()

    def share(self, name: str, content: bytes, digests: Digests) -> None:
        """Share a file, from the beginning."""
        path = self.library.folder.path / name
        path.write_bytes(content)
        self.library.adopt(path, path.stat(), digests)

    def fetch(self, id: str) -> None:
        """Begin to download, unless it is about to stop."""
        if self.is_alive:
            self.downloads.start(id)

    def _adopted(self) -> None:
        self.done_at = self.host.process.seconds()

    @property
    def is_alive(self) -> bool:
        """Whether it is neither dead nor leaving."""
        return not (self.host.process.is_dead or self._is_leaving)

    def kill(self, with_host: bool) -> None:
        self._is_leaving = True
        self.host.kill(with_host)

    def leave(self) -> None:
        """Stop it as a signal would, for good."""
        self._is_leaving = True
        self.downloads.stopService()
        self.membership.stopService().addCallback(lambda _: self.host.kill(with_host=False))
