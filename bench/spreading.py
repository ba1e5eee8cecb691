"""
One holder's file to many nodes on shaped links, beside libtorrent, UFTP, and
plain HTTP from one nginx.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import rivals
from bench.daemons import System
from bench.network import TCP_HEADERS, UDP_HEADERS
from bench.scenarios import GIB, Scenario
from bench.swarm import Member, Swarm
from bench.table import Row, copies_row, seconds_row, times_row

OURS, TORRENT, UFTP, HTTP = "p2ptwisted", "libtorrent", "UFTP", "plain HTTP"

#: Bytes of headers in each packet; some of libtorrent's are uTP's, which has four less.
HEADERS = {OURS: TCP_HEADERS, TORRENT: TCP_HEADERS, UFTP: UDP_HEADERS, HTTP: TCP_HEADERS}


@dataclass(frozen=True)
class Spread:
    """
    What it took to bring a file to so many nodes.

    Copies are what went through a link, without the headers of its packets, to
    the size of the file.
    """

    #: Until the last node had it.
    seconds: float
    #: Copies that left the first holder, and that came to the node that got most.
    sent: float
    received: float
    #: Processor seconds of all daemons for each GiB that a node got.
    processor: float


#: All measurements by the way that the file went, and the number of nodes.
Spreads = Mapping[str, Mapping[int, Sequence[Spread]]]

_Way = Callable[[Path, str, Sequence[Member]], float]


def measure(
    system: System, memory: Path, name: str, scenario: Scenario, rounds: int
) -> tuple[list[Row], Spreads]:
    """All ways take turns, to each number of nodes."""
    spreads: dict[str, dict[int, list[Spread]]] = {}
    with ExitStack() as stack:
        swarm = Swarm(stack, system, memory)
        holder = swarm.member("holder", scenario.mbit)
        nodes = [
            swarm.member(f"node{number}", scenario.mbit) for number in range(max(scenario.nodes))
        ]
        for number in range(1, rounds + 1):
            print(f"{name}: {scenario.shown}, round {number} of {rounds}", flush=True)
            for count in sorted({1, *scenario.nodes}):
                for way, go in _ways(system.folder, swarm, holder, scenario, count).items():
                    spread = _spread(swarm, holder, nodes[:count], scenario.size, way, go)
                    spreads.setdefault(way, {}).setdefault(count, []).append(spread)
                    print(f"  {way} to {count}: {_told(way, spread)}", flush=True)
    return _rows(scenario, spreads), spreads


def _ways(
    folder: Path, swarm: Swarm, holder: Member, scenario: Scenario, count: int
) -> Mapping[str, _Way]:
    """What is measured with so many nodes."""
    ways: dict[str, _Way] = {}
    if count in scenario.nodes:
        ways[OURS] = lambda file, id, nodes: swarm.fetch(id, file.name, nodes)
        if scenario.rivals:
            ways[TORRENT] = lambda file, id, nodes: rivals.libtorrent(
                folder, holder, nodes, file, id
            )
            ways[UFTP] = lambda file, id, nodes: rivals.uftp(
                folder, holder, nodes, file, id, scenario.mbit
            )
    if count == 1 or scenario.http_to_all:
        ways[HTTP] = lambda file, id, nodes: rivals.http(folder, holder, nodes, file, id)
    return ways


def _spread(
    swarm: Swarm, holder: Member, nodes: Sequence[Member], size: int, way: str, go: _Way
) -> Spread:
    """One measurement, with a new file."""
    headers = HEADERS[way]
    with swarm.sharing([holder], size) as (file, id):
        processor = swarm.processor_seconds()
        sent = holder.host.sent()
        received = [node.host.received() for node in nodes]
        seconds = go(file, id, nodes)
        return Spread(
            seconds,
            holder.host.sent().payload_since(sent, headers) / size,
            max(
                node.host.received().payload_since(before, headers)
                for node, before in zip(nodes, received, strict=True)
            )
            / size,
            (swarm.processor_seconds() - processor) / (len(nodes) * size / GIB),
        )


def _told(way: str, spread: Spread) -> str:
    """One measurement as it is printed."""
    told = f"{spread.seconds:.2f} s, {spread.sent:.3f} copies sent, at most "
    told += f"{spread.received:.3f} received"
    return told + (f", {spread.processor:.2f} processor s/GiB" if way == OURS else "")


def _rows(scenario: Scenario, spreads: Spreads) -> list[Row]:
    """The rows of the largest number of nodes: the shortest times, and medians of the rest."""
    most, what = max(scenario.nodes), scenario.shown
    ours = spreads[OURS][most]
    shortest, one = shortest_time(ours), shortest_time(spreads[HTTP][1])
    rows = [times_row(what, shortest, "one copy by HTTP", one, scenario.of_one_copy)]
    if scenario.rivals:
        torrent, uftp = spreads[TORRENT][most], spreads[UFTP][most]
        rows += [
            times_row(
                what, shortest, TORRENT, shortest_time(torrent), scenario.of_torrent, below=True
            ),
            times_row(what, shortest, UFTP, shortest_time(uftp), scenario.of_uftp, below=True),
            copies_row(
                f"{what}: sent by the first holder",
                median(spread.sent for spread in ours),
                TORRENT,
                median(spread.sent for spread in torrent),
                scenario.sent,
            ),
            copies_row(
                f"{what}: received by a node, at most",
                median(spread.received for spread in ours),
                TORRENT,
                median(spread.received for spread in torrent),
                scenario.received,
            ),
        ]
    processor = median(spread.processor for spread in ours)
    return [*rows, seconds_row(f"{what}: processor time a GiB", processor)]


def shortest_time(spreads: Sequence[Spread]) -> float:
    return min(spread.seconds for spread in spreads)
