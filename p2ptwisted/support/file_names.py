"""
Comparing names with what somebody looks for. Pure.

Names are compared in Unicode's normal form C, in which a letter with its accent is one character
where there is such a one: a Mac's file names have the accent behind the letter (form D), and people
type it as one. They are shown and stored as they are.
"""

import unicodedata

#: Characters of a part of a name up to which it has a normal form; no file system has longer ones.
#: For marks in the worst order the time grows with the square of the length: 0.2 ms for these.
PART_MAX = 255


def normal_form(name: str) -> str:
    """Return a name, or a part of one, in the form in which names are compared."""
    if name.isascii():
        return name
    parts = name.split("/")
    if max(map(len, parts)) > PART_MAX:
        return name
    return "/".join(unicodedata.normalize("NFC", part) for part in parts)


def is_named(name: str, wanted: str) -> bool:
    """Whether `wanted` is this name of a file, with its folders or without; both in normal form."""
    return wanted in (name, name.rpartition("/")[2])


def likeness(name: str, wanted: str) -> int:
    """
    Return how well a file's name matches: 2 if it is `wanted`, 1 if it has it in it, else 0.

    Both are in normal form.
    """
    if is_named(name, wanted):
        return 2
    return int(wanted.casefold() in name.casefold())
