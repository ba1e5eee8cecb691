"""The commands for the daemons of a machine, by hand or by systemd; nothing of what they do."""

from pathlib import Path

import click

from p2ptwisted.cli.daemon_command import DaemonCommand
from p2ptwisted.cli.exit_status import ExitStatus


@click.command("install-systemd")
@click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    default="/",
    metavar="DIR",
    help="Put the files below DIR, as for a package, and leave this system alone.",
)
@click.option(
    "--program",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The p2p that the units run; this one by default.",
)
def install_systemd(root: Path, program: Path | None) -> ExitStatus:
    """
    Install systemd units for both daemons, as root.

    With them come their user (p2p), its folder /srv/p2p, and settings in /etc/p2ptwisted, where
    p2p-node@NAME and p2p-supernode@NAME read NAME.toml. What is set there already stays.
    """
    from p2ptwisted.cli.systemd_units import install_units

    return install_units(root, program)


SERVICE_COMMANDS = (
    DaemonCommand(
        "node",
        "p2p-node",
        "Run a node: it shares a folder and fetches into it.",
        "resources",
    ),
    DaemonCommand(
        "supernode",
        "p2p-supernode",
        "Run a supernode: it knows which node has which file.",
    ),
    install_systemd,
)
