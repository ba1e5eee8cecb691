"""
Dicts that forget: the oldest entries beyond a number, and those whose time is up.

Pure; time is an argument, in seconds on a monotonic clock.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar, overload

_K = TypeVar("_K")
_V = TypeVar("_V")
_D = TypeVar("_D")


class BoundedDict(OrderedDict[_K, _V]):
    """The entries that were set last, the oldest first; setting an entry again makes it new."""

    def __init__(self, most: int) -> None:
        """`most`: entries that are kept."""
        super().__init__()
        self._most = most

    def __setitem__(self, key: _K, value: _V) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        if len(self) > self._most:
            self.popitem(last=False)


class ExpiringDict(Generic[_K, _V]):
    """
    A BoundedDict whose entries also expire, all of them after the same time.

    Call `expire` before reading: what is read has no regard to time, so that
    one reading is consistent with the next.
    """

    def __init__(self, most: int, lifetime: float) -> None:
        """`most`: entries that are kept; `lifetime`: seconds for which each is kept."""
        self._lifetime = lifetime
        #: When each expires, and its value; as all live equally long, the first expires first.
        self._entries: BoundedDict[_K, tuple[float, _V]] = BoundedDict(most)

    def set(self, key: _K, value: _V, now: float) -> None:
        """Store a value that expires a lifetime from now."""
        self._entries[key] = now + self._lifetime, value

    def expire(self, now: float) -> None:
        """Forget the entries whose time is up."""
        while self._entries and next(iter(self._entries.values()))[0] <= now:
            self._entries.popitem(last=False)

    def discard(self, key: _K) -> None:
        """Forget an entry, if there is one."""
        self._entries.pop(key, None)

    @overload
    def get(self, key: _K) -> _V | None: ...

    @overload
    def get(self, key: _K, default: _D) -> _V | _D: ...

    def get(self, key: _K, default: _D | None = None) -> _V | _D | None:
        """Return the value of `key`, or `default`."""
        entry = self._entries.get(key)
        return default if entry is None else entry[1]

    def items(self) -> Iterator[tuple[_K, _V]]:
        """Keys and values, the oldest first."""
        return ((key, value) for key, (_, value) in self._entries.items())

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[_K]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
