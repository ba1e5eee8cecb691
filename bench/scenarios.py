"""What is measured of one holder's file to many nodes: how many, how large, and the bars."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.files import MIB

GIB = 1024 * MIB

#: Rounds, at the most, of what takes long and varies little.
LONG_ROUNDS = 3


@dataclass(frozen=True)
class Scenario:
    """
    One file, links that have the same speed each way, and what shall be reached.

    A bar is None where there is none. Those of time are a part of another
    way's time; the copies are judged by themselves.
    """

    #: The numbers of nodes that it goes to, one after the other; the bars are for the last.
    nodes: Sequence[int]
    #: Of a link, and bytes of the file.
    mbit: int
    size: int
    #: At most this part of the time of one copy to one node by HTTP.
    of_one_copy: float
    rounds: int = LONG_ROUNDS
    #: Less than this part of theirs, where they are measured at all.
    rivals: bool = True
    of_torrent: float | None = None
    of_uftp: float | None = None
    #: Copies that leave the first holder, and those that come to the node that gets most.
    sent: float | None = None
    received: float | None = None
    #: Whether plain HTTP goes to all numbers of nodes too, for the plot.
    http_to_all: bool = False

    @property
    def memory(self) -> int:
        """Bytes of all copies at once."""
        return (max(self.nodes) + 1) * self.size

    @property
    def shown(self) -> str:
        """Its name in the table."""
        size = f"{self.size // MIB} MiB" if self.size % GIB else f"{self.size // GIB} GiB"
        link = f"{self.mbit} Mbit/s" if self.mbit % 1000 else f"{self.mbit // 1000} Gbit/s"
        return f"{size} to {max(self.nodes)} nodes, {link}"


#: The one that is drawn.
MANY = "many"

SCENARIOS: Mapping[str, Scenario] = {
    MANY: Scenario(
        nodes=(1, 2, 4, 8),
        mbit=100,
        size=64 * MIB,
        of_one_copy=1.1,
        of_torrent=1,
        sent=2,
        http_to_all=True,
    ),
    "fast": Scenario(nodes=(3,), mbit=1000, size=256 * MIB, of_one_copy=1.2, rivals=False),
    "large": Scenario(
        nodes=(8,), mbit=100, size=GIB, rounds=1, of_one_copy=1.04, sent=1.06, received=1.02
    ),
    "crowd": Scenario(
        nodes=(32,),
        mbit=25,
        size=128 * MIB,
        rounds=1,
        of_one_copy=1.15,
        of_torrent=1,
        of_uftp=1,
    ),
}
