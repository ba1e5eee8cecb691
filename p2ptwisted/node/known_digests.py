"""The digests of files that need not be hashed again."""

from p2ptwisted.model import FileStamp
from p2ptwisted.node.digest_cache import DigestCache, KeptDigests
from p2ptwisted.pieces import Digests, is_cut_by_rule


class KnownDigests:
    """Digests by file stamp: of all files in a cache; without one, of those out of reach alone."""

    def __init__(self, cache: DigestCache | None) -> None:
        self._cache = cache
        self._kept = KeptDigests()

    def get(self, stamp: FileStamp) -> Digests | None:
        """Return the digests of the file with that stamp, if they are known and of use."""
        known = self._kept.take(stamp) if self._cache is None else self._cache.get(stamp)
        # What an earlier version has cut otherwise is hashed again: a fetch can't take some pieces
        # from one holder and some from another where these cut differently.
        if known is None or not is_cut_by_rule(stamp.size, known.pieces):
            return None
        return known

    def put(self, stamp: FileStamp, digests: Digests) -> None:
        """Remember what hashing has found."""
        if self._cache is None:
            self._kept.take(stamp)  # What was known before may be of another content.
        else:
            self._cache.put(stamp, digests)

    def keep(self, stamp: FileStamp, digests: Digests) -> None:
        """Remember those of a file that is out of reach until it is there again."""
        if self._cache is None:
            self._kept.keep(stamp, digests)
