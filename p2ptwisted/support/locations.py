"""
Locations (`host:port`, the host a numeric IPv4 address) and who may name which.

Names are resolved once, by `twisted.names`, and never travel: a host name in
a connection would bring in Twisted's thread pool.
"""

import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import NamedTuple, cast
from urllib.parse import urlsplit

import psutil
from twisted.internet.interfaces import IReactorCore, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.names.client import Resolver
from twisted.names.dns import Record_A
from twisted.names.hosts import Resolver as Hosts
from twisted.names.resolve import ResolverChain

from p2ptwisted.errors import InvalidInput

_log = Logger()

LOOPBACK = IPv4Network("127.0.0.0/8")

#: "This network" (RFC 791): no host has such an address.
THIS = IPv4Network("0.0.0.0/8")

#: Listening on all addresses.
ANY_HOST = "0.0.0.0"  # nosec B104  # only compared with

#: Seconds to wait for a name server, for each try.
RESOLVE_TIMEOUTS = (1, 2)

#: Seconds until a host name that can't be resolved is tried again.
RESOLVE_AGAIN = 5.0

#: Addresses that need not be read again: each comes with every datagram and heartbeat.
HOSTS_REMEMBERED = 10_000

#: What a loopback address is called in a location; Linux answers on all of 127.0.0.0/8.
LOCALHOST = "127.0.0.1"


class Location(NamedTuple):
    """Where a daemon listens for HTTP."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def split_location(text: str) -> tuple[str, int]:
    """The host, as it is written or empty, and the port of `host:port`. Raises InvalidInput."""
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


@lru_cache(HOSTS_REMEMBERED)
def parse_host(text: str) -> IPv4Address:
    """Read a numeric IPv4 address that one host can have. Raises InvalidInput."""
    try:
        address = IPv4Address(text)
    except AddressValueError:
        raise InvalidInput(f"{text[:80]!r} is not a numeric IPv4 address") from None
    # Link-local ones are a machine's own affairs, such as a cloud's metadata.
    if address.is_multicast or address.is_link_local or address.is_reserved or address in THIS:
        raise InvalidInput(f"{text} is not the address of one host")
    return address


def is_loopback(host: str) -> bool:
    return host.startswith("127.")


def is_own(host: str) -> bool:
    """Whether an address is one of this machine's."""
    if is_loopback(host) or address_towards(host) == host:
        return True
    # The kernel reaches a second address of the same network by the first.
    interfaces = psutil.net_if_addrs().values()
    return any(entry.address == host for entries in interfaces for entry in entries)


def may_name(caller: str, host: str, trusted: Sequence[IPv4Network]) -> bool:
    """
    Whether `caller` may have `host` called: only itself, unless it is trusted.

    Raises InvalidInput where `caller` is no IPv4 address.
    """
    if caller == host:
        return True
    address = parse_host(caller)
    return address in LOOPBACK or any(address in network for network in trusted)


def address_towards(host: str) -> str:
    """
    The address of this machine that `host` reaches it by; loopback where there is no route.

    Asks the kernel's routing table: a connected UDP socket sends nothing.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 9))
        except OSError:
            return LOCALHOST
        return str(probe.getsockname()[0])


def reachable_from(location: str, asker: str) -> str:
    """
    `location` as `asker` can use it.

    A node on this very host may have registered as 127.0.0.1. To somebody
    else that would be his own machine, so he is told the address of ours
    that leads to him.
    """
    if not is_loopback(location) or is_loopback(asker):
        return location
    port = location.rpartition(":")[2]
    return f"{address_towards(asker)}:{port}"


def parse_supernode_url(text: str, secured: bool = False) -> tuple[str, int]:
    """
    The host (name or address) and port of `http://host:port`. Raises InvalidInput.

    `secured`: the group speaks TLS, whatever its URLs are written like.
    """
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError:
        host = port = None
    else:
        if url.path not in ("", "/") or url.query or url.fragment:
            host = None
    if not host or not port or url.scheme not in ("http", "https"):
        raise InvalidInput(f"{text[:80]!r} is not a supernode: write it as http://host:port")
    if url.scheme == "https" and not secured:
        raise InvalidInput(
            f"{text[:80]!r} is not a supernode: write it as http://host:port "
            "(https: takes --ca-file, at all members of the group)"
        )
    return host, port


async def resolve(reactor: IReactorCore, host: str) -> str:
    """
    The IPv4 address of a host that a user named, without a thread.

    Raises InvalidInput where there is none.
    """
    try:
        return str(parse_host(host))
    except InvalidInput:
        pass
    try:
        answers, _, _ = await _names(reactor).lookupAddress(host, timeout=RESOLVE_TIMEOUTS)
    except Exception as error:
        raise InvalidInput(f"host name {host!r} can't be resolved: {error!r}") from None
    for answer in answers:
        if isinstance(answer.payload, Record_A):
            return str(parse_host(answer.payload.dottedQuad()))
    raise InvalidInput(f"host name {host!r} has no IPv4 address")


@lru_cache(1)
def _names(reactor: IReactorCore) -> ResolverChain:
    # One for all, and only where a name was given: it watches resolv.conf for good.
    return ResolverChain([Hosts(), Resolver(resolv="/etc/resolv.conf", reactor=reactor)])


def resolver(reactor: IReactorCore, host: str, port: int) -> Callable[[], Awaitable[str]]:
    """
    What gives a location for a host that a user named, looked up anew each time.

    Where that fails, what it was the last time will do: nobody moves just
    because a name server is away.
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
        `given` is what the user said, if anything, its host perhaps a name.

        `listening` tells where the daemon listens, once it does; the host 0.0.0.0 is all addresses.
        """
        self._given = given
        self._listening = listening

    async def resolve(self, reactor: IReactorCore) -> None:
        """Turn a given host name into an address, however often that takes."""
        if self._given is None or not self._given[0]:
            return
        host, port = self._given
        # Until it is known, the default will do.
        self._given = "", port
        told = False
        while True:
            try:
                self._given = await resolve(reactor, host), port
            except InvalidInput as error:
                if not told:
                    _log.warn("--location: {error}; trying on", error=error)
                told = True
                await deferLater(cast(IReactorTime, reactor), RESOLVE_AGAIN)
            else:
                return

    def towards(self, host: str) -> str:
        """What to tell `host`: by default the address that leads to it, and the port."""
        listening = self._listening()
        own_host, port = self._given or listening
        own_host = own_host or listening.host
        if own_host == ANY_HOST:
            own_host = address_towards(host)
        return f"{own_host}:{port}"
