"""Metalink 4 (RFC 5854): a resource's size, its digest, those of its pieces, and where it is."""

from collections.abc import Sequence
from html import escape

from p2ptwisted.interfaces import Sources
from p2ptwisted.pieces import PIECES

CONTENT_TYPE = b"application/metalink4+xml"

#: Pieces whose digests are in it, at the most: 350 kB of them. Only resources of more than 32 GiB
#: have more.
PIECES_TOLD = PIECES


def metalink(sources: Sources, urls: Sequence[str]) -> bytes:
    """Return the document; `urls` are those of the content at its holders, the best first."""
    pieces = sources.pieces
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<metalink xmlns="urn:ietf:params:xml:ns:metalink">',
        f'<file name="{escape(sources.name)}">',
        f"<size>{pieces.size}</size>",
        f'<hash type="sha-256">{sources.id}</hash>',
    ]
    if 0 < pieces.count <= PIECES_TOLD:
        lines.append(f'<pieces length="{pieces.length}" type="sha-256">')
        lines += [f"<hash>{pieces.digest(piece).hex()}</hash>" for piece in range(pieces.count)]
        lines.append("</pieces>")
    lines += [f'<url priority="{place}">{escape(url)}</url>' for place, url in enumerate(urls, 1)]
    lines += ["</file>", "</metalink>", ""]
    return "\n".join(lines).encode("utf-8", "surrogateescape")
