"""
Files on links of 100 Mbit/s: from four holders at once, and from one to many
nodes, beside libtorrent and plain HTTP from one nginx.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from bench import rivals
from bench.daemons import System
from bench.files import MIB, make
from bench.swarm import Member, Swarm
from bench.table import Row, copies_row, ratio_row, times_row

#: Mbit/s of a link, each way, and of the one node's that fetches from several.
LINK, WIDE_LINK = 100, 1000

#: Holders that one node fetches from, and bytes of the file.
HOLDERS = 4
FROM_SEVERAL = 256 * MIB

#: Nodes that one holder's file goes to, and its bytes.
NODES = (1, 2, 4, 8)
TO_MANY = 64 * MIB

LEAST_OF_ONE_HOLDER = 3.6
MOST_OF_ONE_COPY = 1.4
MOST_COPIES = 2.0

OURS, TORRENT, HTTP = "p2ptwisted", "libtorrent", "plain HTTP"

#: Seconds of all measurements, by the way that the file went and the number of nodes.
Times = Mapping[str, Mapping[int, Sequence[float]]]


def from_several(system: System, memory: Path, rounds: int) -> list[Row]:
    """The rate from four holders, to that from one of them."""
    rates: dict[int, list[float]] = {1: [], HOLDERS: []}
    with ExitStack() as stack:
        swarm = Swarm(stack, system, memory)
        holders = [swarm.member(f"holder{number}", LINK) for number in range(HOLDERS)]
        node = swarm.member("node", WIDE_LINK)
        for number in range(1, rounds + 1):
            print(f"from several holders, round {number} of {rounds}", flush=True)
            for count, measured in rates.items():
                with _shared(swarm, holders[:count], FROM_SEVERAL) as (file, id):
                    taken = swarm.fetch(id, file.name, [node])
                measured.append(FROM_SEVERAL / taken)
                print(f"  {count}: {taken:.2f} s, {measured[-1] / 1e6:.1f} MB/s", flush=True)
    one, several = (max(measured) / 1e6 for measured in rates.values())
    what = f"from {HOLDERS} holders"
    return [ratio_row(what, several, "from one", one, "MB/s", LEAST_OF_ONE_HOLDER)]


def to_many(system: System, memory: Path, rounds: int) -> tuple[list[Row], Times]:
    """The time until the last of many nodes has the file, and what the first holder has sent."""
    times: dict[str, dict[int, list[float]]] = {}
    copies: dict[str, dict[int, list[float]]] = {}
    with ExitStack() as stack:
        swarm = Swarm(stack, system, memory)
        holder = swarm.member("holder", LINK)
        nodes = [swarm.member(f"node{number}", LINK) for number in range(max(NODES))]
        ways: Mapping[str, Callable[[Path, str, Sequence[Member]], float]] = {
            OURS: lambda file, id, some: swarm.fetch(id, file.name, some),
            TORRENT: lambda file, id, some: rivals.libtorrent(
                system.folder, holder, some, file, id
            ),
            HTTP: lambda file, id, some: rivals.http(system.folder, holder, some, file, id),
        }
        for number in range(1, rounds + 1):
            print(f"to many nodes, round {number} of {rounds}", flush=True)
            for count in NODES:
                for name, way in ways.items():
                    with _shared(swarm, [holder], TO_MANY) as (file, id):
                        before = holder.host.sent()
                        taken = way(file, id, nodes[:count])
                        sent = (holder.host.sent() - before) / TO_MANY
                    times.setdefault(name, {}).setdefault(count, []).append(taken)
                    copies.setdefault(name, {}).setdefault(count, []).append(sent)
                    print(f"  {name} to {count}: {taken:.2f} s, {sent:.2f} copies", flush=True)
    most = max(NODES)
    ours, torrent, one = (
        min(times[name][count]) for name, count in ((OURS, most), (TORRENT, most), (HTTP, 1))
    )
    sent, torrent_sent = (median(copies[name][most]) for name in (OURS, TORRENT))
    what = f"to {most} nodes"
    return [
        times_row(what, ours, "one copy by HTTP", one, MOST_OF_ONE_COPY),
        times_row(what, ours, TORRENT, torrent, 1, below=True),
        copies_row(f"{what}, sent by the first holder", sent, TORRENT, torrent_sent, MOST_COPIES),
    ], times


@contextmanager
def _shared(swarm: Swarm, holders: Sequence[Member], size: int) -> Iterator[tuple[Path, str]]:
    """A new file that these have and nobody else; gives the first one's and its id."""
    first, *others = (holder.shared / "large.bin" for holder in holders)
    id = make(first, size)
    for other in others:
        other.hardlink_to(first)
    swarm.wait_for_holders(id, len(holders))
    try:
        yield first, id
    finally:
        for file in (first, *others):
            file.unlink()
