"""The connections of a server: how many there are, of whom, and which make room. Pure."""

from collections.abc import Iterator
from typing import Generic, TypeVar

_T = TypeVar("_T")


class ConnectionTable(Generic[_T]):
    """
    Connections by their clients' addresses.

    Where there are too many, the one that has been idle for the longest has to
    go: of one address its own, so that a client crowds out only itself.
    """

    def __init__(self, most: int, most_per_address: int) -> None:
        self._most = most
        self._most_per_address = most_per_address
        #: Each with its client's address.
        self._addresses: dict[_T, str] = {}
        self._by_address: dict[str, int] = {}
        #: Those that wait for a request, in all and by address, the longest first.
        self._idle: dict[_T, None] = {}
        self._idle_by_address: dict[str, dict[_T, None]] = {}

    def __len__(self) -> int:
        return len(self._addresses)

    def __iter__(self) -> Iterator[_T]:
        return iter(list(self._addresses))

    def is_full(self, address: str) -> bool:
        """Whether one must go before another may come from that address."""
        return len(self) >= self._most or self._crowded(address)

    def to_close(self, address: str) -> _T | None:
        """The idle one that should go for it; None where none is idle."""
        idle = self._idle_by_address.get(address, {}) if self._crowded(address) else self._idle
        return next(iter(idle), None)

    def _crowded(self, address: str) -> bool:
        return self._by_address.get(address, 0) >= self._most_per_address

    def add(self, connection: _T, address: str) -> None:
        """A new one, which is idle."""
        self._addresses[connection] = address
        self._by_address[address] = self._by_address.get(address, 0) + 1
        self.idle(connection)

    def remove(self, connection: _T) -> None:
        """It is closed, or about to be; no matter if it was removed before."""
        address = self._addresses.get(connection)
        if address is None:
            return
        self.busy(connection)
        del self._addresses[connection]
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]

    def is_idle(self, connection: _T) -> bool:
        return connection in self._idle

    def idle(self, connection: _T) -> None:
        """It waits for a request."""
        address = self._addresses.get(connection)
        if address is not None:
            self._idle[connection] = None
            self._idle_by_address.setdefault(address, {})[connection] = None

    def busy(self, connection: _T) -> None:
        """A request comes through it, or is being answered."""
        address = self._addresses.get(connection)
        if address is None or connection not in self._idle:
            return
        del self._idle[connection]
        of_address = self._idle_by_address[address]
        del of_address[connection]
        if not of_address:
            del self._idle_by_address[address]
