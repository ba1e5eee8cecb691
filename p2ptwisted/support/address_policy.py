"""
Which locations are believed, going by who tells them: what is told is called
sooner or later, and nobody shall have us call just anything.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network

from p2ptwisted.support.locations import is_loopback, is_own, may_name, parse_location


def believed(locations: Iterable[str], source: str) -> tuple[str, ...]:
    """
    Those of these valid locations that the host `source` may tell of holders.

    Supernodes tell of others than themselves; but a loopback address means
    this very machine, of which nobody else has anything to tell.
    """
    told = tuple(locations)
    others = tuple(one for one in told if not is_loopback(one))
    # Whose the source is, the system is asked: once, not for each.
    return told if len(others) == len(told) or is_own(source) else others


def believed_of_supernodes(
    locations: Iterable[str], source: str, trusted: Sequence[IPv4Network]
) -> tuple[str, ...]:
    """The same of supernodes: each tells of itself only, unless it is trusted."""
    return tuple(
        one
        for one in believed(locations, source)
        if may_name(source, parse_location(one).host, trusted)
    )
