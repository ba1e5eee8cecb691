"""Tests of `p2ptwisted.transfer.download`: transfers from holders in memory, on a Clock."""

import errno
import os

from twisted.internet.defer import CancelledError, Deferred

from p2ptwisted.client.transport import Refused
from p2ptwisted.errors import Unavailable, UnknownResource
from p2ptwisted.model import Holders
from p2ptwisted.test.transfer.download_case import CONTENT, ID, STEP, DownloadCase
from p2ptwisted.test.transfer_fakes import LENGTH, FakeHolder, busy, cut, id_of, left_of
from p2ptwisted.transfer.attempt import PIECE_TIMEOUT
from p2ptwisted.transfer.download import REASONS_LENGTH_MAX
from p2ptwisted.transfer.lookups import LOOKUP_FIRST
from p2ptwisted.transfer.part_file import PartFile
from p2ptwisted.transfer.swarm import DISPUTED_MAX


class GoodTests(DownloadCase):
    """Transfers in which nothing goes wrong."""

    def test_one(self) -> None:
        """One holder gives everything, each piece once."""
        self.add("a:1")
        self.assertLess(self.succeeds(), 1.0)
        assert self.download.picker is not None
        self.assertEqual([one.received for one in self.download.picker.neighbors], [len(CONTENT)])
        self.assertEqual(self.download.troubles, {})

    def test_several(self) -> None:
        """Several give something each."""
        for location in ("a:1", "b:1"):
            self.add(location)
        self.succeeds()
        assert self.download.picker is not None
        received = [one.received for one in self.download.picker.neighbors]
        self.assertEqual(sum(received), len(CONTENT))
        self.assertTrue(all(received))

    def test_synced(self) -> None:
        """The complete part is synced once, before it is put in its place."""
        self.add("a:1")
        self.succeeds()
        self.assertEqual(self.sync.synced, [str(self.folder.absolute() / "file.part")])

    def test_started(self) -> None:
        """The first piece is told once, when it is there."""
        self.add("a:1")
        running = self.start()
        while not self.starts:
            assert not running.called
            self.clock.advance(STEP)
        assert self.download.part is not None
        self.assertTrue(self.download.part.have)
        self.go_on(running)
        self.assertEqual(self.starts, 1)

    def test_partial(self) -> None:
        """A holder that has only a part is asked again for what it gets."""
        holder = self.add("a:1")
        holder.has = 0b1
        running = self.start()
        self.clock.pump([STEP] * 100)
        self.assertFalse(running.called)
        holder.has = 0b11111111
        self.assertLess(self.go_on(running), 2.0)
        self.successResultOf(running)

    def test_joins(self) -> None:
        """A holder that is found while it runs takes part."""
        self.add("a:1").pause = 1.0
        running = self.start()
        self.clock.pump([STEP] * 10)
        self.add("b:1")
        self.assertLess(self.go_on(running), LOOKUP_FIRST + 2.0)
        assert self.download.picker is not None
        received = {one.location: one.received for one in self.download.picker.neighbors}
        self.assertGreater(received["b:1"], 0)
        self.successResultOf(running)

    def test_resumed(self) -> None:
        """What was here before is not asked for again, and is shared from the start."""
        self.add("a:1")
        running = self.start()
        while not self.starts:
            self.clock.advance(STEP)
        running.cancel()
        self.failureResultOf(running, CancelledError)
        assert self.download.part is not None
        had = self.download.part.have
        self.assertTrue(had)
        self.swarm.peers["a:1"].wanted.clear()
        self.download = self.make()
        self.succeeds()
        self.assertEqual(self.starts, 2)
        self.assertFalse(any(wanted & had for wanted in self.swarm.peers["a:1"].wanted))

    def test_empty(self) -> None:
        """A resource without content is made without a request for pieces."""
        self.listed = Holders(ID, [], [], "file")
        self.add("a:1", FakeHolder(b""))
        self.download = self.make(id=id_of(b""))
        running = self.start()
        self.go_on(running)
        self.assertEqual(self.successResultOf(running).read_bytes(), b"")
        self.assertEqual(self.swarm.peers["a:1"].wanted, [])

    def test_held_back(self) -> None:
        """A bound on the rate that makes for long pauses is not taken for silence."""
        self.download = self.make(pause=PIECE_TIMEOUT + 5.0)
        self.add("a:1")
        running = self.start()
        for _ in range(40 * 16):
            self.clock.advance(0.5)
        self.assertEqual(self.successResultOf(running).read_bytes(), CONTENT)


class HolderTests(DownloadCase):
    """Holders that lie, stall, refuse and vanish."""

    def test_nobody(self) -> None:
        """Where nobody has it, it is unknown."""
        running = self.start()
        self.go_on(running)
        self.failureResultOf(running, UnknownResource)

    def test_no_supernode(self) -> None:
        """Without a supernode nothing can be looked up, and that is said."""
        self.problem = Unavailable("no supernode")
        self.assertEqual(self.fails(), "no supernode")

    def test_supernode_goes(self) -> None:
        """A supernode that vanishes while it runs does no harm."""
        self.add("a:1").pause = 1.0
        running = self.start()
        self.clock.pump([STEP] * 10)
        self.problem = Unavailable("no supernode")
        self.go_on(running)
        self.successResultOf(running)

    def test_look_up_mistake(self) -> None:
        """A mistake in a later look-up is in the log, and does no harm."""
        self.add("a:1").pause = 0.6
        running = self.start()
        self.clock.pump([STEP] * 10)
        self.problem = ZeroDivisionError()
        self.go_on(running)
        self.successResultOf(running)
        self.assertTrue(self.flushLoggedErrors(ZeroDivisionError))

    def test_unusable(self) -> None:
        """Where no holder says what it has, each is named with the reason."""
        self.add("a:1").refusal = Refused(302, "status 302")
        self.add("b:1").refusal = Refused(404, "not here")
        told = self.fails()
        self.assertIn("a:1: status 302", told)
        self.assertIn("b:1: not here", told)

    def test_wrong_piece(self) -> None:
        """Who sends a wrong piece is named and not asked again; the others give the rest."""
        liar = FakeHolder(bytes(len(CONTENT)), cut(CONTENT))
        self.add("liar:1", liar)
        self.add("a:1")
        self.succeeds()
        self.assertIn("wrong piece", self.download.troubles["liar:1"])
        self.assertEqual(len(liar.wanted), 1)

    def test_only_liars(self) -> None:
        """Where all send wrong pieces it fails at once, and says who they are."""
        self.add("liar:1", FakeHolder(bytes(len(CONTENT)), cut(CONTENT)))
        told = self.fails()
        self.assertIn("liar:1", told)
        self.assertLess(self.clock.seconds(), 5.0)

    def test_false_digests(self) -> None:
        """Whoever tells false digests, with content to match, is found out by the whole."""
        other = bytes(len(CONTENT))
        for number in range(2):
            self.add(f"liar:{number}", FakeHolder(other))
        self.add("a:1")
        self.succeeds()
        self.assertEqual(set(self.download.troubles), {"liar:0", "liar:1"})
        for number in range(2):
            self.assertEqual(self.swarm.peers[f"liar:{number}"].polled, 1)
            self.assertIn("digests", self.download.troubles[f"liar:{number}"])

    def test_false_digests_right_content(self) -> None:
        """The same where the content does not match them: the others get their turn at once."""
        for number in range(2):
            self.add(f"liar:{number}", FakeHolder(CONTENT, cut(bytes(len(CONTENT)))))
        self.add("a:1")
        self.assertLess(self.succeeds(), 5.0)
        self.assertEqual(set(self.download.troubles), {"liar:0", "liar:1"})

    def test_false_size(self) -> None:
        """The same where a holder tells another size."""
        for number in range(2):
            self.add(f"liar:{number}", FakeHolder(CONTENT[:-5]))
        self.add("a:1")
        self.succeeds()
        self.assertEqual(set(self.download.troubles), {"liar:0", "liar:1"})

    def test_all_lie(self) -> None:
        """Where all tell the same false digests it fails, and names them."""
        self.add("liar:1", FakeHolder(bytes(len(CONTENT))))
        self.assertIn("liar:1: its piece digests", self.fails())
        self.assertFalse((self.folder / "file").exists())

    def test_silent_group(self) -> None:
        """Holders that give nothing give way to others that tell other digests."""
        for number in range(2):
            self.add(f"silent:{number}", FakeHolder(CONTENT[:-5])).silent = True
        self.add("a:1")
        self.assertLess(self.succeeds(), 2 * PIECE_TIMEOUT)
        self.assertEqual(set(self.download.troubles), {"silent:0", "silent:1"})

    def test_busy(self) -> None:
        """Who is busy is asked again later, and is no trouble any more when it gives."""
        holder = self.add("a:1")
        running = self.start()
        self.clock.pump([STEP] * 3)
        holder.refusal = busy()
        self.clock.pump([STEP] * 300)
        self.assertIn("another holder", self.download.troubles["a:1"])
        holder.refusal = None
        self.go_on(running)
        self.successResultOf(running)
        self.assertEqual(self.download.troubles, {})

    def test_vanishes(self) -> None:
        """Who vanishes costs little where there is another."""
        self.add("a:1").pause = 0.1
        self.add("b:1").pause = 0.1
        running = self.start()
        self.clock.pump([STEP] * 25)
        self.swarm.stop(["a:1"])
        self.assertLess(self.go_on(running), 3.0)
        self.successResultOf(running)

    def test_stalls(self) -> None:
        """What a silent holder was asked for is had from another."""
        self.add("a:1").silent = True
        self.add("b:1")
        self.assertLess(self.succeeds(), 3.0)

    def test_all_silent(self) -> None:
        """It fails when nothing comes for a while, and says why."""
        self.add("a:1").silent = True
        told = self.fails()
        self.assertIn("no piece has come for 30 s", told)
        self.assertIn("a:1: nothing came", told)
        self.assertLess(self.clock.seconds(), PIECE_TIMEOUT + 11.0)

    def test_many_silent(self) -> None:
        """It says so in some words, however many there are; in full it is in the troubles."""
        for number in range(DISPUTED_MAX):
            self.add(f"{number:0100d}:1").silent = True
        told = self.fails()
        self.assertLess(len(told), REASONS_LENGTH_MAX + 50)
        self.assertGreater(len("".join(self.download.troubles.values())), 0)


class DiskTests(DownloadCase):
    """What can be wrong here."""

    def test_existing(self) -> None:
        """Another file that stands there is left as it is, and no piece is asked for."""
        self.folder.mkdir()
        (self.folder / "file").write_bytes(b"mine")
        self.add("a:1")
        self.assertIn("exists", self.fails())
        self.assertEqual((self.folder / "file").read_bytes(), b"mine")
        self.assertEqual(self.swarm.peers["a:1"].wanted, [])

    def test_overwritten(self) -> None:
        """Asked to, it takes that file's place."""
        self.folder.mkdir()
        (self.folder / "file").write_bytes(b"mine")
        self.add("a:1")
        self.download = self.make(overwrite=True)
        self.succeeds()

    def test_full(self) -> None:
        """A disk that can't be written to ends it at once, and is not the holder's trouble."""

        def write(part: PartFile, at: int, data: bytes) -> None:
            raise Unavailable("no room")

        self.patch(PartFile, "write", write)
        self.add("a:1")
        self.assertEqual(self.fails(), "no room")
        self.assertEqual(self.download.troubles, {})
        self.assertLess(self.clock.seconds(), 5.0)

    def test_damaged(self) -> None:
        """A part that was changed on disk is found out by the whole, and had again."""
        self.add("a:1")
        running = self.start()
        while not self.starts:
            self.clock.advance(STEP)
        running.cancel()
        self.failureResultOf(running, CancelledError)
        part = self.folder / "file.part"
        part.write_bytes(bytes(255 for _ in range(LENGTH)) + part.read_bytes()[LENGTH:])
        self.download = self.make()
        self.succeeds()
        self.assertEqual(self.download.troubles, {})

    def test_sync_fails(self) -> None:
        """Where the part can't be synced that is said, and it stays."""
        self.add("a:1")
        self.sync.problem = OSError(errno.EIO, os.strerror(errno.EIO))
        self.assertIn("Input/output error", self.fails())
        self.assertTrue((self.folder / "file.part").exists())


class CancelTests(DownloadCase):
    """Cancelling leaves nothing behind but the part."""

    def test_at_every_step(self) -> None:
        """Wherever it is, it stops at once; what has come is kept and serves the next."""
        self.add("a:1").pause = 0.4
        self.add("b:1").silent = True
        self.add("c:1", FakeHolder(bytes(len(CONTENT))))
        had = 0
        for steps in range(0, 300, 3):
            self.download = self.make()
            running = self.start()
            self.clock.pump([STEP] * steps)
            if running.called:
                break
            running.cancel()
            self.failureResultOf(running, CancelledError)
            self.nothing_left()
            for version in range(2):
                known = left_of(self.folder / "file", ID, version)
                if known is not None and known.pieces == cut(CONTENT):
                    self.assertEqual(had & ~known.have, 0)
                    had = known.have
        self.assertTrue(had)

    def test_looking_up(self) -> None:
        """A look-up that is under way is given up, at first and later."""
        self.add("a:1").pause = 1.0
        for later in (False, True):
            self.download = self.make()
            if later:
                running = self.start()
                self.clock.pump([STEP] * 10)
            hung: Deferred[Holders] = Deferred()
            self.patch(self.download._swarm, "_find", lambda here, hung=hung: hung)
            if later:
                self.clock.pump([STEP] * 250)
            else:
                running = self.start()
            self.assertFalse(hung.called)
            running.cancel()
            self.assertTrue(hung.called)
            self.failureResultOf(running, CancelledError)
            self.nothing_left()
