"""
The holders of one resource: looked up, asked which pieces they have, and kept
apart where they disagree about the pieces' digests.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2ptwisted.calls import Refused
from p2ptwisted.client import Client
from p2ptwisted.errors import Unavailable
from p2ptwisted.model import Holders
from p2ptwisted.pieces import Pieces, every_piece

#: Holders asked for one resource at a look-up.
SOURCES_MAX = 64

#: Holders asked in all, however long the fetch is: whom a supernode makes up costs a call each.
ASKED_MAX = 256

_log = Logger()


@dataclass(eq=False)
class Group:
    """Holders that say the same of the pieces, and what each of them has."""

    pieces: Pieces
    has: dict[str, int] = field(default_factory=dict)


class Sources:
    """Who can be asked for one resource."""

    def __init__(
        self,
        client: Client,
        id: str,
        find: Callable[[bool], Awaitable[Holders]],
        changed: Callable[[], None],
    ) -> None:
        """`find` is Fetch's; `changed`: there is news."""
        self._client = client
        self._id = id
        self._find = find
        self._changed = changed
        self._groups: list[Group] = []
        self._asking: dict[str, Deferred[None]] = {}
        self.name: str | None = None
        #: Why a holder is not asked, by location.
        self.troubles: dict[str, str] = {}
        self._liars: set[str] = set()
        #: All that were ever asked.
        self._asked: set[str] = set()

    async def look_up(self, here: bool = False) -> bool:
        """
        Ask those who are not known yet; False where nobody is said to have it.

        `here`: only those that the own supernode knows. Raises Unavailable.
        """
        holders = await self._find(here)
        self.name = self.name or holders.name
        locations = [*holders.locations, *holders.partial][:SOURCES_MAX]
        known = self._liars.union(*(group.has for group in self._groups))
        for location in locations:
            if location not in known and (location in self._asked or len(self._asked) < ASKED_MAX):
                self._asked.add(location)
                self._ask(location)
        return bool(locations)

    def poll(self, group: Group) -> None:
        """Ask those who have only a part whether it has grown."""
        whole = every_piece(group.pieces.count)
        for location, has in group.has.items():
            if has != whole:
                self._ask(location)

    def best(self) -> Group | None:
        """The group with the most holders."""
        used = [group for group in self._groups if group.has]
        return max(used, key=lambda group: len(group.has), default=None)

    def has_others(self, group: Group) -> bool:
        """Whether somebody says something else of the pieces."""
        return any(other is not group and other.has for other in self._groups)

    @property
    def asking(self) -> bool:
        """Whether some have yet to answer."""
        return bool(self._asking)

    def discard(self, group: Group, reason: str) -> None:
        """These have lied: the reason is kept, and they are not asked again."""
        self._groups.remove(group)
        for location in group.has:
            self._liars.add(location)
            self.troubles[location] = reason

    def stop(self) -> None:
        for asking in list(self._asking.values()):
            asking.cancel()

    def _ask(self, location: str) -> None:
        if location in self._asking:
            return

        def done(result: object) -> None:
            del self._asking[location]
            if isinstance(result, Failure) and not result.check(CancelledError):
                _log.failure("Asking {location} failed", failure=result, location=location)
            self._changed()

        asking = self._asking[location] = Deferred.fromCoroutine(self._ask_pieces(location))
        asking.addBoth(done)

    async def _ask_pieces(self, location: str) -> None:
        try:
            pieces, has = await self._client.pieces(location, self._id)
        except (Refused, Unavailable) as error:
            # What is said of a liar stays.
            if location not in self._liars:
                self.troubles[location] = str(error)
            return
        if location in self._liars:
            return
        self.troubles.pop(location, None)
        for group in self._groups:
            group.has.pop(location, None)
        for group in self._groups:
            if group.pieces == pieces:
                group.has[location] = has
                return
        self._groups.append(Group(pieces, {location: has}))
