"""Tests of `p2ptwisted.transfer.download`: transfers from holders in memory, on a Clock."""

import os
from errno import ENOSPC
from itertools import count
from pathlib import Path

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock, LoopingCall
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted import pieces
from p2ptwisted.client.transport import Refused
from p2ptwisted.errors import Unavailable, UnknownResource
from p2ptwisted.model import Holders
from p2ptwisted.pieces import Pieces
from p2ptwisted.test.node_fakes import one_by_one, open_descriptors
from p2ptwisted.test.transfer_fakes import (
    LENGTH,
    FakeDigests,
    FakeHolder,
    SwarmClient,
    busy,
    cut,
    id_of,
    left_of,
)
from p2ptwisted.transfer import attempt, piece_deadline, piece_picker, swarm
from p2ptwisted.transfer.attempt import PIECE_TIMEOUT
from p2ptwisted.transfer.disk_room import STAT_BLOCK
from p2ptwisted.transfer.download import (
    ATTEMPT_TURN,
    LOOKUP_INTERVAL,
    NO_PIECE_TIMEOUT,
    REASONS_LENGTH_MAX,
    Download,
)
from p2ptwisted.transfer.part_file import PartFile
from p2ptwisted.transfer.swarm import CHANGES_MAX, LOOKUP_HOLDERS_MAX

CONTENT = bytes(range(8 * LENGTH))
ID = id_of(CONTENT)

#: Seconds between two looks at the clock, and most of them in a test.
STEP, STEPS = 0.01, 6_000


class DownloadCase(SynchronousTestCase):
    """A transfer to a folder of its own."""

    def setUp(self) -> None:
        self.patch(pieces, "PIECE_MIN", LENGTH)
        self.clock = Clock()
        self.swarm = SwarmClient(self.clock)
        self.listed = Holders(ID, [], [], "file")
        self.problem: Exception | None = None
        self.digests = FakeDigests()
        self.folder = Path(self.mktemp())
        self.starts = 0
        LoopingCall(self.make)  # The first one installs the reactor, which has descriptors too.
        self.open_before = open_descriptors()
        self.download = self.make()

    def make(self, pause: float = 0.0, overwrite: bool = False, id: str = ID) -> Download:
        return Download(
            self.clock,
            self.swarm,
            one_by_one(self.clock),
            self.digests,
            id,
            self.find,
            lambda name: self.folder / (name or "nameless"),
            overwrite,
            lambda count: pause,
            self.started,
        )

    async def find(self, here: bool) -> Holders:
        if self.problem is not None:
            raise self.problem
        return self.listed

    def started(self) -> None:
        self.starts += 1

    def add(self, location: str, holder: FakeHolder | None = None) -> FakeHolder:
        """A holder, of the whole content where nothing else is said."""
        self.swarm.peers[location] = holder or FakeHolder(CONTENT)
        self.listed.locations.append(location)
        return self.swarm.peers[location]

    def start(self) -> Deferred[Path]:
        return Deferred.fromCoroutine(self.download.run())

    def go_on(self, running: Deferred[Path]) -> float:
        """Until it is through; the seconds that it took."""
        began = self.clock.seconds()
        for _ in range(STEPS):
            if running.called:
                break
            self.clock.advance(STEP)
        self.nothing_left()
        return self.clock.seconds() - began

    def nothing_left(self) -> None:
        """No request, no timer, no file."""
        self.assertEqual(self.swarm.open, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(open_descriptors(), self.open_before)
        self.assertTrue(all(digest.stopped for digest in self.digests.made))

    def succeeds(self) -> float:
        """It runs, and the file is there and right; the seconds that it took."""
        running = self.start()
        seconds = self.go_on(running)
        path = self.successResultOf(running)
        self.assertEqual(path, self.folder / "file")
        self.assertEqual(path.read_bytes(), CONTENT)
        self.assertEqual([one.name for one in self.folder.iterdir()], ["file"])
        return seconds

    def fails(self) -> str:
        """It runs, and fails for the time being; what is said of it."""
        running = self.start()
        self.go_on(running)
        return str(self.failureResultOf(running, Unavailable).value)


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

    def test_whole(self) -> None:
        """The digest of the file is told how far the beginning has come, and never less."""
        self.add("a:1")
        self.succeeds()
        (digest,) = self.digests.made
        self.assertEqual(digest.size, len(CONTENT))
        self.assertEqual(digest.sizes, sorted(digest.sizes))
        self.assertEqual(digest.sizes[-1], len(CONTENT))

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
        self.assertLess(self.go_on(running), LOOKUP_INTERVAL + 2.0)
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
        for number in range(LOOKUP_HOLDERS_MAX):
            self.add(f"{number:0100d}:1").silent = True
        told = self.fails()
        self.assertLess(len(told), REASONS_LENGTH_MAX + 50)
        self.assertGreater(len("".join(self.download.troubles.values())), 0)


class ChangingHolder(FakeHolder):
    """One that each time tells of another size, for which there is no room."""

    sizes = count(128 * 1024)

    @property
    def pieces(self) -> Pieces:
        return Pieces(next(self.sizes), bytes(32))

    @pieces.setter
    def pieces(self, pieces: Pieces) -> None:
        pass


class LyingTests(DownloadCase):
    """Holders that lie, and draw it out."""

    def add_lie(self, *locations: str, size: int = len(CONTENT), seed: int = 0) -> list[FakeHolder]:
        """These tell, and have, another content of that size."""
        content = bytes([seed]) * size
        told = cut(content, pieces.piece_size(size))
        return [self.add(location, FakeHolder(content, told)) for location in locations]

    def test_made_up_locations(self) -> None:
        """Three that trickle, and agree on a lie, don't hold up the one that is honest."""
        for holder in self.add_lie("x:1", "y:1", "z:1"):
            holder.trickles = 1.0
        self.add("a:1")
        self.assertLess(self.succeeds(), 3.0)

    def test_ports(self) -> None:
        """Nor do twenty ports of one address, nor as many lies as it has ports."""
        for seed in range(20):
            (holder,) = self.add_lie(f"x:{seed}", seed=seed)
            holder.trickles = 1.0
        self.add("a:1")
        self.assertLess(self.succeeds(), 3.0)

    def test_trickles_beside(self) -> None:
        """One that says what is right, and trickles, holds up nothing, with however many ports."""
        for number in range(20):
            self.add(f"x:{number}").trickles = 1.0
        self.add("a:1")
        self.assertLess(self.succeeds(), 5.0)

    def test_trickles_alone(self) -> None:
        """A download from it alone fails as soon as one from a silent one, and says why."""
        self.add("x:1").trickles = 1.0
        told = self.fails()
        self.assertIn("no piece has come for 30 s", told)
        self.assertIn("x:1: it sends next to nothing", told)
        self.assertLess(self.clock.seconds(), PIECE_TIMEOUT + 5.0)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_slow_link(self) -> None:
        """A piece takes as long as it takes over the slowest link that will do."""
        self.patch(piece_deadline, "SLOWEST", 1)
        self.patch(attempt, "PIECE_TIMEOUT", 4.0)
        self.patch(piece_picker, "TRICKLE_TIMEOUT", 2.0)
        for location in ("a:1", "b:1"):
            self.add(location).trickles = 1.9
        running = self.start()
        self.clock.pump([0.1] * 1_500)
        self.assertEqual(self.successResultOf(running).read_bytes(), CONTENT)

    def test_goes_on_and_on(self) -> None:
        """Those whose lie has no end, each piece as they said, don't hold up the one after them."""
        for seed in range(4):
            for holder in self.add_lie(
                f"x{seed}:1", f"y{seed}:1", size=1000 * LENGTH, seed=seed + 1
            ):
                holder.pause = 5.0
        self.add("a:1")
        self.assertLess(self.succeeds(), 2 * ATTEMPT_TURN + 1.0)
        self.assertIn("digests", self.download.troubles["x0:1"])

    def test_one_after_the_other(self) -> None:
        """However they take turns in saying that they have it, a download without a piece ends."""
        running = self.start_with_lies_in_turns()
        for _ in range(2_000):
            if running.called:
                break
            self.clock.advance(0.1)
        told = str(self.failureResultOf(running, Unavailable).value)
        self.assertIn("no piece has come", told)
        self.assertGreater(self.clock.seconds(), NO_PIECE_TIMEOUT)
        self.nothing_left()

    def start_with_lies_in_turns(self) -> Deferred[Path]:
        for number in range(3):
            (holder,) = self.add_lie(f"x{number}:1", seed=number)
            holder.silent = True
        late = self.listed.locations[1:]
        del self.listed.locations[1:]
        for number, location in enumerate(late, 1):
            self.clock.callLater(20.0 * number, self.listed.locations.append, location)
        return self.start()

    def test_wrong_pieces_once(self) -> None:
        """Who is all of its group, and sent a wrong piece, is not asked again while others are."""
        liar = self.add("x:1", FakeHolder(bytes(len(CONTENT)), cut(CONTENT)))
        for holder in self.add_lie("y:1", "z:1", size=1000 * LENGTH, seed=1):
            holder.pause = 5.0
        running = self.start()
        self.clock.pump([0.1] * 1_000)
        self.assertNoResult(running)
        self.assertEqual(len(liar.wanted), 1)
        self.assertIn("wrong piece", self.download.troubles["x:1"])
        running.cancel()
        self.failureResultOf(running, CancelledError)

    def test_unusable_here(self) -> None:
        """Where those that the own supernode knows can't be used, the others are looked up."""
        self.add("x:1").refusal = Refused(404, "not here")
        near, self.listed = self.listed, Holders(ID, [], [], "file")
        self.add("a:1")
        everywhere = self.listed

        async def find(here: bool) -> Holders:
            return near if here else everywhere

        self.patch(self.download._swarm, "_find", find)
        self.assertLess(self.succeeds(), 3.0)

    # -- room

    def reserved(self) -> list[int]:
        """What is reserved, by its bytes."""
        sizes: list[int] = []
        reserve = os.posix_fallocate

        def reserved(file: int, at: int, size: int) -> None:
            sizes.append(size)
            reserve(file, at, size)

        self.patch(os, "posix_fallocate", reserved)
        return sizes

    def no_room_beyond(self, room: int) -> None:
        """The disk has so many bytes left."""
        system = os.statvfs(".")
        told = os.statvfs_result((*system[:1], 1, 1_000_000, room, room, *system[5:]))
        self.patch(os, "fstatvfs", lambda file: told)

    def test_room_of_a_lie(self) -> None:
        """While holders disagree about the size, nobody takes the room for all of it."""
        reserved = self.reserved()
        for holder in self.add_lie("x:1", "y:1", size=4 * 1024 * 1024):
            holder.pause = 0.05
        self.add("a:1").pause = 0.1
        self.succeeds()
        self.assertEqual(reserved, [])

    def test_room_before_a_piece(self) -> None:
        """Nor does who is alone get it before a piece of it has come that is right."""
        reserved = self.reserved()
        (holder,) = self.add_lie("x:1", size=4 * 1024 * 1024)
        holder.silent = True
        self.fails()
        self.assertEqual((reserved, list(self.folder.iterdir())), ([], []))

    def test_room_given_back(self) -> None:
        """Who has sent one piece of a size that is a lie keeps no more than that."""
        reserved = self.reserved()
        size = 4 * 1024 * 1024
        (holder,) = self.add_lie("x:1", size=size, seed=1)
        holder.has = 1 << (holder.pieces.count - 1)
        self.fails()
        self.assertEqual(sum(reserved), size)
        part = self.folder / "file.part"
        self.assertLess(part.stat().st_blocks * STAT_BLOCK, size / 10)

    def test_no_room_for_a_lie(self) -> None:
        """A size for which there is no room fails that version only."""
        self.no_room_beyond(64 * 1024)
        self.add_lie("x:1", "y:1", size=4 * 1024 * 1024)
        self.assertIn("no room", self.fails())
        self.add("a:1")
        self.download = self.make()
        self.assertLess(self.succeeds(), 3.0)

    def test_ever_other_lies(self) -> None:
        """Who says something else each time is soon asked no more, though it is forgotten."""
        self.patch(swarm, "GROUPS_MAX", 4)
        self.no_room_beyond(64 * 1024)
        liars = [self.add(f"x:{port}", ChangingHolder(b"", cut(b""))) for port in range(16)]
        self.add("a:1").pause = 10.0
        running = self.start()
        for _ in range(200):
            self.clock.pump([STEP] * 10)
        self.assertNoResult(running)
        self.assertLessEqual(max(holder.polled for holder in liars), CHANGES_MAX + 2)
        running.cancel()
        self.failureResultOf(running, CancelledError)

    def test_room_taken_by_a_lie(self) -> None:
        """Who finds no room while a lie takes it gets it when that has come to nothing."""
        for holder in self.add_lie("x:1", "y:1"):
            holder.silent = True
        self.add("a:1")
        write, lie = os.pwrite, self.folder / "file.part"

        def full(file: int, data: bytes, at: int) -> int:
            if lie.exists() and not os.path.samestat(os.fstat(file), lie.stat()):
                raise OSError(ENOSPC, os.strerror(ENOSPC))
            return write(file, data, at)

        self.patch(os, "pwrite", full)
        self.assertLess(self.succeeds(), PIECE_TIMEOUT + 5.0)

    def test_kept(self) -> None:
        """What an honest holder brought is not lost to a lie that leads the next time."""
        self.add("a:1")
        running = self.start()
        while not self.starts:
            self.clock.advance(STEP)
        running.cancel()
        self.failureResultOf(running, CancelledError)
        known = left_of(self.folder / "file", ID)
        assert known is not None
        self.swarm.stop(["a:1"])
        for holder in self.add_lie("x:1", "y:1"):
            holder.has = 0b01111111
        self.download = self.make()
        self.fails()
        self.assertEqual(left_of(self.folder / "file", ID), known)
        honest = self.add("a:1")
        self.download = self.make()
        self.succeeds()
        self.assertFalse(any(wanted & known.have for wanted in honest.wanted))


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

    def test_whole_fails(self) -> None:
        """Where the whole can't be hashed, that is said."""
        self.add("a:1")
        running = self.start()
        while not self.digests.made:
            self.clock.advance(STEP)
        self.digests.made[0].problem = Unavailable("the child has gone")
        self.go_on(running)
        failure = self.failureResultOf(running, Unavailable)
        self.assertEqual(str(failure.value), "the child has gone")


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
            known = left_of(self.folder / "file", ID)
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
