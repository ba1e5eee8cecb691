"""That a simulated spread is repeatable, counts right, and notices what goes wrong."""

import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.node.downloads import Downloads
from p2ptwisted.transfer.incoming_pieces import IncomingPiece
from simulation.spread import history, large
from simulation.spread.faults import Faults
from simulation.spread.history import Outcome
from simulation.spread.large import Bars
from simulation.spread.spread import GIGABIT, Spread
from simulation.spread.tiny_file import TinyFile

from .daemons import CHECKOUT

FILE = TinyFile(64, 256 * 1024)


class SpreadCase(SynchronousTestCase):
    """Spreads in the test's own folder."""

    def setUp(self) -> None:
        folder = self.mktemp()
        os.makedirs(folder)
        self.patch(tempfile, "tempdir", folder)

    def spread(self, nodes: int, file: TinyFile = FILE) -> Spread:
        spread = Spread(1, nodes, file)
        self.addCleanup(spread.close)
        return spread


class FiguresTests(SpreadCase):
    """What a spread without faults takes."""

    def test_one_node(self) -> None:
        """One node takes one copy's time and one copy, and a little besides."""
        figures = self.spread(1, TinyFile(1_024, 256 * 1024)).run(60.0)
        self.assertEqual((figures.nodes, figures.unfinished), (1, 0))
        self.assertGreaterEqual(figures.copy_times, 1.0)
        self.assertLess(figures.copy_times, 1.2)
        self.assertEqual((figures.copies, figures.duplicates_max), (1.0, 0.0))
        self.assertGreater(figures.asked_max, 0)

    def test_shared(self) -> None:
        """Many nodes get it from each other, faster than from the first holder alone."""
        spread = self.spread(8)
        figures = spread.run(60.0)
        self.assertLess(figures.copy_times, 4.0)
        self.assertLess(figures.copies, 4.0)
        for node in spread.nodes:
            self.assertGreaterEqual(node.host.link.content_received, FILE.size)
            with node.library.open(FILE.id) as file:
                self.assertEqual(file.read(), FILE.content)

    def test_repeatable(self) -> None:
        """A seed gives the same in another process, whatever order its sets have."""
        script = "from simulation.spread import history; print(history.live(2))"
        said = {
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
        self.assertEqual(len(said), 1, said)
        self.assertIn("figures=Figures(nodes=", said.pop())


class NoticedTests(SpreadCase):
    """What is reported of a spread that goes wrong."""

    def test_fine(self) -> None:
        """Histories with faults of all kinds have no problem."""
        for seed in (1, 2):
            self.assertEqual(history.live(seed).problem, "")

    def test_not_begun(self) -> None:
        """Nodes that never begin are reported, in both kinds."""
        self.patch(history, "WITHIN", 1.0)
        self.patch(Downloads, "_begin", lambda downloads, entry: None)
        self.assertIn("has not got it", history.live(1).problem)
        self.assertIn("2 nodes have not got it", large.live(1, 2, FILE, Bars()).problem)

    def test_raises(self) -> None:
        """A mistake that a download would log and survive is a problem."""

        def finish(piece: IncomingPiece) -> bool:
            raise KeyError("a mistake")

        self.patch(IncomingPiece, "finish", finish)
        self.patch(history, "WITHIN", 1.0)
        self.assertIn("a mistake", history.live(1).problem)
        self.assertTrue(self.flushLoggedErrors(KeyError))

    def test_bars(self) -> None:
        """Each bar that is missed is named, with what it was."""
        figures = self.spread(2).run(60.0)
        fine = replace(figures, copy_times=1.1, copies=1.2, control_max=0.009, asked_max=10)
        self.assertEqual(Bars().missed(fine), "")
        self.assertEqual(
            Bars().missed(replace(fine, copy_times=1.2, asked_max=11)),
            "copy_times is 1.2, and may be 1.15; asked_max is 11, and may be 10",
        )


class FaultsTests(SpreadCase):
    """What faults do."""

    def test_half_stay(self) -> None:
        """However many die and leave, half of the nodes stay."""
        for seed in range(10):
            spread = self.spread(6)
            faults = Faults(spread, Random(seed))
            for _ in range(5):
                faults.plan(0.0, 1.0)
            spread.time.run_until(1.0)
            self.assertGreaterEqual(sum(node.is_alive for node in spread.nodes), 3)
            self.assertTrue(faults.happened)

    def test_dies(self) -> None:
        """A node that dies without its machine breaks its connections, others go on."""
        spread = self.spread(4)
        spread.time.call_at(1.2, lambda: spread.nodes[0].kill(with_host=False))
        figures = spread.run(60.0)
        self.assertEqual((figures.nodes, figures.unfinished), (3, 0))
        self.assertFalse(spread.nodes[0].host.link.sending)

    def test_liar(self) -> None:
        """Who lies is found out: all get the right file, some of it twice."""
        spread = self.spread(4, TinyFile(256, 256 * 1024))
        spread.nodes[0].host.lies = True
        figures = spread.run(60.0)
        self.assertEqual(figures.unfinished, 0)
        self.assertGreater(figures.duplicates_max, 0.0)

    def test_one_link(self) -> None:
        """A copy's time is that of the file's bytes on a link."""
        outcome = large.live(1, 2, FILE, Bars(copy_times=0.5))
        assert isinstance(outcome, Outcome) and outcome.figures is not None
        figures = outcome.figures
        self.assertAlmostEqual(figures.seconds / figures.copy_times, FILE.size / GIGABIT)
        self.assertIn("copy_times is", outcome.problem)
