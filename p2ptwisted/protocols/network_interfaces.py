"""The network interfaces of this machine that the overlay uses."""

import socket
from collections.abc import Iterable, Sequence

import psutil

from p2ptwisted.errors import InvalidInput
from p2ptwisted.support.locations import parse_host

#: Interfaces used at once; a container host can have hundreds.
INTERFACES_MAX = 32


def check_selection(selected: Sequence[str]) -> None:
    """Raises InvalidInput if one of these is no interface's name, no label and no address."""
    known = {*psutil.net_if_addrs(), *psutil.net_if_stats()}
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

    `selected` holds names, addresses or their labels (`eth0:1`). Loopback comes last, so that
    if there are too many, those that reach other machines are used.
    """
    states = psutil.net_if_stats()
    by_interface: dict[str, str] = {}
    # Those with a label last: another machine may take them over.
    listed = sorted(psutil.net_if_addrs().items(), key=lambda item: item[0] not in states)
    for name, entries in listed:
        interface = _interface(name, states)
        if not (interface in states and states[interface].isup):
            continue
        for entry in entries:
            if entry.family == socket.AF_INET and (
                not selected or {name, interface, entry.address}.intersection(selected)
            ):
                by_interface.setdefault(interface, entry.address)
    addresses = list(by_interface.values())
    addresses.sort(key=lambda address: address.startswith("127."))
    return addresses[:INTERFACES_MAX]


def _interface(name: str, known: Iterable[str]) -> str:
    """
    Returns the interface that addresses under this name are on.

    Linux lists an address that has a label under that. A label begins with the interface's name.
    """
    return max((one for one in known if name.startswith(one)), key=len, default=name)
