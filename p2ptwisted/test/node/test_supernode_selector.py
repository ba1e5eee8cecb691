"""Tests of `p2ptwisted.node.supernode_selector`."""

from collections.abc import Sequence
from random import Random

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.node.supernode_selector import TRIED_MAX, SupernodeSelector
from p2ptwisted.support.round_robin import host_of, share_of

HONEST = ["10.0.0.1:5000", "10.0.0.1:5001", "10.0.0.2:5000"]


class DiscoveredTests(SynchronousTestCase):
    """The order in which discovered supernodes are tried."""

    def tried(self, found: Sequence[str], seed: int = 0) -> list[str]:
        async def discover() -> Sequence[str]:
            return found

        async def resolved() -> list[str]:
            selector = SupernodeSelector([], discover, Random(seed))
            return [await resolve() for _, resolve in await selector.discovered()]

        return self.successResultOf(Deferred.fromCoroutine(resolved()))

    def test_crowded(self) -> None:
        """However many one address claims to have, one of each other address comes first."""
        many = [f"10.0.0.9:{port}" for port in range(1, 100)]
        for seed in range(20):
            tried = self.tried([*many, *HONEST], seed)
            self.assertEqual(sorted(map(host_of, tried[:3])), ["10.0.0.1", "10.0.0.2", "10.0.0.9"])
            self.assertEqual(len(tried), len(HONEST) + share_of(TRIED_MAX))

    def test_any_order(self) -> None:
        """Each supernode of each address is tried first at some time."""
        firsts = {self.tried(HONEST, seed)[0] for seed in range(50)}
        self.assertEqual(firsts, set(HONEST))
