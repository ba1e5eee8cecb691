"""Tests of `p2ptwisted.transfer.candidates`."""

from collections import Counter
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.support.round_robin import host_of, share_of
from p2ptwisted.transfer.candidates import (
    CANDIDATES_MAX,
    NAMED_BY_ONE_MAX,
    NAMED_MAX,
    RETRY_FIRST,
    RETRY_MAX,
    Candidates,
)

#: Later than anything here is put off to.
LATER = 1e6


class CandidatesTests(SynchronousTestCase):
    """Which locations are asked, and which are not."""

    def setUp(self) -> None:
        self.candidates = Candidates(Random(0))

    def all(self, now: float = LATER) -> list[str]:
        """All that can be asked now; they are in use then."""
        taken = []
        while (location := self.candidates.take(now)) is not None:
            taken.append(location)
        return taken

    def fail_all(self, now: float) -> int:
        """Ask all that can be asked, in vain; how many they were."""
        taken = self.all(now)
        for location in taken:
            self.candidates.left(location, now, failed=True)
        return len(taken)

    # -- taking them

    def test_once(self) -> None:
        """Each is given once, however often it is named, until it is used no more."""
        for location in ("a:1", "b:1", "a:1"):
            self.candidates.add(location)
        self.assertTrue(self.candidates.are_waiting(0.0))
        self.assertEqual(sorted(self.all()), ["a:1", "b:1"])
        self.assertFalse(self.candidates.are_waiting(0.0))
        self.candidates.add("a:1")
        self.assertIsNone(self.candidates.take(LATER))

    def test_at_random(self) -> None:
        """They are taken at random, so that not all ask the same."""
        orders = set()
        for seed in range(20):
            self.candidates = Candidates(Random(seed))
            for number in range(10):
                self.candidates.add(f"a{number}:1")
            orders.add(tuple(self.all()))
        self.assertGreater(len(orders), 10)

    def test_addresses(self) -> None:
        """However many ports one address has, the others come first but for one of it."""
        for number in range(30):
            self.candidates.add(f"crowd:{number}")
        self.candidates.add("a:1")
        self.candidates.add("b:1")
        self.assertEqual({host_of(one) for one in self.all()[:3]}, {"crowd", "a", "b"})

    def test_failed(self) -> None:
        """One that failed is put off, each time for twice as long, up to a bound."""
        self.candidates.add("a:1")
        now, delay = 0.0, RETRY_FIRST
        for _ in range(2_000):
            self.assertEqual(self.candidates.take(now), "a:1")
            self.candidates.left("a:1", now, failed=True)
            self.assertIsNone(self.candidates.take(now + 0.99 * delay))
            self.assertFalse(self.candidates.are_waiting(now + 0.99 * delay))
            now += delay
            delay = min(2 * delay, RETRY_MAX)

    def test_failed_last(self) -> None:
        """Those that have never failed come first."""
        self.candidates.add("a:1")
        self.candidates.left("a:1", 0.0, failed=True)
        for number in range(20):
            self.candidates.add(f"b{number}:1")
        self.assertEqual(self.all()[-1], "a:1")

    def test_answered(self) -> None:
        """An answer makes up for the failures before it."""
        self.candidates.add("a:1")
        for _ in range(5):
            self.candidates.left("a:1", 0.0, failed=True)
        self.candidates.answered("a:1")
        self.assertIsNone(self.candidates.take(LATER), "it is in use")
        self.candidates.left("a:1", 0.0, failed=True)
        self.assertEqual(self.candidates.take(RETRY_FIRST), "a:1")

    def test_left_for_another(self) -> None:
        """One that was only left for another's sake isn't taken again at once."""
        self.candidates.add("a:1")
        self.candidates.answered("a:1")
        self.candidates.left("a:1", 0.0, failed=False)
        self.assertIsNone(self.candidates.take(0.9 * RETRY_FIRST))
        self.assertEqual(self.candidates.take(RETRY_FIRST), "a:1")

    def test_rejected(self) -> None:
        """One that is rejected is never given again, whoever names it."""
        self.candidates.add("a:1")
        self.candidates.reject("a:1")
        self.candidates.reject("b:1")
        for location in ("a:1", "b:1"):
            self.candidates.add(location)
            self.candidates.add(location, "neighbor")
        self.assertEqual(self.all(), [])

    def test_unknown(self) -> None:
        """What is said of one that is not known is no matter."""
        self.candidates.answered("a:1")
        self.candidates.left("a:1", 0.0, failed=True)
        self.assertEqual(self.all(), [])

    # -- bounds

    def test_most(self) -> None:
        """No more are remembered than there may be, so no more are ever asked in vain."""
        for number in range(2 * CANDIDATES_MAX):
            self.candidates.add(f"a{number}:1")
        self.assertEqual(self.fail_all(0.0), CANDIDATES_MAX)
        self.candidates.add("b:1")
        self.assertEqual(self.fail_all(LATER), CANDIDATES_MAX)

    def test_most_with_rejected(self) -> None:
        """Nor by way of such as are found to lie."""
        for number in range(2 * CANDIDATES_MAX):
            self.candidates.add(f"a{number}:1")
            self.candidates.reject(f"a{number}:1")
        self.candidates.add("b:1")
        self.assertEqual(self.all(), [])

    def test_share(self) -> None:
        """One address has no more than its share, also where it is rejected port by port."""
        for number in range(CANDIDATES_MAX):
            self.candidates.add(f"a:{number}")
        taken = self.all()
        self.assertEqual(len(taken), share_of(CANDIDATES_MAX))
        for location in taken:
            self.candidates.reject(location)
        self.candidates.add("a:99999")
        self.candidates.add("b:1")
        self.assertEqual(self.all(), ["b:1"])

    def test_named_by_one(self) -> None:
        """One neighbor has a bounded number asked that never answer; its port is no matter."""
        for number in range(2 * NAMED_BY_ONE_MAX):
            self.candidates.add(f"a{number}:1", "neighbor")
        self.assertEqual(self.fail_all(0.0), NAMED_BY_ONE_MAX)
        self.candidates.add("b:1", "neighbor")
        self.candidates.add("c:1", "another")
        self.assertIn("c:1", self.all())

    def test_named_by_all(self) -> None:
        """All neighbors together leave room for those that the supernode knows."""
        for number in range(CANDIDATES_MAX):
            self.candidates.add(f"a{number}:1", f"neighbor{number}")
        self.assertEqual(self.fail_all(0.0), NAMED_MAX)
        self.candidates.add("b:1")
        self.assertIn("b:1", self.all())

    def test_named_rightly(self) -> None:
        """Those that answer don't count: a neighbor may name others after them."""
        for number in range(3 * NAMED_BY_ONE_MAX):
            self.candidates.add(f"a{number}:1", "neighbor")
            self.candidates.answered(f"a{number}:1")
            self.candidates.left(f"a{number}:1", 0.0, failed=False)
        self.assertEqual(len(self.all()), 3 * NAMED_BY_ONE_MAX)

    def test_named_and_known(self) -> None:
        """Nor do those that the supernode knows too."""
        for number in range(NAMED_BY_ONE_MAX):
            self.candidates.add(f"a{number}:1", "neighbor")
            self.candidates.add(f"a{number}:1")
        self.candidates.add("b:1", "neighbor")
        self.assertIn("b:1", self.all())

    @settings(deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["add", "name", "take", "answered", "left", "failed", "reject"]),
                st.integers(0, 40),
                st.integers(1, 40),
                st.integers(0, 12),
                st.floats(0, 5),
            ),
            max_size=400,
        )
    )
    def test_any(self, steps: list[tuple[str, int, int, int, float]]) -> None:
        """Whatever happens, the bounds are kept and only those are given that may be."""
        candidates, now = Candidates(Random(0)), 0.0
        named: dict[str, str] = {}
        in_use, rejected, ever = set(), set(), set()
        for step, host, port, namer, passed in steps:
            now += passed
            location = f"a{host}:{port}"
            if step == "add":
                candidates.add(location)
                named.pop(location, None)
            elif step == "name":
                if location not in ever:
                    named.setdefault(location, f"n{namer}")
                candidates.add(location, f"n{namer}")
            elif step == "reject":
                candidates.reject(location)
                rejected.add(location)
                in_use.discard(location)
            elif step == "take":
                taken = candidates.take(now)
                if taken is not None:
                    self.assertNotIn(taken, in_use | rejected)
                    in_use.add(taken)
                    ever.add(taken)
            elif in_use:
                location = sorted(in_use)[host % len(in_use)]
                if step == "answered":
                    candidates.answered(location)
                    named.pop(location, None)
                else:
                    candidates.left(location, now, step == "failed")
                    in_use.discard(location)
        self.assertLessEqual(len(ever), CANDIDATES_MAX)
        for count in Counter(map(host_of, ever)).values():
            self.assertLessEqual(count, share_of(CANDIDATES_MAX))
        unproven = [named[location] for location in ever - rejected if location in named]
        self.assertLessEqual(len(unproven), NAMED_MAX)
        self.assertLessEqual(max(Counter(unproven).values(), default=0), NAMED_BY_ONE_MAX)
