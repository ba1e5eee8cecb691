"""
All that the supernodes of a group find by a part of a name, however much that is: the parts of
their answers are merged in the order of the ids, so that little of it is here at a time.
"""

from collections import deque
from collections.abc import AsyncIterator

from twisted.internet.defer import Deferred

from p2ptwisted.cli.matches import FoundResource, merge
from p2ptwisted.cli.members import Members
from p2ptwisted.client.transport import Refused
from p2ptwisted.errors import Unavailable
from p2ptwisted.model import Holding, id_order
from p2ptwisted.support.lifecycle import all_of

#: Parts taken of one supernode's answer: ten million ids, twice what one keeps.
PARTS_MAX = 10_000


class NameListing:
    """All resources with `part` in one of their names."""

    def __init__(self, members: Members, part: str) -> None:
        self.members = members
        self.part = part
        #: The supernodes that told not all that they know, or nothing, and why.
        self.troubles: list[str] = []
        #: Whether something is missing for sure.
        self.is_incomplete = False

    async def each(self) -> AsyncIterator[FoundResource]:
        """Each of them, in the order of their ids. Raises CommandError if nobody can be asked."""
        streams = [_Stream(self, one) for one in await self.members.supernodes()]
        await all_of([Deferred.fromCoroutine(one.fill()) for one in streams])
        if all(one.error is not None for one in streams):
            raise await self.members.no_answer()
        while heads := [one.holdings[0] for one in streams if one.holdings]:
            first = min(heads, key=lambda head: id_order(head.id)).id
            found = FoundResource(first, None, None, [], [])
            for stream in streams:
                if stream.holdings and stream.holdings[0].id == first:
                    merge(found, stream.holdings.popleft(), self.part)
            yield found
            empty = [one for one in streams if not one.holdings and not one.has_ended]
            await all_of([Deferred.fromCoroutine(one.fill()) for one in empty])
        for stream in streams:
            await stream.explain()


class _Stream:
    """What one supernode finds."""

    def __init__(self, listing: NameListing, supernode: str) -> None:
        self._listing = listing
        self._supernode = supernode
        self._next: str | None = ""
        self._parts = 0
        self._is_cut = False
        self.holdings: deque[Holding] = deque()
        self.error: Unavailable | Refused | None = None

    @property
    def has_ended(self) -> bool:
        return self._next is None

    async def fill(self) -> None:
        """Ask for the next part, until one has something in it or there is none."""
        members, part = self._listing.members, self._listing.part
        while not self.holdings and self._next is not None:
            if self._parts >= PARTS_MAX:
                self._is_cut, self._next = True, None
                return
            try:
                answer = await members.client.search_part(self._supernode, part, self._next)
            except (Unavailable, Refused) as error:
                self.error, self._next = error, None
                members.note_silent(self._supernode, error)
                return
            self._parts += 1
            self.holdings.extend(answer.holdings)
            self._next, self._is_cut = answer.next, answer.is_cut

    async def explain(self) -> None:
        """Say what is missing of it."""
        listing = self._listing
        if self.error is not None:
            why = await listing.members.why_silent(self._supernode)
            what = "the rest of what it knows" if self._parts else "what only it knows"
            listing.troubles.append(f"{why.line} ({what} is missing here)")
            listing.is_incomplete = listing.is_incomplete or bool(self._parts)
        elif self._is_cut:
            listing.troubles.append(
                f"supernode {self._supernode} does not tell all that it finds: it is of an earlier "
                "version, or there is too much. Give more of the name"
            )
            listing.is_incomplete = True
