"""Tests of `p2ptwisted.node.downloads`: a node's downloads, from holders in memory, on a Clock."""

import hashlib
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, LoopingCall
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2ptwisted import pieces
from p2ptwisted.errors import QueueFull, Unavailable, UnknownResource
from p2ptwisted.interfaces import IDownloads
from p2ptwisted.model import DownloadStatus, Holders, Order, ResourceInfo
from p2ptwisted.node import downloads
from p2ptwisted.node.downloads import Downloads
from p2ptwisted.pieces import Digests
from p2ptwisted.support.lifecycle import STOP_GRACE
from p2ptwisted.support.rate_limit import RateLimit
from p2ptwisted.test.node_fakes import (
    FakeLibrary,
    FakeMounts,
    log_lines,
    one_by_one,
    open_descriptors,
)
from p2ptwisted.test.transfer_fakes import LENGTH, FakeHolder, FakeSync, SwarmClient, cut, id_of
from p2ptwisted.transfer.download import RUNNING_MAX
from p2ptwisted.transfer.shared_folder import SharedFolder
from p2ptwisted.transfer.target_folder import TargetFolder

CONTENT = bytes(range(8 * LENGTH))
ID = id_of(CONTENT)

STEP = 0.01


class DownloadsCase(SynchronousTestCase):
    """The downloads of a node, with a holder of everything that the test makes up."""

    def setUp(self) -> None:
        self.patch(pieces, "PIECE_MIN", LENGTH)
        self.clock = Clock()
        self.swarm = SwarmClient(self.clock)
        self.library = FakeLibrary()
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir()
        self.mounts = FakeMounts()
        self.library.folder = SharedFolder(self.folder, self.mounts)
        self.names: dict[str, str] = {}
        self.problem: Exception | None = None
        #: What was shared each time that something changed.
        self.announced: list[list[ResourceInfo]] = []
        LoopingCall(self.make)  # The first one installs the reactor, which has descriptors too.
        self.open_before = open_descriptors()
        self.downloads = self.make(RateLimit(None))
        self.addCleanup(self.cancel_all)

    def cancel_all(self) -> None:
        """Leave none under way."""
        for status in self.downloads.all():
            self.downloads.cancel(status.id)

    def make(self, throttle: RateLimit) -> Downloads:
        made = Downloads(
            self.clock,
            self.swarm,
            one_by_one(self.clock),
            FakeSync(),
            self.library,
            self.find,
            throttle,
            lambda: self.announced.append(self.downloads.resources()),
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
        return self.downloads.status(id).state

    def nothing_left(self) -> None:
        """No request, no timer, no file."""
        self.assertEqual(self.swarm.open, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(open_descriptors(), self.open_before)


class DownloadsTests(DownloadsCase):
    """Fetches that are started, end and are told of."""

    def test_provides(self) -> None:
        """It is what the routes expect."""
        verifyObject(IDownloads, self.downloads)

    def test_done(self) -> None:
        """What was fetched is in the folder, and the library's, with its digests."""
        self.add()
        self.assertEqual(self.downloads.start(ID).state, "running")
        self.pass_by(2)
        status = self.downloads.status(ID)
        self.assertEqual(
            status,
            DownloadStatus(
                ID, "done", "file", len(CONTENT), len(CONTENT), holders={f"{ID}:1": len(CONTENT)}
            ),
        )
        path = self.folder / "file"
        self.assertEqual(path.read_bytes(), CONTENT)
        stops = range(LENGTH, len(CONTENT) + LENGTH, LENGTH)
        prefixes = b"".join(hashlib.sha256(CONTENT[:stop]).digest() for stop in stops)
        digests = Digests(ID, cut(CONTENT).digests, prefixes)
        self.assertEqual(self.library.adopted, [(path, digests)])
        self.nothing_left()

    def test_name(self) -> None:
        """It gets the name that it was ordered under, and harms as little by it as by any."""
        for name, path in (("a/b", "a/b"), ("../../c", "c"), ("", "file")):
            self.add()
            self.downloads.start(ID, name)
            self.pass_by(2)
            self.assertEqual(self.downloads.status(ID).state, "done")
            (found,) = [one for one in self.folder.rglob("*") if one.is_file()]
            self.assertEqual(found.relative_to(self.folder), Path(path))
            found.unlink()
            self.library.listed.clear()

    def test_once(self) -> None:
        """Two starts are one fetch."""
        holder = self.add()
        self.downloads.start(ID)
        self.pass_by(0.05)
        self.downloads.start(ID)
        self.pass_by(2)
        self.assertEqual(self.state(), "done")
        self.assertEqual(holder.polled, 1)
        self.assertEqual(len(self.downloads.all()), 1)

    def test_here(self) -> None:
        """What is here already is done at once, and nobody is asked for it."""
        holder = self.add()
        self.library.change(ResourceInfo(ID, "mine", 5))
        self.assertEqual(self.downloads.start(ID), DownloadStatus(ID, "done", "mine", 5, 5))
        self.pass_by(1)
        self.assertEqual(holder.polled, 0)

    def test_running(self) -> None:
        """The status of one that runs tells its bytes, rate and time, and sinks when it stalls."""
        holder = self.add()
        holder.pause = 0.5
        self.downloads.start(ID)
        self.pass_by(1.5)
        status = self.downloads.status(ID)
        assert status.here is not None and status.rate and status.seconds_left
        self.assertEqual((status.name, status.size), ("file", len(CONTENT)))
        self.assertTrue(0 < status.here < len(CONTENT))
        self.assertEqual(status.holders, {f"{ID}:1": status.here})
        left = len(CONTENT) - status.here
        self.assertAlmostEqual(status.seconds_left, left / status.rate)
        holder.silent = True
        self.pass_by(4)
        later = self.downloads.status(ID).rate
        assert later is not None
        self.assertLess(later, status.rate / 2)

    def test_unknown(self) -> None:
        """What was never asked for is unknown."""
        for call in (self.downloads.status, self.downloads.cancel):
            self.assertRaises(UnknownResource, call, ID)
        self.assertIsNone(self.downloads.running_one(ID))

    def test_nobody(self) -> None:
        """Where nobody has it, the fetch fails and says so; it can be started again."""
        self.assertEqual(self.downloads.start(ID).state, "failed")
        self.assertIn("nobody has", str(self.downloads.status(ID).error))
        self.add()
        self.downloads.start(ID)
        self.pass_by(2)
        self.assertEqual(self.state(), "done")

    def test_no_supernode(self) -> None:
        """Without a supernode it fails and says so."""
        self.problem = Unavailable("no supernode")
        self.assertEqual(
            self.downloads.start(ID), DownloadStatus(ID, "failed", error="no supernode")
        )
        self.nothing_left()

    def test_troubles(self) -> None:
        """Why a holder gives nothing is told while it runs, and after."""
        self.add().refusal = Unavailable("broken")
        self.downloads.start(ID)
        self.pass_by(1)
        status = self.downloads.status(ID)
        self.assertEqual(status.state, "failed")
        self.assertEqual(status.troubles, {f"{ID}:1": "broken"})
        self.assertIn("broken", str(status.error))

    def test_no_path_shown(self) -> None:
        """Where the folder is on this machine is nobody's business; what is in it may be told."""
        folder = self.folder
        holder = self.add(name="sub/file")

        def error() -> str:
            self.downloads.start(ID)
            self.pass_by(2)
            status = self.downloads.status(ID)
            self.assertEqual(self.downloads.all(), [status])
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
        error = self.downloads.start(ID).error
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        assert error is not None
        self.assertNotIn("secret", error)

    def test_gone_at_once(self) -> None:
        """Where the file is gone when it has just come, the fetch fails and says so."""
        self.add()

        def put(folder: TargetFolder, name: str, new: str) -> None:
            folder.remove(name)

        self.patch(TargetFolder, "put", put)
        self.downloads.start(ID)
        self.pass_by(2)
        self.assertEqual(self.state(), "failed")
        self.assertIn("No such file", str(self.downloads.status(ID).error))
        self.assertEqual(self.downloads.resources(), [])
        self.nothing_left()

    def test_link_out_of_the_folder(self) -> None:
        """A link that has come after the place was chosen leads the file nowhere else."""
        outside = self.folder.with_name("outside")
        outside.mkdir()
        (self.folder / "sub").symlink_to(outside.absolute())
        self.patch(downloads, "place", lambda folder, name, id: folder / "sub" / "file")
        self.add()
        self.downloads.start(ID)
        self.pass_by(2)
        self.assertEqual(self.state(), "failed")
        self.assertIn("a link leads out", str(self.downloads.status(ID).error))
        self.assertEqual(list(outside.iterdir()), [])
        self.nothing_left()

    def test_throttled(self) -> None:
        """The bound on the rate is kept, but for the two requests that are under way at once."""
        self.downloads = self.make(RateLimit(LENGTH))
        self.add()
        self.downloads.start(ID)
        self.pass_by(5.5)
        self.assertEqual(self.state(), "running")
        self.pass_by(2)
        self.assertEqual(self.state(), "done")


class SameFolderTests(DownloadsCase):
    """Two nodes that share one folder, and are ordered to fetch the same."""

    def setUp(self) -> None:
        super().setUp()
        self.first = self.downloads
        self.library = FakeLibrary()
        self.library.folder = SharedFolder(self.folder, self.mounts)
        self.second = self.downloads = self.make(RateLimit(None))
        self.addCleanup(self.second.cancel, ID)
        self.holder = self.add()
        self.holder.pause = 0.1
        for node in (self.first, self.second):
            node.start(ID)
            self.pass_by(0.05)

    def test_waits(self) -> None:
        """The second's is done when its library has what the first has fetched, and no sooner."""
        with log_lines(LogLevel.info) as lines:
            self.pass_by(5)
            self.assertEqual(self.first.status(ID).state, "done")
            self.assertEqual(self.second.status(ID).state, "running")
            self.assertEqual(self.library.hints, 1)
            self.library.change(ResourceInfo(ID, "file", len(CONTENT)))
            self.pass_by(0.1)
        size = len(CONTENT)
        self.assertEqual(self.second.status(ID), DownloadStatus(ID, "done", "file", size, size))
        self.assertEqual(len(self.holder.wanted), len(CONTENT) // LENGTH)
        self.assertEqual(self.library.adopted, [])
        self.assertTrue(any(line.endswith("by another program") for line in lines))
        self.nothing_left()

    def test_never_listed(self) -> None:
        """A library that doesn't come to it in a minute holds nothing up."""
        self.pass_by(downloads.LISTED_WITHIN + 5)
        self.assertEqual(self.second.status(ID).state, "done")
        self.nothing_left()

    def test_goes_on(self) -> None:
        """Where the first is cancelled, the second fetches the rest."""
        self.pass_by(0.3)
        self.first.cancel(ID)
        self.pass_by(5)
        self.assertEqual(self.second.status(ID).state, "done")
        self.assertEqual((self.folder / "file").read_bytes(), CONTENT)
        self.assertEqual(len(self.library.adopted), 1)
        self.nothing_left()

    def leave_and_return(self) -> None:
        """Have the folder away for a while, and have both nodes notice."""
        away = self.folder.with_name("away")
        folders = [self.first._library.folder, self.second._library.folder]
        self.folder.rename(away)
        for folder in folders:
            folder.look()
        self.pass_by(1)
        for node in (self.first, self.second):
            self.assertIn(node.status(ID).state, ("waiting", "done"))
        self.assertFalse(self.folder.exists())
        away.rename(self.folder)
        for folder in folders:
            folder.look()

    def test_folder_goes(self) -> None:
        """Where the folder goes while the second waits, both go on when it is back."""
        self.pass_by(0.3)
        self.leave_and_return()
        self.pass_by(5)
        states = {node.status(ID).state for node in (self.first, self.second)}
        self.assertEqual(states, {"done", "running"})
        self.library.change(ResourceInfo(ID, "file", len(CONTENT)))
        self.pass_by(5)
        self.assertEqual((self.folder / "file").read_bytes(), CONTENT)
        self.pass_by(downloads.LISTED_WITHIN)
        for node in (self.first, self.second):
            self.assertEqual(node.status(ID).state, "done")
        self.nothing_left()

    def test_unmounted_unnoticed(self) -> None:
        """What the second finds where the folder was mounted is not taken for what it waits for."""
        for node in (self.first, self.second):
            node.cancel(ID)
        self.pass_by(1)
        disk = self.folder.with_name("disk")
        disk.mkdir()
        self.mounts.mount(self.folder, disk)
        for node in (self.first, self.second):
            node.start(ID)
            self.pass_by(0.05)
        self.mounts.unmount(self.folder)
        (self.folder / "file").write_bytes(CONTENT)
        self.pass_by(2)
        for node in (self.first, self.second):
            self.assertEqual(node.status(ID).state, "waiting")
            self.assertIn("folder is gone", str(node.status(ID).error))
        for node in (self.first, self.second):
            node.cancel(ID)

    def test_folder_goes_before_it_is_listed(self) -> None:
        """Where it goes while the second waits for its library, it is done when that lists it."""
        self.pass_by(5)
        self.leave_and_return()
        self.pass_by(1)
        self.assertEqual(self.second.status(ID).state, "running")
        self.library.change(ResourceInfo(ID, "file", len(CONTENT)))
        self.pass_by(0.1)
        self.assertEqual(self.second.status(ID).state, "done")
        self.assertEqual(self.library.adopted, [])
        self.nothing_left()

    def test_stops(self) -> None:
        """A node that is stopped doesn't wait any longer than others do."""
        self.holder.pause = 60.0
        stopped = self.second.stopService()
        self.pass_by(STOP_GRACE + 0.1)
        self.successResultOf(stopped)
        self.assertEqual(self.second.status(ID).state, "cancelled")
        self.first.cancel(ID)
        self.nothing_left()


class FolderTests(DownloadsCase):
    """Downloads into a folder that goes, and comes back."""

    def setUp(self) -> None:
        super().setUp()
        self.shared = self.library.folder
        self.shared.look()
        self.elsewhere = self.folder.with_name("elsewhere")
        self.holder = self.add()
        self.holder.pause = 0.1

    def look(self) -> None:
        self.shared.look()
        self.pass_by(0.05)

    def files(self, folder: Path) -> set[str]:
        found = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
        return {name for name in found if not name.startswith(".beneath")}

    def received(self) -> int:
        return sum(self.downloads.status(ID).holders.values())

    def test_not_begun(self) -> None:
        """None is begun while it is gone, and its folder isn't made; the reason is told."""
        self.folder.rmdir()
        error = self.assertRaises(Unavailable, self.downloads.start, ID)
        self.assertIn("the shared folder is gone", str(error))
        self.assertRaises(UnknownResource, self.downloads.status, ID)
        self.pass_by(1)
        self.assertFalse(self.folder.exists())
        self.folder.mkdir()
        self.downloads.start(ID)
        self.pass_by(3)
        self.assertEqual(self.state(), "done")

    def test_waits(self) -> None:
        """One that runs waits while it is gone, and then goes on with what has come."""
        self.downloads.start(ID)
        self.pass_by(0.5)
        self.folder.rename(self.elsewhere)
        self.look()
        status = self.downloads.status(ID)
        self.assertEqual(status.state, "waiting")
        self.assertIn("the shared folder is gone", str(status.error))
        self.assertEqual(self.downloads.resources(), [])
        self.nothing_left()
        self.pass_by(100)
        self.assertEqual(self.state(), "waiting")
        self.assertFalse(self.folder.exists())
        self.elsewhere.rename(self.folder)
        self.look()
        self.assertEqual(self.state(), "running")
        self.pass_by(3)
        self.assertEqual(self.state(), "done")
        self.assertIsNone(self.downloads.status(ID).error)
        self.assertLess(self.received(), len(CONTENT))
        self.assertEqual((self.folder / "file").read_bytes(), CONTENT)
        self.nothing_left()

    def test_nothing_beneath_a_mount(self) -> None:
        """Where it was a mount and isn't now nothing is written, wherever the download stands."""
        disk = self.folder.with_name("disk")
        for steps in range(0, 300, 20):
            disk.mkdir(exist_ok=True)
            self.mounts.mount(self.folder, disk)
            self.look()
            self.downloads.start(ID)
            self.clock.pump([STEP] * steps)
            self.mounts.unmount(self.folder)
            # It may be a download that notices first.
            self.pass_by(1)
            self.look()
            self.assertEqual(self.files(self.folder), set(), f"after {steps} steps")
            self.mounts.mount(self.folder, disk)
            self.look()
            self.pass_by(3)
            self.assertEqual(self.state(), "done", f"after {steps} steps")
            self.assertEqual((self.folder / "file").read_bytes(), CONTENT)
            (self.folder / "file").unlink()
            self.mounts.unmount(self.folder)
            self.look()
            self.library.change()
        self.nothing_left()

    def test_noticed_by_itself(self) -> None:
        """One that is complete as the folder goes waits too, before anybody has looked."""
        self.downloads.start(ID)
        self.pass_by(0.1)
        self.folder.rename(self.elsewhere)
        self.pass_by(3)
        self.assertEqual(self.state(), "waiting")
        self.elsewhere.rename(self.folder)
        self.look()
        self.pass_by(1)
        self.assertEqual(self.state(), "done")

    def test_another_folder(self) -> None:
        """In another folder it begins again."""
        self.downloads.start(ID)
        self.pass_by(0.5)
        self.folder.rename(self.elsewhere)
        self.folder.mkdir()
        self.look()
        self.pass_by(3)
        self.assertEqual(self.state(), "done")
        self.assertEqual(self.files(self.folder), {"file"})
        self.assertEqual(self.files(self.elsewhere), {"file.part", "file.part.journal"})

    def test_ordered_name(self) -> None:
        """It keeps the name that was ordered, whatever becomes of the folder."""
        self.downloads.start(ID, "mine")
        self.pass_by(0.5)
        self.folder.rename(self.elsewhere)
        self.look()
        self.elsewhere.rename(self.folder)
        self.look()
        self.pass_by(3)
        self.assertEqual(self.state(), "done")
        self.assertEqual(self.files(self.folder), {"mine"})

    def test_cancelled_while_it_waits(self) -> None:
        """One that waits can be cancelled, and isn't begun any more."""
        self.downloads.start(ID)
        self.pass_by(0.5)
        self.folder.rename(self.elsewhere)
        self.look()
        self.downloads.cancel(ID)
        self.elsewhere.rename(self.folder)
        self.look()
        self.pass_by(1)
        self.assertEqual(self.state(), "cancelled")
        self.nothing_left()

    def test_stopped_as_it_goes(self) -> None:
        """Stopping in the moment after leaves no delayed call."""
        self.downloads.start(ID)
        self.pass_by(0.5)
        self.folder.rename(self.elsewhere)
        self.shared.look()
        self.downloads.stopService()
        self.pass_by(STOP_GRACE + 1)
        self.assertEqual(self.state(), "waiting")
        self.nothing_left()

    def mount(self) -> Path:
        """Have something mounted in the folder, where the download goes."""
        self.names[ID] = "sub/file"
        disk = self.folder.with_name("disk")
        disk.mkdir()
        (self.folder / "sub").mkdir()
        self.mounts.mount(self.folder / "sub", disk)
        self.look()
        return disk

    def test_unmounted_in_it(self) -> None:
        """One to a mount in the folder waits for that, and keeps the name that it had."""
        disk = self.mount()
        self.downloads.start(ID)
        self.pass_by(0.5)
        self.mounts.unmount(self.folder / "sub")
        self.look()
        # As the supernode has it, this node's own part among others.
        self.names[ID] = "file"
        status = self.downloads.status(ID)
        self.assertEqual(status.state, "waiting")
        self.assertIn("sub/file", str(status.error))
        self.pass_by(100)
        self.assertEqual(self.files(self.folder), {"sub"})
        self.mounts.mount(self.folder / "sub", disk)
        self.look()
        self.pass_by(3)
        self.assertEqual(self.state(), "done")
        self.assertEqual(self.files(self.folder), {"sub", "sub/file"})

    def test_another_file_beneath(self) -> None:
        """What stands beneath where a mount was is not taken for what stands there."""
        disk = self.mount()
        self.downloads.start(ID)
        self.pass_by(0.5)
        self.mounts.unmount(self.folder / "sub")
        for content in (b"another", CONTENT):
            (self.folder / "sub/file").write_bytes(content)
            self.look()
            self.pass_by(1)
            self.assertEqual(self.state(), "waiting")
        self.assertIn("what was mounted there isn't", str(self.downloads.status(ID).error))
        self.mounts.mount(self.folder / "sub", disk)
        self.look()
        self.pass_by(3)
        self.assertEqual(self.state(), "done")
        self.assertEqual((self.folder / "sub/file").read_bytes(), CONTENT)
        self.assertEqual(len(self.library.adopted), 1)

    def test_mounted_over(self) -> None:
        """One whose part is hidden by a mount waits until that is gone, and goes on with it."""
        self.names[ID] = "sub/file"
        self.downloads.start(ID)
        self.pass_by(0.5)
        disk = self.folder.with_name("disk")
        disk.mkdir()
        self.mounts.mount(self.folder / "sub", disk)
        self.look()
        self.assertEqual(self.state(), "waiting")
        self.assertIn("is mounted over", str(self.shared.problem))
        self.assertEqual(self.files(self.folder / "sub"), set())
        self.mounts.unmount(self.folder / "sub")
        self.look()
        self.pass_by(3)
        self.assertEqual(self.state(), "done")
        self.assertIs(self.shared.problem, None)
        self.assertLess(self.received(), len(CONTENT))

    def test_ordered_where_nothing_is_mounted(self) -> None:
        """One that is ordered only then fails at once, and says why."""
        self.mount()
        self.mounts.unmount(self.folder / "sub")
        self.downloads.start(ID)
        self.pass_by(0.5)
        status = self.downloads.status(ID)
        self.assertEqual(status.state, "failed")
        self.assertIn("what was mounted there isn't any more", str(status.error))
        self.assertEqual(self.files(self.folder), {"sub"})
        self.nothing_left()


class SharingTests(DownloadsCase):
    """A part is shared while it grows, and not longer."""

    def part(self) -> ResourceInfo:
        return ResourceInfo(ID, "file", len(CONTENT), partial=True)

    def test_shared(self) -> None:
        """It is announced once its first piece is here, and no more when it is done."""
        self.add().pause = 0.1
        self.downloads.start(ID)
        download = self.downloads.running_one(ID)
        assert download is not None
        self.assertIsNone(download.part)
        self.assertEqual(self.announced, [])
        self.pass_by(0.2)
        self.assertEqual(self.announced, [[self.part()]])
        self.assertIs(self.downloads.running_one(ID), download)
        self.assertTrue(download.part is not None and download.part.have)
        self.pass_by(3)
        self.assertEqual(self.announced, [[self.part()], []])
        self.assertIsNone(self.downloads.running_one(ID))

    def test_cancelled(self) -> None:
        """The same when it is cancelled; the part stays on disk, and serves the next fetch."""
        holder = self.add()
        holder.pause = 0.1
        self.downloads.start(ID)
        self.pass_by(0.3)
        self.downloads.cancel(ID)
        self.assertEqual(self.state(), "cancelled")
        self.assertEqual(self.announced, [[self.part()], []])
        self.assertIsNone(self.downloads.running_one(ID))
        self.assertTrue((self.folder / "file.part").exists())
        self.nothing_left()
        self.downloads.start(ID)
        self.pass_by(0.05)
        self.assertEqual(self.announced[2:], [[self.part()]])
        self.pass_by(3)
        self.assertEqual(self.state(), "done")

    def test_failed(self) -> None:
        """The same when it fails."""
        holder = self.add()
        holder.pause = 0.1
        self.downloads.start(ID)
        self.pass_by(0.3)
        self.swarm.stop([f"{ID}:1"])
        self.pass_by(60)
        self.assertEqual(self.state(), "failed")
        self.assertEqual(self.announced, [[self.part()], []])
        self.nothing_left()

    def test_ended_cancelled(self) -> None:
        """Cancelling what has ended changes nothing."""
        self.add()
        self.downloads.start(ID)
        self.pass_by(2)
        self.downloads.cancel(ID)
        self.assertEqual(self.state(), "done")


class NewsTests(DownloadsCase):
    """Others that wait for what comes, and are asked for what they have."""

    def test_news(self) -> None:
        """Who waits hears when a piece has come, and at the latest when the fetch has ended."""
        self.add().pause = 0.5
        self.downloads.start(ID)
        download = self.downloads.running_one(ID)
        assert download is not None
        first = Deferred.fromCoroutine(download.news(0, 20.0))
        self.pass_by(0.3)
        self.assertNoResult(first)
        self.pass_by(0.5)
        self.successResultOf(first)
        second = Deferred.fromCoroutine(download.news(2, 20.0))
        self.downloads.cancel(ID)
        self.pass_by(0.01)
        self.successResultOf(second)
        self.nothing_left()

    def test_meet(self) -> None:
        """Who fetches it too is asked for what he has."""
        self.add().pause = 0.5
        self.downloads.start(ID)
        self.pass_by(0.1)
        other = self.swarm.peers["other:1"] = FakeHolder(CONTENT)
        download = self.downloads.running_one(ID)
        assert download is not None
        download.meet("other:1")
        self.pass_by(2)
        self.assertEqual(self.state(), "done")
        self.assertTrue(other.wanted)


class ManyTests(DownloadsCase):
    """More fetches than run at once."""

    def many(self, count: int) -> list[str]:
        """So many are started; their ids."""
        ids = []
        for number in range(count):
            content = number.to_bytes(2) * LENGTH
            self.add(content, f"file{number}")
            ids.append(id_of(content))
            self.downloads.start(ids[-1])
        return ids

    def states(self) -> list[str]:
        return [status.state for status in self.downloads.all()]

    def test_wait(self) -> None:
        """The others wait, in the order in which they were started, and get their turn."""
        self.many(RUNNING_MAX + 2)
        self.assertEqual(self.states(), ["running"] * RUNNING_MAX + ["waiting"] * 2)
        self.pass_by(2)
        self.assertEqual(self.states(), ["done"] * (RUNNING_MAX + 2))

    def test_waiting_cancelled(self) -> None:
        """One that waits can be cancelled, and never runs."""
        ids = self.many(RUNNING_MAX + 2)
        self.downloads.cancel(ids[-2])
        self.pass_by(2)
        self.assertEqual(self.states(), ["done"] * RUNNING_MAX + ["cancelled", "done"])

    def test_many_fail(self) -> None:
        """However many fail at once, each is told, and no more run than may."""
        ids = self.many(600)[: RUNNING_MAX - 1]
        self.problem = Unavailable("no supernode")
        self.downloads.cancel(ids[0])
        self.assertEqual(self.states().count("failed"), 600 - RUNNING_MAX)
        self.pass_by(2)
        self.assertEqual(self.states().count("done"), RUNNING_MAX - 1)

    def test_most(self) -> None:
        """Ended ones are forgotten when there are too many; where none has ended it is refused."""
        self.patch(downloads, "DOWNLOADS_MAX", 3)
        ids = self.many(3)
        self.assertRaises(Unavailable, self.downloads.start, ID)
        self.pass_by(2)
        self.add()
        self.downloads.start(ID)
        self.assertEqual([one.id for one in self.downloads.all()], [*ids[1:], ID])
        self.library.change(*(one for one in self.library.listed if one.id != ids[1]))
        self.downloads.start(ids[1])
        self.assertEqual([one.id for one in self.downloads.all()], [*ids[1:], ID])

    def test_several(self) -> None:
        """Several are begun at once, as far as there is room; none of them is refused for that."""
        self.patch(downloads, "DOWNLOADS_MAX", 3)
        ids = self.many(1)
        for content in (b"one", b"two", b"three"):
            self.add(content * LENGTH, content.decode())
            ids.append(id_of(content * LENGTH))
        taken = self.downloads.start_all([Order(id, f"{id[0]}.bin") for id in ids])
        self.assertEqual([one.id for one in taken], ids[:3])
        self.assertEqual(self.downloads.start_all([Order(ids[3])]), [])
        self.assertRaises(QueueFull, self.downloads.start, ids[3])
        self.pass_by(2)
        (begun,) = self.downloads.start_all([Order(ids[3])])
        self.assertEqual(begun.state, "running")
        (named,) = self.downloads.all([ids[1], "unknown"])
        self.assertEqual((named.state, named.name), ("done", f"{ids[1][0]}.bin"))

    def test_stop_finishes(self) -> None:
        """Stopping waits for what is soon through, takes nothing new, and begins nothing more."""
        self.many(RUNNING_MAX + 1)
        self.pass_by(0.03)
        stopped = self.downloads.stopService()
        self.assertNoResult(stopped)
        self.assertRaises(Unavailable, self.downloads.start, id_of(b"another"))
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
        stopped = self.downloads.stopService()
        self.pass_by(STOP_GRACE + 0.1)
        self.successResultOf(stopped)
        self.assertEqual(self.states(), ["cancelled"] * RUNNING_MAX + ["waiting"])
        # Slices of work that were about to be done.
        for _ in range(RUNNING_MAX):
            self.clock.advance(0.01)
        self.nothing_left()
        self.assertEqual(list(self.folder.iterdir()), [])
