"""
The key of a closed group: reading its file, which every member has, and deriving keys.

Datagrams and HTTP calls are signed with different keys, derived by HKDF
(RFC 5869), so that a signature of one kind never passes for the other.
"""

import os
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from p2ptwisted.errors import InvalidInput
from p2ptwisted.security.private_files import read_file
from p2ptwisted.support.wording import counted

#: Bytes of a key file: fewer could be guessed, more is some other file.
KEY_MIN, KEY_MAX = 32, 4096

#: Length of a derived key: that of a SHA-256 digest.
DERIVED_BYTES = 32


class GroupKey:
    """The keys that a member signs with. Its repr is fit for a log: it holds no key."""

    def __init__(self, secret: bytes) -> None:
        self.datagrams = _derive_key(secret, b"p2ptwisted datagrams")
        self.http = _derive_key(secret, b"p2ptwisted http")

    def __repr__(self) -> str:
        return "<GroupKey>"


def load_group_key(path: Path) -> GroupKey:
    """
    Read the key from a file that only its owner can read.

    Raises InvalidInput, whose message never has anything of the file's content.
    """
    try:
        file = read_file(path, KEY_MAX)
    except InvalidInput as error:
        raise InvalidInput(f"can't read the key file {_shown(path)}: {error}") from None
    file.check_private(f"the key file {path}")
    secret = file.content.strip()
    if len(secret) < KEY_MIN:
        raise InvalidInput(
            f"the key file {path} has {counted(len(secret), 'byte')}, not {KEY_MIN} to {KEY_MAX}: "
            "make one with `openssl rand -hex 32`"
        )
    return GroupKey(secret)


def _shown(path: Path) -> str:
    """
    Return the path of a file that can't be read, unless it could be the key itself.

    Users have given the key in place of its file's name before. A path in a
    folder that exists is a name.
    """
    if len(str(path)) < KEY_MIN:
        return str(path)
    in_folder = path.parent not in (Path("."), Path("/")) and os.path.isdir(path.parent)
    return str(path) if in_folder else "(not shown, as it could be the key)"


def _derive_key(secret: bytes, purpose: bytes) -> bytes:
    """Return the key for one purpose."""
    return HKDF(algorithm=SHA256(), length=DERIVED_BYTES, salt=None, info=purpose).derive(secret)
