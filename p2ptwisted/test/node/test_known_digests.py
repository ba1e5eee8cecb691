"""Tests of `p2ptwisted.node.known_digests`, without a cache; with one, see those of the library."""

import os

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.model import FileStamp
from p2ptwisted.node.known_digests import KnownDigests
from p2ptwisted.pieces import Digests

STAMP = FileStamp.of(os.stat_result((0o100644, 1, 2, 1, 0, 0, 4, 0, 0, 0)))
DIGESTS, OTHER = Digests("a" * 64, b"a" * 32), Digests("b" * 64, b"b" * 32)


class KnownDigestsTests(SynchronousTestCase):
    """What is known of a file."""

    def setUp(self) -> None:
        self.known = KnownDigests(None)

    def test_kept(self) -> None:
        """Without a cache that alone is known which was kept, and it is given once."""
        self.known.put(STAMP, DIGESTS)
        self.assertIs(self.known.get(STAMP), None)
        self.known.keep(STAMP, DIGESTS)
        self.assertEqual(self.known.get(STAMP), DIGESTS)
        self.assertIs(self.known.get(STAMP), None)

    def test_hashed_again(self) -> None:
        """What was kept is forgotten when the file was hashed: its content may be another."""
        self.known.keep(STAMP, DIGESTS)
        self.known.put(STAMP, OTHER)
        self.assertIs(self.known.get(STAMP), None)

    def test_cut_otherwise(self) -> None:
        """What is cut otherwise than by the rule is of no use."""
        self.known.keep(STAMP, Digests("a" * 64, b"a" * 64))
        self.assertIs(self.known.get(STAMP), None)
