"""
What a downloaded file is called here. Names come from strangers: nothing in a
name may lead out of the folder, hide the file or upset a terminal.
"""

import hashlib
import os
import re
from pathlib import Path

from p2ptwisted.support.real_path import real_path
from p2ptwisted.transfer.part_names import JOURNAL, PART, is_of_twistd, unfinished_end

#: Bytes of a file's name on Linux, less what a part adds to it.
NAME_BYTES = 255 - len(JOURNAL)

#: The extension of a name, which is kept where the name is cut: up to three short words behind
#: dots, as `.tar.gz.asc` has them.
_EXTENSION = re.compile(r"(?<=[^.])(?:\.[\w+-]{1,12}){1,3}$")

#: Hex digits that tell a name that was cut from others that begin and end like it.
MARK_LENGTH = 8

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
    # A leading dot would hide it; `.` and `..` vanish with it. Other systems leave out those at
    # the end.
    usable = printable.strip(". ")
    if usable.partition(".")[0].rstrip().casefold() in DEVICES:
        usable = f"_{usable}"
    short = usable if len(_encoded(usable)) <= NAME_BYTES else _shortened(usable, part)
    # Nor may it be taken for something unfinished, for another file's part, or for a log.
    while end := unfinished_end(short):
        if end in (PART, JOURNAL):
            short = short.replace(PART, "_part")
        else:
            short = f"{short.removesuffix(end)}_{end[1:]}"
    if is_of_twistd(short):
        short = f"_{short}"
    return _encodable(short)


def _encodable(part: str) -> str:
    """Have it in the bytes of UTF-8 where this system's encoding of names lacks a character."""
    try:
        os.fsencode(part)
    except UnicodeEncodeError:
        return os.fsdecode(part.encode())
    return part


def _shortened(usable: str, name: str) -> str:
    """
    Cut it to the length of a name, before its extension.

    It gets a mark made of the `name` that it comes from, so that no two become the same.
    """
    found = _EXTENSION.search(usable)
    extension = "" if found is None else found[0]
    mark = hashlib.sha256(_encoded(name)).hexdigest()[:MARK_LENGTH]
    end = f"~{mark}{extension}"
    stem = _encoded(usable.removesuffix(extension))[: NAME_BYTES - len(_encoded(end))]
    return stem.decode("utf-8", "ignore").rstrip(". ") + end


def _encoded(part: str) -> bytes:
    return part.encode("utf-8", "replace")
