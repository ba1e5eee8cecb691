"""
Comparing names with what somebody looks for. Pure.

Names are compared in Unicode's normal form C, in which a letter with its accent is one character
where there is such a one: a Mac's file names have the accent behind the letter (form D), and people
type it as one. They are shown and stored as they are.
"""

import unicodedata

#: Marks on one letter up to which a name has a normal form, as in Unicode's stream-safe text. For
#: marks in the worst order the time grows with the square of their number: 35 ms for 4,096.
MARKS_MAX = 30

_TOO_MANY = b"\1" * (MARKS_MAX + 1)

#: The only characters that are no marks by themselves, and become nothing but marks.
_HIDDEN_MARKS = {0xF73: "\u0f71\u0f72", 0xF75: "\u0f71\u0f74", 0xF81: "\u0f71\u0f80"}


def normal_form(name: str) -> str:
    """Return a name, or a part of one, in the form in which names are compared."""
    if name.isascii():
        return name
    if len(name) > MARKS_MAX // 2:
        classes = map(unicodedata.combining, name.translate(_HIDDEN_MARKS))
        if _TOO_MANY in bytes(map(bool, classes)):
            return name
    return unicodedata.normalize("NFC", name)


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
