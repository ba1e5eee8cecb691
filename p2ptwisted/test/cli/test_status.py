"""Tests of `p2ptwisted.cli.status`."""

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.cli.status import GroupState, SupernodeState, problems


class ProblemsTests(SynchronousTestCase):
    """What `p2p status` says is wrong."""

    def test_silent_supernode(self) -> None:
        """A supernode that doesn't answer is all that is wrong, as far as anybody knows."""
        (wrong,) = problems(GroupState([SupernodeState("10.0.0.1:5000", None)], [], []))
        self.assertIn("answers datagrams but not HTTP", wrong)
