"""
The seal on a closed group's datagrams: a fourth field with the time and an
HMAC-SHA-256 over everything before it. Pure; the wall time is an argument.

    <name>;20;<id>;<seconds since 1970>.<64 hex digits>
"""

import hmac
import re

from p2ptwisted.protocols.datagrams import DATAGRAM_MAX
from p2ptwisted.security.group_key import GroupKey

#: Seconds by which a datagram's time may differ from ours, before or after.
WINDOW = 30.0

#: Bytes of a seal at most.
SEAL_MAX = 78

_SEALED = re.compile(
    rb"(?P<signed>(?P<datagram>.*);(?P<time>[0-9]{1,12}))\.(?P<mac>[0-9a-f]{64})", re.DOTALL
)


class DatagramAuth:
    """Seals datagrams and opens sealed ones, with the key of a closed group."""

    def __init__(self, key: GroupKey) -> None:
        self._key = key.datagrams

    def seal(self, datagram: bytes, now: float) -> bytes:
        """Returns the datagram with a seal; `now` is in seconds since 1970."""
        signed = b"%b;%d" % (datagram, int(now))
        return b"%b.%b" % (signed, self._mac(signed))

    def open(self, sealed: bytes, now: float) -> bytes | None:
        """Returns the datagram without its seal; None if the seal is missing, wrong or too old."""
        if len(sealed) > DATAGRAM_MAX + SEAL_MAX:
            return None
        parts = _SEALED.fullmatch(sealed)
        if parts is None or not hmac.compare_digest(self._mac(parts["signed"]), parts["mac"]):
            return None
        if abs(now - int(parts["time"])) > WINDOW:
            return None
        return parts["datagram"]

    def _mac(self, signed: bytes) -> bytes:
        return hmac.digest(self._key, signed, "sha256").hex().encode("ascii")
