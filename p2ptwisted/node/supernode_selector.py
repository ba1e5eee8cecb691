"""Which supernodes a node tries, and in which order: the named ones, and discovered ones."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from random import Random

from twisted.internet.defer import succeed

from p2ptwisted.errors import Unavailable
from p2ptwisted.support.round_robin import alternating, host_of, in_turns

#: Discovered supernodes that are tried: one that doesn't answer costs seconds.
TRIED_MAX = 32

#: A supernode's place among those named, and what resolves its location; that may raise
#: InvalidInput.
Candidate = tuple[int, Callable[[], Awaitable[str]]]


class SupernodeSelector:
    """The supernodes that a node may register at."""

    def __init__(
        self,
        named: Sequence[Callable[[], Awaitable[str]]],
        discover: Callable[[], Awaitable[Sequence[str]]],
        random: Random,
    ) -> None:
        """
        `named` are those that the user named, in order of preference, each
        resolved when it is called. `discover` finds the locations of others.
        """
        self._named = named
        self._discover = discover
        self._random = random
        #: Which of the named ones comes next.
        self._turn = 0

    @property
    def are_named(self) -> bool:
        """Whether the user named any."""
        return bool(self._named)

    async def named_in_turn(self) -> list[Candidate]:
        """The named ones, beginning with the one whose turn it is."""
        count = len(self._named)
        turns = [(self._turn + number) % count for number in range(count)]
        return [(turn, self._named[turn]) for turn in turns]

    async def discovered(self) -> list[Candidate]:
        """
        Those found by multicast, in random order, so that nodes spread over them.

        The first of each address comes before the second of any. So an address that
        claims to have many supernodes takes no more time or nodes from the others
        than one that has a single supernode.
        """
        try:
            found = in_turns(await self._discover(), TRIED_MAX)
        except Unavailable:
            return []
        self._random.shuffle(found)
        by_address: dict[str, list[str]] = {}
        for supernode in found:
            by_address.setdefault(host_of(supernode), []).append(supernode)
        lists = list(by_address.values())
        # So far, an address with many supernodes is likely to come early.
        self._random.shuffle(lists)
        supernodes = alternating(lists)
        return [(self._turn - 1, partial(succeed, supernode)) for supernode in supernodes]

    def taken(self, turn: int) -> None:
        """Note the one that has taken the node: the next one comes after it, should it be gone."""
        self._turn = turn + 1
