"""
Locations (`host:port`, the host a numeric IPv4 address): reading them, resolving host
names that a user gave, and the location that this daemon gives others.

Names are resolved here, with `name_servers`, and never travel: a host name in a
connection would bring in Twisted's thread pool. Who may name which location is in
`address_policy`.
"""

import socket
from collections.abc import Awaitable, Callable
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import NamedTuple, cast
from urllib.parse import urlsplit

from twisted.internet.interfaces import IReactorCore, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from p2ptwisted.errors import InvalidInput
from p2ptwisted.support.name_servers import addresses_of

_log = Logger()

#: "This network" (RFC 791): no host has such an address.
THIS_NETWORK = IPv4Network("0.0.0.0/8")

#: The host of a location that listens on all addresses.
ANY_HOST = "0.0.0.0"  # nosec B104  # only compared with

#: Seconds until a host name that can't be resolved is tried again.
RESOLVE_INTERVAL = 5.0

#: Addresses whose parsed form is cached: each comes with every datagram and heartbeat.
HOSTS_CACHED = 10_000

#: Characters of a host name; what DNS allows.
HOST_NAME_MAX = 253

#: Where members listen, unless they are told otherwise.
SUPERNODE_PORT, NODE_PORT = 5000, 8000

#: The loopback address that we name; Linux answers on all of 127.0.0.0/8.
LOCALHOST = "127.0.0.1"


class Location(NamedTuple):
    """Where a daemon listens for HTTP."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def split_location(text: str) -> tuple[str, int]:
    """
    Split `host:port`; the host is returned as it is written, and may be empty.

    Raises InvalidInput.
    """
    host, colon, port = text.rpartition(":")
    if not colon:
        raise InvalidInput(f"location {text[:80]!r} has no port: write it as host:port")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536):
        raise InvalidInput(f"location {text[:80]!r}: its port must be a number from 1 to 65535")
    return host, int(port)


def parse_location(text: str, default_host: str | None = None) -> Location:
    """
    Read `host:port`, or `:port` where `default_host` stands in for the host.

    Raises InvalidInput, naming what is wrong.
    """
    host, port = split_location(text)
    if not host and default_host is None:
        raise InvalidInput(f"location {text[:80]!r} has no host: write it as host:port")
    try:
        return Location(str(parse_host(host or default_host or "")), port)
    except InvalidInput as error:
        raise InvalidInput(f"location {text[:80]!r}: {error}") from None


def parse_network(text: str, example: str) -> IPv4Network:
    """Read a network that a user gave. `example`: one that would do here. Raises InvalidInput."""
    try:
        return IPv4Network(text)
    except ValueError as error:
        raise InvalidInput(f"{text[:80]!r} is not a network such as {example}: {error}") from None


@lru_cache(HOSTS_CACHED)
def parse_host(text: str) -> IPv4Address:
    """Read a numeric IPv4 address that one host can have. Raises InvalidInput."""
    try:
        address = IPv4Address(text)
    except AddressValueError:
        raise InvalidInput(f"{text[:80]!r} is not a numeric IPv4 address") from None
    # Link-local addresses are a machine's own affairs, such as a cloud's metadata.
    if (
        address.is_multicast
        or address.is_link_local
        or address.is_reserved
        or address in THIS_NETWORK
    ):
        raise InvalidInput(f"{text} is not the address of one host")
    return address


def address_towards(host: str) -> str:
    """
    Return the address of this machine that `host` reaches it by; loopback without a route.

    Asks the kernel's routing table: a connected UDP socket sends nothing.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 9))
        except OSError:
            return LOCALHOST
        return str(probe.getsockname()[0])


def parse_supernode_url(text: str, secured: bool = False) -> tuple[str, int]:
    """
    Return the host (a name or an address) and the port of a supernode's URL.

    That is `http://host:port`; of it `http://` may be left out, and the port if it is
    SUPERNODE_PORT. `secured`: the group speaks TLS, so `https:` is allowed; `http:` always is,
    and means the same. Raises InvalidInput.
    """
    return _parse_url(text, "supernode", SUPERNODE_PORT, secured)


def parse_node_url(text: str, secured: bool = False) -> tuple[str, int]:
    """Return the host and the port of a node's URL, as `parse_supernode_url` does."""
    return _parse_url(text, "node", NODE_PORT, secured)


def _parse_url(text: str, role: str, default_port: int, secured: bool) -> tuple[str, int]:
    example = f"write it as http://HOST:{default_port}"
    try:
        url = urlsplit(text if "://" in text else f"http://{text}")
        # A port that isn't there has the default; one that is empty, as in "host:", is a mistake.
        host, port = url.hostname, default_port if url.port is None else url.port
    except ValueError:
        host = port = None
    else:
        if url.path not in ("", "/") or url.query or url.fragment or url.username is not None:
            host = None
        if url.netloc.endswith(":") or len(host or "") > HOST_NAME_MAX:
            port = None
    if not host or not port or url.scheme not in ("http", "https"):
        raise InvalidInput(f"{text[:80]!r} is not the URL of a {role}: {example}")
    if url.scheme == "https" and not secured:
        raise InvalidInput(
            f"{text[:80]!r} is not the URL of a {role}: {example} "
            "(https: takes --ca-file, at all members of the group)"
        )
    return host, port


async def resolve(reactor: IReactorCore, host: str) -> str:
    """
    Return the IPv4 address of a host that a user named, without a thread.

    Raises InvalidInput where it has none, or none that can be looked up.
    """
    try:
        return str(parse_host(host))
    except InvalidInput:
        pass
    for address in await addresses_of(reactor, host):
        return str(parse_host(address))
    raise InvalidInput(f"host name {host!r} has no IPv4 address")


def location_resolver(reactor: IReactorCore, host: str, port: int) -> Callable[[], Awaitable[str]]:
    """
    Return a function that looks up a host that a user named, and returns its location.

    Where the look-up fails, the function returns the last known location: no
    host moves just because a name server is away. It raises InvalidInput where
    there is none yet.
    """
    known: str | None = None

    async def resolved() -> str:
        nonlocal known
        try:
            known = await resolve(reactor, host)
        except InvalidInput:
            if known is None:
                raise
        return f"{known}:{port}"

    return resolved


class OwnLocation:
    """The location that this daemon gives others to reach it by."""

    def __init__(self, given: tuple[str, int] | None, listening: Callable[[], Location]) -> None:
        """
        `given`: host and port of `--location`, if there is any; the host may be a name, or empty.

        `listening` returns where the daemon listens, once it does; host 0.0.0.0: all addresses.
        """
        self._given = given
        self._listening = listening

    async def resolve(self, reactor: IReactorCore) -> None:
        """Resolve a given host name, again and again until there is an address."""
        if self._given is None or not self._given[0]:
            return
        host, port = self._given
        # Until its address is known, the default is used.
        self._given = "", port
        is_logged = False
        while True:
            try:
                self._given = await resolve(reactor, host), port
            except InvalidInput as error:
                if not is_logged:
                    _log.warn("--location: {error}; still trying", error=error)
                is_logged = True
                await deferLater(cast(IReactorTime, reactor), RESOLVE_INTERVAL)
            else:
                return

    def towards(self, host: str) -> str:
        """
        Return the location to give `host`.

        Where neither the user nor the listening port names an address, it is the
        one that `host` reaches us by.
        """
        listening = self._listening()
        own_host, port = self._given or listening
        own_host = own_host or listening.host
        if own_host == ANY_HOST:
            own_host = address_towards(host)
        return f"{own_host}:{port}"
