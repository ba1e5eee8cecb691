"""
Going round the addresses: a list of locations that is cut has something of every
address, and one address with many ports has no more than a share of it. Pure.
"""

from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest

#: Locations of one address, at the most: of a list that is cut to `most` locations a quarter,
#: so that one machine doesn't fill it, and never more than so many. Honest ones are rarely
#: more: containers behind one address, or a whole group on one machine.
SHARE_PARTS, SHARE_MAX = 4, 32


def share_of(most: int) -> int:
    """Locations that one address may have among `most`."""
    return max(1, min(SHARE_MAX, most // SHARE_PARTS))


def host_of(location: str) -> str:
    """The address of a location."""
    return location.rpartition(":")[0]


def in_turns(locations: Iterable[str], most: int) -> list[str]:
    """
    At most `most` of these, and of one address no more than its share, each once.

    The first of each address, in the order in which they come, then the second of each, and so on.
    """
    unlike = list(dict.fromkeys(locations))
    hosts = list(map(host_of, unlike))
    if len(set(hosts)) == len(hosts):
        return unlike[:most]
    share = share_of(most)
    counts = dict.fromkeys(hosts, 0)
    turns: list[list[str]] = [[] for _ in range(share)]
    for location, host in zip(unlike, hosts, strict=True):
        turn = counts[host]
        if turn < share:
            counts[host] = turn + 1
            turns[turn].append(location)
    return list(chain.from_iterable(turns))[:most]


def alternating(lists: Iterable[Sequence[str]]) -> list[str]:
    """The first of each list, then the second of each: no list crowds out the others."""
    rows = zip_longest(*lists)
    return [location for row in rows for location in row if location is not None]
