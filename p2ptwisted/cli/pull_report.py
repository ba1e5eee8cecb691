"""What `p2p pull` says of the nodes: which of them have it in the end, and what the others lack."""

from collections.abc import Sequence
from typing import NamedTuple

from p2ptwisted.cli.output import print_message, size_of
from p2ptwisted.support.escaping import shown
from p2ptwisted.support.wording import counted

#: Nodes that the last line names, as those that lack something.
LACKING_MAX = 10

#: Resources that are named where a node lacks all of them.
ALL_NAMED_MAX = 10


class Outcome(NamedTuple):
    """What has become of one node's part of a pull."""

    node: str
    location: str
    #: The names of the resources that it doesn't have.
    missing: Sequence[str]
    #: Whether it could not be asked, or refused to say: it may have them all the same.
    is_unknown: bool = False


def called(node: str, location: str) -> str:
    """A node, by its name and where it is."""
    return location if node == location else f"{shown(node)} at {location}"


def fetched(size: int | None, seconds: float, holders: int) -> str:
    """Say what was fetched, in what time and from how many."""
    return f"{size_of(size)} in {seconds:.1f} s from {counted(holders, 'holder')}, verified"


def print_lost(why: str, ordered: int, missing: Sequence[str]) -> None:
    """
    Print why a node gets no more of the `ordered` resources, and the names of those it lacks.

    `why` names the node. That it lacks all of many is said in one word.
    """
    if ordered == 1:
        print_message(why)
        return
    if len(missing) == ordered > ALL_NAMED_MAX:
        print_message(f"{why}; as far as is known it has none of the {ordered} files")
        return
    print_message(f"{why}; missing there are {len(missing)} of {ordered}:")
    for name in missing:
        print_message(f"  {shown(name)}")


def closing_line(what: Sequence[str], outcomes: Sequence[Outcome], total: int) -> str:
    """
    Say how many nodes have all of what was ordered.

    `what` are the resources' names; `total` counts expected nodes that aren't there, too.
    """
    have = sum(not one.missing for one in outcomes)
    is_one = len(what) == 1
    line = f"{shown(what[0]) if is_one else f'{len(what)} files'}: {have} of {total} "
    line += "node " if total == 1 else "nodes "
    is_singular = 1 in (have, total)
    if any(one.is_unknown for one in outcomes):
        line += f"{'is' if is_singular else 'are'} known to have "
    else:
        line += "has " if is_singular else "have "
    line += "it" if is_one else "all of them"
    if have:
        line += ", verified"
    lacking = [one for one in outcomes if one.missing]
    for one in lacking[:LACKING_MAX]:
        lacks = "it" if is_one else f"{len(one.missing)} of them"
        line += f"; {called(one.node, one.location)} "
        line += "can't be asked" if one.is_unknown else f"lacks {lacks}"
    if len(lacking) > LACKING_MAX:
        line += f"; and {len(lacking) - LACKING_MAX} more lack something"
    return line
