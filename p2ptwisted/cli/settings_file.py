"""
The settings file of `p2p`: which group a user's commands ask, so that no option has to say it.

Options win over environment variables, and those over the file.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from p2ptwisted.cli.exit_status import CommandError, ExitStatus
from p2ptwisted.config import FILE_MAX, read_toml
from p2ptwisted.errors import InvalidInput, StartError
from p2ptwisted.security.private_files import read_file

#: Settings that are files. Relative ones are beside the settings file.
_FILES = ("group_key_file", "ca_file")


class _Keys(Struct, frozen=True):
    """What the file can say: each is an option, with `_` for `-`."""

    supernode: str | None = None
    multicast_group: str | None = None
    multicast_interface: str | tuple[str, ...] | None = None
    group_key_file: str | None = None
    ca_file: str | None = None


def settings_path(environment: Mapping[str, str]) -> Path | None:
    """Where the file is looked for, or None where the user has no folder for such files."""
    folder = environment.get("XDG_CONFIG_HOME", "")
    try:
        base = Path(folder) if os.path.isabs(folder) else Path.home() / ".config"
    except RuntimeError:
        return None
    return base / "p2p" / "config.toml"


def read_settings(file: Path | None) -> dict[str, Any]:
    """
    Return what the file says, by the names of Settings; nothing where there is no file.

    Raises CommandError, whose line names the file and what is wrong there.
    """
    if file is None or not os.path.lexists(file):
        return {}
    try:
        try:
            read = read_file(file, FILE_MAX)
            # It says whom to trust.
            read.check_trustworthy("it")
        except InvalidInput as error:
            raise StartError(f"{file}: {error}") from None
        values = read_toml(_Keys, read.content, file)
    except StartError as error:
        raise CommandError(str(error), ExitStatus.USAGE) from None
    for key in _FILES:
        if key in values:
            values[key] = str(file.parent / os.path.expanduser(values[key]))
    interfaces = values.get("multicast_interface")
    if isinstance(interfaces, str):
        values["multicast_interface"] = (interfaces,)
    return values
