"""
What a fetched file is called here. Names come from strangers: nothing that a
name says may lead out of the folder, hide the file or upset a terminal.
"""

from pathlib import Path

from p2ptwisted.transfer.part import JOURNAL, PART

#: Bytes of a file's name on Linux, less what a part adds to it.
NAME_BYTES = 255 - len(JOURNAL)

#: What other systems don't allow in a name, or give a meaning to.
RESERVED = frozenset('\\:*?"<>|')

#: Folders that a name may bring with it.
DEPTH_MAX = 16


def place(folder: Path, name: str | None, id: str) -> Path:
    """
    Where in the folder a resource of that name goes, its own folders with it.

    A name that leaves nothing usable gives way to the id.
    """
    parts = [_clean(part) for part in (name or "").split("/")]
    parts = [part for part in parts if part] or [_clean(id) or "_"]
    destination = folder.joinpath(*parts[-DEPTH_MAX:])
    if destination.parent.resolve().is_relative_to(folder.resolve()):
        return destination
    # A link in the folder leads out of it.
    return folder / parts[-1]


def flat_name(name: str | None, id: str) -> str:
    """The same without folders."""
    return place(Path("/"), (name or "").rpartition("/")[2], id).name


def _clean(part: str) -> str:
    printable = "".join(one if one.isprintable() and one not in RESERVED else "_" for one in part)
    # A leading dot would hide it; `.` and `..` vanish with it.
    visible = printable.strip().lstrip(". ")
    short = visible.encode("utf-8", "replace")[:NAME_BYTES].decode("utf-8", "ignore")
    # Nor may it be taken for something unfinished, or for another file's part.
    return short.replace(PART, "_part") if short.endswith((PART, JOURNAL)) else short
