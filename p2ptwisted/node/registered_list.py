"""
What a node registers of its list: as many resources, and of their other names as many, as a
supernode takes in one body.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import msgspec

from p2ptwisted.model import (
    OTHER_NAMES_MAX,
    REGISTRATION_BYTES_MAX,
    RESOURCES_MAX,
    ResourceInfo,
)

#: Bytes of a registration besides its resources, at the most: the location, and the node's name.
HEAD_BYTES = 32 * 1024

#: Bytes of one resource's JSON besides its names, and bytes of each character of a name, at the
#: most; and bytes that the first other name brings with it.
ENTRY_BYTES, CHARACTER_BYTES, KEY_BYTES = 224, 6, len(',"other_names":[]')

#: Names measured at a time, which takes up to 8 ms.
SLICE = 10_000

_encode = msgspec.json.encode


class RegisteredList(NamedTuple):
    """The resources to register, and how many other names had no room among them."""

    resources: list[ResourceInfo]
    left_out: int


async def registered_list(
    resources: Sequence[ResourceInfo],
    pause: Callable[[], Awaitable[None]],
    room: int = REGISTRATION_BYTES_MAX - HEAD_BYTES,
) -> RegisteredList:
    """
    Return the first of the resources that fit in `room` bytes, with the other names that fit too.

    Every resource's first name comes before any other names. `pause` is awaited now and then
    where the list is long.
    """
    listed = resources[:RESOURCES_MAX]
    if _is_small(listed, room):
        return RegisteredList(list(listed), 0)
    bare: list[ResourceInfo] = []
    others = 0
    for resource in listed:
        one = _with_names(resource, 0)
        room -= len(_encode(one)) + 1
        if room < 0:
            return RegisteredList(bare, others)
        bare.append(one)
        others += len(resource.other_names)
        if len(bare) % SLICE == 0:
            await pause()
    if not others:
        return RegisteredList(bare, 0)
    names = min(others, OTHER_NAMES_MAX)
    fitting: list[ResourceInfo] = []
    measured = 0
    for resource in listed:
        count = 0
        for name in resource.other_names[:names]:
            room -= len(_encode(name)) + 1 + (0 if count else KEY_BYTES)
            if room < 0:
                names = count
                break
            count += 1
        names -= count
        others -= count
        fitting.append(_with_names(resource, count))
        measured += 1 + count
        if measured >= SLICE:
            measured = 0
            await pause()
    return RegisteredList(fitting, others)


def _is_small(resources: Sequence[ResourceInfo], room: int) -> bool:
    """Whether there are few, and all fit, however their names are encoded."""
    count = sum(1 + len(one.other_names) for one in resources[:SLICE])
    if len(resources) > SLICE or count > SLICE:
        return False
    size = sum(len(one.name) + sum(map(len, one.other_names)) for one in resources)
    # Of each name two quotes and a comma.
    return ENTRY_BYTES * len(resources) + CHARACTER_BYTES * size + 3 * count <= room


def _with_names(resource: ResourceInfo, count: int) -> ResourceInfo:
    """The resource with only the first `count` of its other names."""
    if len(resource.other_names) == count:
        return resource
    return msgspec.structs.replace(resource, other_names=resource.other_names[:count])
