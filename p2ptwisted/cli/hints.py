"""What messages tell people to type: commands that can be copied as they stand."""

from p2ptwisted.cli.exit_status import CommandError, ExitStatus

#: How a member is started in the foreground.
START_SUPERNODE = "p2p supernode"
START_NODE = "p2p node DIR"


def no_node(status: ExitStatus) -> CommandError:
    """The error of a group whose supernodes, all of them asked, list no node."""
    return CommandError(
        f"no node is registered at the supernodes that answer: start one, {START_NODE}", status
    )
