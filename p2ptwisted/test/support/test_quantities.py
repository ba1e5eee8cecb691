"""Tests of `p2ptwisted.support.quantities`: sizes, rates and times as people write them."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.errors import InvalidInput
from p2ptwisted.support.quantities import RATE, SIZE, TEXT_MAX, TIME, Quantity


class ParseTests(SynchronousTestCase):
    """What people write, and what it comes to."""

    def test_plain(self) -> None:
        """A number alone is in basic units, of bytes a whole one."""
        for quantity in (SIZE, RATE):
            for text, value in [("0", 0), ("16384", 16_384), ("1.5", 1), ("1e6", 1_000_000)]:
                self.assertEqual(quantity.parse(text), value)
                self.assertIsInstance(quantity.parse(text), int)
        self.assertEqual([TIME.parse(one) for one in ("5", "0.25", ".5", "5.")], [5, 0.25, 0.5, 5])

    def test_bytes(self) -> None:
        """MB is a power of 1000, MiB of 1024, and M alone the same as that; case is no matter."""
        for text, value in [
            ("12.5MB", 12_500_000),
            ("12.5 mB", 12_500_000),
            ("12.5MiB", 13_107_200),
            ("12.5miB", 13_107_200),
            ("1.5M", 1_572_864),
            ("2Gi", 2 * 1024**3),
            ("2GiB", 2 * 1024**3),
            ("1k", 1024),
            ("1kB", 1000),
            ("3TB", 3 * 1000**4),
            ("100B", 100),
            (" 7KiB ", 7 * 1024),
        ]:
            for quantity in (SIZE, RATE):
                self.assertEqual(quantity.parse(text), value, text)

    def test_rates(self) -> None:
        """A rate may say that it is a second's, and may be of bits."""
        for text, value in [
            ("100Mbit", 12_500_000),
            ("100Mbit/s", 12_500_000),
            ("100mbits", 12_500_000),
            ("100Mbps", 12_500_000),
            ("1 Gbit/s", 125_000_000),
            ("8Kibit", 1024),
            ("80000bit", 10_000),
            ("80000bps", 10_000),
            ("12.5MB/s", 12_500_000),
            ("12.5MBps", 12_500_000),
            ("1M/s", 1_048_576),
        ]:
            self.assertEqual(RATE.parse(text), value, text)

    def test_times(self) -> None:
        """A time has the units that people use for times."""
        for text, value in [
            ("500ms", 0.5),
            ("30s", 30),
            ("30 sec", 30),
            ("1.5min", 90),
            ("5m", 300),
            ("1h", 3600),
            ("1H", 3600),
        ]:
            self.assertEqual(TIME.parse(text), value, text)

    def refused(self, quantity: Quantity, text: str) -> str:
        return str(self.assertRaises(InvalidInput, quantity.parse, text))

    def test_refused(self) -> None:
        """What can't be understood is refused with examples."""
        cases: list[tuple[Quantity, list[str]]] = [
            (SIZE, ["100Mbit", "5MB/s", "5Bps", "1h"]),
            (RATE, ["1h", "5Mps", "5MB/min", "5Mbitps", "5MB/s/s"]),
            (TIME, ["5MB", "1d", "1h30", "1min 30s"]),
        ]
        odd = ["", "x", "MB", "12.5XB", "1,5MB", "0x10", "1_000", "nan", "inf", "--5", "1e999"]
        odd += ["5iB", "5 / s", "\u0665", "5\u00b5", "5KB\n5KB", "9" * (TEXT_MAX + 1)]
        for quantity, texts in cases:
            for text in (*texts, *odd):
                message = self.refused(quantity, text)
                self.assertIn(f"Expected {quantity.called}, such as", message, text)

    def test_bits_or_bytes(self) -> None:
        """A small b that people use for both is refused, with what would be clear."""
        for text in ("100Mb", "100mb", "100Mb/s"):
            self.assertIn("write Mbit for bits, MB for bytes", self.refused(RATE, text))
        self.assertIn("write GB for bytes", self.refused(SIZE, "2Gb"))
        self.assertNotIn("bit for", self.refused(SIZE, "2Gb"))

    @given(
        st.text(max_size=60)
        | st.from_regex(r"\A[0-9.]{1,6}[eE]?[0-9]{0,3} ?[KkMmGgTtIiBbSsHhPp/]{0,5}\Z")
    )
    def test_any(self, text: str) -> None:
        """Whatever is written comes to a number or to that one error."""
        for quantity in (SIZE, RATE, TIME):
            try:
                self.assertIsInstance(quantity.parse(text), (int, float))
            except InvalidInput:
                continue
