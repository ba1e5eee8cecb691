"""
A node's membership: registered at one supernode, with heartbeats, and moved
to another when that one is gone.
"""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from random import Random
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import (
    CancelledError,
    Deferred,
    DeferredList,
    FirstError,
)
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from p2ptwisted.client.api import Client
from p2ptwisted.client.transport import Refused
from p2ptwisted.errors import InvalidInput, Unavailable
from p2ptwisted.model import Registration, ResourceInfo
from p2ptwisted.node.heartbeats import HEARTBEAT_INTERVAL, HEARTBEAT_RETRY, Heartbeats, is_busy
from p2ptwisted.node.registered_list import registered_list
from p2ptwisted.node.supernode_selector import SupernodeSelector
from p2ptwisted.support.lifecycle import Wakeup, cause_of
from p2ptwisted.support.locations import parse_location
from p2ptwisted.support.wording import counted, counted_are

#: Registrations that may fail in a row before the supernode is given up.
REGISTRATIONS_FAILED_MAX = 2

#: Seconds until a registration that a busy supernode put off is tried again, at first and
#: at the most: twice as many each time.
BUSY_RETRY, BUSY_RETRY_MAX = 1.0, 8.0

#: Seconds for which a supernode may put off a node that it doesn't list, until
#: another is tried. One that lists it, if with an older list, may do so for ever.
BUSY_TIMEOUT = 30.0

#: Seconds, at the most, by which a move or another try is put off, so that
#: the nodes of a dead supernode don't all come at once.
JITTER = 1.0

#: Seconds, at the least, between two tries to join any supernode.
JOIN_RETRY = 1.0

#: Supernodes remembered as given up.
GIVEN_UP_MAX = 16

#: Seconds at the start in which only the supernodes that the user named are tried.
NAMED_ONLY_FOR = 10.0

#: After a registration, so many times as long as it took nothing is registered:
#: a huge list that keeps changing must not be all that the group is busy with.
REGISTER_REST_FACTOR = 5

#: Seconds, and seconds a resource, beyond which a registration took long for
#: another reason than its length: a bad network is no ground to rest.
REGISTER_TIME_MAX, REGISTER_TIME_EACH = 1.0, 0.3e-3

#: Statuses of a supernode that has no heartbeats, as the older program's hasn't: a route
#: that does nothing there, or that isn't there for this.
NO_HEARTBEAT_STATUSES = (405, 500, 501)

_log = Logger()


class Membership(Service):
    """Keeps a node registered at one supernode."""

    def __init__(
        self,
        clock: IReactorTime,
        client: Client,
        resources: Callable[[], list[ResourceInfo]],
        name: str,
        own_location: Callable[[str], str],
        named: Sequence[Callable[[], Awaitable[str]]],
        discover: Callable[[], Awaitable[Sequence[str]]],
        random: Random | None = None,
    ) -> None:
        """
        `resources` returns what to register. `own_location` returns this node's location as
        it is seen from a host.

        `named` are the supernodes that the user named, in order of preference,
        each resolved when it is called; it may raise InvalidInput. `discover`
        finds the locations of those that nobody named.
        """
        self._clock = clock
        self._client = client
        self._resources = resources
        self._name = name
        self._own_location = own_location
        self._random = random or Random()  # nosec B311  # it spreads load, and keeps no secret
        self._selector = SupernodeSelector(named, discover, self._random)
        #: The location of the supernode that this node is registered at.
        self.supernode: str | None = None
        #: Supernodes given up; when they are back they may still list this node.
        self._given_up: list[str] = []
        self._joined_before = False
        #: Why there is no supernode yet.
        self._problem = ""
        #: The supernode that this node is joining.
        self._joining: str | None = None
        #: Whether the supernode lists this node, as far as is known.
        self._listed = False
        #: Where the supernode can't reach this node, though it lists it.
        self.unreachable_at: str | None = None
        #: Resources of this node in its list.
        self._registered = 0
        #: The last supernode that had no heartbeats.
        self._without_heartbeats: str | None = None
        self._changed = False
        self._registering = False
        self._rest_until = 0.0
        #: Fired when one of these has changed.
        self._wakeup = Wakeup(clock)
        self._heartbeats = Heartbeats(clock, self._wakeup, self._beat, self._beaten)
        self._course: Deferred[None] | None = None

    def startService(self) -> None:
        super().startService()
        self._course = Deferred.fromCoroutine(self._live())
        self._course.addErrback(lambda failure: failure.trap(CancelledError))

    def stopService(self) -> Deferred[None]:
        """Say goodbye, so that the supernode forgets this node at once."""
        super().stopService()
        return Deferred.fromCoroutine(self._leave())

    async def _leave(self) -> None:
        # It may have the registration that it was just being sent.
        supernode = self.supernode or self._joining
        self.supernode = None
        if self._course is not None:
            self._course.cancel()
        if supernode is not None:
            try:
                await self._client.goodbye(supernode, self._location(supernode))
            except (Refused, Unavailable):
                pass  # Then its sweep will notice.

    async def _live(self) -> None:
        """Join a supernode and stay there, again and again, until it is cancelled."""
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
                self._given_up = [*self._given_up, self.supernode][-GIVEN_UP_MAX:]
                # What it knew of this node, another has to find out.
                self.supernode = self.unreachable_at = None
            await self._jitter(0)

    # -- finding one

    async def _join(self) -> str:
        """Register at the next supernode that takes this node, however long that takes."""
        warned = False
        # A user who names supernodes and starts them after the node wants these, not any.
        others_from = self._clock.seconds()
        if self._selector.are_named and not self._joined_before:
            others_from += NAMED_ONLY_FOR
        # Silent, it would cost its time limit once more: any other comes first.
        given_up = self._given_up[-1:]
        while True:
            self._problem = "none was named with --supernode, and none answers by multicast"
            for find in (self._selector.named_in_turn, self._selector.discovered):
                # Looked at only now: the first of the two can take its time.
                if find == self._selector.discovered and not self._is_past(others_from):
                    break
                for turn, resolve in await find():
                    try:
                        supernode = await resolve()
                    except InvalidInput as error:
                        self._problem = str(error)
                        continue
                    if supernode in given_up:
                        self._problem = f"{supernode} has just been given up"
                        continue
                    try:
                        await self._register_first(supernode)
                    except (Refused, Unavailable) as error:
                        self._problem = f"{supernode}: {error}"
                        continue
                    self._selector.taken(turn)
                    self._joined_before = True
                    return supernode
            given_up = []
            if not warned:
                _log.warn("No supernode yet ({problem}); still trying", problem=self._problem)
                warned = True
            await self._jitter(JOIN_RETRY)

    async def _register_first(self, supernode: str) -> None:
        self._joining, self._listed = supernode, False
        try:
            await self._while_alive(supernode, self._register_patiently(supernode))
        finally:
            self._joining = None

    # -- staying there

    async def _stay(self, supernode: str) -> None:
        """Send heartbeats and register changes until the supernode is gone."""
        try:
            await self._while_alive(supernode, self._register_changes(supernode))
        except (Refused, Unavailable) as error:
            _log.debug("{supernode}: {error}", supernode=supernode, error=error)

    async def _while_alive(self, supernode: str, work: Coroutine[Any, Any, None]) -> None:
        """
        Do the work and send heartbeats beside it: a long registration must neither keep
        a node silent, nor keep it at a silent supernode. Raises what `work` raises, and
        Unavailable when the supernode is gone.
        """
        both = [
            Deferred.fromCoroutine(work),
            Deferred.fromCoroutine(self._heartbeats.keep_up(supernode)),
        ]

        def end(result: object) -> object:
            for other in both:
                other.cancel()
            return result

        ended = DeferredList(
            both, fireOnOneCallback=True, fireOnOneErrback=True, consumeErrors=True
        )
        try:
            await ended.addBoth(end)
        except FirstError as first:
            raise cause_of(first) from None

    async def _beat(self, supernode: str) -> bool:
        """Send a heartbeat; whether the supernode lists this node. Raises what a call does."""
        location = self._location(supernode)
        try:
            answer = await self._client.heartbeat(supernode, location)
            self._reached(supernode, answer.unreachable_at)
            return answer.known
        except Refused as refused:
            if refused.status not in NO_HEARTBEAT_STATUSES:
                raise
        # It is there, and calls its nodes; whether it knows this one is in its list, which
        # leaves out those that share nothing.
        self._without_heartbeats = supernode
        listed = await self._client.nodes(supernode)
        return not self._registered or any(node.location == location for node in listed)

    def _reached(self, supernode: str, unreachable_at: str | None) -> None:
        """Note whether a supernode can reach this node; the log has a line when that changes."""
        before, self.unreachable_at = self.unreachable_at, unreachable_at
        if unreachable_at is not None and unreachable_at != before:
            _log.warn(
                "Supernode {supernode} can't reach this node at {location}, and so probably nobody "
                "can: open TCP port {port} of this host in its firewall, or name with --location "
                "where others reach it",
                supernode=supernode,
                location=unreachable_at,
                port=unreachable_at.rpartition(":")[2],
            )
        elif unreachable_at is None and before is not None:
            # It may have begun anew, and not have looked yet.
            _log.info(
                "Supernode {supernode} no longer says that it can't reach this node",
                supernode=supernode,
            )

    async def _beaten(self, known: bool) -> bool:
        """
        Note that a supernode that lists this node, or doesn't, has answered a heartbeat.

        Returns whether the next one must follow at once.
        """
        self._listed = known
        if not known and not self._registering:
            self._changed = True
            self._rest_until = self._clock.seconds()
            self._wakeup.fire()
        # Perhaps the same one under another name; then it has just forgotten this node.
        return await self._leave_another()

    async def _register_changes(self, supernode: str) -> None:
        """Register again after every change; raises Refused or Unavailable if that fails."""
        failed = 0
        while True:
            # A supernode that may be gone gets its time, however often the library changes.
            while not self._is_time_to_register():
                rest = self._rest_until - self._clock.seconds()
                is_resting = self._changed and rest > 0
                await self._wakeup.wait_aside(rest if is_resting else HEARTBEAT_INTERVAL)
            began = self._clock.seconds()
            try:
                await self._register_patiently(supernode)
                failed = 0
            except (Refused, Unavailable) as error:
                failed += 1
                if failed == REGISTRATIONS_FAILED_MAX or is_busy(error):
                    raise
                self._heartbeats.not_answered()
                pause = began + HEARTBEAT_RETRY - self._clock.seconds()
                await deferLater(self._clock, max(0, pause))

    def _is_time_to_register(self) -> bool:
        return self._changed and self._heartbeats.answers and self._is_past(self._rest_until)

    async def _register_patiently(self, supernode: str) -> None:
        """Register; if it is busy, try again for a while. Raises Refused and Unavailable."""
        deadline = self._clock.seconds() + BUSY_TIMEOUT
        pause = BUSY_RETRY
        while True:
            try:
                await self._register(supernode)
            except Refused as refused:
                is_too_late = not self._listed and self._is_past(deadline)
                if not is_busy(refused) or is_too_late:
                    raise
            else:
                return
            await self._jitter(pause)
            pause = min(2 * pause, BUSY_RETRY_MAX)

    async def _register(self, supernode: str) -> None:
        began = self._clock.seconds()
        self._changed, self._registering = False, True
        resources = self._resources()
        if supernode == self._without_heartbeats:
            # It would list a part as if it were complete, and no other holder any more.
            resources = [resource for resource in resources if not resource.partial]
        try:
            resources = await self._fitting(resources)
            await self._client.register(
                supernode, Registration(self._location(supernode), resources, self._name)
            )
        except (Refused, Unavailable):
            self._changed = True
            raise
        finally:
            self._registering = False
        self._listed = True
        self._registered = len(resources)
        self._heartbeats.answered(began)
        if supernode in self._given_up:
            self._given_up.remove(supernode)
        _log.info(
            "Registered {resources} at {supernode}",
            resources=counted(len(resources), "resource"),
            supernode=supernode,
        )
        now = self._clock.seconds()
        took = min(now - began, REGISTER_TIME_MAX + len(resources) * REGISTER_TIME_EACH)
        self._rest_until = now + took * REGISTER_REST_FACTOR

    async def _fitting(self, resources: list[ResourceInfo]) -> list[ResourceInfo]:
        """Return what can be registered of this list; what can't is logged."""
        fitting, names_left_out = await registered_list(
            resources, lambda: deferLater(self._clock, 0)
        )
        if len(fitting) < len(resources):
            _log.warn(
                "Only the first {most} of {count} resources are registered: "
                "share the others from another node",
                most=len(fitting),
                count=len(resources),
            )
        if names_left_out:
            _log.warn(
                "{names} not registered: there is no room for more",
                names=counted_are(
                    names_left_out, "further name of resources", "further names of resources"
                ),
            )
        return fitting

    async def _leave_another(self) -> bool:
        """
        Say goodbye to a supernode given up, should it be back with this node in its list.

        Returns whether it was.
        """
        if not self._given_up:
            return False
        supernode = self._given_up.pop(0)
        try:
            return await self._client.goodbye(supernode, self._location(supernode))
        except Refused:
            pass
        except Unavailable:
            self._given_up.append(supernode)
        return False

    def _location(self, supernode: str) -> str:
        """This node's location as the supernode sees it."""
        return self._own_location(parse_location(supernode).host)

    # -- waiting

    def _is_past(self, when: float) -> bool:
        return self._clock.seconds() >= when

    async def _jitter(self, seconds: float) -> None:
        """Wait so many seconds, and a random time more."""
        await deferLater(self._clock, seconds + self._random.uniform(0, JITTER))

    def woken(self) -> None:
        """Note that this node stood still: its supernode may have given it up meanwhile."""
        self._heartbeats.due_now()

    def changed(self, at_once: bool = False) -> None:
        """
        Note that there is something else to register.

        `at_once`: though the last registration was long, for what it lists can't be had.
        """
        if at_once:
            self._rest_until = self._clock.seconds()
        self._changed = True
        self._wakeup.fire()
