"""
The command line: commands and options, nothing of what the commands do.

A command's module is imported when the command runs, so that help and completion are fast.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from p2ptwisted.cli.end_signals import END_SIGNALS, Ended
from p2ptwisted.cli.exit_status import CommandError, ExitStatus
from p2ptwisted.cli.group_options import PATH, WORD, asks_group
from p2ptwisted.cli.progress_option import progress_option, shows_progress
from p2ptwisted.cli.rate_type import RateType
from p2ptwisted.cli.service_commands import SERVICE_COMMANDS
from p2ptwisted.support.import_path import forget_working_directory

if TYPE_CHECKING:
    from p2ptwisted.cli.progress_display import Mode
    from p2ptwisted.cli.runner import Work
    from p2ptwisted.cli.session import Settings

KEPT = "interrupted; what has arrived is kept: run the same command again to resume"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="p2ptwisted", prog_name="p2p")
def p2p() -> None:
    """
    Find files in a group of machines, and fetch them from all that have them at once, verified.

    \b
      p2p find dataset              who has this?
      p2p get dataset.bin           onto this machine
      p2p pull dataset.bin --all    onto all machines

    Name a file by its id (the SHA-256 of its content) or by its name. The group is found by
    multicast, or through --supernode, or ~/.config/p2p/config.toml says where it is.
    """


def _run(settings: "Settings", work: "Work", interrupted: str = "interrupted") -> ExitStatus:
    from p2ptwisted.cli.runner import run

    return run(settings, work, interrupted)


_wanted = click.argument("wanted", nargs=-1, required=True, type=WORD, metavar="ID|NAME...")


@p2p.command()
@_wanted
@asks_group
def find(settings: "Settings", wanted: tuple[str, ...]) -> ExitStatus:
    """Show who has a file. Part of its name is enough."""
    from p2ptwisted.cli.find import find

    return _run(settings, lambda reactor, session: find(session, wanted))


@p2p.command()
@_wanted
@click.option(
    "-o",
    "--output",
    type=PATH,
    metavar="PATH",
    help="The folder, file or pipe to write to; - is standard output. By default the current "
    "folder.",
)
@click.option("--force", is_flag=True, help="Replace a file with different content.")
@click.option(
    "--max-download",
    type=RateType(),
    metavar="RATE",
    help="The maximum rate, such as 12.5MB or 100Mbit; a plain number is bytes a second.",
)
@asks_group
@shows_progress
def get(
    settings: "Settings",
    wanted: tuple[str, ...],
    output: str | None,
    force: bool,
    max_download: int | None,
) -> ExitStatus:
    """Fetch files to this machine. After Ctrl-C, the same command resumes."""
    from p2ptwisted.cli.get import get
    from p2ptwisted.cli.output_stream import get_to_stream, open_stream

    stream = None if output is None else open_stream(output)
    if output is not None and stream is not None:
        try:
            if settings.as_json:
                raise CommandError(
                    f"--json describes files, and -o {output} is not a file: leave one out",
                    ExitStatus.USAGE,
                )
            return get_to_stream(settings, wanted, output, stream, max_download)
        finally:
            os.close(stream)
    return _run(
        settings,
        lambda reactor, session: get(reactor, session, wanted, output, force, max_download),
        KEPT,
    )


@p2p.command(short_help="Have nodes fetch files into their folders.")
@_wanted
@click.option(
    *("--node", "nodes"),
    multiple=True,
    type=WORD,
    metavar="NAME|URL",
    help="A node that is to fetch: its name in p2p nodes, or http://host:port. Repeatable.",
)
@click.option("--all", "all_nodes", is_flag=True, help="Every node of the group.")
@click.option(
    "--expect",
    multiple=True,
    type=WORD,
    metavar="N|NAME,...",
    help="Fail unless that many nodes, or the nodes with these names, end up with it. Repeatable.",
)
@asks_group
@shows_progress
def pull(
    settings: "Settings",
    wanted: tuple[str, ...],
    nodes: tuple[str, ...],
    all_nodes: bool,
    expect: tuple[str, ...],
) -> ExitStatus:
    """Have nodes fetch files into the folders that they share, and follow their progress."""
    from p2ptwisted.cli.expected import parse_expected
    from p2ptwisted.cli.pull import INTERRUPTED, pull

    if bool(nodes) == all_nodes:
        raise CommandError(
            "say which nodes are to fetch: --node NAME (p2p nodes lists them), "
            "--node http://HOST:8000, or --all",
            ExitStatus.USAGE,
        )
    expected = parse_expected(expect)
    return _run(
        settings,
        lambda reactor, session: pull(reactor, session, wanted, nodes, all_nodes, expected),
        INTERRUPTED,
    )


@p2p.command()
@click.argument("paths", nargs=-1, required=True, type=PATH, metavar="PATH...")
@click.option(
    "--node",
    type=WORD,
    default="http://127.0.0.1:8000",
    show_default=True,
    metavar="NAME|URL",
    help="The node on this machine.",
)
@click.option(
    "--folder",
    type=PATH,
    metavar="DIR",
    help="The node's folder. By default the node is asked.",
)
@click.option("--link", is_flag=True, help="Make hard links instead of copies.")
@asks_group
@shows_progress
def share(
    settings: "Settings", paths: tuple[str, ...], node: str, folder: str | None, link: bool
) -> ExitStatus:
    """Share files and folders through the node on this machine. Ends when others can find them."""
    from p2ptwisted.cli.share import share

    return _run(
        settings, lambda reactor, session: share(reactor, session, paths, node, folder, link)
    )


@p2p.command()
@click.argument("paths", nargs=-1, type=PATH, metavar="[PATH]...")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@progress_option
def hash(paths: tuple[str, ...], as_json: bool, progress: "Mode | None") -> ExitStatus:
    """Print the ids of files, as sha256sum does."""
    from p2ptwisted.cli.hash import print_sums

    return print_sums(paths, as_json, progress)


@p2p.command()
@asks_group
def nodes(settings: "Settings") -> ExitStatus:
    """List all nodes of the group."""
    from p2ptwisted.cli.status import nodes

    return _run(settings, lambda reactor, session: nodes(session))


@p2p.command()
@asks_group
def supernodes(settings: "Settings") -> ExitStatus:
    """List all supernodes of the group."""
    from p2ptwisted.cli.status import supernodes

    return _run(settings, lambda reactor, session: supernodes(session))


@p2p.command(short_help="Show the state of all members, and what is wrong.")
@asks_group
def status(settings: "Settings") -> ExitStatus:
    """Show the state of all members, what is being fetched, and what is wrong."""
    from p2ptwisted.cli.status import status

    return _run(settings, lambda reactor, session: status(session))


@p2p.command(short_help="Create an authority and certificates, for TLS.")
@click.argument("hosts", nargs=-1, type=WORD, metavar="[HOST]...")
@click.option(
    "--folder",
    type=PATH,
    default="certs",
    show_default=True,
    metavar="DIR",
    help="The folder to put them in.",
)
@click.option(
    *("--network", "networks"),
    multiple=True,
    type=WORD,
    metavar="NET",
    help="A network of future hosts, such as 203.0.113.0/24; when the authority is created. "
    "Repeatable.",
)
@click.option(
    *("--domain", "domains"),
    multiple=True,
    type=WORD,
    metavar="NAME",
    help="A domain of future hosts' names; when the authority is created. Repeatable.",
)
@click.option(
    "--replace", is_flag=True, help="Create a new key and certificate for hosts that have one."
)
def certs(
    hosts: tuple[str, ...],
    folder: str,
    networks: tuple[str, ...],
    domains: tuple[str, ...],
    replace: bool,
) -> ExitStatus:
    """
    Create a private authority, and a certificate for each host.

    A HOST is the IPv4 address that the others use for it. To put its other names into the same
    certificate, write ADDRESS,NAME,... Run this command again for more hosts: the files of those
    that have a certificate are kept.

    The authority can sign only for private addresses and domains (10.0.0.0/8, .internal and the
    like), for the hosts that are named when it is created, and for --network and --domain.
    """
    from p2ptwisted.cli.certs import print_certificates

    return print_certificates(Path(folder), hosts, networks, domains, replace)


for _one in SERVICE_COMMANDS:
    p2p.add_command(_one)


def main(arguments: list[str] | None = None) -> int:
    """
    Run a command line and return its exit status; the console script.

    The process is this command's where it takes its `arguments` from the process. Then the signals
    that end programs break it off.
    """
    forget_working_directory()
    from p2ptwisted.cli.output import print_message
    from p2ptwisted.cli.standard_streams import (
        discard,
        is_writable,
        open_missing_streams,
        print_any_character,
    )

    open_missing_streams()
    print_any_character()
    try:
        if arguments is None:
            END_SIGNALS.install()
        status = _run_command(arguments)
        END_SIGNALS.finish()
    except Ended as ended:
        END_SIGNALS.finish()
        # Else Python writes the rest at the end, and whoever should read it may never do so.
        discard(sys.stdout)
        if is_writable(sys.stderr):
            print_message(ended.line)
        return END_SIGNALS.status or ExitStatus.FAILED
    return status


def _run_command(arguments: list[str] | None) -> int:
    from p2ptwisted.cli.output import print_message
    from p2ptwisted.cli.standard_streams import discard

    try:
        return int(p2p.main(arguments, prog_name="p2p", standalone_mode=False) or 0)
    except click.exceptions.NoArgsIsHelpError as asked:
        try:
            asked.show()
        except OSError:
            discard(sys.stderr)
        return ExitStatus.USAGE
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx is not None else "p2p"
        print_message(f"{error.format_message()} See {path} --help.")
        return ExitStatus.USAGE
    except click.ClickException as error:
        print_message(error.format_message())
        return ExitStatus.FAILED
    except CommandError as problem:
        print_message(str(problem))
        return problem.status
    except (click.Abort, KeyboardInterrupt):
        print_message("interrupted")
        return ExitStatus.INTERRUPTED
    except OSError as error:
        # Most of them have been dealt with: this is click's help, say.
        discard(sys.stdout)
        if not isinstance(error, BrokenPipeError):
            name = error.filename or "standard output"
            print_message(f"{name} can't be written to: {error.strerror}")
        return ExitStatus.FAILED
