"""
What a part and its journal are called beside the destination. Pure.

This is the only place where the suffixes of unfinished files are written.
"""

from pathlib import Path

_JOURNAL_END = ".journal"

#: Suffixes of a part and of its journal.
PART = ".part"
JOURNAL = PART + _JOURNAL_END

#: Suffixes of files that are still being downloaded, by this program or by others.
UNFINISHED = (PART, JOURNAL)


def part_names(destination: Path, number: int) -> tuple[str, str]:
    """The file names of the part with that number and of its journal; all but 0 are hidden."""
    name = destination.name
    if not number:
        return name + PART, name + JOURNAL
    # No longer than the first's journal, for a name may be as long as that allows.
    return f".{name}.{number}{PART}", f".{name}.{number}{_JOURNAL_END}"
