"""Tests of `p2ptwisted.hashing`."""

import hashlib
import io

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.hashing import SLICE, Digest


def digest(content: bytes) -> tuple[str, int]:
    """The id of this content, and in how many slices it was made."""
    made = Digest()
    slices = sum(1 for _ in made.slices(io.BytesIO(content)))
    return made.id(), slices


class DigestTests(SynchronousTestCase):
    """Ids of contents."""

    def test_empty(self) -> None:
        """An empty file has the well-known SHA-256 of nothing."""
        self.assertEqual(
            digest(b""),
            ("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", 0),
        )

    def test_known_value(self) -> None:
        """The id is SHA-256 in lower-case hex digits: the standard's own example."""
        self.assertEqual(
            digest(b"abc"),
            ("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 1),
        )

    def test_slices(self) -> None:
        """A file is given way after every slice, and its id is that of all slices together."""
        for size, slices in [(SLICE - 1, 1), (SLICE, 1), (SLICE + 1, 2), (3 * SLICE, 3)]:
            content = bytes(range(256)) * (size // 256 + 1)
            content = content[:size]
            self.assertEqual(digest(content), (hashlib.sha256(content).hexdigest(), slices))

    def test_short_reads(self) -> None:
        """A file that gives less than was asked for is read to its end all the same."""

        class Dripping(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                return super().read(7)

        made = Digest()
        for _ in made.slices(Dripping(b"0123456789" * 5)):
            pass
        self.assertEqual(made.id(), hashlib.sha256(b"0123456789" * 5).hexdigest())

    def test_failing_file(self) -> None:
        """An error of the disk reaches the caller as the OSError that it is."""

        class Failing(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                raise OSError("broken disk")

        self.assertRaises(OSError, next, Digest().slices(Failing()))
