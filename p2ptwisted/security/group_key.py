"""
The key of a closed group: a file that every member has, and what is made of it.

Datagrams and HTTP calls are proved with keys of their own, derived by HKDF
(RFC 5869), so that no proof of one kind passes for one of the other.
"""

import os
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from p2ptwisted.errors import InvalidInput
from p2ptwisted.security.private_files import read_file

#: Bytes of a key file: fewer could be guessed, more is some other file.
KEY_MIN, KEY_MAX = 32, 4096

#: Bytes of a derived key, as many as SHA-256 gives.
DERIVED = 32


class GroupKey:
    """What a member proves itself with. It shows itself in no log."""

    def __init__(self, secret: bytes) -> None:
        self.datagrams = _derived(secret, b"p2ptwisted datagrams")
        self.http = _derived(secret, b"p2ptwisted http")

    def __repr__(self) -> str:
        return "<GroupKey>"


def load_group_key(path: Path) -> GroupKey:
    """
    The key in a file that only its owner can read.

    Raises InvalidInput, which never tells what the file holds.
    """
    try:
        file = read_file(path, KEY_MAX)
    except InvalidInput as error:
        raise InvalidInput(f"can't read the key file {_shown(path)}: {error}") from None
    file.check_private(f"the key file {path}")
    secret = file.content.strip()
    if len(secret) < KEY_MIN:
        raise InvalidInput(
            f"the key file {path} has {len(secret)} bytes, not {KEY_MIN} to {KEY_MAX}: "
            "make one with `openssl rand -hex 32`"
        )
    return GroupKey(secret)


def _shown(path: Path) -> str:
    """
    The path of a file that can't be read, unless it could be the key itself.

    A key has been given in place of its file's name before; what stands in a
    folder that is there is a name.
    """
    if len(str(path)) < KEY_MIN:
        return str(path)
    in_folder = path.parent not in (Path("."), Path("/")) and os.path.isdir(path.parent)
    return str(path) if in_folder else "(not shown, as it could be the key)"


def _derived(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=DERIVED, salt=None, info=purpose).derive(secret)
