"""Which supernodes a node tries, and in which order: those that its user named, and others."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from random import Random

from twisted.internet.defer import succeed

from p2ptwisted.errors import Unavailable
from p2ptwisted.support.round_robin import alternating, host_of, in_turns

#: Supernodes that are tried of all that are found: one that doesn't answer costs seconds.
TRIED_MAX = 32

#: A supernode's place among those named, and what resolves it; it may raise InvalidInput.
Candidate = tuple[int, Callable[[], Awaitable[str]]]


class SupernodeSelector:
    """The supernodes that a node may register at."""

    def __init__(
        self,
        given: Sequence[Callable[[], Awaitable[str]]],
        discover: Callable[[], Awaitable[Sequence[str]]],
        random: Random,
    ) -> None:
        """
        `given` are those that the user named, in order of preference, each
        resolved when it is called. `discover` finds the locations of others.
        """
        self._given = given
        self._discover = discover
        self._random = random
        #: Which of those given comes next.
        self._turn = 0

    @property
    def are_given(self) -> bool:
        return bool(self._given)

    async def given_in_turn(self) -> list[Candidate]:
        """Those given, beginning with the one whose turn it is."""
        count = len(self._given)
        turns = [(self._turn + number) % count for number in range(count)]
        return [(turn, self._given[turn]) for turn in turns]

    async def discovered(self) -> list[Candidate]:
        """
        Those found by multicast, in any order, so that nodes spread over them.

        Each address has its first before any has its second: one that claims to have
        many costs the others no more time, nor nodes, than one that has one.
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
        # The order that they have by now is that of how many they are.
        self._random.shuffle(lists)
        supernodes = alternating(lists)
        return [(self._turn - 1, partial(succeed, supernode)) for supernode in supernodes]

    def taken(self, turn: int) -> None:
        """This one has taken the node: the one after it comes next, should it be gone one day."""
        self._turn = turn + 1
