"""
One history: a group that begins, to which a seed lets happen what happens on
networks, and which is then left in peace.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import cast

from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from twisted.python.failure import Failure

from bench.sim.clock import ProcessClock, Time
from bench.sim.members import SUPERNODE_PORT, NodeMember, SupernodeMember
from bench.sim.network import Network, Weather
from bench.sim.promises import KNOWN_WITHIN, Broken, Memory, Promises
from p2ptwisted.errors import TooMuch, Unavailable
from p2ptwisted.model import Holding, Resource

#: Seconds of a history: until all have joined, until the last mishap, until peace.
SETTLED, MISHAPS_UNTIL, PEACE = 6.0, 32.0, 42.0

#: Mishaps in one history.
MISHAPS = range(3, 9)

#: Seconds between two looks at whether the promises are kept.
LOOK = 2

#: Searches a second, asked of any supernode for anything that anybody has or had.
SEARCHES = 5

#: Of all nodes, those that were given no supernode and have to find one.
WITHOUT = 0.02

#: Resources that a node shares; of these every fourth is one that others have too.
SHARED = range(1, 6)


@dataclass(frozen=True)
class Outcome:
    """What a history came to; times in seconds."""

    seed: int
    #: Why it is a failure; empty where it is none.
    problem: str
    answers: int
    misses: int
    datagrams: int
    calls: int
    forgotten_within: float
    given_up_within: float
    known_within: float
    #: A digest of all that happened: the same for the same seed.
    trace: str


class History:
    """A group, and what happens to it."""

    def __init__(self, seed: int, supernodes: int, nodes: int) -> None:
        self.seed = seed
        self._random = Random(seed)
        self._time = Time()
        #: On whose time mishaps happen and the observer asks.
        self._observer = ProcessClock(self._time)
        self._network = Network(self._time, self._fork())
        self._memory = Memory(self._time)
        self._trace = hashlib.sha256()
        self._problem = ""
        self._misses = 0
        self._known_within = 0.0
        self._supernodes = [
            SupernodeMember(self._time, self._network, _address(1, number), self._fork())
            for number in range(supernodes)
        ]
        self._promises = Promises(self._memory, self._supernodes, self._fork())
        self._common = [self._resource(f"common-{number}") for number in range(nodes // 10 + 1)]
        self._ids: list[str] = []
        self._nodes: list[NodeMember] = []
        for number in range(nodes):
            self._at(self._random.uniform(0, SETTLED / 2), self._add_node, number)

    def run(self) -> Outcome:
        """Live through it all; never raises."""
        observer = cast(ILogObserver, self._log)
        globalLogPublisher.addObserver(observer)
        try:
            self._plan()
            self._time.run_until(PEACE + KNOWN_WITHIN)
            self._end()
        except Exception:
            self._fail(Failure().getTraceback())
        finally:
            globalLogPublisher.removeObserver(observer)
            for supernode in self._supernodes:
                supernode.close()
        return Outcome(
            self.seed,
            self._problem,
            self._promises.answers,
            self._misses,
            self._network.datagrams,
            self._network.calls,
            self._promises.latest_forgotten,
            self._promises.latest_given_up,
            self._known_within,
            self._trace.hexdigest(),
        )

    # -- what is to come

    def _plan(self) -> None:
        random = self._random
        mishaps = (
            self._cut,
            self._bad_weather,
            self._kill_supernode,
            self._freeze_supernode,
            self._kill_nodes,
            self._freeze_nodes,
            self._change_nodes,
            self._leave_nodes,
        )
        for _ in range(random.choice(MISHAPS)):
            self._at(random.uniform(SETTLED, MISHAPS_UNTIL), random.choice(mishaps))
        for number in range(round((PEACE + KNOWN_WITHIN - SETTLED) * SEARCHES)):
            self._at(SETTLED + number / SEARCHES, self._search)
        for second in range(0, int(PEACE + KNOWN_WITHIN), LOOK):
            self._at(second, self._promises.forgotten)
            self._at(second, self._promises.given_up)
        self._at(PEACE, self._make_peace)
        for second in range(0, int(KNOWN_WITHIN), LOOK):
            self._at(PEACE + second, self._look)

    def _make_peace(self) -> None:
        """Whatever can be mended is mended; the dead stay dead."""
        self._network.halves = {}
        self._network.weather = Weather()
        for supernode in self._supernodes:
            if supernode.process.is_frozen:
                supernode.thaw()
        for node in self._nodes:
            node.process.thaw()

    def _look(self) -> None:
        if self._promises.unknown(self._nodes):
            self._known_within = self._time.now + LOOK - PEACE

    def _end(self) -> None:
        unknown = self._promises.unknown(self._nodes)
        if unknown:
            raise Broken(f"{len(unknown)} unknown after {KNOWN_WITHIN} s of peace: {unknown[:5]}")

    # -- mishaps

    def _cut(self) -> None:
        """The network falls into two halves for a while."""
        part = self._random.uniform(0.1, 0.5)
        self._network.halves = {
            address: int(self._random.random() < part) for address in self._network.processes
        }
        self._later(self._random.uniform(1, 30), self._network.halves.clear)

    def _bad_weather(self) -> None:
        random = self._random
        self._network.weather = Weather(
            random.uniform(0, 0.2), random.uniform(0, 0.1), 0.0001, random.uniform(0.001, 0.2)
        )
        self._later(random.uniform(5, 20), setattr, self._network, "weather", Weather())

    def _kill_supernode(self) -> None:
        """One dies, with its machine or without, and perhaps comes back."""
        alive = [one for one in self._supernodes if one.is_awake]
        if len(alive) < 2:
            return
        supernode, random = self._random.choice(alive), self._random
        supernode.process.kill(with_host=random.random() < 0.5)
        if random.random() < 0.7:
            self._before_peace(random.uniform(0.5, 20), supernode.restart, random.random() < 0.5)

    def _freeze_supernode(self) -> None:
        supernode = self._random.choice(self._supernodes)
        if supernode.is_awake:
            supernode.process.freeze()
            self._later(self._random.uniform(2, 20), supernode.thaw)

    def _kill_nodes(self) -> None:
        for node in self._some_nodes():
            node.process.kill(with_host=self._random.random() < 0.5)
            self._died(node)
            if self._random.random() < 0.5:
                self._before_peace(self._random.uniform(0.5, 30), self._restart, node)

    def _restart(self, node: NodeMember) -> None:
        """It comes back, with other files and other supernodes in its options."""
        node.start(self._some_supernodes(), self._resources(f"again at {self._time.now}"))
        self._holds(node)

    def _freeze_nodes(self) -> None:
        for node in self._some_nodes():
            node.process.freeze()
            self._later(self._random.uniform(1, 20), node.process.thaw)

    def _change_nodes(self) -> None:
        """What some share is replaced."""
        for node in self._some_nodes():
            node.share(self._resources(f"{node.process.location} at {self._time.now}"))
            self._holds(node)

    def _leave_nodes(self) -> None:
        """Some stop politely."""
        for node in self._some_nodes():
            node.membership.stopService().addBoth(node.ended)
            self._died(node)

    def _some_nodes(self) -> list[NodeMember]:
        alive = [one for one in self._nodes if not (one.process.is_dead or one.process.is_frozen)]
        count = self._random.choice((1, 2, 5, 20, 100))
        return self._random.sample(alive, min(count, len(alive) // 2))

    # -- the group

    def _add_node(self, number: int) -> None:
        node = NodeMember(self._time, self._network, _address(2, number), self._fork())
        node.start(self._some_supernodes(), self._resources(f"node-{number}"))
        self._nodes.append(node)
        self._holds(node)

    def _some_supernodes(self) -> list[str]:
        """The locations of those that a node is given; of none for a few."""
        random = self._random
        count = 0 if random.random() < WITHOUT else random.choice((1, 2, 3))
        given = random.sample(range(len(self._supernodes)), min(count, len(self._supernodes)))
        return [f"{_address(1, one)}:{SUPERNODE_PORT}" for one in given]

    def _holds(self, node: NodeMember) -> None:
        self._memory.holds(node.process.location, [one.id for one in node.resources])

    def _died(self, node: NodeMember) -> None:
        self._memory.dies(node.process.location)

    def _resources(self, names: str) -> list[Resource]:
        count = self._random.choice(SHARED)
        own = [self._resource(f"{names}-{one}") for one in range(count)]
        return [
            self._random.choice(self._common) if one % 4 == 3 else own[one] for one in range(count)
        ]

    def _resource(self, name: str) -> Resource:
        id = hashlib.sha256(name.encode()).hexdigest()
        return Resource(id, name, len(name))

    # -- searches

    def _search(self) -> None:
        node = self._random.choice(self._nodes)
        id = self._random.choice(node.resources).id
        supernode = self._random.choice(self._supernodes)
        if supernode.is_awake:
            caller = node.process.address
            found = Deferred.fromCoroutine(supernode.supernode.search(id, caller))
            found.addCallback(self._answered).addErrback(self._unanswered)

    def _answered(self, found: Holding | None) -> None:
        if found is None:
            self._misses += 1
            return
        self._trace.update(f"{self._time.now} {found}\n".encode())
        self._promises.answered(found)

    def _unanswered(self, failure: Failure) -> None:
        if not failure.check(Unavailable, TooMuch):
            self._fail(failure.getTraceback())

    # -- bits

    def _log(self, event: LogEvent) -> None:
        """A mistake that a daemon would log and survive is a failure here."""
        if event["log_level"] is LogLevel.critical:
            failure = event.get("log_failure")
            self._fail(str(event) if failure is None else failure.getTraceback())

    def _fail(self, problem: str) -> None:
        self._problem = self._problem or f"at {self._time.now:.3f} s: {problem}"

    def _fork(self) -> Random:
        """Chances of its own, so that one part's don't change another's."""
        return Random(self._random.getrandbits(64))

    def _at(self, seconds: float, what: Callable[..., object], *arguments: object) -> None:
        self._later(seconds - self._time.now, what, *arguments)

    def _before_peace(self, seconds: float, what: Callable[..., object], *args: object) -> None:
        """So much later, but not later than peace, from when on there is time to be known."""
        self._later(min(seconds, PEACE - self._time.now), what, *args)

    def _later(self, seconds: float, what: Callable[..., object], *arguments: object) -> None:
        self._observer.callLater(seconds, what, *arguments)


def _address(kind: int, number: int) -> str:
    return f"10.{kind}.{number // 250}.{number % 250 + 1}"
