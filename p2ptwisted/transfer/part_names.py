"""
What a part and its journal are called beside the destination, what other programs call theirs, and
what `twistd` calls its log. Pure.

This is the only place where such names are written.
"""

import re
from pathlib import Path

_JOURNAL_END = ".journal"

#: Suffixes of a part and of its journal.
PART = ".part"
JOURNAL = PART + _JOURNAL_END

#: Suffixes of what says, beside a file, that it is not yet complete: aria2's, axel's, lftp's.
#: Beside a complete file there is none.
CONTROL = (".aria2", ".st", ".lftp-pget-status")

#: Suffixes of files that are not complete, of this program and of others, in lower case.
_UNFINISHED = (
    PART,
    JOURNAL,
    *CONTROL,
    ".aria2__temp",  # aria2's next control file
    ".crdownload",  # Chromium
    ".opdownload",  # Opera
    ".download",  # Safari
    ".partial",  # Edge, and many others
    ".filepart",  # WinSCP
    ".dtapart",  # DownThemAll
    ".ytdl",  # yt-dlp
    ".!qb",  # qBittorrent
    ".!ut",  # uTorrent
    ".bc!",  # BitComet
    ".xltd",  # Xunlei
    "~",  # what editors keep while they write
)


#: What `twistd` writes in the folder where it is started, which can be the shared one.
_OF_TWISTD = re.compile(r"twistd\.(?:pid|log(?:\.[0-9_]+)?)", re.ASCII)


def unfinished_end(name: str) -> str:
    """The end of a file's name that says that the file is unfinished; empty if none does."""
    lower = name.lower()
    # All in one, for a scan asks this of each file.
    if not lower.endswith(_UNFINISHED):
        return ""
    # The longest, for one can end with another.
    length = max(len(end) for end in _UNFINISHED if lower.endswith(end))
    return name[-length:]


def is_of_twistd(name: str) -> bool:
    """Whether a file is called as twistd's log, also one of earlier days, or as its pid file."""
    # First what is quick, for a scan asks this of each file.
    return name.startswith("twistd.") and _OF_TWISTD.fullmatch(name) is not None


def part_names(destination: Path, number: int) -> tuple[str, str]:
    """The file names of the part with that number and of its journal; all but 0 are hidden."""
    name = destination.name
    if not number:
        return name + PART, name + JOURNAL
    # No longer than the first's journal, for a name may be as long as that allows.
    return f".{name}.{number}{PART}", f".{name}.{number}{_JOURNAL_END}"
