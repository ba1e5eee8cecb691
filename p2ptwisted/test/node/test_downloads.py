"""Tests of `p2ptwisted.node.downloads`: a node's fetches, from holders in memory, on a Clock."""

import os
from pathlib import Path
from typing import cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2ptwisted import pieces
from p2ptwisted.errors import Unavailable, UnknownResource
from p2ptwisted.interfaces import IDownloads
from p2ptwisted.model import FetchStatus, Holders, ResourceInfo
from p2ptwisted.node import downloads as fetches
from p2ptwisted.node.downloads import RUNNING_MAX, Downloads
from p2ptwisted.node.library import Library
from p2ptwisted.pieces import Digests
from p2ptwisted.support.lifecycle import STOP_GRACE
from p2ptwisted.support.rate_limit import RateLimit
from p2ptwisted.test.node_fakes import one_by_one, open_descriptors
from p2ptwisted.test.transfer_fakes import LENGTH, FakeHolder, SwarmClient, Wholes, cut, id_of
from p2ptwisted.transfer.target_folder import TargetFolder

CONTENT = bytes(range(8 * LENGTH))
ID = id_of(CONTENT)

STEP = 0.01


class Shelf:
    """What a library is to fetches."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.here: dict[str, ResourceInfo] = {}
        self.adopted: list[tuple[Path, Digests]] = []

    def get(self, id: str) -> ResourceInfo | None:
        return self.here.get(id)

    def adopt(self, path: Path, status: os.stat_result, digests: Digests) -> None:
        if not os.path.samestat(status, path.lstat()):
            raise AssertionError("it is another file")
        self.adopted.append((path, digests))
        self.here[digests.id] = ResourceInfo(digests.id, path.name, path.stat().st_size)


class FetchesCase(SynchronousTestCase):
    """The fetches of a node, with a holder of everything that the test makes up."""

    def setUp(self) -> None:
        self.patch(pieces, "PIECE_MIN", LENGTH)
        self.clock = Clock()
        self.swarm = SwarmClient(self.clock)
        self.shelf = Shelf(Path(self.mktemp()))
        self.names: dict[str, str] = {}
        self.problem: Exception | None = None
        #: What was shared each time that something changed.
        self.announced: list[list[ResourceInfo]] = []
        self.open_before = open_descriptors()
        self.fetches = self.make(RateLimit(None))
        self.addCleanup(self.cancel_all)

    def cancel_all(self) -> None:
        """Leave none under way."""
        for status in self.fetches.all():
            self.fetches.cancel(status.id)

    def make(self, throttle: RateLimit) -> Downloads:
        made = Downloads(
            self.clock,
            self.swarm,
            one_by_one(self.clock),
            Wholes(),
            cast(Library, self.shelf),
            self.find,
            throttle,
            lambda: self.announced.append(self.fetches.resources()),
        )
        made.startService()
        return made

    async def find(self, id: str, here: bool) -> Holders:
        if self.problem is not None:
            raise self.problem
        at = [f"{id}:1"] if f"{id}:1" in self.swarm.peers else []
        return Holders(id, at, [], self.names.get(id))

    def add(self, content: bytes = CONTENT, name: str = "file") -> FakeHolder:
        """A holder of that content."""
        id = id_of(content)
        self.names[id] = name
        self.swarm.peers[f"{id}:1"] = holder = FakeHolder(content)
        return holder

    def pass_by(self, seconds: float) -> None:
        self.clock.pump([STEP] * round(seconds / STEP))

    def state(self, id: str = ID) -> str:
        return self.fetches.status(id).state

    def nothing_left(self) -> None:
        """No request, no timer, no file."""
        self.assertEqual(self.swarm.open, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(open_descriptors(), self.open_before)


class FetchesTests(FetchesCase):
    """Fetches that are started, end and are told of."""

    def test_provides(self) -> None:
        """It is what the routes expect."""
        verifyObject(IDownloads, self.fetches)

    def test_done(self) -> None:
        """What was fetched is in the folder, and the library's, with its digests."""
        self.add()
        self.assertEqual(self.fetches.start(ID).state, "running")
        self.pass_by(2)
        status = self.fetches.status(ID)
        self.assertEqual(
            status,
            FetchStatus(
                ID, "done", "file", len(CONTENT), len(CONTENT), holders={f"{ID}:1": len(CONTENT)}
            ),
        )
        path = self.shelf.folder / "file"
        self.assertEqual(path.read_bytes(), CONTENT)
        self.assertEqual(self.shelf.adopted, [(path, Digests(ID, cut(CONTENT).digests))])
        self.nothing_left()

    def test_once(self) -> None:
        """Two starts are one fetch."""
        holder = self.add()
        self.fetches.start(ID)
        self.pass_by(0.05)
        self.fetches.start(ID)
        self.pass_by(2)
        self.assertEqual(self.state(), "done")
        self.assertEqual(holder.polled, 1)
        self.assertEqual(len(self.fetches.all()), 1)

    def test_here(self) -> None:
        """What is here already is done at once, and nobody is asked for it."""
        holder = self.add()
        self.shelf.here[ID] = ResourceInfo(ID, "mine", 5)
        self.assertEqual(self.fetches.start(ID), FetchStatus(ID, "done", "mine", 5, 5))
        self.pass_by(1)
        self.assertEqual(holder.polled, 0)

    def test_running(self) -> None:
        """The status of one that runs tells its bytes, rate and time, and sinks when it stalls."""
        holder = self.add()
        holder.pause = 0.5
        self.fetches.start(ID)
        self.pass_by(1.5)
        status = self.fetches.status(ID)
        assert status.here is not None and status.rate and status.seconds_left
        self.assertEqual((status.name, status.size), ("file", len(CONTENT)))
        self.assertTrue(0 < status.here < len(CONTENT))
        self.assertEqual(status.holders, {f"{ID}:1": status.here})
        left = len(CONTENT) - status.here
        self.assertAlmostEqual(status.seconds_left, left / status.rate)
        holder.silent = True
        self.pass_by(4)
        later = self.fetches.status(ID).rate
        assert later is not None
        self.assertLess(later, status.rate / 2)

    def test_unknown(self) -> None:
        """What was never asked for is unknown."""
        for call in (self.fetches.status, self.fetches.cancel):
            self.assertRaises(UnknownResource, call, ID)
        self.assertIsNone(self.fetches.part(ID))

    def test_nobody(self) -> None:
        """Where nobody has it, the fetch fails and says so; it can be started again."""
        self.assertEqual(self.fetches.start(ID).state, "failed")
        self.assertIn("nobody has", str(self.fetches.status(ID).error))
        self.add()
        self.fetches.start(ID)
        self.pass_by(2)
        self.assertEqual(self.state(), "done")

    def test_no_supernode(self) -> None:
        """Without a supernode it fails and says so."""
        self.problem = Unavailable("no supernode")
        self.assertEqual(self.fetches.start(ID), FetchStatus(ID, "failed", error="no supernode"))
        self.nothing_left()

    def test_troubles(self) -> None:
        """Why a holder gives nothing is told while it runs, and after."""
        self.add().refusal = Unavailable("broken")
        self.fetches.start(ID)
        self.pass_by(1)
        status = self.fetches.status(ID)
        self.assertEqual(status.state, "failed")
        self.assertEqual(status.troubles, {f"{ID}:1": "broken"})
        self.assertIn("broken", str(status.error))

    def test_no_path_shown(self) -> None:
        """Where the folder is on this machine is nobody's business; what is in it may be told."""
        folder = self.shelf.folder = self.shelf.folder.resolve()
        holder = self.add(name="sub/file")

        def error() -> str:
            self.fetches.start(ID)
            self.pass_by(2)
            status = self.fetches.status(ID)
            self.assertEqual(self.fetches.all(), [status])
            told = [str(status.error), *status.troubles.values()]
            for text in told:
                self.assertNotIn(str(folder), text)
            return " ".join(told)

        folder.mkdir(exist_ok=True)
        (folder / "sub").write_bytes(b"no folder")
        self.assertIn("sub", error())
        (folder / "sub").unlink()
        (folder / "sub").mkdir()
        (folder / "sub/file").write_bytes(b"mine")
        self.assertIn("sub/file exists", error())
        (folder / "sub/file").unlink()
        (folder / "sub/file.part").symlink_to("/nowhere")
        self.assertIn("sub/file.part", error())
        (folder / "sub/file.part").unlink()
        holder.refusal = Unavailable(f"read of {folder}/sub/file failed, in {folder}")
        self.assertIn("read of sub/file failed, in the shared folder", error())
        holder.refusal = None
        self.patch(TargetFolder, "put", lambda folder, name, new: folder.remove(name))
        self.assertIn("can't write sub/file", error())

    def test_mistake(self) -> None:
        """A mistake of ours is in the log, and not in the status."""
        self.problem = ZeroDivisionError("secret")
        error = self.fetches.start(ID).error
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        assert error is not None
        self.assertNotIn("secret", error)

    def test_gone_at_once(self) -> None:
        """Where the file is gone when it has just come, the fetch fails and says so."""
        self.add()

        def put(folder: TargetFolder, name: str, new: str) -> None:
            folder.remove(name)

        self.patch(TargetFolder, "put", put)
        self.fetches.start(ID)
        self.pass_by(2)
        self.assertEqual(self.state(), "failed")
        self.assertIn("No such file", str(self.fetches.status(ID).error))
        self.assertEqual(self.fetches.resources(), [])
        self.nothing_left()

    def test_link_out_of_the_folder(self) -> None:
        """A link that has come after the place was chosen leads the file nowhere else."""
        outside = self.shelf.folder.with_name("outside")
        outside.mkdir()
        (self.shelf.folder / "sub").symlink_to(outside.absolute())
        self.patch(fetches, "place", lambda folder, name, id: folder / "sub" / "file")
        self.add()
        self.fetches.start(ID)
        self.pass_by(2)
        self.assertEqual(self.state(), "failed")
        self.assertIn("a link leads out", str(self.fetches.status(ID).error))
        self.assertEqual(list(outside.iterdir()), [])
        self.nothing_left()

    def test_throttled(self) -> None:
        """The bound on the rate is kept."""
        self.fetches = self.make(RateLimit(LENGTH))
        self.add()
        self.fetches.start(ID)
        self.pass_by(6.5)
        self.assertEqual(self.state(), "running")
        self.pass_by(2)
        self.assertEqual(self.state(), "done")


class SharingTests(FetchesCase):
    """A part is shared while it grows, and not longer."""

    def part(self) -> ResourceInfo:
        return ResourceInfo(ID, "file", len(CONTENT), partial=True)

    def test_shared(self) -> None:
        """It is announced once its first piece is here, and no more when it is done."""
        self.add().pause = 0.1
        self.fetches.start(ID)
        self.assertIsNone(self.fetches.part(ID))
        self.assertEqual(self.announced, [])
        self.pass_by(0.2)
        self.assertEqual(self.announced, [[self.part()]])
        part = self.fetches.part(ID)
        assert part is not None
        self.assertTrue(part.have)
        self.pass_by(3)
        self.assertEqual(self.announced, [[self.part()], []])
        self.assertIsNone(self.fetches.part(ID))

    def test_cancelled(self) -> None:
        """The same when it is cancelled; the part stays on disk, and serves the next fetch."""
        holder = self.add()
        holder.pause = 0.1
        self.fetches.start(ID)
        self.pass_by(0.3)
        self.fetches.cancel(ID)
        self.assertEqual(self.state(), "cancelled")
        self.assertEqual(self.announced, [[self.part()], []])
        self.assertIsNone(self.fetches.part(ID))
        self.assertTrue((self.shelf.folder / "file.part").exists())
        self.nothing_left()
        self.fetches.start(ID)
        self.pass_by(0.05)
        self.assertEqual(self.announced[2:], [[self.part()]])
        self.pass_by(3)
        self.assertEqual(self.state(), "done")

    def test_failed(self) -> None:
        """The same when it fails."""
        holder = self.add()
        holder.pause = 0.1
        self.fetches.start(ID)
        self.pass_by(0.3)
        self.swarm.stop([f"{ID}:1"])
        self.pass_by(60)
        self.assertEqual(self.state(), "failed")
        self.assertEqual(self.announced, [[self.part()], []])
        self.nothing_left()

    def test_ended_cancelled(self) -> None:
        """Cancelling what has ended changes nothing."""
        self.add()
        self.fetches.start(ID)
        self.pass_by(2)
        self.fetches.cancel(ID)
        self.assertEqual(self.state(), "done")


class ManyTests(FetchesCase):
    """More fetches than run at once."""

    def many(self, count: int) -> list[str]:
        """So many are started; their ids."""
        ids = []
        for number in range(count):
            content = number.to_bytes(2) * LENGTH
            self.add(content, f"file{number}")
            ids.append(id_of(content))
            self.fetches.start(ids[-1])
        return ids

    def states(self) -> list[str]:
        return [status.state for status in self.fetches.all()]

    def test_wait(self) -> None:
        """The others wait, in the order in which they were started, and get their turn."""
        self.many(RUNNING_MAX + 2)
        self.assertEqual(self.states(), ["running"] * RUNNING_MAX + ["waiting"] * 2)
        self.pass_by(2)
        self.assertEqual(self.states(), ["done"] * (RUNNING_MAX + 2))

    def test_waiting_cancelled(self) -> None:
        """One that waits can be cancelled, and never runs."""
        ids = self.many(RUNNING_MAX + 2)
        self.fetches.cancel(ids[-2])
        self.pass_by(2)
        self.assertEqual(self.states(), ["done"] * RUNNING_MAX + ["cancelled", "done"])

    def test_many_fail(self) -> None:
        """However many fail at once, each is told, and no more run than may."""
        ids = self.many(600)[: RUNNING_MAX - 1]
        self.problem = Unavailable("no supernode")
        self.fetches.cancel(ids[0])
        self.assertEqual(self.states().count("failed"), 600 - RUNNING_MAX)
        self.pass_by(2)
        self.assertEqual(self.states().count("done"), RUNNING_MAX - 1)

    def test_most(self) -> None:
        """Ended ones are forgotten when there are too many; where none has ended it is refused."""
        self.patch(fetches, "FETCHES_MAX", 3)
        ids = self.many(3)
        self.assertRaises(Unavailable, self.fetches.start, ID)
        self.pass_by(2)
        self.add()
        self.fetches.start(ID)
        self.assertEqual([one.id for one in self.fetches.all()], [*ids[1:], ID])
        del self.shelf.here[ids[1]]
        self.fetches.start(ids[1])
        self.assertEqual([one.id for one in self.fetches.all()], [*ids[1:], ID])

    def test_stop_finishes(self) -> None:
        """Stopping waits for what is soon through, takes nothing new, and begins nothing more."""
        self.many(RUNNING_MAX + 1)
        self.pass_by(0.03)
        stopped = self.fetches.stopService()
        self.assertNoResult(stopped)
        self.assertRaises(Unavailable, self.fetches.start, id_of(b"another"))
        self.pass_by(STOP_GRACE / 2)
        self.successResultOf(stopped)
        self.assertEqual(self.states(), ["done"] * RUNNING_MAX + ["waiting"])
        self.nothing_left()

    def test_stop(self) -> None:
        """It breaks off what takes longer, and leaves nothing where no piece has come."""
        self.many(RUNNING_MAX + 1)
        for holder in self.swarm.peers.values():
            holder.pause = 2 * STOP_GRACE
        self.pass_by(0.03)
        stopped = self.fetches.stopService()
        self.pass_by(STOP_GRACE + 0.1)
        self.successResultOf(stopped)
        self.assertEqual(self.states(), ["cancelled"] * RUNNING_MAX + ["waiting"])
        # Slices of work that were about to be done.
        for _ in range(RUNNING_MAX):
            self.clock.advance(0.01)
        self.nothing_left()
        self.assertEqual(list(self.shelf.folder.iterdir()), [])
