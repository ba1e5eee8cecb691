"""
The questions that nodes ask supernodes during a history. Answers must be right
always, and complete while all is well.
"""

from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from p2ptwisted.errors import TooMuch, Unavailable
from p2ptwisted.model import Holders, Holding
from simulation.group import Group
from simulation.members import SupernodeMember
from simulation.older_peer import OlderPeer
from simulation.promises import BrokenPromise, Promises

#: The part of the ids asked for amid mishaps that somebody gave up.
GIVEN_UP = 0.1

#: Ids in one burst; a node asks for up to 200, each of which is a search of its own.
BURST = 5


class Questions:
    """Asks random supernodes in the name of random nodes."""

    def __init__(
        self,
        group: Group,
        promises: Promises,
        random: Random,
        fail: Callable[[str], None],
        record: Callable[[object], None],
    ) -> None:
        """`fail` is called with what is wrong, `record` with every answer."""
        self._group = group
        self._promises = promises
        self._random = random
        self._fail = fail
        self._record = record
        #: Whether all is well, so that everything that a living node has must be found.
        self.all_is_well = False
        #: How many ids were asked for that a living node had; how many of them were found,
        #: how many not, and how many weren't looked for, because of too little time or room.
        self.asked = self.answers = self.misses = self.refused = 0
        #: How many questions must be answered and are not yet.
        self.open = 0

    # -- asking

    def search(self) -> None:
        """Search for one id."""
        id = self._some_id()
        self._ask([id], lambda supernode, caller: self._search(supernode, id, caller))

    def burst(self, older: OlderPeer | None = None) -> None:
        """Search for several ids at once, two of them the older peer's if there is one."""
        ids = [self._some_id() for _ in range(BURST)]
        if older is not None:
            # Its second answer comes while another search is still under way.
            for place in self._random.sample(range(BURST), 2):
                ids[place] = self._random.choice(older.ids)
        ids = list(dict.fromkeys(ids))
        self._ask(ids, lambda supernode, caller: supernode.supernode.find(caller, ids=ids))

    def holders(self) -> None:
        """Ask for all holders of one id."""
        id = self._some_id()
        self._ask([id], lambda supernode, caller: self._holders(supernode, id, caller))

    def _some_id(self) -> str:
        """Returns an id that a living node has or, amid mishaps, now and then one given up."""
        random, lost = self._random, self._group.truth.lost
        if lost and not self.all_is_well and random.random() < GIVEN_UP:
            return random.choice(list(lost))[1]
        while not (node := random.choice(self._group.nodes)).is_alive:
            pass  # At least half of them are, and a list of those would take longer.
        return random.choice(node.resources).id

    async def _search(self, supernode: SupernodeMember, id: str, caller: str) -> list[Holding]:
        found = await supernode.supernode.search(id, caller)
        return [] if found is None else [found]

    async def _holders(self, supernode: SupernodeMember, id: str, caller: str) -> list[Holders]:
        found = await supernode.supernode.holders(id, caller, everywhere=True)
        return [found] if found.locations else []

    # -- being answered

    def _ask(
        self,
        ids: Sequence[str],
        ask: Callable[
            [SupernodeMember, str], Coroutine[Deferred[Any], Any, Sequence[Holding | Holders]]
        ],
    ) -> None:
        awake = self._group.awake()
        if not awake:
            return
        supernode, node = self._random.choice(awake), self._random.choice(self._group.nodes)
        must = self.all_is_well
        sought = [id for id in ids if self._group.truth.is_held(id)]
        self.asked += len(sought)
        self.open += must

        def answered(found: Sequence[Holding | Holders]) -> None:
            self._record(found)
            self._check(ids, found)
            missed = set(sought) - {one.id for one in found}
            self.answers += len(sought) - len(missed)
            self.misses += sum(map(self._group.truth.is_held, missed))
            if must and missed:
                raise BrokenPromise(
                    f"{supernode.process.location} finds nobody with {sorted(missed)}"
                )

        def unanswered(failure: Failure) -> None:
            self.refused += len(sought)
            if must or not failure.check(Unavailable, TooMuch):
                self._fail(failure.getTraceback())

        def done(result: object) -> None:
            self.open -= must

        asked = Deferred.fromCoroutine(ask(supernode, node.process.address))
        asked.addCallback(answered).addErrback(unanswered).addBoth(done)

    def _check(self, ids: Sequence[str], found: Sequence[Holding | Holders]) -> None:
        """Check that it answers what was asked, in that order, and is right."""
        if [one.id for one in found] != [id for id in ids if any(id == one.id for one in found)]:
            raise BrokenPromise(f"asked for {ids}: {found}")
        for one in found:
            if isinstance(one, Holders):
                self._promises.holders(one)
            else:
                self._promises.found(one)
