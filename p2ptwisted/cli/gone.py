"""The nodes that have gone lately, as the group's supernodes remember them."""

from collections.abc import Iterable, Sequence

from msgspec import Struct
from twisted.internet.defer import Deferred

from p2ptwisted.cli.members import Members, reachable
from p2ptwisted.cli.output import print_message
from p2ptwisted.cli.pull_report import called
from p2ptwisted.client.transport import Refused
from p2ptwisted.errors import Unavailable
from p2ptwisted.model import GoneNode, NodeInfo
from p2ptwisted.support.lifecycle import all_of

#: Nodes that are named in messages; p2p status shows all.
NAMED_MAX = 10

#: What is said of how a node has gone, by that.
_HOW = {"goodbye": "it said goodbye", "lost": "it stopped answering"}


class Gone(Struct):
    """A node that was registered at a supernode, and is nowhere now."""

    name: str
    location: str
    supernode: str
    #: How long ago it went.
    seconds: float
    #: GoneNode's.
    how: str

    @property
    def when(self) -> str:
        """How long ago, for people."""
        return f"gone {_period(self.seconds)} ago"

    @property
    def why(self) -> str:
        """How it went, for people."""
        return _HOW.get(self.how, self.how)

    @property
    def story(self) -> str:
        """Both."""
        return f"{self.when}, {self.why}"


async def gone_nodes(
    members: Members, lists: Iterable[tuple[str, Sequence[NodeInfo] | None]]
) -> list[Gone]:
    """
    Return those that have gone and are not in `lists`, the last first.

    `lists` are `Members.nodes`: what the supernodes that answer know now.
    """
    supernodes, here = [], set()
    for supernode, nodes in lists:
        if nodes is not None:
            supernodes.append(supernode)
            here |= {node.location for node in nodes}
    answers = await all_of(
        [Deferred.fromCoroutine(_gone_from(members, supernode)) for supernode in supernodes]
    )
    found: dict[str, Gone] = {}
    for one in sorted((one for answer in answers for one in answer), key=lambda one: one.seconds):
        if one.location not in here:
            found.setdefault(one.location, one)
    return list(found.values())


def print_gone(gone: Sequence[Gone]) -> None:
    """Name some of those that have gone, in a message each."""
    for one in gone[:NAMED_MAX]:
        print_message(f"{called(one.name or one.location, one.location)}: {one.story}")
    if len(gone) > NAMED_MAX:
        print_message(f"and {len(gone) - NAMED_MAX} more are gone: p2p status names them all")


async def _gone_from(members: Members, supernode: str) -> list[Gone]:
    try:
        gone = await members.client.gone(supernode)
    except (Unavailable, Refused):
        return []
    return [_gone(one, supernode) for one in gone]


def _gone(node: GoneNode, supernode: str) -> Gone:
    location = reachable(NodeInfo(node.name, node.location), supernode).location
    return Gone(node.name or location, location, supernode, node.seconds, node.how)


def _period(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
