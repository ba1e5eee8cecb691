"""
The seams: what one part may expect of another.

The composed services are written against these, so each side can be tested
with a stand-in, and another provider (another overlay, another store) fits in.
"""

from collections.abc import Awaitable, Callable, Sequence
from os import stat_result
from pathlib import Path
from typing import BinaryIO, NamedTuple

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from p2ptwisted.model import (
    FetchStatus,
    FileStamp,
    Health,
    Holders,
    Holding,
    NodeInfo,
    Registration,
    ResourceInfo,
)
from p2ptwisted.pieces import Digests, Pieces


class IRegistry(Interface):
    """Which node holds which resource. Soft state: the nodes can always tell it again."""

    def register(
        node: NodeInfo, resources: Sequence[ResourceInfo], bounded: bool = False
    ) -> Deferred[None]:
        """
        Make this the node's whole list; it counts as seen.

        Fails with InvalidInput, nothing stored, where an id is not one, and
        with Unavailable where there are too many nodes or resources: in all,
        or, `bounded`, at the node's address.
        """

    def seen(location: str) -> bool:
        """Note that the node there is alive; False where there is none."""

    def remove(location: str) -> bool:
        """Forget the node there, at once and with all it holds; False where there is none."""

    def nodes() -> list[NodeInfo]:
        """All nodes, in the order in which they came."""

    def holdings(ids: Sequence[str], most: int = ...) -> list[Holding]:
        """
        Those of these (canonical) ids that a node holds, in the order asked for.

        Where one has many holders, those that came last, and of one address no more than its
        share (`fair`); `most` bounds them further.
        """

    def holders(id: str) -> Holders:
        """
        Who has that resource or a part of it, of one address no more than its share: the most
        recently seen of each address, then the second of each, and so on.
        """

    def find(
        file_name: str | None = None,
        node_name: str | None = None,
        ids: Sequence[str] | None = None,
    ) -> Deferred[list[Holding]]:
        """
        The holdings that match all that is given: part of a file's name, a node's name, ids.

        Fails with Unavailable where too many such searches are under way.
        """


class ISupernode(Interface):
    """What a supernode does; `caller` is the address of whoever asks for it."""

    def register(registration: Registration, caller: str) -> Awaitable[None]:
        """
        Raises InvalidInput, NotAllowed where the location is not the caller's,
        TooMuch, and Unavailable.
        """

    def heartbeat(location: str, caller: str) -> None:
        """Raises InvalidInput, NotAllowed, and UnknownNode where it should register again."""

    def goodbye(location: str, caller: str) -> None:
        """Forget a node that leaves. Raises what heartbeat raises."""

    def search(id: str, caller: str) -> Awaitable[Holding | None]:
        """Who has it, here or at another supernode. Raises TooMuch and Unavailable."""

    def find(
        caller: str,
        file_name: str | None = None,
        node_name: str | None = None,
        ids: Sequence[str] | None = None,
    ) -> Awaitable[list[Holding]]:
        """
        Those that match all that is given; ids alone are also asked of the other supernodes.

        Raises TooMuch and Unavailable.
        """

    def holders(id: str, caller: str, everywhere: bool) -> Awaitable[Holders]:
        """
        Who has it or a part of it: here, or `everywhere` in the group.

        Raises TooMuch and Unavailable.
        """

    def nodes() -> list[NodeInfo]:
        """The nodes that are registered here."""

    def sweep() -> Awaitable[None]:
        """Check all nodes now, or join the check that is under way."""


class ISearchOverlay(Interface):
    """Asks the other supernodes."""

    def search(id: str) -> Deferred[tuple[str, ...]]:
        """
        The locations in the first answer; empty where nobody has it.

        Fails with Unavailable where too much is being asked, or where somebody may have it
        and can't be asked in time.
        """

    def search_all(id: str) -> Deferred[tuple[str, ...]]:
        """The locations in all answers that came in time; fails as `search` does."""


class ILibrary(Interface):
    """What a node shares."""

    folder = Attribute("Path: the folder, absolute")
    scanning = Attribute("bool: whether the first scan is still under way")

    def resources() -> list[ResourceInfo]:
        """All resources, in the order of their names."""

    def get(id: str) -> ResourceInfo | None:
        """The resource with this (canonical) id."""

    def pieces(id: str) -> Pieces | None:
        """How that resource is cut, where it is here."""

    def open(id: str) -> BinaryIO:
        """
        Its content, as it was when it was hashed.

        Raises UnknownResource where it isn't here, or no longer as it was.
        """

    def adopt(path: Path, status: stat_result, digests: Digests) -> None:
        """
        Add a file that has come into the folder, with the digests that are known of it.

        `status` is of that very file: another may stand at `path` by now.
        """

    def watch(changed: Callable[[], None]) -> None:
        """Have `changed` called whenever the list has changed."""


class IDownloads(Interface):
    """Fetches resources into a node's library. All ids are canonical."""

    def start(id: str) -> FetchStatus:
        """Begin, or join the fetch under way. Raises Unavailable where too many wait."""

    def status(id: str) -> FetchStatus:
        """Raises UnknownResource where it was never started."""

    def all() -> list[FetchStatus]:
        """All that are known, the oldest first."""

    def cancel(id: str) -> None:
        """Break it off; what has come is kept. Raises UnknownResource."""


class IHasher(Interface):
    """Hashes files."""

    def is_large(size: int) -> bool:
        """Whether a file of so many bytes waits among the large ones, apart from the small."""

    def hash(folder: Path, name: str, stamp: FileStamp) -> Deferred[Digests]:
        """
        The digests of the file of that name in the folder, if it has that stamp.

        Fails with FileNotFoundError where it has another, or has another in the end; with
        OSError where it can't be read.
        """


class IFileDigest(Interface):
    """Makes the SHA-256 of a whole file while it grows."""

    def grown(size: int) -> None:
        """So many bytes of it, from the beginning on, are there and stay as they are."""

    def digest() -> Deferred[str]:
        """In hex, when all of it is there and hashed. Fails with Unavailable."""

    def stop() -> Deferred[None]:
        """It is not needed any more."""


class IUpload(Interface):
    """An answer with content that is on its way."""

    def sent(count: int) -> float:
        """So many bytes go out; the seconds to wait before more."""

    def end() -> None:
        """It is through, or its client has gone."""


class ContentSlice(NamedTuple):
    """What a node gives of a resource: the bytes from `start` to before `stop` of a file."""

    resource: ResourceInfo
    file: BinaryIO
    start: int
    stop: int
    upload: IUpload


class INode(Interface):
    """What a node does."""

    def health(caller: str) -> Health:
        """How it is, as whoever calls from that address may know it."""

    def resources() -> list[ResourceInfo]:
        """What it shares."""

    def open(id: str, client: str) -> ContentSlice | None:
        """
        The whole of a resource, where it is here and as it was, for `client`.

        Raises Unavailable where too much is being sent already.
        """

    def pieces(id: str) -> tuple[Pieces, int]:
        """
        How a resource is cut that is here or coming, and the set of the pieces that are here.

        Raises UnknownResource.
        """

    def give(id: str, wanted: str, client: str) -> ContentSlice:
        """
        Some consecutive pieces of those wanted (pieces.encode_set), for `client`.

        Raises InvalidInput, UnknownResource where none of them is here, and
        Unavailable where too much is being sent already.
        """

    def find(ids: Sequence[str], caller: str) -> Awaitable[list[ResourceInfo | Holding]]:
        """
        Those of these (canonical) ids that anybody has, in the order asked for.

        A Resource is here; a Holding is at other nodes. Raises Unavailable
        where the supernode can't be asked, and TooMuch where whoever calls
        from that address has asked for too much that nobody has.
        """


class IFolderWatch(Interface):
    """Tells that something in a tree of folders has changed. A hint, not a record."""

    complete = Attribute("bool: whether every folder entered is being watched")

    def begin(hint: Callable[[], None]) -> None:
        """A walk begins; `hint` is to be called at every change from now on."""

    def enter(folder: Path) -> None:
        """The walk has come to this folder: watch it too."""

    def stop() -> None:
        """Watch nothing any more."""
