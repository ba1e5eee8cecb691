"""The nodes that are to fetch: all of the group, or those that the user names."""

from collections.abc import Sequence

from p2ptwisted.cli.exit_status import ExitStatus
from p2ptwisted.cli.hints import no_node
from p2ptwisted.cli.node_names import named_node
from p2ptwisted.cli.session import Session


async def target_nodes(
    session: Session, words: Sequence[str], all_nodes: bool
) -> list[tuple[str, str]]:
    """
    Name and location of each node to order from.

    `words` are nodes' names, addresses or URLs. Raises CommandError where there is none.
    """
    if all_nodes:
        lists = await session.listed_nodes()
        found = {node.location: node.name or node.location for _, ns in lists for node in ns}
        if not found:
            raise no_node(ExitStatus.NOBODY)
        return [(name, location) for location, name in found.items()]
    named: dict[str, str] = {}
    for word in words:
        node = await named_node(session, word)
        if node.name != node.location:
            named[node.location] = node.name
        named.setdefault(node.location, node.location)
    return [(name, location) for location, name in named.items()]
