"""Text from strangers, as it may be shown: in a log, on a terminal, in a message."""

#: Characters that are shown of what a stranger calls something: enough to tell it by.
SHOWN_MAX = 200

_CUT = "..."


def printable(text: str) -> str:
    """The text with everything escaped that a terminal or a log would obey instead of show."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape", "surrogatepass").decode("ascii")
        for one in text
    )


def shown(text: str, most: int = SHOWN_MAX) -> str:
    """The text, printable, and cut so that it has `most` characters at the most."""
    # Cut before as well, for escaping a long text would make a far longer one.
    line = printable(text[: most + 1])
    return line if len(line) <= most else line[: most - len(_CUT)] + _CUT
