"""
Which names of a resource an answer tells: its holders, and one holder too, can have many for the
same content. Pure.
"""

from collections.abc import Callable, Iterable

from msgspec import UNSET, UnsetType

from p2ptwisted.model import NAMES_MAX

#: Characters of all other names in one answer; each resource has the same share.
NAMES_LENGTH_MAX = 250_000


def told_names(
    names: Iterable[str],
    likeness: Callable[[str], int] = lambda name: 0,
    share: int = NAMES_LENGTH_MAX,
) -> tuple[str | None, list[str] | UnsetType]:
    """
    Return the name of a resource, and its other names as an answer has them.

    The name is the first of those with the greatest likeness to what was asked for; of the others
    those that are most like it come first, at most NAMES_MAX - 1, and no more than have `share`
    characters.
    """
    # Stable: of those that are alike the first stays the first.
    distinct = sorted(dict.fromkeys(names), key=lambda name: -likeness(name))
    told = []
    for name in distinct[1:NAMES_MAX]:
        share -= len(name)
        if share < 0:
            break
        told.append(name)
    return (distinct[0] if distinct else None), (told or UNSET)
