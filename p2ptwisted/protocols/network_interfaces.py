"""The network interfaces that the overlay speaks through."""

import socket
from collections.abc import Sequence

import psutil

from p2ptwisted.errors import InvalidInput
from p2ptwisted.support.locations import parse_host

#: Interfaces spoken through at once; a container host can have hundreds.
LINKS_MAX = 32


def check_selection(selected: Sequence[str]) -> None:
    """Raises InvalidInput where one of these is neither an interface's name nor its address."""
    known = set(psutil.net_if_addrs())
    for link in selected:
        try:
            parse_host(link)
        except InvalidInput:
            if link not in known:
                raise InvalidInput(
                    f"{link[:80]}: no such interface; there are {', '.join(sorted(known))}"
                ) from None


def addresses_up(selected: Sequence[str] = ()) -> list[str]:
    """
    The IPv4 address of every interface that is up, or of the selected ones.

    `selected` holds interfaces' names or addresses. Loopback comes last:
    what reaches other machines comes first where there are too many.
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
    return addresses[:LINKS_MAX]
