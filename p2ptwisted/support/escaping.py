"""Escaping and shortening text from strangers that is shown: in logs, on terminals, in messages."""

#: Characters shown of a name that a stranger chose: enough to recognize it.
SHOWN_MAX = 200

_CUT = "..."


def printable(text: str) -> str:
    """Return the text with every character escaped that a terminal or a log would not just show."""
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )


def shown(text: str, most: int = SHOWN_MAX) -> str:
    """Return the text, printable, and cut to at most `most` characters."""
    # Cut before escaping too, because that would make a long text far longer.
    line = printable(text[: most + 1])
    return line if len(line) <= most else line[: most - len(_CUT)] + _CUT
