"""How well a file's name matches what somebody looks for. Pure."""


def is_named(name: str, wanted: str) -> bool:
    """Whether `wanted` is this name of a file, with its folders or without."""
    return wanted in (name, name.rpartition("/")[2])


def likeness(name: str, wanted: str) -> int:
    """Return how well a file's name matches: 2 if it is `wanted`, 1 if it has it in it, else 0."""
    if is_named(name, wanted):
        return 2
    return int(wanted.casefold() in name.casefold())
