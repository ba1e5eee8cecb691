"""Whether the nodes that a pull is to reach are all there, and who is missing."""

from collections.abc import Sequence

from p2ptwisted.cli.exit_status import ExitStatus
from p2ptwisted.cli.expected import Expected, names_of
from p2ptwisted.cli.gone import Gone, gone_nodes, print_gone
from p2ptwisted.cli.output import print_message
from p2ptwisted.cli.session import Session


async def attendance(
    session: Session, nodes: Sequence[tuple[str, str]], all_nodes: bool, expected: Expected
) -> ExitStatus:
    """
    Print who is missing, and return whether that makes the command fail.

    `nodes` are those (name and location) that are ordered from. With `all_nodes` they are to be
    all of the group's: those that went lately are named, and where a supernode can't say which
    nodes it has, the command fails.
    """
    gone: list[Gone] = []
    is_complete = True
    if all_nodes or expected.missing_names(nodes):
        lists = await session.nodes()
        is_complete = not all_nodes or all(known is not None for _, known in lists)
        gone = await gone_nodes(session, lists)
    missing = expected.missing_names(nodes)
    for name in missing:
        stories = [one.story for one in gone if name in names_of(one.name, one.location)]
        why = stories[0] if stories else "no node of that name was here lately"
        print_message(f"{name} is expected, and isn't there: {why}")
    if len(nodes) < expected.least:
        print_message(f"{expected.least} nodes are expected, and {len(nodes)} are there")
    if all_nodes:
        print_gone([one for one in gone if not {*missing} & {*names_of(one.name, one.location)}])
    if missing or len(nodes) < expected.least or not is_complete:
        return ExitStatus.FAILED
    return ExitStatus.OK
