"""Tests for `p2ptwisted.protocols.confirming`."""

from collections.abc import Iterable

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.protocols import confirming as module
from p2ptwisted.protocols.confirming import Confirming

HERE, THERE = "10.0.0.1:8000", "10.0.0.2:8000"


class ConfirmingTests(SynchronousTestCase):
    """What the location of an untagged reply is asked for."""

    def setUp(self) -> None:
        self.confirming = Confirming()

    def asked(self, location: str, ids: Iterable[str], now: float) -> list[str]:
        return list(self.confirming.ids_to_ask(location, ids, now))

    def test_each_once(self) -> None:
        """The same is asked again after a second; another location, or another id, at once."""
        self.assertEqual(self.asked(HERE, "ab", 0.0), ["a", "b"])
        self.assertEqual(self.asked(HERE, "abc", 0.9), ["c"])
        self.assertEqual(self.asked(THERE, "a", 0.9), ["a"])
        self.assertEqual(self.asked(HERE, "abc", 1.0), ["a", "b"])

    def test_bound(self) -> None:
        """A flood has no more asked than the bucket lets through."""
        self.patch(module, "CONFIRM_BURST", 3)
        self.confirming = Confirming()
        asked = [len(self.asked(f"10.0.0.1:{port}", "ab", 0.0)) for port in range(1, 5)]
        self.assertEqual(asked, [2, 1, 0, 0])
        self.assertEqual(self.asked(HERE, "ab", 1 / module.CONFIRM_RATE), ["a"])

    def test_many_searches(self) -> None:
        """Of very many ids, one reply is taken to be about so many and no more."""
        ids = [str(number) for number in range(1_000)]
        self.assertEqual(self.asked(HERE, ids, 0.0), ids[: module.IDS_MAX])
        self.assertEqual(self.asked(HERE, ids, 0.1), [])

    def test_only_what_is_taken(self) -> None:
        """What isn't taken of it is not asked, so the next reply can still have it asked."""
        self.assertEqual(next(self.confirming.ids_to_ask(HERE, "ab", 0.0)), "a")
        self.assertEqual(self.asked(HERE, "ab", 0.1), ["b"])
