"""The files of a library that wait to be hashed. Small ones don't wait for large ones."""

from collections import deque
from collections.abc import Callable

from twisted.logger import Logger
from twisted.python.failure import Failure

from p2ptwisted.interfaces import IHasher
from p2ptwisted.model import FileStamp
from p2ptwisted.pieces import Digests
from p2ptwisted.support.escaping import shown
from p2ptwisted.transfer.shared_folder import SharedFolder

#: Small files, and large ones, that the hasher is given at once. A file that waits
#: there has 25 objects, and collecting garbage among
#: 40,000 times as many holds the reactor for 0.3 s.
HASHING_MAX = 256

_log = Logger()


class HashQueue:
    """Gives a hasher what it has room for."""

    def __init__(
        self,
        hasher: IHasher,
        folder: SharedFolder,
        is_wanted: Callable[[str, FileStamp], bool],
        hashed: Callable[[str, FileStamp, Digests], None],
        failed: Callable[[str, FileStamp, Failure], None],
    ) -> None:
        """
        `is_wanted` says whether a file is still to be hashed when its turn has come. `hashed` and
        `failed` are called with what has become of it.
        """
        self._hasher = hasher
        self._folder = folder
        self._is_wanted = is_wanted
        self._hashed = hashed
        self._failed = failed
        #: The small and the large files that the hasher has not been given, and how many of either
        #: kind it has.
        self._waiting: tuple[deque[tuple[str, FileStamp]], ...] = deque(), deque()
        self._hashing = [0, 0]

    def add(self, name: str, stamp: FileStamp) -> None:
        """Have a file hashed."""
        kind = int(self._hasher.is_large(stamp.size))
        self._waiting[kind].append((name, stamp))
        self._hash_next(kind)

    def _hash_next(self, kind: int) -> None:
        while self._waiting[kind] and self._hashing[kind] < HASHING_MAX:
            name, stamp = self._waiting[kind].popleft()
            # It may have changed or gone while it waited.
            if self._is_wanted(name, stamp):
                self._hashing[kind] += 1
                self._hash_now(name, stamp, kind)

    def _hash_now(self, name: str, stamp: FileStamp, kind: int) -> None:
        def ended(result: object) -> object:
            self._hashing[kind] -= 1
            self._hash_next(kind)
            return result

        hashing = self._hasher.hash(self._folder.path, name, stamp)
        hashing.addBoth(ended)
        hashing.addCallbacks(
            lambda digests: self._hashed(name, stamp, digests),
            lambda failure: self._failed(name, stamp, failure),
        )
        hashing.addErrback(
            lambda failure: _log.failure("Hashing {name} failed", failure=failure, name=shown(name))
        )
