"""
A LAN of hosts, each with a process behind a link of its own, that call each other.

Nothing here knows what the calls are about: `link_client` makes them.
"""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from p2ptwisted.client.transport import CONNECT_TIMEOUT
from p2ptwisted.errors import Unavailable
from p2ptwisted.interfaces import INode
from p2ptwisted.web.server.settings import ServerSettings
from simulation.clock import ProcessClock, Time
from simulation.links import Link, Wire

#: Seconds after which a server cuts off a client that takes nothing.
STALL_TIME = ServerSettings().stall_time

#: Seconds between two looks for calls that have waited too long.
LOOK = 0.25


class LanHost:
    """A host with one process, which is called at one location."""

    def __init__(self, lan: "Lan", location: str, rate: float) -> None:
        """`rate` is the link's, in bytes a second each way."""
        self.location = location
        self.address = location.partition(":")[0]
        self.process = ProcessClock(lan.time)
        self.link = Link(lan.wire, rate, rate)
        #: Whether the machine is off, so that calls to it are not even refused.
        self.is_off = False
        #: What is done when a node's route is called.
        self.node: INode | None = None
        #: Whether it sends wrong content.
        self.lies = False
        #: The calls that are under way from here, and those to here that wait for an answer.
        self.calls: dict[Call, None] = {}
        self.answering: dict[Call, None] = {}
        lan.hosts[location] = self

    def kill(self, with_host: bool) -> None:
        """End its process at once; `with_host`: its machine, too, and nobody is told so."""
        self.process.kill()
        self.calls.clear()
        self.is_off = with_host
        if with_host:
            self.link.stall()
            # Their servers cut off who takes nothing for so long.
            time = self.link.wire.time
            time.call_at(time.now + STALL_TIME, self.link.break_off)
        else:
            self.link.break_off()
            for call in [*self.answering]:
                call.end(Failure(Unavailable("it broke off")))

    def stall(self) -> None:
        """Freeze it, with its link."""
        self.process.freeze()
        self.link.stall()

    def resume(self) -> None:
        """Let it go on, unless it is off."""
        if not self.is_off:
            self.process.thaw()
            self.link.resume()


class Call:
    """A call that a host makes: it fails if nothing is heard of it for too long."""

    __slots__ = ("_caller", "_host", "canceled", "done", "heard_at", "limit", "problem")

    def __init__(self, caller: LanHost, limit: float, problem: str) -> None:
        """`limit`: seconds of silence, after which it fails with `problem`."""
        self._caller = caller
        #: The host that has to answer.
        self._host: LanHost | None = None
        self.limit = limit
        self.problem = problem
        self.heard_at = caller.process.seconds()
        #: What is to be done where it is answered, if nobody waits for that any more.
        self.canceled: Callable[[], object] = _nothing
        self.done: Deferred[Any] = Deferred(self._cancel)
        caller.calls[self] = None

    def arrived(self, host: LanHost) -> None:
        """Note that a host has to answer it now."""
        self._host = host
        host.answering[self] = None

    def _forget(self) -> None:
        self._caller.calls.pop(self, None)
        if self._host is not None:
            self._host.answering.pop(self, None)

    def _cancel(self, done: Deferred[Any]) -> None:
        self._forget()
        self.canceled()

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.done.called or self._caller.process.is_dead

    def end(self, result: object) -> None:
        """Fire with a result or a Failure, unless it is over."""
        self._forget()
        if not self.is_over:
            self.done.callback(result)

    def give_up(self) -> None:
        """End it, for too little was heard of it."""
        self.canceled()
        self.end(Failure(Unavailable(self.problem)))


def _nothing() -> None:
    """Do nothing."""


class Lan:
    """All hosts, by location, and the calls between them."""

    def __init__(self, time: Time, wire: Wire) -> None:
        self.time = time
        self.wire = wire
        self.hosts: dict[str, LanHost] = {}
        time.call_at(time.now + LOOK, self._look)

    def request(
        self,
        call: Call,
        caller: LanHost,
        location: str,
        size: float,
        arrived: Callable[[LanHost], object],
        trips: int = 1,
    ) -> None:
        """
        Bring a request of that many bytes to a location; `arrived` is called with the host.

        `trips` is `Link.message`'s. The call fails if nothing listens there.
        """
        host = self.hosts.get(location)
        if host is None or host.is_off:
            call.limit, call.problem = CONNECT_TIMEOUT, f"{location} can't be reached"
            return

        def come() -> None:
            if host.is_off or call.is_over:
                return
            if host.process.is_dead:
                call.end(Failure(Unavailable(f"{location} refuses connections")))
            else:
                call.arrived(host)
                arrived(host)

        caller.link.message(host.link, size, come, trips)

    def _look(self) -> None:
        """Give up the calls that have waited too long, as a timer of each would."""
        now = self.time.now
        for host in list(self.hosts.values()):
            if not host.process.is_frozen:
                for call in [*host.calls]:
                    if now - call.heard_at > call.limit:
                        call.give_up()
        self.time.call_at(now + LOOK, self._look)
