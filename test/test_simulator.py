"""That the simulator says the same for the same seed, and notices a promise that is not kept."""

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from itertools import islice

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.model import SUPERNODE_ID, Holding
from p2ptwisted.node import heartbeats
from p2ptwisted.protocols import multicast
from p2ptwisted.protocols.datagrams import FoundReply, SearchRequest
from p2ptwisted.protocols.multicast import MulticastOverlay
from p2ptwisted.protocols.search import Search
from p2ptwisted.protocols.searches import Searches
from p2ptwisted.protocols.sockets import UdpAddress
from p2ptwisted.supernode import failure_detector
from p2ptwisted.supernode.local_supernode import LocalSupernode
from p2ptwisted.supernode.sweep import Sweep
from simulation import history, workers
from simulation.history import History, Outcome
from simulation.members import VirtualClient
from tools.run_tests import read_check

from .daemons import CHECKOUT

#: A small group's histories: all have deaths, and one an older peer.
SEEDS, SUPERNODES, NODES = range(1, 5), 4, 40

#: A seed whose group has an older peer.
WITH_OLDER = 2


def live(seed: int) -> Outcome:
    return History(seed, SUPERNODES, NODES).run()


class KeptTests(SynchronousTestCase):
    """Whether its word can be trusted."""

    def test_kept(self) -> None:
        """Small groups keep all promises, and are asked and answer, an older peer too."""
        for seed in SEEDS:
            outcome = live(seed)
            self.assertEqual(outcome.problem, "")
            self.assertGreater(outcome.answers, 150)
            self.assertEqual(outcome.confirmed > 0, seed == WITH_OLDER)

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


class NoticedTests(SynchronousTestCase):
    """Whether it notices what is wrong with the code that it runs."""

    def assertNoticed(self, what: str, seeds: Sequence[int] = SEEDS) -> None:
        """Some history is broken for that reason."""
        problems = []
        for seed in seeds:
            problems.append(live(seed).problem)
            if what in problems[-1]:
                return
        self.fail(f"nothing of {what!r} in {problems}")

    def test_never_forgotten(self) -> None:
        """A sweep that believes nobody's death."""
        self.patch(failure_detector, "MISSES_MAX", 1_000)
        self.assertNoticed("dead for")

    def test_never_moved(self) -> None:
        """Nodes that stay with a dead supernode."""
        self.patch(heartbeats, "HEARTBEATS_MISSED_MAX", 1_000)
        self.assertNoticed("unknown after")

    def test_mute(self) -> None:
        """Supernodes that answer for themselves only, and never for a resource."""
        real = MulticastOverlay._answer

        def answer(overlay: MulticastOverlay, request: SearchRequest, source: UdpAddress) -> None:
            if request.id == SUPERNODE_ID:
                real(overlay, request, source)

        self.patch(MulticastOverlay, "_answer", answer)
        self.assertNoticed("finds nobody")

    def test_denied(self) -> None:
        """A supernode that finds nobody, at every third search."""
        real, searches = LocalSupernode.search, iter(range(1_000_000))

        async def search(supernode: LocalSupernode, id: str, caller: str) -> Holding | None:
            if next(searches) % 3 == 0:
                return None
            return await real(supernode, id, caller)

        self.patch(LocalSupernode, "search", search)
        self.assertNoticed("finds nobody")

    def test_asked_once(self) -> None:
        """Requests that are not repeated, on a network that loses some."""
        self.patch(multicast, "REPEATS", ())
        self.patch(history, "USUAL_LOSS", 0.2)
        self.assertNoticed("finds nobody")

    def test_any_search(self) -> None:
        """An answer that is credited to another search than the one that it answers."""

        def found(searches: Searches, message: FoundReply) -> Search | None:
            for search in searches._by_tag.values():
                search.credit(message.locations, message.name)
                return search
            return None

        self.patch(Searches, "found", found)
        self.assertNoticed("never held")

    def test_guessed(self) -> None:
        """An untagged answer that is credited to whatever resource is being searched for."""

        def only_candidates(searches: Searches, name: str, now: float) -> list[Search]:
            return list(islice(searches.candidates(name), 1))

        self.patch(Searches, "only_candidates", only_candidates)
        self.assertNoticed("never held", [WITH_OLDER])

    def test_unconfirmed(self) -> None:
        """An untagged answer whose location is believed to have all that is asked for."""

        async def confirms(client: VirtualClient, location: str, id: str) -> bool:
            return True

        self.patch(VirtualClient, "confirms", confirms)
        self.assertNoticed("never held", [WITH_OLDER])

    def test_route_raises(self) -> None:
        """A mistake in what a route calls, which its caller takes for an error of the network."""

        def goodbye(supernode: LocalSupernode, location: str, caller: str) -> None:
            raise KeyError("a mistake")

        self.patch(LocalSupernode, "goodbye", goodbye)
        self.assertNoticed("a mistake")
        self.assertTrue(self.flushLoggedErrors(KeyError))

    def test_nobody_takes_it(self) -> None:
        """An error of a Deferred in a ring, that nobody takes and that logs nothing."""
        real = Sweep._remove_missing

        def remove_missing(sweep: Sweep, asked: int) -> None:
            lost: Deferred[None] = fail(KeyError("nobody's"))
            lost.itself = lost  # type: ignore[attr-defined]
            real(sweep, asked)

        self.patch(Sweep, "_remove_missing", remove_missing)
        gc.disable()
        self.addCleanup(gc.enable)
        self.assertNoticed("nobody's")
        self.assertEqual(self.flushLoggedErrors(KeyError), [])


class WorkersTests(SynchronousTestCase):
    """What is told of a history that doesn't live to tell of itself."""

    def test_endless(self) -> None:
        """One that takes too long is ended, and named with how to repeat it."""
        ran = subprocess.run(
            [sys.executable, "-m", "simulation", "--histories=2", "--seed=7", "--cpu=1"],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
        )
        self.assertEqual(ran.returncode, 1)
        for seed in 7, 8:
            self.assertIn(f"seed {seed}: its process ended by SIGXCPU", ran.stdout)
            self.assertIn(f"--histories 1 --seed {seed} ", ran.stdout)
        self.assertIn("2 broke a promise", ran.stdout)

    def test_stillborn(self) -> None:
        """One that can't begin has a problem, too."""

        def begin(*_: object) -> History:
            raise KeyError("no beginning")

        self.patch(workers, "History", begin)
        outcome = workers.live(7, SUPERNODES, NODES)
        self.assertEqual(outcome.seed, 7)
        self.assertIn("no beginning", outcome.problem)


class ReadCheckTests(SynchronousTestCase):
    """What the run of all tests says of a check that failed."""

    def test_ending(self) -> None:
        self.assertEqual(read_check("simulation", "", 0).passed, 1)
        self.assertEqual(
            read_check("simulation", "", 2).failed, ["simulation: ended with status 2"]
        )
        killed = read_check("simulation", "", -signal.SIGKILL)
        self.assertEqual(killed.failed, ["simulation: ended by SIGKILL"])
