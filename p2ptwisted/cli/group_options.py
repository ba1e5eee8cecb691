"""The options of all commands that ask the group, and the types of words on a command line."""

import dataclasses
import functools
import os
from collections.abc import Callable
from typing import Any

import click

from p2ptwisted.cli.exit_status import ExitStatus

_Command = Callable[..., ExitStatus]


class NotEmpty(click.types.StringParamType):
    """A word that is not empty, as that of an unset variable in a script is."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        word = super().convert(value, param, ctx)
        if not word:
            self.fail("it is empty: is a variable unset?", param, ctx)
        return str(word)


class Text(NotEmpty):
    """The same of what is sent to others, and so must be text; a path here need not be."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        word = super().convert(value, param, ctx)
        try:
            word.encode()
        except UnicodeEncodeError:
            self.fail(f"{word!r} is not text in the encoding of this terminal", param, ctx)
        return word


#: The types of all options and arguments that are words: a path here, and any other.
PATH, WORD = NotEmpty(), Text()


def asks_group(command: _Command) -> Callable[..., ExitStatus]:
    """Decorate a command that asks the group with its options, which it gets as Settings."""

    @click.option(
        "--supernode",
        type=WORD,
        envvar="P2P_SUPERNODE",
        metavar="URL",
        help="The supernode to ask, http://host:port. By default one is found by multicast. "
        "Also from P2P_SUPERNODE.",
    )
    @click.option(
        "--multicast-group",
        default="230.0.0.0:4321",
        show_default=True,
        type=WORD,
        envvar="P2P_MULTICAST_GROUP",
        metavar="ADDRESS:PORT",
        help="The multicast group in which to look for supernodes.",
    )
    @click.option(
        "--multicast-interface",
        multiple=True,
        type=WORD,
        envvar="P2P_MULTICAST_INTERFACE",
        metavar="NAME",
        help="Network interface (name or address) to search through; all by default. Repeatable.",
    )
    @click.option(
        "--group-key-file",
        type=PATH,
        envvar="P2P_GROUP_KEY_FILE",
        metavar="FILE",
        help="The key file of a closed group.",
    )
    @click.option(
        "--ca-file",
        type=PATH,
        envvar="P2P_CA_FILE",
        metavar="FILE",
        help="The certificate of the authority, for a group that uses TLS.",
    )
    @click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
    @functools.wraps(command)
    def with_settings(
        supernode: str | None,
        multicast_group: str,
        multicast_interface: tuple[str, ...],
        group_key_file: str | None,
        ca_file: str | None,
        as_json: bool,
        **options: Any,
    ) -> ExitStatus:
        from p2ptwisted.cli.session import Settings
        from p2ptwisted.cli.settings_file import read_settings, settings_path

        settings = Settings(
            supernode, multicast_group, multicast_interface, group_key_file, ca_file, as_json
        )
        source = click.get_current_context().get_parameter_source
        in_file = {
            key: value
            for key, value in read_settings(settings_path(os.environ)).items()
            if source(key) is click.core.ParameterSource.DEFAULT
        }
        return command(dataclasses.replace(settings, **in_file), **options)

    return with_settings
