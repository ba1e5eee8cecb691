"""Tests of `p2ptwisted.cli.transfer_tally`."""

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.cli.transfer_tally import Row, TransferTally


class TransferTallyTests(SynchronousTestCase):
    """What transfers have come to."""

    def setUp(self) -> None:
        self.tally = TransferTally()
        self.rows: dict[str, Row] = {}

    def add(self, name: str, row: Row) -> None:
        self.rows[name] = row
        self.tally.add(name, lambda: self.rows[name])

    def names(self) -> list[str]:
        return [one.name for one in self.tally.running() + self.tally.waiting(9)]

    def test_order(self) -> None:
        """Those that run come before those that wait, each as they were added."""
        for name in "abcd":
            self.add(name, Row(0, 7, state="running" if name in "bd" else "waiting"))
        self.tally.look()
        self.assertEqual(self.names(), ["b", "d", "a", "c"])

    def test_ended_once(self) -> None:
        """One that ends is returned once, and counts from then on as what it has come to."""
        self.add("a", Row(3, 7))
        self.add("b", Row(0, 5, state="waiting"))
        self.assertEqual(self.tally.look(), [])
        self.rows["a"] = Row(7, 7, state="done")
        self.assertEqual([one.name for one in self.tally.look()], ["a"])
        self.assertEqual(self.tally.look(), [])
        self.assertEqual((self.names(), self.tally.good), (["b"], 1))
        self.assertEqual((self.tally.total.here, self.tally.total.size), (7, 12))

    def test_total(self) -> None:
        """Bytes and rates add up; what has failed or has no size known doesn't count."""
        self.add("a", Row(3, 7, 1.0))
        self.add("b", Row(1, 5, 2.0))
        self.add("c", Row(9, None, 1.0))
        self.add("d", Row(4, 100, state="failed"))
        self.add("e", Row(8, 8, state="present"))
        self.tally.look()
        total = self.tally.total
        self.assertEqual((total.here, total.size, total.rate), (12, 20, 4.0))
        self.assertEqual((total.seconds_left, total.note), (2.0, "1 failed"))
        self.assertEqual((self.tally.good, self.tally.done_bytes), (1, 0))

    def test_many(self) -> None:
        """Of more than one turn looks at, each is looked at in its turn."""
        for number in range(10):
            self.add(str(number), Row(0, 1, state="waiting"))
        for name in self.rows:
            self.rows[name] = Row(1, 1, state="done")
        ended = [[one.name for one in self.tally.look(4)] for _ in range(4)]
        self.assertEqual(ended, [["0", "1", "2", "3"], ["4", "5", "6", "7"], ["8", "9"], []])
