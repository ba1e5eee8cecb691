"""The network interfaces of this machine that the overlay uses."""

import socket
from collections.abc import Sequence

import psutil

from p2ptwisted.errors import InvalidInput
from p2ptwisted.support.locations import parse_host

#: Interfaces used at once; a container host can have hundreds.
INTERFACES_MAX = 32


def check_selection(selected: Sequence[str]) -> None:
    """Raises InvalidInput if one of these is neither an interface's name nor an address."""
    known = set(psutil.net_if_addrs())
    for interface in selected:
        try:
            parse_host(interface)
        except InvalidInput:
            if interface not in known:
                raise InvalidInput(
                    f"{interface[:80]}: no such interface; there are {', '.join(sorted(known))}"
                ) from None


def addresses_up(selected: Sequence[str] = ()) -> list[str]:
    """
    Returns the IPv4 address of every interface that is up, or of the selected ones.

    `selected` holds names or addresses of interfaces. Loopback comes last, so that if
    there are too many, those that reach other machines are used.
    """
    states = psutil.net_if_stats()
    addresses = []
    for name, entries in psutil.net_if_addrs().items():
        own = [entry.address for entry in entries if entry.family == socket.AF_INET]
        if not own or not (name in states and states[name].isup):
            continue
        if selected:
            own = [address for address in own if name in selected or address in selected]
        addresses.extend(own[:1])
    addresses.sort(key=lambda address: address.startswith("127."))
    return addresses[:INTERFACES_MAX]
