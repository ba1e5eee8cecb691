"""Words for numbers in what people read: the one place that knows plurals."""


def counted(count: int, singular: str, plural: str | None = None) -> str:
    """
    Return the number with its noun: `1 holder`, `2 holders`, `1,200 holders`.

    `plural` is for nouns that take more than an s.
    """
    noun = singular if count == 1 else plural or f"{singular}s"
    return f"{count:,} {noun}"
