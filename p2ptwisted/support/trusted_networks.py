"""
The networks whose callers are trusted: those that are named, and with `local` those that this
host is in.

Who may do what, being trusted, is in `address_policy` and at the routes.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Network
from typing import overload

import psutil

from p2ptwisted.errors import InvalidInput
from p2ptwisted.support.locations import parse_host, parse_network

#: The word that stands for the networks of this host's own interfaces.
LOCAL = "local"

#: Of these only the private ones (RFC 1918): on a public one this host's neighbors are anybody.
PRIVATE = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))

#: Seconds between two looks at the interfaces: a host may get its address after the daemon has
#: started, or another one. One look takes a fraction of a millisecond.
LOOK_INTERVAL = 5.0


def local_networks() -> list[IPv4Network]:
    """Return the private networks that this host has an address in."""
    found: dict[IPv4Network, None] = {}
    for entries in psutil.net_if_addrs().values():
        for entry in entries:
            try:
                network = IPv4Network(f"{parse_host(entry.address)}/{entry.netmask}", strict=False)
            except (InvalidInput, ValueError):
                continue  # Another kind of address, one that is no host's, or without a network.
            if any(map(network.subnet_of, PRIVATE)):
                found[network] = None
    return list(found)


class TrustedNetworks(Sequence[IPv4Network]):
    """Networks that are named, and those that this host is in at the moment."""

    def __init__(
        self,
        named: Sequence[IPv4Network],
        look: Callable[[], Sequence[IPv4Network]] = local_networks,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`look` returns this host's networks."""
        self._named = tuple(named)
        self._look = look
        self._now = now
        self._all: tuple[IPv4Network, ...] = ()
        self._until: float | None = None

    def _current(self) -> tuple[IPv4Network, ...]:
        now = self._now()
        if self._until is None or now >= self._until:
            self._all = (*self._named, *self._look())
            self._until = now + LOOK_INTERVAL
        return self._all

    @overload
    def __getitem__(self, index: int) -> IPv4Network: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[IPv4Network]: ...

    def __getitem__(self, index: int | slice) -> IPv4Network | Sequence[IPv4Network]:
        return self._current()[index]

    def __iter__(self) -> Iterator[IPv4Network]:
        return iter(self._current())

    def __len__(self) -> int:
        return len(self._current())


def parse_trusted(words: Sequence[str]) -> Sequence[IPv4Network]:
    """Return the networks that a user gave, `local` among them. Raises InvalidInput."""
    named = [parse_network(word, "10.0.0.0/8, or local") for word in words if word != LOCAL]
    return named if LOCAL not in words else TrustedNetworks(named)


def how_to_trust(caller: str, node: str | None = None) -> str:
    """
    Say with which option a node would take orders from this address.

    `node` is the address of a node that is no host of ours; otherwise the node is on this one.
    """
    alone = f"--trusted-network {caller}/32 for this address alone"
    try:
        hosts = [parse_host(host) for host in (caller, node or caller)]
    except InvalidInput:
        hosts = []
    for network in local_networks():
        if hosts and all(host in network for host in hosts):
            return f"start it with --trusted-network {LOCAL}, or with {alone}"
    return f"start it with {alone}"
