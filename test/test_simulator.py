"""That the simulator says the same for the same seed, and notices a promise that is not kept."""

import os
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from bench.sim.history import History, Outcome
from p2ptwisted import liveness, membership

from .daemons import CHECKOUT

#: A small group's histories, of which some have deaths and moves.
SEEDS, SUPERNODES, NODES = range(1, 7), 4, 40


def live(seed: int) -> Outcome:
    return History(seed, SUPERNODES, NODES).run()


class SimulatorTests(SynchronousTestCase):
    """Whether its word can be trusted."""

    def test_kept(self) -> None:
        """Small groups keep all promises, and are asked and answer."""
        for seed in SEEDS:
            outcome = live(seed)
            self.assertEqual(outcome.problem, "")
            self.assertGreater(outcome.answers, 20)

    def test_repeatable(self) -> None:
        """A seed gives the same history in another process, whatever order its sets have."""
        script = "from test.test_simulator import live; print(live(2))"
        told = {
            subprocess.run(
                [sys.executable, "-c", script],
                cwd=CHECKOUT,
                env=os.environ | {"PYTHONHASHSEED": hash_seed},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            ).stdout.strip()
            for hash_seed in ("1", "2")
        }
        self.assertEqual(told, {str(live(2))})

    def test_never_forgotten(self) -> None:
        """A sweep that believes nobody's death is noticed."""
        self.patch(liveness, "MISSES_MAX", 1_000)
        self.assertIn("dead for", "".join(live(seed).problem for seed in SEEDS))

    def test_never_moved(self) -> None:
        """So are nodes that stay with a dead supernode."""
        self.patch(membership, "BEATS_MISSED", 1_000)
        self.assertIn("unknown after", "".join(live(seed).problem for seed in SEEDS))
