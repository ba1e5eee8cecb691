"""
The running digest of a download: the SHA-256 of the pieces from the first one on, as far as they
are here. A piece that comes in order is hashed into it alone, and is right if the digest is then
what a holder says of it (`Pieces.prefixes`). In the end it is the resource's id. Pure.

What a holder says of it is but a hint. Who makes it up, with pieces to match, has them taken for
right: so before such a piece is passed on its own digest is checked (`PartFile.check`), and where
the end is not the id, those of all.
"""

import hashlib

from p2ptwisted.pieces import Pieces


class RunningDigest:
    """The digest of the pieces of one resource before `next`."""

    def __init__(self, pieces: Pieces, is_hint_used: bool = True) -> None:
        self._pieces = pieces
        self._is_hint_used = is_hint_used
        self._digest = hashlib.sha256()
        self._prefixes = bytearray()
        #: The piece that is to be hashed next.
        self.next = 0

    def copy(self) -> "hashlib._Hash":
        """A copy of the digest, to feed the next piece to: what may be wrong never gets in."""
        return self._digest.copy()

    def hint(self, piece: int) -> bytes:
        """What the digest should be after that piece; empty if nobody says, or has lied."""
        return self._pieces.prefix(piece) if self._is_hint_used else b""

    def drop_hint(self) -> None:
        """Use the hint no more: it is wrong."""
        self._is_hint_used = False

    def advance(self, piece: int, digest: "hashlib._Hash") -> None:
        """Go on to `digest`, a copy that was fed that piece, unless that was done already."""
        if piece == self.next:
            self._digest = digest
            self._prefixes += digest.digest()
            self.next += 1

    @property
    def prefixes(self) -> bytes:
        """As Digests has them, once every piece is hashed."""
        return bytes(self._prefixes) if self._pieces.count > 1 else b""

    def hexdigest(self) -> str:
        """The digest: the resource's id, once every piece is hashed."""
        return self._digest.hexdigest()
