"""One file that spreads from one holder to many nodes, over links that have a rate."""

import resource
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from random import Random

from p2ptwisted.pieces import Digests
from simulation.clock import Time
from simulation.links import Wire
from simulation.spread.directory import Directory
from simulation.spread.lan import Lan, LanHost
from simulation.spread.link_client import LinkClient
from simulation.spread.peer import Peer
from simulation.spread.tiny_file import TinyFile, tiny_pieces

SUPERNODE = "10.1.0.1:5000"

#: Seconds until all nodes have joined; and in which they are ordered to download then.
JOINED, ORDERED = 1.0, 0.1

#: Seconds between two looks whether all have it.
LOOK = 0.05

#: Bytes a second of a link of 1 Gbit/s.
GIGABIT = 125_000_000.0


@dataclass(frozen=True)
class Figures:
    """What it took; of all nodes that were there to the end."""

    nodes: int
    #: Seconds until the last one had the file, and as a multiple of one copy's time on a link.
    seconds: float
    copy_times: float
    #: How many of them have not got it.
    unfinished: int
    #: How often the content left the first holder.
    copies: float
    #: Of each node, bytes besides content that it sent or received, whichever is more, as a part
    #: of the file's.
    control_mean: float
    control_max: float
    #: The most that a node asked the supernode for holders, and reported to it.
    asked_max: int
    reported_max: int
    #: Content received twice, as a part of the file: of all nodes in the mean, and the most.
    duplicates_mean: float
    duplicates_max: float

    def __str__(self) -> str:
        return (
            f"{self.nodes} nodes: the last after {self.seconds:.2f} s, {self.copy_times:.3f} "
            f"times one copy; {self.copies:.2f} copies from the first holder; besides content "
            f"{self.control_mean:.2%} of the file for each node, {self.control_max:.2%} at the "
            f"most; {self.asked_max} look-ups and {self.reported_max} reports at the most; "
            f"{self.duplicates_mean:.2%} came twice, {self.duplicates_max:.2%} at the most"
            + (f"; {self.unfinished} UNFINISHED" if self.unfinished else "")
        )


class Spread:
    """The first holder, and nodes that download from it and from each other."""

    def __init__(
        self, seed: int, nodes: int, file: TinyFile, rate: float = GIGABIT, chunks: int = 2
    ) -> None:
        """`rate` is in bytes a second; `chunks`: how many chunks on a link a piece is."""
        self.time = Time()
        self.file = file
        self.random = Random(seed)
        self.rate = rate
        self.directory = Directory()
        self.lan = Lan(self.time, Wire(self.time, file.piece_size / chunks))
        LanHost(self.lan, SUPERNODE, rate)
        self.folder = Path(tempfile.mkdtemp())
        # Each node has some files open.
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        # Some of what chooses at random is made with the nodes.
        with tiny_pieces(file, Random(self.random.getrandbits(64))):
            self.first = self._peer(0)
            digests = Digests(file.id, file.pieces.digests)
            self.first.share("file", file.content, digests)
            self.first.start()
            self.nodes = [self._peer(number + 1) for number in range(nodes)]

    def _peer(self, number: int) -> Peer:
        location = f"10.2.{number // 250}.{number % 250 + 1}:8000"
        host = LanHost(self.lan, location, self.rate)
        client = LinkClient(self.lan, host, self.directory, self.file.scale)
        random = Random(self.random.getrandbits(64))
        return Peer(host, client, SUPERNODE, self.folder / str(number), random)

    def close(self) -> None:
        """End all downloads, those of the dead too, and remove all files."""
        for node in self.nodes:
            for download in node.downloads.all():
                node.downloads.cancel(download.id)
        shutil.rmtree(self.folder)

    def run(self, within: float, late: float = 0.0, late_share: float = 0.0) -> Figures:
        """
        Have all nodes download, until all have it or for so many seconds.

        `late_share`: which part of them is ordered to later, within `late` seconds.
        """
        random = self.random
        with tiny_pieces(self.file, Random(random.getrandbits(64))):
            for node in self.nodes:
                node.start()
                ordered = late if random.random() < late_share else ORDERED
                at = JOINED + random.uniform(0, ordered)
                node.host.process.call_fixed(at, node.fetch, self.file.id)
            while self.time.now < JOINED + within and not self._is_done():
                self.time.run_until(self.time.now + LOOK)
            return self.figures()

    def _is_done(self) -> bool:
        return all(node.done_at is not None for node in self.nodes if node.is_alive)

    def figures(self) -> Figures:
        """What it has taken so far."""
        alive = [node for node in self.nodes if node.is_alive]
        size = self.file.size
        control = [
            max(node.host.link.control_sent, node.host.link.control_received) / size
            for node in alive
        ]
        twice = [
            node.host.link.content_received / size - 1 for node in alive if node.done_at is not None
        ]
        ends = [node.done_at for node in alive if node.done_at is not None]
        seconds = max(ends, default=0.0) - JOINED
        locations = [node.host.location for node in self.nodes]
        return Figures(
            len(alive),
            seconds,
            seconds * self.rate / size,
            len(alive) - len(ends),
            self.first.host.link.content_sent / size,
            sum(control) / len(control),
            max(control),
            max(self.directory.asked[one] for one in locations),
            max(self.directory.reported[one] for one in locations),
            sum(twice) / max(1, len(twice)),
            max(twice, default=0.0),
        )
