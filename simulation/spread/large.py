"""A large spread in which nothing goes wrong, and the bars that it must clear."""

import time
from dataclasses import dataclass

from simulation.problems import Problems
from simulation.spread.history import Outcome
from simulation.spread.spread import GIGABIT, Figures, Spread
from simulation.spread.tiny_file import TinyFile

#: Times of one copy on a link after which a spread is given up.
GIVEN_UP = 4.0


@dataclass(frozen=True)
class Bars:
    """What a spread may take; fields as in Figures."""

    copy_times: float = 1.15
    copies: float = 1.3
    control_max: float = 0.01
    asked_max: int = 10

    def missed(self, figures: Figures) -> str:
        """Returns in words what is worse than it may be."""
        missed = [
            f"{name} is {getattr(figures, name):.4g}, and may be {most}"
            for name, most in vars(self).items()
            if getattr(figures, name) > most
        ]
        if figures.unfinished:
            missed.append(f"{figures.unfinished} nodes have not got it")
        return "; ".join(missed)


def live(seed: int, nodes: int, file: TinyFile, bars: Bars) -> Outcome:
    """Have a file spread to that many nodes over links of 1 Gbit/s; never raises."""
    spread = Spread(seed, nodes, file)
    problems, began, figures = Problems(spread.time), time.process_time(), None
    with problems.looked_for():
        figures = spread.run(GIVEN_UP * file.size / GIGABIT)
        missed = bars.missed(figures)
        if missed:
            problems.add(missed)
    spread.close()
    seconds = time.process_time() - began
    return Outcome(seed, str(problems), figures, seconds)
