"""
A node's membership: registered at one supernode, with a heartbeat, and moved
to another when that one is gone.
"""

from collections.abc import Awaitable, Callable, Sequence
from random import Random

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from p2ptwisted.addresses import parse_location
from p2ptwisted.calls import Refused
from p2ptwisted.client import Client
from p2ptwisted.errors import InvalidInput, Unavailable
from p2ptwisted.model import RESOURCES_MAX, Registration, Resource

#: Seconds between two heartbeats.
BEAT = 5.0

#: The same after one without an answer; a silent supernode takes 2 s to be so.
BEAT_AGAIN = 3.0

#: Heartbeats without an answer after which a supernode is gone.
BEATS_MISSED = 2

#: Seconds, at the most, by which a move or another try is put off, so that
#: the nodes of a dead supernode don't all come at once.
JITTER = 1.0

#: Seconds, at the least, between two tries to find any supernode.
RETRY = 1.0

#: Supernodes that are remembered as given up.
LEFT_MAX = 16

#: Seconds at the start in which only the supernodes that the user named are tried.
PATIENCE = 10.0

#: After a registration, so many times as long as it took nothing is registered:
#: a huge list that keeps changing must not be all that the group is busy with.
REGISTER_REST = 5

#: Seconds, and seconds a resource, beyond which a registration took long for
#: another reason than its length: a bad network is no ground to rest.
REGISTER_LONG, REGISTER_LONG_EACH = 1.0, 0.3e-3

_log = Logger()


class Membership(Service):
    """Keeps a node registered at one supernode."""

    def __init__(
        self,
        clock: IReactorTime,
        client: Client,
        resources: Callable[[], list[Resource]],
        name: str,
        own_location: Callable[[str], str],
        given: Sequence[Callable[[], Awaitable[str]]],
        discover: Callable[[], Awaitable[Sequence[str]]],
        random: Random | None = None,
    ) -> None:
        """
        `resources` is what to register. `own_location` is what to tell a host where this node is.

        `given` are the supernodes that the user named, in order of preference,
        each resolved when it is called; it may raise InvalidInput. `discover`
        finds the locations of those that nobody named.
        """
        self._clock = clock
        self._client = client
        self._resources = resources
        self._name = name
        self._own_location = own_location
        self._given = given
        self._discover = discover
        self._random = random or Random()
        #: The location of the supernode that this node is registered at.
        self.supernode: str | None = None
        #: Supernodes given up; when they are back they may still list this node.
        self._left: list[str] = []
        #: Which of those given comes next.
        self._turn = 0
        self._joined_before = False
        #: Why there is no supernode yet.
        self._problem = ""
        self._changed = False
        self._rest_until = 0.0
        self._until_change: Deferred[None] | None = None
        self._living: Deferred[None] | None = None

    def startService(self) -> None:
        super().startService()
        self._living = Deferred.fromCoroutine(self._live())
        self._living.addErrback(lambda failure: failure.trap(CancelledError))

    def stopService(self) -> Deferred[None]:
        """Leave politely: the supernode forgets this node at once."""
        super().stopService()
        return Deferred.fromCoroutine(self._leave())

    async def _leave(self) -> None:
        if self._living is not None:
            self._living.cancel()
        if self.supernode is not None:
            supernode, self.supernode = self.supernode, None
            try:
                await self._client.goodbye(supernode, self._location(supernode))
            except (Refused, Unavailable):
                pass  # Then its sweep will notice.

    async def _live(self) -> None:
        while True:
            try:
                self.supernode = await self._join()
                await self._stay(self.supernode)
            except Exception as error:
                if isinstance(error, CancelledError) and not self.running:
                    raise
                _log.failure("Membership went wrong; joining again")
            if self.supernode is not None:
                _log.warn("Supernode {supernode} is gone", supernode=self.supernode)
                self._left = [*self._left, self.supernode][-LEFT_MAX:]
                self.supernode = None
            await self._wait(self._random.uniform(0, JITTER))

    # -- finding one

    async def _join(self) -> str:
        """Register at the next supernode that takes this node; tries until one does."""
        told = False
        # Whoever names supernodes and starts them after the node wants these, not any.
        others_from = self._clock.seconds()
        if self._given and not self._joined_before:
            others_from += PATIENCE
        # Silent, it would cost its time limit once more: any other comes first.
        given_up = self._left[-1:]
        while True:
            self._problem = "none was named with --supernode, and none answers by multicast"
            for find in (self._given_in_turn, self._discovered):
                # Looked at only now: the first of the two can take its time.
                if find == self._discovered and self._clock.seconds() < others_from:
                    break
                for turn, supernode in await find():
                    if supernode in given_up:
                        self._problem = f"{supernode} has just been given up"
                        continue
                    try:
                        await self._register(supernode)
                    except (Refused, Unavailable) as error:
                        self._problem = f"{supernode}: {error}"
                        continue
                    # The one after this, should this one be gone one day.
                    self._turn = turn + 1
                    self._joined_before = True
                    return supernode
            given_up = []
            if not told:
                _log.warn("No supernode yet ({problem}); trying on", problem=self._problem)
                told = True
            await self._wait(RETRY + self._random.uniform(0, JITTER))

    async def _given_in_turn(self) -> list[tuple[int, str]]:
        """Those given that have an address, beginning with the one whose turn it is."""
        count, supernodes = len(self._given), []
        for number in range(count):
            turn = (self._turn + number) % count
            try:
                supernodes.append((turn, await self._given[turn]()))
            except InvalidInput as error:
                self._problem = str(error)
        return supernodes

    async def _discovered(self) -> list[tuple[int, str]]:
        """Those found by multicast, in any order, so that nodes spread over them."""
        try:
            supernodes = list(await self._discover())
        except Unavailable:
            return []
        self._random.shuffle(supernodes)
        return [(self._turn - 1, supernode) for supernode in supernodes]

    # -- staying there

    async def _stay(self, supernode: str) -> None:
        """Heartbeats and changes, until the supernode is gone."""
        missed = 0
        began = self._clock.seconds()
        while missed < BEATS_MISSED:
            now = self._clock.seconds()
            # From the beginning of one to that of the next, for an answer can take its time.
            beat = began + (BEAT_AGAIN if missed else BEAT) - now
            # A supernode that may be gone gets its time, however often the library changes.
            if self._changed and not missed:
                await self._wait(min(beat, self._rest_until - now))
            else:
                await self._wait(beat, or_change=not missed)
            began = self._clock.seconds()
            try:
                due = self._changed and self._clock.seconds() >= self._rest_until
                location = self._location(supernode)
                if due or not await self._client.heartbeat(supernode, location):
                    await self._register(supernode)
                missed = 0
                await self._leave_another()
            except (Refused, Unavailable) as error:
                missed += 1
                _log.debug("{supernode}: {error}", supernode=supernode, error=error)

    async def _register(self, supernode: str) -> None:
        began = self._clock.seconds()
        self._changed = False
        resources = self._resources()
        if len(resources) > RESOURCES_MAX:
            _log.warn(
                "Only the first {most} of {count} resources are registered: "
                "share the others from another node",
                most=RESOURCES_MAX,
                count=len(resources),
            )
        try:
            await self._client.register(
                supernode,
                Registration(self._location(supernode), resources[:RESOURCES_MAX], self._name),
            )
        except (Refused, Unavailable):
            self._changed = True
            raise
        if supernode in self._left:
            self._left.remove(supernode)
        _log.info(
            "Registered {count} resources at {supernode}",
            count=len(resources),
            supernode=supernode,
        )
        now = self._clock.seconds()
        took = min(now - began, REGISTER_LONG + len(resources) * REGISTER_LONG_EACH)
        self._rest_until = now + took * REGISTER_REST

    async def _leave_another(self) -> None:
        """Say goodbye to one of those given up, should it be back with this node in its list."""
        if not self._left:
            return
        supernode = self._left.pop(0)
        try:
            await self._client.goodbye(supernode, self._location(supernode))
        except Refused:
            pass
        except Unavailable:
            self._left.append(supernode)

    def _location(self, supernode: str) -> str:
        return self._own_location(parse_location(supernode).host)

    # -- waiting

    async def _wait(self, seconds: float, or_change: bool = False) -> None:
        """Let time pass; `or_change`: only until the library has changed."""
        if or_change and self._changed:
            return
        waiting: Deferred[None] = deferLater(self._clock, max(0, seconds))
        if or_change:
            self._until_change = waiting
        try:
            await waiting
        except CancelledError:
            if not self.running:
                raise
        finally:
            self._until_change = None

    def changed(self) -> None:
        """There is something else to register."""
        self._changed = True
        if self._until_change is not None:
            self._until_change.cancel()
