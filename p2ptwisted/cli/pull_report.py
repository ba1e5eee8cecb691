"""What `p2p pull` says of nodes that lack something, each of them and what it lacks by name."""

from collections.abc import Sequence

from p2ptwisted.cli.output import print_message
from p2ptwisted.support.escaping import shown


def called(node: str, location: str) -> str:
    """A node, by its name and where it is."""
    return location if node == location else f"{shown(node)} at {location}"


def print_lost(node: str, why: str, ordered: int, missing: Sequence[str]) -> None:
    """Print why a node gets no more of the `ordered` resources, and the names of those it lacks."""
    if ordered == 1:
        print_message(f"{node}: {why}")
        return
    print_message(f"{node}: {why}; missing there are {len(missing)} of {ordered}:")
    for name in missing:
        print_message(f"  {shown(name)}")
