"""Words for numbers in what people read: the one place that knows plurals. Pure."""


def counted(count: int, singular: str, plural: str | None = None) -> str:
    """
    Return the number with its noun: `1 holder`, `2 holders`.

    `plural` is for nouns that take more than an s.
    """
    noun = singular if count == 1 else plural or f"{singular}s"
    return f"{count} {noun}"


def counted_are(count: int, singular: str, plural: str | None = None) -> str:
    """Return the number with its noun and verb: `1 holder is`, `2 holders are`."""
    return f"{counted(count, singular, plural)} {'is' if count == 1 else 'are'}"
