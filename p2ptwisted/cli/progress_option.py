"""The option of all commands that can take long: how their progress is shown."""

import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from p2ptwisted.cli.exit_status import ExitStatus

if TYPE_CHECKING:
    from p2ptwisted.cli.progress_display import Mode
    from p2ptwisted.cli.session import Settings

progress_option = click.option(
    "--progress",
    type=click.Choice(["bar", "plain", "none"]),
    envvar="P2P_PROGRESS",
    help="Show progress as bars, as a line every 10 seconds, or not at all. By default: bars in "
    "a terminal, lines elsewhere.",
)


def shows_progress(command: Callable[..., ExitStatus]) -> Callable[..., ExitStatus]:
    """Decorate a command with that option, which it gets in its Settings."""

    @progress_option
    @functools.wraps(command)
    def with_progress(settings: "Settings", progress: "Mode | None", **options: Any) -> ExitStatus:
        return command(dataclasses.replace(settings, progress=progress), **options)

    return with_progress
