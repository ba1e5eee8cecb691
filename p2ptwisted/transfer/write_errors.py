"""What a person is told when a download can't be written to the disk."""

import errno
import os
from pathlib import Path

from p2ptwisted.errors import Unavailable
from p2ptwisted.support.safe_open import NotRegular
from p2ptwisted.transfer.known_mounts import Displaced
from p2ptwisted.transfer.target_folder import NotOurs


class NoRoom(Unavailable):
    """The disk is too full."""


class BeingFetched(Unavailable):
    """Another download goes to the same place."""


class OutOfReach(Unavailable):
    """What was mounted there isn't any more, or something else is mounted over it."""


def write_error(error: OSError, destination: Path, size: int) -> Unavailable:
    """
    The error to raise for one of the system's: Unavailable, or a kind of it that is told apart.

    `size` is that of the resource, in bytes.
    """
    if isinstance(error, NotRegular | NotOurs):
        return Unavailable(
            f"{error.filename} {error.strerror}: it is left as it is; remove it, and try again"
        )
    if isinstance(error, Displaced):
        return OutOfReach(
            f"can't write {destination}: {error.strerror}: put that right, and try again"
        )
    if error.errno == errno.ENOSPC:
        return NoRoom(f"no room for {destination} ({size} bytes): make room, and try again")
    if error.errno == errno.ELOOP:
        return Unavailable(f"{error.filename} is a link: it is not followed, and left as it is")
    if error.errno == errno.EWOULDBLOCK:
        return BeingFetched(f"{destination} is being fetched already: wait until that is through")
    if error.errno == errno.EEXIST:
        there = destination.with_name(os.path.basename(error.filename2 or error.filename))
        return Unavailable(f"{there} exists and is another file: it is left as it is")
    return Unavailable(f"can't write {destination}: {error.strerror}")
