"""
Torrents (BEP 3) of a resource, with its holders as web seeds (BEP 19).

Version 1 alone: Transmission reads no other, and the others read it too.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from p2ptwisted.interfaces import Sha1Pieces, Sources

CONTENT_TYPE = b"application/x-bittorrent"

_Value: TypeAlias = "bytes | str | int | Sequence[_Value] | Mapping[str, _Value]"


def torrent(sources: Sources, cut: Sha1Pieces, urls: Sequence[str]) -> bytes:
    """Return the torrent; `urls` are those of the content at its holders, the best first."""
    info: Mapping[str, _Value] = {
        "length": sources.pieces.size,
        "name": sources.name.encode("utf-8", "surrogateescape"),
        "piece length": cut.length,
        "pieces": cut.digests,
        # Else clients would announce to all the world that they have it, and give it away.
        "private": 1,
    }
    return bencode({"comment": f"SHA-256 {sources.id}", "info": info, "url-list": urls})


def bencode(value: _Value) -> bytes:
    """Return a value in BitTorrent's encoding."""
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"%d:%b" % (len(value), value)
    if isinstance(value, Mapping):
        items = sorted((key.encode(), item) for key, item in value.items())
        return b"d" + b"".join(bencode(part) for item in items for part in item) + b"e"
    return b"l" + b"".join(map(bencode, value)) + b"e"
