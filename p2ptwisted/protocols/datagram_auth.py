"""
The seal of a closed group's datagrams: a fourth field with the time and an
HMAC-SHA-256 over all that comes before. Pure; the wall time is an argument.

    <name>;20;<id>;<seconds since 1970>.<64 hex digits>
"""

import hmac
import re

from p2ptwisted.protocols.datagrams import DATAGRAM_MAX
from p2ptwisted.security.group_key import GroupKey

#: Seconds by which a datagram's time may differ from ours, either way.
WINDOW = 30.0

#: Bytes of the seal of any datagram, at the most.
SEAL_MAX = 78

_SEALED = re.compile(
    rb"(?P<signed>(?P<datagram>.*);(?P<time>[0-9]{1,12}))\.(?P<mac>[0-9a-f]{64})", re.DOTALL
)


class DatagramAuth:
    """Seals datagrams and opens sealed ones, with the key of a group."""

    def __init__(self, key: GroupKey) -> None:
        self._key = key.datagrams

    def close(self, datagram: bytes, now: float) -> bytes:
        """The datagram with its seal; `now` in seconds since 1970."""
        signed = b"%b;%d" % (datagram, int(now))
        return b"%b.%b" % (signed, self._mac(signed))

    def open(self, sealed: bytes, now: float) -> bytes | None:
        """The datagram in it; None where it has no seal, a wrong one or an old one."""
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
