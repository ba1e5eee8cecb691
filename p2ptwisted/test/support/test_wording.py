"""Tests of `p2ptwisted.support.wording`."""

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.support.wording import counted, counted_are


class WordingTests(SynchronousTestCase):
    """Numbers and their nouns."""

    def test_counted(self) -> None:
        """One is singular, all else is plural, none included."""
        self.assertEqual(
            [counted(count, "resource") for count in (0, 1, 2, 1000)],
            ["0 resources", "1 resource", "2 resources", "1000 resources"],
        )
        self.assertEqual(counted(2, "address", "addresses"), "2 addresses")

    def test_counted_are(self) -> None:
        """The verb goes with it."""
        self.assertEqual(counted_are(1, "upload"), "1 upload is")
        self.assertEqual(counted_are(2, "fetch", "fetches"), "2 fetches are")
