"""Tests of `p2ptwisted.node.digest_cache`; test_library has those of a library that uses it."""

import hashlib
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.model import FileStamp
from p2ptwisted.node import digest_cache as hash_cache
from p2ptwisted.node.digest_cache import DigestCache, KeptDigests, make_cache
from p2ptwisted.pieces import Digests


def stamp(inode: int, mtime: int = 1, device: int = 1) -> FileStamp:
    return FileStamp(device, inode, 5, mtime, mtime)


def digests(content: bytes, pieces: int = 1) -> Digests:
    digest = hashlib.sha256(content)
    return Digests(digest.hexdigest(), digest.digest() * pieces)


class KeptTests(SynchronousTestCase):
    """What is remembered in memory."""

    def test_taken_once(self) -> None:
        """What is kept can be taken once, by its own stamp."""
        kept = KeptDigests()
        kept.keep(stamp(1), digests(b"1"))
        self.assertIs(kept.take(stamp(2)), None)
        self.assertEqual(kept.take(stamp(1)), digests(b"1"))
        self.assertIs(kept.take(stamp(1)), None)

    def test_bounded(self) -> None:
        """What was kept first is forgotten first."""
        self.patch(hash_cache, "KEPT_MAX", 2)
        kept = KeptDigests()
        for number in range(3):
            kept.keep(stamp(number), digests(b"1"))
        self.assertIs(kept.take(stamp(0)), None)
        self.assertEqual([kept.take(stamp(number)) for number in (1, 2)], [digests(b"1")] * 2)


class CacheTests(SynchronousTestCase):
    """What is remembered."""

    def setUp(self) -> None:
        self.state = Path(self.mktemp())
        self.cache = self.open()

    def open(self) -> DigestCache:
        cache = make_cache(self.state)
        assert cache is not None
        cache.open()
        self.addCleanup(cache.close)
        return cache

    def restart(self) -> None:
        self.cache.close()
        self.cache = self.open()

    def known(self, *inodes: int) -> list[int]:
        """Those of these that are remembered."""
        return [inode for inode in inodes if self.cache.get(stamp(inode)) is not None]

    def test_without_a_folder(self) -> None:
        """Without a state folder there is nothing to remember in."""
        self.assertIs(make_cache(None), None)

    def test_remembered(self) -> None:
        """Digests come back as they were put, of no piece, of one and of many, after a restart."""
        for inode, pieces in enumerate((0, 1, 1_000)):
            self.cache.put(stamp(inode), digests(b"%d" % inode, pieces))
        for _ in range(2):
            for inode, pieces in enumerate((0, 1, 1_000)):
                self.assertEqual(self.cache.get(stamp(inode)), digests(b"%d" % inode, pieces))
            self.restart()

    def test_damaged(self) -> None:
        """Digests of which any byte has changed on the disk are not believed."""
        known = digests(b"content", 2)
        self.cache.put(stamp(1), known)
        self.cache.close()
        file = self.state / "digests.sqlite"
        good = file.read_bytes()
        begin = good.index(bytes.fromhex(known.id)) - 20
        for at in range(begin, begin + 20 + 3 * 32 + 4):
            file.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
            cache = self.open()
            self.assertIn(cache.get(stamp(1)), (None, known))
            cache.close()
        file.write_bytes(good)
        self.cache = self.open()
        self.assertEqual(self.cache.get(stamp(1)), known)

    def test_any_difference(self) -> None:
        """A stamp that differs in any number is another file's."""
        self.cache.put(FileStamp(1, 2, 3, 4, 5), digests(b"x"))
        for place in range(5):
            numbers = [1, 2, 3, 4, 5]
            numbers[place] = 9
            self.assertIs(self.cache.get(FileStamp(*numbers)), None)
        self.assertEqual(self.cache.get(FileStamp(1, 2, 3, 4, 5)), digests(b"x"))

    def test_one_content_at_a_time(self) -> None:
        """What an inode had before is forgotten; the same number on another device is not."""
        self.cache.put(stamp(1, mtime=1), digests(b"old"))
        self.cache.put(stamp(1, mtime=1, device=2), digests(b"other"))
        self.cache.put(stamp(1, mtime=2), digests(b"new"))
        self.assertIs(self.cache.get(stamp(1, mtime=1)), None)
        self.assertEqual(self.cache.get(stamp(1, mtime=2)), digests(b"new"))
        self.assertEqual(self.cache.get(stamp(1, mtime=1, device=2)), digests(b"other"))

    def test_large_numbers(self) -> None:
        """Inodes and devices may have all 64 bits, and times may be before 1970."""
        for inode in (2**63 - 1, 2**63, 2**64 - 1):
            one = FileStamp(2**64 - 2, inode, 5, -1, -(10**18))
            self.cache.put(one, digests(b"%d" % inode))
            self.assertEqual(self.cache.get(one), digests(b"%d" % inode))

    def test_bound(self) -> None:
        """When there are too many, those added first go, a few at a time, and only those."""
        self.patch(hash_cache, "FILES_MAX", 10)
        self.patch(hash_cache, "TRIM", 3)
        inodes = [7, 1, 9, 3, 8, 2, 6, 4, 5, 0]
        for inode in inodes:
            self.cache.put(stamp(inode), digests(b"x"))
        self.assertEqual(self.known(*inodes), inodes)
        self.cache.put(stamp(11), digests(b"x"))
        self.assertEqual(self.known(*inodes, 11), [*inodes[3:], 11])
        for inode in (12, 13):
            self.cache.put(stamp(inode), digests(b"x"))
        self.assertEqual(self.known(*inodes, 11, 12, 13), [*inodes[3:], 11, 12, 13])
        self.restart()
        self.cache.put(stamp(14), digests(b"x"))
        self.assertEqual(self.known(*inodes, 11, 12, 13, 14), [*inodes[6:], 11, 12, 13, 14])

    def test_replacing_is_no_growth(self) -> None:
        """A file that changes again and again pushes no other out."""
        self.patch(hash_cache, "FILES_MAX", 3)
        self.patch(hash_cache, "TRIM", 1)
        for inode in (1, 2):
            self.cache.put(stamp(inode), digests(b"x"))
        for mtime in range(20):
            self.cache.put(stamp(3, mtime), digests(b"%d" % mtime))
        self.assertEqual(self.known(1, 2), [1, 2])
