"""
One history of a spread: a file goes to some dozens of nodes, faults chosen by a seed happen,
and all that are alive at the end must have it.
"""

from dataclasses import dataclass
from random import Random

from simulation.problems import Problems
from simulation.promises import BrokenPromise
from simulation.spread.faults import DOWN_MIN, Faults
from simulation.spread.lan import STALL_TIME
from simulation.spread.spread import JOINED, Figures, Spread
from simulation.spread.tiny_file import TinyFile

#: What a history may have: nodes, pieces, bytes of a piece, bytes a second of a link.
NODES = (20, 40)
PIECES = (64, 256)
PIECE_SIZES = (256 * 1024, 512 * 1024)
RATES = (12_500_000.0, 125_000_000.0)

#: Seconds, besides what it takes over the slowest link, in which all must have it; and of quiet
#: afterwards, in which the last connection to a host that is off is cut.
WITHIN, QUIET = 60.0, STALL_TIME + 1.0

#: Which part of all nodes joins late.
LATE = 0.2


@dataclass(frozen=True)
class Outcome:
    """The result of a history or of a large spread."""

    seed: int
    #: Why it is a failure; empty where it is none.
    problem: str
    figures: Figures | None = None
    #: Of processor time, for a large one.
    seconds: float | None = None


class SpreadHistory:
    """A spread, and what goes wrong with it."""

    def __init__(self, seed: int) -> None:
        random = Random(seed)
        self.seed = seed
        file = TinyFile(random.randint(*PIECES), random.choice(PIECE_SIZES), seed)
        rate = random.choice(RATES)
        nodes = random.randint(*NODES)
        self._spread = Spread(random.getrandbits(64), nodes, file, rate, chunks=4)
        self._faults = Faults(self._spread, random)
        self._copy_time = file.size / rate
        self._problems = Problems(self._spread.time)

    def run(self) -> Outcome:
        """Run it all, and return the outcome; never raises."""
        figures = None
        with self._problems.looked_for():
            worst = 2 * self._copy_time + 1.0
            self._faults.plan(JOINED, JOINED + worst)
            within = WITHIN + worst + self._copy_time / DOWN_MIN
            figures = self._spread.run(within, worst, LATE)
            self._check()
            self._spread.time.run_until(self._spread.time.now + QUIET)
            self._check_quiet()
        self._spread.close()
        problem = str(self._problems)
        if problem:
            problem += f"\n  {figures}\n  " + "\n  ".join(self._faults.happened)
        return Outcome(self.seed, problem, figures)

    def _check(self) -> None:
        """Check that all who are alive have the file, and that it is right."""
        spread = self._spread
        for node in spread.nodes:
            if not node.is_alive:
                continue
            status = node.downloads.status(spread.file.id)
            if status.state != "done":
                raise BrokenPromise(f"{node.host.location} has not got it: {status}")
            with node.library.open(spread.file.id) as file:
                if file.read() != spread.file.content:
                    raise BrokenPromise(f"{node.host.location} has another file")

    def _check_quiet(self) -> None:
        """Check that nothing is under way any more."""
        for host in self._spread.lan.hosts.values():
            if host.link.sending or host.link.receiving:
                raise BrokenPromise(f"{host.location} still sends or receives")


def live(seed: int) -> Outcome:
    """Live through a history."""
    return SpreadHistory(seed).run()
