"""Which node `--node` means: one is named by its URL, or by the name that `p2p nodes` prints."""

from ipaddress import AddressValueError, IPv4Address
from typing import NamedTuple

from p2ptwisted.cli.exit_status import CommandError, ExitStatus
from p2ptwisted.cli.gone import gone_nodes
from p2ptwisted.cli.members import Members
from p2ptwisted.errors import InvalidInput
from p2ptwisted.model import NodeInfo
from p2ptwisted.support.escaping import shown
from p2ptwisted.support.file_names import normal_form
from p2ptwisted.support.locations import parse_node_url

#: Locations that are listed of nodes with the same name.
LISTED_MAX = 10


class NamedNode(NamedTuple):
    """A node, with its location as its name where that is all that is known of it."""

    name: str
    location: str


async def named_node(members: Members, text: str) -> NamedNode:
    """The node that `--node text` means. Raises CommandError."""
    if _is_url(text):
        location = await members.location_of(text, "--node")
        return NamedNode(location, location)
    lists: list[tuple[str, list[NodeInfo]]] = []
    nobody = None
    try:
        lists = await members.listed_nodes()
    except CommandError as error:
        nobody = error
    nodes = [node for _, nodes in lists for node in nodes]
    wanted = normal_form(text)
    found = list(dict.fromkeys(one.location for one in nodes if normal_form(one.name) == wanted))
    if len(found) > 1:
        more = f" and {len(found) - LISTED_MAX} more" if len(found) > LISTED_MAX else ""
        raise CommandError(
            f"--node {shown(text)}: {len(found)} nodes have that name: give one's address, of "
            f"{', '.join(found[:LISTED_MAX])}{more}",
            ExitStatus.USAGE,
        )
    if found:
        return NamedNode(text, found[0])
    try:
        location = await members.location_of(text, "--node")
    except CommandError as error:
        if nobody is not None:
            raise CommandError(
                f"--node {shown(text)}: nodes' names can't be looked up: {nobody}", nobody.status
            ) from None
        for gone in await gone_nodes(members, lists):
            if normal_form(gone.name) == wanted:
                raise CommandError(
                    f"--node {shown(text)}: {gone.story}: start it again, or leave it out",
                    ExitStatus.NOBODY,
                ) from None
        raise CommandError(
            f"{error}; nor has any node that name: p2p nodes lists them", ExitStatus.USAGE
        ) from None
    return NamedNode(location, location)


def _is_url(text: str) -> bool:
    """Whether this can be no name: it is a URL, or begins with a numeric address."""
    if "://" in text:
        return True
    try:
        IPv4Address(parse_node_url(text, secured=True)[0])
    except (InvalidInput, AddressValueError):
        return False
    return True
