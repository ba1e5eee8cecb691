"""
Configuration: the options of both roles, from the command line and a TOML
file, checked before anything starts.

Each role has a struct. Each of its fields is an option, with `_` for `-`. Taps,
services and `cli` import this module; what they build is passed the values.
"""

import re
import stat
import tomllib
from collections.abc import Callable, Mapping, Sequence
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Meta, Struct

from p2ptwisted.errors import InvalidInput, StartError
from p2ptwisted.protocols.network_interfaces import check_selection
from p2ptwisted.protocols.sockets import MulticastGroup
from p2ptwisted.security.group_key import GroupKey, load_group_key
from p2ptwisted.security.private_files import read_file
from p2ptwisted.security.tls import TrustedAuthority, load_authority
from p2ptwisted.support.escaping import printable
from p2ptwisted.support.locations import (
    NODE_PORT,
    SUPERNODE_PORT,
    parse_supernode_url,
    split_location,
)
from p2ptwisted.support.quantities import RATE, RATE_MIN, SIZE, TIME, Quantity
from p2ptwisted.support.real_path import real_path
from p2ptwisted.support.trusted_networks import parse_trusted
from p2ptwisted.web.server.endpoints import check_endpoint
from p2ptwisted.web.server.settings import (
    BODIES_MAX,
    HEADER_SIZE_MAX,
    IDLE_TIME_MIN,
    ServerSettings,
)

ALL_ADDRESSES = IPv4Network("0.0.0.0/0")

#: Bytes of a configuration file; one with every option has a few thousand.
FILE_MAX = 1024 * 1024

#: Digits of a port; Python makes no number of more than 4,300.
PORT_DIGITS_MAX = 20

#: Characters of a message that show a value, and characters of the message.
SHOWN_MAX, LINE_MAX = 80, 1_000

#: Options whose value is in no message: a key may have been given in place of its file's name.
_SECRET = frozenset({"group_key_file"})

#: Options that can be written with a unit have their kind in their type.
_QUANTITY = "quantity"
_OF_SIZE, _OF_RATE, _OF_TIME = ({_QUANTITY: one} for one in (SIZE, RATE, TIME))

_Rate = Annotated[int, Meta(ge=RATE_MIN, extra=_OF_RATE)]
_Seconds = Annotated[float, Meta(gt=0, le=3600, extra=_OF_TIME)]
_HeaderSize = Annotated[int, Meta(ge=1024, le=HEADER_SIZE_MAX, extra=_OF_SIZE)]
_BodySize = Annotated[int, Meta(ge=1024, le=BODIES_MAX // 2, extra=_OF_SIZE)]
_IdleTime = Annotated[float, Meta(ge=IDLE_TIME_MIN, le=3600, extra=_OF_TIME)]
_StallTime = Annotated[float, Meta(ge=1, le=3600, extra=_OF_TIME)]
_Count = Annotated[int, Meta(ge=1)]
#: A repeatable option: in a file, a string or a list of them.
_OneOrMore = str | tuple[str, ...]


class CommonConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of both roles."""

    port: int | str
    location: str | None = None
    state: str | None = None
    multicast_group: str = "230.0.0.0:4321"
    multicast_interface: _OneOrMore = ()
    trusted_network: _OneOrMore = ()
    group_key_file: str | None = None
    private: bool = False
    ca_file: str | None = None
    multicast_ttl: Annotated[int, Meta(ge=0, le=255)] = 20
    connections: _Count = ServerSettings.connections
    connections_per_address: _Count = ServerSettings.connections_per_address
    header_size: _HeaderSize = ServerSettings.header_size
    body_size: _BodySize | None = ServerSettings.body_size
    header_time: _Seconds = ServerSettings.header_time
    body_time: _Seconds = ServerSettings.body_time
    idle_time: _IdleTime = ServerSettings.idle_time
    stall_time: _StallTime = ServerSettings.stall_time

    @property
    def endpoint(self) -> str:
        """Where to listen, as an endpoint string. Raises InvalidInput."""
        port = self.port
        if isinstance(port, str):
            if not re.fullmatch("-?[0-9]+", port):
                return port
            port = int(port) if len(port) <= PORT_DIGITS_MAX else -1
        if not 0 <= port < 65536:
            raise InvalidInput(f"{_shown(self.port)} is not a port: ports go from 0 (any) to 65535")
        return f"tcp:{port}"

    @property
    def advertised(self) -> tuple[str, int] | None:
        """The host and port that others are told, where they are given. Raises InvalidInput."""
        return None if self.location is None else split_location(self.location)

    @property
    def group_key(self) -> GroupKey | None:
        """The key of a closed group, or None for an open one. Raises InvalidInput."""
        if self.group_key_file is not None:
            return load_group_key(Path(self.group_key_file))
        if self.private:
            raise InvalidInput("a group is private by a key: name its file")
        return None

    @property
    def authority(self) -> TrustedAuthority | None:
        """Who signs certificates, where the group speaks TLS. Raises InvalidInput."""
        return None if self.ca_file is None else load_authority(Path(self.ca_file))

    @property
    def server_settings(self) -> ServerSettings:
        """The limits of the HTTP server."""
        return msgspec.convert(self, ServerSettings, from_attributes=True)

    @property
    def state_folder(self) -> Path | None:
        """The folder for what outlives a restart, or None."""
        return None if self.state is None else Path(self.state)

    @property
    def group(self) -> MulticastGroup:
        """The multicast group. Raises InvalidInput."""
        try:
            host, _, port = self.multicast_group.rpartition(":")
            address, number = IPv4Address(host), int(port)
            good = address.is_multicast and 0 < number < 65536
        except (AddressValueError, ValueError):
            good = False
        if not good:
            raise InvalidInput(
                f"{_shown(self.multicast_group)} is not a multicast address and a port, "
                "such as 239.255.43.21:4321"
            )
        return MulticastGroup(
            str(address), number, _as_tuple(self.multicast_interface), self.multicast_ttl
        )

    @property
    def trusted_networks(self) -> Sequence[IPv4Network]:
        """The networks whose callers are trusted as loopback is. Raises InvalidInput."""
        if self.group_key_file is not None:
            return [ALL_ADDRESSES]  # The signatures have proved more than addresses do.
        return parse_trusted(_as_tuple(self.trusted_network))


class SupernodeConfig(CommonConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of a supernode."""

    port: int | str = SUPERNODE_PORT
    sweep_interval: _Seconds = 5.0
    search_timeout: _Seconds = 0.5
    peer: _OneOrMore = ()

    @property
    def peers(self) -> list[tuple[str, int]]:
        """The hosts and ports of supernodes to ask by HTTP. Raises InvalidInput."""
        return [parse_supernode_url(url, self.ca_file is not None) for url in _as_tuple(self.peer)]


class NodeConfig(CommonConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of a node."""

    port: int | str = NODE_PORT
    name: str | None = None
    resources: str = "resources"
    supernode: _OneOrMore = ()

    max_upload: _Rate | None = None
    max_download: _Rate | None = None
    uploads: _Count = 64

    @property
    def folder(self) -> Path:
        """The folder to share. Raises InvalidInput."""
        try:
            folder = real_path(Path(self.resources))
            # Not by is_dir(), which some versions of Python have say no where it can't know.
            found = stat.S_ISDIR(folder.stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            found = False
        except (OSError, ValueError) as error:
            raise InvalidInput(f"{_shown(self.resources)} can't be a folder: {error}") from None
        if not found:
            raise InvalidInput(
                f"{self.resources[:SHOWN_MAX]} is not a folder: make it, or name another"
            )
        return folder

    @property
    def supernodes(self) -> list[tuple[str, int]]:
        """The supernodes' hosts and ports, in order of preference. Raises InvalidInput."""
        return [
            parse_supernode_url(url, self.ca_file is not None) for url in _as_tuple(self.supernode)
        ]


_Config = TypeVar("_Config", bound=CommonConfig)


def load_config(kind: type[_Config], given: Mapping[str, Any], file: Path | None = None) -> _Config:
    """
    Return the configuration; what is `given` on the command line wins over `file`.

    Raises StartError, whose message is one line that says where the mistake is
    and what was expected.
    """
    values: dict[str, Any] = {}
    if file is not None:
        values = read_toml(kind, _read(file), file)
    values_in_file = list(values)
    values |= _checked(kind, given, "--", strict=False)
    config = kind(**values)
    from_file = set(values_in_file) - set(given)
    _check_meaning(config, lambda key: f"{file}: {key}" if key in from_file else _option(key))
    return config


def read_toml(kind: type[Struct], content: bytes, file: Path) -> dict[str, Any]:
    """
    Return what a file with this content says, by the fields of `kind`.

    Raises StartError, whose message is one line that names the file, the key
    and what was expected.
    """
    try:
        values = tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _mistake(f"{file}: not TOML: {error}") from error
    except RecursionError:
        raise _mistake(f"{file}: not TOML that can be read: nested too deep") from None
    except ValueError:
        # Python's own message is about a setting of Python's.
        raise _mistake(f"{file}: not TOML that can be read: a number of too many digits") from None
    return _checked(kind, values, f"{file}: ", strict=True)


def _read(file: Path) -> bytes:
    """Return what is in the file of --config. Raises StartError."""
    try:
        return read_file(file, FILE_MAX).content
    except InvalidInput as error:
        raise _mistake(f"--config {file}: {error}") from error


def _checked(
    kind: type[Struct], values: Mapping[str, Any], place: str, strict: bool
) -> dict[str, Any]:
    """
    Return the values, converted to their options' types. Raises StartError.

    `place` begins a message about a key. `strict`: numbers may not be strings.
    """
    types = get_type_hints(kind, include_extras=True)
    checked = {}
    for key, value in values.items():
        if key not in types:
            raise _mistake(f"{place}{key[:SHOWN_MAX]}: no such key; there are {', '.join(types)}")
        try:
            checked[key] = _convert(value, types[key], strict)
        except (msgspec.ValidationError, InvalidInput) as error:
            option = key if strict else key.replace("_", "-")
            given = "..." if key in _SECRET else _shown(value)
            raise _mistake(f"{place}{option} = {given}: {error}") from error
    return checked


def _convert(value: object, kind: object, strict: bool) -> object:
    """Return the value, converted to this type. Raises ValidationError and InvalidInput."""
    meta = _quantity_meta(kind)
    if meta is None:
        return msgspec.convert(value, kind, strict=strict)
    quantity: Quantity = (meta.extra or {})[_QUANTITY]
    try:
        number = quantity.parse(value) if isinstance(value, str) else value
        return msgspec.convert(number, kind)
    except msgspec.ValidationError:
        bounds = [
            f"{word} {bound:.10g}"
            for word, bound in [("above", meta.gt), ("at least", meta.ge), ("at most", meta.le)]
            if bound is not None
        ]
        raise InvalidInput(quantity.expected(" and ".join(bounds))) from None


def _quantity_meta(kind: object) -> Meta | None:
    """Return what the type of an option that can be written with a unit says of it."""
    for one in (kind, *get_args(kind)):
        for meta in getattr(one, "__metadata__", ()):
            if isinstance(meta, Meta) and _QUANTITY in (meta.extra or {}):
                return meta
    return None


def _check_meaning(config: CommonConfig, place: Callable[[str], str]) -> None:
    """
    Raise StartError where a value has the right type and is still wrong.

    `place` returns where a key was given, for the message.
    """
    key = "port"
    try:
        check_endpoint(config.endpoint)
        key = "location"
        config.advertised  # noqa: B018
        key = "multicast_group"
        group = config.group
        key = "multicast_interface"
        check_selection(group.interfaces)
        key = "group_key_file"
        config.group_key  # noqa: B018
        key = "ca_file"
        config.authority  # noqa: B018
        key = "trusted_network"
        config.trusted_networks  # noqa: B018
        if isinstance(config, SupernodeConfig):
            key = "peer"
            config.peers  # noqa: B018
        if isinstance(config, NodeConfig):
            key = "supernode"
            config.supernodes  # noqa: B018
            key = "resources"
            config.folder  # noqa: B018
    except InvalidInput as error:
        raise _mistake(f"{place(key)}: {error}") from error


def _shown(value: object) -> str:
    """Return a value as a message shows it, up to SHOWN_MAX characters."""
    try:
        text = repr(value)
    except ValueError:
        return "a number of very many digits"  # Python makes no text of it.
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}..."


def _mistake(text: str) -> StartError:
    """Return an error whose message is one line that can be shown, whatever is in the text."""
    line = printable(text)
    return StartError(line if len(line) <= LINE_MAX else f"{line[:LINE_MAX]}...")


def _option(key: str) -> str:
    return "--" + key.replace("_", "-")


def _as_tuple(value: _OneOrMore) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value
