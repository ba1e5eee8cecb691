"""
Sizes, rates and times as people write them: `2GiB`, `12.5MB`, `100Mbit`, `30s`.

A number alone is in the basic unit: bytes, bytes a second, seconds.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

from p2ptwisted.errors import InvalidInput

#: Bytes a second: less would be no transfer at all.
RATE_MIN = 1024

#: Characters of a quantity; what is longer is something else.
TEXT_MAX = 40

_QUANTITY = re.compile(
    # Two digits of an exponent: more would make a number that fills the memory.
    r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?) ?([A-Za-z/]*)"
)
_BYTES_UNIT = re.compile(
    "(?P<prefix>[KMGT]?)(?P<binary>I?)(?P<base>B|BITS?|)(?P<per>/S|PS|)", re.IGNORECASE
)

_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_SECONDS = {
    "": Fraction(1),
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "sec": Fraction(1),
    "m": Fraction(60),
    "min": Fraction(60),
    "h": Fraction(3600),
}


@dataclass(frozen=True)
class Quantity:
    """A kind of quantity: how it is called, and how it is written."""

    called: str
    #: What a number alone counts.
    counts: str
    examples: str

    def parse(self, text: str) -> float:
        """
        Return the number of seconds, or a whole one, rounded down, of bytes.

        Raises InvalidInput, whose message says how to write it.
        """
        match = _QUANTITY.fullmatch(text.strip()) if len(text) <= TEXT_MAX else None
        if match is None:
            raise InvalidInput(self.expected())
        number, unit = Fraction(match[1]), match[2]
        if self is TIME:
            factor = _SECONDS.get(unit.lower())
            if factor is None:
                raise InvalidInput(self.expected())
            return float(number * factor)
        return int(number * self._bytes_of(unit))

    def expected(self, bounds: str = "") -> str:
        """Return what should have been written, for a message; `bounds` as "at least 1024"."""
        within = f", {bounds} {self.counts}" if bounds else ""
        return (
            f"Expected {self.called}{within}, such as {self.examples}; a number alone is "
            f"{self.counts}"
        )

    def _bytes_of(self, unit: str) -> Fraction:
        """Return the bytes of one unit. Raises InvalidInput."""
        match = _BYTES_UNIT.fullmatch(unit)
        if match is None or (match["per"] and self is not RATE):
            raise InvalidInput(self.expected())
        prefix, base, per = match["prefix"].upper(), match["base"], match["per"].lower()
        # 100Mbps is bits wherever it is written; 100Mb can be either.
        is_bits = base.lower().startswith("bit") or (base == "b" and per == "ps")
        if base == "b" and not is_bits:
            bits = f"{prefix}bit for bits, " if self is RATE else ""
            raise InvalidInput(f"{unit} could be bits or bytes: write {bits}{prefix}B for bytes")
        if (
            (match["binary"] and not prefix)
            or (per == "ps" and base.upper() != "B")
            or (is_bits and self is not RATE)
        ):
            raise InvalidInput(self.expected())
        # M alone is what curl, wget, rsync and aria2 mean by it.
        is_decimal = bool(base) and not match["binary"]
        factor = Fraction(1000 if is_decimal else 1024) ** _POWERS[prefix]
        return factor / 8 if is_bits else factor


SIZE = Quantity("a size", "bytes", "64KiB, 12.5MB or 2GiB")
RATE = Quantity("a rate", "bytes a second", "12.5MB, 12.5MiB or 100Mbit")
TIME = Quantity("a time", "seconds", "500ms, 30s, 5min or 1h")
