"""Tests of `p2ptwisted.transfer.download`: holders that lie, and draw it out."""

import os
from errno import ENOSPC
from itertools import count
from pathlib import Path

from twisted.internet.defer import CancelledError, Deferred

from p2ptwisted import pieces
from p2ptwisted.client.transport import Refused
from p2ptwisted.errors import Unavailable
from p2ptwisted.model import Holders
from p2ptwisted.pieces import Pieces
from p2ptwisted.test.transfer.download_case import CONTENT, ID, STEP, DownloadCase
from p2ptwisted.test.transfer_fakes import LENGTH, FakeHolder, cut, left_of
from p2ptwisted.transfer import attempt, piece_deadline, piece_picker, swarm
from p2ptwisted.transfer.attempt import PIECE_TIMEOUT
from p2ptwisted.transfer.disk_room import STAT_BLOCK
from p2ptwisted.transfer.download import ATTEMPT_TURN, NO_PIECE_TIMEOUT
from p2ptwisted.transfer.swarm import CHANGES_MAX


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
        self.near, self.listed = self.listed, Holders(ID, [], [], "file")
        self.add("a:1")
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
        self.add_lie("x:1", "y:1", size=4 * 1024 * 1024, seed=1)
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
