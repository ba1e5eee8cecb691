"""Tests of `p2ptwisted.node.fetchers`."""

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.model import NEIGHBORS_TOLD
from p2ptwisted.node.fetchers import (
    FETCHER_LIFETIME,
    FETCHERS_MAX,
    RESOURCES_MAX,
    Fetchers,
)
from p2ptwisted.support.round_robin import share_of

ID, OTHER = "a" * 64, "b" * 64


class FetchersTests(SynchronousTestCase):
    """Who is told of whom."""

    def setUp(self) -> None:
        self.fetchers = Fetchers(Random(0))

    def known(self, id: str = ID, now: float = 0.0) -> set[str]:
        """All that anybody may be told of, found by asking often enough."""
        return {one for _ in range(5_000) for one in self.fetchers.some(id, [], None, now)}

    def test_nobody(self) -> None:
        """Where nobody fetches it nobody is told of."""
        self.assertEqual(self.fetchers.some(ID, [], None, 0.0), [])

    def test_some(self) -> None:
        """Some are told of, others each time, and no more than a few."""
        for number in range(20):
            self.fetchers.add(ID, f"a{number}:1", 0.0)
        some = self.fetchers.some(ID, [], "z:1", 0.0)
        self.assertEqual(len(set(some)), NEIGHBORS_TOLD)
        self.assertEqual(len(self.known()), 20)

    def test_not_the_asker(self) -> None:
        """Who asks is not told of itself."""
        self.fetchers.add(ID, "a:1", 0.0)
        self.fetchers.add(ID, "b:1", 0.0)
        self.assertEqual(self.fetchers.some(ID, ["a:1"], "a:1", 0.0), ["b:1"])
        self.assertEqual(self.fetchers.some(OTHER, ["a:1"], "a:1", 0.0), [])

    def test_others(self) -> None:
        """Those that the node itself fetches from are told of too, each once."""
        self.fetchers.add(ID, "a:1", 0.0)
        self.assertEqual(sorted(self.fetchers.some(ID, ["b:1", "a:1"], None, 0.0)), ["a:1", "b:1"])

    def test_by_resource(self) -> None:
        """Who fetches one resource is told of to no one who fetches another."""
        self.fetchers.add(ID, "a:1", 0.0)
        self.assertEqual(self.known(OTHER), set())

    def test_lifetime(self) -> None:
        """Who asks no more is soon forgotten; who asks again is not."""
        self.fetchers.add(ID, "a:1", 0.0)
        self.fetchers.add(ID, "b:1", 0.0)
        self.fetchers.add(ID, "b:1", FETCHER_LIFETIME / 2)
        self.assertEqual(self.known(now=FETCHER_LIFETIME - 0.1), {"a:1", "b:1"})
        self.assertEqual(self.known(now=FETCHER_LIFETIME), {"b:1"})
        self.assertEqual(self.known(now=1.5 * FETCHER_LIFETIME), set())

    def test_most(self) -> None:
        """So many of a resource are remembered: those that asked last."""
        for number in range(2 * FETCHERS_MAX):
            self.fetchers.add(ID, f"a{number}:1", 0.0)
        expected = {f"a{number}:1" for number in range(FETCHERS_MAX, 2 * FETCHERS_MAX)}
        self.assertEqual(self.known(), expected)

    def test_share(self) -> None:
        """One address has no more than its share, and doesn't crowd out the others."""
        self.fetchers.add(ID, "b:1", 0.0)
        for number in range(1_000):
            self.fetchers.add(ID, f"a:{number}", 0.0)
        known = self.known()
        self.assertIn("b:1", known)
        self.assertEqual(len(known), share_of(FETCHERS_MAX) + 1)

    def test_share_expires(self) -> None:
        """When those of an address are forgotten there is room for others of it."""
        for number in range(1_000):
            self.fetchers.add(ID, f"a:{number}", 0.0)
        self.fetchers.add(ID, "a:5000", FETCHER_LIFETIME)
        self.assertEqual(self.known(now=FETCHER_LIFETIME), {"a:5000"})

    def test_most_resources(self) -> None:
        """So many resources are remembered: those that were asked for last."""
        self.fetchers.add(ID, "a:1", 0.0)
        for number in range(RESOURCES_MAX - 1):
            self.fetchers.add(f"{number}", "a:1", 0.0)
        self.fetchers.add(ID, "b:1", 0.0)
        self.fetchers.add(OTHER, "a:1", 0.0)
        self.assertEqual(self.known(), {"a:1", "b:1"})
        self.assertEqual(self.fetchers.some("0", [], None, 0.0), [])
