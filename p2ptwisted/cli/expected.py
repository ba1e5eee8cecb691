"""Which nodes a pull is expected to reach: a number of them, or some by name."""

from collections.abc import Sequence
from typing import NamedTuple

from p2ptwisted.cli.exit_status import CommandError, ExitStatus
from p2ptwisted.support.round_robin import host_of


class Expected(NamedTuple):
    """What `--expect` says."""

    least: int = 0
    names: tuple[str, ...] = ()

    def missing_names(self, nodes: Sequence[tuple[str, str]]) -> list[str]:
        """Those that none of these nodes (name and location) has for its name or its address."""
        there = {word for node in nodes for word in names_of(*node)}
        return [name for name in self.names if name not in there]

    def total(self, nodes: Sequence[tuple[str, str]]) -> int:
        """How many nodes there would be if none were missing."""
        return max(self.least, len(nodes) + len(self.missing_names(nodes)))


def names_of(name: str, location: str) -> tuple[str, str, str]:
    """All that a node goes by: its name, its location, and its address alone."""
    return name, location, host_of(location)


def parse_expected(words: Sequence[str]) -> Expected:
    """
    Return what these values of the option say together.

    Each is a number, or names with commas between them. Raises CommandError.
    """
    count, names = 0, []
    for word in words:
        if word.isascii() and word.isdigit():
            if not 0 < len(word) <= 6 or int(word) == 0:
                raise CommandError(
                    f"--expect {word[:40]}: give a number of nodes from 1 to 999999, or their "
                    "names: --expect nn1,nn2",
                    ExitStatus.USAGE,
                )
            count = max(count, int(word))
        else:
            names += [name.strip() for name in word.split(",")]
    if "" in names:
        raise CommandError(
            "--expect has an empty name: is a comma too many? Write --expect nn1,nn2",
            ExitStatus.USAGE,
        )
    return Expected(count, tuple(dict.fromkeys(names)))
