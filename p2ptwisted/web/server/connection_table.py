"""The connections of a server: how many, from which address, and which makes room. Pure."""

from collections.abc import Iterator
from typing import Generic, TypeVar

_T = TypeVar("_T")


class ConnectionTable(Generic[_T]):
    """
    Connections by their clients' addresses.

    Where there are too many, the connection that has been idle for the longest
    is closed. An address that has too many closes one of its own, so that a
    client crowds out only itself.
    """

    def __init__(self, most: int, most_per_address: int) -> None:
        """`most` connections in all, and `most_per_address` from one address."""
        self._most = most
        self._most_per_address = most_per_address
        #: By connection, its client's address.
        self._addresses: dict[_T, str] = {}
        self._by_address: dict[str, int] = {}
        #: Connections that wait for a request, in all and by address, the longest idle first.
        self._idle: dict[_T, None] = {}
        self._idle_by_address: dict[str, dict[_T, None]] = {}

    def __len__(self) -> int:
        return len(self._addresses)

    def __iter__(self) -> Iterator[_T]:
        return iter(list(self._addresses))

    def is_full(self, address: str) -> bool:
        """Whether a connection must be closed before that address may open another."""
        return len(self) >= self._most or self._is_address_full(address)

    def next_to_close(self, address: str) -> _T | None:
        """Return the idle connection to close for another from `address`, or None."""
        idle = (
            self._idle_by_address.get(address, {}) if self._is_address_full(address) else self._idle
        )
        return next(iter(idle), None)

    def _is_address_full(self, address: str) -> bool:
        return self._by_address.get(address, 0) >= self._most_per_address

    def add(self, connection: _T, address: str) -> None:
        """Add a new connection, which is idle."""
        self._addresses[connection] = address
        self._by_address[address] = self._by_address.get(address, 0) + 1
        self.mark_idle(connection)

    def remove(self, connection: _T) -> None:
        """Remove a connection; one that was removed before is ignored."""
        address = self._addresses.get(connection)
        if address is None:
            return
        self.mark_busy(connection)
        del self._addresses[connection]
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]

    def is_idle(self, connection: _T) -> bool:
        """Whether a connection waits for a request."""
        return connection in self._idle

    def mark_idle(self, connection: _T) -> None:
        """Note that a connection waits for a request."""
        address = self._addresses.get(connection)
        if address is not None:
            self._idle[connection] = None
            self._idle_by_address.setdefault(address, {})[connection] = None

    def mark_busy(self, connection: _T) -> None:
        """Note that a request comes through a connection, or is being answered."""
        address = self._addresses.get(connection)
        if address is None or connection not in self._idle:
            return
        del self._idle[connection]
        of_address = self._idle_by_address[address]
        del of_address[connection]
        if not of_address:
            del self._idle_by_address[address]
