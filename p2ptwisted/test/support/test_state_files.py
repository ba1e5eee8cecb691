"""Tests of `p2ptwisted.support.state_files`; those in real folders are in `test_sqlite`."""

import os

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.support.state_files import folder_trouble


class FolderTroubleTests(SynchronousTestCase):
    """Which folders a database may be in."""

    def test_whose_folder(self) -> None:
        """It may be the daemon's user's or root's, and nobody else's."""
        mine, root, other = (
            os.stat_result((0o40755, 1, 1, 1, uid, 0, 0, 0, 0, 0)) for uid in (1000, 0, 1001)
        )
        self.assertIs(folder_trouble(mine, 1000), None)
        self.assertIs(folder_trouble(root, 1000), None)
        self.assertEqual(folder_trouble(other, 1000), "it belongs to another user (1001)")
        self.assertEqual(folder_trouble(other, 0), "it belongs to another user (1001)")
