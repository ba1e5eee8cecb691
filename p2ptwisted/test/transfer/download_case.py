"""What the tests of downloads have in common: holders in memory, on a Clock."""

from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, LoopingCall
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted import pieces
from p2ptwisted.errors import Unavailable
from p2ptwisted.model import Holders
from p2ptwisted.test.node_fakes import one_by_one, open_descriptors
from p2ptwisted.test.transfer_fakes import LENGTH, FakeHolder, FakeSync, SwarmClient, id_of
from p2ptwisted.transfer.download import Download

CONTENT = bytes(range(8 * LENGTH))
ID = id_of(CONTENT)

#: Seconds between two looks at the clock, and most of them in a test.
STEP, STEPS = 0.01, 6_000


class DownloadCase(SynchronousTestCase):
    """A transfer to a folder of its own."""

    def make_clock(self) -> Clock:
        return Clock()

    def setUp(self) -> None:
        self.patch(pieces, "PIECE_MIN", LENGTH)
        self.clock = self.make_clock()
        self.swarm = SwarmClient(self.clock)
        self.listed = Holders(ID, [], [], "file")
        #: Those that the own supernode knows, if these are others than all.
        self.near: Holders | None = None
        self.problem: Exception | None = None
        self.sync = FakeSync()
        self.folder = Path(self.mktemp())
        self.starts = 0
        #: How often one has said that it waits for another program.
        self.waits = 0
        LoopingCall(self.make)  # The first one installs the reactor, which has descriptors too.
        self.open_before = open_descriptors()
        self.download = self.make()

    def make(self, pause: float = 0.0, overwrite: bool = False, id: str = ID) -> Download:
        return Download(
            self.clock,
            self.swarm,
            one_by_one(self.clock),
            self.sync,
            id,
            self.find,
            lambda name: self.folder / (name or "nameless"),
            overwrite,
            lambda count: pause,
            self.started,
            self.waiting,
        )

    async def find(self, here: bool) -> Holders:
        if self.problem is not None:
            raise self.problem
        return self.near if here and self.near is not None else self.listed

    def started(self) -> None:
        self.starts += 1

    def waiting(self) -> None:
        self.waits += 1

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
