"""
What a downloaded file is called here. Names come from strangers: nothing in a
name may lead out of the folder, hide the file or upset a terminal.
"""

import os
from pathlib import Path

from p2ptwisted.support.real_path import real_path
from p2ptwisted.transfer.part_names import JOURNAL, PART, unfinished_end

#: Bytes of a file's name on Linux, less what a part adds to it.
NAME_BYTES = 255 - len(JOURNAL)

#: What other systems don't allow in a name, or give a meaning to.
RESERVED = frozenset('\\:*?"<>|')

#: Names that are devices there, whatever follows a dot.
DEVICES = frozenset(
    ["aux", "con", "conin$", "conout$", "nul", "prn"]
    + [f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"]
)

#: Folders that a name may bring with it.
DEPTH_MAX = 16


def place(folder: Path, name: str | None, id: str) -> Path:
    """
    The path in `folder` for a resource of that name, with the folders in the name.

    The id is used instead of a name in which nothing is usable.
    """
    parts = [_clean(part) for part in (name or "").split("/")]
    parts = [part for part in parts if part] or [_clean(id) or "_"]
    destination = folder.joinpath(*parts[-DEPTH_MAX:])
    try:
        if real_path(destination.parent).is_relative_to(real_path(folder)):
            return destination
    except OSError:
        pass
    # A link in the folder leads out of it, or round in a circle.
    return folder / parts[-1]


def flat_name(name: str | None, id: str) -> str:
    """The file name for a resource of that name, without its folders."""
    return place(Path("/"), (name or "").rpartition("/")[2], id).name


def _clean(part: str) -> str:
    """One component of a path, with nothing in it that could do harm; may be empty."""
    printable = "".join(
        char if char.isprintable() and char not in RESERVED else "_" for char in part
    )
    # A leading dot would hide it; `.` and `..` vanish with it.
    short = _cut(printable.lstrip(". "))
    if short.partition(".")[0].rstrip().casefold() in DEVICES:
        short = _cut(f"_{short}")
    # Nor may it be taken for something unfinished, or for another file's part.
    while end := unfinished_end(short):
        if end in (PART, JOURNAL):
            short = short.replace(PART, "_part")
        else:
            short = f"{short.removesuffix(end)}_{end[1:]}"
    return _encodable(short)


def _encodable(part: str) -> str:
    """Have it in the bytes of UTF-8 where this system's encoding of names lacks a character."""
    try:
        os.fsencode(part)
    except UnicodeEncodeError:
        return os.fsdecode(part.encode())
    return part


def _cut(part: str) -> str:
    """Cut it to the length of a name, without an end that other systems leave out."""
    return part.encode("utf-8", "replace")[:NAME_BYTES].decode("utf-8", "ignore").rstrip(". ")
