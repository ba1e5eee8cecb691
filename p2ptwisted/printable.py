"""Text from strangers, as it may be shown: in a log, on a terminal, in a message."""


def printable(text: str) -> str:
    """The text with everything escaped that a terminal or a log would obey instead of show."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape", "surrogatepass").decode("ascii")
        for one in text
    )
