"""Tests for `p2ptwisted.support.round_robin`."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.support.round_robin import SHARE_MAX, alternating, host_of, in_turns, share_of

LIAR = [f"10.0.0.9:{port}" for port in range(1, 1_001)]

locations = st.builds("{}:{}".format, st.sampled_from("abc"), st.integers(1, 50))


class InTurnsTests(SynchronousTestCase):
    """Lists of locations that are cut."""

    def test_honest(self) -> None:
        """With one location an address, it is the beginning of the list."""
        self.assertEqual(in_turns(["a:1", "b:1", "a:1", "c:1"], 2), ["a:1", "b:1"])

    def test_turns(self) -> None:
        """The first of each address come before the second of any."""
        listed = ["a:1", "a:2", "b:1", "a:3", "c:1", "b:2"]
        self.assertEqual(in_turns(listed, 100), ["a:1", "b:1", "c:1", "a:2", "b:2", "a:3"])

    def test_one_address(self) -> None:
        """A thousand ports of one address, though they come first, push out nobody."""
        honest = [f"10.0.0.{host}:8000" for host in range(1, 6)]
        for most in (8, 16, 64, 1_000):
            found = in_turns([*LIAR, *honest], most)
            self.assertTrue(set(honest) <= set(found), most)
            self.assertEqual(sum(one in LIAR for one in found), min(share_of(most), most - 5))

    def test_alone(self) -> None:
        """Nor has it more than its share where nobody else is there."""
        self.assertEqual(in_turns(LIAR, 16), LIAR[:4])
        self.assertEqual(in_turns(LIAR, 1_000), LIAR[:SHARE_MAX])
        self.assertEqual(in_turns(LIAR, 1), LIAR[:1])

    @given(st.lists(locations), st.integers(1, 100))
    def test_any(self, listed: list[str], most: int) -> None:
        """Nothing comes twice or from elsewhere, or exceeds a bound; the first stays first."""
        found = in_turns(listed, most)
        self.assertEqual(len(set(found)), len(found))
        self.assertTrue(set(found) <= set(listed))
        self.assertLessEqual(len(found), most)
        hosts = [host_of(one) for one in found]
        self.assertTrue(all(hosts.count(host) <= share_of(most) for host in hosts))
        self.assertEqual(found[:1], listed[:1])

    def test_alternating(self) -> None:
        """Of several lists none crowds out the others."""
        self.assertEqual(alternating([["a"], [], ["b", "c", "d"], ["e", "f"]]), list("abecfd"))
