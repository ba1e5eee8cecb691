"""
Who may name which address, and which locations are believed of whom.

An address that is named is called sooner or later, and nobody shall make us
call just any address. What a location is, and how it is read, is in
`locations`.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network

import psutil

from p2ptwisted.support.locations import address_towards, parse_host, parse_location

LOOPBACK = IPv4Network("127.0.0.0/8")


def is_loopback(host: str) -> bool:
    """Whether a valid address, or the location that begins with it, is a loopback one."""
    return host.startswith("127.")


def is_own(host: str) -> bool:
    """Whether an address is one of this machine's."""
    if is_loopback(host) or address_towards(host) == host:
        return True
    # The kernel reaches a second address of the same network by the first.
    interfaces = psutil.net_if_addrs().values()
    return any(entry.address == host for entries in interfaces for entry in entries)


def may_name(caller: str, host: str, trusted: Sequence[IPv4Network]) -> bool:
    """
    Whether `caller` may have `host` called: only itself, unless it is trusted.

    Callers from this machine are always trusted. Raises InvalidInput where
    `caller` is not an IPv4 address.
    """
    if caller == host:
        return True
    address = parse_host(caller)
    return address in LOOPBACK or any(address in network for network in trusted)


def believed(locations: Iterable[str], source: str) -> tuple[str, ...]:
    """
    Return those of some holders' valid locations that the host `source` may report.

    Supernodes report nodes on other hosts; but a loopback address means this
    very machine, and nobody else can say anything about that.
    """
    reported = tuple(locations)
    others = tuple(location for location in reported if not is_loopback(location))
    # is_own asks the system, so it is called at most once, not for each location.
    return reported if len(others) == len(reported) or is_own(source) else others


def believed_of_supernodes(
    locations: Iterable[str], source: str, trusted: Sequence[IPv4Network]
) -> tuple[str, ...]:
    """
    Return those of some supernodes' valid locations that the host `source` may report.

    Each reports only itself, unless it is trusted.
    """
    return tuple(
        location
        for location in believed(locations, source)
        if may_name(source, parse_location(location).host, trusted)
    )


def reachable_from(location: str, asker: str) -> str:
    """
    Return `location` in the form that the host `asker` can use.

    A node on this very host may have registered as 127.0.0.1. To another host
    that would be the other host itself, so it gets the address of ours that
    leads to it.
    """
    if not is_loopback(location) or is_loopback(asker):
        return location
    port = location.rpartition(":")[2]
    return f"{address_towards(asker)}:{port}"
