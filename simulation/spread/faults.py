"""What goes wrong while a file spreads: nodes go, die, lie and stall, and connections break."""

from collections.abc import Callable
from random import Random

from simulation.spread.peer import Peer
from simulation.spread.spread import Spread

#: Seconds until a supernode no longer lists a node that died: two sweeps of 5 s.
FORGOTTEN_AFTER = 10.0

#: The part of all nodes that one fault affects, at the most; those that leave or die altogether
#: are no more than half.
AFFECTED_MAX = 0.25

#: Seconds for which a host stalls, and how slow a link can become up and down, as a part of its
#: rate: a node whose link down is slow needs its time.
STALLED_MIN, STALLED_MAX = 0.2, 15.0
UP_MIN, DOWN_MIN, SLOW_MAX = 0.001, 0.1, 0.3


class Faults:
    """Makes things go wrong in a spread, between two moments, as a seed has it."""

    def __init__(self, spread: Spread, random: Random) -> None:
        self._spread = spread
        self._random = random
        self._lost = 0
        #: What happened, for a person.
        self.happened: list[str] = []

    def plan(self, begin: float, end: float) -> None:
        """Choose which faults there are and when: of each kind none, one or a few."""
        random, time = self._random, self._spread.time
        for fault in (
            self._die,
            self._leave,
            self._lie,
            self._stall,
            self._slow_down,
            self._break_connections,
        ):
            for _ in range(random.choice((0, 1, 1, 2, 3))):
                time.call_at(random.uniform(begin, end), self._recorded(fault))

    def _recorded(self, fault: Callable[[], str]) -> Callable[[], None]:
        def happen() -> None:
            self.happened.append(f"{self._spread.time.now:.2f} s: {fault()}")

        return happen

    def _some(self) -> list[Peer]:
        alive = [node for node in self._spread.nodes if node.is_alive]
        most = max(1, int(len(alive) * AFFECTED_MAX))
        return self._random.sample(alive, min(len(alive), self._random.randint(1, most)))

    def _some_to_lose(self) -> list[Peer]:
        left = len(self._spread.nodes) // 2 - self._lost
        some = self._some()[: max(0, left)]
        self._lost += len(some)
        return some

    # -- faults; each returns what it was

    def _die(self) -> str:
        """Some nodes end without a word, some of them with their machine."""
        some = self._some_to_lose()
        for node in some:
            node.kill(with_host=self._random.random() < 0.5)
            self._later(FORGOTTEN_AFTER, self._spread.directory.forget, node.host.location)
        return f"{len(some)} nodes die"

    def _leave(self) -> str:
        """Some nodes are stopped."""
        some = self._some_to_lose()
        for node in some:
            node.leave()
        return f"{len(some)} nodes leave"

    def _lie(self) -> str:
        """Some nodes send wrong pieces from now on."""
        some = self._some()
        for node in some:
            node.host.lies = True
        return f"{len(some)} nodes lie"

    def _stall(self) -> str:
        """Some hosts stand still for a while, even the first holder's."""
        some = [node.host for node in self._some()]
        if self._random.random() < 0.3:
            some[0] = self._spread.first.host
        for host in some:
            host.stall()
            self._later(self._random.uniform(STALLED_MIN, STALLED_MAX), host.resume)
        return f"{len(some)} hosts stall"

    def _slow_down(self) -> str:
        """Some links become slow, up, down or both."""
        some = [node.host.link for node in self._some()]
        for link in some:
            ways = self._random.choice(("up", "down", "both"))
            if ways != "down":
                link.up_rate = self._slow(UP_MIN)
            if ways != "up":
                link.down_rate = self._slow(DOWN_MIN)
        return f"{len(some)} links become slow"

    def _slow(self, least: float) -> float:
        share: float = least * (SLOW_MAX / least) ** self._random.random()
        return share * self._spread.rate

    def _break_connections(self) -> str:
        """Some connections break, of all hosts, or all of some hosts."""
        if self._random.random() < 0.5:
            for node in self._some():
                node.host.link.break_off()
            return "all connections of some hosts break"
        share = self._random.uniform(0.05, 0.9)
        flows = [flow for host in self._spread.lan.hosts.values() for flow in host.link.sending]
        for flow in flows:
            if self._random.random() < share:
                flow.break_off()
        return f"{share:.0%} of all connections break"

    def _later(self, seconds: float, what: Callable[..., object], *arguments: object) -> None:
        time = self._spread.time
        time.call_at(time.now + seconds, lambda: what(*arguments))
