"""The rate at which a node with a wide link gets one file from four holders at once."""

from contextlib import ExitStack
from pathlib import Path

from bench.daemons import System
from bench.files import MIB
from bench.swarm import Swarm
from bench.table import Row, ratio_row

#: Mbit/s of a holder's link, each way, and of the node's.
LINK, WIDE_LINK = 100, 1000

HOLDERS = 4

#: Bytes of the file.
SIZE = 256 * MIB

LEAST_OF_ONE_HOLDER = 3.6


def measure(system: System, memory: Path, rounds: int) -> list[Row]:
    """The rate from all holders, to that from one of them."""
    rates: dict[int, list[float]] = {1: [], HOLDERS: []}
    with ExitStack() as stack:
        swarm = Swarm(stack, system, memory)
        holders = [swarm.member(f"holder{number}", LINK) for number in range(HOLDERS)]
        node = swarm.member("node", WIDE_LINK)
        for number in range(1, rounds + 1):
            print(f"several: from {HOLDERS} holders, round {number} of {rounds}", flush=True)
            for count, measured in rates.items():
                with swarm.sharing(holders[:count], SIZE) as (file, id):
                    taken = swarm.fetch(id, file.name, [node])
                measured.append(SIZE / taken)
                print(f"  {count}: {taken:.2f} s, {measured[-1] / 1e6:.1f} MB/s", flush=True)
    one, several = (max(measured) / 1e6 for measured in rates.values())
    what = f"from {HOLDERS} holders"
    return [ratio_row(what, several, "from one", one, "MB/s", LEAST_OF_ONE_HOLDER)]
