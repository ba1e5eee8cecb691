"""
The seams: what one part may expect of another.

The composed services are written against these, so each side can be tested
with a stand-in, and another provider (another overlay, another store) fits in.
"""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from p2ptwisted.model import Health, Holding, Node, Registration, Resource


class IRegistry(Interface):
    """Which node holds which resource. Soft state: the nodes can always tell it again."""

    def register(node: Node, resources: Sequence[Resource]) -> Deferred[None]:
        """
        Make this the node's whole list; it counts as seen.

        Fails with InvalidInput, nothing stored, where an id is not one, and
        with Unavailable where there are too many nodes.
        """

    def seen(location: str) -> bool:
        """Note that the node there is alive; False where there is none."""

    def remove(location: str) -> bool:
        """Forget the node there, at once and with all it holds; False where there is none."""

    def nodes() -> list[Node]:
        """All nodes, in the order in which they came."""

    def holdings(ids: Sequence[str]) -> list[Holding]:
        """Those of these (canonical) ids that a node holds, in the order asked for."""

    def find(
        file_name: str | None = None,
        node_name: str | None = None,
        ids: Sequence[str] | None = None,
    ) -> Deferred[list[Holding]]:
        """The holdings that match all that is given: part of a file's name, a node's name, ids."""


class ISupernode(Interface):
    """What a supernode does; `caller` is the address of whoever asks for it."""

    def register(registration: Registration, caller: str) -> Awaitable[None]:
        """Raises InvalidInput, and NotAllowed where the location is not the caller's."""

    def heartbeat(location: str, caller: str) -> None:
        """Raises InvalidInput, NotAllowed, and UnknownNode where it should register again."""

    def goodbye(location: str, caller: str) -> None:
        """Forget a node that leaves. Raises what heartbeat raises."""

    def search(id: str, caller: str) -> Awaitable[Holding | None]:
        """Who has it, here or at another supernode. Raises Unavailable."""

    def find(
        caller: str,
        file_name: str | None = None,
        node_name: str | None = None,
        ids: Sequence[str] | None = None,
    ) -> Awaitable[list[Holding]]:
        """
        Those that match all that is given; ids alone are also asked of the other supernodes.

        Raises Unavailable.
        """

    def nodes() -> list[Node]:
        """The nodes that are registered here."""

    def sweep() -> Awaitable[None]:
        """Check all nodes now, or join the check that is under way."""


class ISearchOverlay(Interface):
    """Asks the other supernodes."""

    def search(id: str) -> Deferred[tuple[str, ...]]:
        """
        The locations in the first answer; empty where nobody has it.

        Fails with Unavailable where too much is being asked.
        """

    def search_all(id: str) -> Deferred[tuple[str, ...]]:
        """The locations in all answers that came in time."""


class ILibrary(Interface):
    """What a node shares."""

    scanning = Attribute("bool: whether the first scan is still under way")

    def resources() -> list[Resource]:
        """All resources, in the order of their names."""

    def get(id: str) -> Resource | None:
        """The resource with this (canonical) id."""

    def open(id: str) -> BinaryIO:
        """
        Its content, as it was when it was hashed.

        Raises UnknownResource where it isn't here, or no longer as it was.
        """

    def watch(changed: Callable[[], None]) -> None:
        """Have `changed` called whenever the list has changed."""


class INode(Interface):
    """What a node does."""

    def health() -> Health:
        """How it is."""

    def resources() -> list[Resource]:
        """What it shares."""

    def open(id: str) -> tuple[Resource, BinaryIO] | None:
        """A resource of its own and its content, where it is here and as it was."""

    def find(ids: Sequence[str]) -> Awaitable[list[Resource | Holding]]:
        """
        Those of these (canonical) ids that anybody has, in the order asked for.

        A Resource is here; a Holding is at other nodes. Raises Unavailable
        where the supernode can't be asked.
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
