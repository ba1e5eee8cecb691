"""
What one part may expect of another, as zope interfaces.

The services are written against these, so that each side can be tested with a
fake, and another provider (another overlay, another store) fits in. This module
imports only the model, the errors and the pieces.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from os import stat_result
from pathlib import Path
from typing import BinaryIO, NamedTuple

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from p2ptwisted.model import (
    DownloadStatus,
    FileStamp,
    FoundPart,
    GoneNode,
    Health,
    Holders,
    Holding,
    NodeInfo,
    Order,
    Registration,
    ResourceInfo,
    Wanted,
)
from p2ptwisted.pieces import Digests, HolderState, Pieces


class IRegistry(Interface):
    """Which node holds which resource. Soft state: the nodes can always register again."""

    def register(
        node: NodeInfo, resources: Sequence[ResourceInfo], bounded: bool = False
    ) -> Deferred[None]:
        """
        Replace the node's list by this one, and count the node as seen.

        Fails with InvalidInput, and stores nothing, if an id is malformed, and
        with Unavailable if there are too many nodes or resources: in all or,
        if `bounded`, at the node's address.
        """

    def seen(location: str) -> bool:
        """Note that the node at that location is alive; False if none is registered."""

    def is_reachable(location: str) -> bool:
        """Whether the node at that location can be reached there, as far as is known."""

    def mark_reachable(location: str, reachable: bool) -> None:
        """Note whether it can; those that can't are named after all other holders."""

    def remove(location: str) -> bool:
        """Forget the node at that location and its resources; False if none is registered."""

    def nodes() -> list[NodeInfo]:
        """All nodes, in the order in which they registered first."""

    def name_of(location: str) -> str | None:
        """The name of the node at that location; None if none is registered."""

    def holdings(ids: Sequence[str], most: int = ...) -> list[Holding]:
        """
        Where the resources with these (canonical) ids are, in the order of `ids`.

        Ids that no node holds are left out. Of many holders those that came last are given,
        and of one address no more than its share (`fair`); `most` bounds them further.
        """

    def holders(id: str) -> Holders:
        """
        The holders of that resource or a part of it, of one address no more than its share:
        the most recently seen of each address, then the second of each, and so on.
        """

    def find(
        file_name: str | None = None,
        node_name: str | None = None,
        ids: Sequence[str] | None = None,
    ) -> Deferred[list[Holding]]:
        """
        The holdings that match every argument given: part of a file's name, a node's name, ids.

        Fails with Unavailable if too many such searches are under way.
        """

    def ids_beginning(prefix: str) -> list[str]:
        """The first PREFIX_FOUND_MAX SHA-256s that begin with these digits, in their order."""

    def find_part(file_name: str | None, node_name: str | None, after: str) -> Deferred[FoundPart]:
        """
        A part of the holdings that match the names given, of which one is: those that come next
        after that id, or the first if it is empty. Fails as `find` does.
        """


class ISupernode(Interface):
    """What a supernode does; `caller` is the address that the request comes from."""

    def register(registration: Registration, caller: str) -> Awaitable[None]:
        """
        Store a node's list.

        Raises InvalidInput, NotAllowed if the location is not the caller's,
        TooMuch, and Unavailable.
        """

    def heartbeat(location: str, caller: str) -> str | None:
        """
        Count a node as seen; returns its location if it can't be reached there, else None.

        Raises InvalidInput, NotAllowed, and UnknownNode if it isn't listed.
        """

    def goodbye(location: str, caller: str) -> None:
        """Forget a node that leaves. Raises what `heartbeat` raises."""

    def search(id: str, caller: str) -> Awaitable[Holding | None]:
        """Where a resource is, here or at another supernode. Raises TooMuch and Unavailable."""

    def find(
        caller: str,
        file_name: str | None = None,
        node_name: str | None = None,
        ids: Sequence[str] | None = None,
    ) -> Awaitable[list[Holding]]:
        """
        The holdings that match every argument; the other supernodes are asked for ids alone.

        Raises TooMuch and Unavailable.
        """

    def find_beginning(prefix: str, caller: str) -> list[Holding]:
        """The holdings here of the SHA-256s that begin with these digits; of many the first."""

    def find_part(
        caller: str, file_name: str | None, node_name: str | None, after: str
    ) -> Awaitable[FoundPart]:
        """
        A part of the holdings here that match the names given, as in IRegistry.

        Raises TooMuch and Unavailable.
        """

    def holders(id: str, caller: str, everywhere: bool) -> Awaitable[Holders]:
        """
        The holders of a resource or a part of it: here, or `everywhere` in the group.

        Raises TooMuch and Unavailable.
        """

    def nodes() -> list[NodeInfo]:
        """The nodes that are registered here."""

    def gone() -> list[GoneNode]:
        """The nodes that were registered here, and went within the last hour; the last first."""

    def sweep() -> Awaitable[None]:
        """Check all nodes now, or wait for the check that is under way."""


class ISearchOverlay(Interface):
    """Searches at the other supernodes."""

    def search(id: str) -> Deferred[tuple[str, ...]]:
        """
        The locations in the first answer; empty if nobody has the resource.

        Fails with Unavailable if too many searches are under way, or if somebody may have it
        and can't be asked in time.
        """

    def search_all(id: str) -> Deferred[tuple[str, ...]]:
        """The locations in all answers that come in time; fails as `search` does."""


class ILibrary(Interface):
    """The resources that a node shares."""

    folder = Attribute("SharedFolder: where its files are")
    scanning = Attribute("bool: whether the first scan of the folder is still under way")

    def resources() -> list[ResourceInfo]:
        """All resources, in the order of their names; none while the folder is gone."""

    def get(id: str) -> ResourceInfo | None:
        """The resource with this (canonical) id, if it is here."""

    def pieces(id: str) -> Pieces | None:
        """The pieces of the resource with this id, if it is here."""

    def open(id: str) -> BinaryIO:
        """
        Open its content, as it was when it was hashed.

        Raises UnknownResource if it isn't here, or has changed.
        """

    def adopt(path: Path, status: stat_result, digests: Digests) -> None:
        """
        Add a file that has come into the folder, with the digests that are known of it.

        `status` is of that very file: another may stand at `path` by now.
        """

    def hint() -> None:
        """Look at the folder soon: something in it may have changed."""

    def watch(changed: Callable[[], None]) -> None:
        """Call `changed` whenever the list of resources has changed."""


class IDownloads(Interface):
    """Downloads into a node's library. All ids are canonical."""

    def start(id: str, name: str | None = None) -> DownloadStatus:
        """
        Begin a download, or join the one under way. Raises Unavailable if too many wait.

        `name`: what to call it; otherwise it gets the name that a supernode tells.
        """

    def start_all(orders: Sequence[Order]) -> list[DownloadStatus]:
        """
        Begin several, in this order, or join those under way; returns the states of those taken.

        Where there is no room for all, the last are left out. Raises Unavailable where none could
        be begun even so.
        """

    def status(id: str) -> DownloadStatus:
        """The state of a download. Raises UnknownResource if it was never started."""

    def all(ids: Sequence[str] | None = None) -> list[DownloadStatus]:
        """All known downloads, the oldest first; or those of these ids, in their order."""

    def cancel(id: str) -> None:
        """Cancel a download; what has come is kept. Raises UnknownResource."""


class IHasher(Interface):
    """Hashes files."""

    def is_large(size: int) -> bool:
        """Whether a file of so many bytes waits among the large ones, apart from the small."""

    def hash(folder: Path, name: str, stamp: FileStamp) -> Deferred[Digests]:
        """
        The digests of the file of that name in the folder, if it has that stamp.

        Fails with FileNotFoundError where it has another, or has another in the end; with
        OSError where it can't be read, and with EBUSY where somebody may be writing it.
        """


class IUpload(Interface):
    """An answer with content that is under way."""

    def sent(count: int) -> float:
        """Count bytes that go out; the seconds to wait before more."""

    def end() -> None:
        """End it: it is sent, or its client has gone."""


class Asker(NamedTuple):
    """Who asks for pieces: its address, and the location of the node that it says it is."""

    address: str
    location: str | None = None


class ContentSlice(NamedTuple):
    """A range of a resource that a node sends: of `file` from `start` to before `stop`."""

    resource: ResourceInfo
    file: BinaryIO
    start: int
    stop: int
    upload: IUpload
    #: What is said of the resource's pieces, where it is pieces that are sent.
    state: HolderState | None = None


class Sources(NamedTuple):
    """A resource that is here, and where else it is, for clients that fetch by HTTP alone."""

    id: str
    #: What it may be saved as anywhere; no folder is in it.
    name: str
    pieces: Pieces
    #: Of the nodes that have it, this one first.
    locations: Sequence[str]


class Sha1Pieces(NamedTuple):
    """How a resource is cut for BitTorrent, and the SHA-1s of the pieces, concatenated."""

    #: Bytes of each piece but the last.
    length: int
    digests: bytes


class INode(Interface):
    """What a node does."""

    def health(caller: str) -> Health:
        """The node's state, as a caller from that address may know it."""

    def resources() -> list[ResourceInfo]:
        """The resources that it shares."""

    def open(id: str, client: str) -> ContentSlice | None:
        """
        All of a resource, to be sent to `client`; None if it isn't here, or has changed.

        Raises Unavailable if too many uploads are under way.
        """

    def mirrors(id: str, caller: str) -> Awaitable[Sequence[str]]:
        """
        The locations of some others that have a resource, for a client that reads it here.

        None where it is small. No search is waited for.
        """

    def sources(id: str, caller: str) -> Awaitable[Sources | None]:
        """A resource and where it is, for a client at that address; None if it isn't here."""

    def sha1_pieces(sources: Sources, caller: str) -> Awaitable[Sha1Pieces]:
        """
        The SHA-1s of a resource's pieces.

        Raises UnknownResource if it has changed or is empty, and Unavailable if they are not known
        in time.
        """

    def pieces(id: str, asker: Asker) -> HolderState:
        """
        What is here or has come of a resource's pieces, and who else fetches it.

        Raises UnknownResource.
        """

    def news(id: str, since: int, seconds: float, has_manifest: bool) -> Awaitable[None]:
        """
        Wait, but no longer than that, until the number of its pieces is not `since`.

        For who asks without knowing a manifest, not `has_manifest`, only until that is here.
        """

    def sending_manifest(id: str, size: int, others: Sequence[str]) -> AbstractContextManager[None]:
        """
        Count a manifest of `size` bytes as being sent, to a node that can ask the `others` for it.

        Raises Busy, which names them, if enough are being sent.
        """

    def give(id: str, wanted: Wanted, asker: Asker) -> Awaitable[ContentSlice]:
        """
        Some consecutive ones of the wanted pieces, to send to who asks, when it is its turn.

        Raises InvalidInput, UnknownResource if none of them is here, and
        Unavailable if too many uploads are under way.
        """

    def find(ids: Sequence[str], caller: str) -> Awaitable[list[ResourceInfo | Holding]]:
        """
        What is known of the resources with these (canonical) ids, in the order of `ids`.

        A ResourceInfo is here, a Holding at other nodes; what nobody has is left out. Raises
        Unavailable if the supernode can't be asked, and TooMuch if the caller's address has
        searched too much that nobody has.
        """


class IFolderWatch(Interface):
    """Watches a tree of folders for changes. It gives hints, not a record."""

    complete = Attribute("bool: whether every folder entered is being watched")

    def begin(
        hint: Callable[[], None],
        written: Callable[[Path], None] = ...,
        changed: Callable[[str, bool], None] = ...,
    ) -> None:
        """
        Begin a walk, and tell of every change from now on.

        `changed` is called with the path of what came, went or changed, and whether that is a
        folder; then everything in the folder may have changed. Before that `written` is called with
        the path of a file that was open for writing, and no longer is: its times may be what they
        were. `hint` is called where anything may have changed.
        """

    def enter(folder: Path) -> None:
        """Watch this folder too, which the walk has come to."""

    def stop() -> None:
        """Stop watching."""
