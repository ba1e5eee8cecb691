"""
Shortening lists of locations fairly, address by address. Pure.

A list that is cut still has locations of every address, and an address with
many ports gets no more than its share.
"""

from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest

#: The share of one address: a quarter of the list, so that one machine doesn't fill it, and never
#: more locations than this. Honest addresses rarely have more: containers behind one address,
#: or a group that runs on one machine.
SHARE_PARTS, SHARE_MAX = 4, 32


def share_of(most: int) -> int:
    """Return how many of `most` locations may be of one address."""
    return max(1, min(SHARE_MAX, most // SHARE_PARTS))


def host_of(location: str) -> str:
    """Return the address of a location."""
    return location.rpartition(":")[0]


def in_turns(locations: Iterable[str], most: int) -> list[str]:
    """
    Return at most `most` of these locations, without duplicates, each address within its share.

    First comes the first location of each address, in the given order, then the second of
    each, and so on.
    """
    unique = list(dict.fromkeys(locations))
    hosts = list(map(host_of, unique))
    if len(set(hosts)) == len(hosts):
        return unique[:most]
    share = share_of(most)
    counts = dict.fromkeys(hosts, 0)
    turns: list[list[str]] = [[] for _ in range(share)]
    for location, host in zip(unique, hosts, strict=True):
        turn = counts[host]
        if turn < share:
            counts[host] = turn + 1
            turns[turn].append(location)
    return list(chain.from_iterable(turns))[:most]


def alternating(lists: Iterable[Sequence[str]]) -> list[str]:
    """Return the first item of each list, then the second of each: no list crowds out another."""
    rows = zip_longest(*lists)
    return [location for row in rows for location in row if location is not None]
